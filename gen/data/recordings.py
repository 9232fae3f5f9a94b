"""Sets of recordings of an event camera, read as the T frames of a network: ``.npz`` files, other files, folders."""

from abc import abstractmethod
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from gen.data.class_folders import by_class, class_files
from gen.data.event_files import EVENT_SUFFIXES, read_recording
from gen.data.events import POLARITIES, Cut, Recording, frames
from gen.data.images import ImageSet
from gen.errors import InputError

__all__ = ["EventFiles", "EventSet", "NpzEvents", "holds_recordings"]

ARRAYS = ("t", "x", "y", "p")


class EventSet(ImageSet):
    """N recordings, each read as T frames, uint8 [T, 2, height, width].

    Parameters
    ----------
    cut : how recordings become steps
    steps : frames of a recording, T; by default as many as the longest one needs
    size : (height, width) of the frames; by default that of the sensor
    """

    _cut: Cut
    _steps: int | None
    _size: tuple[int, int] | None

    def __init__(self, cut: Cut, steps: int | None, size: tuple[int, int] | None):
        self._cut, self._steps, self._size = cut, steps, size

    @abstractmethod
    def recording(self, number: int) -> Recording:
        """Return the recording ``number``, from 0."""

    @cached_property
    def shape(self) -> tuple[int, int, int, int]:  # pyright: ignore[reportIncompatibleVariableOverride] as expensive
        """Shape of the frames of a recording; without ``steps`` every recording is read for it."""
        steps = self._steps or max(self._cut.steps(self.recording(number).t) for number in range(len(self)))
        return (steps, POLARITIES, *(self._size or self.recording(0).size))

    def ends(self, number: int) -> np.ndarray:
        """Return int64 [T]: microseconds from the first event of a recording until each of its frames is over."""
        return self._cut.ends(self.recording(number).t, self.shape[0])

    def _read(self, size: int, count: int) -> Iterator[np.ndarray]:
        steps, _, *plane = self.shape
        for start in range(0, count, size):
            numbers = range(start, min(start + size, count))
            yield np.stack([frames(self.recording(n), self._cut, steps, (plane[0], plane[1])) for n in numbers])


class EventFiles(EventSet):
    """Files of one recording each, of the formats of `gen.data.event_files`: one file, or a folder by class."""

    def __init__(self, path: str | Path, cut: Cut, steps: int | None = None, size: tuple[int, int] | None = None,
                 classes: int | None = None):
        super().__init__(cut, steps, size)
        path = Path(path)
        self.name = str(path)
        if path.is_dir():
            found = class_files(path, by_class(path, EVENT_SUFFIXES), classes, "recordings")
            self._files, self.labels, self.class_names = found.files, found.labels, found.names
        else:
            self._files, self.path = [path], path
        self._last: tuple[int, Recording] | None = None

    def __len__(self) -> int:
        return len(self._files)

    def recording(self, number: int) -> Recording:
        if self._last is None or self._last[0] != number:
            self._last = number, read_recording(self._files[number])
        return self._last[1]


class NpzEvents(EventSet):
    """Recordings in an ``.npz`` file.

    Parameters
    ----------
    path : of a file with t, x, y and p, the events of all recordings one behind the other; offsets, recording i being
        the events ``offsets[i]`` to ``offsets[i + 1]``; and, optionally, label, one integer for each recording
    split : a file with several sets has them as t_train, offsets_train, ...: the one to take, if it is there
    classes : number of classes, where it is known; a label of ``classes`` or more is an error then

    Raises
    ------
    InputError : naming the file, what is wrong with it and what it must hold.
    """

    path: Path

    def __init__(self, path: str | Path, cut: Cut, steps: int | None = None, split: str | None = None,
                 size: tuple[int, int] | None = None, classes: int | None = None):
        super().__init__(cut, steps, size)
        self.path, self.name = Path(path), Path(path).name
        held = self._arrays()
        ends = "" if split is None or "t" in held else f"_{split}"
        missing = [name + ends for name in (*ARRAYS, "offsets") if name + ends not in held]
        if missing:
            self._refuse(f"lacks {', '.join(missing)}; it holds {', '.join(held) or 'nothing'}")
        self._events = [held[name + ends] for name in ARRAYS]
        self._offsets, self.labels = held["offsets" + ends], held.get("label" + ends)
        self._check(ends, classes)
        _, x, y, _ = self._events
        self._sensor = int(y.max()) + 1, int(x.max()) + 1
        if size is not None:  # a sensor that is smaller than the frames, or has no events at its border
            self._sensor = max(self._sensor[0], size[0]), max(self._sensor[1], size[1])

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def recording(self, number: int) -> Recording:
        part = slice(int(self._offsets[number]), int(self._offsets[number + 1]))
        t, x, y, p = (values[part] for values in self._events)
        return Recording(t, x, y, p, self._sensor)

    def _arrays(self):
        try:
            with np.load(self.path) as file:
                return {name: file[name] for name in file.files}
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"{self.path} cannot be read as an .npz file of events ({error}).") from error

    def _refuse(self, text):
        raise InputError(
            f"{self.path} {text}. Recordings are t (microseconds), x, y and p, one event each, and offsets, the first "
            "event of every recording and the end of the last."
        )

    def _check(self, ends, classes):
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
            if classes is not None and self.labels.max() >= classes:
                self._refuse(f"has a label {self.labels.max()}, the network has classes 0..{classes - 1}")
            self.labels = self.labels.astype(np.int64)


def holds_recordings(path: Path) -> bool:
    """Return whether ``path``, a file or a folder, holds recordings of events, by the names of files or arrays."""
    if path.is_dir():
        return bool(by_class(path, EVENT_SUFFIXES))
    return path.suffix.lower() in EVENT_SUFFIXES
