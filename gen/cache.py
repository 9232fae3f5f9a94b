"""Where results that take minutes are kept between runs: compiled models, bitstreams."""

import hashlib
import os
import shutil
from pathlib import Path

__all__ = ["cache_folder", "is_whole", "keep"]


def cache_folder() -> Path:
    """Return the folder ADAFIRE_CACHE, or ~/.cache/adafire; it is there afterwards."""
    folder = Path(os.environ.get("ADAFIRE_CACHE") or Path.home() / ".cache" / "adafire")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def keep(file: Path, place: Path) -> None:
    """Copy ``file`` to ``place`` in one step, and what `is_whole` goes by beside it."""
    partial = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        shutil.copy(file, partial)
        digest = _digest(partial)
        partial.replace(place)
        partial.write_text(digest)
        partial.replace(_beside(place))
    finally:
        partial.unlink(missing_ok=True)


def is_whole(place: Path) -> bool:
    """Return whether ``place`` holds what `keep` put there: a disk may fill, a machine lose its power.

    Loading a library that is cut short ends the process without a word.
    """
    try:
        return _beside(place).read_text() == _digest(place)
    except OSError:
        return False


def _beside(place):
    return place.with_name(f"{place.name}.sha256")


def _digest(file):
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
