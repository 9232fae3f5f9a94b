"""The whole conversion on small networks: it computes, repeats itself, explains itself, and refuses bad input."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from gen.errors import InputError
from gen.intnet import IntegerNetwork
from gen.method.convert import convert
from gen.method.exit_fit import fit_exit, paper_limits
from gen.method.simulate import readout_sums
from gen.method.thresholds import mmse_threshold

pytestmark = pytest.mark.usefixtures("one_thread")
IMAGES = np.random.default_rng(0).integers(0, 256, (80, 1, 6, 6), dtype=np.uint8)


@pytest.fixture
def module():
    layers = nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(24, 4)
    return nn.Sequential(*layers).eval()


def bits(net):
    """Every number of a network."""
    arrays = [value for layer in net.layers for value in vars(layer).values() if isinstance(value, np.ndarray)]
    weights = [s.weight for layer in net.layers for s in layer.synapses]
    return [a.tolist() for a in (*arrays, *weights)] + [net.exit_rule, net.timesteps]


def quantized_average(a, theta, timesteps, burst):
    """The neuron itself: constant current, v(0) = theta/2, average output over the timesteps."""
    v, total = theta / 2, 0.0
    for _ in range(timesteps):
        v += a
        k = min(max(np.floor(v / theta), 0), burst)
        v -= k * theta
        total += k * theta
    return total / timesteps


@pytest.mark.parametrize("timesteps, burst", [(1, 7), (4, 7), (8, 1), (4, 3)])
def test_thresholds_lose_least_of_the_activation_as_the_neuron_rounds_it(timesteps, burst):
    a = torch.rand(40, 2, 1, 1) ** 3 * torch.tensor([1.0, 50.0])[:, None, None]
    found = mmse_threshold(a, timesteps, burst)
    for c in range(2):
        values = a[:, c, 0, 0].double().numpy()
        candidates = values.max() * (1 - 0.01 * np.arange(95))
        losses = [sum((quantized_average(v, t, timesteps, burst) - v) ** 2 for v in values) for t in candidates]
        assert np.isclose(candidates, found[c]).any()
        assert losses[int(np.argmin(abs(candidates - found[c])))] <= min(losses) * 1.001


def test_a_channel_that_is_never_active_has_no_threshold():
    a = torch.rand(9, 3, 2, 2)
    a[:, 1] = 0
    assert (mmse_threshold(a, 4, 7) > 0).tolist() == [True, False, True]


def test_a_conversion_decides_as_the_model_does(module):
    net = convert(module, IMAGES, timesteps=32, max_burst=15, exit="off")
    with torch.no_grad():
        wanted = module(torch.as_tensor(IMAGES).float() / 255)
    z = torch.as_tensor(readout_sums(net, IMAGES)[:, -1]) / (32 * net.provenance["logit_scale"])
    assert isinstance(net, IntegerNetwork) and net.exit_rule.kind == "off"
    assert (z - wanted).abs().max() < 0.05 * wanted.abs().max()
    assert (z.argmax(1) == wanted.argmax(1)).float().mean() > 0.95


def test_the_normalisation_is_in_the_network(module):
    mean, std = 0.4, 0.3
    net = convert(module, IMAGES, timesteps=32, max_burst=15, exit="off", mean=mean, std=[std])
    with torch.no_grad():
        wanted = module((torch.as_tensor(IMAGES).float() / 255 - mean) / std)
    z = torch.as_tensor(readout_sums(net, IMAGES)[:, -1]) / (32 * net.provenance["logit_scale"])
    assert net.source.offset.tolist() == [102]
    assert (z - wanted).abs().max() < 0.05 * wanted.abs().max()


def test_the_same_input_gives_the_same_bits_and_both_image_shapes_do(module):
    first = convert(module, IMAGES, weight_bits=4)
    for images in (IMAGES, IMAGES[:, 0], IMAGES[:, ::-1], IMAGES[::-1].copy()[::-1]):
        assert bits(convert(module, images, weight_bits=4)) == bits(first)
    assert first.exit_rule.kind == "entropy" and len(first.exit_rule.limits) == first.timesteps == 4
    assert {layer.burst for layer in first.layers if layer.fires} == {7}


def test_progress_runs_from_0_to_1_and_names_its_steps(module):
    seen = []
    convert(module, IMAGES, progress=lambda step, fraction: seen.append((step, fraction)))
    fractions = [fraction for _, fraction in seen]
    assert fractions == sorted(fractions) and (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert list(dict.fromkeys(step for step, _ in seen)) == [
        "load", "thresholds", "integers", "biases", "exit rule", "activity", "done",
    ]


def test_provenance_tells_where_the_network_comes_from(module):
    labels = np.arange(80) % 4
    net = convert(module, IMAGES, labels=labels, exit_loss=5, exit="margin", mean=0.25)
    told = json.loads(json.dumps(net.provenance))
    assert told["settings"] == {
        "timesteps": 4, "max_burst": 7, "neuron": "adafire", "exit": "margin", "exit_loss": 5, "exit_fit": "loss",
        "search_burst": None, "compress": None, "weight_memory": None, "search_lanes": None,
        "calibrate_weights": False, "exit_output": "fc1", "exit_share": 1.0, "order": "steps", "mean": [0.25],
        "std": [1.0], "weight_bits": {"conv1": 8, "fc1": 8},
    }
    assert told["output_scales"] == {"fc1": told["logit_scale"]}
    assert "searches" not in told
    figures = told["calibration"]
    assert figures["images"] == 80 and figures["measured_against"] == "labels"
    z = readout_sums(net, IMAGES)
    assert figures["integer_accuracy"] == pytest.approx((z[:, -1].argmax(1) == labels).mean())
    assert 1 <= figures["mean_timesteps"] <= 4 and len(told["source_sha256"]) == 64
    assert told["tool"].startswith("adafire ") and told["weights"] == 6 * 9 + 96
    assert convert(module, IMAGES).provenance["calibration"]["measured_against"] == "the float network"


def test_the_exit_limits_are_fitted_or_the_papers(module):
    labels = np.arange(80) % 4
    fitted, paper = (convert(module, IMAGES, labels=labels, exit_fit=fit) for fit in ("loss", "paper"))
    sums = readout_sums(fitted, IMAGES)
    assert fitted.exit_rule == fit_exit(sums, fitted.provenance["logit_scale"], "entropy", 0.2, labels)
    assert paper.exit_rule == paper_limits(sums, fitted.provenance["logit_scale"], "entropy", labels)
    assert fitted.exit_rule.limits != paper.exit_rule.limits
    assert paper.provenance["settings"]["exit_fit"] == "paper"


def test_a_network_with_silent_channels_converts(module):
    with torch.no_grad():
        module[1].bias[:], module[1].weight[2], module[1].bias[2] = 2, 0, -1
    net = convert(module, IMAGES)
    assert net.provenance["silent_channels"] == {"conv1": 1} and net.layers[0].theta[2] == 1
    with torch.no_grad():
        module[1].weight[:], module[1].bias[:] = 0, -1
    net = convert(module, IMAGES)
    assert readout_sums(net, IMAGES).std(axis=0).max() == 0


@pytest.mark.parametrize("images, text", [
    (IMAGES / 255.0, r"must be uint8 pixels, 0 to 255, not float64. Convert them with \(255 \* x\).round"),
    (IMAGES.astype(np.int64), r"must be uint8 pixels, 0 to 255, not int64. Convert them with x.astype"),
    (IMAGES[0, 0], r"\[N, H, W\], or frames \[N, T, C, H, W\], not of shape \[6, 6\]"),
    (IMAGES[:0], r"The calibration set is empty, of shape \[0, 1, 6, 6\]"),
])
def test_images_that_are_none(module, images, text):
    with pytest.raises(InputError, match=text):
        convert(module, images)


def test_images_of_another_size_than_the_program_takes(module):
    program = torch.export.export(module, (torch.zeros(2, 1, 6, 6),))
    with pytest.raises(InputError, match="takes images of shape 1x6x6, the calibration images have shape 1x6x5"):
        convert(program, IMAGES[..., :5])


@pytest.mark.parametrize("labels, text", [
    (np.zeros(79, int), r"There are 80 calibration images but labels of shape \[79\]"),
    (np.zeros((80, 4), int), r"There are 80 calibration images but labels of shape \[80, 4\]"),
    (np.zeros(80), "The labels must be integers, the class of each image, not float64"),
    (np.arange(80) % 5, r"The labels must lie in 0..3, the classes of the model; they run from 0 to 4"),
    (np.arange(80) % 4 - 1, r"they run from -1 to 2"),
])
def test_labels_that_are_none(module, labels, text):
    with pytest.raises(InputError, match=text):
        convert(module, IMAGES, labels=labels)


@pytest.mark.parametrize("option, text", [
    ({"timesteps": 513}, "timesteps must be an integer from 1 to 512, not 513"),
    ({"max_burst": 0}, "max_burst must be an integer from 1 to 255, not 0"),
    ({"weight_bits": 1}, "weight_bits must be an integer from 2 to 8, not 1"),
    ({"weight_bits": {"conv": 4}}, r"names layers that the network does not have: conv. .* are conv1 \(0\), fc1 \(5\)"),
    ({"exit": "sometimes"}, "exit must be one of off, entropy, confidence, margin, not 'sometimes'"),
    ({"exit_loss": -1}, "exit_loss is in accuracy points, 0 to 100, not -1"),
    ({"exit_loss": "1"}, "exit_loss is in accuracy points, 0 to 100, not '1'"),
    ({"exit_fit": "hope"}, "exit_fit must be one of loss, paper, not 'hope'"),
    ({"mean": [0.5, 0.5]}, "mean must be one number or 1, one per channel, not 2"),
    ({"std": -1}, r"std must lie in 1e-06..1e\+06"),
])
def test_options_out_of_range(module, option, text):
    with pytest.raises(InputError, match=text):
        convert(module, IMAGES, **option)


@pytest.mark.parametrize("bias", [1e9, -1e30])
def test_an_output_too_far_from_zero_for_integers(bias):
    model = nn.Sequential(nn.Conv2d(1, 2, 6), nn.Flatten())
    nn.init.constant_(model[0].bias, bias)
    with pytest.raises(InputError, match="The output fc1 lies so far from 0, .* 32 bits do not hold it"):
        convert(model.eval(), IMAGES)
