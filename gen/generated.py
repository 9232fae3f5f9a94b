"""A generated folder: what `adafire generate` wrote, sealed by its manifest, and whole or refused when it is opened.

Opening one needs the standard library only: a host that runs a board reads nothing else.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gen.errors import InputError
from gen.manifest import MANIFEST, read_manifest, write_manifest

if TYPE_CHECKING:
    from gen.intnet import Network
    from gen.plan.params import CoreParams
    from gen.plan.plan import Plan

__all__ = ["BAUD_RANGE", "CONTENTS", "IMAGE", "NETWORK", "SCHEMA", "VERILOG", "GeneratedFolder", "seal"]

SCHEMA = 3
VERILOG, IMAGE, NETWORK = "core.v", "image.bin", "network.safetensors"
CONTENTS = ".hex"  # the suffix of what the memories of `VERILOG` hold
BAUD_RANGE = range(9600, 12_000_001)
AGAIN = "generate the folder again, and the bitstream from it."
WORD = range(1, 2**32)


def seal(folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """Write ``manifest`` beside the files in ``folder``, with the names and hashes of all of them; return it whole."""
    files = sorted(folder.iterdir())
    return write_manifest(folder, {
        "schema": SCHEMA, **manifest, "files": [path.name for path in files] + [MANIFEST],
        "hashes": {path.name: _hash(path) for path in files},
    })


@dataclass(frozen=True, eq=False)
class GeneratedFolder:
    """One folder, opened by `open` and checked.

    Attributes
    ----------
    path : Path
    manifest : dict, of ``manifest.json``; its fields are of the right types and in their ranges
    """

    path: Path
    manifest: dict[str, Any]

    @classmethod
    def open(cls, path: str | Path, *needed: str) -> GeneratedFolder:
        """Open the folder ``path``, with the image, the network and the files ``needed`` in it.

        With `VERILOG` the files are needed as well that hold what its memories do.

        Raises
        ------
        InputError : there is none, it is of another version, a file lacks or is not the one that was generated.
        """
        path = Path(path)
        manifest = read_manifest(path)
        _check_fields(path, manifest)
        contents = [name for name in manifest["hashes"] if name.endswith(CONTENTS) and VERILOG in needed]
        wanted = IMAGE, NETWORK, *needed, *contents
        lacking = [name for name in wanted if name not in manifest["hashes"] or not (path / name).is_file()]
        if lacking:
            raise InputError(
                f"{path} is not a folder made by `adafire generate`: it lacks the file {lacking[0]}; {AGAIN}"
            )
        for name, wanted in manifest["hashes"].items():
            if (path / name).is_file() and _hash(path / name) != wanted:
                raise InputError(
                    f"{path / name} is not the file that {MANIFEST} describes, it was altered or damaged since: {AGAIN}"
                )
        return cls(path, manifest)

    @property
    def image(self) -> bytes:
        """The load stream's file."""
        return (self.path / IMAGE).read_bytes()

    @property
    def verilog(self) -> str:
        """The text of the core; needs `VERILOG`."""
        return (self.path / VERILOG).read_text()

    @cached_property
    def network(self) -> Network:
        """The network; reading it needs safetensors."""
        from gen.netfile import load_network

        return load_network(self.path / NETWORK)

    @cached_property
    def params(self) -> CoreParams:
        """The size of the core."""
        from gen.plan.params import CoreParams

        try:
            return CoreParams(**self.manifest["parameters"])
        except (TypeError, ValueError) as error:
            raise InputError(
                f"{self.path / MANIFEST} is of another version of adafire, its parameters are not those of a core of "
                f"this one ({error}): {AGAIN}"
            ) from error

    @cached_property
    def plan(self) -> Plan:
        """The network laid out on the core."""
        from gen.plan.plan import plan_on

        return plan_on(self.network, self.params)


def _hash(path):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _number(allowed):
    return lambda value: type(value) is int and value in allowed, f"a whole number, {allowed[0]} to {allowed[-1]}"


def _text(pattern, meaning):
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value), meaning


def _table(of, meaning):
    return lambda value: isinstance(value, dict) and all(
        isinstance(name, str) and of(inner) for name, inner in value.items()
    ), meaning


def _is_size(value):
    return type(value) is int and value >= 0


def _is_hash(value):
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value)


# What a host, a simulator or a build believes of a manifest: (whether a value can be, what it must be).
FIELDS = {
    "build_id": _text("[0-9a-f]{32}", "32 hexadecimal digits"),
    "network": _text("[0-9a-f]{64}", "64 hexadecimal digits"),
    "board": (lambda value: isinstance(value, str), "the name of a board"),
    "network_id": _number(WORD), "image_digest": _number(range(2**32)), "classes": _number(WORD),
    "lanes": _number(range(1, 65)),
    "baud": _number(BAUD_RANGE), "estimated_cycles_per_image": _number(range(1, 2**63)),
    "initialised": (lambda value: isinstance(value, bool), "true or false"),
    "parameters": _table(_is_size, "a table of numbers"), "hashes": _table(_is_hash, "a table of SHA-256 hashes"),
    "outputs": (lambda value: isinstance(value, dict) and _is_outputs(value), "the shapes of all outputs"),
    "input": (lambda value: isinstance(value, dict) and _is_input(value), "the description of an input"),
}
INPUT_FIELDS = {
    "kind": lambda value: value in ("direct", "frames"), "bytes": lambda value: value in (1, 2),
    "values": _is_size, "timesteps": _is_size,
    "shape": lambda value: isinstance(value, list) and len(value) == 3 and all(map(_is_size, value)),
    "offset": lambda value: isinstance(value, list) and all(type(number) is int for number in value),
    **{name: lambda value: type(value) is int and abs(value) < 2**17 for name in ("low", "high", "lowest")},
}


def _is_input(value):
    return _has_images(value) and all(name in value and fits(value[name]) for name, fits in INPUT_FIELDS.items())


def _is_outputs(value):
    shapes = value.get("shapes")
    return _has_images(value) and isinstance(shapes, dict) and value.get("decides") in shapes and all(
        isinstance(shape, list) and len(shape) == 3 and all(map(_is_size, shape)) for shape in shapes.values()
    )


def _has_images(value):
    """Return whether it says how many images are run together, where these are several."""
    return "images" not in value or (type(value["images"]) is int and value["images"] > 1)


def _check_fields(path, manifest):
    """Refuse a manifest that somebody made by other means, or another version."""
    if manifest.get("schema") != SCHEMA:
        raise InputError(
            f"{path / MANIFEST} is of schema {manifest.get('schema')!r}, this adafire's is {SCHEMA}: {AGAIN}"
        )
    missing = [name for name in FIELDS if name not in manifest]
    if missing:
        raise InputError(f"{path / MANIFEST} does not say {', '.join(missing)}: an older adafire wrote it; {AGAIN}")
    for name, (fits, meaning) in FIELDS.items():
        if not fits(manifest[name]):
            raise InputError(f"{path / MANIFEST}: {name} must be {meaning}, not {manifest[name]!r:.80}: {AGAIN}")
    said = ("parameters", "batch"), ("input", "images"), ("outputs", "images")
    images = [manifest[name].get(field, 1) for name, field in said]
    if len(set(images)) > 1:
        raise InputError(
            f"{path / MANIFEST}: parameters, input and outputs must be of as many images that are run together, not of "
            f"{images[0]}, {images[1]} and {images[2]}: {AGAIN}"
        )
