"""The load stream: 32-bit words that fill a core's memories, with a digest that tells a damaged one.

It is a run of blocks ``[memory << 24 | address, memory words, data ...]``, a memory word sent low part first, and a
trailer ``[0xFF << 24, 1, digest]``: the CRC-32 (that of zlib) of all words before it as little-endian bytes. The same
words initialise the memories of a bitstream.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

import numpy as np

from gen.errors import InputError
from gen.plan.params import WORD_BITS

__all__ = ["TRAILER", "TRAILER_WORDS", "load_stream", "read_image", "sealed", "stream_digest", "write_image"]

TRAILER, TRAILER_WORDS = 0xFF, 3


def load_stream(contents: dict[str, Sequence[int] | np.ndarray], memories) -> np.ndarray:
    """Return the uint32 words that load ``contents`` into the memories of a core (`gen.plan.memories.memory_table`).

    One that begins with nothing in it (outside the chip where only states lie there) has no block.
    """
    blocks = []
    for code, (name, words) in enumerate(contents.items()):
        if not len(words):
            continue
        size = 4 * -(-memories[name].width // WORD_BITS)
        blocks.append(np.array([code << 24, len(words)], "<u4").tobytes())
        if isinstance(words, np.ndarray):
            blocks.append(words.astype("<u4").tobytes())
        else:
            blocks.append(b"".join(word.to_bytes(size, "little") for word in words))
    return sealed(np.frombuffer(b"".join(blocks), "<u4"))


def sealed(words: np.ndarray) -> np.ndarray:
    """Return the uint32 words of blocks with their trailer."""
    trailer = np.array([TRAILER << 24, 1, crc32(words.astype("<u4").tobytes())], np.uint32)
    return np.concatenate([words.astype(np.uint32), trailer])


def stream_digest(stream: np.ndarray) -> int:
    """Return the CRC-32 in a load stream's trailer."""
    return int(stream[-1])


def write_image(path: Path, stream: np.ndarray) -> None:
    """Write a load stream as little-endian 32-bit words."""
    Path(path).write_bytes(stream.astype("<u4").tobytes())


def read_image(path: Path) -> np.ndarray:
    """Read a load stream back, uint32.

    Raises
    ------
    InputError
        For a file that is no load stream, or a damaged one.
    """
    data = Path(path).read_bytes()
    if len(data) < 4 * TRAILER_WORDS or len(data) % 4:
        raise InputError(f"{path} is no memory image: it has {len(data)} bytes, not whole 32-bit words and a trailer.")
    stream = np.frombuffer(data, "<u4").astype(np.uint32)
    if not np.array_equal(sealed(stream[:-TRAILER_WORDS]), stream):
        raise InputError(f"{path} is damaged or no memory image: its digest is not that of its words. Make it anew.")
    return stream
