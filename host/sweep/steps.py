"""The four steps of a sweep. Each keeps what it makes under the hash of all that it depends on, and makes it once.

What is kept is a folder ``KIND-HASH`` with ``result.json`` and the files it speaks of; it appears whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from gen.errors import AdafireError
from gen.folders import whole_folder

__all__ = ["build", "convert", "evaluate", "generate", "take"]

RESULT = "result.json"
BATCH = 256  # images in memory at a time
SHOWN = ("lut", "ff", "bram", "dsp", "fmax_mhz", "critical_path", "kind", "seconds")


def convert(kept, model, calibration, images, options):
    """Return {network: a network file} of a model converted with ``options`` of `gen.method.convert.convert`."""
    def make(folder):
        from gen.data.datasets import open_dataset
        from gen.method.convert import convert as convert_model
        from gen.netfile import save_network

        x, labels = open_dataset(calibration, "train").load(images)
        save_network(convert_model(model, x, labels=labels, **options), folder / "network.safetensors")
        return {"network": "network.safetensors"}

    return _kept(kept, "network", make, digest(model), digest(calibration), images, options)


def take(kept, file):
    """Return {network: a network file} of one that is there."""
    return {"network": str(file)}


def evaluate(kept, network, data, limit):
    """Return the figures of a network, the golden model's, on ``data``."""
    def make(folder):
        from host import commands

        found = commands.evaluate(
            network["network"], data, split="test", device="golden", folder=None, limit=limit, batch=BATCH, page=None,
            decode=None, progress=None,
        )
        return {name: found[name] for name in ("images", "accuracy", "mean_timesteps", "synaptic_ops_per_image")}

    return _kept(kept, "accuracy", make, digest(network["network"]), digest(data), limit)


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

    return _kept(kept, "core", make, digest(network["network"]), board, lanes)


def build(kept, core, seed):
    """Return the figures of the core alone, placed and routed with a seed."""
    def make(folder):
        from hw.board.build import build as build_folder

        with TemporaryDirectory(prefix="adafire-sweep-") as work:  # a build belongs to its folder, which has one
            shutil.copytree(core["core"], Path(work) / "core")
            found = build_folder(Path(work) / "core", core_only=True, seed=seed)
        return {name: found.get(name) for name in SHOWN}

    return _kept(kept, "build", make, digest(core["core"]), seed)


def digest(what) -> str:
    """Return the SHA-256 of a file, of all files of a folder with their names, or of a name that is neither."""
    path, found = Path(what), hashlib.sha256(str(what).encode() if not Path(what).exists() else b"")
    for file in [path] if path.is_file() else sorted(path.rglob("*")) if path.is_dir() else ():
        if file.is_file():
            found.update(str(file.relative_to(path)).encode())
            found.update(file.read_bytes())
    return found.hexdigest()


def _kept(kept, kind, make, *depends):
    """Return what ``make`` returned for these inputs, now or in an earlier run; files as whole paths."""
    text = json.dumps([kind, version("adafire"), *depends], sort_keys=True, default=str)
    place = Path(kept) / f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:20]}"
    if not (place / RESULT).exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with whole_folder(place, keep=True) as folder:  # two tasks may make the same
            (folder / RESULT).write_text(json.dumps(_made(make, folder)))
    found = json.loads((place / RESULT).read_text())
    return found | {name: str(place / found[name]) for name in ("network", "core") if name in found}


def _made(make, folder):
    """Return what ``make`` returns. Its errors are told in words: not all of them survive the way between processes."""
    try:
        return make(folder)
    except AdafireError as error:
        raise AdafireError(str(error)) from error
