"""Images in a folder: PNG or JPEG files in one subfolder for each class, or ``.npz`` files one after the other."""

from pathlib import Path

import numpy as np

from gen.data.class_folders import by_class, class_files, files_of, split_folder
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
    folder = split_folder(path, split)
    shards, pictures = files_of(folder, {".npz"}), by_class(folder, SUFFIXES)
    if shards and pictures:
        raise InputError(f"{folder} holds both pictures and .npz files: keep one kind in it.")
    if not shards and not pictures:
        raise InputError(f"{folder} holds no images: it must have {_FORMS}.")
    return ShardSet(folder, shards, classes) if shards else PictureSet(folder, pictures, classes)


def holds_images(path):
    """Return whether the folder ``path`` looks like one for `open_folder`."""
    return any((path / name).is_dir() for name in ("train", "test")) or bool(
        files_of(path, {".npz"}) or by_class(path, SUFFIXES)
    )


class ShardSet(ImageSet):
    """The images of several ``.npz`` files with ``x`` and, all of them or none, ``y`` or ``boxes``; sorted by name."""

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
            for what in ("labels", "boxes", "values"):
                if (getattr(part, what) is None) != (getattr(first, what) is None):
                    raise InputError(
                        f"{folder}: of {part.name} and {first.name} only one holds {what}: give all or none."
                    )
        self.labels = _joined(part.labels for part in self._parts)
        self.values = _joined(part.values for part in self._parts)
        if first.boxes is not None:
            self.boxes = [boxes for part in self._parts for boxes in part.boxes or ()]

    def __len__(self):
        return sum(map(len, self._parts))

    def _read(self, size, count):
        for part in self._parts:
            if count > 0:
                yield from (x for x, _ in part.batches(size, count))
                count -= len(part)


def _joined(arrays):
    """Return the arrays one behind the other, None where there are none."""
    held = [array for array in arrays if array is not None]
    return np.concatenate(held) if held else None


class PictureSet(ImageSet):
    """PNG or JPEG files, 8 bits gray [H, W] or color [3, H, W], all of one size.

    Order and labels are those of `gen.data.class_folders.class_files`: the first N are of all classes.
    """

    def __init__(self, folder, pictures, classes=None):
        found = class_files(folder, pictures, classes, "pictures")
        self.name, self._files, self.labels, self.class_names = str(folder), found.files, found.labels, found.names
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
