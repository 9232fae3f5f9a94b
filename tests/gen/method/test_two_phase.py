"""Conversion to inverse-leaky neurons: widths that change no code, an exact simulation, codes that stand for floats."""

from dataclasses import replace

import numpy as np
import pytest

from gen.errors import InputError
from gen.intnet import IntegerNetwork
from gen.layers import INPUT, INVERSE_LEAKY, Pool, Readout, Source, Spiking, Synapse
from gen.method import state_bits
from gen.method.calibrate import correct
from gen.method.quantize import quantize_with_scales
from gen.method.simulate import activations, readout_sums
from gen.method.state_bits import proved_state_bits
from gen.method.thresholds import mmse_threshold
from gen.model.network import FloatNetwork, FloatPool, FloatSynapse, FloatLayer
from sim.golden import Golden
from tests.kit.random_images import random_images
from tests.kit.random_networks import random_network

pytestmark = pytest.mark.usefixtures("one_thread")


def two_sources(rng, timesteps):
    """A network whose layer b reads a spike of weight up, one of weight -down, and the input; b has one channel."""
    up, down, direct = rng.integers(0, 128, 3)

    def neurons(name, synapses, bias, theta):
        bias, theta = np.array(bias), np.array(theta)
        return Spiking(name, synapses, bias, theta, 0 * theta, 1, 30, np.full(len(theta), 8), INVERSE_LEAKY)

    weight = np.array([up, -down]).reshape(1, 2, 1, 1)
    first = neurons("a", [Synapse(INPUT, np.ones((2, 1, 1, 1), int))], [0, 0], [1, 1])
    synapses = [Synapse("a", weight), Synapse(INPUT, np.full((1, 1, 1, 1), direct - 64))]
    scale = int(rng.choice([1, 10, 500]))
    second = neurons("b", synapses, [int(rng.integers(-scale, scale + 1)) * 9], [int(rng.integers(1, 2 + scale))])
    readout = Readout("z", [Synapse("b", np.ones((2, 1, 1, 1), int))], np.zeros(2, int), np.full(2, 2))
    return IntegerNetwork(Source((1, 1, 1), high=int(rng.choice([1, 30, 255]))), [first, second, readout], timesteps)


def codes(network, layer, width, sums, last):
    """Return the code, int64 [n], for ``sums`` [n, T] of spikes and ``last`` [n] at t = T, in ``width`` bits."""
    limit, timesteps, top = 2 ** (width - 1), network.timesteps, int(layer.theta[0]) << network.timesteps - 1
    v = np.zeros(len(sums), np.int64)
    for t in range(timesteps):
        u = 2 * v + sums[:, t] + (last if t == timesteps - 1 else 0)
        v = np.clip(u, -limit, limit - 1)
    code = np.zeros(len(sums), np.int64)
    for _ in range(timesteps):
        spikes = u >= top
        code = 2 * code + spikes
        u = 2 * np.clip(u - spikes * top, -limit, limit - 1)
    return code


