"""What calibration corrects gets better."""

import numpy as np
import pytest

from gen.layers import INPUT
from gen.method.calibrate import correct
from gen.method.simulate import drive, fire, integer_input, pool_counts, readout_sums

pytestmark = pytest.mark.usefixtures("one_thread")
RNG = np.random.default_rng


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
            maps[layer.name] = pool_counts(net, layer, maps[layer.source])
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


def test_a_layer_without_a_mean_keeps_its_bias_and_starts_from_rest(quantized):
    case, x, _ = quantized
    net = correct(case, x, {})
    for new, old in zip(net.layers, case.network.layers):
        if new.weighted:
            assert (new.bias == old.bias).all()
        if new.fires:
            assert not new.v_init.any() and 8 <= new.state_bits <= old.state_bits
    ones = {name: np.ones(n) for name, n in (("a", 5), ("b", 5), ("z", 3))}
    assert np.isfinite(mean_errors(case, net, x, ones)).all(), "which looks at saturation, too"
