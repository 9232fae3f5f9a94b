import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gen.errors import InputError, NetworkError
from gen.exit_rule import ExitRule
from gen.intnet import IntegerNetwork
from gen.layers import ADAFIRE, INPUT, INVERSE_LEAKY, Pool, Readout, Source, Spiking, Synapse
from sim.energy import operations
from sim.golden import Golden
from sim.golden.plain import plain_trace
from tests.kit.random_networks import random_images, random_network
from tests.sim.golden_checks import assert_equal_models, assert_same


def spiking(name, *synapses, bias=0, theta=10, v_init=0, burst=7, state_bits=16):
    channels = len(synapses[0].weight)
    values = (np.full(channels, value) for value in (bias, theta, v_init))
    return Spiking(name, synapses, *values, burst, state_bits, np.full(channels, 8))


def readout(*synapses, bias=0):
    classes = len(synapses[0].weight)
    return Readout("readout", synapses, np.full(classes, bias), np.full(classes, 8))


def synapse(source, weight, **keywords):
    weight = np.asarray(weight)
    return Synapse(source, weight.reshape(weight.shape + (1,) * (4 - weight.ndim)), **keywords)


@pytest.mark.parametrize("seed", range(150))
def test_fast_equals_plain_on_random_networks(seed):
    network = random_network(seed, max_neurons=600, max_weights=2000)
    result = assert_equal_models(network, random_images(network, seed, 4))
    assert result.cycles is None and result.lane_utilization(16) is None


@pytest.mark.parametrize("seed", range(80))
def test_fast_equals_plain_on_two_phase_networks(seed):
    network = random_network(seed, max_neurons=400, max_weights=2000, neuron=INVERSE_LEAKY)
    result = assert_equal_models(network, random_images(network, seed, 3))
    assert (result.exit_steps == network.timesteps).all()


@pytest.mark.parametrize("neuron", [ADAFIRE, INVERSE_LEAKY])
def test_operations_are_those_of_every_synapse(neuron):
    """What each map is counted for once is what its readers count tap by tap; the direct input counts once."""
    for seed in range(20):
        network = random_network(seed, sources=("direct",), neuron=neuron)
        golden, image = Golden(network), random_images(network, seed, 1)
        trace, result = golden.trace(image[0]), golden.run(image)
        pixels = image[0].astype(int) - network.source.offset[:, None, None]
        maps = {name: counts.sum(axis=0) for name, counts in trace.counts.items()}
        events = {name: (counts != 0).sum(axis=0) for name, counts in trace.counts.items()}
        for found, values in ((result.spike_ops, maps), (result.synaptic_ops, events)):
            values[INPUT] = (pixels != 0).astype(int)
            expected = sum(
                operations(synapse, values[synapse.source], network.shapes[layer.name][1:])
                for layer in network.layers for synapse in layer.synapses
            )
            assert found[0] == expected, f"seed {seed}"


