"""The file ``manifest.json`` of a generated folder: what a host must know of a core. Standard library only.

It carries a digest of itself, so that whoever reads it reads what was generated, or hears that it was altered since.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from gen.errors import InputError

__all__ = ["MANIFEST", "read_manifest", "write_manifest"]

MANIFEST = "manifest.json"
DIGEST = "sha256"


def write_manifest(folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """Write ``manifest`` into ``folder``; return it with its digest."""
    manifest = {**manifest, DIGEST: _digest(manifest)}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
    return manifest


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest in ``folder``.

    Raises
    ------
    InputError : it is missing, no JSON, of an older adafire, or not what `write_manifest` wrote.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(
            f"{folder} is not a folder made by `adafire generate`: {MANIFEST} cannot be read ({error.strerror})."
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({error}): generate the folder again.") from error
    if not isinstance(manifest, dict) or DIGEST not in manifest:
        raise InputError(
            f"{path} has no digest of itself: an older adafire wrote it; generate the folder again, and the bitstream "
            "from it."
        )
    if manifest[DIGEST] != _digest(manifest):
        raise InputError(
            f"{path} was altered since `adafire generate` wrote it: generate the folder again, with other options "
            "where something shall differ."
        )
    return manifest


def _digest(manifest):
    rest = {name: value for name, value in manifest.items() if name != DIGEST}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