def test_saturation_in_the_proved_width_changes_no_code(monkeypatch):
    """Random and extreme trains: the proved width is enough, and for some networks one bit less is not."""
    monkeypatch.setattr(state_bits, "LEAST_STATE", 1)
    narrower, saturated = 0, 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        network = two_sources(rng, 1 + seed % 8)
        layer, timesteps = network.layer("b"), network.timesteps
        up, down = layer.synapses[0].weight.ravel()
        ends = rng.choice([0, up, down, up + down], (400, timesteps))
        turn = np.arange(timesteps) < rng.integers(0, timesteps + 1, (400, 1))
        sums = np.concatenate([ends, np.where(turn, up, down), np.where(turn, down, up)])
        last = layer.bias[0] + layer.synapses[1].weight.item() * rng.integers(0, network.source.high + 1, len(sums))
        width = proved_state_bits(network, layer)
        exact = np.clip((sums @ 2 ** np.arange(timesteps)[::-1] + last) // layer.theta[0], 0, 2**timesteps - 1)
        np.testing.assert_array_equal(codes(network, layer, 50, sums, last), exact)
        np.testing.assert_array_equal(codes(network, layer, width, sums, last), exact, err_msg=f"seed {seed}")
        narrower += (codes(network, layer, width - 1, sums, last) != exact).any()
        depth = 2 ** (timesteps - 1) - 1
        saturated += 2 ** (width - 1) < depth * max(up, -down)
    assert narrower > 60 and saturated > 20


@pytest.mark.parametrize("seed", range(40))
def test_the_simulation_is_the_golden_model(seed):
    network = random_network(seed, neuron=INVERSE_LEAKY)
    proved = [
        replace(layer, state_bits=proved_state_bits(network, layer)) if layer.fires else layer
        for layer in network.layers
    ]
    network, images = replace(network, layers=proved), random_images(network, seed, 8)
    np.testing.assert_array_equal(readout_sums(network, images, batch=5)[:, 0], Golden(network).run(images).logits)


def test_a_state_that_may_saturate_is_left_to_the_golden_model():
    network = two_sources(np.random.default_rng(1), 4)
    network = replace(network, layers=[replace(network.layers[0], state_bits=4), *network.layers[1:]])
    with pytest.raises(InputError, match=r"Layer a may saturate in 4 bits: evaluate it with sim\.golden\."):
        readout_sums(network, np.zeros((1, 1, 1, 1), np.uint8))


def test_a_state_that_is_too_wide():
    wide = Synapse("a", np.full((1, 2, 1, 1), 127))
    network = two_sources(np.random.default_rng(1), 20)
    layer = replace(network.layer("b"), synapses=[wide], theta=np.array([4000]))
    with pytest.raises(InputError, match="Layer b needs a state of 32 bits for 20 timesteps .*, the most is 30"):
        proved_state_bits(network, layer)


def float_case(kind="sum"):
    """A float network, images, its thresholds for 5 timesteps and its mean activations."""
    import torch

    rng = np.random.default_rng(5)
    network = FloatNetwork((1, 6, 6), (
        FloatLayer("a", (FloatSynapse(INPUT, rng.normal(size=(5, 1, 3, 3))),), rng.normal(size=5) / 9),
        FloatPool("p", "a", kind, (2, 2), (2, 2), divisor=4.0),
        FloatLayer("b", (FloatSynapse("p", rng.normal(size=(5, 5, 1, 1))),
                    FloatSynapse("p", np.ones((5, 1, 1, 1)), groups=5)), rng.normal(size=5) / 9),
        FloatLayer("z", (FloatSynapse("b", rng.normal(size=(3, 5, 2, 2))),), rng.normal(size=3), fires=False),
    ))
    x = rng.integers(0, 256, (60, 1, 6, 6), dtype=np.uint8)
    maps = activations(network, torch.as_tensor(x).float() / 255)
    thresholds = {name: mmse_threshold(maps[name], 31, 1) / 31 for name in ("a", "b")}
    means = {name: maps[name].double().mean((0, 2, 3)).numpy() for name in ("a", "b", "z")}
    return network, x, thresholds, means, maps["z"].flatten(1).numpy()


def test_codes_stand_for_the_float_network():
    network, x, thresholds, _, wanted = float_case()
    quantized = quantize_with_scales(network, thresholds, timesteps=5, neuron=INVERSE_LEAKY)
    net = quantized.network
    assert net.two_phase and {type(layer) for layer in net.layers} == {Spiking, Pool, Readout}
    found = readout_sums(net, x)
    assert found.shape == (60, 1, 3)
    assert np.abs(found[:, 0] / quantized.logit - wanted).max() < 0.05 * np.abs(wanted).max()
    for layer in net.layers:
        if layer.fires:
            assert layer.state_bits == proved_state_bits(net, layer)


def test_the_bias_rounds_the_code():
    network, _, thresholds, _, _ = float_case()
    quantized = quantize_with_scales(network, thresholds, timesteps=5, neuron=INVERSE_LEAKY)
    layer = quantized.network.layer("a")
    np.testing.assert_array_equal(layer.bias, np.rint(quantized.biases["a"] + layer.theta / 2))
    assert not layer.v_init.any() and layer.burst == 1


def test_correction_of_codes():
    network, x, thresholds, means, wanted = float_case()
    quantized = quantize_with_scales(network, thresholds, timesteps=5, weight_bits=3, neuron=INVERSE_LEAKY)
    net = correct(quantized, x, means)
    before, after = (
        np.abs(readout_sums(n, x)[:, 0] / quantized.logit - wanted).mean() for n in (quantized.network, net)
    )
    assert after < 0.9 * before
    mean = readout_sums(net, x)[:, 0].mean(0) / quantized.logit
    np.testing.assert_allclose(mean, means["z"], atol=1 / quantized.logit)
    np.testing.assert_array_equal(Golden(net).run(x).logits, readout_sums(net, x)[:, 0])


def test_max_pools_are_refused_by_name():
    network, _, thresholds, _, _ = float_case("max")
    with pytest.raises(InputError, match=r"max pools p cannot be converted\. Train the model with average pools"):
        quantize_with_scales(network, thresholds, neuron=INVERSE_LEAKY)


def test_an_unknown_neuron():
    network, _, thresholds, _, _ = float_case()
    with pytest.raises(InputError, match="neuron must be one of adafire, inverse_leaky, not 'lif'"):
        quantize_with_scales(network, thresholds, neuron="lif")
