"""How many bits a weight takes in the machine: a memory word holds one weight for each lane, or two narrow ones.

All weights of a core lie in memories of one width, that of the widest of them. A layer whose ``weight_bits`` are at
most half of an even width is *narrow*: its weight words lie two in a memory word, half the width for each.
"""

from __future__ import annotations

import numpy as np

from gen.layers import WEIGHT_BITS, signed_bits

__all__ = ["ideal_bits", "stored_bits", "widest_weight", "word_bits"]


def stored_bits(bits: int, widest: int) -> int:
    """Return the bits that a weight of a layer of ``bits`` is stored with where a lane has ``widest`` in each word."""
    return widest // 2 if widest % 2 == 0 and 2 * bits <= widest else widest


def widest_weight(network) -> int:
    """Return the bits of the largest weight of ``network``, of all its stages, at least 2."""
    largest = max(int(np.abs(s.weight).max()) for layer in _weighted(network) for s in layer.synapses)
    return max(2, signed_bits(-largest, largest))


def word_bits(network) -> int:
    """Return the bits of a lane in a memory word that store the weights of ``network`` in the least memory.

    That is `widest_weight`, or more where the waste of wide layers is less than what narrow ones save: a layer of 6
    bits among many of 4 is better stored with 8.
    """
    least = widest_weight(network)
    even = [bits for bits in WEIGHT_BITS if bits > least and bits % 2 == 0]
    return min((least, *even), key=lambda bits: ideal_bits(network, bits))


def ideal_bits(network, widest: int) -> int:
    """Return the bits of all weights in words of ``widest`` bits a lane, every lane in use."""
    return sum(
        synapse.weight.size * stored_bits(int(layer.weight_bits.max()), widest)
        for layer in _weighted(network) for synapse in layer.synapses
    )


def _weighted(network):
    return [layer for stage in network.stages for layer in stage.layers if layer.weighted]
