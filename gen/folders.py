"""Folders and files that appear whole or not at all."""

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

from gen.errors import InputError

__all__ = ["whole_files", "whole_folder"]


@contextmanager
def whole_folder(out):
    """Yield an empty folder beside ``out``; it takes the place of ``out`` at the end, or vanishes on an error.

    Raises
    ------
    InputError : nothing can be written beside ``out``.
    """
    out = Path(out).absolute()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    except OSError as error:
        raise InputError(
            f"The folder {out} cannot be made in {out.parent} ({error.strerror}): choose another place with --out."
        ) from error
    try:
        yield work
        work.chmod(0o755)
        if out.exists():
            shutil.rmtree(out)
        work.rename(out)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def whole_files(files):
    """Write ``files``, a dict of `Path` to text: all of them or none, each of them whole."""
    temporary = {path: path.with_name(f".{path.name}.{os.getpid()}") for path in files}
    try:
        for path, text in files.items():
            temporary[path].write_text(text, encoding="utf-8")
        for path, partial in temporary.items():
            os.replace(partial, path)
    finally:
        for partial in temporary.values():
            partial.unlink(missing_ok=True)
