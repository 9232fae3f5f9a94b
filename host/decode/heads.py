"""What the heads of detectors compute: from maps to candidates for boxes, before suppression. NumPy alone.

`gen.heads` describes outputs and options. A function takes the maps of one head, by role and level, float
[N, C, H, W] in the float network's units, the input's (height, width) and the options; it returns

    corners float [N, R, 4]     left, top, right and bottom in pixels of the input, of R candidates
    scores  float [N, R, classes]
    points  float [N, R, P, 2] or None

Candidates go level by level, position by position in raster order, anchor by anchor.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gen.heads import SOFTMAX, pairs
from host.decode.numbers import activated, sigmoid

__all__ = ["CANDIDATES", "ssd", "yolo", "yunet"]

Candidates = tuple[np.ndarray, np.ndarray, np.ndarray | None]
LARGEST = 16.0  # of the logarithm of a size: beyond any picture


def ssd(maps: dict[str, list[np.ndarray]], size: tuple[int, int], options: dict[str, Any]) -> Candidates:
    """Anchor boxes with variances: SSD (Liu et al., ECCV 2016, arXiv 1512.02325).

    An anchor of size (aw, ah) stands at every position's center (ax, ay); the map holds (x, y, w, h)::

        center = (ax + x * center_variance * aw, ay + y * center_variance * ah)
        size   = (aw * exp(w * size_variance), ah * exp(h * size_variance))

    as in ``convert_locations_to_boxes`` of Linzaer/Ultra-Light-Fast-Generic-Face-Detector-1MB,
    vision/utils/box_utils.py, whose ``generate_priors`` cuts centers and sizes to 0..1 of the picture: the option clip.
    """
    corners, scores = [], []
    whole = np.array([size[1], size[0]], float)
    for level, (boxes, classes) in enumerate(zip(maps["boxes"], maps["scores"])):
        sizes = np.array(pairs(options["sizes"][level]))
        centers = (_cells(boxes) + 0.5) * _stride(boxes, level, size, options)
        centers, sizes = np.broadcast_arrays(centers[:, None], sizes[None])
        if options["clip"]:
            centers, sizes = np.clip(centers, 0, whole), np.clip(sizes, 0, whole)
        told = _rows(boxes, len(sizes[0])).reshape(len(boxes), *centers.shape[:2], 4)
        center = centers + told[..., :2] * options["center_variance"] * sizes
        extent = sizes * np.exp(np.minimum(told[..., 2:] * options["size_variance"], LARGEST))
        corners.append(_corners(center, extent).reshape(len(boxes), -1, 4))
        scores.append(activated(_rows(classes, len(sizes[0])), options["activation"]))
    background = options["activation"] == SOFTMAX if options["background"] is None else options["background"]
    return np.concatenate(corners, axis=1), np.concatenate(scores, axis=1)[..., int(background) :], None


def yunet(maps: dict[str, list[np.ndarray]], size: tuple[int, int], options: dict[str, Any]) -> Candidates:
    """Without anchors: YuNet (Wu, Peng, Yu, Machine Intelligence Research 2023), as OpenCV decodes it.

    At the position (column, row) of a map with the stride s::

        center = ((column + x) * s, (row + y) * s)          size = (exp(w) * s, exp(h) * s)
        score  = sqrt(class score * object score)           a point is ((column + x) * s, (row + y) * s)

    as in ``FaceDetectorYNImpl::postProcess`` of opencv/opencv, modules/objdetect/src/face_detect.cpp.
    """
    corners, scores, points = [], [], []
    for level, boxes in enumerate(maps["boxes"]):
        cells, stride = _cells(boxes), _stride(boxes, level, size, options)
        told = _rows(boxes, 1)
        extent = np.exp(np.minimum(told[..., 2:], LARGEST)) * stride
        corners.append(_corners((cells + told[..., :2]) * stride, extent))
        score = activated(_rows(maps["scores"][level], 1), options["activation"])
        if "objects" in maps:
            score = score * sigmoid(_rows(maps["objects"][level], 1))
            score = np.sqrt(score) if options["joint"] == "geometric" else score
        scores.append(score)
        if "points" in maps:
            told = _rows(maps["points"][level], 1)
            points.append((told.reshape(*told.shape[:2], -1, 2) + cells[:, None]) * stride)
    return np.concatenate(corners, axis=1), np.concatenate(scores, axis=1), (
        np.concatenate(points, axis=1) if points else None
    )


def yolo(maps: dict[str, list[np.ndarray]], size: tuple[int, int], options: dict[str, Any]) -> Candidates:
    """A grid with anchors: YOLOv2 and v3 (Redmon, Farhadi, arXiv 1612.08242 and 1804.02767), or the form of v5.

    Of an anchor (aw, ah) at the position (column, row) of a map with the stride s, the map holds (x, y, w, h, object,
    classes)::

        exp      center = (column + sigmoid(x), row + sigmoid(y)) * s                size = (aw * exp(w), ah * exp(h))
        square   center = (column - 0.5 + 2 sigmoid(x), row - 0.5 + 2 sigmoid(y)) * s
                 size   = (aw * (2 sigmoid(w))**2, ah * (2 sigmoid(h))**2)
        score    = sigmoid(object) * score of the class; without classes sigmoid(object)

    The second is that of ultralytics/yolov5, models/yolo.py.
    """
    corners, scores = [], []
    for level, grid in enumerate(maps["grid"]):
        anchors = np.array(pairs(options["anchors"][level]))
        cells, stride = _cells(grid), _stride(grid, level, size, options)
        told = _rows(grid, len(anchors)).reshape(len(grid), len(cells), len(anchors), -1)
        place, square = sigmoid(told[..., :2]), options["form"] == "square"
        center = (cells[:, None] + (2 * place - 0.5 if square else place)) * stride
        grown = (2 * sigmoid(told[..., 2:4])) ** 2 if square else np.exp(np.minimum(told[..., 2:4], LARGEST))
        corners.append(_corners(center, anchors * grown).reshape(len(grid), -1, 4))
        score = sigmoid(told[..., 4:5])
        if told.shape[-1] > 5:
            score = score * activated(told[..., 5:], options["activation"])
        scores.append(score.reshape(len(grid), -1, score.shape[-1]))
    return np.concatenate(corners, axis=1), np.concatenate(scores, axis=1), None


CANDIDATES = {"ssd": ssd, "yunet": yunet, "yolo": yolo}


def _rows(values, anchors):
    """Return a map [N, anchors * k, H, W] as [N, H * W * anchors, k]."""
    count, channels, height, width = values.shape
    return np.moveaxis(values, 1, -1).reshape(count, height * width * anchors, channels // anchors)


def _cells(values):
    """Return (column, row) of every position of a map, [H * W, 2]."""
    height, width = values.shape[2:]
    return np.stack([np.tile(np.arange(width), height), np.repeat(np.arange(height), width)], axis=1).astype(float)


def _stride(values, level, size, options):
    """Return the pixels (horizontal, vertical) from position to position of a map."""
    if options["strides"] is not None:
        return np.array(pairs(options["strides"])[level])
    height, width = values.shape[2:]
    return np.array([size[1] / width, size[0] / height])


def _corners(center, extent):
    return np.concatenate([center - extent / 2, center + extent / 2], axis=-1)
