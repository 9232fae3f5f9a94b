"""Images on their way in: read an ``.npz`` file, check it, subtract the source's offset."""

import math
import zipfile
import zlib
from pathlib import Path

import numpy as np

from gen.errors import InputError

__all__ = ["input_stream", "input_values", "load_images"]

_SHAPES = "[N, C, H, W] or [N, H, W]"


def load_images(path, need_labels=False, classes=None):
    """Read images and labels from an ``.npz`` file.

    Parameters
    ----------
    path : path of a file with the array ``x``, uint8 [N, C, H, W] or [N, H, W] (or [N, T, C, H, W] for a
        network that looks at frames), and, optionally, ``y``, N integer labels from 0 up.
    need_labels : whether a file without ``y`` is an error.
    classes : number of classes, where it is known; a label of ``classes`` or more is an error then.

    Returns
    -------
    (x, y) : uint8 array as stored, int64 [N] or None.

    Raises
    ------
    InputError : naming the file, what is wrong with it and what it must hold.
    """
    path = Path(path)
    arrays = _read(path)
    if "x" not in arrays:
        held = ", ".join(sorted(arrays)) or "nothing"
        raise InputError(f"{path} holds no array 'x' (it holds: {held}): save images as x, uint8 {_SHAPES}.")
    x = arrays["x"]
    if x.dtype != np.uint8:
        raise InputError(f"{path}: x must be uint8, not {x.dtype}: save the pixels unscaled, 0..255.")
    if x.ndim not in (3, 4, 5):
        raise InputError(f"{path}: x must be {_SHAPES}, not {x.ndim}-dimensional with shape {x.shape}.")
    if x.size == 0:
        raise InputError(f"{path}: x holds no images, its shape is {x.shape}: give at least one.")
    if "y" in arrays:
        return x, _labels(path, arrays["y"], len(x), classes)
    if need_labels:
        raise InputError(f"{path} holds no labels: save them as y, {len(x)} integers, beside x.")
    return x, None


def _read(path):
    """Return name to array; arrays that nobody asks for are not read and None."""
    mend = "save the arrays with numpy.savez(path, x=images, y=labels)."
    if not path.exists():
        raise InputError(f"{path} does not exist: check the name of the file with the images.")
    if path.is_dir():
        raise InputError(f"{path} is a folder, not an .npz file with images: name the file in it.")
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path} is not an .npz file, or a truncated one: {mend}")
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] if name in ("x", "y") else None for name in file.files}
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path} cannot be read as an .npz file ({error}): {mend}") from error


def _labels(path, y, count, classes):
    if y.dtype.kind not in "iu":
        raise InputError(f"{path}: y must hold integers, not {y.dtype}: save the class numbers as they are.")
    if y.shape != (count,):
        raise InputError(f"{path}: y must be one label for each of {count} images, not of shape {y.shape}.")
    if y.min() < 0:
        raise InputError(f"{path}: y must hold labels from 0 up, its smallest is {y.min()}.")
    if classes is not None and y.max() >= classes:
        raise InputError(f"{path}: y must hold labels in 0..{classes - 1}, its largest is {y.max()}.")
    return y.astype(np.int64)


def input_values(network, x):
    """Return the integers that ``network`` sees for the images ``x``.

    Parameters
    ----------
    network : gen.intnet.IntegerNetwork
    x : integers [N, C, H, W]; [N, T, C, H, W] for a network of frames. One channel may be left out.

    Returns
    -------
    int64 of the same shape with the channel in place: pixel minus the channel's offset.

    Raises
    ------
    InputError : the images are of another shape or range than the network's source.
    """
    source, x = network.source, np.asarray(x)
    expected = source.shape if source.kind == "direct" else (network.timesteps, *source.shape)
    if x.dtype.kind not in "iu":
        raise InputError(f"The images must hold integers (uint8 pixels), not {x.dtype}.")
    if source.shape[0] == 1 and x.ndim == len(expected) and x.shape[1:] == expected[:-3] + expected[-2:]:
        x = np.expand_dims(x, -3)
    if x.ndim != len(expected) + 1 or x.shape[1:] != expected:
        what = "channels, height, width" if source.kind == "direct" else "timesteps, channels, height, width"
        raise InputError(
            f"The network takes images of shape {expected} ({what}), these have shape {x.shape[1:]}: "
            "give the images the network was converted for."
        )
    if x.size and not (source.low <= x.min() and x.max() <= source.high):
        raise InputError(
            f"The network takes pixels in {source.low}..{source.high}, these lie in {x.min()}..{x.max()}: "
            "scale them as those it was converted for."
        )
    return x.astype(np.int64) - source.offset[:, None, None]


def input_stream(network, x):
    """Return `input_values` as they travel, int32 [N, words]: map by map in raster order, channels innermost."""
    values = np.moveaxis(input_values(network, x), -3, -1)
    return np.ascontiguousarray(values.reshape(len(values), math.prod(values.shape[1:])), np.int32)
