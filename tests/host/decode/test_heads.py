"""The heads of detectors against their published equations, one number at a time, and suppression against its rule."""

import math

import numpy as np
import pytest

from gen.heads import head_of
from host.decode.boxes import MOST_CANDIDATES, Boxes, overlaps, suppress
from host.decode.heads import ssd, yolo, yunet
from host.decode.numbers import sigmoid, softmax

SIZE = (60, 90)  # height, width
COUNT, LEVELS = 2, [(4, 6), (2, 3)]


def maps(seed, channels):
    """Return role to a random map of each level."""
    rng = np.random.default_rng(seed)
    return {role: [rng.normal(0, 1, (COUNT, c, *size)) for c, size in zip(each, LEVELS)]
            for role, each in channels.items()}


def options(name, **given):
    return head_of(name).settled(given)


def positions(anchors):
    """Yield (level, row, column, anchor) in the order of candidates."""
    for level, (height, width) in enumerate(LEVELS):
        for row in range(height):
            for column in range(width):
                for anchor in range(anchors[level]):
                    yield level, row, column, anchor


def logistic(x):
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_ssd(seed, activation):
    sizes, classes = [[10, [20, 30]], [100]], 3
    found = maps(seed, {"boxes": (8, 4), "scores": (2 * classes, classes)})
    corners, scores, points = ssd(found, SIZE, options("ssd", sizes=sizes, activation=activation))
    assert points is None
    for row_, (level, row, column, anchor) in enumerate(positions([2, 1])):
        height, width = LEVELS[level]
        wide, tall = (sizes[level][anchor],) * 2 if isinstance(sizes[level][anchor], int) else sizes[level][anchor]
        wide, tall = min(wide, SIZE[1]), min(tall, SIZE[0])
        x, y, w, h = found["boxes"][level][1, 4 * anchor : 4 * anchor + 4, row, column]
        center = ((column + 0.5) * SIZE[1] / width + x * 0.1 * wide, (row + 0.5) * SIZE[0] / height + y * 0.1 * tall)
        size = (wide * math.exp(0.2 * w), tall * math.exp(0.2 * h))
        wanted = [center[0] - size[0] / 2, center[1] - size[1] / 2, center[0] + size[0] / 2, center[1] + size[1] / 2]
        np.testing.assert_allclose(corners[1, row_], wanted, err_msg=f"seed {seed}, candidate {row_}")
        z = found["scores"][level][1, classes * anchor : classes * (anchor + 1), row, column]
        wanted = [logistic(v) for v in z] if activation == "sigmoid" else (np.exp(z) / np.exp(z).sum())[1:]
        np.testing.assert_allclose(scores[1, row_], wanted, err_msg=f"seed {seed}, candidate {row_}")
    assert row_ + 1 == corners.shape[1] == scores.shape[1]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("joint", ["geometric", "product"])
def test_yunet(seed, joint):
    found = maps(seed, {"boxes": (4, 4), "scores": (2, 2), "objects": (1, 1), "points": (6, 6)})
    corners, scores, points = yunet(found, SIZE, options("yunet", joint=joint, strides=[8, [16, 32]]))
    for n, (level, row, column, _) in enumerate(positions([1, 1])):
        sx, sy = ((8, 8), (16, 32))[level]
        x, y, w, h = found["boxes"][level][0, :, row, column]
        cx, cy, wide, tall = (column + x) * sx, (row + y) * sy, math.exp(w) * sx, math.exp(h) * sy
        np.testing.assert_allclose(corners[0, n], [cx - wide / 2, cy - tall / 2, cx + wide / 2, cy + tall / 2])
        product = [logistic(z) * logistic(found["objects"][level][0, 0, row, column])
                   for z in found["scores"][level][0, :, row, column]]
        np.testing.assert_allclose(scores[0, n], np.sqrt(product) if joint == "geometric" else product)
        told = found["points"][level][0, :, row, column].reshape(3, 2)
        np.testing.assert_allclose(points[0, n], (told + [column, row]) * [sx, sy])


def test_yunet_without_objects_and_points():
    found = maps(0, {"boxes": (4, 4), "scores": (2, 2)})
    _, scores, points = yunet(found, SIZE, options("yunet"))
    assert points is None
    np.testing.assert_allclose(scores[0, 0], [logistic(z) for z in found["scores"][0][0, :, 0, 0]])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("form", ["exp", "square"])
