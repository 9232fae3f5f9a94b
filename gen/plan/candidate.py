"""A core that a network may get on a board, with its size and its clock cycles by estimate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gen.intnet import Network
from gen.plan.estimate import Estimate, expected_cycles
from gen.plan.plan import Plan, covering, make_plan, plan_on
from gen.plan.placement import placed_plan, with_spares
from gen.plan.program import tile_words
from gen.plan.resources import core_resources, link_resources, single_port_blocks
from gen.plan.target import Target

__all__ = ["Candidate", "make_candidate"]


@dataclass(frozen=True, eq=False)
class Candidate:
    """A core that a network may get on a board.

    also : further networks that the core is large enough for
    resources, used : {lut, ff, bram, dsp} of the core, and of the design with the link
    short : what the part lacks, a sentence for each; none: it fits
    estimate : of a mean image
    """

    plan: Plan
    target: Target
    also: tuple[Network, ...]
    resources: dict[str, int]
    used: dict[str, int]
    short: tuple[str, ...]
    estimate: Estimate

    @property
    def lanes(self) -> int:
        """Lanes of the core."""
        return self.plan.params.lanes

    @property
    def neurons(self) -> int:
        """Neurons of each group of lanes."""
        return self.plan.params.neurons

    @property
    def fits(self) -> bool:
        """Whether the part has room, by the estimate."""
        return not self.short

    @property
    def fps(self) -> float:
        """Images a second at the board's clock."""
        return self.estimate.fps(self.target.core_mhz)

    @property
    def size(self) -> float:
        """The largest share that the design takes of anything that the part has."""
        return max(self.used[kind] / have for kind, have in self.target.budget.items() if have)


def make_candidate(network: Network, target: Target, also: Sequence[Network], lanes: int, **form) -> Candidate:
    """Return a candidate whose groups share the inputs of readouts, unless that makes it slower.

    ``form``: what else `make_plan` takes. A map that is read as a line of words may need longer fields, and each tile
    of all layers more words of the program.
    """
    found = _made(network, target, also, lanes, **form)
    if found.plan.layout.shared:
        alone = make_plan(network, lanes, **form, shared=False)
        if tile_words(alone.params) < tile_words(found.plan.params):
            other = _made(network, target, also, lanes, **form, shared=False)
            return min(found, other, key=lambda made: made.estimate.interval)
    return found


def _made(network, target, also, lanes, **form):
    def placed(other):
        return placed_plan(other, lanes, target, **form)

    plan = placed(network)
    if also:
        plan = plan_on(network, covering([plan, *map(placed, also)]))
    plan = with_spares(plan, target)
    core, link = core_resources(plan.params, target), link_resources(target)
    used = {kind: core[kind] + link[kind] for kind in core}
    short = tuple(_shortages(plan, used, target))
    return Candidate(plan, target, tuple(also), core, used, short, expected_cycles(plan, pace=target.pace))


def _shortages(plan, used, target):
    needs = [(kind, used[kind], have) for kind, have in target.budget.items()]
    if plan.params.spram:
        needs.append(("spram", single_port_blocks(plan.params), target.spram_blocks))
    return [
        f"it needs {need:,} {kind} where the part has {have:,}, {need - have:,} too many"
        for kind, need, have in needs if need > have
    ]
