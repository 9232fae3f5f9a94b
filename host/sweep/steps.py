"""The four steps of a sweep. Each keeps what it makes under the hash of all that it depends on, and makes it once.

What is kept is a folder ``KIND-HASH`` with ``result.json`` and the files it speaks of; it appears whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from gen.data import named
from gen.errors import AdafireError
from gen.folders import whole_folder
from gen.sources import sources_digest
from host import commands

__all__ = ["build", "convert", "evaluate", "generate", "take"]

RESULT = "result.json"
BATCH = 256  # images in memory at a time
FIGURES = (
    "images", "accuracy", "mean_timesteps", "synaptic_ops_per_image", "pixel_accuracy", "mean_iou", "map50", "map50_95",
    "mean_squared_error",
)
SHOWN = ("lut", "ff", "bram", "dsp", "fmax_mhz", "critical_path", "kind", "seconds")
FLOORS = ("gen", "hw", "sim", "host")


@contextmanager
def _told():
    """Tell errors in words: not all of them survive the way between processes."""
    try:
        yield
    except AdafireError as error:
        raise AdafireError(str(error)) from error


@_told()
def convert(kept, model, calibration, images, options):
    """Return {network: a network file} of a model converted with ``options`` of `host.commands.converted`."""
    def make(folder):
        from gen.netfile import save_network

        network = commands.converted(model, calibration, images, **options)
        save_network(network, folder / "network.safetensors")
        return {"network": "network.safetensors"}

    depends = _model_digest(model), _images_digest(calibration), images, options, version("numpy"), version("torch")
    return _kept(kept, "network", make, *depends)


def take(kept, file):
    """Return {network: a network file} of one that is there."""
    return {"network": str(file)}


@_told()
def evaluate(kept, network, data, limit, decode):
    """Return the figures of a network, the golden model's, on ``data``; ``decode`` is a decoder of the user's own."""
    def make(folder):
        found = commands.evaluate(
            network["network"], data, split="test", device="golden", folder=None, limit=limit, batch=BATCH, page=None,
            decode=decode, progress=None,
        )
        return {name: found[name] for name in FIGURES if name in found}

    own = decode and digest(decode)
    return _kept(kept, "accuracy", make, digest(network["network"]), _images_digest(data), limit, own)


@_told()
def generate(kept, network, board, lanes):
    """Return {core: a generated folder, and figures of its manifest} of a network on ``board``."""
    def make(folder):
        from gen.netfile import load_network
        from hw.emit import generate as emit

        manifest = emit(load_network(network["network"]), board, lanes, folder / "core")
        return {
            "core": "core", "lanes": manifest["lanes"], "cycles": manifest["estimated_cycles_per_image"],
            "fps": manifest["estimated_fps"],
            **{f"estimated_{kind}": used for kind, used in manifest["resources"].items()},
        }

    return _kept(kept, "core", make, digest(network["network"]), board, lanes, version("amaranth"))


@_told()
def build(kept, core, seed):
    """Return the figures of the core alone, placed and routed with a seed."""
    def make(folder):
        from hw.board.build import build as build_folder

        with TemporaryDirectory(prefix="adafire-sweep-") as work:  # a build belongs to its folder, which has one
            shutil.copytree(core["core"], Path(work) / "core")
            found = build_folder(Path(work) / "core", core_only=True, seed=seed)
        return {name: found.get(name) for name in SHOWN}

    from hw.board.order import place_order

    return _kept(kept, "build", make, place_order(Path(core["core"]), core_only=True, seed=seed).key)


def digest(what) -> str:
    """Return the SHA-256 of a file, or of all files of a folder with their names; OSError where there is neither."""
    path = Path(what)
    if not path.is_dir():
        return _file_digest(path)
    files = {str(file.relative_to(path)): _file_digest(file) for file in sorted(path.rglob("*")) if file.is_file()}
    return _hash(files)


def _file_digest(path):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _model_digest(model):
    """Return the hash of a model's file; of one of ONNX with the weights that lie in files beside it."""
    if Path(model).suffix.lower() != ".onnx":
        return digest(model)
    from gen.model.onnx_file import read_onnx

    return hashlib.sha256(read_onnx(Path(model)).SerializeToString(deterministic=True)).hexdigest()


def _images_digest(data):
    """Return the hash of what `gen.data.datasets.open_dataset` opens."""
    name = named.canonical(data)
    return digest(named.fetch(name) if name else data)


def _hash(values):
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()


def _kept(kept, kind, make, *depends):
    """Return what ``make`` returned for these inputs, now or in an earlier run; files as whole paths."""
    place = Path(kept) / f"{kind}-{_hash([kind, sources_digest(*FLOORS), *depends])[:20]}"
    if not (place / RESULT).exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with whole_folder(place, keep=True) as folder:  # two tasks may make the same
            (folder / RESULT).write_text(json.dumps(make(folder)))
    found = json.loads((place / RESULT).read_text())
    return found | {name: str(place / found[name]) for name in ("network", "core") if name in found}
