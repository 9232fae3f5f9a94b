"""Where the weights and states of a network lie on a board's part: block RAM, single-port RAM, a memory outside."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from typing import TYPE_CHECKING

from gen.errors import InputError
from gen.intnet import Network
from gen.plan.memories import memory_table
from gen.plan.plan import Plan, make_plan, plan_on
from gen.plan.resources import core_resources, link_resources, single_port_blocks

if TYPE_CHECKING:
    from gen.plan.target import Target

__all__ = ["placed_plan"]

LEAST_ROOM = 512  # words of weights of a group, in steps of which room is looked for: those of a block


def placed_plan(network: Network, lanes: int, target: Target, neurons: int = 1) -> Plan:
    """Return the plan of ``network`` on a part.

    Single-port RAM takes weights, then states, as far as the part has enough. Where the block RAMs do not hold all
    weights and the board has a memory outside, some layers have theirs there (`gen.plan.outside`). Raises what
    `make_plan` raises without single-port RAM.
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
    return _with_weights_outside(plan, lanes, target, neurons)


def _with_weights_outside(plan, lanes, target, neurons):
    """Return the plan with as many weights on the chip as it has room for, or none; the same plan if that fails."""
    left = target.bram_blocks - _blocks(plan, target) + _weight_blocks(plan.params, target)
    words, fits = range(LEAST_ROOM, plan.params.weights, LEAST_ROOM), 1
    while fits:
        fits = bisect_right(words, left, key=lambda room: _weight_blocks(replace(plan.params, weights=room), target))
        other = make_plan(plan.network, lanes, neurons=neurons, room=max(1, fits * LEAST_ROOM))
        over = _blocks(other, target) - target.bram_blocks
        if over <= 0 and other.params.outside <= target.dram.words:
            return plan_on(plan.network, other.params)
        left -= max(1, over)  # passes that are cut have a longer program
    return plan


def _weight_blocks(params, target):
    specs = memory_table(params).values()
    return sum(spec.blocks(target.bram) for spec in specs if spec.role == "weights")


def _blocks(plan, target):
    return core_resources(plan.params, target)["bram"] + link_resources(target)["bram"]
