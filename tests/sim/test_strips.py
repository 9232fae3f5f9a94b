"""Networks whose input lies in strips: on one compiled core, and laid out as strips by `gen.plan.strips`."""

import numpy as np
import pytest

from gen.errors import DoesNotFit, NetworkError
from gen.intnet import IntegerNetwork
from gen.layers import INPUT, Source, Synapse
from gen.plan.plan import covering, make_plan, plan_on
from gen.plan.strips import Cut, find_strips
from gen.plan.target import find_target
from host.report.facts import describe_memories
from sim.compiled_core import CompiledCore
from sim.golden import Golden
from sim.traffic import memory_traffic
from tests.gen.plan.networks import readout, spiking
from tests.kit.compared import differences
from tests.kit.random_networks import random_images

NETWORKS, IMAGES = 30, 3
WIDTH = 8
WINDOWS = [(1, 3, 2), (2, 2, 2), (1, 2, 4)]  # channels, rows and columns


def drawn(seed, window=None):
    """Return a random network that reads its input in strips, in one layer or in two; in whole windows of this size."""
    rng = np.random.default_rng([seed, 0x57])
    while True:
        channels, rows, columns = int(rng.integers(1, 3)), *(int(n) for n in rng.integers(2, 10, 2))
        kernel = int(rng.integers(2, 1 + WIDTH // channels))
        if window:
            channels, _, kernel = window
        stride, before, after = (int(n) for n in rng.integers((1, 0, 0), (kernel + 1, kernel, kernel)))
        try:
            return _network(rng, (channels, rows, columns), kernel, stride, before, after, window)
        except (NetworkError, ValueError):  # a window larger than its map
            continue


def _network(rng, shape, kernel, stride, before, after, window):
    def weight(outputs, inputs, *size):
        return rng.integers(-8, 8, (outputs, inputs, *size))

    above, below, down = rng.integers((0, 0, 1), window[1]) if window else (0, 0, 1)

    def row(outputs):
        height = window[1] if window else int(rng.integers(1, 4))
        padding = (above, below) if window else (height // 2, height - 1 - height // 2)
        return Synapse(INPUT, weight(outputs, shape[0], height, kernel), (int(down), stride),
                       padding=(int(padding[0]), before, int(padding[1]), after))

    outputs, kind = int(rng.integers(1, 12)), ("direct", "frames")[int(rng.integers(2))]
    layers = [spiking("first", [row(outputs)], burst=5)]
    if rng.random() < 0.4:
        layers.append(spiking("second", [row(3), Synapse("first", weight(3, outputs, 1, 1))], burst=3))
    last = layers[-1]
    channels = last.synapses[0].weight.shape[0]
    size = last.synapses[0].output_shape(shape)[1:]
    layers.append(readout("out", Synapse(last.name, weight(4, channels, *size))))
    source = Source(shape, kind, 0, 15, np.full(shape[0], int(rng.integers(0, 9))))
    return IntegerNetwork(source, layers, int(rng.integers(1, 4)))


@pytest.fixture(scope="module")
def networks():
    return [drawn(seed) for seed in range(NETWORKS)]


@pytest.fixture(scope="module")
def core(networks):
    """One core for all of them, and for a network that cannot have strips."""
    plain = IntegerNetwork(
        Source((3, 4, 4)), [readout("out", Synapse(INPUT, np.ones((2, 3, 4, 4), int), padding=(1, 1)))], 2)
    params = covering([
        make_plan(network, width=WIDTH, groups=2, neurons=2, strips="rows") for network in [*networks, plain]])
    return CompiledCore.for_plan(plan_on(plain, params), stalls=0.3)


def test_random_inputs_in_strips_equal_the_golden_model(networks, core):
    kinds = set()
    for seed, network in enumerate([core.plan.network, *networks]):
        plan = plan_on(network, core.plan.params)
        strips = plan.layout.tiling.strips
        assert (strips is not None) == (seed > 0)
        core.load(plan)
        core.stalls = 0.3 * (seed % 3 > 0)
        assert not differences(core, network, seed, IMAGES), f"seed {seed}"
        if strips:
            kinds |= {strips.channels, f"stride {strips.stride}", f"padded {strips.before > 0}", network.source.kind}
            kinds.add(f"fills {strips.row_values > strips.width * strips.channels}")
    assert kinds >= {1, 2, "stride 1", "stride 2", "padded True", "padded False", "fills True", "fills False",
                     "direct", "frames"}


@pytest.mark.parametrize("window", [
    WINDOWS[0], *(pytest.param(window, marks=pytest.mark.slow) for window in WINDOWS[1:]),
], ids=str)
def test_random_inputs_in_whole_windows_equal_the_golden_model(window):
    """One core runs networks of other kernels too, those in strips of a single row or in none."""
    channels, rows, columns = window
    networks = [drawn(seed, window) for seed in range(NETWORKS)]
    plans = [make_plan(network, width=WIDTH, groups=2, neurons=2, strips="windows") for network in networks]
    core = CompiledCore.for_plan(plan_on(networks[0], covering(plans)), stalls=0.3)
    assert (core.plan.params.image_rows, core.plan.params.image_tile) == (rows, channels * rows * columns)
    kinds = set()
    for seed in (*range(NETWORKS), *(100 + n for n in range(6))):
        network = networks[seed] if seed < NETWORKS else drawn(seed)
        try:
            plan = plan_on(network, core.plan.params)
        except DoesNotFit:
            assert seed >= NETWORKS
            continue
        strips = plan.layout.tiling.strips
        core.load(plan)
        core.stalls = 0.3 * (seed % 3 > 0)
        assert not differences(core, network, seed, IMAGES), f"seed {seed}"
        if strips:
            kinds |= {f"rows {strips.rows}", f"above {min(strips.above, 1)}", f"below {min(strips.below, 1)}"}
            kinds.add(f"stride {network.layers[0].synapses[0].stride[0]}")
            kinds.add(network.source.kind)
    assert kinds >= {f"rows {rows}", "above 0", "above 1", "below 0", "below 1", "direct", "frames"}


def test_weights_lie_as_without_strips_and_words_are_fewer(networks):
    words, wide = np.zeros(3, int), 0
    for seed, network in enumerate(networks):
        plans = [make_plan(network, width=WIDTH, groups=1, strips=strips) for strips in ("", "rows", "windows")]
        assert len({tuple(plan.contents["weights_0"]) for plan in plans}) == 1, f"seed {seed}"
        result = Golden(network).run(random_images(network, seed, 2))
        traffic = [memory_traffic(plan, result)["image"] for plan in plans]
        words += [read.sum() for read, _, _ in traffic]
        for (_, _, bits), plan in zip(traffic, plans):
            assert bits == plan.params.image_tile * plan.params.image_bits, f"seed {seed}"
        wide += plans[2].params.image_rows > 1
    assert 2 * words[1] < words[0] and words[2] < words[1] and wide > 3


def test_the_report_tells_of_one_memory_of_the_input():
    network = drawn(0, WINDOWS[0])
    plan = make_plan(network, width=WIDTH, groups=2, strips="windows")
    image, = (memory for memory in describe_memories(plan, find_target("ulx3s_85f")) if memory["name"] == "image")
    p = plan.params
    assert (image["width"], image["words"]) == (p.image_tile * p.image_bits, 2 * p.image_depth)
    assert image["bits"] == image["width"] * image["words"] and image["used_words"] == image["words"]


def test_what_is_stored_is_what_a_kernel_row_covers():
    convolution = Synapse(INPUT, np.ones((1, 2, 3, 3), int), (1, 2), padding=(1, 1))
    network = IntegerNetwork(Source((2, 4, 6)), [readout("out", convolution)], 1)
    strips = make_plan(network, width=8, groups=1, strips="rows").layout.tiling.strips
    assert (strips.values, strips.columns) == (6, 3)
    assert (strips.first_values, strips.step_values, strips.row_values) == (4, 4, 12)
    values = np.arange(48).reshape(2, 4, 6)
    stored = strips.of_map(values)
    assert stored.shape == (6, 4, 3)
    assert stored[:, 1, 0].tolist() == [0, 0, 6, 30, 7, 31] and stored[:, 3, 2].tolist() == [21, 45, 22, 46, 23, 47]


@pytest.mark.parametrize("change", [
    {"channels": 3}, {"kernel": 1}, {"kernel": 9}, {"side": 80}, {"dilation": (1, 2)}, {"upsample": (2, 2)},
    {"stride": (1, 4)}, {"padding": (0, 3, 0, 0)},
], ids=str)
def test_what_has_no_strips(change):
    wanted = {"channels": 1, "kernel": 3, "side": 20} | change
    geometry = {name: value for name, value in wanted.items() if name not in ("channels", "kernel", "side")}
    convolution = Synapse(INPUT, np.ones((2, wanted["channels"], 3, wanted["kernel"]), int), **geometry)
    network = IntegerNetwork(
        Source((wanted["channels"], wanted["side"], wanted["side"])), [readout("out", convolution)], 1)
    assert make_plan(network, strips="rows").params.strips == 0


def test_readers_that_differ_in_their_columns_have_no_strips():
    first = spiking("first", [Synapse(INPUT, np.ones((2, 1, 3, 3), int), padding=(1, 1))])
    point = readout("out", Synapse(INPUT, np.ones((2, 1, 1, 1), int)), Synapse("first", np.ones((2, 2, 1, 1), int)))
    plan = make_plan(IntegerNetwork(Source((1, 6, 6)), (first, point), 1), strips="rows")
    assert plan.params.strips == 0 and find_strips(plan.passes, (1, 6, 6), Cut(8)) is None
