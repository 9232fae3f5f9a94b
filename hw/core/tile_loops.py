"""Counts the loops over the tiles of a pass."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.core import payloads

__all__ = ["TileLoops"]


class TileLoops(wiring.Component):
    """Count tiles; say where the one in hand lies, and which loop leads to the next one.

    Everything but ``level`` holds from the second cycle after ``restart`` or ``advance`` on, ``level`` from the next.

    Members
    -------
    restart : In(1)
        Go to the first tile.
    advance : In(1)
        Go to the next tile; all loops inside the one that advances begin again.
    level : Out(3)
        The step that leads to this tile: 0 for the start of a cursor, 1 for the first of ``params.levels``.
    first_step : Out(1)
        The loop ``steps`` is at its first turn.
    tile : Out(tile)
        ``window_first``, ``window_last``, ``last``, ``last_column`` and ``last_tile`` of it; the rest is 0.
    pass_end, row_begins : Out(1)
        This is the last tile; the first one of its row.
    """

    def __init__(self, params):
        self._params = p = params
        super().__init__({
            "layer": In(payloads.pass_block(p)), "restart": In(1), "advance": In(1),
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
        m.d.comb += [
            self.first_step.eq(fresh.get("steps", 1)), self.pass_end.eq(Cat(ends.values()).all()),
            self.tile.last.eq(ends.get("steps", 1)),
            self.row_begins.eq(Cat(is_first for name, is_first in fresh.items() if name != "rows").all()),
        ]
        if self._params.windows:
            m.d.comb += [
                self.tile.window_first.eq(fresh["pool_rows"] & fresh["pool_columns"]),
                self.tile.window_last.eq(ends["pool_rows"] & ends["pool_columns"]),
                self.tile.last_column.eq(ends["columns"]), self.tile.last_tile.eq(ends["blocks"] & ends["tiles"]),
            ]
        else:
            m.d.comb += [
                self.tile.window_first.eq(1), self.tile.window_last.eq(1), self.tile.last_tile.eq(ends["tiles"]),
            ]
        return m
