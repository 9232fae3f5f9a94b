"""Published face detectors, untouched: the boxes of the integer network beside those of the float network.

    python -m benchmarks.detectors --models DIR [--rows TEXT ...] [--out DIR] [--markdown FILE]

DIR holds slim.onnx (version-slim of Linzaer/Ultra-Light-Fast-Generic-Face-Detector-1MB, without postprocessing) and
yunet_n.onnx (ShiqiYu/libfacedetection.train). The pictures are those that libraries ship: scikit-image's astronaut,
photographed by NASA, cut out in `--images` ways with the whole face in each; what calibrates are others, scikit-image's
coffee, cat and rocket and Matplotlib's Grace Hopper. scikit-image is no part of adafire: pip install scikit-image.

A float box is one of the float network's with the decoder's least score; it is matched where the integer network has a
box that covers it with an intersection over union of 0.9. The networks and the pictures are kept in --out; `adafire
generate` on one of them says what board it fits. ``--rows`` takes those rows whose name begins so.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from PIL import Image

from benchmarks.tables import add_files, report
from gen.errors import InputError, ToolMissing
from gen.intnet import IntegerNetwork
from gen.method.builder import normalised
from gen.method.convert import convert
from gen.method.simulate import activations
from gen.model.load import load
from gen.netfile import load_network, save_network
from host.decode.boxes import Boxes, overlaps
from host.decode.detector import Detector
from host.decode.numbers import float_outputs
from sim.golden import Golden

FACE = (172, 62, 272, 196)  # of the astronaut: left, top, right, bottom
COVERED = 0.9
COLUMNS = {
    "faces, float": "{:,}", "faces, integer": "{:,}", "matched": "{:,}", "least overlap": "{:.3f}",
    "largest change of a score": "{:.3f}", "events": "{:,.0f}", "synaptic operations": "{:,.0f}",
}


@dataclass(frozen=True)
class Published:
    """A detector's file, the size it is run at, what its authors do to pixels, and its head."""

    file: str
    size: tuple[int, int]  # width, height
    pixels: dict[str, float]
    decode: str
    options: dict[str, Any] = field(default_factory=dict)
    colors: str = "rgb"


SLIM = {"sizes": [[10, 16, 24], [32, 48], [64, 96], [128, 192, 256]], "score": 0.6, "iou": 0.3}
SLIM_PIXELS = {"mean": 127 / 255, "std": 128 / 255}
DETECTORS = {
    "slim, 320x240": Published("slim.onnx", (320, 240), SLIM_PIXELS, "ssd", SLIM),
    "slim, 160x120": Published("slim.onnx", (160, 120), SLIM_PIXELS, "ssd", SLIM),
    "YuNet, 320x320": Published("yunet_n.onnx", (320, 320), {"std": 1 / 255}, "yunet", {"score": 0.6}, "bgr"),
}
BURSTS = (63, 255)


def library_pictures() -> dict[str, np.ndarray]:
    """Return name to picture, uint8 [H, W, 3]; ToolMissing without scikit-image."""
    import matplotlib

    try:
        from skimage import data
    except ModuleNotFoundError as error:
        raise ToolMissing("The pictures are scikit-image's: pip install scikit-image.") from error
    hopper = Path(matplotlib.get_data_path()) / "sample_data/grace_hopper.jpg"
    with Image.open(hopper) as picture:
        pictures = {"hopper": np.asarray(picture.convert("RGB"))}
    return pictures | {name: getattr(data, name)() for name in ("astronaut", "coffee", "chelsea", "rocket")}


def cut(picture: np.ndarray, size: tuple[int, int], box: tuple[float, ...], mirrored: bool) -> np.ndarray:
    """Return uint8 [3, height, width] of a ``box`` of ``picture``."""
    image = Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR, box=box)
    return np.asarray(image)[:, :: -1 if mirrored else 1].transpose(2, 0, 1)


def window(picture: np.ndarray, size: tuple[int, int], height: float, rng: np.random.Generator,
           around: tuple[int, ...] | None = None) -> np.ndarray:
    """Return a random cut of ``picture``, ``height`` pixels high, that holds the box ``around`` if there is one."""
    rows, columns = picture.shape[:2]
    height = min(height, rows, columns * size[1] / size[0])
    extent, whole = (height * size[0] / size[1], height), (columns, rows)
    low, high = (0, 0), tuple(w - e for w, e in zip(whole, extent))
    if around:
        low = tuple(min(max(0, around[i + 2] - extent[i]), high[i]) for i in (0, 1))
        high = tuple(max(min(high[i], around[i]), low[i]) for i in (0, 1))
    left, top = rng.uniform(low, high)
    return cut(picture, size, (left, top, left + extent[0], top + extent[1]), bool(rng.integers(2)))


