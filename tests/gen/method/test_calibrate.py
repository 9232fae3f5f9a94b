"""What calibration simulates is the contract, what it corrects gets better."""

import numpy as np
import pytest

from gen.intnet import IntegerNetwork
from gen.layers import INPUT, Pool, Readout, Source, Spiking, Synapse
from gen.method.calibrate import correct
from gen.method.simulate import drive, fire, integer_input, pool_counts, readout_sums

pytestmark = pytest.mark.usefixtures("one_thread")
RNG = np.random.default_rng


def random_network(seed, timesteps=5):
    """Every kind of layer; states saturate, and over many timesteps the bounds leave the reach of float32."""
    rng = RNG(seed)

    def spiking(name, *synapses, scale=1):
        channels = len(synapses[0].weight)
        theta = rng.integers(20, 90, channels) * scale * timesteps
        return Spiking(name, synapses, rng.integers(-90, 90, channels), theta, rng.integers(-9, 40, channels), 3,
                       13 + timesteps // 9, np.full(channels, 8))

    def weights(*shape):
        return rng.integers(-127, 128, shape)

    return IntegerNetwork(Source((2, 7, 6), offset=np.array([3, 90])), (
        spiking("a", Synapse(INPUT, weights(4, 2, 3, 3), (2, 1), (1, 2), (1, 2)), scale=20),
        Pool("p", "a", "sum", (2, 2), (1, 2), (1, 0)),
        spiking("b", Synapse("p", weights(4, 2, 3, 3), padding=(1, 1), groups=2),
                Synapse("p", weights(4, 1, 1, 1), groups=4)),
        Pool("q", "b", "max", (2, 2), (2, 2)),
        Readout("z", (Synapse("q", weights(3, 4, 2, 1)),), rng.integers(-9, 9, 3), np.full(3, 8)),
    ), timesteps)


def convolved(synapse, x):
    """The contract's convolution of x [C, H, W], int64, in plain loops over the window."""
    (top, left), (down, right), (dy, dx) = synapse.padding, synapse.stride, synapse.dilation
    x = np.pad(x, ((0, 0), (top, top), (left, left)))
    outputs, inputs, height, width = synapse.weight.shape
    _, rows, columns = synapse.output_shape((len(x), x.shape[1] - 2 * top, x.shape[2] - 2 * left))
    result = np.zeros((outputs, rows, columns), np.int64)
    for o in range(outputs):
        first = o // (outputs // synapse.groups) * inputs
        for i in range(inputs):
            for y in range(height):
                for z in range(width):
                    seen = x[first + i, y * dy :: down, z * dx :: right][:rows, :columns]
                    result[o] += synapse.weight[o, i, y, z] * seen
    return result


def contract_sums(net, image):
    """z after every timestep [T, C] for one image, from the equations of `gen.intnet`."""
    maps = {INPUT: image.astype(np.int64) - net.source.offset[:, None, None]}
    v, z, result = {}, 0, []
    for _ in range(net.timesteps):
        for layer in net.layers:
            if not layer.weighted:
                (h, w), (sy, sx), (py, px) = layer.kernel, layer.stride, layer.padding
                x = np.pad(maps[layer.source], ((0, 0), (py, py), (px, px)))
                _, rows, columns = net.shapes[layer.name]
                seen = np.stack([x[:, y : y + sy * rows : sy, c : c + sx * columns : sx][:, :rows, :columns]
                                 for y in range(h) for c in range(w)])
                maps[layer.name] = seen.sum(0) if layer.kind == "sum" else seen.max(0)
                continue
            _, height, width = net.shapes[layer.name]
            u = sum(convolved(s, maps[s.source])[:, :height, :width] for s in layer.synapses)
            u = u + layer.bias[:, None, None]
            if not layer.emits:
                z = z + u[:, 0, 0]
                continue
            theta = layer.theta[:, None, None]
            u = u + v.get(layer.name, layer.v_init[:, None, None])
            maps[layer.name] = np.clip(u // theta, 0, layer.burst)
            limit = 2 ** (layer.state_bits - 1)
            v[layer.name] = np.clip(u - maps[layer.name] * theta, -limit, limit - 1)
        result.append(z)
    return np.array(result)


@pytest.mark.parametrize("seed, timesteps", [(0, 1), (1, 5), (2, 5), (3, 64), (4, 64)])
def test_the_simulation_is_the_contract(seed, timesteps):
    net = random_network(seed, timesteps)
    x = RNG(seed).integers(0, 256, (6, 2, 7, 6), dtype=np.uint8)
    expected = np.array([contract_sums(net, image) for image in x])
    assert np.array_equal(readout_sums(net, x, batch=4), expected)
    assert len(np.unique(expected)) > 6, "the example computes nothing"


def test_float64_takes_over_where_float32_would_round():
    import torch

    small, large = random_network(0), random_network(0, 64)
    x = {INPUT: integer_input(small, np.zeros((1, 2, 7, 6), np.uint8))}
    assert drive(small, small.layers[0], x).dtype == torch.float32
    assert drive(large, large.layers[0], x).dtype == torch.float64


@pytest.fixture
def quantized():
    """A converted random network at few bits, its images and the float network's mean activations."""
    import torch

    from gen.method.thresholds import thresholds
    from gen.model.network import FloatNetwork, FloatPool, FloatSynapse, FloatLayer
    from gen.method.quantize import quantize_with_scales
    from gen.method.simulate import activations

    rng = RNG(5)
    network = FloatNetwork((1, 6, 6), (
        FloatLayer("a", (FloatSynapse(INPUT, rng.normal(size=(5, 1, 3, 3))),), rng.random(5)),
        FloatPool("p", "a", "sum", (2, 2), (2, 2), divisor=4.0),
        FloatLayer("b", (FloatSynapse("p", rng.normal(size=(5, 5, 1, 1))),), rng.random(5)),
        FloatLayer("z", (FloatSynapse("b", rng.normal(size=(3, 5, 2, 2))),), rng.normal(size=3), fires=False),
    ))
    x = rng.integers(0, 256, (60, 1, 6, 6), dtype=np.uint8)
    maps = activations(network, torch.as_tensor(x).float() / 255)
    means = {name: maps[name].double().mean((0, 2, 3)).numpy() for name in ("a", "b", "z")}
    return quantize_with_scales(network, thresholds(network, maps, 4, 7), weight_bits=3), x, means


def mean_errors(quantized, net, x, means):
    maps, errors = {INPUT: integer_input(net, x)}, []
    for layer in net.layers[:-1]:
        if not layer.weighted:
            maps[layer.name] = pool_counts(layer, maps[layer.source])
            continue
        maps[layer.name], (low, high) = fire(drive(net, layer, maps), layer, net.timesteps)
        limit = 2 ** (layer.state_bits - 1)
        assert -limit < low and high < limit - 1, "the state saturates"
        rate = maps[layer.name].double().mean((0, 1, 3, 4)).numpy() * quantized.amplitudes[layer.name]
        errors.append(np.abs(rate - means[layer.name]).max() / means[layer.name].max())
    z = readout_sums(net, x)[:, -1].mean(0) / (net.timesteps * quantized.logit)
    return [*errors, np.abs(z - means["z"]).max() / np.abs(means["z"]).max()]


def test_correction_brings_the_means_to_those_of_the_float_network(quantized):
    case, x, means = quantized
    fractions = []
    net = correct(case, x, means, progress=fractions.append)
    before, after = mean_errors(case, case.network, x, means), mean_errors(case, net, x, means)
    assert max(before) > 0.1 and max(after) < 0.03
    assert fractions == [0.25, 0.5, 0.75, 1.0]
    for new, old in zip(net.layers, case.network.layers):
        if new.fires:
            assert 8 <= new.state_bits <= old.state_bits
