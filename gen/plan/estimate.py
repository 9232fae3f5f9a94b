"""The clock cycles of an image, tile by tile, before there is any hardware.

A pass, or a row of one, that needs something from outside the chip begins when its block has come; further blocks are
fetched meanwhile, and what spills is written.

The walker makes and sends tiles for all groups at once; each group takes the events of its own tile out of a queue of
words, and the ends of its tiles lie apart by what the neurons need. So a pass is a chain of maxima, which is followed
for all timesteps together. What does not depend on events is a few constants, fitted to the compiled core.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gen.layers import INPUT
from gen.plan.activity import Activity, find_activity
from gen.plan.blocks import stage_blocks, words_moved
from gen.plan.parking import DEPTH, DIGITS, moves_of_rounds, parked_moves, state_digits
from gen.plan.passes import Pass
from gen.plan.plan import Plan
from gen.plan.program_words import spacing
from gen.plan.spilling import bursts_written
from gen.plan.target import Dram
from gen.plan.tile_work import TileWork, tile_work

__all__ = [
    "CYCLES", "PACE", "Estimate", "estimate_cycles", "expected_cycles", "expected_passes", "moved_states",
    "pass_cycles", "written_words",
]

# Cycles of the compiled core, beside what tiles, lanes, neurons and values take.
CYCLES = {
    "image": 26,      # from the beginning of an image to its first pass, and from its decision to the result
    "next": 12,       # from there to the beginning of the next image
    "pass": 27,       # from the beginning of a pass to its first event, from the last one to its neurons, and on
    "scan": 3,        # from the address of the first value of an output to the value
    "frame": 6,       # before the first pass of every round but the first, of another input map
    "copy": 14,       # of each copy, beside its words
    "burst": 6,       # of each burst of words of a map written, beside its words: turns, another row of the SDRAM
    "park": 60,       # from the beginning of a pass to the first states of its groups, from its end to its last words
    "block": 31,      # from the beginning of a fetch to the first word of the runs, and from the last one to the pass
}
PACE = Dram("SDRAM", 32, 16).pace()  # of a memory outside the chip, where nothing else is said
# Of a decision, for each position of the output, beside scans of its channels: how many, and the rule itself.
DECISIONS = {"off": (1, 1), "margin": (2, 3), "confidence": (2, 13), "entropy": (2, 30)}
REST = 1  # between the last event of a tile and the first of the next
# Words with events that the walker is ahead of a group (`hw.core.word_queue`), and the cycles from where one of them
# leaves the queue to where the next one is there: a walker that waits is told late, and what it asks for comes late.
QUEUE, RESUMES = 10, 10
TOGETHER = 256  # tiles of a pass that are followed one after the other; more of them are followed side by side


@dataclass(frozen=True)
class Estimate:
    """Cycles of an image.

    cycles : of the work, as a result reports them
    interval : between the results of a long run of images, whose input is read meanwhile
    timesteps : run
    basis : what the numbers of events were taken from
    """

    cycles: float
    interval: float
    timesteps: float
    basis: str

    def fps(self, clock_mhz: float) -> float:
        """Return the images a second."""
        return 1e6 * clock_mhz / self.interval


def estimate_cycles(plan: Plan, counts, timesteps, pace: float = PACE) -> Estimate:
    """Return the `Estimate` of one image from its own counts.

    Parameters
    ----------
    counts : for every stage that runs, in order, {name of a map: array [timesteps run, C, H, W]}, as a trace of the
        golden model has them, and under `INPUT` the values of the input ([1, C, H, W] if it is constant)
    timesteps : for every one of these stages, the timesteps that it runs
    pace : cycles of a 32-bit word from outside the chip
    """
    work = 0.0
    for number, (stage, steps) in enumerate(zip(counts, timesteps, strict=True)):
        nonzero = {name: np.asarray(values) != 0 for name, values in stage.items()}
        work += _stage_cycles(plan, number, nonzero, steps, pace).sum()
    return _estimate(plan, CYCLES["image"] + work, sum(timesteps), "the counts of one image")


def expected_cycles(plan: Plan, activity: Activity | None = None, pace: float = PACE) -> Estimate:
    """Return the `Estimate` of a mean image.

    ``activity``: by default what the network file tells of its calibration images (`gen.plan.activity`). ``pace``: as
    of `estimate_cycles`.
    """
    activity = activity or find_activity(plan.network)
    cycles, timesteps = float(CYCLES["image"]), 0.0
    for number, stage in enumerate(activity.stages):
        each = _stage_cycles(plan, number, stage.maps, len(stage.running), pace)
        if len(each) == len(stage.running):
            cycles += float(each @ stage.running)
        else:  # one round is all timesteps
            cycles += float(each.sum() * stage.running[0])
        timesteps += float(stage.running.sum())
    return _estimate(plan, cycles, timesteps, activity.basis)


def _estimate(plan, cycles, timesteps, basis):
    source, results = plan.network.source, sum(plan.layout.output_sizes.values())
    maps = timesteps if source.kind == "frames" and plan.layout.tiling.kept == 1 else plan.layout.tiling.kept
    beats = maps * float(np.prod(source.shape)) / plan.params.input_values
    return Estimate(cycles, max(cycles + CYCLES["next"], beats, results), timesteps, basis)


def _stage_cycles(plan, number, maps, steps, pace):
    """Return float [rounds], the cycles of every round of a stage that runs ``steps``, its decision included."""
    stage = plan.stages[number]
    total = np.full(min(stage.rounds, steps), float(_decision(stage.network)))
    if stage.network.source.kind == "frames":
        total[1:] += CYCLES["frame"]
    clock = _Clock(plan, stage, pace, len(total))
    for p, cycles in _passes(plan, stage, maps, steps, pace):
        clock.run(p, cycles)
    return total + clock.now


def _passes(plan, stage, maps, steps, pace=0.0):
    """Yield (pass, float [rounds], its cycles) of a stage that runs ``steps``, in which it waits for states alone."""
    for p in stage.passes:
        read = [_read(stage.network, p, source, maps, steps) for source, _ in p.reads]
        states = pace * moved_states(plan, p)[:steps] if p.parked is not None else 0.0
        yield p, pass_cycles(plan, p, tile_work(p, plan.regions, plan.params, read), states)


def moved_states(plan: Plan, p: Pass) -> np.ndarray:
    """Return int64 [rounds], the 32-bit words of states that a pass moves in each round of its stage."""
    return parked_moves(p, plan.params.groups) * moves_of_rounds(plan.stages[p.stage].rounds)


def expected_passes(plan: Plan, activity: Activity | None = None) -> Iterator[tuple[Pass, float, float]]:
    """Yield (pass, its cycles in a mean image if nothing waits, how often it is run) of every pass."""
    for number, known in enumerate((activity or find_activity(plan.network)).stages):
        stage, steps = plan.stages[number], len(known.running)
        rounds = known.running if stage.rounds == steps else known.running[:1]
        for p, cycles in _passes(plan, stage, known.maps, steps):
            cycles = cycles if len(cycles) == len(rounds) else np.full(len(rounds), cycles.sum() / len(rounds))
            yield p, float(cycles @ rounds), float(rounds.sum())


def written_words(plan: Plan, p: Pass) -> int:
    """Return the 32-bit words that a run of a pass writes outside."""
    spills = p.writes and plan.regions[p.stage, *p.writes].outside is not None
    return p.rows * p.columns * p.tiles * plan.params.map_pieces if spills else 0


class _Clock:
    """The time in every round of a stage, float [rounds]: of the passes, and of the memory outside the chip.

    The memory fetches block after block, each as early as `gen.plan.blocks` allows, writes what spills, and moves the
    states that are parked.
    """

    def __init__(self, plan, stage, pace, rounds):
        self.now, self.memory, self.fetched = np.zeros((3, rounds))  # until when passes, memory and fetching have work
        self._plan, self._pace = plan, pace
        self._blocks, self._begun = iter(stage_blocks(stage.passes, plan.regions)), []  # when what waited for one began

    def run(self, p, cycles):
        """Let a pass of so many cycles run, row by row where it waits for rows."""
        if p.fetched:
            self.now = np.maximum(self.now, self._fetched())
            self._begun.append(self.now)
        rows = p.rows if p.rowwise else 1
        moving = self._pace * written_words(self._plan, p)
        if moving:
            region = self._plan.regions[p.stage, *p.writes]
            moving = moving + CYCLES["burst"] * bursts_written(p, region, cycles)
        if p.parked is not None:
            moving = moving + self._pace * moved_states(self._plan, p)[: len(self.now)]
            self.now = self.now + CYCLES["park"]
        moving = moving / rows
        for _ in range(rows):
            if p.rowwise:
                self.now = np.maximum(self.now, self._fetched())
                self._begun.append(self.now)
            moves = moving > 0
            self.memory = np.where(moves, np.maximum(self.memory, self.now) + moving, self.memory)
            self.now = self.now + cycles / rows
            self.now = np.where(moves, np.maximum(self.now, self.memory), self.now)

    def _fetched(self):
        """Fetch the next block; return when it has come."""
        block, params = next(self._blocks), self._plan.params
        needed = len(self._begun) - 1 - block.ahead  # the one that must have begun
        allowed = self._begun[needed] if needed >= 0 else 0
        asking, words = CYCLES["block"] + len(block.copies) * CYCLES["copy"], self._pace * words_moved(block, params)
        # It writes maps while the block is being asked for; where states move, who asks waits for these.
        self.memory = np.maximum(self.memory, allowed) + words + asking * (block.p.parked is not None)
        self.fetched = np.maximum(np.maximum(self.fetched, allowed) + asking + words, self.memory)
        return self.fetched


def _read(network, p, name, maps, steps):
    """Return the map that a pass reads, at every timestep at which it is run."""
    nonzero = maps[name]
    if len(nonzero) == 1 or name == INPUT and network.source.kind == "direct":
        varies = p.keep and p.steps == 1 or p.parked is not None
        return np.repeat(nonzero[:1], steps, axis=0) if varies else nonzero[:1]
    return nonzero[p.reads_at - 1][None] if network.two_phase else nonzero


def _decision(network):
    rule, (channels, rows, columns) = network.exit_rule.kind, network.shapes[network.readout.name]
    scans, more = DECISIONS[rule]
    return CYCLES["scan"] + (1 if rule == "off" else rows * columns) * (scans * (channels + CYCLES["scan"]) + more)


def pass_cycles(plan: Plan, p, work: TileWork, states: np.ndarray | float = 0.0) -> np.ndarray:
    """Return float [steps] (one for all: [1]), the cycles of a pass whose tiles do this `TileWork`.

    ``states``: cycles [steps] that the memory needs for the states that are parked.
    """
    drain = plan.params.neuron_latency + p.beats
    moving = np.broadcast_to(states, work.sent.shape[:1]) / work.runs.shape[1]
    held = DEPTH * DIGITS // (p.beats * state_digits(p))
    return CYCLES["pass"] + drain + _followed(work, spacing(p, plan.params), moving, held)


def _followed(work, apart, moving, held):
    """Return float [steps], when the last event of the last tile is taken.

    Times are [steps, groups, runs]: a long pass is cut into runs of tiles that are followed side by side, as if each
    began with empty queues. The memory takes ``moving`` [steps] for the states of a tile of each group, of which those
    of ``held`` tiles wait in a queue.
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
        own = np.maximum(ends[n] + REST * (n > 0), begun[:, None]) + taken[n]
        ends[n + 1] = own
        free = ends[lag[n], *own_place] - ahead[n] + RESUMES
        walker = np.maximum(begun + sent[n], free.max(axis=1))
        last = np.maximum(own, walker[:, None] + mean[n])
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
