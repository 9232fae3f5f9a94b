"""The clock cycles of an image, tile by tile, before there is any hardware.

A pass, or a row of one, that needs something from outside the chip begins when its block has come; further blocks are
fetched meanwhile, and what spills is written.

While an image is computed the next one comes: where the input lies outside the chip, it is written there first.
`gen.plan.pass_cycles` says what a pass takes if nothing waits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gen.layers import INPUT
from gen.plan.activity import Activity, find_activity
from gen.plan.blocks import stage_blocks, words_moved
from gen.plan.parking import moves_of_rounds, parked_moves
from gen.plan.pass_cycles import CYCLES, pass_cycles
from gen.plan.passes import Pass
from gen.plan.plan import Plan
from gen.plan.spilling import LONGEST_RUN, bursts_written
from gen.plan.target import Dram
from gen.plan.tile_work import tile_work

__all__ = [
    "PACE", "Estimate", "estimate_cycles", "expected_cycles", "expected_passes", "moved_states", "written_words",
]

PACE = Dram("SDRAM", 32, 16).pace()  # of a memory outside the chip, where nothing else is said
# Of a decision, for each position of the output, beside scans of its channels: how many, and the rule itself.
DECISIONS = {"off": (1, 1), "margin": (2, 3), "confidence": (2, 13), "entropy": (2, 30)}


@dataclass(frozen=True)
class Estimate:
    """Cycles of an image; of a batch those of all its images, shared out.

    cycles : of the work, as a result reports them of an image alone
    followed : of the work while the input of the next image comes
    interval : between the results of a long run of images
    timesteps : run
    basis : what the numbers of events were taken from
    """

    cycles: float
    followed: float
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
        golden model has them, and under `INPUT` the values of the input ([1, C, H, W] if it is constant); of a batch
        for every image
    timesteps : for every one of these stages, the timesteps that it runs; of a batch 1 for every image
    pace : cycles of a 32-bit word from outside the chip
    """
    nonzero = [{name: np.asarray(values) != 0 for name, values in run.items()} for run in counts]
    if plan.layout.images > 1:
        runs = [(stage, nonzero, 1) for stage in plan.stages]
    else:
        runs = [(stage, [maps], steps) for stage, maps, steps in zip(plan.stages, nonzero, timesteps)]
    work = sum(_stage_cycles(plan, stage, maps, steps, pace).sum(axis=1) for stage, maps, steps in runs)
    return _estimate(plan, work, sum(timesteps), "the counts of one image")


def expected_cycles(plan: Plan, activity: Activity | None = None, pace: float = PACE) -> Estimate:
    """Return the `Estimate` of a mean image.

    ``activity``: by default what the network file tells of its calibration images (`gen.plan.activity`). ``pace``: as
    of `estimate_cycles`.
    """
    activity = activity or find_activity(plan.network)
    work = np.zeros(2)
    for stage in plan.stages:
        known = activity.stages[stage.number]
        each = _stage_cycles(plan, stage, [known.maps] * plan.layout.images, len(known.running), pace)
        if each.shape[1] == len(known.running):
            work += each @ known.running
        else:  # one round is all timesteps
            work += each.sum(axis=1) * known.running[0]
    images, timesteps = plan.layout.images, sum(float(known.running.sum()) for known in activity.stages)
    return _estimate(plan, work, images * timesteps, activity.basis)


def _estimate(plan, work, timesteps, basis):
    """Return the `Estimate` of a run of ``timesteps`` in all; ``work``: cycles alone, and while the next one comes."""
    source, layout, images = plan.network.source, plan.layout, plan.layout.images
    begins = CYCLES["image"] + CYCLES["stage"] * (not plan.params.staged)
    alone, followed = (begins + work).tolist()
    maps = timesteps if source.kind == "frames" and layout.tiling.kept == 1 else images * layout.tiling.kept
    values = layout.tiling.strips.map_values if layout.tiling.strips else float(np.prod(source.shape))
    beats = maps * values / plan.params.input_values
    interval = max(followed + CYCLES["next"], beats, layout.values)
    return Estimate(alone / images, followed / images, interval / images, timesteps / images, basis)


