"""Load streams for verification: which words go through the load port, and a stream whose words are all wrong."""

import numpy as np

from gen.plan.image import TRAILER_WORDS, sealed
from gen.plan.params import WORD_BITS

__all__ = ["LONG", "inverted", "port_stream"]

OUTSIDE = "outside"
LONG = 50_000  # words outside the chip that are too many for the load port of a simulation


def _blocks(stream, plan):
    """Yield (name of a memory, where its words begin in a load stream, where they end)."""
    loadable = [(name, -(-spec.width // WORD_BITS)) for name, spec in plan.memories.items() if spec.loadable]
    position = 0
    while position < len(stream) - TRAILER_WORDS:
        name, beats = loadable[int(stream[position]) >> 24]
        start = position + 2
        position = start + int(stream[position + 1]) * beats
        yield name, start, position


def inverted(stream, plan):
    """Return a load stream with the bits of every memory word turned over, addresses and lengths as they are.

    Its digest, at the end, is that of the right one.
    """
    result = stream.copy()
    for _, start, end in _blocks(stream, plan):
        result[start:end] ^= np.uint32(0xFFFFFFFF)
    return result


def port_stream(stream, plan, most=LONG):
    """Return what of a load stream goes through the load port, and the words that are to be put outside beforehand.

    These are None unless there are more than ``most`` of them.
    """
    words = {name: (start, end) for name, start, end in _blocks(stream, plan)}
    start, end = words.get(OUTSIDE, (0, 0))
    if end - start <= most:
        return stream, None
    return sealed(np.concatenate([stream[: start - 2], stream[end:-TRAILER_WORDS]])), stream[start:end]
