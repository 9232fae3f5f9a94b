"""Sound: from WAV files to log-mel features of 8 bits, by a front end in numpy that equals librosa's.

A recording of one channel becomes a picture of ``bands`` rows and ``frames`` columns, uint8 [bands, frames]::

    frames    `window` samples under a periodic Hann window, every `hop` samples from the first on; what is missing at
              the end is silence, what is longer is left out
    power     |FFT|^2 of each
    mel       triangles of height 1 whose corners lie evenly on the mel scale 2595 log10(1 + f / 700) from `low` to
              `high` Hz (the scale of HTK), multiplied with the powers and added up
    decibel   10 log10(max(mel, 1e-10)), less the loudest value of the recording; under -80 dB it is -80 dB
    value     round(255 (1 + decibel / 80))

In librosa this is ``melspectrogram(y=..., sr=rate, n_fft=window, hop_length=hop, center=False, n_mels=bands, fmin=low,
fmax=high, htk=True, norm=None)`` and ``power_to_db(..., ref=numpy.max, amin=1e-10, top_db=80)``, for training
(S. Davis, P. Mermelstein, "Comparison of parametric representations...", IEEE ASSP 28, 1980).
"""

import wave
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from gen.data.class_folders import by_class, class_files
from gen.data.images import ImageSet
from gen.errors import InputError

__all__ = ["FrontEnd", "SoundSet", "holds_sound", "read_wav"]

SUFFIXES = {".wav"}
RANGE_DB = 80.0
LEAST_POWER = 1e-10
MOST = 255


@dataclass(frozen=True)
class FrontEnd:
    """The numbers of a front end: rate in Hz, window and hop in samples, mel bands, frames, limits in Hz."""

    rate: int = 8000
    window: int = 256
    hop: int = 256
    bands: int = 32
    frames: int = 32
    low: float = 80.0
    high: float = 4000.0

    def __post_init__(self):
        if min(self.rate, self.window, self.hop, self.bands, self.frames) < 1 or not (
            0 <= self.low < self.high <= self.rate / 2
        ):
            raise InputError(
                f"A front end needs rate, window, hop, bands and frames from 1 up, and 0 <= low < high <= rate / 2; "
                f"these are {self}."
            )
        if not self.filters.any(axis=1).all():
            raise InputError(
                f"A window of {self.window} samples at {self.rate} Hz is too short for {self.bands} mel bands from "
                f"{self.low:g} to {self.high:g} Hz: some have no frequency. Take a longer window or fewer bands."
            )

    @property
    def samples(self) -> int:
        """How many samples of a recording are heard."""
        return self.window + (self.frames - 1) * self.hop

    @cached_property
    def filters(self) -> np.ndarray:
        """The triangles, float64 [bands, window // 2 + 1]."""
        lowest, highest = (2595 * np.log10(1 + f / 700) for f in (self.low, self.high))
        mel = np.linspace(lowest, highest, self.bands + 2)
        corners = 700 * (10 ** (mel / 2595) - 1)
        frequency = np.fft.rfftfreq(self.window, 1 / self.rate)
        left, middle, right = (corners[n : n + self.bands, None] for n in range(3))
        rising, falling = (frequency - left) / (middle - left), (right - frequency) / (right - middle)
        return np.maximum(0, np.minimum(rising, falling))

    def decibels(self, sound: np.ndarray) -> np.ndarray:
        """Return float64 [bands, frames], -80..0, of ``sound`` [samples], numbers in -1..1."""
        heard = np.zeros(self.samples)
        heard[: len(sound)] = sound[: self.samples]
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.window) / self.window)
        parts = np.lib.stride_tricks.sliding_window_view(heard, self.window)[:: self.hop]
        mel = self.filters @ (np.abs(np.fft.rfft(parts * hann)) ** 2).T
        level = 10 * np.log10(np.maximum(mel, LEAST_POWER))
        return np.maximum(level - level.max(), -RANGE_DB)

    def features(self, sound: np.ndarray) -> np.ndarray:
        """Return uint8 [bands, frames] of ``sound`` [samples], numbers in -1..1."""
        return np.rint(MOST * (1 + self.decibels(sound) / RANGE_DB)).astype(np.uint8)


class SoundSet(ImageSet):
    """WAV files as features, uint8 [bands, frames]: one file, or a folder with a subfolder for each class.

    Raises
    ------
    InputError : when it is reached, a file that cannot be read or is of another rate; names it.
    """

    def __init__(self, path: str | Path, front_end: FrontEnd, classes: int | None = None):
        path = Path(path)
        self.name, self._front_end = str(path), front_end
        self.shape = (front_end.bands, front_end.frames)
        if path.is_dir():
            found = class_files(path, by_class(path, SUFFIXES), classes, "sounds")
            self._files, self.labels, self.class_names = found.files, found.labels, found.names
        else:
            self._files, self.path = [path], path

    def __len__(self) -> int:
        return len(self._files)

    def _read(self, size: int, count: int) -> Iterator[np.ndarray]:
        for start in range(0, count, size):
            files = self._files[start : min(start + size, count)]
            yield np.stack([self._front_end.features(read_wav(file, self._front_end.rate)) for file in files])


def read_wav(path: str | Path, rate: int) -> np.ndarray:
    """Return float64 [samples] in -1..1 of a WAV file of integers; several channels are averaged.

    Raises
    ------
    InputError : no such file, another rate than ``rate``, or no samples; names it.
    """
    try:
        with wave.open(str(path), "rb") as file:
            channels, width, found, count = file.getparams()[:4]
            data = file.readframes(count)
    except (OSError, EOFError, wave.Error) as error:
        raise InputError(f"{path} cannot be read as a WAV file of integers ({error or 'it is cut off'}).") from error
    if found != rate:
        raise InputError(f"{path} has {found} samples a second, the network hears {rate}: resample it.")
    if len(data) != count * channels * width or not count:
        raise InputError(f"{path} holds {len(data)} bytes of sound, its header says {count * channels * width}.")
    values = _samples(np.frombuffer(data, np.uint8).reshape(-1, width))
    return values.reshape(-1, channels).mean(axis=1)


def _samples(bytes_):
    """Return float64 [samples] in -1..1 of little-endian integers, uint8 [samples, bytes]; one byte is unsigned."""
    width = bytes_.shape[1]
    weights = 256.0 ** np.arange(width)
    values, full = bytes_ @ weights, 256.0**width
    return (values - 128) / 128 if width == 1 else (values - full * (values >= full / 2)) / (full / 2)


def holds_sound(path: Path) -> bool:
    """Return whether ``path``, a file or a folder, holds WAV files."""
    return bool(by_class(path, SUFFIXES)) if path.is_dir() else path.suffix.lower() in SUFFIXES
