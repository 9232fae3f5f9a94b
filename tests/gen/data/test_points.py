"""Point sets become maps of 8 bits, digits become points; files that hold none are refused."""

import numpy as np
import pytest

from gen.data.points import PointSet, maps_of_points, points_of_images
from gen.errors import InputError


def test_a_coordinate_is_a_value_of_its_axis():
    points = np.array([[[-2, 0, 2], [1, -1, 0.5]]])
    assert maps_of_points(points, 2).tolist() == [[[[0], [191]], [[128], [64]], [[255], [159]]]]
    rng = np.random.default_rng(0)
    points = rng.uniform(-3, 3, (4, 50, 3))
    back = (maps_of_points(points, 3.0)[..., 0].transpose(0, 2, 1) / 127.5 - 1) * 3
    assert np.abs(back - points).max() <= 3 / 255 + 1e-9


@pytest.mark.parametrize("points, scale, text", [
    (np.zeros((2, 5)), 1, r"numbers \[N, points, 3\], not float64 of shape \(2, 5\)"),
    (np.zeros((2, 5, 2)), 1, r"shape \(2, 5, 2\)"), (np.zeros((0, 5, 3)), 1, "shape"),
    (np.full((1, 1, 3), 1.5), 1, "The points reach 1.5, the scale is 1"),
    (np.full((1, 1, 3), np.nan), 1, "The points reach nan"), (np.zeros((1, 1, 3)), 0, "a number above 0, not 0"),
])
def test_what_are_no_points_is_refused(points, scale, text):
    with pytest.raises(InputError, match=text):
        maps_of_points(points, scale)


def test_a_digit_becomes_its_brightest_pixels():
    picture = np.zeros((3, 5), np.uint8)
    picture[0, 4], picture[1, 2], picture[2, 0] = 255, 51, 102
    found = points_of_images(picture[None], 2)[0]
    assert found.dtype == np.float32 and np.allclose(found, [[1, -1, 1], [-1, 1, -0.2]])
    repeated = points_of_images(picture[None], 7)[0]
    assert len(repeated) == 7 and len(np.unique(repeated, axis=0)) == 3
    assert np.allclose(points_of_images(np.zeros((1, 3, 5)), 2), -1)


def test_a_file_of_points(tmp_path):
    rng, path = np.random.default_rng(1), tmp_path / "p.npz"
    points = rng.uniform(-1, 1, (10, 6, 3)).astype(np.float32)
    np.savez(path, points_test=points, y_test=np.arange(10) % 4)
    images = PointSet(path, 1.0, "test", classes=4)
    x, y = images.load()
    assert images.shape == (3, 6, 1) and (x == maps_of_points(points, 1.0)).all()
    assert y.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    assert [len(part) for part, _ in images.batches(4)] == [4, 4, 2]
    np.savez(path, points=points)
    assert PointSet(path, 2.0, "test").labels is None
    with pytest.raises(InputError, match="scale is 0.5"):
        PointSet(path, 0.5).load()


@pytest.mark.parametrize("held, text", [
    ({"x": np.zeros(3)}, r"p.npz holds no points \(it holds: x\): save points, numbers \[N, points, 3\]"),
    ({"points": np.zeros((3, 3))}, r"p.npz: Point sets must be numbers"),
    ({"points": np.zeros((2, 4, 3)), "y": np.zeros(3, int)}, r"labels int64 of shape \(3,\) for 2 point sets"),
    ({"points": np.zeros((2, 4, 3)), "y": np.full(2, 4)}, r"a label 4, the network has classes 0..3"),
])
def test_a_file_that_is_none_is_refused(held, text, tmp_path):
    np.savez(tmp_path / "p.npz", **held)
    with pytest.raises(InputError, match=text):
        PointSet(tmp_path / "p.npz", 1.0, classes=4)
    (tmp_path / "p.npz").write_bytes(b"PK")
    with pytest.raises(InputError, match="cannot be read as an .npz file of points"):
        PointSet(tmp_path / "p.npz", 1.0)
