"""What is predicted from: pictures, folders of them, files of data, videos and cameras, one picture after the other.

All of them are opened before anything slow runs, so that what is missing or no picture is told at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np

from gen.data.datasets import open_for
from gen.data.forms import kind_of
from gen.errors import InputError, ToolMissing
from gen.intnet import Network
from gen.silence import silence

__all__ = ["DRAWN", "MASK", "MOVING", "VALUES", "Picture", "Sources"]

PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"}
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")
VIDEOS = {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"}
CAMERA = "camera:"
SPLIT = "test"  # of data in parts
POINTS = 96  # pixels a side of the picture of a set of points
CAMERA_PICTURES = 10  # where no limit is given
ENDINGS = DRAWN, MASK, VALUES, MOVING = (".png", ".mask.png", ".npz", ".gif")  # of the files that tell of a picture
FORMS = (
    f"a picture ({', '.join(sorted(PICTURES))}), a folder of pictures, an .npz file with x, a recording of the kind "
    f"that the network was converted for, a video ({', '.join(sorted(VIDEOS))}) or {CAMERA}0, the first camera"
)


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture.

    name : for the files that tell of it; where : what it is, in words
    pixels : uint8 [H, W, 3], red, green, blue, or [H, W]: what a person looks at
    image : what the network is given, uint8 [C, H, W] or frames [T, C, H, W], where that is not made of ``pixels``
    """

    name: str
    where: str
    pixels: np.ndarray
    image: np.ndarray | None = None


class Sources:
    """All inputs of a command, opened.

    Parameters
    ----------
    inputs : names of files, folders and cameras
    network : that looks at them
    limit : of pictures in all, or None
    every : the first of so many frames of a video or camera

    Raises
    ------
    InputError : an input that is not there, of no known kind, or not for this network.
    ToolMissing : a video or camera, without OpenCV.
    """

    def __init__(self, inputs: Iterable[str], network: Network, limit: int | None = None, every: int = 1):
        self._network, self._every, self._limit = network, every, limit
        self._shape, self._frames = network.source.shape, network.source.kind == "frames"
        self._reserved: set[str] = set()
        self._resources = ExitStack()
        self._opened: list[tuple[int | None, Iterator[Picture]]] = []
        with ExitStack() as failed:
            failed.callback(self.close)
            self._opened = [self._open(str(name)) for name in inputs]
            failed.pop_all()

    @property
    def total(self) -> int | None:
        """How many pictures there are; None where that is not known before the end."""
        counts = [number for number, _ in self._opened]
        if None in counts:
            return self._limit
        whole = sum(number for number in counts if number is not None)
        return whole if self._limit is None else min(whole, self._limit)

    def __iter__(self) -> Iterator[Picture]:
        return islice((picture for _, pictures in self._opened for picture in pictures), self._limit)

    def close(self) -> None:
        """Let go of videos and cameras."""
        self._resources.close()

    def __enter__(self) -> Sources:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, name):
        """Return (how many pictures, an iterator of them)."""
        path = Path(name)
        if name.startswith(CAMERA):
            return self._camera(name)
        if not path.exists():
            raise InputError(f"{name} does not exist: name {FORMS}.")
        if kind := kind_of(path, SPLIT):
            return self._arrays(path, kind)
        if path.is_dir():
            files = sorted(file for file in path.iterdir() if file.suffix.lower() in PICTURES and file.is_file())
            if not files:
                raise InputError(f"The folder {name} holds no pictures ({', '.join(sorted(PICTURES))}).")
            return self._files(files)
        kind = path.suffix.lower()
        if kind == ".npz":
            return self._arrays(path, None)
        if kind in VIDEOS:
            return self._video(path)
        if kind in PICTURES:
            return self._files([path])
        raise InputError(f"{name} is of no kind that is known here: name {FORMS}.")

    def _for_pictures(self, name):
        if self._frames or self._shape[0] not in (1, 3):
            what = "frames, recordings of events" if self._frames else f"maps of {self._shape[0]} channels"
            raise InputError(
                f"The network looks at {what}, which {name} does not hold: give an .npz file with x, as it was "
                "converted for."
            )

    def _name(self, wanted):
        """Return ``wanted``, or with a number behind it, so that no two files that tell of pictures have one name."""
        names = (wanted if n == 1 else f"{wanted}-{n}" for n in count(1))
        name = next(name for name in names if self._reserved.isdisjoint(_files_of(name)))
        self._reserved |= _files_of(name)
        return name

    def _files(self, files):
        self._for_pictures(files[0])
        for file in files[: self._limit]:
            _pillow(file, lambda picture: picture.size)
        return len(files), (
            Picture(self._name(file.stem), str(file), _pillow(file, _upright)) for file in files
        )

    def _arrays(self, path, kind):
        images = open_for(self._network, path, SPLIT)
        x = images.first(1)[0]
        whole = (x if x.ndim != 2 else x[None]).shape
        if len(whole) != (4 if self._frames else 3) or whole[-3] != self._shape[0]:
            taken = "frames, each of " if self._frames else ""
            raise InputError(
                f"The images in {path} have shape {list(x.shape)}, the network takes {taken}"
                f"{list(self._shape)} (channels, height, width): give those it was converted for."
            )

        def pictures():
            number = 0
            for batch, _ in images.batches(64):
                for x in batch:
                    image = x if x.ndim > 2 else x[None]
                    exact = image.shape[-3:] == self._shape
                    yield Picture(
                        self._name(f"{path.stem}-{number:05}"), f"{path}, image {number}", _seen(image, kind),
                        image if exact else None,
                    )
                    number += 1

        if whole[-2:] != self._shape[1:] and (self._frames or self._shape[0] not in (1, 3)):
            raise InputError(
                f"The images in {path} have {whole[-2]} x {whole[-1]} pixels, the network takes "
                f"{self._shape[1]} x {self._shape[2]}; only pictures of one or three channels are scaled."
            )
        return len(images), pictures()

    def _video(self, path):
        self._for_pictures(path)
        capture, found = self._capture(str(path), f"the video {path}")
        if not found[0]:
            raise InputError(f"The video {path} cannot be read: it is damaged, or of a kind that OpenCV does not know.")
        return None, self._moving(capture, path.stem, str(path), found)

    def _camera(self, name):
        self._for_pictures(name)
        number = name.removeprefix(CAMERA)
        if not number.isdecimal():
            raise InputError(f"{name} is no camera: name {CAMERA}0, {CAMERA}1, ...")
        capture, found = self._capture(int(number), f"the camera {number}")
        if not found[0]:
            raise InputError(f"The camera {number} gives no picture: see whether another program uses it.")
        pictures = self._moving(capture, f"camera{number}", name, found)
        most = CAMERA_PICTURES if self._limit is None else self._limit
        return most, islice(pictures, most)

    def _capture(self, what, told):
        """Return OpenCV's capture and what its first reading gives."""
        cv2 = _opencv(told)
        with silence():
            capture = cv2.VideoCapture(what)
            self._resources.callback(capture.release)
            opened = capture.isOpened()
            found = capture.read() if opened else (False, None)
        if not opened:
            raise InputError(f"There is no way to open {told}: check that it is there, and that you may read it.")
        return capture, found

    def _moving(self, capture, stem, where, found):
        for number in count():
            if not found[0]:
                return
            if number % self._every == 0:
                pixels = np.ascontiguousarray(found[1][..., ::-1])
                yield Picture(self._name(f"{stem}-{number:06}"), f"{where}, frame {number}", pixels)
            found = capture.read()


