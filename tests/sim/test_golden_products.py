"""Currents as products of matrices against a convolution one tap at a time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gen.intnet import IntegerNetwork
from gen.layers import INPUT, Pool, Readout, Source, Spiking, Synapse
from sim.golden import products
from sim.golden.currents import Currents, Scratch
from sim.golden.exact import map_dtype

PAIR = st.tuples(st.integers(1, 3), st.integers(1, 3))


def expected(synapse, values, size):
    """Return int64 [n, H', W', O] of ``values`` [n, H, W, C]."""
    (top, left, bottom, right), (sy, sx), (dy, dx) = synapse.padding, synapse.stride, synapse.dilation
    padded = np.pad(values.astype(np.int64), ((0, 0), (top, bottom), (left, right), (0, 0)))
    weight = products.dense(synapse)
    total = 0
    for ky, kx in np.ndindex(synapse.kernel):
        window = padded[:, ky * dy :: sy, kx * dx :: sx][:, : size[0], : size[1]]
        total = total + np.einsum("nhwc,oc->nhwo", window, weight[:, :, ky, kx].astype(np.int64))
    return total


@settings(max_examples=120, deadline=None, derandomize=True)
@given(
    kernel=PAIR, stride=PAIR, dilation=PAIR, padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    channels=st.sampled_from([1, 3, 8, 16]), outputs=st.sampled_from([1, 5, 16]),
    size=st.tuples(*[st.integers(7, 10)] * 2), n=st.integers(1, 5), room=st.sampled_from([1, 4000, 2**20]),
    identity=st.booleans(), seed=st.integers(0, 2**32 - 1),
)
def test_a_product_is_the_convolution(
    kernel, stride, dilation, padding, channels, outputs, size, n, room, identity, seed
):
    """In parts of any size; with an identity beside it where the shapes allow one."""
    rng = np.random.default_rng(seed)
    synapses = [Synapse("a", rng.integers(-127, 128, (outputs, channels, *kernel)), stride, padding, dilation=dilation)]
    if identity and outputs == channels and synapses[0].output_shape((channels, *size))[1:] == size:
        synapses.append(Synapse("a", rng.integers(-127, 128, (channels, 1, 1, 1)), groups=channels))
    network = network_of(channels, size, synapses)
    layer, maps = network.layers[2], {"a": rng.integers(0, 128, (n, *size, channels), np.uint8)}
    assert all(products.multiplies(network, network.layers[2], synapse) for synapse in synapses)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "_WINDOWS_BYTES", room)
        current = Currents(network, layer, synapses, np.float32)(maps, n, Scratch())
    assert current.dtype == np.int32
    size = network.shapes["b"][1:]
    np.testing.assert_array_equal(current, sum(expected(s, maps["a"], size) for s in synapses), err_msg=f"seed {seed}")


def network_of(channels, size, synapses, pool=(1, 1)):
    """Return a network whose layer "b" has ``synapses``; they read "a", pooled sums of counts up to 15."""
    def neurons(name, synapses):
        zero = np.zeros(len(synapses[0].weight), int)
        return Spiking(name, synapses, zero, zero + 10**6, zero, 15, 24, zero + 8)

    outputs, *area = synapses[0].output_shape((channels, *size))
    return IntegerNetwork(
        Source((channels, *(n * k for n, k in zip(size, pool)))),
        [
            neurons("first", [Synapse(INPUT, np.ones((channels, channels, 1, 1), int))]),
            Pool("a", "first", "sum", pool, pool),
            neurons("b", synapses),
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
