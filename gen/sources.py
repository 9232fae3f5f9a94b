"""What this program is: a digest of its sources, on which all depends that it makes and keeps."""

import hashlib
from functools import cache
from pathlib import Path

__all__ = ["sources_digest"]

ROOT = Path(__file__).parents[1]
SUFFIXES = {".py", ".v", ".cpp", ".hpp"}


@cache
def sources_digest(*floors: str, root: Path = ROOT) -> str:
    """Return the SHA-256 of the names and contents of all sources of ``floors``, folders such as ``gen``.

    They are read once by a process, which goes on with what it has loaded.
    """
    found = hashlib.sha256()
    for floor in floors:
        for file in sorted((root / floor).rglob("*")):
            if file.suffix in SUFFIXES:
                found.update(f"{file.relative_to(root).as_posix()}\0".encode())
                found.update(hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()
