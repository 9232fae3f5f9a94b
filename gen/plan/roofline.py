"""What bounds each layer on a core: its lanes, or what the memory outside the chip has to move for it.

A roofline in cycles: a layer takes at least as long as its events keep the lanes, and at least as long as the memory
needs for its weights, and for the maps and states that it reads and writes there. The larger one bounds it (Williams
et al. 2009).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gen.layers import INPUT
from gen.plan.activity import Activity, find_activity
from gen.plan.blocks import block_words, copy_pieces, stage_blocks
from gen.plan.estimate import expected_passes, moved_states, written_words
from gen.plan.plan import Plan

__all__ = ["LANES", "MAPS", "STATES", "WEIGHTS", "LayerBound", "roofline"]

LANES, WEIGHTS, MAPS, STATES = "lanes", "weights", "maps", "states"


@dataclass(frozen=True)
class LayerBound:
    """Cycles of a layer in a mean image; what it does once for a batch is shared out.

    compute : of its passes if nothing waits
    weights, maps, states : of the memory, for blocks of weights and parameters, and for maps and states read and
        written, of the layer that reads it first the input too; all 0 where all is inside
    words : of 32 bits that move
    """

    stage: int
    layer: str
    compute: float = 0.0
    weights: float = 0.0
    maps: float = 0.0
    states: float = 0.0
    words: float = 0.0

    @property
    def bound(self) -> str:
        """What bounds it: `LANES`, or that part of what moves which is the larger."""
        moved = {WEIGHTS: self.weights, MAPS: self.maps, STATES: self.states}
        return LANES if sum(moved.values()) <= self.compute else max(moved, key=lambda name: moved[name])


def roofline(plan: Plan, pace: float, activity: Activity | None = None) -> list[LayerBound]:
    """Return the bounds of every layer, in the order of the passes; ``pace``: cycles of a word from outside."""
    fetched, copied = {}, {}
    for stage in plan.stages:
        for block in stage_blocks(stage.passes, plan.regions):
            index = block.p.index
            fetched[index] = fetched.get(index, 0) + block_words(block, plan.params)
            copied[index] = copied.get(index, 0) + sum(copy_pieces(copy, plan.params) for copy in block.copies)
    activity = activity or find_activity(plan.network)
    comes = _input_words(plan, float(activity.stages[0].running.sum()))
    found: dict[tuple[int, str], LayerBound] = {}
    for p, compute, runs in expected_passes(plan, activity):
        of = found.setdefault((p.stage, p.layer.name), LayerBound(p.stage, p.layer.name))
        runs, compute = runs / plan.layout.images, compute / plan.layout.images
        weights = runs * fetched.get(p.index, 0)
        maps = runs * (copied.get(p.index, 0) + written_words(plan, p))
        if any(source == INPUT for source, _ in p.reads):
            maps, comes = maps + comes, 0.0
        states = 0.0
        if p.parked is not None:
            states = float(activity.stages[p.stage].running @ moved_states(plan, p))
        found[p.stage, p.layer.name] = replace(
            of, compute=of.compute + compute, weights=of.weights + pace * weights, maps=of.maps + pace * maps,
            states=of.states + pace * states, words=of.words + weights + maps + states,
        )
    return list(found.values())


def _input_words(plan, timesteps):
    """Return the words that the input of an image is written outside in; 0 where it stays on the chip."""
    region = plan.regions[0, INPUT, 0]
    if region.outside is None:
        return 0.0
    one_by_one = plan.network.source.kind == "frames" and region.versions == 1
    return region.words * plan.params.image_pieces * (timesteps if one_by_one else max(1, region.versions))
