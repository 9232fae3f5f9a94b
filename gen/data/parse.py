"""The files in which MNIST, Fashion-MNIST and CIFAR-10 are published."""

import gzip
import math
import tarfile
import zlib

import numpy as np

from gen.errors import InputError

__all__ = ["cifar10", "idx", "mnist"]

_MNIST = {
    "x_train": "train-images-idx3-ubyte.gz", "y_train": "train-labels-idx1-ubyte.gz",
    "x_test": "t10k-images-idx3-ubyte.gz", "y_test": "t10k-labels-idx1-ubyte.gz",
}
_CIFAR = {"train": [f"data_batch_{n}.bin" for n in range(1, 6)], "test": ["test_batch.bin"]}
_CIFAR_SHAPE = 3, 32, 32


def mnist(folder):
    """Return {x_train, y_train, x_test, y_test} of the four files in ``folder``, x uint8 [N, 28, 28], y uint8 [N]."""
    return {name: idx(folder / file) for name, file in _MNIST.items()}


def idx(path):
    """Return the uint8 array of a gzipped IDX file: two zeros, 8, the number of axes, their lengths, the bytes."""
    try:
        data = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} is not a gzip file ({error}): download it again.") from error
    start = 4 + 4 * (data[3] if len(data) > 3 else 0)
    if data[:3] != b"\0\0\x08" or len(data) < start:
        raise InputError(f"{path} is not an IDX file of bytes: download it again.")
    shape = tuple(map(int, np.frombuffer(data[4:start], ">u4")))
    if len(data) - start != math.prod(shape):
        raise InputError(f"{path} has {len(data) - start} bytes for the shape {shape}: download it again.")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def cifar10(folder):
    """Return {x_train, y_train, x_test, y_test} of ``cifar-10-binary.tar.gz``, x uint8 [N, 3, 32, 32], y uint8 [N].

    A record is one byte, the label, and the red, green and blue map of the image.
    """
    path = folder / "cifar-10-binary.tar.gz"
    size, arrays = 1 + int(np.prod(_CIFAR_SHAPE)), {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for split, files in _CIFAR.items():
                members = [_member(archive, f"cifar-10-batches-bin/{file}") for file in files]
                records = np.frombuffer(b"".join(members), np.uint8).reshape(-1, size)
                arrays[f"x_{split}"] = records[:, 1:].reshape(-1, *_CIFAR_SHAPE)
                arrays[f"y_{split}"] = records[:, 0]
    except (OSError, EOFError, KeyError, ValueError, tarfile.TarError, zlib.error) as error:
        raise InputError(f"{path} is not the binary version of CIFAR-10 ({error}): download it again.") from error
    return arrays


def _member(archive, name):
    held = archive.extractfile(name)
    if held is None:
        raise ValueError(f"{name} is no file")
    return held.read()
