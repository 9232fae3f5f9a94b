"""How raw data become the maps of a network: events, points and sounds. A form is a text, ``KIND:NAME=VALUE,...``::

    events:step=10ms,size=34x34      steps of 10 ms (or us); count=500 instead: of 500 events
    points:scale=1                   coordinates from -1 to 1
    sound:rate=8000,bands=32         numbers of `gen.data.sound.FrontEnd`

A network file carries that of its calibration data in its provenance, as ``input_form``.
"""

import zipfile
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from gen.data.class_folders import split_folder
from gen.data.events import Cut
from gen.data.images import ImageSet
from gen.data.points import PointSet
from gen.data.recordings import EventFiles, NpzEvents, holds_recordings
from gen.data.sound import FrontEnd, SoundSet, holds_sound
from gen.errors import InputError
from gen.intnet import Network

__all__ = [
    "KEY", "Events", "Form", "Points", "Sound", "check_form", "form_of", "kind_of", "open_form", "parse_form",
    "with_form",
]

KEY = "input_form"  # in the provenance of a network
MICROSECONDS = {"us": 1, "ms": 1000, "s": 1_000_000}


@dataclass(frozen=True)
class Events:
    """Recordings as frames: how they are cut, and (height, width) of a frame or None for the sensor's."""

    cut: Cut
    size: tuple[int, int] | None = None

    @classmethod
    def of(cls, values: dict[str, str]) -> "Events":
        """Return the form of the ``values`` in a text."""
        step, size = values.pop("step", None), values.pop("size", None)
        count = values.pop("count", None)
        return cls(
            Cut(None if step is None else _microseconds(step), None if count is None else int(count)),
            None if size is None else _size(size),
        )

    @property
    def text(self) -> str:
        """The form as a text."""
        step = self.cut.step or 0
        time = f"{step}us" if step % 1000 else f"{step // 1000}ms"
        by = f"step={time}" if step else f"count={self.cut.count}"
        return f"events:{by}" + (f",size={self.size[0]}x{self.size[1]}" if self.size else "")

    def open(self, path: Path, split: str, classes: int | None, frames: int | None) -> ImageSet:
        """Open the recordings at ``path`` as ``frames`` frames each, by default as many as the longest one needs."""
        if path.suffix.lower() == ".npz":
            return NpzEvents(path, self.cut, frames, split, self.size, classes)
        return EventFiles(path, self.cut, frames, self.size, classes)


@dataclass(frozen=True)
class Points:
    """Point sets whose coordinates lie in -scale..scale."""

    scale: float = 1.0

    @classmethod
    def of(cls, values: dict[str, str]) -> "Points":
        """Return the form of the ``values`` in a text."""
        return cls(float(values.pop("scale", "1")))

    @property
    def text(self) -> str:
        """The form as a text."""
        return f"points:scale={repr(self.scale).removesuffix('.0')}"

    def open(self, path: Path, split: str, classes: int | None, frames: int | None) -> ImageSet:
        """Open the point sets in the file ``path``."""
        return PointSet(path, self.scale, split, classes)


@dataclass(frozen=True)
class Sound:
    """Sounds as log-mel features."""

    front_end: FrontEnd

    @classmethod
    def of(cls, values: dict[str, str]) -> "Sound":
        """Return the form of the ``values`` in a text."""
        names = {field.name: field.type for field in fields(FrontEnd)}
        known = {name: values.pop(name) for name in list(values) if name in names}
        return cls(FrontEnd(**{name: names[name](value) for name, value in known.items()}))  # pyright: ignore[reportCallIssue] types are int and float

    @property
    def text(self) -> str:
        """The form as a text."""
        return "sound:" + ",".join(f"{name}={value}" for name, value in asdict(self.front_end).items())

    def open(self, path: Path, split: str, classes: int | None, frames: int | None) -> ImageSet:
        """Open the sounds at ``path``, a file or a folder."""
        return SoundSet(path, self.front_end, classes)


