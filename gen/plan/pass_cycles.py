"""The clock cycles of one pass, tile by tile.

The walker makes and sends tiles for all groups at once; each group takes the events of its own tile out of a queue of
words, and the ends of its tiles lie apart by what the neurons need. So a pass is a chain of maxima, which is followed
for all timesteps together. What does not depend on events is a few constants, fitted to the compiled core.
"""

from __future__ import annotations

import numpy as np

from gen.plan.parking import DEPTH, DIGITS, state_digits
from gen.plan.plan import Plan
from gen.plan.program_words import spacing
from gen.plan.tile_work import TileWork

__all__ = ["CYCLES", "pass_cycles"]

# Cycles of the compiled core, beside what tiles, lanes, neurons and values take.
CYCLES = {
    "image": 12,      # from the beginning of an image to its first pass, and from its decision to the result
    "stage": 14,      # before the first pass, where the stage is read
    "next": 12,       # from there to the beginning of the next image
    "pass": 27,       # from the beginning of a pass to its first event, from the last one to its neurons, and on
    "scan": 3,        # from the address of the first value of an output to the value
    "frame": 6,       # before the first pass of every round but the first, of another input map
    "copy": 14,       # of each copy, beside its words
    "burst": 2,       # of each burst of words of a map written, beside its words
    "turn": 4,        # of so many words as the longest burst has: to writing and back, another row of the SDRAM
    "park": 60,       # from the beginning of a pass to the first states of its groups, from its end to its last words
    "block": 31,      # from the beginning of a fetch to the first word of the runs, and from the last one to the pass
}
# Words with events that the walker is ahead of a group (`hw.core.word_queue`), and the cycles from where one of them
# leaves the queue to where the next one is there: a walker that waits is told late, and what it asks for comes late.
QUEUE, RESUMES = 10, 10
TOGETHER = 256  # tiles of a pass that are followed one after the other; more of them are followed side by side


def pass_cycles(plan: Plan, p, work: TileWork, states: np.ndarray | float = 0.0) -> np.ndarray:
    """Return float [steps] (one for all: [1]), the cycles of a pass whose tiles do this `TileWork`.

    ``states``: cycles [steps] that the memory needs for the states that are parked.
    """
    drain = plan.params.neuron_latency + p.beats
    moving = np.broadcast_to(states, work.sent.shape[:1]) / work.runs.shape[1]
    held = DEPTH * DIGITS // (p.beats * state_digits(p))
    dense = all(source.dense for source in p.walk.sources)
    return CYCLES["pass"] + drain + _followed(work, spacing(p, plan.params), moving, held, dense)


def _followed(work, apart, moving, held, dense):
    """Return float [steps], when the last event of the last tile is taken.

    Times are [steps, groups, runs]: a long pass is cut into runs of tiles that are followed side by side, as if each
    began with empty queues. A word of a ``dense`` pass is used in the cycle in which it comes. The memory takes
    ``moving`` [steps] for the states of a tile of each group, of which those of ``held`` tiles wait in a queue.
    """
    runs = max(1, work.runs.shape[1] // TOGETHER)
    length = -(-work.runs.shape[1] // runs)
    sent, taken, words, present = (_cut(a, runs, length) for a in (work.sent, work.taken, work.words, work.runs))
    lag, ahead = _waits(taken, words)
    mean = taken / np.maximum(words, 1)
    ends = np.zeros((length + 1, *taken.shape[1:]))  # ends[n + 1]: of tile n
    ends[0] = -RESUMES  # for none does the walker wait
    begun = walker = memory = np.zeros(taken.shape[1:2] + taken.shape[3:])
    own_place = np.ogrid[tuple(map(slice, taken.shape[1:]))]  # np.take_along_axis takes twice the time of all the rest
    for n in range(length):
        begun = np.maximum(walker, begun + work.made * (n > 0))
        own = np.maximum(ends[n], begun[:, None]) + taken[n]
        ends[n + 1] = own
        free = ends[lag[n], *own_place] - ahead[n] + RESUMES
        walker = np.maximum(begun + sent[n], free.max(axis=1))
        last = np.maximum(own, walker[:, None] + mean[n] - dense)
        if n:
            last = np.maximum(last, ends[n] + apart)
        if moving.any():
            memory = np.maximum(memory, ends[max(0, n - held)].max(axis=1)) + moving[:, None]
            last = np.maximum(last, memory[:, None])
        ends[n + 1] = np.where(present[n], last, ends[n])
    return np.maximum(ends[-1].max(axis=1), walker).sum(axis=-1)


def _cut(a, runs, length):
    """Return [..., tiles] as [length, ..., runs], tile first; what is missing in the last run costs nothing."""
    padded = np.zeros((*a.shape[:-1], runs * length), a.dtype)
    padded[..., : a.shape[-1]] = a
    return np.moveaxis(padded.reshape(*a.shape[:-1], runs, length), -1, 0)


def _waits(taken, words):
    """Return for each tile which other one's end the walker waits for at its last word, and how long before that end.

    ``words`` wait in a queue of `QUEUE`: the end is that of the tile whose words must have left it (counted from 1; 0:
    of none).
    """
    total = np.cumsum(words, axis=0)
    must = total - QUEUE
    lag = np.zeros(total.shape, np.int64)
    columns, wanted = total.reshape(len(total), -1), must.reshape(len(total), -1)
    for i in range(columns.shape[1]):
        lag.reshape(len(total), -1)[:, i] = np.searchsorted(columns[:, i], wanted[:, i])
    mean = np.take_along_axis(taken, lag, axis=0) / np.maximum(np.take_along_axis(words, lag, axis=0), 1)
    ahead = (np.take_along_axis(total, lag, axis=0) - must) * mean
    waits = must > 0
    return np.where(waits, lag + 1, 0), np.where(waits, ahead, 0)
