"""The integers stand for the floats, fit their bits, and no state can leave its proved width."""

import numpy as np
import pytest

from gen.errors import InputError
from gen.layers import INPUT, Pool
from gen.method.quantize import quantize, quantize_with_scales, settle
from gen.method.state_bits import proved_state_bits
from gen.model.network import FloatNetwork, FloatPool, FloatSynapse, FloatLayer

pytestmark = pytest.mark.usefixtures("one_thread")


def small_network(seed=0):
    """Conv, average pool, residual with a depthwise second source, max pool, linear; and its thresholds."""
    rng = np.random.default_rng(seed)

    def weight(*shape):
        return rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))

    layers = (
        FloatLayer("stem", (FloatSynapse(INPUT, weight(6, 2, 3, 3), padding=(1, 1)),), rng.normal(size=6) / 4),
        FloatPool("mean", "stem", "sum", (2, 2), (2, 2), divisor=4.0),
        FloatLayer("body", (FloatSynapse("mean", weight(6, 6, 3, 3), padding=(1, 1)),
                       FloatSynapse("mean", np.ones((6, 1, 1, 1)), groups=6)), rng.normal(size=6) / 4),
        FloatPool("top", "body", "max", (2, 2), (2, 2)),
        FloatLayer("head", (FloatSynapse("top", weight(3, 6, 2, 2)),), rng.normal(size=3), fires=False),
    )
    return FloatNetwork((2, 8, 8), layers), {"stem": np.full(6, 0.3), "body": np.full(6, 0.25)}


def float_weights(layer, quantized, name):
    """Return what the integer weights of a layer stand for: [out, in/groups, height, width] per synapse."""
    result = []
    for synapse in layer.synapses:
        source = np.broadcast_to(quantized.amplitudes[synapse.source], (synapse.weight.shape[1] * synapse.groups,))
        unit = quantized.amplitudes[name] / layer.theta if layer.fires else 1 / quantized.logit
        inverse = FloatSynapse("", synapse.weight.astype(float), groups=synapse.groups).input_scaled(1 / source)
        result.append(inverse * np.broadcast_to(unit, len(layer.bias))[:, None, None, None])
    return result


@pytest.mark.parametrize("bits, error", [(8, 0.015), (6, 0.06), (4, 0.25), (2, 0.8)])
def test_integer_weights_stand_for_the_float_weights(bits, error):
    network, thresholds = small_network()
    quantized = quantize_with_scales(network, thresholds, weight_bits=bits, std=0.5)
    for layer in network.layers:
        if layer.weighted:
            integer = quantized.network.layer(layer.name)
            assert set(integer.weight_bits) == {bits}
            pairs = list(zip(float_weights(integer, quantized, layer.name), layer.synapses))
            off = np.sqrt(sum(((a - s.weight) ** 2).sum() for a, s in pairs))
            assert off < error * np.sqrt(sum((s.weight**2).sum() for _, s in pairs))


@pytest.mark.parametrize("bits, least", [(2, 0.190), (3, 0.0467), (4, 0.0130)])
def test_scales_are_near_the_best_for_gaussian_weights(bits, least):
    """``least`` is the mean squared error of the best uniform quantizer with as many levels (Max, 1960)."""
    weight = np.random.default_rng(0).normal(size=(4, 64, 3, 3))
    network = FloatNetwork((64, 3, 3), (FloatLayer("z", (FloatSynapse(INPUT, weight),), np.zeros(4), fires=False),))
    quantized = quantize_with_scales(network, {}, weight_bits=bits)
    found = float_weights(quantized.network.layers[0], quantized, "z")[0]
    assert 0.97 * least < ((found - weight) ** 2).mean() / weight.var() < 1.06 * least


def test_pools_and_geometry_pass_through():
    net = quantize(*small_network())
    assert [type(layer) is Pool for layer in net.layers] == [False, True, False, True, False]
    assert net.layer("mean").kind == "sum" and net.layer("top").kind == "max"
    assert net.layer("body").synapses[1].groups == 6 and net.shapes["head"] == (3, 1, 1)


def test_over_many_timesteps_the_integer_network_computes_the_float_network():
    torch = pytest.importorskip("torch")
    from gen.method.builder import normalised
    from gen.method.simulate import activations, readout_sums

    network, thresholds = small_network()
    mean, std = np.array([0.3, 0.5]), np.array([0.25, 0.2])
    quantized = quantize_with_scales(network, thresholds, timesteps=64, max_burst=15, mean=mean, std=std)
    x = np.random.default_rng(1).integers(0, 256, (20, 2, 8, 8), dtype=np.uint8)
    wanted = activations(network, normalised(torch.as_tensor(x), mean, std))["head"].flatten(1).numpy()
    found = readout_sums(quantized.network, x)[:, -1] / (64 * quantized.logit)
    assert np.abs(found - wanted).max() < 0.06 * np.abs(wanted).max()


def test_an_image_of_the_mean_is_an_input_of_zero_but_for_rounding():
    network, thresholds = small_network()
    quantized = quantize_with_scales(network, thresholds, mean=(0.3, 0.5), std=(0.25, 0.2))
    assert quantized.network.source.offset.tolist() == [76, 128]
    rest = (np.array([76, 128]) - 255 * np.array([0.3, 0.5])) / (255 * np.array([0.25, 0.2]))
    bias = network.layers[0].bias + network.layers[0].synapses[0].input_scaled(rest).sum((1, 2, 3))
    layer = quantized.network.layer("stem")
    np.testing.assert_allclose(quantized.biases["stem"] * quantized.amplitudes["stem"] / layer.theta, bias)


