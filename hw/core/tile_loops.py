"""Counts the loops over the tiles of a pass."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.core import payloads

__all__ = ["TileLoops"]


class TileLoops(wiring.Component):
    """Count tiles; say where the one that was kept lies, and which loop leads to the one in hand.

    Members
    -------
    restart : In(1)
        Go to the first tile.
    advance : In(1)
        Go to the next tile; all loops inside the one that advances begin again.
    keep : In(1)
        Show the tile in hand, in the cycle of ``advance`` or the next one that before it. One that ``restart`` went to
        is known two cycles after `layer`.
    level : Out(3)
        The step that leads to the tile in hand, from the cycle after it was gone to: 0 for the start of a cursor, 1 for
        the first of ``params.levels``.
    first_step : Out(1)
        The loop ``steps`` was at its first turn.
    tile : Out(tile)
        ``window_first``, ``window_last``, ``last``, ``last_column`` and ``last_tile`` of it; the rest is 0.
    row_begins : Out(1)
        It is the first one of its row.
    pass_end : Out(1)
        The tile in hand is the last one, from two cycles after ``advance`` on.
    """

    def __init__(self, params):
        self._params = p = params
        super().__init__({
            "layer": In(payloads.pass_block(p)), "restart": In(1), "advance": In(1), "keep": In(1),
            "level": Out(range(len(p.levels) + 1)), "first_step": Out(1), "tile": Out(payloads.tile(p)),
            "pass_end": Out(1), "row_begins": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        levels = self._params.levels
        turn, fresh, ends = {}, {}, {}
        for name in levels:
            turn[name] = Signal(self.layer[f"{name}_turns"].shape(), name=f"{name}_turn", reset_less=True)
            fresh[name], ends[name] = Signal(name=f"{name}_fresh"), Signal(name=f"{name}_ends")
            # Registered, so that no comparison lies in the chain of loops that end.
            m.d.sync += [ends[name].eq(turn[name] == self.layer[f"{name}_turns"]), fresh[name].eq(turn[name] == 0)]

        for i, name in enumerate(levels):
            inner_end = Signal(name=f"inside_{name}_ends")
            m.d.comb += inner_end.eq(Cat(ends[inner] for inner in levels[i + 1:]).all())
            with m.If(self.restart | (self.advance & inner_end & ends[name])):
                m.d.sync += turn[name].eq(0)
            with m.Elif(self.advance & inner_end):
                m.d.sync += [turn[name].eq(turn[name] + 1), self.level.eq(i + 1)]
        with m.If(self.restart):
            m.d.sync += self.level.eq(0)
        m.d.comb += self.pass_end.eq(Cat(ends.values()).all())
        row = Cat(is_first for name, is_first in fresh.items() if name != "rows").all()
        shown = [
            self.first_step.eq(fresh.get("steps", 1)), self.tile.last.eq(ends.get("steps", 1)), self.row_begins.eq(row)]
        if self._params.windows:
            shown += [
                self.tile.window_first.eq(fresh["pool_rows"] & fresh["pool_columns"]),
                self.tile.window_last.eq(ends["pool_rows"] & ends["pool_columns"]),
                self.tile.last_column.eq(ends["columns"]), self.tile.last_tile.eq(ends["blocks"] & ends["tiles"]),
            ]
        else:
            shown += [
                self.tile.window_first.eq(1), self.tile.window_last.eq(1), self.tile.last_tile.eq(ends["tiles"]),
            ]
        with m.If(self.keep):
            m.d.sync += shown
        return m
