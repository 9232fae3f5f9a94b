"""The demo's network on real images: the compiled core over all of them, the emitted Verilog over twenty."""

import pytest

from gen.method.convert import convert
from gen.data.digits import load_digits, train
from hw.emit import generate
from sim.golden import Golden
from sim.compiled_core import CompiledCore
from sim.verify import verify

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def digits():
    x_train, y_train, x_test, y_test = load_digits()
    return convert(train(seed=0), x_train, labels=y_train), x_test, y_test


@pytest.mark.parametrize("lanes", [4, 16])
def test_every_held_out_image_on_the_compiled_core(digits, lanes):
    network, x, y = digits
    golden, core = Golden(network).run(x), CompiledCore.for_network(network, lanes=lanes, stalls=0.1, seed=lanes)
    simulated = core.run(x)
    for name in ("classes", "exit_steps", "logits", "events", "synaptic_ops"):
        assert (getattr(simulated, name) == getattr(golden, name)).all(), name
    assert len(x) == 497 and (simulated.classes == y).mean() > 0.98


@pytest.mark.parametrize("lanes", [4, 16])
def test_twenty_held_out_images_under_cocotb(digits, lanes, tmp_path):
    network, x, _ = digits
    generate(network, lanes=lanes, out=tmp_path / "core")
    result = verify(tmp_path / "core", x, images=20)
    assert result["mismatches"] == 0, result["first_difference"]
    assert result["images"] == 20 and result["compared"]["counts"] > 50_000
