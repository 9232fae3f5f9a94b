"""`hw.core.tile_loops`: the walk over the tiles of any pass, proved beside counters without registers ahead."""

import pytest
from amaranth.hdl import Assert, Assume, Cat, Module, Mux, Signal

from hw.core.tile_loops import TileLoops
from tests.kit.proof import Disproved, assume_constant, prove

RESTS = 2  # from one tile to the next, at least


def walk_claims(loops, levels, rests=RESTS):
    """Claim that each tile is the one behind the last, the innermost loop first, if ``rests`` cycles lie between.

    What is kept is of the tile in hand, or a cycle after ``advance`` of the one before.
    """
    def claims(m: Module):
        layer, turns, begun, age = loops.layer, {}, Signal(), Signal(range(RESTS + 1), init=RESTS)
        strobe = loops.restart | loops.advance
        m.d.sync += [begun.eq(begun | loops.restart), age.eq(Mux(strobe, 1, age + (age != RESTS)))]
        assume_constant(m, layer)
        with m.If(strobe):
            m.d.comb += Assume((age >= rests) & (begun | loops.restart) & ~(loops.restart & loops.advance))
        level, carry = Signal.like(loops.level), loops.advance
        for number, name in reversed(list(enumerate(levels))):
            turns[name] = Signal.like(layer[f"{name}_turns"], name=f"{name}_now")
            ended = turns[name] == layer[f"{name}_turns"]
            with m.If(loops.restart):
                m.d.sync += turns[name].eq(0)
            with m.Elif(carry):
                m.d.sync += turns[name].eq(Mux(ended, 0, turns[name] + 1))
                with m.If(~ended):
                    m.d.sync += level.eq(number + 1)
            carry = carry & ended
        m.d.comb += Assume(~carry)  # nobody goes on behind the last tile
        with m.If(loops.restart):
            m.d.sync += level.eq(0)
        first = {name: turn == 0 for name, turn in turns.items()}
        last = {name: turn == layer[f"{name}_turns"] for name, turn in turns.items()}
        with m.If(begun & (age == RESTS)):
            m.d.comb += [Assert(loops.level == level), Assert(loops.pass_end == Cat(last.values()).all())]
        shown = [
            (loops.first_step, first.get("steps", 1)), (loops.tile.last, last.get("steps", 1)),
            (loops.row_begins, Cat(is_first for name, is_first in first.items() if name != "rows").all()),
            *([
                (loops.tile.window_first, first["pool_rows"] & first["pool_columns"]),
                (loops.tile.window_last, last["pool_rows"] & last["pool_columns"]),
                (loops.tile.last_column, last["columns"]), (loops.tile.last_tile, last["blocks"] & last["tiles"]),
            ] if "columns" in levels else [(loops.tile.last_tile, last["tiles"])]),
        ]
        in_hand = Cat(value for _, value in shown)
        before, kept = Signal(len(in_hand)), Signal(len(in_hand))
        advanced, known = Signal(), Signal()
        with m.If(strobe):
            m.d.sync += [before.eq(in_hand), advanced.eq(loops.advance)]
        with m.If(loops.keep):
            m.d.sync += [
                kept.eq(Mux(age == RESTS, in_hand, before)), known.eq(begun & ((age == RESTS) | advanced)),
            ]
        with m.If(known):
            m.d.comb += Assert(Cat(port for port, _ in shown) == kept)
    return claims


@pytest.mark.parametrize("windows, bits", [(1, 1), (0, 2)], ids=["maps", "dense layers alone"])
def test_the_walk_of_any_pass_proved(sizes, windows, bits):
    """For 15 cycles from reset, seven tiles; small turns, so that the outermost loops take some."""
    params = sizes(windows=windows, turns_bits=bits)
    loops = TileLoops(params)
    prove(loops, walk_claims(loops, params.levels), steps=15, bounded=True)


@pytest.mark.parametrize("windows, bits", [(1, 1), (0, 2)], ids=["maps", "dense layers alone"])
def test_a_tile_that_comes_a_cycle_early_is_found(sizes, windows, bits):
    params = sizes(windows=windows, turns_bits=bits)
    loops = TileLoops(params)
    with pytest.raises(Disproved, match="claims about TileLoops"):
        prove(loops, walk_claims(loops, params.levels, rests=RESTS - 1), steps=15, bounded=True)


def test_loops_in_another_order_are_found(sizes):
    params = sizes(windows=0, turns_bits=2)
    loops = TileLoops(params)
    with pytest.raises(Disproved):
        prove(loops, walk_claims(loops, params.levels[::-1]), steps=15, bounded=True)
