"""What is predicted from: pictures of every kind, folders, arrays, videos; and everything that is none of these."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from gen.errors import InputError, ToolMissing
from gen.intnet import IntegerNetwork
from gen.layers import INPUT, Readout, Source, Synapse
from host.predict.sources import CAMERA_PICTURES, Sources

RGB = (3, 8, 8)


def pixels(height=10, width=12):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def seeing(shape, timesteps=1, **provenance):
    """Return a network that looks at images of ``shape``, at frames where there are several timesteps."""
    weight = np.ones((2, *shape), int)
    readout = Readout("out", [Synapse(INPUT, weight)], np.zeros(2, int), np.full(2, 8))
    source = Source(shape, "frames" if timesteps > 1 else "direct")
    return IntegerNetwork(source, [readout], timesteps, provenance=provenance)


def taken(*inputs, shape=RGB, timesteps=1, form=None, **options):
    known = {} if form is None else {"input_form": form}
    with Sources(map(str, inputs), seeing(shape, timesteps, **known), **options) as found:
        return list(found)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "1", "I;16", "CMYK"])
def test_pictures_of_every_kind(tmp_path, mode):
    picture = Image.fromarray(pixels())
    if mode == "I;16":
        picture = Image.fromarray(pixels()[..., 0].astype(np.uint16) * 257)
    suffix = "tif" if mode in ("I;16", "CMYK") else "png"
    (picture if mode == "I;16" else picture.convert(mode)).save(tmp_path / f"a.{suffix}")
    (found,) = taken(tmp_path / f"a.{suffix}")
    assert found.pixels.shape[:2] == (10, 12) and found.pixels.dtype == np.uint8 and found.name == "a"
    if mode == "RGB":
        assert (found.pixels == pixels()).all()
    if mode == "I;16":
        assert (found.pixels == pixels()[..., 0]).all()


def test_what_is_transparent_is_white(tmp_path):
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / "a.png")
    assert (taken(tmp_path / "a.png")[0].pixels == 255).all()


def test_a_picture_stands_as_its_camera_was_held(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right
    Image.fromarray(pixels()).save(tmp_path / "a.jpg", exif=exif)
    assert taken(tmp_path / "a.jpg")[0].pixels.shape == (12, 10, 3)


def test_a_folder_in_order_and_names_that_are_taken(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("b.png", "a.jpg", "sub/a.png"):
        Image.fromarray(pixels()).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("x")
    found = taken(tmp_path, tmp_path / "sub" / "a.png")
    assert [picture.name for picture in found] == ["a", "b", "a-2"]
    with Sources([str(tmp_path), str(tmp_path / "sub")], seeing(RGB)) as both:
        assert both.total == 3
    assert len(taken(tmp_path, limit=1)) == 1


def test_names_that_a_file_system_may_take_for_one(tmp_path):
    for name in ("A.png", "a.jpg", "a-2.png"):
        Image.fromarray(pixels()).save(tmp_path / name)
    assert [picture.name for picture in taken(tmp_path)] == ["A", "a-2", "a-3"]


def test_arrays(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (70, 3, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", x=x)
    found = taken(tmp_path / "a.npz")
    assert len(found) == 70 and found[69].name == "a-00069" and (found[69].image == x[69]).all()
    assert (found[0].pixels == x[0].transpose(1, 2, 0)).all()
    np.savez(tmp_path / "large.npz", x=np.zeros((1, 3, 20, 30), np.uint8))
    assert taken(tmp_path / "large.npz")[0].image is None
    np.savez(tmp_path / "gray.npz", x=np.zeros((2, 8, 8), np.uint8))
    assert taken(tmp_path / "gray.npz", shape=(1, 8, 8))[1].image.shape == (1, 8, 8)
    np.savez(tmp_path / "frames.npz", x=np.ones((2, 5, 2, 8, 8), np.uint8))
    (first, _) = taken(tmp_path / "frames.npz", shape=(2, 8, 8), timesteps=5)
    assert first.image.shape == (5, 2, 8, 8) and (first.pixels == 255).all()
    np.savez(tmp_path / "parts.npz", x_train=x[:5], x_test=x[5:8])
    assert [(picture.image == x[5 + n]).all() for n, picture in enumerate(taken(tmp_path / "parts.npz"))] == [True] * 3


def test_raw_data_of_the_kind_that_the_network_was_converted_for(tmp_path):
    events = {"t": [0, 5, 2000], "x": [1, 2, 3], "y": [0, 0, 4], "p": [0, 1, 1], "offsets": [0, 3]}
    np.savez(tmp_path / "events.npz", **{name: np.array(values) for name, values in events.items()})
    (found,) = taken(tmp_path / "events.npz", shape=(2, 8, 8), timesteps=3, form="events:step=1ms,size=8x8")
    assert found.image.shape == (3, 2, 8, 8) and found.image.sum() == 3 and found.pixels[4, 3] == 255
    points = np.array([[[-1.0, -1, 0], [1, 1, 0], [0, 1, 0]]])
    np.savez(tmp_path / "points.npz", points=points)
    (found,) = taken(tmp_path / "points.npz", shape=(3, 3, 1), form="points:scale=1")
    assert found.image.shape == (3, 3, 1) and found.pixels[-1, 0] == found.pixels[0, -1] == 255
    assert (found.pixels > 0).sum() == 3
    with pytest.raises(InputError, match="say how they become the maps"):
        taken(tmp_path / "events.npz", shape=(2, 8, 8), timesteps=3)


@pytest.mark.parametrize(("name", "shape", "words"), [
    ("nowhere.png", RGB, "nowhere.png does not exist: name a picture"),
    ("text.png", RGB, "text.png cannot be read as a picture"),
    ("cut.png", RGB, "cut.png cannot be read as a picture"),
    ("text.txt", RGB, "of no kind that is known here"),
    ("empty", RGB, "holds no pictures"),
    ("whole.png", (2, 8, 8), "maps of 2 channels, which .*whole.png does not hold: give an .npz"),
    ("gray.npz", RGB, r"have shape \[8, 8\], the network takes \[3, 8, 8\]"),
    ("two.npz", (2, 8, 8), "only pictures of one or three channels are scaled"),
    ("camera:first", RGB, "is no camera: name camera:0"),
])
def test_what_will_not_do(tmp_path, name, shape, words):
    Image.fromarray(pixels(90, 90)).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:3000])
    for text in ("text.png", "text.txt"):
        (tmp_path / text).write_text("no picture")
    (tmp_path / "empty").mkdir()
    np.savez(tmp_path / "gray.npz", x=np.zeros((2, 8, 8), np.uint8))
    np.savez(tmp_path / "two.npz", x=np.zeros((2, 2, 9, 9), np.uint8))
    with pytest.raises(InputError, match=words):
        taken(name if name.startswith("camera") else tmp_path / name, shape=shape)


class Capture:
    """What stands for OpenCV's: ``frames`` pictures, or one that cannot be opened."""

    released = 0

    def __init__(self, frames):
        self._left = self._frames = frames

    def isOpened(self):
        return self._frames is not None

    def read(self):
        if not self._left:
            return False, None
        self._left -= 1
        return True, np.full((4, 6, 3), (0, 0, self._frames - self._left), np.uint8)

    def release(self):
        Capture.released += 1


