"""Energy by the convention and by estimate, against counts made one by one."""

import json
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from gen.exit_rule import ExitRule
from gen.inputs import input_values
from gen.intnet import IntegerNetwork
from gen.layers import INPUT, NEURONS, Pool, Readout, Source, Spiking, Synapse
from gen.plan.plan import make_plan
from sim.energy import EnergyMeter, ann_uJ, convention, estimated, is_identity, macs, operations
from sim.golden import Golden
from sim.metrics import evaluate
from tests.kit.random_networks import SECOND, random_images, random_network, random_staged_network
from sim.traffic import memory_traffic

IMAGE = np.array([[[4, 0, 2], [1, 3, 0], [0, 5, 6]]], np.uint8)


@pytest.fixture
def network():
    """The network that docs/integer-network.md computes by hand."""
    conv = Spiking(
        "conv", [Synapse(INPUT, np.array([[[[2, -1], [1, 0]]]]))], np.array([3]), np.array([10]), np.array([5]), 3, 6,
        np.array([3]),
    )
    pool = Pool("pool", "conv", "sum", (2, 2), (2, 2))
    fc = Readout("fc", [Synapse("pool", np.array([3, -1]).reshape(2, 1, 1, 1))], np.array([-4, 1]), np.array([3, 2]))
    return IntegerNetwork(Source((1, 3, 3)), [conv, pool, fc], 3, ExitRule("margin", limits=(5, 10, 0)))


def test_the_convention_by_hand(network):
    x = IMAGE[None]
    result = Golden(network).run(x)
    assert result.spike_ops.tolist() == [11 + 2 * 2 + 4 * 2]
    found = convention(network, result, x)
    assert found["first_layer_macs"].tolist() == [4 * 4], "four positions, four taps, zero pixels too, once"
    assert found["acs"].tolist() == [2 * 2], "two events meet two weights each"
    assert found["spike_acs"].tolist() == [2 * 2 + 4 * 2], "of two spikes and of four"
    assert found["convention_uJ"][0] == pytest.approx((16 * 4.6 + 4 * 0.9) / 1e6)
    assert found["convention_spikes_uJ"][0] == pytest.approx((16 * 4.6 + 12 * 0.9) / 1e6)
    assert found["convention_ann_uJ"] == pytest.approx((16 + 2) * 4.6 / 1e6)
    each = convention(network, result, x, every_timestep=True)
    assert each["first_layer_macs"].tolist() == [2 * 16] and each["acs"].tolist() == [4]


def test_a_device_that_does_not_count_spikes(network):
    found = convention(network, replace(Golden(network).run(IMAGE[None]), spike_ops=None), IMAGE[None])
    assert found["spike_acs"] is None and found["convention_spikes_uJ"] is None


def of_counts(network, trace, weigh):
    """Return the operations on all maps but the input, of a trace."""
    return sum(
        operations(s, weigh(trace.counts[s.source]), network.shapes[layer.name][1:]).sum()
        for layer in network.layers for s in layer.synapses if s.source != INPUT
    )


@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize("seed", range(6))
def test_the_first_layer_is_what_remains_of_all_operations(seed, neuron):
    """ACs are the operations on the events, or the spikes, of every map but the input, counted on the traces."""
    network = random_network(seed, neuron=neuron)
    x = random_images(network, seed, 5)
    result = Golden(network).run(x)
    found = convention(network, result, x)
    for n, image in enumerate(x):
        trace = Golden(network).trace(image)
        events, spikes = of_counts(network, trace, lambda counts: counts != 0), of_counts(network, trace, abs)
        if network.source.kind == "frames":
            assert not found["first_layer_macs"].any() and found["acs"][n] == result.synaptic_ops[n], (seed, n)
            values = input_values(network, image[None])[0, : trace.exit_step]
            spikes += sum(
                operations(s, abs(values), network.shapes[layer.name][1:]).sum()
                for layer in network.layers for s in layer.synapses if s.source == INPUT
            )
        else:
            assert found["acs"][n] == events, (seed, n)
        assert found["spike_acs"][n] == spikes, (seed, n)