Form = Events | Points | Sound
KINDS: dict[str, Any] = {"events": Events, "points": Points, "sound": Sound}
EXAMPLES = {"events": "events:step=10ms", "points": "points:scale=1", "sound": "sound:rate=8000"}
CALLED = {"events": "recordings of events", "points": "sets of points", "sound": "sounds"}


def parse_form(text: str) -> Form:
    """Return the form that ``text`` names; InputError for one that is none."""
    kind, _, rest = text.partition(":")
    values = {name: value for name, _, value in (part.partition("=") for part in rest.split(",") if part)}
    if kind not in KINDS:
        raise InputError(f"The form of input {text!r} is none: {', '.join(EXAMPLES.values())} are some.")
    try:
        form = KINDS[kind].of(values)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"The form of input {text!r} has a value that is none ({error}): {EXAMPLES[kind]}.") from error
    if values:
        raise InputError(f"The form of input {text!r} has {', '.join(values)}, which {kind} do not know.")
    return form


def check_form(form: Form | None, shape: tuple[int, ...]) -> None:
    """Raise InputError where prepared maps, a batch of ``shape``, are none that ``form`` makes of raw data."""
    if isinstance(form, Events):
        made, wanted = len(shape) == 5 and shape[2] == 2, "[N, T, 2, height, width]"
    elif isinstance(form, Points):
        made, wanted = len(shape) == 4 and (shape[1], shape[3]) == (3, 1), "[N, 3, points, 1]"
    elif isinstance(form, Sound):
        front = form.front_end.bands, form.front_end.frames
        made, wanted = shape[-2:] == front and shape[1:-2] in ((), (1,)), f"[N, {front[0]}, {front[1]}]"
    else:
        return
    if not made:
        raise InputError(
            f"The form of input {form.text} makes maps {wanted}, the calibration data are {list(shape)}: give raw "
            "data, or maps that were made so, or leave --input out."
        )


def form_of(network: Network) -> Form | None:
    """Return the form of what a network was calibrated on, None of plain images."""
    known = network.provenance
    text = known.get("stages", [known])[0].get(KEY)
    return parse_form(text) if text else None


def with_form(network: Network, form: Form | None) -> Network:
    """Return ``network`` with the form of what it was calibrated on, which its file carries."""
    return replace(network, provenance={**network.provenance, KEY: form.text}) if form else network


def kind_of(path: Path, split: str) -> str | None:
    """Return what kind of raw data ``path`` holds, one of `KINDS`; None for images."""
    if path.is_dir():
        path = split_folder(path, split)
    elif path.suffix.lower() == ".npz":
        names = _arrays(path)
        held = {name.removesuffix(f"_{split}") for name in names}
        return "events" if {"t", "offsets"} <= held else "points" if "points" in held else None
    return "events" if holds_recordings(path) else "sound" if holds_sound(path) else None


def open_form(
    path: Path, kind: str, form: Form | None, split: str, classes: int | None, frames: int | None
) -> ImageSet:
    """Open raw data of a ``kind`` by ``form``; InputError where that is none or of another kind."""
    if not isinstance(form, KINDS[kind]):
        raise InputError(
            f"{path} holds {CALLED[kind]}: say how they become the maps of a network when it is converted, with "
            f"--input {EXAMPLES[kind]}" + (f"; this network's input is {form.text}." if form else ".")
        )
    return form.open(split_folder(path, split) if path.is_dir() else path, split, classes, frames)  # pyright: ignore[reportOptionalMemberAccess] it is one of KINDS


def _arrays(path):
    """Return the names of the arrays in an ``.npz`` file, none of a file that is none: others say what is wrong."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {name.removesuffix(".npy") for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile):
        return set()


def _microseconds(text):
    for unit, factor in MICROSECONDS.items():
        if text.endswith(unit) and text.removesuffix(unit).replace(".", "", 1).isdecimal():
            return round(float(text.removesuffix(unit)) * factor)
    raise ValueError(f"{text!r} is no time such as 10ms or 500us")


def _size(text):
    height, _, width = text.partition("x")
    return int(height), int(width)
