"""A picture becomes the network's image and what is found goes back to where it was."""

import numpy as np
import pytest

from gen.layers import Source
from gen.task import BGR, CROP, LETTERBOX, STRETCH, VALUES, Task
from host.predict.fit import UNSEEN, Placement, fitted

FITS = (LETTERBOX, STRETCH, CROP)


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [(30, 40), (40, 30), (7, 100), (200, 9), (24, 32), (1, 1)])
def test_a_point_comes_back(fit, size):
    _, placement = fitted(picture(*size), Source((3, 24, 32)), Task(VALUES, fit=fit))
    scale, shift = placement.back
    for point in ([0, 0], [size[1], size[0]], [3, 5]):
        seen = np.array(point) * placement.scale + placement.shift
        np.testing.assert_allclose(seen * scale + shift, point, atol=1e-9)


def test_letterbox_keeps_the_proportions_and_fills_with_zero():
    x, placement = fitted(np.full((20, 20, 3), 200, np.uint8), Source((3, 24, 48), offset=np.array([1, 2, 3])),
                          Task(VALUES))
    assert x.shape == (3, 24, 48) and (x[:, :, 12:36] == 200).all()
    assert placement.scale == (1.2, 1.2) and placement.shift == (12, 0)
    for channel, offset in enumerate([1, 2, 3]):
        assert (x[channel, :, :12] == offset).all() and (x[channel, :, 36:] == offset).all()


def test_crop_takes_the_middle():
    pixels = np.zeros((24, 48, 3), np.uint8)
    pixels[:, 12:36] = 99
    x, placement = fitted(pixels, Source((3, 24, 24)), Task(VALUES, fit=CROP))
    assert (x == 99).all() and placement.shift == (-12, 0)


def test_the_same_size_is_the_picture_itself():
    pixels = picture(24, 32)
    for fit in FITS:
        x, placement = fitted(pixels, Source((3, 24, 32)), Task(VALUES, fit=fit))
        assert (x == pixels.transpose(2, 0, 1)).all() and placement.scale == (1, 1) and placement.shift == (0, 0)


def test_blue_comes_first_where_the_network_wants_it():
    source = Source((3, 24, 48), offset=np.array([1, 2, 3]))
    rgb, _ = fitted(picture(24, 24), Source((3, 24, 48), offset=np.array([3, 2, 1])), Task(VALUES))
    bgr, _ = fitted(picture(24, 24), source, Task(VALUES, colors=BGR))
    assert (bgr == rgb[::-1]).all() and bgr[0, 0, 0] == 1


def test_gray_networks_and_gray_pictures():
    gray, _ = fitted(picture(24, 32)[..., 0], Source((1, 24, 32)), Task(VALUES))
    assert (gray[0] == picture(24, 32)[..., 0]).all()
    assert fitted(picture(24, 32), Source((1, 24, 32)), Task(VALUES))[0].shape == (1, 24, 32)
    color, _ = fitted(picture(24, 32)[..., 0], Source((3, 24, 32)), Task(VALUES))
    assert (color[0] == color[2]).all()


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [(48, 64), (120, 50), (24, 100)])
def test_a_mask_lies_where_the_network_looked(fit, size):
    _, placement = fitted(picture(*size), Source((3, 24, 32)), Task(VALUES, fit=fit))
    classes = np.arange(12 * 16).reshape(12, 16) % 200
    mask = placement.mask(classes)
    assert mask.shape == size
    wrong = 0
    for row, column in np.random.default_rng(1).integers(0, size, (200, 2)):
        x, y = (np.array([column, row]) + 0.5) * placement.scale + placement.shift
        inside = 0 <= x < 32 and 0 <= y < 24
        wanted = classes[int(y / 2), int(x / 2)] if inside else UNSEEN
        edge = min(abs(x - 2 * round(x / 2)), abs(y - 2 * round(y / 2))) < 0.6 * max(placement.scale)
        assert mask[row, column] == wanted or edge, f"row {row}, column {column}"
        wrong += mask[row, column] != wanted
    assert wrong < 60


def test_numbers_between_positions_are_interpolated():
    plane = Placement((8, 4), (8, 4), (1.0, 1.0), (0.0, 0.0)).plane(np.array([[0.0, 1.0]]))
    assert plane.shape == (4, 8) and (np.diff(plane[0]) >= 0).all() and plane[0, 0] == 0 and plane[0, -1] == 1
