"""A picture of any size becomes an image of the network, and what is found in that goes back to the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from gen.layers import Source
from gen.task import BGR, CROP, STRETCH, Task

__all__ = ["UNSEEN", "Placement", "fitted"]

UNSEEN = 255  # in a mask: the network did not look there


@dataclass(frozen=True)
class Placement:
    """Where a picture lies in the network's image: image x = picture x * scale + shift, of pixels' corners.

    picture, image : (width, height)
    scale, shift : (horizontal, vertical)
    """

    picture: tuple[int, int]
    image: tuple[int, int]
    scale: tuple[float, float]
    shift: tuple[float, float]

    @property
    def back(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Scale and shift the other way, from the image to the picture."""
        (sx, sy), (px, py) = self.scale, self.shift
        return (1 / sx, 1 / sy), (-px / sx, -py / sy)

    def mask(self, classes: np.ndarray) -> np.ndarray:
        """Return a map of classes 0..254, int [h, w] over the whole image, in the picture's pixels: uint8 [H, W].

        A pixel takes the class of the position that it lies in, `UNSEEN` where the image ends before the picture.
        """
        return self._over(Image.fromarray(classes.astype(np.uint8)), Image.Resampling.NEAREST, UNSEEN)

    def plane(self, values: np.ndarray) -> np.ndarray:
        """Return a map of numbers, float [h, w] over the whole image, in the picture's pixels: float32 [H, W].

        Numbers between positions are interpolated; nothing known is NaN.
        """
        return self._over(Image.fromarray(values.astype(np.float32)), Image.Resampling.BILINEAR, np.nan)

    def _over(self, small, how, unseen):
        (scale, shift) = self.back
        left, top = (max(0, round(begin)) for begin in shift)
        right, bottom = (
            min(most, round(size * s + begin)) for most, size, s, begin in zip(self.picture, self.image, scale, shift)
        )
        share = [size / whole for size, whole in zip(small.size, self.image)]  # positions a pixel of the image
        box = [
            (corner * self.scale[axis] + self.shift[axis]) * share[axis]
            for corner, axis in ((left, 0), (top, 1), (right, 0), (bottom, 1))
        ]
        box = [min(max(edge, 0), small.size[place % 2]) for place, edge in enumerate(box)]
        found = np.asarray(small.resize((max(right - left, 1), max(bottom - top, 1)), how, box=tuple(box)))
        whole = np.full(self.picture[::-1], unseen, found.dtype)
        whole[top : top + len(found), left : left + found.shape[1]] = found
        return whole


def fitted(pixels: np.ndarray, source: Source, task: Task) -> tuple[np.ndarray, Placement]:
    """Return the image of ``source``, uint8 [C, H, W], that a network with ``task`` sees of a picture, and where.

    Parameters
    ----------
    pixels : uint8 [H, W, 3], red, green, blue, or [H, W], gray; the network has three channels or one
    """
    channels, height, width = source.shape
    picture = Image.fromarray(pixels).convert("RGB" if channels == 3 else "L")
    scale = (width / picture.width, height / picture.height)
    if task.fit == STRETCH:
        size = (width, height)
    else:
        same = max(scale) if task.fit == CROP else min(scale)
        size = (max(1, round(picture.width * same)), max(1, round(picture.height * same)))
    place = (width - size[0]) // 2, (height - size[1]) // 2
    bgr = task.colors == BGR and channels == 3
    nothing = np.clip(source.offset, max(source.low, 0), min(source.high, 255)).tolist()
    canvas = Image.new(picture.mode, (width, height), tuple(nothing[::-1] if bgr else nothing))
    canvas.paste(picture.resize(size, Image.Resampling.BILINEAR), place)
    image = np.asarray(canvas).reshape(height, width, channels)
    image = np.ascontiguousarray((image[..., ::-1] if bgr else image).transpose(2, 0, 1))
    scale = (size[0] / picture.width, size[1] / picture.height)
    return image, Placement(picture.size, (width, height), scale, (float(place[0]), float(place[1])))
