"""Events of a camera, cut into steps: the T frames that a network of frames looks at.

An event is a time in microseconds, a pixel and a polarity. A frame counts, for each polarity and pixel, the events of
its step; more than 255 are counted as 255. Steps have one length in time, or one number of events:

- ``step``: step i holds the events from ``i * step`` microseconds on, counted from the time 0 of the recording, and
  before ``(i + 1) * step``
- ``count``: step i holds the events ``i * count`` to ``(i + 1) * count - 1``

What comes after the last step is left out.
"""

from dataclasses import dataclass

import numpy as np

from gen.errors import InputError

__all__ = ["POLARITIES", "Cut", "Recording", "frames"]

COUNT_MAX = 255
POLARITIES = 2


@dataclass(frozen=True, eq=False)
class Recording:
    """One recording, its events in order of time.

    t : integers [N], microseconds; x, y : [N], column and row; p : [N], polarity, 0 for darker and 1 for brighter
    size : (height, width) of the sensor
    """

    t: np.ndarray
    x: np.ndarray
    y: np.ndarray
    p: np.ndarray
    size: tuple[int, int]


@dataclass(frozen=True)
class Cut:
    """How recordings are cut: into steps of ``step`` microseconds, or of ``count`` events; one of both."""

    step: int | None = None
    count: int | None = None

    def __post_init__(self):
        if (self.step is None) == (self.count is None) or (self.step or self.count or 0) < 1:
            raise InputError(
                f"A recording is cut into steps of 1 us or more, or of 1 event or more, not of {self.step} us and "
                f"{self.count} events."
            )

    @property
    def _events(self) -> int:
        return self.count or 1

    def places(self, t: np.ndarray) -> np.ndarray:
        """Return int64 [N], the step of every event."""
        return t // self.step if self.step else np.arange(len(t)) // self._events

    def steps(self, t: np.ndarray) -> int:
        """Return how many steps hold all events."""
        return int(self.places(np.asarray(t, np.int64)).max(initial=0)) + 1

    def ends(self, t: np.ndarray, steps: int) -> np.ndarray:
        """Return int64 [steps]: microseconds from the first event until each step is known to be over.

        A step of events is over with its last one; one that the recording does not fill, with the recording.
        """
        t = np.asarray(t, np.int64)
        if not len(t):
            return np.zeros(steps, np.int64)
        number = np.arange(1, steps + 1)
        over = number * self.step if self.step else t[np.minimum(number * self._events, len(t)) - 1]
        return np.maximum(over - t[0], 0)


def frames(recording: Recording, cut: Cut, steps: int, size: tuple[int, int]) -> np.ndarray:
    """Return uint8 [steps, 2, height, width] of a recording; its polarities are the channels.

    A sensor of another ``size`` (height, width) is scaled to it: an event at column x of W falls on column
    ``x * width // W``, and events of several pixels add up.

    Raises
    ------
    InputError : events beside the sensor, of another polarity or before time 0.
    """
    t, x, y, p = (np.asarray(values, np.int64) for values in (recording.t, recording.x, recording.y, recording.p))
    height, width = recording.size
    for what, values, most in (("column", x, width), ("row", y, height), ("polarity", p, POLARITIES)):
        if len(values) and not 0 <= values.min() <= values.max() < most:
            raise InputError(
                f"A recording has events of {what} {values.min()}..{values.max()}, its pictures have 0..{most - 1}."
            )
    if len(t) and t.min() < 0:
        raise InputError(f"A recording has an event at {t.min()} us: times must be counted from 0 up.")
    shape, place = (steps, POLARITIES, *size), cut.places(t)
    kept = place < steps
    index = place[kept], p[kept], y[kept] * size[0] // height, x[kept] * size[1] // width
    counts = np.bincount(np.ravel_multi_index(index, shape), minlength=int(np.prod(shape)))
    return np.minimum(counts, COUNT_MAX).astype(np.uint8).reshape(shape)
