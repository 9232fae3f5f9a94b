"""A trained model becomes an integer network in five steps: load, thresholds, integers, biases, exit rule."""

from dataclasses import replace
from importlib import metadata

import numpy as np
import torch

from gen.method.calibrate import correct
from gen.errors import InputError
from gen.exit_rule import KINDS
from gen.method.exit_fit import FITS, exit_images, exit_steps, fit_exit, paper_limits
from gen.model.load import load
from gen.model.network import FloatNetwork, FloatPool
from gen.method.quantize import check_settings, layer_bits, normalisation, quantize_with_scales
from gen.method.simulate import activations, readout_sums

__all__ = ["convert", "mmse_threshold", "thresholds"]

CANDIDATES = 95
SAMPLES = 2**15
ACTIVATION_BUDGET = 2**25


def convert(module, calibration, *, timesteps=4, max_burst=7, weight_bits=8, exit="entropy", exit_loss=0.2,
            exit_fit="loss", mean=0.0, std=1.0, labels=None, progress=None):
    """Return the `IntegerNetwork` of a trained model; nothing is trained.

    Parameters
    ----------
    module : torch.nn.Module, torch.export.ExportedProgram or path of a .pt2 file
    calibration : uint8 [N, C, H, W] or [N, H, W]; the model sees (x/255 - mean)/std
    timesteps, max_burst : 1..64 and 1..15
    weight_bits : 2..8, or a dict of layer name to that
    exit : entropy, confidence, margin or off; exit_loss : accuracy points that early exits may lose
    exit_fit : loss, limits for ``exit_loss``, or paper, `gen.method.exit_fit.paper_limits`
    mean, std : one number or one per channel, of images scaled to 0..1
    labels : integers [N], the classes of ``calibration``; without them the full run's decision stands in
    progress : callable(step text, fraction done) or None

    Raises
    ------
    InputError for bad input, UnsupportedModel with every operation outside the contract.
    """
    tell = progress or (lambda step, fraction: None)
    x = check_images(calibration)
    check_settings(timesteps, max_burst)
    if exit not in KINDS:
        raise InputError(f"exit must be one of {', '.join(KINDS)}, not {exit!r}.")
    if not isinstance(exit_loss, int | float) or not 0 <= exit_loss <= 100:
        raise InputError(f"exit_loss is in accuracy points, 0 to 100, not {exit_loss!r}.")
    if exit_fit not in FITS:
        raise InputError(f"exit_fit must be one of {', '.join(FITS)}, not {exit_fit!r}.")
    tell("load", 0.0)
    network = load(module, x.shape[1:])
    if network.shape != x.shape[1:]:
        raise InputError(
            f"The model takes images of shape {_shape(network.shape)}, the calibration images have shape "
            f"{_shape(x.shape[1:])} (channels x height x width)."
        )
    labels = check_labels(labels, len(x), len(network.layers[-1].bias))
    layer_bits(network, weight_bits)
    means_stds = normalisation(mean, std, x.shape[1])

    tell("thresholds", 0.05)
    with torch.no_grad():
        maps = activations(network, normalised(x[:_sample_size(network, x)], *means_stds))
        chosen = thresholds(network, maps, timesteps, max_burst)
        tell("integers", 0.25)
        quantized = quantize_with_scales(network, chosen, timesteps=timesteps, max_burst=max_burst,
                                         weight_bits=weight_bits, mean=mean, std=std)
        shapes = quantized.network.shapes
        targets = {
            layer.name: maps[layer.name][..., : shapes[layer.name][1], : shapes[layer.name][2]]
            .mean((0, 2, 3), dtype=float).numpy()
            for layer in network.layers if not isinstance(layer, FloatPool)
        }
        sample = x[: len(maps[network.layers[-1].name])]
        del maps
        net = correct(quantized, sample, targets, progress=lambda done: tell("biases", 0.25 + 0.45 * done))
        tell("exit rule", 0.7)
        own = exit_images(len(x), len(sample))
        images, known = x[own], None if labels is None else labels[own]
        z = readout_sums(net, images)
        rule = (fit_exit(z, quantized.logit, exit, exit_loss, known) if exit_fit == "loss"
                else paper_limits(z, quantized.logit, exit, known))
        figures = _figures(network, net, images, known, z, rule, means_stds)
    silent = {name: int((theta == 0).sum()) for name, theta in chosen.items() if (theta == 0).any()}
    tell("done", 1.0)
    return replace(net, exit_rule=rule, provenance={
        "tool": f"adafire {_version()}",
        "source_sha256": network.digest,
        "weights": network.weights,
        "settings": {
            "timesteps": int(timesteps), "max_burst": int(max_burst),
            "exit": exit, "exit_loss": float(exit_loss), "exit_fit": exit_fit,
            "weight_bits": layer_bits(network, weight_bits),
            "mean": means_stds[0].tolist(), "std": means_stds[1].tolist(),
        },
        "calibration": {"images": len(x), "bias_images": len(sample), **figures},
        "logit_scale": quantized.logit,
        "thresholds": {name: [round(float(v), 6) for v in theta] for name, theta in chosen.items()},
        "silent_channels": silent,
    })


