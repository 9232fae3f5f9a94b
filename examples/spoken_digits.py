"""Spoken digits: a one-dimensional CNN over time, from training to the integer network.

    python examples/spoken_digits.py spoken_digits.npz [--out spoken_digits]

The file has x, uint8 [N, bands, frames], log-mel features, y, the digits, and index; or it is a folder with the
recordings of the Free Spoken Digit Dataset, DIGIT_SPEAKER_INDEX.wav, of which `gen.data.sound` makes features.
Recordings of index 0 to 4 are the data set's own test part, the others train. All bands of a moment are channels of one
position, so the layers run over time alone. The folder gets the model, the network, the test part for `adafire evaluate
--data`, and figures.json.
"""

from pathlib import Path

import numpy as np
import torch
from kit import converted, figures, parser, ready, script, told, write  # beside this script
from torch import nn

from gen.data.forms import Sound
from gen.data.sound import FrontEnd, read_wav
from gen.data.train import fit
from gen.errors import InputError

FRONT_END = FrontEnd(hop=256, frames=32)
TEST_INDEX = 5  # recordings of a smaller index test
EPOCHS, BATCH, RATE = 50, 64, 5e-3
SHIFT = 2  # bands and frames that a recording is moved in training
TIMESTEPS, BURST = 2, 31


def words(bands: int = 32, frames: int = 32, classes: int = 10, widths=(48, 64, 64)) -> nn.Module:
    """Return the untrained network: [N, 1, bands, frames] to [N, classes]."""
    layers, channels, kernel = [], 1, (bands, 3)
    for width in widths:
        layers += [
            nn.Conv2d(channels, width, kernel, padding=(0, 1), bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.AvgPool2d((1, 2)),
        ]
        channels, kernel, frames = width, (1, 3), frames // 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.3), nn.Linear(channels * frames, classes))


def recordings(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return x uint8 [N, 1, bands, frames], y int64 [N] and index [N] of an ``.npz`` file or a folder of WAV files."""
    if path.is_dir():
        files = sorted(path.glob("*_*_*.wav"))
        if not files:
            raise InputError(f"{path} holds no DIGIT_SPEAKER_INDEX.wav, the recordings of the data set.")
        x = np.stack([FRONT_END.features(read_wav(file, FRONT_END.rate)) for file in files])
        y, index = (np.array([int(file.stem.split("_")[part]) for file in files]) for part in (0, 2))
        return x[:, None], y, index
    try:
        with np.load(path) as file:
            return file["x"][:, None], file["y"].astype(np.int64), file["index"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} cannot be read as features of spoken digits ({error}).") from error


def main():
    options = parser(__doc__, "spoken_digits").parse_args()
    x, y, index = recordings(options.data)
    ready(options)
    test = index < TEST_INDEX
    np.savez_compressed(options.out / "data.npz", x_train=x[~test], y_train=y[~test], x_test=x[test], y_test=y[test])
    module = words(*x.shape[2:]).to(memory_format=torch.channels_last)
    fit(module, x[~test], y[~test], epochs=options.epochs or EPOCHS, batch=BATCH, rate=RATE, shift=SHIFT,
        smoothing=0.05, seed=options.seed, progress=told)
    form = Sound(FRONT_END) if options.data.is_dir() else None
    network = converted(
        module, x[~test], y[~test], options.out / "spoken_digits", form, timesteps=TIMESTEPS, max_burst=BURST,
    )
    write(options.out, {"spoken digits": figures(module, network, x[test], y[test])})


if __name__ == "__main__":
    script(main)
