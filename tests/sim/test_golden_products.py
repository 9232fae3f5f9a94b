"""Currents as products of matrices against a convolution one tap at a time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gen.intnet import IntegerNetwork
from gen.layers import INPUT, Pool, Readout, Source, Spiking, Synapse
from gen.window import FILLS, ZEROS
from sim.golden import products
from sim.golden.currents import Currents, Scratch
from sim.golden.exact import map_dtype
from sim.golden.kernels import encode

PAIR = st.tuples(st.integers(1, 3), st.integers(1, 3))
SIDES = st.tuples(*[st.integers(0, 2)] * 4)


def expected(synapse, values, size):
    """Return int64 [n, H', W', O] of ``values`` [n, H, W, C], by way of a map that is enlarged and padded in memory."""
    (top, left, bottom, right), (sy, sx), (dy, dx) = synapse.padding, synapse.stride, synapse.dilation
    wide = values.astype(np.int64).repeat(synapse.upsample[0], axis=1).repeat(synapse.upsample[1], axis=2)
    if synapse.fill == ZEROS:
        rows, columns = (np.arange(n) % f == 0 for n, f in zip(wide.shape[1:3], synapse.upsample))
        wide *= np.outer(rows, columns)[:, :, None]
        wide = wide[:, : wide.shape[1] - synapse.upsample[0] + 1, : wide.shape[2] - synapse.upsample[1] + 1]
    padded = np.pad(wide, ((0, 0), (top, bottom), (left, right), (0, 0)))
    weight = products.dense(synapse)
    total = 0
    for ky, kx in np.ndindex(synapse.kernel):
        window = padded[:, ky * dy :: sy, kx * dx :: sx][:, : size[0], : size[1]]
        total = total + np.einsum("nhwc,oc->nhwo", window, weight[:, :, ky, kx].astype(np.int64))
    return total


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    kernel=PAIR, stride=PAIR, dilation=PAIR, padding=SIDES, upsample=PAIR, fill=st.sampled_from(FILLS),
    channels=st.sampled_from([1, 3, 8, 16]), outputs=st.sampled_from([1, 5, 16]),
    bursts=st.tuples(*[st.sampled_from([0, 1, 15, 64, 127, 128, 129, 255])] * 2), bits=st.sampled_from([2, 7, 8]),
    size=st.tuples(*[st.integers(7, 10)] * 2), n=st.integers(1, 5), room=st.sampled_from([1, 700, 4000, 2**20]),
    identity=st.booleans(), worth=st.booleans(), seed=st.integers(0, 2**32 - 1),
)
def test_a_current_is_the_convolution(
    kernel, stride, dilation, padding, upsample, fill, channels, outputs, bursts, bits, size, n, room, identity, worth,
    seed,
):
    """As a product, in parts of any size, and event by event; with an identity beside it where the shapes allow one."""
    rng, most = np.random.default_rng(seed), 2 ** (bits - 1) - 1
    window = {"stride": stride, "padding": padding, "dilation": dilation, "upsample": upsample, "fill": fill}
    synapses = [Synapse("a", rng.integers(-most, most, (outputs, channels, *kernel), endpoint=True), **window)]
    if identity and outputs == channels and synapses[0].output_shape((channels, *size))[1:] == size:
        synapses.append(Synapse("a", rng.integers(-127, 128, (channels, 1, 1, 1)), groups=channels))
    network = network_of(channels, size, synapses, bursts=bursts)
    layer, low, high = network.layers[2], -bursts[1], max(1, bursts[0])
    maps = {"a": rng.integers(low, high, (n, *size, channels), endpoint=True).astype(map_dtype(network, "a"))}
    assert all(products.multiplies(network, layer, synapse) for synapse in synapses)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "_WINDOWS_BYTES", room)
        if not worth:
            patch.setattr("sim.golden.currents.multiplies", lambda *_: False)
        current = Currents(network, layer, synapses, np.float32)(maps, n, Scratch())
    assert current.dtype == (np.int32 if worth else np.float32)
    size = network.shapes["b"][1:]
    np.testing.assert_array_equal(current, sum(expected(s, maps["a"], size) for s in synapses), err_msg=f"seed {seed}")


def network_of(channels, size, synapses, pool=(1, 1), bursts=(15, 0)):
    """Return a network whose layer "b" has ``synapses``; they read "a", pooled sums of counts within ``bursts``."""
    def neurons(name, synapses, burst, burst_low):
        zero = np.zeros(len(synapses[0].weight), int)
        low = {"theta_low": zero + 10**6, "burst_low": burst_low} if burst_low else {}
        return Spiking(name, synapses, zero, zero + 10**6, zero, max(1, burst), 24, zero + 8, **low)

    outputs, *area = synapses[0].output_shape((channels, *size))
    return IntegerNetwork(
        Source((channels, *(n * k for n, k in zip(size, pool)))),
        [
            neurons("first", [Synapse(INPUT, np.ones((channels, channels, 1, 1), int))], *bursts),
            Pool("a", "first", "sum", pool, pool),
            neurons("b", synapses, 15, 0),
            Readout("readout", [Synapse("b", np.ones((2, outputs, *area), int))], np.zeros(2, int), np.full(2, 8)),
        ],
        timesteps=1,
    )


@pytest.mark.parametrize(
    ("pool", "groups", "kernel", "multiplied"),
    [
        ((2, 4), 1, (3, 3), True),    # counts up to 120
        ((3, 3), 1, (3, 3), True),    # up to 135, in two parts
        ((5, 4), 1, (3, 3), False),   # up to 300
        ((2, 4), 4, (1, 1), True),
        ((2, 4), 4, (3, 3), False),   # depthwise: nearly all of the product would be zero
    ],
)
def test_what_is_multiplied(pool, groups, kernel, multiplied):
    synapse = Synapse("a", np.full((4, 4 // groups, *kernel), -127), groups=groups)
    network = network_of(4, (5, 5), [synapse], pool)
    assert products.multiplies(network, network.layers[2], synapse) == multiplied
    maps = {"a": np.full((2, 5, 5, 4), 15 * pool[0] * pool[1], map_dtype(network, "a"))}
    current = Currents(network, network.layers[2], [synapse], np.float32)(maps, 2, Scratch())
    np.testing.assert_array_equal(current, expected(synapse, maps["a"], network.shapes["b"][1:]))


@pytest.mark.parametrize("worst", [0, 1, 3, 63, 64, 65, 127])
@pytest.mark.parametrize("low", [0, -1, -15, -64, -65, -128, -255])
@pytest.mark.parametrize("high", [0, 1, 15, 64, 128, 129, 130, 255])
def test_two_products_never_pass_16_bits(low, high, worst):
    """Whatever the processor: a pair of bytes times weights stays below 2**15; the parts of every count add up to it.
    """
    shift, zero = products.split(low, high, worst)
    counts = np.arange(low, high + 1, dtype=np.int16)[:, None]
    parts = np.full((len(counts), 2**shift), 99, np.uint8)
    encode(counts, shift, zero, parts)
    np.testing.assert_array_equal(parts.astype(int).sum(axis=1) - zero * 2**shift, counts[:, 0])
    assert 2 * int(parts.max()) * worst <= 2**15 - 1
    assert shift == 0 or worst * (high - low) * 2 > 2**15 - 1 or high - low > 255, "split without need"
