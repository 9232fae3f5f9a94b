"""The C host as a library: `CHost` is one board as it sees it, over a line of the tests."""

import ctypes
import math
import subprocess
from pathlib import Path

import numpy as np

from host.errors import Disconnected
from hw.link.regmap_text import c_header
from hw.regmap import IDENTITY

ROOT = Path(__file__).parents[2]
SOURCES = [ROOT / "host/c/adafire.c", ROOT / "host/c/adafire_frames.c"]
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", f"-I{ROOT / 'host/c'}")
OK, PORT, TIMEOUT, DAMAGED, REFUSED, STRANGER, BUILD, NETWORK, BUFFER, SOURCE, IMAGE, SINK = range(12)

BYTES = ctypes.POINTER(ctypes.c_uint8)
READ = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, BYTES, ctypes.c_size_t, ctypes.c_uint32)
WRITE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, BYTES, ctypes.c_size_t)
TAKE = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_uint32, ctypes.POINTER(ctypes.c_int32), ctypes.c_uint32
)
COPY = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint32, BYTES, ctypes.c_size_t)


class Port(ctypes.Structure):
    _fields_ = [("context", ctypes.c_void_p), ("read", READ), ("write", WRITE)]


class Network(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_uint32) for name in ("number", "digest", "outputs", "input_size")),
        ("input_low", ctypes.c_int32), ("input_bytes", ctypes.c_uint32), ("cycles", ctypes.c_uint32),
    ]


class Pixels(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("maps", "channels", "height", "width")]
    _fields_ += [("offsets", ctypes.POINTER(ctypes.c_int32))]


class BoardHead(ctypes.Structure):
    """The members that a caller may look at, and room for the others."""

    _fields_ = [
        ("timeout_ms", ctypes.c_uint32), ("attempts", ctypes.c_uint), ("fault", ctypes.c_uint),
        ("expected", ctypes.c_uint32), ("identity", ctypes.c_uint32 * len(IDENTITY)), ("retries", ctypes.c_uint32),
        ("rest", ctypes.c_uint64 * 64),
    ]


RESULT = ctypes.c_uint32 * 6  # class_number, timesteps, cycles, busy_cycles, events, synaptic_ops


def compiled_library(folder):
    """Return the C host, compiled in ``folder``, as a shared library."""
    (folder / "adafire_registers.h").write_text(c_header())
    made = folder / "adafire.so"
    subprocess.run(["gcc", *STRICT, "-O1", "-shared", "-fPIC", f"-I{folder}", *SOURCES, "-o", made], check=True)
    opened = ctypes.CDLL(str(made))
    opened.adafire_text.restype = opened.adafire_fault_text.restype = ctypes.c_char_p
    return opened


class CHost:
    """One board as the C host sees it, at the end of a `MemoryTransport`."""

    def __init__(self, library, transport, manifest, attempts=5, size=512):
        self.library, self.transport, self.manifest = library, transport, manifest
        self.board, self.buffer, self.size = BoardHead(), (ctypes.c_uint8 * size)(), size
        self.port = Port(None, READ(self._read), WRITE(self._write))
        self.network, self.attempts = described(manifest), attempts

    def _read(self, _, data, size, timeout_ms):
        try:
            deadline = self.transport.now + timeout_ms / 1000
            pending = self.transport.__dict__.setdefault("pending", bytearray())
            if not pending:
                pending += self.transport.read(deadline)
        except Disconnected:
            return -1
        taken = bytes(pending[:size])
        del pending[:size]
        ctypes.memmove(data, taken, len(taken))
        return len(taken)

    def _write(self, _, data, size):
        try:
            self.transport.write(ctypes.string_at(data, size))
        except Disconnected:
            return -1
        return 0

    def open(self, sequence=7):
        build = int(self.manifest["build_id"], 16)
        words = (ctypes.c_uint32 * 4)(*(build >> 32 * i & 0xFFFFFFFF for i in range(4)))
        status = self.library.adafire_open(
            ctypes.byref(self.board), ctypes.byref(self.port), words, ctypes.byref(self.network), self.buffer,
            ctypes.c_size_t(self.size), ctypes.c_uint8(sequence),
        )
        self.board.attempts = self.attempts
        return status

    def load(self, stream, network=None, fails=False):
        def copy(_, position, data, size):
            assert position + size <= len(stream) and size > 0
            ctypes.memmove(data, stream[position : position + size], size)
            return int(fails)

        self.network = network or self.network
        return self.library.adafire_load(
            ctypes.byref(self.board), ctypes.byref(self.network), COPY(copy), None, ctypes.c_uint32(len(stream))
        )

    def run(self, pixels, room=None, sink=None, source=None):
        """Return (status, class, exit step, events, synaptic operations, values) of one image, or of a run of several.

        ``sink`` takes the values piece by piece; ``source``, with a sink, gives those of the image: it is told the
        position and the bytes there, and returns 0 to go on.
        """
        described = self.manifest["input"]
        offsets = (ctypes.c_int32 * len(described["offset"]))(*described["offset"])
        maps = described["timesteps"] if described["kind"] == "frames" else described.get("images", 1)
        values = (ctypes.c_uint8 * (self.network.input_size * self.network.input_bytes))()
        self.library.adafire_input(
            ctypes.byref(self.network), ctypes.byref(Pixels(maps, *described["shape"], offsets)),
            np.ascontiguousarray(pixels, np.uint8).tobytes(), values,
        )
        result, outputs = RESULT(), (ctypes.c_int32 * self.network.outputs)()
        if sink is None:
            status = self.library.adafire_run(
                ctypes.byref(self.board), values, ctypes.byref(result), ctypes.byref(outputs),
                ctypes.c_uint32(self.network.outputs if room is None else room),
            )
        else:
            def take(_, position, piece, count):
                return sink(outputs, position, piece[:count])

            def give(_, position, data, size):
                piece = bytes(values)[position : position + size]
                ctypes.memmove(data, piece, len(piece))
                return source(position, piece)

            ends = ctypes.byref(result), TAKE(take), None
            status = self.library.adafire_run_to(ctypes.byref(self.board), values, *ends) if source is None else (
                self.library.adafire_run_from(ctypes.byref(self.board), COPY(give), None, *ends)
            )
        return status, result[0], result[1], result[4], result[5], list(outputs)


def described(manifest):
    source = manifest["input"]
    images, outputs = source.get("images", 1), sum(map(math.prod, manifest["outputs"]["shapes"].values()))
    return Network(
        manifest["network_id"], manifest["image_digest"], images * outputs, source["values"], source["lowest"],
        source["bytes"], images * manifest["estimated_cycles_per_image"],
    )
