"""The core's memories as one table made from its parameters: widths, depths and latencies are asked for here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from gen.plan.params import WORD_BITS

__all__ = ["BLOCK", "MemorySpec", "SINGLE_PORT", "SMALL", "TABLE", "memory_table"]

BLOCK, TABLE, SINGLE_PORT = "block", "table", "single port"
SMALL = 16  # words that look-up tables hold
# Widths of an 18 kbit block at its depths: no column needs a multiplexer behind its read port.
COLUMNS = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))
WHOLE = 32  # bits of a word that the tools divide well themselves


@dataclass(frozen=True)
class MemorySpec:
    """One memory, or as many alike as there are groups (``each``).

    ``width`` in bits, ``depth`` in words, ``latency`` in cycles from address to data; ``kind``: block RAM, look-up
    tables or single-port RAM; ``loadable``: the load port fills it, in the order of the table.
    """

    name: str
    width: int
    depth: int
    kind: str = BLOCK
    latency: int = 2
    loadable: bool = False
    group: int | None = None

    @property
    def bits(self):
        """Bits of all words."""
        return self.width * self.depth

    @property
    def small(self):
        """Whether it lies in look-up tables, where the part has memory of those."""
        return self.kind == TABLE or self.kind == BLOCK and self.depth <= SMALL

    @property
    def columns(self):
        """The bits (first, one after the last) of a word that each RAM holds."""
        column = next((bits for depth, bits in COLUMNS if self.depth <= depth), 1)
        if self.kind != BLOCK or self.small or self.width <= WHOLE:
            column = self.width
        return [(low, min(low + column, self.width)) for low in range(0, self.width, column)]


@lru_cache(maxsize=64)
def memory_table(p):
    """Return {name: MemorySpec} of every memory of a core of these `CoreParams`, one entry a group where each has one.

    A memory that nobody reads is not there: no states where none outlives a timestep, no map words of nothing.
    Parameters of a channel lie side by side: theta, bias, v_init and, with two thresholds, theta_low.
    """
    parameter = p.theta_bits * (1 + p.signed) + p.bias_bits + p.state_bits
    specs = [
        MemorySpec("program", WORD_BITS, p.program, latency=1, loadable=True),
        MemorySpec("limits", WORD_BITS, p.limits, latency=1, loadable=True),
    ]
    for g in range(p.groups):
        weights = SINGLE_PORT if p.spram >= 1 else BLOCK
        specs += [
            MemorySpec(f"weights_{g}", p.width * p.weight_bits, p.weights, weights, 2, True, g),
            MemorySpec(f"parameters_{g}", parameter, p.parameters, BLOCK, 2, True, g),
        ]
    for g in range(p.groups):
        slot_words = 1 << (p.image_words - 1).bit_length()
        specs += [
            MemorySpec(f"image_{g}", p.image_tile * p.value_bits, p.image_slots * slot_words, group=g),
            MemorySpec(f"maps_{g}", p.width * p.count_bits, p.map_words, group=g),
        ]
        if p.states:
            kind = SINGLE_PORT if p.spram >= 2 else BLOCK
            specs.append(MemorySpec(f"states_{g}", p.state_bits, p.states, kind, group=g))
        if p.currents:
            specs.append(MemorySpec(f"currents_{g}", p.acc_bits, p.currents, group=g))
    specs.append(MemorySpec("outputs", p.acc_bits, p.outputs))
    return {spec.name: spec for spec in specs}
