"""Conversion of what ReLU networks of one class output do not have: the integers stay close to the float network."""

import numpy as np
import pytest
import torch
from torch import nn

from gen.errors import InputError
from gen.layers import INPUT, INVERSE_LEAKY
from gen.method.builder import Builder
from gen.method.convert import convert
from gen.method.exit_fit import exit_images
from gen.method.exit_score import exit_steps
from gen.method.quantize import quantize_with_scales, theta_below
from gen.method.settings import Settings
from gen.method.simulate import readout_sums
from gen.method.thresholds import mmse_threshold
from gen.model.network import FloatLayer, FloatNetwork, FloatPool, FloatSynapse
from gen.window import ZEROS
from sim.golden.plain import plain_trace

pytestmark = pytest.mark.usefixtures("one_thread")


def blobs(count, *shape, seed=0):
    """Return smooth images, uint8 [count, *shape]."""
    coarse = torch.rand(count, 1, 3, 3, generator=torch.Generator().manual_seed(seed))
    fine = nn.functional.interpolate(coarse, shape[-2:], mode="bicubic").clamp(0, 1)
    scale = torch.linspace(0.5, 1, shape[0])[:, None, None]
    return (fine * scale * 255).round().to(torch.uint8).numpy()


IMAGES = blobs(120, 2, 8, 8)


def bottleneck(dense=False, **activation):
    """An inverted residual: wide, depthwise, linear and its sum with the map; ``activation`` where there is one."""
    rng = np.random.default_rng(3)

    def synapse(source, *shape, **geometry):
        return FloatSynapse(source, rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[1:])), **geometry)

    def layer(name, *synapses, **options):
        channels = len(synapses[0].weight)
        options = {key: np.full(channels, value) if key == "slope" else value for key, value in options.items()}
        return FloatLayer(name, synapses, rng.normal(size=channels) / 5, **options)

    if dense:
        end = (
            layer("up", synapse("top", 6, 8, 3, 3, padding=(1, 1), upsample=(2, 2)),
                  synapse("sum", 6, 8, 2, 2, padding=(0, 0, 1, 1), stride=(2, 2), upsample=(2, 2), fill=ZEROS)),
            layer("z", synapse("up", 5, 6, 1, 1), fires=False),
        )
    else:
        end = (
            layer("up", synapse("top", 6, 8, 1, 1), **activation),
            layer("z", synapse("up", 5, 6, 2, 2), fires=False),
        )
    return FloatNetwork((2, 8, 8), (
        layer("stem", synapse(INPUT, 8, 2, 3, 3, padding=(1, 1)), **activation),
        layer("wide", synapse("stem", 16, 8, 1, 1), **activation),
        layer("deep", synapse("wide", 16, 1, 3, 3, padding=(0, 0, 1, 1), stride=(2, 2), groups=16), **activation),
        layer("narrow", synapse("deep", 8, 16, 1, 1), slope=1.0),
        FloatPool("half", "stem", "sum", (2, 2), (2, 2), divisor=4.0),
        layer("sum", synapse("narrow", 8, 8, 1, 1), FloatSynapse("half", np.ones((8, 1, 1, 1)), groups=8), slope=1.0),
        FloatPool("top", "sum", "max", (2, 2), (2, 2), (0, 0, 0, 0)),
        *end,
    ))


LAYERS = ("stem", "wide", "deep", "narrow", "sum", "up", "z")


def relative_error(network, maps, quantized, images, name="z"):
    """Return the root mean square of what an output is off, over its spread."""
    net, wanted = quantized.network, maps[name].double().numpy()
    found = readout_sums(net, images, output=name)[:, -1] / (net.timesteps * quantized.logits[name])
    return np.sqrt(((found.reshape(wanted.shape) - wanted) ** 2).mean()) / wanted.std()


