"""Folders and files that appear whole or not at all.

They are made in a folder beside their place, which a lock marks as in use. The system drops the lock with the process,
so what a killed run left is known, and the next run clears it away.
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatch
from glob import escape
from pathlib import Path

from gen.errors import InputError

try:
    import fcntl
except ImportError:  # Windows, where what a killed run left stays
    fcntl = None

__all__ = [
    "check_output_file", "put_in_place", "real_path", "refuse_foreign", "whole_files", "whole_folder", "work_beside",
]

_MARK = "-adafire-"
_HEAD = 4096  # bytes of a file in which its marker stands


def real_path(path: str | Path) -> Path:
    """Return where ``path`` leads: what is written there is written through symbolic links, which stay.

    Raises
    ------
    InputError : a link that leads back to itself.
    """
    found = Path(os.path.realpath(path))
    if found.is_symlink():
        raise InputError(f"{path} is a symbolic link that leads in a circle: remove it, or choose another place.")
    return found


@contextmanager
def work_beside(out: Path) -> Iterator[Path]:
    """Yield a new folder beside ``out``; it vanishes at the end unless it was renamed. OSError if there can be none."""
    pattern = f".{out.name}{_MARK}"
    for left in out.parent.glob(f"{escape(pattern)}*"):
        _clear(left)
    work, lock = _locked_folder(pattern, out.parent)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
        if lock is not None:
            os.close(lock)


@contextmanager
def whole_folder(out: str | Path, *, keep: bool = False) -> Iterator[Path]:
    """Yield an empty folder beside ``out``; it takes the place of ``out`` at the end, or vanishes on an error.

    With ``keep`` it vanishes too where another run has put its own there meanwhile: that is the same.

    Raises
    ------
    InputError : nothing can be written beside ``out``.
    """
    out = real_path(out)
    with ExitStack() as stack:
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            work = stack.enter_context(work_beside(out))
        except OSError as error:
            raise InputError(
                f"The folder {out} cannot be made in {out.parent} ({error.strerror}): choose another place with --out."
            ) from error
        yield work
        work.chmod(0o755)
        if not keep:
            put_in_place(work, out)
            return
        try:
            work.rename(out)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise


def put_in_place(work: Path, out: Path) -> None:
    """Rename the folder ``work`` to ``out``; what was there vanishes then, and stays where that cannot be."""
    with work_beside(out) as aside:
        old = aside / out.name
        try:
            if out.exists():
                out.rename(old)
            work.rename(out)
        finally:
            if old.exists() and not out.exists():
                old.rename(out)


def whole_files(files: Mapping[Path, str | bytes]) -> None:
    """Write ``files``: all of them or none, each of them whole. OSError where that cannot be."""
    with ExitStack() as stack:
        made = []
        for path, content in files.items():
            path = real_path(path)
            partial = stack.enter_context(work_beside(path)) / path.name
            partial.write_bytes(content.encode() if isinstance(content, str) else content)
            made.append((partial, path))
        for partial, path in made:
            os.replace(partial, path)


def check_output_file(path: str | Path, marker: str | None = None, what: str = "") -> None:
    """Raise InputError, before any slow work, unless a file can be written at ``path``.

    With ``marker`` an existing file must have it near its beginning: it is an earlier one of ``what`` then.
    """
    path = Path(path)
    folder = real_path(path).parent
    if path.is_dir():
        raise InputError(f"{path} is a folder: name the file to write.")
    if not folder.is_dir():
        raise InputError(f"The folder {folder} does not exist: make it, or write {path.name} elsewhere.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"The folder {folder} is not writable: choose another place for {path.name}.")
    if marker is not None and path.exists():
        with path.open("rb") as file:
            if marker.encode() not in file.read(_HEAD):
                raise InputError(f"{path} is no earlier {what}: choose another name, or move it away.")


def refuse_foreign(folder: Path, ours: Iterable[str], beside: str, eraser: str, place: str = "") -> None:
    """Raise InputError if ``folder`` holds, ``beside`` something, what no pattern of ``ours`` names.

    Links and folders count as files. ``eraser`` is what would delete them, ``place`` whatever says in which way another
    folder is chosen, if one can be.
    """
    patterns = [*ours, f".*{_MARK}*"]
    foreign = sorted(path.name for path in folder.iterdir() if not any(fnmatch(path.name, p) for p in patterns))
    if foreign:
        raise InputError(
            f"{folder} holds, beside {beside}, what adafire did not make and {eraser} would delete: "
            f"{', '.join(foreign)}. Move it elsewhere{place}."
        )


def _locked_folder(pattern, parent):
    """Return a new folder and its lock; another one where a run that begins took it for one that was left."""
    while True:
        work = Path(tempfile.mkdtemp(prefix=pattern, dir=parent))
        try:
            lock = _lock(work)
        except (BlockingIOError, FileNotFoundError):
            continue
        if lock is None or work.exists():
            return work, lock
        os.close(lock)


def _lock(folder):
    """Return the descriptor that holds the lock of ``folder``; None if there are no locks.

    BlockingIOError if another holds it.
    """
    if not fcntl:
        return None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _clear(left):
    """Remove a folder that a process left which is no more."""
    try:
        lock = _lock(left)
    except OSError:  # in use, gone meanwhile, or not ours to open
        return
    if lock is not None:
        shutil.rmtree(left, ignore_errors=True)
        os.close(lock)