def faces(pictures: dict[str, np.ndarray], size: tuple[int, int], count: int) -> np.ndarray:
    """Return uint8 [count, 3, height, width], each with the astronaut's face, small to large."""
    rng, tall = np.random.default_rng(1), FACE[3] - FACE[1]
    shares = np.linspace(0.27, 0.75, count)  # of the picture's height
    return np.stack([window(pictures["astronaut"], size, tall / share, rng, FACE) for share in shares])


def others(pictures: dict[str, np.ndarray], size: tuple[int, int], count: int) -> np.ndarray:
    """Return uint8 [count, 3, height, width] without the astronaut, half of them of Grace Hopper."""
    rng, names = np.random.default_rng(0), ("hopper", "coffee", "hopper", "chelsea", "hopper", "rocket")
    chosen = [pictures[names[number % len(names)]] for number in range(count)]
    return np.stack([window(picture, size, len(picture) * rng.uniform(0.4, 1), rng) for picture in chosen])


def resized(path: Path, size: tuple[int, int]) -> onnx.ModelProto:
    """Return the model in ``path`` for pictures of ``size`` (width, height); InputError where there is none."""
    if not path.is_file():
        raise InputError(f"{path} is missing: name the folder of the published models as --models.")
    model = onnx.load(path)
    sides = model.graph.input[0].type.tensor_type.shape.dim
    sides[2].dim_value, sides[3].dim_value = size[::-1]
    return model


def matched(one: Boxes, other: Boxes) -> tuple[np.ndarray, np.ndarray]:
    """Return for each box of ``one`` its best overlap with one of ``other``, and how far apart their scores are."""
    if not len(other):
        return np.zeros(len(one)), one.scores
    found = overlaps(one.corners, other.corners)
    return found.max(axis=1), np.abs(one.scores - other.scores[found.argmax(axis=1)])


def measured(network: IntegerNetwork, model: onnx.ModelProto, x: np.ndarray, pixels: dict[str, float]) -> dict:
    """Return what the float ``model`` and ``network`` find on the same pictures."""
    decoder, result = Detector(network.task, network.source.shape[1:]), Golden(network).run(x)
    with torch.no_grad():
        maps = activations(load(model), normalised(x, [pixels.get("mean", 0.0)] * 3, [pixels["std"]] * 3))
    known = decoder.boxes({name: maps[name].double().numpy() for name in network.outputs})
    found = decoder.boxes(float_outputs(network, result))
    overlap, change = (np.concatenate(parts) for parts in zip(*map(matched, known, found)))
    return {
        "faces, float": sum(map(len, known)), "faces, integer": sum(map(len, found)),
        "matched": int((overlap >= COVERED).sum()), "least overlap": float(overlap.min()),
        "largest change of a score": float(change.max()), "events": float(result.events.mean()),
        "synaptic operations": float(result.synaptic_ops.mean()),
    }


def rows(options: argparse.Namespace) -> Iterator[tuple[str, dict]]:
    """Yield the name of every row and its figures."""
    pictures = library_pictures()
    options.out.mkdir(parents=True, exist_ok=True)
    for title, detector in DETECTORS.items():
        for burst in BURSTS:
            name = f"{title}, T = 1, bursts to {burst}"
            if not name.startswith(tuple(options.rows or ("",))):
                continue
            model = resized(options.models / detector.file, detector.size)
            order = slice(None, None, -1 if detector.colors == "bgr" else 1)
            file = options.out / f"{Path(detector.file).stem}_{'x'.join(map(str, detector.size))}_b{burst}.safetensors"
            if not file.exists():
                save_network(convert(
                    model, others(pictures, detector.size, options.calibration)[:, order], timesteps=1, max_burst=burst,
                    exit="off", decode=detector.decode, decode_options=detector.options, class_names=("face",),
                    colors=detector.colors, **detector.pixels,
                ), file)
            x = faces(pictures, detector.size, options.images)[:, order]
            np.savez_compressed(options.out / f"{file.stem.rpartition('_')[0]}.npz", x=x)
            yield name, measured(load_network(file), model, x, detector.pixels)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", type=Path, required=True, help="folder of the published models")
    parser.add_argument("--rows", nargs="+", metavar="TEXT", help="only those that begin so")
    parser.add_argument("--images", type=int, default=16, help="pictures with the face")
    parser.add_argument("--calibration", type=int, default=48, help="pictures of a conversion")
    parser.add_argument("--out", type=Path, default=Path("detectors"), help="folder that keeps the networks")
    add_files(parser)
    options = parser.parse_args()
    report(rows(options), COLUMNS, options)


if __name__ == "__main__":
    main()
