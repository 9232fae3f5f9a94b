"""`hw.core.tile_loops`: the walk over the tiles of any pass, proved beside counters without registers ahead."""

import pytest
from amaranth.hdl import Assert, Assume, Cat, Module, Mux, Signal

from hw.core.tile_loops import TileLoops
from tests.kit.proof import Disproved, assume_constant, prove

RESTS = 2  # from one tile to the next, at least


def walk_claims(loops, levels, rests=RESTS):
    """Claim that each tile is the one behind the last, the innermost loop first, if ``rests`` cycles lie between."""
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
            m.d.comb += [
                Assert(loops.level == level), Assert(loops.pass_end == Cat(last.values()).all()),
                Assert(loops.first_step == first.get("steps", 1)), Assert(loops.tile.last == last.get("steps", 1)),
                Assert(loops.row_begins == Cat(is_first for name, is_first in first.items() if name != "rows").all()),
            ]
            if "columns" in levels:
                m.d.comb += [
                    Assert(loops.tile.window_first == (first["pool_rows"] & first["pool_columns"])),
                    Assert(loops.tile.window_last == (last["pool_rows"] & last["pool_columns"])),
                    Assert(loops.tile.last_column == last["columns"]),
                    Assert(loops.tile.last_tile == (last["blocks"] & last["tiles"])),
                ]
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
