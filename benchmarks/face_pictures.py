"""Pictures of faces, of those that libraries ship: what `benchmarks.detectors` shows, and what it calibrates with.

Two people: scikit-image's astronaut, Eileen Collins, and Matplotlib's Grace Hopper. The rest are scikit-image's coffee,
cat, rocket, motorcycle and faces of 25x25 pixels, put together to a crowd, and scikit-learn's temple and flower.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from gen.errors import ToolMissing

__all__ = ["FACES", "calibration", "faces", "library_pictures"]

FACES = {"astronaut": (172, 62, 272, 196), "hopper": (158, 118, 360, 340)}  # left, top, right, bottom
CROWD = 10  # faces in a row and rows
OTHERS = ("coffee", "crowd", "cat", "crowd", "rocket", "crowd", "temple", "crowd", "flower", "crowd", "motorcycle")


def library_pictures() -> dict[str, np.ndarray]:
    """Return name to picture, uint8 [H, W, 3]; ToolMissing without scikit-image."""
    import matplotlib
    from sklearn.datasets import load_sample_image

    try:
        from skimage import data
    except ModuleNotFoundError as error:
        raise ToolMissing("The pictures are scikit-image's: pip install scikit-image.") from error
    with Image.open(Path(matplotlib.get_data_path()) / "sample_data/grace_hopper.jpg") as picture:
        hopper = np.asarray(picture.convert("RGB"))
    small = data.lfw_subset()[: CROWD * CROWD]  # the first half of them are faces
    rows = small.reshape(CROWD, CROWD, *small.shape[1:]).swapaxes(1, 2).reshape(CROWD * small.shape[1], -1)
    return {
        "astronaut": data.astronaut(), "hopper": hopper, "coffee": data.coffee(), "cat": data.chelsea(),
        "rocket": data.rocket(), "motorcycle": data.stereo_motorcycle()[0],
        "crowd": np.repeat(np.rint(255 * rows).astype(np.uint8)[..., None], 3, axis=2),
        "temple": load_sample_image("china.jpg"), "flower": load_sample_image("flower.jpg"),
    }


def faces(pictures: dict[str, np.ndarray], person: str, size: tuple[int, int], count: int) -> np.ndarray:
    """Return uint8 [count, 3, height, width], each with the face of ``person``, small to large."""
    rng = np.random.default_rng(1)
    return np.stack([_face(pictures, person, size, share, rng) for share in np.linspace(0.27, 0.75, count)])


def calibration(pictures: dict[str, np.ndarray], person: str, size: tuple[int, int], count: int) -> np.ndarray:
    """Return uint8 [count, 3, height, width] without ``person``.

    Every second one has the face of the other person. Half of them are four pictures in one, for small faces.
    """
    rng, (other,) = np.random.default_rng(0), FACES.keys() - {person}

    def one(number, size):
        if number % 2 == 0:
            return _face(pictures, other, size, rng.uniform(0.2, 0.9), rng)
        name = OTHERS[number // 2 % len(OTHERS)]
        share = rng.uniform(0.15 if name == "crowd" else 0.4, 1)
        return _window(pictures[name], size, share * len(pictures[name]), rng)

    half = size[0] // 2, size[1] // 2
    single = [one(number, size) for number in range(count // 2)]
    fours = [[one(number, half) for number in range(first, first + 4)] for first in range(count - count // 2)]
    return np.stack(single + [np.block([[a, b], [c, d]]) for a, b, c, d in fours])


def _face(pictures, person, size, share, rng):
    """Return a cut of the picture of ``person`` whose height the face takes ``share`` of, if it is large enough."""
    box = FACES[person]
    return _window(pictures[person], size, (box[3] - box[1]) / share, rng, box)


def _window(picture, size, height, rng, around=None):
    """Return a random cut of ``picture``, ``height`` pixels high, that holds the box ``around`` if there is one."""
    rows, columns = picture.shape[:2]
    height = min(height, rows, columns * size[1] / size[0])
    extent, whole = (height * size[0] / size[1], height), (columns, rows)
    low, high = (0, 0), tuple(w - e for w, e in zip(whole, extent))
    if around:
        low = tuple(min(max(0, around[i + 2] - extent[i]), high[i]) for i in (0, 1))
        high = tuple(max(min(high[i], around[i]), low[i]) for i in (0, 1))
    left, top = rng.uniform(low, high)
    box = (left, top, left + extent[0], top + extent[1])
    image = Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR, box=box)
    return np.asarray(image)[:, :: -1 if rng.integers(2) else 1].transpose(2, 0, 1)
