"""Images in a folder: PNG or JPEG files in one subfolder for each class, or ``.npz`` files one after the other."""

from itertools import zip_longest
from pathlib import Path

import numpy as np

from gen.data.images import ImageSet
from gen.data.npz import NpzSet
from gen.errors import InputError, ToolMissing

__all__ = ["PictureSet", "ShardSet", "holds_images", "open_folder"]

SUFFIXES = {".png", ".jpg", ".jpeg"}
MODES = {"1": "L", "L": "L", "P": "RGB", "RGB": "RGB"}  # Pillow's name of a picture's kind to that of ours
_FORMS = (
    "pictures (.png, .jpg) in a subfolder for each class, .npz files with x and y, or folders train and test of these"
)


def open_folder(path, split="test", classes=None):
    """Return the `PictureSet` or `ShardSet` of a folder, or of ``split`` in it where it has subfolders train or test.

    Raises
    ------
    InputError : naming the folder and what it must hold.
    """
    path = Path(path)
    splits = sorted(name for name in {"train", "test", split} if (path / name).is_dir())
    if splits and split not in splits:
        raise InputError(f"{path} holds no split {split!r}: choose one of {', '.join(splits)}.")
    folder = path / split if splits else path
    shards, pictures = _files(folder, {".npz"}), _pictures(folder)
    if shards and pictures:
        raise InputError(f"{folder} holds both pictures and .npz files: keep one kind in it.")
    if not shards and not pictures:
        raise InputError(f"{folder} holds no images: it must have {_FORMS}.")
    return ShardSet(folder, shards, classes) if shards else PictureSet(folder, pictures, classes)


def holds_images(path):
    """Return whether the folder ``path`` looks like one for `open_folder`."""
    return any((path / name).is_dir() for name in ("train", "test")) or bool(_files(path, {".npz"}) or _pictures(path))


def _files(folder, suffixes):
    return sorted(
        file for file in folder.iterdir()
        if file.suffix.lower() in suffixes and file.is_file() and not file.name.startswith(".")
    ) if folder.is_dir() else []


def _pictures(folder):
    """Return {class's name, or None for those in the folder itself: files}, without empty ones."""
    held = {None: _files(folder, SUFFIXES)}
    for sub in sorted(folder.iterdir()) if folder.is_dir() else ():
        if sub.is_dir() and not sub.name.startswith("."):
            held[sub.name] = _files(sub, SUFFIXES)
    return {name: files for name, files in held.items() if files}


class ShardSet(ImageSet):
    """The images of several ``.npz`` files with ``x`` and, all of them or none, ``y``; sorted by name."""

    def __init__(self, folder, files, classes=None):
        self.name = str(folder)
        self._parts = [NpzSet(file, classes=classes) for file in files]
        first = self._parts[0]
        self.shape = first.shape
        for part in self._parts[1:]:
            if part.shape != first.shape:
                raise InputError(
                    f"{folder}: the images of {part.name} have shape {part.shape}, those of {first.name} "
                    f"{first.shape}: keep one kind of images in a folder."
                )
            if (part.labels is None) != (first.labels is None):
                raise InputError(f"{folder}: of {part.name} and {first.name} only one holds labels: give all or none.")
        labels = [part.labels for part in self._parts if part.labels is not None]
        if labels:
            self.labels = np.concatenate(labels)

    def __len__(self):
        return sum(map(len, self._parts))

    def _read(self, size, count):
        for part in self._parts:
            if count > 0:
                yield from (x for x, _ in part.batches(size, count))
                count -= len(part)


class PictureSet(ImageSet):
    """PNG or JPEG files, 8 bits gray [H, W] or color [3, H, W], all of one size.

    The labels are the names of the classes' folders if these are numbers, otherwise the folders' places in the sorted
    list. The order is the first picture of every class, then the second, and so on: the first N are of all classes.
    Pictures outside class folders have no labels.
    """

    def __init__(self, folder, pictures, classes=None):
        self.name, self.class_names = str(folder), [name for name in pictures if name is not None]
        if None in pictures and self.class_names:
            raise InputError(f"{folder} holds pictures beside the folders of classes: move them into their classes.")
        numbered = all(name.isdecimal() for name in self.class_names)
        numbers = {name: int(name) if numbered else place for place, name in enumerate(pictures) if name is not None}
        by_class = [[(file, numbers.get(name)) for file in files] for name, files in pictures.items()]
        inturn = [entry for entries in zip_longest(*by_class) for entry in entries if entry is not None]
        self._files = [file for file, _ in inturn]
        if numbers:
            self.labels = np.array([label for _, label in inturn], np.int64)
            if classes is not None and self.labels.max() >= classes:
                raise InputError(
                    f"{folder} has classes up to number {self.labels.max()}, counted from 0; there must be none above "
                    f"{classes - 1}: keep only the folders of classes that the network knows."
                )
        self._pillow = _pillow(folder)
        self.shape, self._mode = self._kind(self._files[0])

    def __len__(self):
        return len(self._files)

    def _opened(self, file, read):
        """Return ``read`` of an opened picture."""
        try:
            with self._pillow.open(file, formats=("PNG", "JPEG")) as picture:
                return read(picture)
        except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises for damaged files
            raise InputError(f"{file} cannot be read as a PNG or JPEG picture ({error}): replace it.") from error

    def _kind(self, file):
        """Return (shape, mode) of a picture, from its first bytes."""
        mode, (width, height) = self._opened(file, lambda picture: (picture.mode, picture.size))
        if mode not in MODES:
            raise InputError(f"{file} is of Pillow's kind {mode!r}: save it with 8 bits, gray or RGB, not transparent.")
        return ((3, height, width) if MODES[mode] == "RGB" else (height, width)), MODES[mode]

    def _read(self, size, count):
        for file in self._files[:count]:  # all of them before the first one is evaluated
            shape, _ = self._kind(file)
            if shape != self.shape:
                raise InputError(
                    f"{file} has shape {shape}, {self._files[0]} has {self.shape}: scale all pictures to one size, "
                    "and make them all gray or all RGB."
                )
        for start in range(0, count, size):
            yield np.stack([self._pixels(file) for file in self._files[start : min(start + size, count)]])

    def _pixels(self, file):
        x = self._opened(file, lambda picture: np.asarray(picture.convert(self._mode)))
        return x if x.ndim == 2 else x.transpose(2, 0, 1)


def _pillow(folder):
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise ToolMissing(f"Reading the pictures in {folder} needs Pillow: pip install pillow.") from error
    return Image
