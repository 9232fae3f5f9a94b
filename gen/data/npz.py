"""Images in an ``.npz`` file, read from the archive batch by batch: no more of them is unpacked than is asked for."""

import math
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from gen.data.images import ImageSet
from gen.errors import InputError

__all__ = ["NpzSet"]

_SHAPES = "[N, C, H, W] or [N, H, W]"
_MEND = "save the arrays with numpy.savez(path, x=images, y=labels)."
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


class NpzSet(ImageSet):
    """Images and labels of an ``.npz`` file.

    Parameters
    ----------
    path : path of a file with the array ``x``, uint8 [N, C, H, W] or [N, H, W] (or [N, T, C, H, W] for a network
        that looks at frames), and, optionally, ``y``, N integer labels from 0 up, or [N, H', W'] of every position of
        an output that is a map; or floats [N, C] or [N, C, H, W], the numbers that an output shall have. ``boxes``,
        [M, 6], has a row for each thing to be found: number of the image from 0, class, left, top, right, bottom.
    split : a file with several sets has them as ``x_train``, ``y_train``, ``x_test``, ...: the one to take. None: the
        file must hold ``x``.
    classes : number of classes, where it is known; a label of ``classes`` or more is an error then.

    Raises
    ------
    InputError : naming the file, what is wrong with it and what it must hold. That an archive is damaged may show
        only when its images are read.
    """

    path: Path

    def __init__(self, path, split=None, classes=None):
        self.path = Path(path)
        self.name, held = self.path.name, self._arrays()
        wanted = ["x"] if split is None else [f"x_{split}", "x"]
        self._images = next((name for name in wanted if name in held), None)
        if self._images is None:
            raise InputError(self._missing(held, split))
        shape, _, dtype = self._header(self._images)
        if dtype != np.uint8:
            self._refuse(f"must be uint8, not {dtype}: save the pixels unscaled, 0..255.")
        if len(shape) not in (3, 4, 5):
            self._refuse(f"must be {_SHAPES}, not {len(shape)}-dimensional with shape {shape}.")
        if not math.prod(shape):
            self._refuse(f"holds no images, its shape is {shape}: give at least one.")
        self._count, self.shape = shape[0], shape[1:]
        labels, boxes = (self._images.replace("x", name, 1) for name in ("y", "boxes"))
        if labels in held and self._are_values(labels):
            self.values = self._read_values(labels)
        elif labels in held:
            self.labels = self._read_labels(labels, classes)
        if boxes in held:
            self.boxes = self._read_boxes(boxes)

    def __len__(self):
        return self._count

    def _refuse(self, text, name=None):
        raise InputError(f"{self.path}: {name or self._images} {text}")

    def _missing(self, held, split):
        """Return what to say of a file that has not the images asked for."""
        splits = sorted(name[2:] for name in held if name.startswith("x_"))
        if split is not None and splits:
            return f"{self.path} holds no split {split!r}: choose one of {', '.join(splits)}."
        listed = ", ".join(sorted(held)) or "nothing"
        return f"{self.path} holds no array 'x' (it holds: {listed}): save images as x, uint8 {_SHAPES}."

    def _arrays(self):
        if not self.path.exists():
            raise InputError(f"{self.path} does not exist: check the name of the file with the images.")
        if self.path.is_dir():
            raise InputError(f"{self.path} is a folder, not an .npz file with images: name the file in it.")
        if not zipfile.is_zipfile(self.path):
            raise InputError(f"{self.path} is not an .npz file, or a truncated one: {_MEND}")
        with self._readable(), zipfile.ZipFile(self.path) as archive:
            return {name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")}

    @contextmanager
    def _readable(self):
        """Make what zipfile, zlib and numpy raise an InputError. (ValueError is also its base: raise none inside.)"""
        try:
            yield
        except (ValueError, EOFError, OSError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
            raise InputError(f"{self.path} cannot be read as an .npz file ({error}): {_MEND}") from error

    @contextmanager
    def _member(self, name):
        """Yield (stream at the array's first byte, shape, whether in Fortran order, dtype)."""
        with zipfile.ZipFile(self.path) as archive, archive.open(f"{name}.npy") as stream:
            version = npy.read_magic(stream)
            if version not in _HEADERS:
                raise ValueError(f"{name} is in version {version} of the .npy format")
            shape, fortran, dtype = _HEADERS[version](stream)
            size = archive.getinfo(f"{name}.npy").file_size - stream.tell()
            if not dtype.hasobject and size != math.prod(shape) * dtype.itemsize:
                raise ValueError(f"{name} has {size} bytes, its header says shape {shape} of {dtype}")
            yield stream, shape, fortran, dtype

    def _header(self, name):
        with self._readable(), self._member(name) as (_, shape, fortran, dtype):
            return shape, fortran, dtype

    def _whole(self, name):
        with self._readable(), self._member(name) as (stream, shape, fortran, dtype):
            return np.frombuffer(stream.read(), dtype).reshape(shape, order="F" if fortran else "C")

    def _read_labels(self, name, classes):
        shape, _, dtype = self._header(name)
        if dtype.kind not in "iu":
            self._refuse(f"must hold integers, not {dtype}: save the class numbers as they are.", name)
        if len(shape) not in (1, 3) or shape[0] != len(self):
            self._refuse(
                f"must be one label for each of {len(self)} images, or a map of labels for each, not of shape {shape}.",
                name,
            )
        y = self._whole(name)
        if y.min() < 0:
            self._refuse(f"must hold labels from 0 up, its smallest is {y.min()}.", name)
        if classes is not None and y.max() >= classes:
            self._refuse(f"must hold labels in 0..{classes - 1}, its largest is {y.max()}.", name)
        return y.astype(np.int64)

    def _are_values(self, name):
        shape, _, dtype = self._header(name)
        return dtype.kind == "f" and len(shape) in (2, 4)

    def _read_values(self, name):
        values = self._whole(name).astype(np.float64)
        if len(values) != len(self) or not np.isfinite(values).all():
            self._refuse(f"must hold finite numbers for each of {len(self)} images, its shape is {values.shape}.", name)
        return values.reshape(*values.shape[:2], *(values.shape[2:] or (1, 1)))

    def _read_boxes(self, name):
        shape, _, dtype = self._header(name)
        if dtype.kind not in "iuf" or len(shape) != 2 or shape[1] != 6:
            self._refuse(
                f"must be numbers [M, 6], image, class, left, top, right and bottom of each box, not {dtype} of shape "
                f"{shape}.", name,
            )
        rows = self._whole(name).astype(np.float64)
        image, number = rows[:, 0], rows[:, 1]
        if not np.isfinite(rows).all() or (rows[:, 4:] < rows[:, 2:4]).any():
            self._refuse("holds boxes that end before they begin: give left, top, right and bottom.", name)
        if (image % 1).any() or (number % 1).any() or (number < 0).any() or not self._holds(image):
            self._refuse(f"must number images 0..{len(self) - 1} and classes from 0 up, by whole numbers.", name)
        order = np.argsort(image, kind="stable")
        return np.split(rows[order, 1:], np.searchsorted(image[order], np.arange(1, len(self))))

    def _holds(self, image):
        return not image.size or (0 <= image.min() and image.max() < len(self))

    def _read(self, size, count):
        if self._header(self._images)[1]:  # in Fortran order the first image is spread over the whole array
            x = self._whole(self._images)
            yield from (x[start : min(start + size, count)] for start in range(0, count, size))
            return
        with zipfile.ZipFile(self.path) as archive, archive.open(f"{self._images}.npy") as stream:
            with self._readable():
                _HEADERS[npy.read_magic(stream)](stream)
            for start in range(0, count, size):
                n = min(size, count - start)
                with self._readable():
                    data = stream.read(n * math.prod(self.shape))
                    if start + n == len(self):
                        stream.read(1)  # zipfile compares the checksum at the end only
                    x = np.frombuffer(data, np.uint8).reshape(n, *self.shape)
                yield x
