"""Recordings of event cameras, cut into steps of equal length: the T frames that a network of frames looks at.

An event is a time in microseconds, a pixel and a polarity. A frame counts, for each polarity and pixel, the events of
its step; more than 255 are counted as 255. Step i holds the events from ``i * step`` on, counted from the time 0 of the
recording, and before ``(i + 1) * step``.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from gen.data.images import ImageSet
from gen.errors import InputError

__all__ = ["EventSet", "frames"]

COUNT_MAX = 255
ARRAYS = ("t", "x", "y", "p")


def frames(t, x, y, p, step: int, steps: int, size: tuple[int, int], polarities: int = 2) -> np.ndarray:
    """Return uint8 [steps, polarities, height, width] of one recording; what comes later is left out.

    Parameters
    ----------
    t : integers [N], microseconds; x, y : [N], column and row; p : [N], polarity, the channel of the frame
    step : microseconds of a frame
    size : (height, width)

    Raises
    ------
    InputError : events beside the picture, of another polarity or before time 0.
    """
    t, x, y, p = (np.asarray(values, np.int64) for values in (t, x, y, p))
    shape = (steps, polarities, *size)
    if step < 1 or steps < 1:
        raise InputError(f"A recording is cut into 1 or more steps of 1 us or more, not {steps} of {step} us.")
    for what, values, most in (("column", x, size[1]), ("row", y, size[0]), ("polarity", p, polarities)):
        if len(values) and not 0 <= values.min() <= values.max() < most:
            raise InputError(
                f"A recording has events of {what} {values.min()}..{values.max()}, its pictures have 0..{most - 1}."
            )
    if len(t) and t.min() < 0:
        raise InputError(f"A recording has an event at {t.min()} us: times must be counted from 0 up.")
    kept = t < step * steps
    place = np.ravel_multi_index((t[kept] // step, p[kept], y[kept], x[kept]), shape)
    counts = np.bincount(place, minlength=int(np.prod(shape)))
    return np.minimum(counts, COUNT_MAX).astype(np.uint8).reshape(shape)


class EventSet(ImageSet):
    """Recordings in an ``.npz`` file, each read as T frames, uint8 [T, polarities, height, width].

    Parameters
    ----------
    path : of a file with t, x, y and p, the events of all recordings one behind the other; offsets, recording i being
        the events ``offsets[i]`` to ``offsets[i + 1]``; and, optionally, label, one integer for each recording
    step : microseconds of a frame
    steps : frames of a recording, T; by default as many as the longest one needs
    split : a file with several sets has them as t_train, offsets_train, ...: the one to take
    size : (height, width) of the sensor; by default what the events of the file reach

    Raises
    ------
    InputError : naming the file, what is wrong with it and what it must hold.
    """

    path: Path

    def __init__(self, path: str | Path, step: int, steps: int | None = None, split: str | None = None,
                 size: tuple[int, int] | None = None):
        self.path, self.name, self._step = Path(path), Path(path).name, step
        ends = "" if split is None else f"_{split}"
        held = self._arrays()
        missing = [name + ends for name in (*ARRAYS, "offsets") if name + ends not in held]
        if missing:
            self._refuse(f"lacks {', '.join(missing)}; it holds {', '.join(held) or 'nothing'}")
        self._events = [held[name + ends] for name in ARRAYS]
        self._offsets, self.labels = held["offsets" + ends], held.get("label" + ends)
        self._check(ends)
        t, x, y, _ = self._events
        size = size or (int(y.max()) + 1, int(x.max()) + 1)
        self.shape = (steps or int(t.max()) // step + 1, 2, *size)

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def _arrays(self):
        try:
            with np.load(self.path) as file:
                return {name: file[name] for name in file.files}
        except (OSError, ValueError) as error:
            raise InputError(f"{self.path} cannot be read as an .npz file of events ({error}).") from error

    def _refuse(self, text):
        raise InputError(
            f"{self.path} {text}. Recordings are t (microseconds), x, y and p, one event each, and offsets, the first "
            "event of every recording and the end of the last."
        )

    def _check(self, ends):
        count, offsets = len(self._events[0]), self._offsets
        if any(a.ndim != 1 or a.dtype.kind not in "iu" for a in (*self._events, offsets)):
            self._refuse("holds events that are not integers in a row")
        if not count or any(len(a) != count for a in self._events):
            held = ", ".join(f"{len(a)} {name}" for name, a in zip(ARRAYS, self._events))
            self._refuse(f"holds {held}, not as many of each")
        if len(offsets) < 2 or offsets[0] != 0 or offsets[-1] != count or (np.diff(offsets.astype(np.int64)) < 0).any():
            self._refuse(f"has offsets{ends} that do not rise from 0 to {count}")
        if self.labels is not None:
            if self.labels.shape != (len(self),) or self.labels.dtype.kind not in "iu":
                self._refuse(f"has labels of shape {self.labels.shape} for {len(self)} recordings")
            self.labels = self.labels.astype(np.int64)

    def _read(self, size: int, count: int) -> Iterator[np.ndarray]:
        (steps, polarities, height, width), (t, x, y, p) = self.shape, self._events
        for start in range(0, count, size):
            bounds = pairwise(self._offsets[start : min(start + size, count) + 1])
            yield np.stack([
                frames(t[a:b], x[a:b], y[a:b], p[a:b], self._step, steps, (height, width), polarities)
                for a, b in bounds
            ])