@pytest.fixture
def opencv(monkeypatch):
    def install(frames):
        Capture.released = 0
        monkeypatch.setitem(sys.modules, "cv2", SimpleNamespace(VideoCapture=lambda what: Capture(frames)))

    return install


def test_a_video(tmp_path, opencv):
    opencv(7)
    (tmp_path / "walk.mp4").touch()
    found = taken(tmp_path / "walk.mp4", every=3)
    assert [picture.name for picture in found] == ["walk-000000", "walk-000003", "walk-000006"]
    assert found[1].pixels[0, 0].tolist() == [4, 0, 0] and Capture.released == 1  # red first
    assert len(taken(tmp_path / "walk.mp4", limit=2)) == 2


def test_a_camera(opencv):
    opencv(10_000)
    assert len(taken("camera:0")) == CAMERA_PICTURES and len(taken("camera:0", limit=3)) == 3


@pytest.mark.parametrize(("limit", "total"), [(None, CAMERA_PICTURES), (3, 3), (50, 50)])
def test_how_many_pictures_a_camera_is_said_to_have(opencv, limit, total):
    opencv(10_000)
    with Sources(["camera:0"], seeing(RGB), limit=limit) as found:
        assert found.total == total == len(list(found))


@pytest.mark.parametrize(("frames", "words"), [(None, "no way to open the camera 7"), (0, "camera 7 gives no picture")])
def test_a_camera_that_is_not_there(opencv, frames, words):
    opencv(frames)
    with pytest.raises(InputError, match=words):
        taken("camera:7")
    assert Capture.released == 1


def test_a_video_that_is_none(tmp_path, opencv):
    opencv(0)
    (tmp_path / "walk.mp4").write_text("no video")
    with pytest.raises(InputError, match="walk.mp4 cannot be read: it is damaged"):
        taken(tmp_path / "walk.mp4")


def test_without_opencv(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ToolMissing, match="pip install opencv-python-headless"):
        taken("camera:0")