def _stage_cycles(plan, stage, maps, steps, pace):
    """Return float [2, rounds], the cycles of every round of a stage that runs ``steps``, its decision included.

    Alone, then while the next input comes. ``maps``: of a batch those of each image, else one.
    """
    decided = plan.layout.images == 1 or stage is plan.stages[-1]
    decision = _decision(stage.network, plan.params) if decided else CYCLES["frame"]
    total = np.full(min(stage.rounds, steps), float(decision))
    if stage.network.source.kind == "frames":
        total[1:] += CYCLES["frame"]
    coming = _coming(plan, stage, pace, len(total))
    alone = followed = _Clock(plan, stage, pace, coming[0])
    if (coming[0] != coming[1]).any():
        followed = _Clock(plan, stage, pace, coming[1])
    for p, cycles in _passes(plan, stage, maps, steps, pace):
        alone.run(p, cycles)
        if followed is not alone:
            followed.run(p, cycles)
    return total + np.stack([alone.now, followed.now])


def _coming(plan, stage, pace, rounds):
    """Return float [2, rounds], the cycles in which the memory takes input that comes, alone and in a row.

    It comes as fast as a core takes it, while the input before it is computed.
    """
    first, region, p = stage.passes[0], plan.regions[0, INPUT, 0], plan.params
    coming = np.zeros((2, rounds))
    if region.outside is not None and stage is next(s for s in plan.stages if s.passes[0].image == first.image):
        coming[1, 0] = region.words * (pace * p.image_pieces + (CYCLES["burst"] + CYCLES["turn"]) / LONGEST_RUN)
        coming[0, 0] = coming[1, 0] * (first.image < plan.layout.images - 1)
        if plan.network.source.kind == "frames":
            coming[:, :] = coming[1, 0]
            coming[0, -1] = 0
    return coming


def _passes(plan, stage, maps, steps, pace=0.0):
    """Yield (pass, float [rounds], its cycles) of a stage that runs ``steps``, in which it waits for states alone."""
    for p in stage.passes:
        read = [_read(stage.network, p, source, maps[p.image], steps) for source, _ in p.reads]
        states = pace * moved_states(plan, p)[:steps] if p.parked is not None else 0.0
        yield p, pass_cycles(plan, p, tile_work(p, plan.regions, plan.params, read), states)


def moved_states(plan: Plan, p: Pass) -> np.ndarray:
    """Return int64 [rounds], the 32-bit words of states that a pass moves in each round of its stage."""
    return parked_moves(p, plan.params.groups) * moves_of_rounds(plan.stages[p.stage].rounds)


def expected_passes(plan: Plan, activity: Activity | None = None) -> Iterator[tuple[Pass, float, float]]:
    """Yield (pass, its cycles in a mean image if nothing waits, how often it is run) of every pass.

    Of a batch they are those of all its images.
    """
    activity = activity or find_activity(plan.network)
    for stage in plan.stages:
        known = activity.stages[stage.number]
        steps = len(known.running)
        rounds = known.running if stage.rounds == steps else known.running[:1]
        for p, cycles in _passes(plan, stage, [known.maps] * plan.layout.images, steps):
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

    def __init__(self, plan, stage, pace, coming):
        self.now, self.fetched = np.zeros((2, len(coming)))  # until when passes and fetching have work
        self.memory = coming  # and the memory: first it takes the input that comes
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
            moving = moving + CYCLES["turn"] * p.rows * p.columns * p.tiles / LONGEST_RUN
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


def _decision(network, params):
    rule, (channels, rows, columns) = network.exit_rule.kind, network.shapes[network.readout.name]
    (scans, more), scan = DECISIONS[rule], CYCLES["scan"] + params.shared  # a value of all groups is added up
    return CYCLES["scan"] + (1 if rule == "off" else rows * columns) * (scans * (channels + scan) + more)
