"""One of several words, by its number."""

from amaranth.hdl import Mux

__all__ = ["choice"]


def choice(words, index):
    """Return ``words[index]`` as a tree of choices of two, the lowest bit of ``index`` first.

    Of an `Array` Yosys makes comparisons and a word for each of them. Beyond the words the result is any of them.
    """
    for bit in index[: (len(words) - 1).bit_length()]:
        pairs = [words[place : place + 2] for place in range(0, len(words), 2)]
        words = [Mux(bit, pair[1], pair[0]) if len(pair) > 1 else pair[0] for pair in pairs]
    return words[0]