def test_a_silent_channel_never_fires_and_weighs_nothing_downstream():
    network, thresholds = small_network()
    thresholds["stem"][2] = 0
    layer = quantize(network, thresholds).layer("stem")
    assert (layer.theta[2], layer.bias[2], layer.v_init[2]) == (1, 0, 0) and not layer.synapses[0].weight[2].any()
    assert not quantize(network, thresholds).layer("body").synapses[0].weight[:, 2].any()
    assert layer.theta[[0, 1, 3, 4, 5]].min() > 1


def test_settle_starts_at_half_the_threshold_and_returns_the_fraction_of_the_bias():
    rounded, start = settle(np.array([3.0, 2.25, -1.4, 0.0]), np.array([100, 101, 9, 1]), 8)
    assert rounded.tolist() == [3, 2, -1, 0] and start.tolist() == [50, 50 + 1, 4 - 2, 0]


@pytest.mark.parametrize("seed", range(6))
def test_no_image_leaves_the_proved_state_width(seed):
    torch = pytest.importorskip("torch")
    from gen.method.simulate import drive, fire, integer_input

    network, thresholds = small_network(seed)
    thresholds["stem"] = thresholds["stem"] / 5 ** (seed % 3)
    net = quantize(network, thresholds, timesteps=16, max_burst=1 + 2 * (seed % 2))
    rng = np.random.default_rng(seed)
    x = rng.choice([0, 255], (40, 2, 8, 8)).astype(np.uint8)
    positive = net.layer("stem").synapses[0].weight > 0
    x[:6, :, :3, :3], x[6:12, :, :3, :3] = 255 * positive, 255 * ~positive
    layer = net.layer("stem")
    assert layer.state_bits == proved_state_bits(net, layer)
    currents = drive(net, layer, {INPUT: integer_input(net, x)}).to(torch.float64)
    v, limit = np.broadcast_to(layer.v_init[:, None, None], currents.shape[1:]), 2 ** (layer.state_bits - 1)
    reached = []
    for _ in range(net.timesteps):
        u = v + currents[0].long().numpy()
        v = u - np.clip(u // layer.theta[:, None, None], 0, layer.burst) * layer.theta[:, None, None]
        reached += [v.min(), v.max()]
    assert -limit <= min(reached) and max(reached) < limit
    assert max(map(abs, reached)) > limit / 16, "the bound is far from tight"
    assert fire(currents, layer, 16)[1] == (min(reached + [layer.v_init.min()]), max(reached + [layer.v_init.max()]))


def test_theta_is_the_scale_rounded_to_the_nearest():
    network, thresholds = small_network()
    quantized = quantize_with_scales(network, thresholds, weight_bits=3)
    for name, threshold in thresholds.items():
        moved = quantized.amplitudes[name] / threshold - 1
        assert (np.abs(moved) <= 0.5 / (quantized.network.layer(name).theta - 0.5)).all()
        assert moved.min() < 0 < moved.max()


def test_bits_per_layer():
    network, thresholds = small_network()
    net = quantize(network, thresholds, weight_bits={"stem": 8, "body": 3})
    assert [set(net.layer(name).weight_bits) for name in ("stem", "body", "head")] == [{8}, {3}, {8}]
    assert max(np.abs(s.weight).max() for s in net.layer("body").synapses) == 3


@pytest.mark.parametrize("option, text", [
    ({"timesteps": 0}, "timesteps must be an integer from 1 to 512, not 0"),
    ({"timesteps": 513}, "timesteps must be an integer from 1 to 512, not 513"),
    ({"timesteps": 2.0}, r"timesteps must be an integer from 1 to 512, not 2\.0"),
    ({"max_burst": 256}, "max_burst must be an integer from 1 to 255, not 256"),
    ({"max_burst": True}, "max_burst must be an integer from 1 to 255, not True"),
    ({"weight_bits": 9}, r"weight_bits must be an integer from 2 to 8, not 9\."),
    ({"weight_bits": {"body": 1}}, r"weight_bits must be an integer from 2 to 8, not 1 \(layer body\)"),
    ({"weight_bits": {"bodi": 4}}, "does not have: bodi. Its layers with weights are stem, body, head"),
    ({"mean": [0.1, 0.2, 0.3]}, "mean must be one number or 2, one per channel, not 3"),
    ({"mean": 127.5}, r"mean must lie in 0..1, since images are scaled to 0..1; it is \[127.5, 127.5\]"),
    ({"std": 0}, r"std must lie in 1e-06..1e\+06; it is \[0.0, 0.0\]"),
    ({"std": float("nan")}, r"std must lie in 1e-06..1e\+06; it is \[nan, nan\]"),
])
def test_settings_out_of_range(option, text):
    with pytest.raises(InputError, match=text):
        quantize(*small_network(), **option)


def test_a_mirrored_view_is_normalised_as_its_copy():
    pytest.importorskip("torch")
    from gen.method.builder import normalised

    x = np.random.default_rng(2).integers(0, 256, (2, 3, 4, 5), dtype=np.uint8)
    found = normalised(x[:, ::-1], [0.1, 0.2, 0.3], [1, 1, 2])
    assert (found == normalised(x[:, ::-1].copy(), [0.1, 0.2, 0.3], [1, 1, 2])).all()
