"""One recording of an event camera in one file, of any of the usual formats, in the form of `gen.data.events`.

AEDAT 4 (iniVation) and DAT and RAW of EVT 2, 2.1 and 3 (Prophesee) are read by the library faery; the files of
N-MNIST (`.bin`, 5 bytes an event) by a few lines here. Times of a recording are counted from its first event, but for
N-MNIST, whose files count from their beginning.
"""

from pathlib import Path

import numpy as np

from gen.data.events import Recording
from gen.errors import InputError, ToolMissing
from gen.silence import silence

__all__ = ["EVENT_SUFFIXES", "read_recording"]

NMNIST, NMNIST_SIZE, NMNIST_EVENT = ".bin", (34, 34), 5
PROPHESEE = {".raw", ".dat"}
EVENT_SUFFIXES = {".aedat4", NMNIST, *PROPHESEE}
# Bytes of a word in the formats that say nowhere how long they are, so that a file cut within one is noticed.
WORD_BYTES = {"evt2.0": 4, "evt2": 4, "evt2.1": 8, "evt3.0": 2, "evt3": 2, "dat": 8}

# What faery raises for damage: these, and for some its Rust panics, an exception that no module names.
DAMAGE, PANIC = (RuntimeError, ValueError, AttributeError), "PanicException"


def read_recording(path: str | Path) -> Recording:
    """Return the `Recording` in the file ``path``; its name's end says the format.

    Raises
    ------
    InputError : a file that is no such recording, damaged, cut off or without events; names it.
    ToolMissing : without the library.
    """
    path = Path(path)
    try:
        events, size = _nmnist(path) if path.suffix.lower() == NMNIST else _by_library(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}).") from error
    if not len(events["t"]):
        raise InputError(f"{path} holds no events: it is cut off, empty or of another format.")
    return Recording(events["t"], events["x"], events["y"], events["p"], size)


def _nmnist(path):
    """Events of 40 bits: column, row, polarity in one bit, 23 bits of microseconds, the highest first."""
    data = np.fromfile(path, np.uint8)
    if len(data) % NMNIST_EVENT:
        raise InputError(f"{path} has {len(data)} bytes, no whole number of events of {NMNIST_EVENT}: it is cut off.")
    column, row, high, middle, low = data.reshape(-1, NMNIST_EVENT).T.astype(np.int64)
    t = (high & 0x7F) << 16 | middle << 8 | low
    if np.any(np.diff(t) < 0) or np.any(np.maximum(row, column) >= NMNIST_SIZE[0]):
        raise InputError(f"{path} is no recording of N-MNIST: its events are out of order, or beside 34 x 34 pixels.")
    return {"t": t, "x": column, "y": row, "p": high >> 7}, NMNIST_SIZE


def _by_library(path):
    try:
        import faery
    except ModuleNotFoundError as error:
        raise ToolMissing(f"Reading {path} needs the library faery: pip install 'adafire[events]'.") from error
    if not path.is_file():
        raise InputError(f"{path} is no file: name a recording of events.")
    try:
        with silence():
            stream = faery.events_stream_from_file(path)
            width, height = stream.dimensions()
            events = stream.to_array()
    except BaseException as error:
        if not isinstance(error, DAMAGE) and type(error).__name__ != PANIC:
            raise
        raise InputError(f"{path} is damaged, cut off, or no recording of events ({error}).") from error
    if path.suffix.lower() in PROPHESEE:
        _refuse_cut(path)
    t = events["t"].astype(np.int64)
    return {"t": t - (t[0] if len(t) else 0), "x": events["x"], "y": events["y"], "p": events["p"]}, (height, width)


def _refuse_cut(path):
    """Raise InputError for a file of Prophesee without a header, or that ends within a word: no length stands there."""
    data, start, kind = path.read_bytes(), 0, "dat"
    while data[start : start + 1] == b"%" and b"\n" in data[start:]:
        end = data.index(b"\n", start) + 1
        line = data[start:end].decode("latin-1").lower()
        kind = next((name for name in WORD_BYTES if line in (f"% evt {name[3:]}\n", f"% format {name}\n")
                     or f"format {name};" in line), kind)
        start = end
    body = len(data) - start - (2 if path.suffix.lower() == ".dat" else 0)  # the type and size of an event
    if not start or body % WORD_BYTES[kind]:
        raise InputError(f"{path} has no header, or ends within an event: it is damaged or cut off.")
