"""Where results that take minutes are kept between runs: compiled models, bitstreams."""

import os
from pathlib import Path

__all__ = ["cache_folder"]


def cache_folder():
    """Return the folder ADAFIRE_CACHE, or ~/.cache/adafire; it is there afterwards."""
    folder = Path(os.environ.get("ADAFIRE_CACHE") or Path.home() / ".cache" / "adafire")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