def _files_of(name):
    """Return the files that may tell of a picture, in lower case: some file systems take A.png for a.png."""
    return {f"{name}{ending}".casefold() for ending in ENDINGS}


def _seen(image, kind):
    """Return what a person sees of a network's image, uint8 [C, H, W] or [T, C, H, W] of a ``kind`` of data.

    Frames are added up; of points x and y are seen.
    """
    if kind == "points":
        plane = np.zeros((POINTS, POINTS), np.uint8)
        across, up = image[:2].reshape(2, -1).astype(int) * (POINTS - 1) // 255
        plane[POINTS - 1 - up, across] = 255
        return plane
    if image.ndim == 4:
        total = image.sum(axis=(0, 1), dtype=np.int64)
        return (total * 255 // max(int(total.max()), 1)).astype(np.uint8)
    if len(image) == 3:
        return np.ascontiguousarray(image.transpose(1, 2, 0))
    return image.mean(axis=0).astype(np.uint8)


def _upright(picture):
    """Return the pixels of a picture the way its camera was held; what is transparent is white."""
    from PIL import Image, ImageOps

    picture = ImageOps.exif_transpose(picture)
    if picture.mode in ("1", "L"):
        return np.asarray(picture.convert("L"))
    if picture.mode.startswith("I"):  # 16 bits
        values = np.asarray(picture, np.float64)
        return np.clip(values / 257 if values.max() > 255 else values, 0, 255).astype(np.uint8)
    if "A" in picture.mode or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return np.asarray(picture.convert("RGB"))


def _pillow(file: Path, read: Callable[[Any], Any]) -> Any:
    """Return ``read`` of an opened picture."""
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise ToolMissing(f"Reading {file} needs Pillow: pip install pillow.") from error
    try:
        with Image.open(file, formats=FORMATS) as picture:
            return read(picture)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # what Pillow raises
        raise InputError(f"{file} cannot be read as a picture ({error}): replace it, or leave it out.") from error


def _opencv(told):
    try:
        import cv2  # pyright: ignore[reportMissingImports] no part of what the project installs
    except ModuleNotFoundError as error:
        raise ToolMissing(f"Reading {told} needs OpenCV: pip install opencv-python-headless.") from error
    return cv2
