"""Boxes from a network's outputs: the units of integers, and decoders of the user's own."""

from dataclasses import replace

import numpy as np
import pytest

from gen.errors import InputError
from gen.exit_rule import ExitRule
from gen.intnet import IntegerNetwork, StagedNetwork
from gen.layers import INPUT, Readout, Source, Synapse
from gen.task import CLASSIFY, DETECT, Decoder, Task
from host.decode.detector import Detector
from host.decode.numbers import float_outputs, output_scales
from sim.golden import Golden

OWN = """
import numpy as np

def decode(outputs, size, options):
    out = next(iter(outputs.values()))
    return [([[0, 0, size[1], size[0]], [1, 2, 3, 4]], [0.25, options["score"]], [1, 0]) for _ in out]
"""


def network():
    """Return a network of two outputs that stops half of its `images` after the first of three timesteps."""
    rng = np.random.default_rng(0)
    outputs = [
        Readout(name, [Synapse(INPUT, rng.integers(-9, 10, (3, 1, 4, 4)))], rng.integers(-99, 99, 3), np.full(3, 8))
        for name in ("out", "more")
    ]
    found = IntegerNetwork(Source((1, 4, 4)), outputs, 3)
    z = np.sort(Golden(found).run(images()).logits // 3, axis=1)
    rule = ExitRule("margin", limits=(int(np.median(z[:, -1] - z[:, -2])), 2**31 - 1, 0))
    return replace(found, exit_rule=rule, provenance={"output_scales": {"out": 4.0, "more": 5.0}})


def images():
    return np.random.default_rng(1).integers(0, 256, (16, 1, 4, 4), dtype=np.uint8)


def test_units_of_outputs():
    net = network()
    result = Golden(net).run(images())
    assert len(set(result.exit_steps)) > 1
    worth = float_outputs(net, result)
    for name in net.outputs:
        scale = output_scales(net)[name] * result.exit_steps
        np.testing.assert_allclose(worth[name] * scale[:, None, None, None], result.outputs[name])
    alone = float_outputs(net, replace(result, outputs={}))
    np.testing.assert_array_equal(alone[net.readout.name], worth[net.readout.name])


def test_units_of_a_second_stage():
    net = network()
    first = replace(net, timesteps=1, exit_rule=replace(net.exit_rule, limits=net.exit_rule.limits[:1]), provenance={})
    last = replace(net, exit_rule=ExitRule(), timesteps=2)
    told = [{"output_scales": {net.readout.name: scale}} for scale in (2.0, 8.0)]
    staged = StagedNetwork((first, last), {"stages": told})
    result = Golden(staged).run(images())
    worth = float_outputs(staged, replace(result, outputs={}))[net.readout.name]
    assert set(result.stages) == {0, 1}
    for n, stage in enumerate(result.stages):
        unit = 2 if stage == 0 else 8 * 2
        np.testing.assert_allclose(worth[n, :, 0, 0] * unit, result.logits[n])


def test_without_units_there_is_nothing_to_decode():
    net = replace(network(), provenance={})
    with pytest.raises(InputError, match="output_scales in its provenance"):
        float_outputs(net, Golden(net).run(images()))


def test_a_decoder_of_ones_own(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(OWN)
    task = Task(DETECT, decoder=Decoder("mine.py", options={"score": 0.75}))
    (boxes, other) = Detector(task, (40, 50), file).boxes({"a": np.zeros((2, 1, 1, 1))})
    assert boxes.scores.tolist() == [0.75, 0.25] and boxes.classes.tolist() == [0, 1]
    assert boxes.corners.tolist() == [[1, 2, 3, 4], [0, 0, 50, 40]] and len(other) == 2


@pytest.mark.parametrize(("text", "words"), [
    ("def decode(outputs, size, options:\n", "cannot be loaded: SyntaxError"),
    ("import nothing_of_the_kind\n", "cannot be loaded: line 1, ModuleNotFoundError"),
    ("boxes = 3\n", r"no function decode\(outputs, size, options\)"),
    ("def decode(outputs, size, options):\n    return outputs['b']\n", "fails: line 2, KeyError: 'b'"),
    ("def decode(outputs, size, options):\n    return []\n", "0 results for 1 pictures"),
    ("def decode(*_):\n    return [([[1, 2, 3]], [1], [0])]\n", r"not \(1, 3\)"),
    ("def decode(*_):\n    return [([[1, 2, 3, 4], [20, 5, 10, 15]], [1, 1], [0, 0])]\n",
     r"mine.py fails: .*left <= right and top <= bottom, not \[20.0, 5.0, 10.0, 15.0\]"),
    ("def decode(*_):\n    return [([[1, 4, 3, 2]], [1], [0])]\n", r"mine.py fails: .*not \[1.0, 4.0, 3.0, 2.0\]"),
    ("def decode(*_):\n    return [([[1, 2, 3, 4]], [float('nan')], [0])]\n", "no finite number"),
    ("def decode(*_):\n    return [([[1, 2, 3, 4]], [1], [0.5])]\n", "integers from 0 up"),
])
def test_what_is_wrong_with_it_is_told(tmp_path, text, words):
    file = tmp_path / "mine.py"
    file.write_text(text)
    with pytest.raises(InputError, match=words):
        Detector(Task(DETECT, decoder=Decoder("mine.py")), (8, 8), file).boxes({"a": np.zeros((1, 1, 1, 1))})


def test_a_file_runs_only_if_it_is_named(tmp_path):
    task = Task(DETECT, decoder=Decoder("mine.py"))
    with pytest.raises(InputError, match="name it with --decode mine.py.*do not trust"):
        Detector(task, (8, 8))
    known = Task(DETECT, decoder=Decoder("yolo", {"grid": ("g",)}, {"anchors": [[3]]}))
    with pytest.raises(InputError, match="brings its decoder, yolo"):
        Detector(known, (8, 8), tmp_path / "mine.py")
    with pytest.raises(InputError, match="task is classify: there are no boxes"):
        Detector(Task(CLASSIFY), (8, 8))
