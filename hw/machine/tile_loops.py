"""Counts the loops of a pass: positions, channel tiles, pooling window, synapses, kernel."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.machine import payloads

__all__ = ["KERNEL_LOOPS", "LOOPS", "TILE_LOOPS", "TileLoops"]

TILE_LOOPS = ("rows", "columns", "tiles", "pool_rows", "pool_columns")
KERNEL_LOOPS = ("kernel_rows", "kernel_columns")
LOOPS = TILE_LOOPS + KERNEL_LOOPS


class TileLoops(wiring.Component):
    """Advance the loop nest by one segment candidate per cycle in which ``step`` is high.

    The synapses of a tile are visited between the tile loops and the kernel loops. With ``gather`` low
    a tile is a single candidate.

    Members
    -------
    begin : In(1)
        Set every loop to its first turn.
    advance : Out
        One-hot: the loop that takes its next turn in this cycle; inner loops start over.
    synapse : Out
        Index of the synapse being visited.
    tile_done, pass_done : Out(1)
        This candidate is the last of its tile, of the pass.
    window_first, window_last, tile_last : Out(1)
        The tile opens or closes its pooling window; it is the last channel tile.
    """

    def __init__(self, params):
        self._params = p = params
        super().__init__({
            "begin": In(1), "step": In(1), "gather": In(1),
            "layer": In(payloads.layer_block(p)), "synapses": In(payloads.synapse_blocks(p)),
            "advance": Out(data.StructLayout(dict.fromkeys(LOOPS, 1))), "synapse": Out(range(max(2, p.synapses))),
            "tile_done": Out(1), "pass_done": Out(1),
            "window_first": Out(1), "window_last": Out(1), "tile_last": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        single = ~self.gather
        left = {level: Signal(self._limit(level, 0).shape(), name=f"{level}_left") for level in LOOPS}
        at_end = {level: Signal(name=f"{level}_end") for level in LOOPS}
        fresh = {level: Signal(name=f"{level}_fresh") for level in ("pool_rows", "pool_columns")}
        next_synapse, last_synapse = Signal(), Signal()
        m.d.comb += [
            self.window_first.eq(fresh["pool_rows"] & fresh["pool_columns"]),
            self.window_last.eq(at_end["pool_rows"] & at_end["pool_columns"]),
            self.tile_last.eq(at_end["tiles"]),
        ]

        turn = self.step
        for level in reversed(KERNEL_LOOPS):
            m.d.comb += self.advance[level].eq(turn & ~at_end[level])
            turn = turn & at_end[level]
        m.d.comb += [next_synapse.eq(turn & ~last_synapse), self.tile_done.eq(turn & last_synapse)]
        turn = self.tile_done
        for level in reversed(TILE_LOOPS):
            m.d.comb += self.advance[level].eq(turn & ~at_end[level])
            turn = turn & at_end[level]
        m.d.comb += self.pass_done.eq(turn)

        following = Signal.like(self.synapse)
        m.d.comb += following.eq(Mux(next_synapse, self.synapse + 1, Mux(self.begin | self.tile_done, 0, self.synapse)))
        m.d.sync += [self.synapse.eq(following), last_synapse.eq((following == self.layer.synapses) | single)]
        restart = self.begin
        for level in LOOPS:
            if level == KERNEL_LOOPS[0]:
                restart = restart | next_synapse
            limit = self._limit(level, following)
            # The end is known one turn ahead, so that no counter is compared in the chain of strobes.
            with m.If(restart):
                m.d.sync += [left[level].eq(limit), at_end[level].eq((limit == 0) | (single & (level in KERNEL_LOOPS)))]
            with m.Elif(self.advance[level]):
                m.d.sync += [left[level].eq(left[level] - 1), at_end[level].eq(left[level] == 1)]
            if level in fresh:
                with m.If(restart | self.advance[level]):
                    m.d.sync += fresh[level].eq(restart)
            restart = restart | self.advance[level]
        return m

    def _limit(self, level, synapse):
        """Return the turns of a loop, less one."""
        if level in TILE_LOOPS:
            return self.layer[level]
        return self.synapses[synapse if len(self.synapses) > 1 else 0][level]