def thresholds(network: FloatNetwork, maps, timesteps, max_burst):
    """Return layer name to threshold, float [C], from the ``maps`` that `gen.method.simulate.activations` gives."""
    return {layer.name: mmse_threshold(maps[layer.name], timesteps, max_burst)
            for layer in network.layers[:-1] if not isinstance(layer, FloatPool)}


def mmse_threshold(activation, timesteps, max_burst):
    """Return the threshold per channel, float64 [C], that loses least of ``activation``, tensor [N, C, H, W].

    A neuron that starts at half its threshold turns a constant activation a into the average over T steps
    ``theta/T * clip(floor(T*a/theta + 1/2), 0, burst*T)``. Of 95 candidates, 1.00 to 0.06 of the largest
    activation, the one of least squared error wins; a channel that is never active gets 0.
    """
    a = activation.transpose(0, 1).flatten(1)
    a = a[:, :: max(1, a.shape[1] // SAMPLES)]
    most = activation.amax((0, 2, 3))
    best, least = torch.zeros_like(most), torch.full_like(most, float("inf"))
    for i in range(CANDIDATES):
        step = ((1 - 0.01 * i) * most / timesteps).clamp(min=1e-30)[:, None]
        loss = ((a / step + 0.5).floor().clamp(0, max_burst * timesteps) * step - a).square().sum(1)
        best, least = torch.where(loss < least, step[:, 0] * timesteps, best), torch.minimum(loss, least)
    return torch.where(most > 0, best, 0).double().numpy()


def normalised(x, mean, std):
    """Return what the model sees of pixels uint8 [N, C, H, W]: float32 (x/255 - mean)/std."""
    mean, std = (torch.as_tensor(v).float()[:, None, None] for v in (mean, std))
    return (torch.as_tensor(x).float() / 255 - mean) / std


def check_images(x):
    """Return ``x`` as uint8 [N, C, H, W]; InputError for another type, shape or no image at all."""
    x = np.asarray(x)
    if x.dtype != np.uint8:
        hint = "(255 * x).round().astype('uint8')" if x.dtype.kind == "f" else "x.astype('uint8')"
        raise InputError(
            f"The calibration images must be uint8 pixels, 0 to 255, not {x.dtype}. Convert them with {hint} "
            "and give the normalisation as mean and std."
        )
    if x.ndim not in (3, 4):
        shape = list(x.shape)
        raise InputError(f"The calibration images must be [N, C, H, W] or [N, H, W], not of shape {shape}.")
    if not x.size:
        raise InputError(f"The calibration set is empty, of shape {list(x.shape)}. Give some hundred images.")
    return x if x.ndim == 4 else x[:, None]


def check_labels(labels, images, classes):
    """Return ``labels`` as int64 [images] or None; InputError for a wrong type, length or class."""
    if labels is None:
        return None
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu":
        raise InputError(f"The labels must be integers, the class of each image, not {labels.dtype}.")
    if labels.shape != (images,):
        raise InputError(f"There are {images} calibration images but labels of shape {list(labels.shape)}.")
    if labels.min() < 0 or labels.max() >= classes:
        raise InputError(
            f"The labels must lie in 0..{classes - 1}, the classes of the model; they run from "
            f"{labels.min()} to {labels.max()}."
        )
    return labels.astype(np.int64)


def _sample_size(network, x):
    """Return how many images to hold the activations of."""
    values = sum(a.numel() for a in activations(network, torch.zeros(1, *x.shape[1:])).values())
    return min(len(x), max(16, ACTIVATION_BUDGET // values))


def _figures(network, net, images, labels, z, rule, means_stds):
    """Return what the conversion cost on the calibration images; fractions are 0..1."""
    last = network.layers[-1].name
    parts = [normalised(part, *means_stds) for part in torch.as_tensor(images).split(250)]
    ann = torch.cat([activations(network, part)[last].flatten(1).argmax(1) for part in parts]).numpy()
    found = z.argmax(axis=2)
    steps = exit_steps(z, rule)
    exited = found[np.arange(len(z)), steps - 1]
    truth = ann if labels is None else labels
    return {
        "exit_images": len(images),
        "measured_against": "the float network" if labels is None else "labels",
        "float_accuracy": float((ann == truth).mean()),
        "integer_accuracy": float((found[:, -1] == truth).mean()),
        "exit_accuracy": float((exited == truth).mean()),
        "mean_timesteps": float(steps.mean()),
    }


def _version():
    try:
        return metadata.version("adafire")
    except metadata.PackageNotFoundError:
        return "source"


def _shape(shape):
    return "x".join(map(str, shape))
