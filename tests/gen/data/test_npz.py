import io
import tracemalloc
import zipfile

import numpy as np
import pytest

from gen.data.npz import NpzSet
from gen.errors import InputError

X = np.arange(48, dtype=np.uint8).reshape(3, 1, 4, 4)
Y = np.array([2, 0, 1])


def save(tmp_path, **arrays):
    np.savez(tmp_path / "data.npz", **arrays)
    return tmp_path / "data.npz"


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.int32, np.uint16])
def test_images_and_labels(tmp_path, dtype):
    path = save(tmp_path, x=X, y=Y.astype(dtype), names=np.array(["a"], object))
    x, y = NpzSet(path, classes=3).load()
    np.testing.assert_array_equal(x, X)
    assert x.dtype == np.uint8 and y.dtype == np.int64 and y.tolist() == Y.tolist()


def test_labels_of_every_position(tmp_path):
    path, maps = tmp_path / "a.npz", np.arange(3 * 4 * 5).reshape(3, 4, 5)
    np.savez(path, x=X, y=maps)
    (x, y), = NpzSet(path).batches()
    np.testing.assert_array_equal(y, maps)
    assert len(x) == 3 and y.dtype == np.int64


@pytest.mark.parametrize("x", [X, X[:, 0], X[:, None], np.zeros((2, 3, 5, 7), np.uint8)])
def test_labels_are_optional(tmp_path, x):
    back, y = NpzSet(str(save(tmp_path, x=x))).load()
    assert back.shape == x.shape and y is None


@pytest.mark.parametrize(
    ("arrays", "text"),
    [
        ({"images": X, "y": Y}, r"holds no array 'x' \(it holds: images, y\): save images as x, uint8 \[N"),
        ({}, r"holds no array 'x' \(it holds: nothing\)"),
        ({"x": X.astype(np.float32)}, "x must be uint8, not float32: save the pixels unscaled, 0..255"),
        ({"x": X.astype(np.int64)}, "x must be uint8, not int64"),
        ({"x": X[0, 0]}, r"x must be \[N, C, H, W\] or \[N, H, W\], not 2-dimensional with shape \(4, 4\)"),
        ({"x": X[:0]}, r"x holds no images, its shape is \(0, 1, 4, 4\): give at least one"),
        ({"x": X[:, :, :, :0]}, "x holds no images"),
        ({"x": X, "y": Y[:2]}, r"y must be one label for each of 3 images, or a map of labels for each, not .* \(2,\)"),
        ({"x": X, "y": Y[:, None]}, r"y must be one label for each of 3 images, or a map .*, not of shape \(3, 1\)"),
        ({"x": X, "y": Y.astype(float)}, "y must hold integers, not float64: save the class numbers as they are"),
        ({"x": X, "y": Y > 0}, "y must hold integers, not bool"),
        ({"x": X, "y": Y - 1}, "y must hold labels from 0 up, its smallest is -1"),
        ({"x": X, "y": Y + 8}, r"y must hold labels in 0\.\.9, its largest is 10"),
        ({"x": np.array([X, None], object)}, r"x must be uint8, not object: save the pixels unscaled"),
        ({"x": X, "y": np.array([1, None, 2], object)}, r"y must hold integers, not object"),
    ],
)
def test_bad_arrays(tmp_path, arrays, text):
    path = save(tmp_path, **arrays)
    with pytest.raises(InputError, match=text) as caught:
        NpzSet(path, classes=10)
    assert str(caught.value).startswith(str(path))


def test_files_that_are_none(tmp_path):
    with pytest.raises(InputError, match="nothing.npz does not exist: check the name of the file with the images"):
        NpzSet(tmp_path / "nothing.npz")
    with pytest.raises(InputError, match="is a folder, not an .npz file with images: name the file in it"):
        NpzSet(tmp_path)
    np.save(tmp_path / "x.npy", X)
    (tmp_path / "text.npz").write_text("images")
    (tmp_path / "empty.npz").write_bytes(b"")
    for name in ("x.npy", "text.npz", "empty.npz"):
        with pytest.raises(InputError, match=f"{name} is not an .npz file, or a truncated one: save the arrays with"):
            NpzSet(tmp_path / name)


def test_every_truncated_or_altered_file_is_noticed(tmp_path):
    path = tmp_path / "data.npz"
    np.savez_compressed(path, x=X, y=Y)
    good = path.read_bytes()
    for length in range(0, len(good) - 1, 5):
        path.write_bytes(good[:length])
        with pytest.raises(InputError, match="is not an .npz file, or a truncated one|cannot be read as an .npz file"):
            NpzSet(path).load()
    start = good.index(b"x.npy") + 30
    for position in range(start, start + 60, 3):
        path.write_bytes(good[:position] + bytes([good[position] ^ 0x55]) + good[position + 1 :])
        with pytest.raises(InputError, match="cannot be read as an .npz file"):
            NpzSet(path).load()


def split_file(tmp_path):
    return save(tmp_path, x_train=X, y_train=Y, x_test=X[:2] + 100, y_test=Y[:2])


def test_a_file_with_splits(tmp_path):
    path = split_file(tmp_path)
    for split, images, labels in (("train", X, Y), ("test", X[:2] + 100, Y[:2])):
        x, y = NpzSet(path, split).load()
        np.testing.assert_array_equal(x, images)
        assert y.tolist() == labels.tolist()
    with pytest.raises(InputError, match="data.npz holds no split 'val': choose one of test, train"):
        NpzSet(path, "val")
    with pytest.raises(InputError, match=r"holds no array 'x' \(it holds: x_test, x_train, y_test, y_train\)"):
        NpzSet(path)


def test_the_labels_of_a_split_are_named_by_it(tmp_path):
    with pytest.raises(InputError, match="data.npz: y_test must hold labels from 0 up, its smallest is -5"):
        NpzSet(save(tmp_path, x_test=X, y_test=Y - 5), "test")


def test_images_without_splits_serve_for_every_one(tmp_path):
    assert len(NpzSet(save(tmp_path, x=X), "train")) == 3


def test_batches_are_read_as_they_are_asked_for(tmp_path):
    path = tmp_path / "large.npz"
    x = np.random.default_rng(0).integers(0, 256, (8_000, 1, 28, 28), np.uint8)
    np.savez_compressed(path, x=x, y=np.zeros(len(x), int))
    tracemalloc.start()
    count = total = 0
    for part, labels in NpzSet(path).batches(50):
        count, total = count + len(labels), total + int(part.sum())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (count, total) == (8_000, int(x.sum())) and peak < x.nbytes / 8


def test_fortran_order(tmp_path):
    x = np.asfortranarray(np.random.default_rng(0).integers(0, 256, (7, 2, 3, 4), np.uint8))
    back = np.concatenate([part for part, _ in NpzSet(save(tmp_path, x=x)).batches(3, 5)])
    np.testing.assert_array_equal(back, x[:5])


def test_a_header_that_promises_more_than_there_is(tmp_path):
    path = save(tmp_path, x=X)
    data = path.read_bytes()
    with zipfile.ZipFile(path, "w") as archive, zipfile.ZipFile(io.BytesIO(data)) as old:
        archive.writestr("x.npy", old.read("x.npy").replace(b"(3, 1, 4, 4)", b"(9, 1, 4, 4)"))
    with pytest.raises(InputError, match=r"\(x has 48 bytes, its header says shape \(9, 1, 4, 4\) of uint8\)"):
        NpzSet(path)