@pytest.mark.parametrize("seed", range(40))
def test_a_train_is_the_code_of_its_sum(seed):
    """With states too wide to saturate but below zero, a layer computes clamp(floor(u / theta), 0, 2**T - 1)."""
    network = random_network(seed, neuron=INVERSE_LEAKY)
    wide = [replace(layer, state_bits=30) if layer.fires else layer for layer in network.layers]
    network = replace(network, layers=wide)
    image = random_images(network, seed, 1)[0]
    trace = Golden(network).trace(image)
    weights = 2 ** np.arange(network.timesteps)[::-1]
    codes = {name: np.tensordot(weights, counts, 1) for name, counts in trace.counts.items()}
    codes[INPUT] = image.astype(np.int64) - network.source.offset[:, None, None]
    for layer in network.layers:
        if layer.weighted:
            height, width = network.shapes[layer.name][1:]
            u = layer.bias[:, None, None] + sum(convolved(s, codes[s.source])[:, :height, :width]
                                                for s in layer.synapses)
        if layer.fires:
            right = np.clip(u // layer.theta[:, None, None], 0, weights.sum())
            np.testing.assert_array_equal(codes[layer.name], right, err_msg=f"seed {seed}, {layer.name}")
    np.testing.assert_array_equal(trace.logits[-1], u[:, 0, 0])


def convolved(synapse, values):
    """Return the synaptic sum int64 [out, H, W] of ``values`` [C, H, W], one kernel tap at a time."""
    outputs, height, width = synapse.output_shape(values.shape)
    top, left, bottom, right = synapse.padding
    padded = np.pad(values, ((0, 0), (top, bottom), (left, right)))
    result = np.zeros((outputs, height, width), np.int64)
    taps = synapse.weight.reshape(synapse.groups, -1, *synapse.weight.shape[1:])
    for dy, dx in np.ndindex(synapse.kernel):
        rows, columns = (
            slice(at * d, at * d + (n - 1) * s + 1, s)
            for at, d, n, s in zip((dy, dx), synapse.dilation, (height, width), synapse.stride)
        )
        window = padded[:, rows, columns].reshape(synapse.groups, -1, height, width)
        result += np.einsum("goc,gchw->gohw", taps[..., dy, dx], window).reshape(result.shape)
    return result


def test_two_phase_images_in_any_company():
    network = random_network(3, neuron=INVERSE_LEAKY)
    images = random_images(network, 3, 150)
    whole, single = Golden(network).run(images), Golden(network).run(images[77:78])
    for name in ("classes", "exit_steps", "logits", "events", "synaptic_ops"):
        np.testing.assert_array_equal(getattr(whole, name)[77:78], getattr(single, name))
    assert (whole.exit_steps == network.timesteps).all() and len(set(whole.classes)) > 1
    logits = Golden(network).all_logits(images)
    np.testing.assert_array_equal(logits[:, -1], whole.logits)
    np.testing.assert_array_equal(logits[77], Golden(network).trace(images[77]).logits)


def test_a_two_phase_readout_of_the_input_alone():
    """An unread layer makes the network two-phase; its readout has one update, at t = T."""
    layer = replace(spiking("a", synapse(INPUT, [[1]]), theta=2, burst=1), neuron=INVERSE_LEAKY)
    network = IntegerNetwork(Source((1, 1, 1)), [layer, readout(synapse(INPUT, [[3], [-3]]), bias=1)], 4)
    image = np.array([[[9]]], np.uint8)
    trace = Golden(network).trace(image)
    assert trace.logits.tolist() == [[28, -26]] and trace.counts["a"].ravel().tolist() == [0, 1, 0, 0]
    assert (trace.events, trace.synaptic_ops, trace.exit_step) == (0, 3, 4)
    assert_same(trace, plain_trace(network, image))
    assert Golden(network).all_logits(image[None])[0].tolist() == [[0, 0]] * 3 + [[28, -26]]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(1000, 10**6), image=st.integers(0, 7))
def test_fast_equals_plain_on_any_seed(seed, image):
    network = random_network(seed, max_neurons=300, max_weights=800)
    pixels = random_images(network, seed, 8)[image]
    assert_same(Golden(network).trace(pixels), plain_trace(network, pixels))


@pytest.mark.parametrize("seed", range(12))
def test_an_image_gives_the_same_in_any_company(seed):
    network = random_network(seed)
    images = random_images(network, seed, 150)
    golden, order = Golden(network), np.random.default_rng(seed).permutation(150)
    whole, shuffled, single = golden.run(images), golden.run(images[order]), golden.run(images[77:78])
    for name in ("classes", "exit_steps", "logits", "events", "synaptic_ops"):
        np.testing.assert_array_equal(getattr(whole, name)[order], getattr(shuffled, name))
        np.testing.assert_array_equal(getattr(whole, name)[77:78], getattr(single, name))


def test_a_neuron_by_hand():
    """A current of 3 * 3 - 2 = 7 at each timestep, theta 5, at most 2 counts, v(0) = 1; z grows by 2 k - 1."""
    network = IntegerNetwork(
        Source((1, 1, 1)),
        [
            spiking("a", synapse(INPUT, [[3]]), bias=-2, theta=5, v_init=1, burst=2),
            readout(synapse("a", [[2]]), bias=-1),
        ],
        timesteps=4,
    )
    image = np.array([[[3]]], np.uint8)
    trace = Golden(network).trace(image)
    assert trace.counts["a"].ravel().tolist() == [1, 2, 1, 1]
    assert trace.states["a"].ravel().tolist() == [3, 0, 2, 4]
    assert trace.logits.ravel().tolist() == [1, 4, 5, 6]
    assert (trace.class_, trace.exit_step, trace.events, trace.synaptic_ops) == (0, 4, 4, 1 + 4)
    assert_same(trace, plain_trace(network, image))


