"""N-MNIST, digits seen by an event camera: a network trained on mean frames, beside the published spiking one.

    python examples/nmnist.py nmnist_small.npz [--model cnn_sinabs.nir] [--out nmnist] [--step 30]

The 300 ms of a recording are cut into frames of `--step` milliseconds. The network is trained as an ANN on the mean of
the first frames, a random number of them: what it sees of a recording that is not over. Converted, it takes a frame a
timestep, and its exit rule ends a recording when it is sure. `--model` converts the NIR paper's network for the same
frames, as it is. Both are judged on the first 500 training recordings and all test recordings; the other training
recordings are all that the first one learns from. The folder gets the models, the networks and figures.json with the
accuracy against the time seen.
"""

from pathlib import Path

import numpy as np
import torch
from kit import converted, parser, ready, script, shuffled, told, write  # beside this script
from torch import nn
from torch.nn import functional as F

from gen.data.events import Cut
from gen.data.forms import Events, with_form
from gen.data.recordings import NpzEvents
from gen.data.train import descend
from gen.errors import InputError
from gen.intnet import IntegerNetwork
from gen.method.convert import convert
from gen.netfile import save_network
from sim.golden import Golden

DURATION, SIZE = 300, (34, 34)
JUDGED = 500  # training recordings that nothing is trained with
BATCH, EPOCHS, RATE = 50, 60, 1e-2
TURN, SCALE, SHIFT = 0.17, 0.12, 0.12  # radians, shares of the size: how far a recording is bent in training
EXITS = {"exit": "margin", "exit_loss": 0.5}
BURST = 15


def digits(classes: int = 10, widths=(16, 32, 32)) -> nn.Module:
    """Return the untrained network: [N, 2, 34, 34], mean counts of a frame, to [N, classes]."""
    layers, channels = [], 2
    for width in widths:
        layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
                   nn.AvgPool2d(2)]
        channels = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.3), nn.Linear(channels * 16, classes))


def begun(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return the mean of the first frames of ``x`` [N, T, 2, H, W], a random number of them, turned, scaled and moved.

    The counts are multiplied by 255, by which training divides: the model sees counts.
    """
    count, steps = x.shape[:2]
    seen = torch.randint(1, steps + 1, (count, 1), generator=generator)
    taken = (torch.arange(steps) < seen).float() / seen
    mean = torch.einsum("nt,ntchw->nchw", taken, x.float())
    turn, scale, right, down = ((2 * torch.rand(count, generator=generator) - 1) * most for most in (
        TURN, SCALE, SHIFT, SHIFT))
    c, s = (1 + scale) * turn.cos(), (1 + scale) * turn.sin()
    bent = torch.stack([torch.stack([c, -s, right], 1), torch.stack([s, c, down], 1)], 1)
    return 255 * F.grid_sample(mean, F.affine_grid(bent, list(mean.shape), align_corners=False), align_corners=False)


def recordings(path: Path, split: str, form: Events, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return frames uint8 [N, T, 2, 34, 34] and labels int64 [N]."""
    x, labels = NpzEvents(path, form.cut, steps, split, form.size).load()
    if labels is None:
        raise InputError(f"{path} lacks label_{split}, the digit of each recording.")
    return x, labels


def seen(network: IntegerNetwork, x: np.ndarray, labels: np.ndarray, step: int) -> dict:
    """Return what ``network`` knows of recordings when, by the golden model."""
    golden = Golden(network)
    right = golden.all_logits(x).argmax(axis=2) == labels[:, None]
    result = golden.run(x)
    decided = result.exit_steps * step
    return {
        "recordings": len(x), "accuracy_by_ms": {step * (t + 1): float(part.mean()) for t, part in enumerate(right.T)},
        "accuracy": float(right[:, -1].mean()), "accuracy_with_exits": float((result.classes == labels).mean()),
        "median_decision_ms": float(np.median(decided)), "mean_decision_ms": float(decided.mean()),
        "exit_histogram": np.bincount(result.exit_steps, minlength=x.shape[1] + 1)[1:].tolist(),
        "synaptic_ops_per_recording": float(result.synaptic_ops.mean()),
    }


def main():
    asked = parser(__doc__, "nmnist")
    asked.add_argument("--model", type=Path, help="cnn_sinabs.nir, the published network")
    asked.add_argument("--step", type=int, default=30, help="milliseconds of a frame")
    options = asked.parse_args()
    form, steps = Events(Cut(1000 * options.step), SIZE), -(-DURATION // options.step)
    x, y = recordings(options.data, "train", form, steps)
    x_test, y_test = recordings(options.data, "test", form, steps)
    ready(options)
    judged, labels = np.concatenate([x[:JUDGED], x_test]), np.concatenate([y[:JUDGED], y_test])
    x, y = x[JUDGED:], y[JUDGED:]
    rows = {}
    if options.model:
        network = with_form(convert(options.model, x, max_burst=BURST, **EXITS), form)
        save_network(network, options.out / "published.safetensors")
        rows["published, spiking"] = seen(network, judged, labels, options.step)
    module = digits().to(memory_format=torch.channels_last)
    batches = shuffled(torch.as_tensor(x), torch.as_tensor(y), BATCH, len(x) // BATCH, begun, options.seed)
    descend(module, batches, F.cross_entropy, epochs=options.epochs or EPOCHS, steps=len(x) // BATCH, rate=RATE,
            progress=told)
    network = converted(module, x, None, options.out / "nmnist", form, max_burst=BURST, **EXITS)
    with torch.no_grad():
        found = module(torch.as_tensor(judged).float().mean(dim=1)).argmax(dim=1).numpy()
    rows["trained on mean frames"] = {
        "float_accuracy": float((found == labels).mean()), **seen(network, judged, labels, options.step),
    }
    write(options.out, rows)


if __name__ == "__main__":
    script(main)
