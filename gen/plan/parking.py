"""States outside the chip: which passes have theirs there, in how many words, and how often these move.

The states of a pass that is *parked* come from outside in the order in which its neurons fire, and are written back in
the same order: those of each group one behind the other, each as many words behind those of the group before as group 0
has. A state takes the fewest groups of four bits that hold those of its layer. The states of a neuron follow one
another without a gap in words of 32 bits, from the lowest bits on; of several neurons of a group each has a word in
turn.

They come in every timestep but the first, where membranes are initial, and are written in every one but the last.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gen.intnet import IntegerNetwork
from gen.plan.params import WORD_BITS
from gen.plan.passes import Pass

__all__ = [
    "BURST", "DEPTH", "DIGIT", "DIGITS", "may_park", "moves_of_rounds", "park", "parked_end", "parked_moves",
    "parked_words", "state_digits",
]

DIGIT = 4  # bits in which a state is counted out
DIGITS = WORD_BITS // DIGIT  # in a word
DEPTH = 512  # words of a neuron that wait on the chip: that have come, and as many that go; those of a block of RAM
BURST = 64  # words that move together, at most; a whole number for each neuron


def state_digits(p: Pass) -> int:
    """Return how many groups of four bits a state of a pass takes outside."""
    return -(-p.layer.state_bits // DIGIT) if p.layer.fires else 1


def may_park(network: IntegerNetwork, passes: list[Pass]) -> bool:
    """Return whether a stage has states that may lie outside: those of two-phase networks and of tile order stay."""
    return network.timesteps > 1 and not network.two_phase and all(p.steps == 1 for p in passes)


def park(network: IntegerNetwork, passes: list[Pass], room: int | None) -> list[Pass]:
    """Return the passes of a stage, those ``parked`` whose states the ``room`` of a neuron does not hold.

    The largest stay on the chip as far as they fit: so the fewest words move. A parked pass keeps no current of the
    input, and gathers it anew in every timestep.
    """
    if room is None or not may_park(network, passes):
        return passes
    held = {n: p.state_words * (1 + p.keep) for n, p in enumerate(passes) if p.layer.fires}
    room -= sum(p.state_words for p in passes if p.keep and not p.layer.fires)
    out, base, found = set(), 0, []
    for n, words in sorted(held.items(), key=lambda row: -row[1]):
        if words > room:
            out.add(n)
        else:
            room -= words
    for n, p in enumerate(passes):
        if n in out:
            p = replace(p, parked=base, keep=False)
            base = parked_end(p)
        found.append(p)
    return found


def parked_words(p: Pass, group: int) -> int:
    """Return the words of 32 bits that the states of a ``group`` take outside; 0 where they lie on the chip."""
    if p.parked is None:
        return 0
    beats = p.positions_of(group) * int((-(-p.lanes_of(group) // p.neurons)).sum())
    return p.neurons * -(-beats * state_digits(p) // DIGITS)


def parked_end(p: Pass) -> int:
    """Return the first word behind the states of a pass, of all that are parked; 0 where none are."""
    groups = p.loops.parts * p.loops.positions
    return 0 if p.parked is None else p.parked + groups * parked_words(p, 0)


def parked_moves(p: Pass, groups: int) -> int:
    """Return the words that all groups read, or write, of a pass's states in a round that moves any."""
    return sum(parked_words(p, group) for group in range(groups))


def moves_of_rounds(rounds: int) -> np.ndarray:
    """Return int64 [rounds], how often parked states move in each: they are read, written, or both."""
    number = np.arange(rounds)
    return (number > 0).astype(np.int64) + (number < rounds - 1)
