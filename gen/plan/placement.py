"""Where the weights and states of a network lie on a board's part: block RAM, single-port RAM, a memory outside."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from typing import TYPE_CHECKING

from gen.errors import InputError
from gen.intnet import Network
from gen.layers import INPUT
from gen.plan.blocks import stage_blocks, words_moved
from gen.plan.memories import memory_table
from gen.plan.plan import Plan, make_plan, plan_on
from gen.plan.regions import WHOLE, Room
from gen.plan.resources import core_resources, link_resources, single_port_blocks

if TYPE_CHECKING:
    from gen.plan.target import Target

__all__ = ["placed_plan"]

SHARES = (None, 3 / 4, 1 / 2, 1 / 3, 1 / 4, 1 / 6, 1 / 8, 1 / 16, 1 / 32)  # of the words of all maps, on the chip
LEAST_ROOM = 512  # words of weights of a group, in steps of which room is looked for: those of a block


def placed_plan(network: Network, lanes: int, target: Target, neurons: int = 1) -> Plan:
    """Return the plan of ``network`` on a part.

    Single-port RAM takes weights, then states, as far as the part has enough. Where the block RAMs do not hold all
    weights and maps, and the board has a memory outside, weights of some layers and the largest maps lie there. Raises
    what `make_plan` raises without single-port RAM.
    """
    for spram in (2, 1) if target.spram_blocks else ():
        try:
            plan = make_plan(network, lanes, neurons=neurons, spram=spram)
        except InputError:  # tiles too wide for states in single-port RAM
            continue
        if single_port_blocks(plan.params) <= target.spram_blocks and (spram == 1 or plan.params.states):
            return plan
    plan = make_plan(network, lanes, neurons=neurons)
    if not target.dram or _blocks(plan, target) <= target.bram_blocks:
        return plan
    return _placed_outside(plan, lanes, target, neurons)


def _placed_outside(plan, lanes, target, neurons):
    """Return the plan that moves the fewest words of those that fit; ``plan`` where none does.

    Maps are given less and less room, weights what the maps leave.
    """
    best, least = plan, None
    for image in (None, 0):
        for share in SHARES:
            maps = int(share * plan.params.map_words) if share else None
            found = _with_weights_outside(plan, lanes, target, neurons, Room(maps=maps, image=image))
            if found:
                moved = _moved(found)
                if least is not None and moved >= least:
                    return best
                best, least = found, moved
    return best


def _with_weights_outside(plan, lanes, target, neurons, room):
    """Return the plan with as many weights on the chip as there is room for beside the maps, or None."""
    if room != WHOLE:
        plan = make_plan(plan.network, lanes, neurons=neurons, room=room)
    left = target.bram_blocks - _blocks(plan, target) + _weight_blocks(plan.params, target)
    words, fits = range(LEAST_ROOM, plan.params.weights, LEAST_ROOM), len(plan.passes)
    while left > 0 and fits:
        fits = bisect_right(words, left, key=lambda room: _weight_blocks(replace(plan.params, weights=room), target))
        inside = room if fits == len(words) else replace(room, weights=max(1, fits * LEAST_ROOM))
        other = make_plan(plan.network, lanes, neurons=neurons, room=inside)
        over = _blocks(other, target) - target.bram_blocks
        if over <= 0 and other.params.outside <= target.dram.words:
            return plan_on(plan.network, other.params)
        left -= max(1, over)  # passes that are cut have a longer program
    return None


def _moved(plan):
    """Return the 32-bit words that move to and from the outside in a round of every stage."""
    read = sum(words_moved(block, plan.params) for stage in plan.stages
               for block in stage_blocks(stage.passes, plan.regions))
    return read + sum(region.words * plan.params.map_pieces for (_, name, _), region in plan.regions.items()
                      if name != INPUT and region.outside is not None)


def _weight_blocks(params, target):
    specs = memory_table(params).values()
    return sum(spec.blocks(target.bram) for spec in specs if spec.role == "weights")


def _blocks(plan, target):
    return core_resources(plan.params, target)["bram"] + link_resources(target)["bram"]