@pytest.mark.parametrize("classes", [0, 3])
def test_yolo(seed, form, classes):
    anchors, each = [[[10, 20], 5], [40]], 5 + classes
    found = maps(seed, {"grid": (2 * each, each)})
    corners, scores, _ = yolo(found, SIZE, options("yolo", anchors=anchors, form=form))
    for n, (level, row, column, anchor) in enumerate(positions([2, 1])):
        sx, sy = SIZE[1] / LEVELS[level][1], SIZE[0] / LEVELS[level][0]
        aw, ah = anchors[level][anchor] if isinstance(anchors[level][anchor], list) else (anchors[level][anchor],) * 2
        x, y, w, h, thing, *z = found["grid"][level][1, each * anchor : each * (anchor + 1), row, column]
        if form == "exp":
            cx, cy = (column + logistic(x)) * sx, (row + logistic(y)) * sy
            wide, tall = aw * math.exp(w), ah * math.exp(h)
        else:
            cx, cy = (column - 0.5 + 2 * logistic(x)) * sx, (row - 0.5 + 2 * logistic(y)) * sy
            wide, tall = aw * (2 * logistic(w)) ** 2, ah * (2 * logistic(h)) ** 2
        np.testing.assert_allclose(corners[1, n], [cx - wide / 2, cy - tall / 2, cx + wide / 2, cy + tall / 2])
        np.testing.assert_allclose(scores[1, n], [logistic(thing) * logistic(v) for v in z] or [logistic(thing)])


def test_the_curves_do_not_overflow():
    assert sigmoid(np.array([-1e9, 0, 1e9])).tolist() == pytest.approx([0, 0.5, 1])
    assert softmax(np.array([1e9, 0.0])).tolist() == [1, 0]


def overlap(a, b):
    wide, tall = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    common = max(wide, 0) * max(tall, 0)
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)


@pytest.mark.parametrize("seed", range(20))
def test_suppression(seed):
    rng = np.random.default_rng(seed)
    start, size = rng.uniform(0, 60, (80, 2)), rng.uniform(5, 40, (80, 2))
    corners, scores = np.concatenate([start, start + size], axis=1), rng.uniform(0, 1, (80, 2))
    found = suppress(corners, scores, None, score=0.3, iou=0.4, most=1000)
    wanted = []
    for number in range(2):
        rows = sorted((r for r in range(80) if scores[r, number] >= 0.3), key=lambda r: -scores[r, number])
        kept = []
        for row in rows:
            if all(overlap(corners[row], corners[other]) <= 0.4 for other in kept):
                kept.append(row)
        wanted += [(scores[row, number], number, *corners[row]) for row in kept]
    wanted.sort(reverse=True)
    rows = list(zip(found.scores, found.classes, *found.corners.T))
    assert [row[:2] for row in rows] == [row[:2] for row in wanted], f"seed {seed}"
    np.testing.assert_array_equal(np.array(rows), np.array(wanted), err_msg=f"seed {seed}")
    few = suppress(corners, scores, corners.reshape(80, 2, 2), score=0.3, iou=0.4, most=3)
    assert len(few) == 3 and (few.corners == found.corners[:3]).all()
    assert (few.points == few.corners.reshape(3, 2, 2)).all()


def test_nothing_found():
    found = suppress(np.zeros((5, 4)), np.zeros((5, 1)), None, score=0.5, iou=0.5, most=9)
    assert len(found) == 0 and found.corners.shape == (0, 4)
    assert overlaps(np.zeros((2, 4)), np.zeros((3, 4))).tolist() == [[0, 0, 0]] * 2


def test_most_candidates_keep_suppression_quick():
    corners = np.tile([0.0, 0, 10, 10], (3 * MOST_CANDIDATES, 1))
    assert len(suppress(corners, np.full((len(corners), 1), 0.9), None, score=0.5, iou=0.5, most=10)) == 1


def test_boxes_in_other_pixels_end_with_the_picture():
    boxes = Boxes(np.array([[10.0, 20, 30, 200]]), np.ones(1), np.zeros(1, int), np.array([[[10.0, 20]]]))
    moved = boxes.moved((2, 3), (-10, 5), (40, 100))
    assert moved.corners.tolist() == [[10, 65, 40, 100]] and moved.points.tolist() == [[[10, 65]]]