def test_floor_is_towards_minus_infinity_and_the_state_saturates():
    network = IntegerNetwork(
        Source((1, 1, 1)),
        [spiking("a", synapse(INPUT, [[-1]]), theta=4, burst=3, state_bits=5), readout(synapse("a", [[1]]))],
        timesteps=4,
    )
    trace = Golden(network).trace(np.array([[[7]]], np.uint8))
    assert trace.states["a"].ravel().tolist() == [-7, -14, -16, -16]
    assert not trace.counts["a"].any() and trace.events == 0 and trace.synaptic_ops == 1


def test_the_state_saturates_upwards_beyond_the_burst_cap():
    network = IntegerNetwork(
        Source((1, 1, 1)),
        [spiking("a", synapse(INPUT, [[1]]), theta=4, burst=3, state_bits=5), readout(synapse("a", [[1]]))],
        timesteps=3,
    )
    trace = Golden(network).trace(np.array([[[20]]], np.uint8))
    assert trace.counts["a"].ravel().tolist() == [3, 3, 3]
    assert trace.states["a"].ravel().tolist() == [8, 15, 15]
    assert trace.logits.ravel().tolist() == [3, 6, 9]


def test_events_and_operations_by_hand():
    """A 4x4 map of ones, cut to 3x3 by the pool: nobody counts the spikes that only the pool reads."""
    network = IntegerNetwork(
        Source((1, 4, 4)),
        [
            spiking("a", synapse(INPUT, np.ones((2, 1, 1, 1), int)), theta=1, burst=1),
            Pool("p", "a", "max", (3, 3), (3, 3)),
            readout(synapse("p", np.zeros((5, 2, 1, 1), int))),
        ],
        timesteps=3,
    )
    trace = Golden(network).trace(np.ones((1, 4, 4), np.uint8))
    assert trace.counts["a"].shape == (3, 2, 3, 3) and trace.counts["p"].shape == (3, 2, 1, 1)
    assert trace.events == 3 * 2                           # the two counts of the pool, at each of three timesteps
    assert trace.synaptic_ops == 9 * 2 + 3 * 2 * 5         # the input once, zero weights included
    assert_same(trace, plain_trace(network, np.ones((1, 4, 4), np.uint8)))


def test_frames_count_at_every_timestep():
    ones = np.ones((2, 1, 1, 2), int)
    network = IntegerNetwork(Source((1, 1, 2), "frames", 0, 3), [readout(synapse(INPUT, ones))], 3)
    image = np.array([[[[1, 0]]], [[[0, 0]]], [[[3, 2]]]], np.uint8)
    trace = Golden(network).trace(image)
    assert trace.logits[:, 0].tolist() == [1, 1, 6] and trace.synaptic_ops == 3 * 2 and trace.events == 0
    assert_same(trace, plain_trace(network, image))


def test_lowest_class_wins_a_tie():
    network = IntegerNetwork(Source((1, 1, 1)), [readout(synapse(INPUT, [[1], [3], [3]]))], 1)
    image = np.array([[[2]]], np.uint8)
    assert Golden(network).run(image[None]).classes.tolist() == [1] == [plain_trace(network, image).class_]


def test_a_negative_input_is_exact():
    network = IntegerNetwork(Source((1, 1, 1), offset=np.array([200])), [readout(synapse(INPUT, [[5]]), bias=1)], 2)
    assert Golden(network).trace(np.array([[[10]]], np.uint8)).logits.ravel().tolist() == [-949, -1898]


@pytest.mark.parametrize("magnitude", [20, 24, 29])
def test_wide_integers_stay_exact(magnitude):
    """Membranes beyond float32: odd thresholds, states of up to 30 bits."""
    rng = np.random.default_rng(magnitude)
    limit = 2**magnitude
    layer = Spiking(
        "a", [synapse(INPUT, rng.integers(-127, 128, (9, 2)))], rng.integers(-limit, limit, 9),
        rng.integers(1, limit, 9), rng.integers(-limit, limit, 9), 15, magnitude + 1, np.full(9, 8),
    )
    network = IntegerNetwork(Source((2, 1, 1)), [layer, readout(synapse("a", rng.integers(-127, 128, (4, 9))))], 8)
    for image in rng.integers(0, 256, (20, 2, 1, 1), np.uint8):
        assert_same(Golden(network).trace(image), plain_trace(network, image))