@pytest.mark.parametrize("activation", [
    {}, {"ceiling": 1.5}, {"slope": 0.1}, {"slope": 1.0}, {"slope": 0.3, "ceiling": 2.0},
])
@pytest.mark.parametrize("timesteps, calibrated, bound", [(1, False, 0.06), (4, False, 0.03), (4, True, 0.02)])
def test_signed_and_clipped_layers_come_close(activation, timesteps, calibrated, bound):
    network = bottleneck(**activation)
    builder = Builder(network, IMAGES, Settings(timesteps=timesteps, max_burst=63, calibrate_weights=calibrated))
    quantized = builder.build(builder.uniform(dict.fromkeys(LAYERS, 8)))
    assert relative_error(network, builder.maps, quantized, IMAGES) < bound
    signed = {layer.name: layer.burst_low for layer in quantized.network.layers if layer.fires and layer.signed}
    assert signed == dict.fromkeys(LAYERS[:-1] if "slope" in activation else ("narrow", "sum"), 63)
    counts = plain_trace(quantized.network, IMAGES[0]).counts
    assert counts["narrow"].min() < 0 < counts["narrow"].max()


def test_amplitudes_are_the_same_on_both_sides():
    slope = np.array([1.0, 0.5, 0.01, 0.0, 1e-12, 0.3, 0.75])
    layer = FloatLayer("a", (FloatSynapse(INPUT, np.ones((7, 1, 1, 1))),), np.zeros(7), slope=slope)
    theta = np.array([100, 101, 102, 103, 104, 101, 100])  # 101 / 0.3 = 336.7, 100 / 0.75 = 133.3
    assert theta_below(layer, theta).tolist() == [100, 202, 10200, 2**28, 2**28, 337, 133]
    assert theta_below(FloatLayer("a", layer.synapses, np.zeros(7)), theta) is None


@pytest.mark.parametrize("timesteps, burst", [(1, 7), (4, 3), (4, 63), (1, 255)])
def test_a_full_burst_does_not_exceed_the_ceiling(timesteps, burst):
    a = torch.rand(500, 3, 1, 1).mul(8).clamp(max=6) * torch.tensor([1.0, 0.1, 0.9])[:, None, None]
    theta = mmse_threshold(a, timesteps, burst, 6.0)
    assert (theta * burst <= 6 * (1 + 1e-6)).all()
    if burst > 15:
        assert theta[0] * burst == pytest.approx(6)