@pytest.mark.parametrize("seed", range(8))
def test_operations_counted_one_by_one(seed):
    """Every pair of weight and value looked at, on random synapses: strides, padding, dilation, groups."""
    rng = np.random.default_rng(seed)
    groups, kernel = int(rng.choice([1, 2])), tuple(rng.integers(1, 4, 2))
    stride, padding, dilation = (tuple(rng.integers(low, low + 2, 2)) for low in (1, 0, 1))
    weight = rng.integers(-5, 6, (4, 6 // groups, *kernel))
    synapse = Synapse("a", weight, stride, padding, dilation, groups)
    values = rng.integers(0, 4, (2, 6, 7, 8))
    _, height, width = synapse.output_shape(values.shape[1:])
    expected = np.zeros(2, int)
    for c, i, dy, dx, y, x in np.ndindex(*synapse.weight.shape, height, width):
        row = y * synapse.stride[0] + dy * synapse.dilation[0] - synapse.padding[0]
        column = x * synapse.stride[1] + dx * synapse.dilation[1] - synapse.padding[1]
        if 0 <= row < 7 and 0 <= column < 8:
            expected += values[:, c // (4 // groups) * (6 // groups) + i, row, column]
    assert (operations(synapse, values, (height, width)) == expected).all(), seed
    assert operations(synapse, values[0], (height, width)) == expected[0], seed


@pytest.mark.parametrize("seed", range(8))
def test_stages_are_charged_for_what_they_ran(seed):
    """The convention of a network of stages is that of each stage alone, on the images that came to it."""
    network = random_staged_network(seed, sources=("direct",))
    x = random_images(network, seed, 12)
    result = Golden(network).run(x)
    for every_timestep in (False, True):
        found = convention(network, result, x, every_timestep)
        expected = {name: np.zeros(len(x), np.int64) for name in ("first_layer_macs", "acs", "spike_acs")}
        for number, stage in enumerate(network.stages):
            here = np.flatnonzero(result.stages >= number)
            alone = convention(stage, Golden(stage).run(x[here]), x[here], every_timestep)
            for name, total in expected.items():
                total[here] += alone[name]
        for name, total in expected.items():
            np.testing.assert_array_equal(found[name], total, err_msg=f"{name}, seed {seed}")
    assert macs(network) == macs(network.stages[-1])


@pytest.mark.parametrize("seed", range(30))
def test_operations_of_the_second_contract_tap_by_tap(seed):
    """What the weights of every synapse meet in a trace of a random network is what the model counted."""
    network = random_network(seed, contract=SECOND, sources=("direct",), max_neurons=150, max_weights=600)
    x = random_images(network, seed, 1)
    trace, result = Golden(network).trace(x[0]), Golden(network).run(x)
    maps = trace.counts | {INPUT: input_values(network, x)[:1] != 0}
    met = graded = 0
    for layer in network.layers:
        for synapse in layer.synapses:
            size, reached = maps[synapse.source].shape[2:], len(synapse.weight) // synapse.groups
            for _, row in taps(synapse, 0, size[0], network.shapes[layer.name][1]):
                for _, column in taps(synapse, 1, size[1], network.shapes[layer.name][2]):
                    counts = maps[synapse.source][:, :, row, column].astype(int)
                    met += np.count_nonzero(counts) * reached
                    graded += abs(counts).sum() * reached
    assert (result.synaptic_ops[0], result.spike_ops[0]) == (met, graded), seed


def taps(synapse, axis, length, outputs):
    """Yield (output, source position) of every tap along an axis that lies on the map, by the contract's formula."""
    kernel, stride, before, dilation, factor = (
        pair[axis] for pair in (synapse.kernel, synapse.stride, synapse.padding, synapse.dilation, synapse.upsample)
    )
    for output, tap in product(range(outputs), range(kernel)):
        place = output * stride + tap * dilation - before
        if 0 <= place < length * factor and not (synapse.fill == "zeros" and place % factor):
            yield output, place // factor


def test_macs_one_by_one():
    network = random_network(8)
    by_hand = [0, 0]
    for layer in network.layers:
        for synapse in layer.synapses:
            _, height, width = network.shapes[layer.name]
            by_hand[is_identity(synapse)] += height * width * synapse.weight.size
    assert list(macs(network)) == by_hand
    assert ann_uJ(network) == pytest.approx((4.6 * by_hand[0] + 0.9 * by_hand[1]) / 1e6)


def test_what_is_an_identity():
    eye = Synapse("a", np.ones((4, 1, 1, 1), int), groups=4)
    assert is_identity(eye) and not is_identity(Synapse("a", np.ones((4, 4, 1, 1), int)))
    assert not is_identity(Synapse("input", np.ones((1, 1, 1, 1), int)))


def test_the_estimate_by_hand(network):
    x, plan = IMAGE[None], make_plan(network, 8)
    result = replace(Golden(network).run(x), busy_cycles=np.array([13]))
    p, found = plan.params, estimated(plan, result)
    assert found["multiplications"].tolist() == [15]
    # two timesteps, four neurons: membrane and two bits of a burst; bias once, the current is kept; two logits, twice
    assert found["additions"].tolist() == [15 + 2 * 4 * 3 + 4 + 2 * 2 * 2]
    moved = memory_traffic(plan, result)
    bits = sum((int(read[0]) + int(written[0])) * width for read, written, width in moved.values())
    assert moved["weights"][0].tolist() == [13]
    assert found["memory_estimated_uJ"][0] == pytest.approx(bits * 10 / 64 / 1e6)
    products = 15 * 0.2 * p.weight_bits * p.operand_bits / 64
    additions = found["additions"][0] * 0.1 * p.acc_bits / 32
    assert found["arithmetic_estimated_uJ"][0] == pytest.approx((products + additions) / 1e6)
    assert found["hardware_estimated_uJ"] == found["memory_estimated_uJ"] + found["arithmetic_estimated_uJ"]


class Counting(Golden):
    """A device with the counters and the layout of a core."""

    def __init__(self, network):
        super().__init__(network)
        self.plan, self.lanes = make_plan(network, 8), 8

    def run(self, x, progress=None):
        result = super().run(x, progress)
        return replace(result, cycles=result.events + 100, busy_cycles=result.events + 7)


@pytest.mark.parametrize("batch", [1, 4, 64])
def test_the_meter_gives_means_whatever_the_batch(batch):
    network = random_network(11)
    x = random_images(network, 11, 9)
    device = Counting(network)
    meter = EnergyMeter(device, network)
    evaluate(device, x, batch=batch, watch=[meter])
    found, result = json.loads(json.dumps(meter.as_dict())), device.run(x)
    assert found["convention_uJ"] == pytest.approx(convention(network, result, x)["convention_uJ"].mean())
    hardware = estimated(device.plan, result)
    assert found["hardware_estimated_uJ"] == pytest.approx(hardware["hardware_estimated_uJ"].mean())
    assert found["memory_words"] == {
        name: [read.mean(), written.mean()] for name, (read, written, _) in hardware["memory_words"].items()
    }


def test_the_golden_model_has_no_hardware(network):
    golden = Golden(network)
    meter = EnergyMeter(golden, network)
    evaluate(golden, IMAGE[None], watch=[meter])
    assert not any("hardware" in name or "memory" in name for name in meter.as_dict())