def test_sums_of_sums_stay_exact():
    """Four sum pools on one another give more than float32 holds."""
    pools = [Pool(f"p{i + 1}", f"p{i}" if i else "a", "sum", (9, 9), (1, 1), (4, 4)) for i in range(3)]
    network = IntegerNetwork(
        Source((1, 9, 9)),
        [spiking("a", synapse(INPUT, [[1]]), theta=1, burst=15), *pools,
         Pool("last", "p3", "sum", (9, 9), (9, 9)), readout(synapse("last", [[1], [-1]]))],
        timesteps=1,
    )
    for image in np.random.default_rng(1).integers(12, 16, (4, 1, 9, 9), np.uint8):
        trace = Golden(network).trace(image)
        assert trace.counts["last"].max() > 2**26
        assert_same(trace, plain_trace(network, image))


def test_counts_beyond_32_bits_are_no_network():
    pools = [Pool(f"p{i + 1}", f"p{i}" if i else "a", "sum", (9, 9), (1, 1), (4, 4)) for i in range(4)]
    last = readout(synapse("p4", np.zeros((2, 1, 9, 9), int)))
    with pytest.raises(NetworkError, match="the map 'p4' holds values of over 32 bits"):
        IntegerNetwork(Source((1, 9, 9)), [spiking("a", synapse(INPUT, [[1]]), burst=255), *pools, last], timesteps=1)


def test_one_channel_may_be_left_out():
    network = IntegerNetwork(Source((1, 2, 3)), [readout(synapse(INPUT, np.ones((2, 1, 2, 3), int)))], 1)
    x = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert Golden(network).run(x).logits.tolist() == [[15, 15], [51, 51]]
    np.testing.assert_array_equal(Golden(network).run(x[:, None]).logits, Golden(network).run(x).logits)


def test_no_images_and_wrong_images():
    network = IntegerNetwork(Source((1, 2, 3)), [readout(synapse(INPUT, np.ones((2, 1, 2, 3), int)))], 1)
    assert Golden(network).run(np.zeros((0, 1, 2, 3), np.uint8)).logits.shape == (0, 2)
    with pytest.raises(InputError, match=r"takes images of shape \(1, 2, 3\)"):
        Golden(network).run(np.zeros((4, 1, 3, 2), np.uint8))


def test_progress_counts_every_image():
    network = IntegerNetwork(Source((1, 1, 1)), [readout(synapse(INPUT, [[1]]))], 1)
    seen = []
    Golden(network).run(np.zeros((150, 1, 1), np.uint8), progress=lambda done, total: seen.append((done, total)))
    done, totals = zip(*seen)
    assert list(done) == sorted(set(done)) and done[-1] == 150 and set(totals) == {150} and len(done) > 1


def test_all_logits_ignore_the_exit_rule():
    network = random_network(5)
    images = random_images(network, 5, 20)
    off = replace(network, exit_rule=ExitRule())
    logits = Golden(network).all_logits(images)
    np.testing.assert_array_equal(logits[:, -1], Golden(off).run(images).logits)
    for image, expected in zip(images[:3], logits):
        np.testing.assert_array_equal(Golden(off).trace(image).logits, expected)


def test_padding_and_dilation_take_no_memory():
    """A window that strides over 3000 rows beside an 8 x 8 map: what is held are the map and short tables."""
    wide = {"padding": (3000,) * 4, "dilation": (3000, 3000)}
    network = IntegerNetwork(
        Source((1, 8, 8)),
        [
            spiking("a", synapse(INPUT, np.arange(9).reshape(1, 1, 3, 3), **wide), theta=40),
            spiking("b", synapse("a", np.arange(9).reshape(1, 1, 3, 3), **wide)),
            Pool("p", "b", "max", (3, 3), (1, 1), **wide),
            readout(synapse("p", np.arange(18).reshape(2, 1, 3, 3), **wide)),
        ],
        timesteps=2,
    )
    image = np.random.default_rng(0).integers(0, 256, (1, 8, 8), np.uint8)
    assert_equal_models(network, image[None])
    tracemalloc.start()
    Golden(network).run(image[None])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**23
