import gzip

import numpy as np
import pytest

from gen.data.parse import cifar10, idx
from gen.errors import InputError
from tests.gen.data import published


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4), (0, 28, 28)])
def test_idx(tmp_path, shape):
    array = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    (tmp_path / "a.gz").write_bytes(published.idx(array))
    np.testing.assert_array_equal(idx(tmp_path / "a.gz"), array)


@pytest.mark.parametrize("data, text", [
    (b"no gzip", "a.gz is not a gzip file"),
    (published.idx(np.zeros(9, np.uint8))[:-3], "a.gz is not a gzip file"),
    (gzip.compress(b"", mtime=0), "is not an IDX file of bytes"),
    (gzip.compress(b"\0\0\x0d\1\0\0\0\1\0\0\0\0", mtime=0), "is not an IDX file of bytes"),
    (gzip.compress(b"\0\0\x08\3\0\0\0\1", mtime=0), "is not an IDX file of bytes"),
    (gzip.compress(b"\0\0\x08\1\0\0\0\3ab", mtime=0), r"has 2 bytes for the shape \(3,\): download it again"),
])
def test_no_idx(tmp_path, data, text):
    (tmp_path / "a.gz").write_bytes(data)
    with pytest.raises(InputError, match=text):
        idx(tmp_path / "a.gz")


def test_cifar10(tmp_path):
    arrays, files = published.tiny("cifar10", train=12, test=3)
    (file, data), = files.items()
    (tmp_path / file).write_bytes(data)
    for name, array in cifar10(tmp_path).items():
        np.testing.assert_array_equal(array, arrays[name])
    for damaged in (data[:1000], b"", published.idx(np.zeros(3, np.uint8))):
        (tmp_path / file).write_bytes(damaged)
        with pytest.raises(InputError, match="cifar-10-binary.tar.gz is not the binary version of CIFAR-10"):
            cifar10(tmp_path)
