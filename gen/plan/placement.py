"""Where weights, states, maps and parameters of a network lie: block RAM, single-port RAM, a memory outside."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING

from gen.errors import DoesNotFit, InputError
from gen.intnet import Network
from gen.plan.blocks import stage_blocks, words_moved
from gen.plan.estimate import expected_cycles, moved_states, written_words
from gen.plan.memories import memory_table
from gen.plan.parking import may_park
from gen.plan.plan import Plan, core_room, make_plan, plan_on
from gen.plan.regions import WHOLE, Room
from gen.plan.resources import core_resources, link_resources, single_port_blocks
from gen.plan.tile_work import single_cycles

if TYPE_CHECKING:
    from gen.plan.target import Target

__all__ = ["placed_plan", "with_spares"]

SHARES = (1, 3 / 4, 1 / 2, 1 / 3, 1 / 4, 1 / 6, 1 / 8, 1 / 16, 1 / 32)  # of the words of all maps, on the chip
STATE_SHARES = (1, 3 / 4, 1 / 2, 1 / 4, 1 / 8, 0)  # of the words of all states and kept currents
FILLED = (0.85, 0.6, 0.45, 0.3, 0.2)  # of the block RAMs, where something lies outside: a full part routes badly
SLOWER = 1.01  # times the cycles that a core may take to need fewer block RAMs: it gains more than that in clock
SPARED = 0.6  # of the block RAMs, where those of a design take few words that look-up tables would hold
SPARING = 4  # neurons of a core that may have them
SETTLING = 8  # times that less room is looked at again
TABLE_RAM, QUICK_LUTS = ("ecp5", "xilinx7"), 20_000  # families and tables of parts whose cores may keep steps
LEAST_ROOM = 512  # words of weights of a group, in steps of which room is looked for, or of parameters: of a block


def placed_plan(network: Network, lanes: int, target: Target, **form) -> Plan:
    """Return the plan of ``network`` on a part; ``form``: what else `make_plan` takes, but for ``spram`` and ``room``.

    Single-port RAM takes weights, then states, as far as the part has enough. Where the block RAMs do not hold all
    weights, maps and states, and the board has a memory outside, weights, states and parameters of some layers and the
    largest maps lie there. Raises what `make_plan` raises without single-port RAM.
    """
    make = partial(make_plan, network, lanes, **form)
    for spram in (2, 1) if target.spram_blocks else ():
        try:
            plan = make(spram=spram)
        except InputError:  # tiles too wide for states in single-port RAM
            continue
        if single_port_blocks(plan.params) <= target.spram_blocks and (spram == 1 or plan.params.states):
            return plan
    plan = make()
    if not target.dram or _blocks(plan, target) <= target.bram_blocks:
        return plan
    return _placed_outside(plan, cache(make), target)


def with_spares(plan: Plan, target: Target) -> Plan:
    """Return the plan of a core that takes what its part has to spare."""
    return _with_spare_blocks(_with_kept_steps(plan, target), target)


def _with_kept_steps(plan, target):
    """Return the plan of a quick core where groups take tiles faster than others make them, and the part has tables.

    A core of dense layers alone has few tiles, and one with upsampled maps makes each by several additions.
    """
    params = plan.params
    if target.family not in TABLE_RAM or target.luts < QUICK_LUTS or params.phase_bits or not params.windows:
        return plan
    pays = params.beats < single_cycles(params)
    return Plan(plan.network, replace(params, quick=int(pays)), plan.layout)


def _with_spare_blocks(plan, target):
    """Return the plan with few words in block RAM too, where the part has so much to spare: tables run out before.

    Only an ECP5 has RAM of look-up tables that costs half as much again as it holds, and registers inside its blocks.
    Of cores with more than `SPARING` neurons ABC (Yosys 0.70) makes no tables then: it ends without a word.
    """
    if plan.params.groups * plan.params.neurons > SPARING:
        return plan
    other = Plan(plan.network, replace(plan.params, spare_blocks=1), plan.layout)
    return other if target.family == "ecp5" and _blocks(other, target) <= SPARED * target.bram_blocks else plan


def _placed_outside(plan, make, target):
    """Return the plan of the fewest block RAMs that do not slow it; ``plan`` itself where none fits.

    ``make``: `make_plan` of the network, to which a ``room`` may be given.
    """
    def filled(share):
        return _of_blocks(plan, make, target, int(share * target.bram_blocks))

    def interval(plan):
        return expected_cycles(plan, pace=target.pace).interval

    fullest = filled(FILLED[0])
    if fullest is None:
        return plan
    longest = SLOWER * interval(fullest)

    @cache
    def spared(number):
        other = filled(FILLED[number])
        return None if other is None or interval(other) > longest else other

    fewest = bisect_left(range(1, len(FILLED)), True, key=lambda number: spared(number) is None)
    return spared(fewest) or fullest if fewest else fullest


def _of_blocks(plan, make, target, blocks):
    """Return the plan that moves the fewest words of those that so many ``blocks`` hold; None where there is none.

    Parameters, like weights, move once in a round: they go outside too where what moves more often does, or nothing
    else fits, and where that frees blocks.
    """
    inside = _with_parameters(plan, make, target, None, blocks)
    few = replace(plan.params, parameters=LEAST_ROOM)
    if inside and not (inside.params.rowwise or inside.params.parked) or not (
            _blocks_of("parameters", few, target) < _blocks_of("parameters", plan.params, target)):
        return inside
    outside = _with_parameters(plan, make, target, LEAST_ROOM, blocks)
    return min([found for found in (inside, outside) if found], key=_moved, default=None)


def _with_parameters(plan, make, target, parameters, blocks):
    """Return the plan that moves the fewest words with so much room for ``parameters``, or None.

    The input lies on the chip if it can. States get as much room as leaves some to maps and weights, and maps as much
    as leaves some to the weights; or the next smaller share each.
    """
    shares = STATE_SHARES if any(may_park(stage.network, stage.passes) for stage in plan.stages) else (1,)
    held = plan.params.states + plan.params.currents
    for image in (None, 0):
        @cache
        def placed(states, maps, image=image):
            room = Room(
                maps=int(SHARES[maps] * plan.params.map_words) if maps else None, image=image,
                states=int(shares[states] * held) if states else None, parameters=parameters,
            )
            return _with_weights_outside(plan, make, target, room, blocks)

        def best(states, placed=placed):
            fits = bisect_left(range(len(SHARES)), True, key=lambda maps: placed(states, maps) is not None)
            found = [other for maps in range(fits, len(SHARES))[:2] if (other := placed(states, maps)) is not None]
            return min(found, key=_moved, default=None)

        fits = bisect_left(
            range(len(shares) - 1), True, key=lambda states, placed=placed: placed(states, len(SHARES) - 1) is not None)
        found = [other for states in range(fits, len(shares))[:2] if (other := best(states)) is not None]
        if found:
            return min(found, key=_moved)
    return None


def _with_weights_outside(plan, make, target, room, blocks):
    """Return the plan with as many weights on the chip as so many blocks hold beside the maps, or None."""
    if room != WHOLE:
        plan = make(room=room)
    left = blocks - _blocks(plan, target) + _blocks_of("weights", plan.params, target)
    words, fits = range(LEAST_ROOM, plan.params.weights, LEAST_ROOM), len(plan.passes)
    while left > 0 and fits:
        fits = bisect_right(
            words, left, key=lambda room: _blocks_of("weights", replace(plan.params, weights=room), target))
        inside = room if fits == len(words) else replace(room, weights=max(1, fits * LEAST_ROOM))
        other = make(room=inside)
        over = _blocks(other, target) - blocks
        if over <= 0 and other.params.outside <= target.dram.words:
            return _settled(other, make)
        left -= max(1, over)  # passes that are cut have a longer program
    return None


def _settled(plan, make):
    """Return the plan for the room that its own core has, by which others find it again (`gen.plan.plan.plan_on`).

    Maps that are laid out for some words may need fewer, and in those fewer need more: such a core has the words that
    its maps were laid out for.
    """
    for _ in range(SETTLING):
        other = make(room=core_room(plan.params))
        if other.params == plan.params:
            return other
        plan, before = other, plan
    if plan.params.map_words > before.params.map_words:
        plan, before = make(room=core_room(plan.params)), plan
    try:
        return plan_on(plan.network, replace(plan.params, map_words=before.params.map_words))
    except DoesNotFit:
        return None


def _moved(plan):
    """Return the 32-bit words that move to and from the outside in a mean round of every stage."""
    read = sum(words_moved(block, plan.params) for stage in plan.stages
               for block in stage_blocks(stage.passes, plan.regions))
    parked = sum(moved_states(plan, p).mean() for p in plan.passes if p.parked is not None)
    return read + parked + sum(written_words(plan, p) for p in plan.passes)


def _blocks_of(role, params, target):
    specs = memory_table(params).values()
    return sum(spec.blocks(target.bram) for spec in specs if spec.role == role)


def _blocks(plan, target):
    return core_resources(plan.params, target)["bram"] + link_resources(target)["bram"]