@pytest.mark.parametrize("burst", [31, 63, 127, 255])
def test_longer_bursts_lose_less(burst):
    a = torch.randn(2000, 2, 1, 1)

    def loss(cap):
        theta = torch.as_tensor(mmse_threshold(a, 1, cap)).float()[:, None, None]
        return ((a / theta).round().clamp(-cap, cap).mul(theta) - a).square().mean()

    assert loss(burst) < 0.6 * loss(burst // 2)  # over 63 the other half of a bit is room


def test_caps_over_63_leave_room_for_what_calibration_did_not_show():
    a = torch.rand(2000, 2, 1, 1) * torch.tensor([1.0, 30.0])[:, None, None]
    most = a.amax((0, 2, 3)).double().numpy()
    reach = {burst: burst * mmse_threshold(a, 1, burst) / most for burst in (31, 63, 127, 255)}
    assert (reach[31] <= 1 + 1e-6).all() and (reach[63] <= 1 + 1e-6).all()
    assert reach[127] == pytest.approx(np.sqrt(2), rel=0.02) and reach[255] == pytest.approx(2, rel=0.02)
    louder = 1.6 * a

    def loss(cap):
        theta = torch.as_tensor(mmse_threshold(a, 1, cap)).float()[:, None, None]
        return ((louder / theta).round().clamp(-cap, cap).mul(theta) - louder).square().mean((0, 2, 3))

    assert (loss(255) < 1e-3 * loss(63)).all()


def test_signed_layers_have_thresholds_by_magnitude():
    a = torch.randn(400, 1, 1, 1)
    assert mmse_threshold(a, 4, 7) == pytest.approx(mmse_threshold(-a, 4, 7))
    mixed = mmse_threshold(torch.cat([a.abs(), -3 * a.abs()]), 4, 7)
    assert mixed > 1.5 * mmse_threshold(a.abs(), 4, 7)


def test_inverse_leaky_neurons_have_no_sign():
    network = bottleneck()
    thresholds = {layer.name: np.ones(len(layer.bias)) for layer in network.layers if layer.fires}
    pool = network.layers[6]
    assert pool.kind == "max"
    network = FloatNetwork(network.shape, [*network.layers[:6], FloatPool("top", "sum", "sum", (2, 2), (2, 2)),
                                           *network.layers[7:]])
    with pytest.raises(InputError, match="narrow, sum may be below: .* or choose the neuron adafire"):
        quantize_with_scales(network, thresholds, neuron=INVERSE_LEAKY)


def test_a_dense_output_stands_for_the_float_map():
    network = bottleneck(dense=True)
    assert network.shapes["z"] == (5, 4, 4)
    builder = Builder(network, IMAGES, Settings(timesteps=4, max_burst=15))
    quantized = builder.build(builder.uniform(dict.fromkeys(LAYERS, 8)))
    assert relative_error(network, builder.maps, quantized, IMAGES) < 0.08


class TwoHeads(nn.Module):
    """A map of three classes at each position, four classes of the image, one number."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.body, self.map = nn.Conv2d(2, 8, 3, padding=1), nn.Conv2d(8, 3, 1)
        self.image, self.number = nn.Linear(8, 4), nn.Linear(8, 1)

    def forward(self, x):
        x = torch.relu(self.body(x))
        mean = x.mean((2, 3))
        return self.map(x), 10 * self.image(mean), self.number(mean)


@pytest.fixture(scope="module")
def heads():
    return TwoHeads().eval()


def test_every_output_has_its_scale_and_the_first_decides(heads):
    net = convert(heads, IMAGES, timesteps=4, max_burst=15)
    with torch.no_grad():
        wanted = heads(torch.as_tensor(IMAGES).float() / 255)
    scales = net.provenance["output_scales"]
    assert net.exit_rule.kind == "entropy" and net.readout.name == net.outputs[0] and net.dense
    assert net.provenance["logit_scale"] == scales[net.outputs[0]] and len(net.outputs) == 3
    for name, value in zip(net.outputs, wanted):
        found = readout_sums(net, IMAGES, output=name)[:, -1].reshape(value.shape) / (4 * scales[name])
        assert np.abs(found - value.numpy()).max() < 0.05 * (value.max() - value.min()), name
    figures = net.provenance["calibration"]
    assert figures["integer_accuracy"] > 0.95 and 1 <= figures["mean_timesteps"] <= 4


def test_outputs_that_are_no_classes_are_told_by_their_distance_from_the_float_network(heads):
    net = convert(heads, IMAGES, timesteps=2, max_burst=15, exit="off", task="values")
    figures = net.provenance["calibration"]
    assert figures.keys() == {"images", "bias_images", "error_images", "output_errors"}
    assert figures["error_images"] == 64
    images = IMAGES[exit_images(len(IMAGES), len(IMAGES))][:64]
    with torch.no_grad():
        wanted = heads(torch.as_tensor(images).float() / 255)
    for name, value in zip(net.outputs, wanted):
        found = readout_sums(net, images, output=name)[:, -1].reshape(value.shape)
        found = found / (2 * net.provenance["output_scales"][name])
        error = np.sqrt(((found - value.numpy()) ** 2).sum() / (value.numpy() ** 2).sum())
        assert figures["output_errors"][name] == pytest.approx(error, rel=1e-4) and 0 < error < 0.1


def test_a_map_decides_by_the_share_of_its_positions(heads):
    labels = np.zeros((120, 8, 8), int)
    all_of_it, half = (
        convert(heads, IMAGES, labels=labels, exit="margin", exit_loss=20, exit_share=share) for share in (1.0, 0.5)
    )
    assert half.exit_rule.share == 2**15 and all_of_it.exit_rule.share == 2**16
    z = readout_sums(half, IMAGES)
    assert z.shape == (120, 4, 3, 8, 8)
    assert half.provenance["calibration"]["mean_timesteps"] == pytest.approx(exit_steps(z, half.exit_rule).mean())
    accuracy = (z[:, -1].argmax(1) == 0).mean()
    assert half.provenance["calibration"]["integer_accuracy"] == pytest.approx(accuracy)


def test_another_output_decides(heads):
    net = convert(heads, IMAGES, labels=np.arange(120) % 4, exit_output="image")
    assert net.readout.name == net.exit_rule.output == net.outputs[1] and net.classes == 4 and not net.dense
    with pytest.raises(InputError, match="There are 120 calibration images and 8 x 8 positions but labels of shape"):
        convert(heads, IMAGES, labels=np.arange(120) % 4)
    with pytest.raises(InputError, match="exit_output is 'body', the outputs of the model are"):
        convert(heads, IMAGES, exit_output="body")


def test_no_rule_is_sure_of_a_single_number(heads):
    assert convert(heads, IMAGES, exit_output="number").exit_rule.kind == "off"
    with pytest.raises(InputError, match="has one channel, of which no rule can be sure: set exit to off, not margin"):
        convert(heads, IMAGES, exit_output="number", exit="margin")


def test_searches_look_at_every_output(heads):
    net = convert(heads, IMAGES, timesteps=2, max_burst=7, search_burst=1.5, compress=2.0)
    assert net.provenance["searches"].keys() == {"search_burst", "compress"}


def test_tiles_have_no_exit(heads):
    net = convert(heads, IMAGES, order="tiles")
    assert net.order == "tiles" and net.exit_rule.kind == "off"
    with pytest.raises(InputError, match="in tile order has no early exit: set exit to off, .* not 'entropy'"):
        convert(heads, IMAGES, order="tiles", exit="entropy")
    with pytest.raises(InputError, match="order must be one of steps, tiles, not 'rows'"):
        convert(heads, IMAGES, order="rows")


def recordings(count, frames):
    """Return event counts, uint8 [count, frames, 2, 8, 8], of blobs that move from frame to frame."""
    rate = np.stack([np.roll(blobs(count, 2, 8, 8), t, -1) for t in range(frames)], 1) / 60
    return np.random.default_rng(0).poisson(rate).astype(np.uint8)


def test_frames_are_counts_and_the_float_network_sees_their_mean():
    torch.manual_seed(1)
    module = nn.Sequential(nn.Conv2d(2, 8, 3, padding=1), nn.LeakyReLU(0.2), nn.AvgPool2d(4), nn.Flatten(),
                           nn.Linear(32, 4)).eval()
    x = recordings(150, 6)
    net = convert(module, x, max_burst=31, exit="off")
    assert net.timesteps == 6 and net.source.kind == "frames" and not net.source.offset.any()
    with torch.no_grad():
        wanted = module(torch.as_tensor(x).float().mean(1)).numpy()
    found = readout_sums(net, x)[:, -1] / (6 * net.provenance["logit_scale"])
    off = np.sqrt(((found - wanted) ** 2).mean()) / wanted.std()
    assert off < 0.15, "a LeakyReLU of changing currents is not that of their mean, but near it"
    searched = convert(module, x, search_burst=1.5, calibrate_weights=True)
    assert searched.exit_rule.kind == "entropy" and len(searched.exit_rule.limits) == 6


@pytest.mark.parametrize("options, text", [
    ({"mean": 0.5}, "Frames hold counts of events, which are not normalised, but a mean or std is given"),
    ({"std": 0.5}, "leave mean and std out, and let the model take the counts as they are"),
    ({"timesteps": 4}, "The recordings have 3 frames, one for each timestep: leave timesteps out, or cut .* into 4"),
])
def test_what_does_not_go_with_frames(options, text):
    module = nn.Sequential(nn.Flatten(), nn.Linear(128, 3)).eval()
    with pytest.raises(InputError, match=text):
        convert(module, recordings(5, 3), **options)


def test_more_frames_than_timesteps():
    with pytest.raises(InputError, match="The recordings have 513 frames, the most is 512: cut them into fewer"):
        convert(nn.Linear(1, 1), np.zeros((1, 513, 1, 1, 1), np.uint8))


class Centred(nn.Module):
    """A model that normalises its input itself."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(4)
        self.layers = nn.Sequential(nn.Conv2d(2, 6, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 64, 3))

    def forward(self, x):
        return self.layers(2 * x - 1)


def test_the_models_own_normalisation_comes_after_that_of_the_images():
    module = Centred().eval()
    net = convert(module, IMAGES, timesteps=16, max_burst=15, exit="off", mean=0.1, std=0.5)
    with torch.no_grad():
        wanted = module((torch.as_tensor(IMAGES).float() / 255 - 0.1) / 0.5).numpy()
    found = readout_sums(net, IMAGES)[:, -1] / (16 * net.provenance["logit_scale"])
    assert net.source.offset.tolist() == [round(255 * (0.1 + 0.5 * 0.5))] * 2
    assert np.abs(found - wanted).max() < 0.03 * np.ptp(wanted)
