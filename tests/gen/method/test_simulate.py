"""What calibration simulates is the contract: windows in torch, neurons in torch, against the plain golden model."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gen.exit_rule import ExitRule
from gen.intnet import IntegerNetwork
from gen.layers import INPUT, Pool, Readout, Source, Spiking, Synapse, signed_bits
from gen.method.simulate import activations, drive, fire, integer_input, pool_counts, readout_sums
from gen.method.state_bits import proved_state_bits
from gen.method.torch_windows import convolve, pooled
from gen.model.network import FloatLayer, FloatNetwork, FloatPool, FloatSynapse
from gen.window import ZEROS
from sim.golden import Golden
from sim.golden.plain import plain_trace
from tests.kit.random_images import random_images
from tests.kit.random_networks import SECOND, random_network

pytestmark = pytest.mark.usefixtures("one_thread")

GEOMETRIES = [
    {}, {"padding": (1, 1)}, {"stride": (2, 1), "padding": (0, 2, 1, 0)}, {"dilation": (2, 1), "padding": (2, 1, 0, 3)},
    {"upsample": (2, 3)}, {"upsample": (2, 2), "fill": ZEROS, "padding": (1, 2, 2, 1)},
    {"upsample": (1, 2), "stride": (1, 2), "padding": (4, 0, 3, 1), "dilation": (1, 2)}, {"padding": (3, 3)},
]


def taps(window, x, nothing):
    """Return what every tap of every window reads of ``x`` [N, C, H, W]: [N, C, rows, columns, kh, kw]."""
    rows, columns = window.size(x.shape[2:])
    y, z = window.places(0, x.shape[2], rows), window.places(1, x.shape[3], columns)
    seen = x[:, :, y.clip(0)[:, None, :, None], z.clip(0)[None, :, None, :]]
    inside = (y >= 0)[:, None, :, None] & (z >= 0)[None, :, None, :]
    return np.where(inside, seen, nothing)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_a_convolution_reads_what_the_window_says(geometry, groups):
    rng = np.random.default_rng(groups)
    x, weight = rng.normal(size=(2, 4, 6, 5)), rng.normal(size=(8, 4 // groups, 3, 2))
    synapse = FloatSynapse("x", weight, groups=groups, **geometry)
    seen = taps(synapse.window, x, 0.0).reshape(2, groups, 4 // groups, *synapse.window.size((6, 5)), 3, 2)
    wanted = np.einsum("ngiyxkl,goikl->ngoyx", seen, weight.reshape(groups, 8 // groups, 4 // groups, 3, 2))
    found = convolve(synapse, torch.as_tensor(x), torch.as_tensor(weight)).numpy()
    np.testing.assert_allclose(found, wanted.reshape(found.shape), atol=1e-12)


@pytest.mark.parametrize("kind", ["sum", "max"])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_a_pool_takes_in_what_the_window_reads_and_nothing_else(geometry, kind):
    x = -np.random.default_rng(0).random((2, 3, 6, 5)) - 1
    pool = FloatPool("p", "x", kind, (3, 2), **{"stride": (1, 1), **geometry})
    seen = taps(pool.window, x, 0.0 if kind == "sum" else -np.inf)
    wanted = seen.sum((4, 5)) if kind == "sum" else seen.max((4, 5))
    wanted[wanted == -np.inf] = 0
    np.testing.assert_allclose(pooled(pool, torch.as_tensor(x)).numpy(), wanted, atol=1e-12)


def test_a_kernel_as_large_as_the_map_is_a_linear_layer():
    x, weight = torch.rand(3, 4, 2, 5), torch.rand(6, 4, 2, 5)
    found = convolve(FloatSynapse("x", weight.numpy()), x, weight)
    torch.testing.assert_close(found[:, :, 0, 0], x.flatten(1) @ weight.flatten(1).T)


def second_contract(seed, timesteps):
    """Every role, window, neuron and output of the contract, drawn at random; states saturate now and then."""
    rng = np.random.default_rng(seed)

    def weights(*shape):
        return rng.integers(-127, 128, shape)

    def neurons(name, *synapses):
        channels, burst = len(synapses[0].weight), int(rng.choice([1, 3, 15, 255]))
        theta = rng.integers(2, 4000, channels)
        signed = {"theta_low": rng.integers(1, 8000, channels), "burst_low": int(rng.choice([1, 7, 255]))}
        return Spiking(
            name, synapses, rng.integers(-900, 900, channels), theta, rng.integers(-99, 100, channels), burst,
            int(rng.choice([13, 16, 28])), np.full(channels, 8), min_burst=1 if burst < 3 else int(rng.choice([1, 2])),
            **(signed if rng.random() < 0.7 else {}),
        )

    geometry = dict(GEOMETRIES[int(rng.integers(len(GEOMETRIES)))])
    source = Source((2, 5, 4), str(rng.choice(["direct", "frames"])), offset=rng.integers(0, 200, 2))
    return IntegerNetwork(source, (
        neurons("a", Synapse(INPUT, weights(4, 2, 3, 2), **geometry)),
        Pool("p", "a", str(rng.choice(["max", "sum"])), (2, 2), (2, 1), (0, 1, 1, 0), upsample=(1, 2)),
        neurons("b", Synapse("p", weights(4, 2, 2, 1), padding=(1, 0, 0, 0), groups=2),
                Synapse("p", weights(4, 4, 2, 1), padding=(1, 0, 0, 0))),
        Readout("map", (Synapse("b", weights(3, 4, 1, 1)), Synapse("p", weights(3, 4, 2, 1), padding=(1, 0, 0, 0))),
                weights(3), np.full(3, 8)),
        neurons("c", Synapse("b", weights(5, 4, 1, 1), upsample=(2, 2))),
        Pool("q", "c", "max", (2, 2), (2, 2)),
        Readout("wide", (Synapse("q", weights(2, 5, 1, 1), (2, 2)),), weights(2), np.full(2, 8)),
    ), timesteps)


@pytest.mark.parametrize("seed", range(40))
def test_the_simulation_is_the_contract(seed):
    timesteps = (1, 3, 6)[seed % 3]
    net, rng = second_contract(seed, timesteps), np.random.default_rng(seed)
    frames = (timesteps,) if net.source.kind == "frames" else ()
    images = rng.integers(0, 256, (3, *frames, *net.source.shape), dtype=np.uint8)
    traces = [plain_trace(net, image) for image in images]
    maps, largest = {INPUT: integer_input(net, images)}, 0
    for layer in net.layers:
        if not layer.weighted:
            maps[layer.name] = pool_counts(net, layer, maps[layer.source])
        elif layer.fires:
            maps[layer.name], _ = fire(drive(net, layer, maps), layer, timesteps)
        else:
            wanted = np.array([trace.outputs[layer.name] for trace in traces])
            found = readout_sums(net, images, batch=2, output=layer.name)
            np.testing.assert_array_equal(found.reshape(wanted.shape), wanted, err_msg=layer.name)
            continue
        wanted = np.array([trace.counts[layer.name] for trace in traces])
        np.testing.assert_array_equal(maps[layer.name].numpy().swapaxes(0, 1), wanted, err_msg=layer.name)
        largest = max(largest, len(np.unique(wanted)))
    assert largest > 1, "the example computes nothing"
    np.testing.assert_array_equal(readout_sums(net, images), readout_sums(net, images, output=net.outputs[0]))


@pytest.mark.parametrize("seed", range(30))
def test_the_simulation_is_the_golden_model(seed):
    drawn = random_network(seed, contract=SECOND, max_neurons=1500)
    net = replace(drawn, exit_rule=ExitRule(output=drawn.exit_rule.output))
    images = random_images(net, seed, 4)
    result = Golden(net).run(images)
    for name in net.outputs:
        found = readout_sums(net, images, output=name)[:, -1]
        np.testing.assert_array_equal(found.reshape(result.outputs[name].shape), result.outputs[name], err_msg=name)


def test_an_output_of_one_position_has_no_positions():
    layers = (
        Spiking("a", (Synapse(INPUT, np.ones((2, 1, 2, 2), int)),), np.zeros(2, int), np.array([9, 9]),
                np.zeros(2, int), 3, 16, np.full(2, 8)),
        Readout("one", (Synapse("a", np.ones((3, 2, 2, 2), int)),), np.arange(3), np.full(3, 8)),
        Readout("map", (Synapse("a", np.ones((3, 2, 1, 1), int)),), np.arange(3), np.full(3, 8)),
    )
    net = IntegerNetwork(Source((1, 3, 3)), layers, 4)
    images = np.zeros((5, 1, 3, 3), np.uint8)
    assert readout_sums(net, images).shape == (5, 4, 3)
    assert readout_sums(net, images, output="map").shape == (5, 4, 3, 2, 2)


def test_sums_that_leave_a_counts_own_type():
    layers = (
        Spiking("a", (Synapse(INPUT, np.full((1, 1, 1, 1), 127)),), np.zeros(1, int), np.array([1]), np.zeros(1, int),
                255, 20, np.full(1, 8)),
        Pool("p", "a", "sum", (12, 12), (12, 12)),
        Readout("z", (Synapse("p", np.ones((1, 1, 1, 1), int)),), np.zeros(1, int), np.full(1, 8)),
    )
    net = IntegerNetwork(Source((1, 12, 12)), layers, 1)
    assert readout_sums(net, np.full((1, 1, 12, 12), 255, np.uint8)).tolist() == [[[255 * 144]]]


def test_float64_takes_over_where_float32_would_round():
    net = second_contract(1, 64)
    x = {INPUT: integer_input(net, np.zeros((1, 64, *net.source.shape), np.uint8))}
    layer = net.layers[0]
    assert drive(net, layer, x).dtype == torch.float32
    assert drive(net, replace(layer, theta=layer.theta * 2**14), x).dtype == torch.float64


@pytest.mark.parametrize("seed", range(30))
def test_no_image_leaves_the_proved_width_of_signed_neurons(seed):
    """Currents drawn from the ends of their range, in runs that drive the state as far as it goes."""
    rng, timesteps = np.random.default_rng(seed), 12
    low = [None, rng.integers(1, 300, 4), np.full(4, 2**20)][seed % 3]
    signed = {} if low is None else {"theta_low": low, "burst_low": 8}
    layer = Spiking(
        "a", (Synapse(INPUT, rng.integers(-127, 128, (4, 1, 1, 1))),), rng.integers(-99, 99, 4),
        rng.integers(1, 300, 4), rng.integers(-50, 50, 4), int(rng.choice([8, 40])), 30, np.full(4, 8),
        min_burst=int(rng.choice([1, 8])), **signed,
    )
    net = IntegerNetwork(Source((1, 1, 1), "frames"), (
        layer, Readout("z", (Synapse("a", np.ones((1, 4, 1, 1), int)),), np.zeros(1, int), np.full(1, 8)),
    ), timesteps)
    turn = np.arange(timesteps) < rng.integers(0, timesteps + 1, (4000, 1))
    ends, anything = rng.choice([0, 255], (4000, timesteps)), rng.integers(0, 256, (4000, timesteps))
    x = np.where(rng.random((4000, 1)) < 0.5, np.where(turn, ends[:, :1], 255 - ends[:, :1]), ends)
    x = np.where(rng.random((4000, timesteps)) < 0.2, anything, x).astype(np.uint8)[..., None, None, None]
    _, (least, most) = fire(drive(net, layer, {INPUT: integer_input(net, x)}), layer, timesteps)
    limit = 2 ** (proved_state_bits(net, layer) - 1)
    assert -limit <= least and most < limit
    assert max(-least, most) > limit / 16 or limit == 2**7, "the bound is far from tight"


@pytest.mark.parametrize("low", [False, True], ids=["one threshold", "two"])
@pytest.mark.parametrize("weight, theta, start, burst, frames, bits", [
    (1, 100, 0, 8, (255, 255, 239, 0), 11), (1, 10, 1000, 1, (255,) * 4, 12), (-1, 10, -100, 1, (255,) * 4, 12),
], ids=["silent under its least burst", "from a start above", "from a start below"])
def test_the_proved_width_is_reached(weight, theta, start, burst, frames, bits, low):
    """``burst`` is the least one and the cap."""
    one, kernel = np.array([1]), np.ones((1, 1, 1, 1), int)
    sides = {"theta_low": theta * one, "burst_low": burst} if low else {}
    layer = Spiking("a", (Synapse(INPUT, weight * kernel),), 0 * one, theta * one, start * one, burst, 30, 8 * one,
                    min_burst=burst, **sides)
    readout = Readout("z", (Synapse("a", kernel),), 0 * one, 8 * one)
    net = IntegerNetwork(Source((1, 1, 1), "frames"), (layer, readout), 4)
    x = np.array(frames, np.uint8)[None, :, None, None, None]
    _, reached = fire(drive(net, layer, {INPUT: integer_input(net, x)}), layer, 4)
    assert proved_state_bits(net, layer) == bits == signed_bits(*reached)


@pytest.mark.parametrize("signed", [{}, {"theta_low": np.array([10]), "burst_low": 1}])
@pytest.mark.parametrize("start, bits", [(5000, 14), (-5000, 14), (0, 8)])
def test_a_state_holds_what_it_starts_with(start, bits, signed):
    """Currents of 0 to 3, bursts of 1: a state far from 0 comes back by theta at most at each timestep."""
    layer = Spiking("a", (Synapse(INPUT, np.ones((1, 1, 1, 1), int)),), np.zeros(1, int), np.array([10]),
                    np.array([start]), 1, 30, np.array([8]), **signed)
    readout = Readout("z", (Synapse("a", np.ones((1, 1, 1, 1), int)),), np.zeros(1, int), np.array([8]))
    net = IntegerNetwork(Source((1, 1, 1), high=3), (layer, readout), 10)
    assert proved_state_bits(net, layer) == bits


def test_activations_of_every_kind():
    x = torch.linspace(-9, 9, 19).reshape(19, 1, 1, 1)
    kinds = {
        "relu": ({}, x.relu()), "linear": ({"slope": np.ones(2)}, x),
        "leaky": ({"slope": np.array([0.25, 0.25])}, torch.where(x > 0, x, x / 4)),
        "relu6": ({"ceiling": 6.0}, x.clamp(0, 6)),
        "both": ({"slope": np.ones(2), "ceiling": 6.0}, x.clamp(max=6)),
    }
    for name, (options, wanted) in kinds.items():
        layer = FloatLayer("a", (FloatSynapse(INPUT, np.ones((2, 1, 1, 1))),), np.zeros(2), **options)
        maps = activations(FloatNetwork((1, 1, 1), (layer,), outputs=("a",)), x)
        torch.testing.assert_close(maps["a"], wanted.expand(19, 2, 1, 1), msg=name)
    slope = np.array([0.0, 0.5])
    layer = FloatLayer("a", (FloatSynapse(INPUT, np.ones((2, 1, 1, 1))),), np.zeros(2), slope=slope)
    found = activations(FloatNetwork((1, 1, 1), (layer,), outputs=("a",)), x)["a"]
    torch.testing.assert_close(found, torch.cat([x.relu(), torch.where(x > 0, x, x / 2)], 1))
