"""Published face detectors, untouched: the boxes of the integer network beside those of the float network.

    python -m benchmarks.detectors --models DIR [--rows TEXT ...] [--out DIR] [--markdown FILE]

DIR holds slim.onnx (version-slim of Linzaer/Ultra-Light-Fast-Generic-Face-Detector-1MB, without postprocessing) and
yunet_n.onnx (ShiqiYu/libfacedetection.train). The faces are those of two photographs that libraries ship, each cut out
in `--images` ways (`benchmarks.face_pictures`). A network never saw the person whom it is shown: the other one and
pictures of other things calibrated it. scikit-image is no part of adafire: pip install scikit-image.

A float box is one of the float network's with the decoder's least score; it is matched where the integer network has a
box that covers it with an intersection over union of 0.9. The networks, the cuts and the whole photographs are kept in
--out, for `adafire predict` to draw boxes on and `adafire generate` to say what board they fit. ``--rows`` takes those
rows whose name begins so.
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

from benchmarks.face_pictures import FACES, calibration, faces, library_pictures
from benchmarks.tables import add_files, report
from gen.errors import InputError
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

COVERED = 0.9
COLUMNS = {
    "faces, float": "{:,}", "faces, integer": "{:,}", "matched": "{:,}", "least overlap": "{:.3f}",
    "mean overlap": "{:.3f}", "largest change of a score": "{:.3f}", "events": "{:,.0f}",
    "synaptic operations": "{:,.0f}",
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


def measured(shown: list[tuple[IntegerNetwork, np.ndarray]], model: onnx.ModelProto, pixels: dict[str, float]) -> dict:
    """Return what the float ``model`` and integer networks find, each on its own pictures, all together."""
    parts = [_compared(network, model, x, pixels) for network, x in shown]
    overlap, change = (np.concatenate([part[key] for part in parts]) for key in ("overlap", "change"))
    return {
        "faces, float": len(overlap), "faces, integer": sum(part["found"] for part in parts),
        "matched": int((overlap >= COVERED).sum()), "least overlap": float(overlap.min()),
        "mean overlap": float(overlap.mean()), "largest change of a score": float(change.max()),
        "events": float(np.mean([part["events"] for part in parts])),
        "synaptic operations": float(np.mean([part["operations"] for part in parts])),
    }


def _compared(network, model, x, pixels):
    decoder, result = Detector(network.task, network.source.shape[1:]), Golden(network).run(x)
    with torch.no_grad():
        maps = activations(load(model), normalised(x, [pixels.get("mean", 0.0)] * 3, [pixels["std"]] * 3))
    known = decoder.boxes({name: maps[name].double().numpy() for name in network.outputs})
    found = decoder.boxes(float_outputs(network, result))
    overlap, change = (np.concatenate(parts) for parts in zip(*map(matched, known, found)))
    return {
        "overlap": overlap, "change": change, "found": sum(map(len, found)), "events": result.events.mean(),
        "operations": result.synaptic_ops.mean(),
    }


def rows(options: argparse.Namespace) -> Iterator[tuple[str, dict]]:
    """Yield the name of every row and its figures."""
    pictures = library_pictures()
    options.out.mkdir(parents=True, exist_ok=True)
    for person in FACES:
        Image.fromarray(pictures[person]).save(options.out / f"{person}.png")
    for title, detector in DETECTORS.items():
        for burst in BURSTS:
            name = f"{title}, bursts to {burst}"
            if not name.startswith(tuple(options.rows or ("",))):
                continue
            model, shown = resized(options.models / detector.file, detector.size), []
            order = slice(None, None, -1 if detector.colors == "bgr" else 1)
            for person in FACES:
                stem = f"{Path(detector.file).stem}_{'x'.join(map(str, detector.size))}"
                file = options.out / f"{stem}_b{burst}_{person}.safetensors"
                if not file.exists():
                    save_network(convert(
                        model, calibration(pictures, person, detector.size, options.calibration)[:, order],
                        timesteps=1, max_burst=burst, exit="off", decode=detector.decode,
                        decode_options=detector.options, class_names=("face",), colors=detector.colors,
                        **detector.pixels,
                    ), file)
                x = np.ascontiguousarray(faces(pictures, person, detector.size, options.images)[:, order])
                np.savez_compressed(options.out / f"{stem}_{person}.npz", x=x)
                shown.append((load_network(file), x))
            yield name, measured(shown, model, detector.pixels)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", type=Path, required=True, help="folder of the published models")
    parser.add_argument("--rows", nargs="+", metavar="TEXT", help="only those that begin so")
    parser.add_argument("--images", type=int, default=16, help="cuts of each photograph")
    parser.add_argument("--calibration", type=int, default=64, help="pictures of a conversion")
    parser.add_argument("--out", type=Path, default=Path("detectors"), help="folder that keeps the networks")
    add_files(parser)
    options = parser.parse_args()
    report(rows(options), COLUMNS, options)


if __name__ == "__main__":
    main()
