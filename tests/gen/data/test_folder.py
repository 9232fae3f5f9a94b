import sys

import numpy as np
import pytest
from PIL import Image

from gen.data.folder import open_folder
from gen.errors import InputError, ToolMissing

RANDOM = np.random.default_rng(0)


def picture(path, pixels=None, mode=None):
    """Write random pixels, 4 x 6 and gray if not told otherwise, as a picture; return them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = RANDOM.integers(0, 256, (4, 6), np.uint8) if pixels is None else pixels
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path)
    return pixels


def shard(path, count, shape=(1, 4, 4), labels=True):
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {"x": RANDOM.integers(0, 256, (count, *shape), np.uint8)}
    if labels:
        arrays["y"] = RANDOM.integers(0, 3, count)
    np.savez(path, **arrays)
    return arrays


def test_one_picture_of_every_class_then_the_next(tmp_path):
    files = ("dog/1.png", "cat/a.png", "cat/b.PNG", "cat/c.png", "eel/1.png")
    held = {name: picture(tmp_path / name) for name in files}
    (tmp_path / "cat/notes.txt").write_text("no picture")
    (tmp_path / ".hidden").mkdir()
    images = open_folder(tmp_path)
    x, y = images.load()
    assert (len(images), images.shape, images.class_names) == (5, (4, 6), ["cat", "dog", "eel"])
    assert y.tolist() == [0, 1, 2, 0, 0]
    order = ["cat/a.png", "dog/1.png", "eel/1.png", "cat/b.PNG", "cat/c.png"]
    np.testing.assert_array_equal(x, [held[name] for name in order])
    assert [len(part) for part, _ in images.batches(2, 3)] == [2, 1]


def test_folders_named_by_numbers_are_these_labels(tmp_path):
    for label in (0, 2, 10):
        picture(tmp_path / str(label) / "a.png", np.full((2, 2), label, np.uint8))
    x, y = open_folder(tmp_path).load()
    assert sorted(y.tolist()) == [0, 2, 10] and (x[:, 0, 0] == y).all()
    with pytest.raises(InputError, match="has classes up to number 10, counted from 0; there must be none above 9"):
        open_folder(tmp_path, classes=10)


def test_color_pictures_have_the_channel_first(tmp_path):
    pixels = picture(tmp_path / "a" / "1.png", RANDOM.integers(0, 256, (3, 5, 3), np.uint8))
    picture(tmp_path / "a" / "2.jpeg", pixels)
    x, _ = open_folder(tmp_path).load()
    assert x.shape == (2, 3, 3, 5)
    np.testing.assert_array_equal(x[0], pixels.transpose(2, 0, 1))


def test_pictures_without_classes_have_no_labels(tmp_path):
    picture(tmp_path / "1.png")
    assert open_folder(tmp_path).labels is None


@pytest.mark.parametrize("split, value", [("train", 1), ("test", 2)])
def test_splits(tmp_path, split, value):
    for number, name in enumerate(("train", "test"), 1):
        picture(tmp_path / name / "a" / "1.png", np.full((2, 2), number, np.uint8))
    assert open_folder(tmp_path, split).load()[0].max() == value
    with pytest.raises(InputError, match="holds no split 'val': choose one of test, train"):
        open_folder(tmp_path, "val")


def test_shards_follow_each_other(tmp_path):
    arrays = [shard(tmp_path / f"{name}.npz", count) for name, count in (("a", 5), ("b", 1), ("c", 4))]
    images = open_folder(tmp_path)
    x, y = images.load()
    np.testing.assert_array_equal(x, np.concatenate([part["x"] for part in arrays]))
    np.testing.assert_array_equal(y, np.concatenate([part["y"] for part in arrays]))
    batches = list(images.batches(3, 7))
    np.testing.assert_array_equal(np.concatenate([part for part, _ in batches]), x[:7])
    assert np.concatenate([labels for _, labels in batches]).tolist() == y[:7].tolist()
    np.testing.assert_array_equal(images.load(6)[0], x[:6])


def test_shards_that_do_not_go_together(tmp_path):
    shard(tmp_path / "a.npz", 2)
    shard(tmp_path / "b.npz", 2, labels=False)
    with pytest.raises(InputError, match="of b.npz and a.npz only one holds labels: give all or none"):
        open_folder(tmp_path)
    shard(tmp_path / "b.npz", 2, shape=(2, 4, 4))
    with pytest.raises(InputError, match=r"images of b.npz have shape \(2, 4, 4\), those of a.npz \(1, 4, 4\)"):
        open_folder(tmp_path)


def test_two_data_sets_in_one_folder_are_no_shards(tmp_path):
    np.savez(tmp_path / "mnist.npz", x_test=np.zeros((2, 4, 4), np.uint8))
    with pytest.raises(InputError, match=r"mnist.npz holds no array 'x' \(it holds: x_test\)"):
        open_folder(tmp_path)


def test_folders_that_cannot_be_used(tmp_path):
    with pytest.raises(InputError, match=r"holds no images: it must have pictures \(.png, .jpg\) in a subfolder"):
        open_folder(tmp_path)
    picture(tmp_path / "a/1.png")
    picture(tmp_path / "2.png")
    with pytest.raises(InputError, match="holds pictures beside the folders of classes: move them"):
        open_folder(tmp_path)
    shard(tmp_path / "1.npz", 1)
    with pytest.raises(InputError, match="holds both pictures and .npz files: keep one kind in it"):
        open_folder(tmp_path)


def test_pictures_of_another_size_are_refused_before_the_first_one_is_given(tmp_path):
    for number in range(5):
        picture(tmp_path / "a" / f"{number}.png")
    picture(tmp_path / "a" / "5.png", np.zeros((9, 9), np.uint8))
    images = open_folder(tmp_path)
    with pytest.raises(InputError, match=r"5.png has shape \(9, 9\), .*0.png has \(4, 6\): scale all pictures"):
        next(images.batches(2))
    assert len(images.load(5)[0]) == 5


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pictures(tmp_path, mode):
    picture(tmp_path / "a/1.png", mode=mode)
    with pytest.raises(InputError, match=f"1.png is of Pillow's kind '{mode}': save it with 8 bits, gray or RGB"):
        open_folder(tmp_path)


@pytest.mark.parametrize("length", [0, 20, 60])
def test_damaged_pictures(tmp_path, length):
    picture(tmp_path / "a/1.png", RANDOM.integers(0, 256, (40, 40), np.uint8))
    picture(tmp_path / "a/2.png", RANDOM.integers(0, 256, (40, 40), np.uint8))
    (tmp_path / "a/2.png").write_bytes((tmp_path / "a/2.png").read_bytes()[:length])
    with pytest.raises(InputError, match="2.png cannot be read as a PNG or JPEG picture .*: replace it"):
        open_folder(tmp_path).load()


def test_without_pillow(tmp_path, monkeypatch):
    picture(tmp_path / "a/1.png")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ToolMissing, match="Reading the pictures in .* needs Pillow: pip install pillow"):
        open_folder(tmp_path)
