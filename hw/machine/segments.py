"""Walks the tiles of a pass and turns their receptive fields into segments of stored events."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.machine import payloads
from hw.machine.nest import Nest
from hw.machine.queue import Queue
from hw.machine.tile_loops import KERNEL_LOOPS, LOOPS, TileLoops

__all__ = ["LOOK_UP", "SegmentGenerator"]

SEGMENTS, PIPELINE, TILES = 16, 10, 32
LOOK_UP = 7  # cycles from one candidate to the next where they do not overlap
ADDRESSES = {
    "row": ("rows", "pool_rows", "kernel_rows"),
    "column": ("columns", "tiles", "pool_columns", "kernel_columns"),
    "index": ("columns", "tiles", "pool_columns", "kernel_columns"),
    "weight": ("tiles", "kernel_rows", "kernel_columns"),
}


class SegmentGenerator(wiring.Component):
    """Generate every segment of a pass, one candidate a cycle, empty ones dropped.

    Runs ahead of the gather by up to 16 segments and 32 tiles::

        loops -> turn -> addresses -> clip to the map -> add bases -> two pointers -> drop empty, mark last -> o

    Where one neuron serves all lanes, a candidate goes all the way before the next one begins, every seven cycles,
    and only two segments are held: no register carries it along, and no queue.

    Members
    -------
    begin : In(1)
        Begin a pass; ``layer`` and ``synapses`` hold still until the pass has ended.
    gather : In(1)
        Low when the pass fires from kept currents: one empty segment per tile.
    first_step : In(1)
        Timestep 1: events of a direct input count as work.
    stop : In(1)
        End the pass with the tile in hand.
    first_pointer, end_pointer : Out
        Pointer addresses; ``first_event`` and ``end_event`` answer two cycles later.
    o : Out(stream(segment))
    o_tiles, o_parameters : Out(stream(tile)), Out(stream(parameter_address))
        One per tile, before its last segment.
    """

    def __init__(self, params):
        self._params = p = params
        super().__init__({
            "begin": In(1), "gather": In(1), "first_step": In(1), "stop": In(1),
            "layer": In(payloads.layer_block(p)), "synapses": In(payloads.synapse_blocks(p)),
            "first_pointer": Out(range(p.pointers)), "end_pointer": Out(range(p.pointers)),
            "first_event": In(p.event_address_bits), "end_event": In(p.event_address_bits),
            "o": Out(stream.Signature(payloads.segment(p))),
            "o_tiles": Out(stream.Signature(payloads.tile(p))),
            "o_parameters": Out(stream.Signature(payloads.parameter_address(p))),
        })

    def elaborate(self, platform):
        m = Module()
        p = self._params
        m.submodules.loops = loops = TileLoops(p)
        m.submodules.tiles = tiles = Queue(payloads.tile(p), depth=TILES)
        m.submodules.parameters = parameters = Queue(payloads.parameter_address(p), depth=TILES)
        wiring.connect(m, tiles.o, wiring.flipped(self.o_tiles))
        wiring.connect(m, parameters.o, wiring.flipped(self.o_parameters))

        running, ends, room = Signal(), Signal(), Signal()
        m.d.comb += [
            loops.begin.eq(self.begin), loops.gather.eq(self.gather),
            loops.layer.eq(self.layer), loops.synapses.eq(self.synapses),
            loops.step.eq(running & room),
            ends.eq(loops.pass_done | (loops.tile_done & self.stop)),
        ]
        turn = Signal(data.StructLayout({
            "step": 1, "ends": 1, "synapse": loops.synapse.shape(),
            "advance": loops.advance.shape(), "position": 1,
            **dict.fromkeys(("tile_done", "window_first", "window_last", "tile_last"), 1),
        }))
        m.d.sync += [turn.step.eq(loops.step), turn.ends.eq(ends)]
        m.d.sync += [
            turn[name].eq(getattr(loops, name))
            for name in ("advance", "synapse", "tile_done", "window_first", "window_last", "tile_last")
        ]
        m.d.sync += turn.position.eq(self.begin | loops.advance.rows | loops.advance.columns)
        with m.If(self.begin):
            m.d.sync += running.eq(1)
        with m.Elif(ends):
            m.d.sync += running.eq(0)
        self._describe_tile(m, loops, turn, tiles, parameters)
        candidate = self._candidate(m, loops, turn)
        if p.shared:
            pending = self._hold(m, self._look_up(m, candidate), loops.step)
            m.d.comb += room.eq(~pending & (tiles.level <= TILES - 3))
        else:
            m.submodules.segments = segments = Queue(payloads.segment(p), depth=SEGMENTS)
            wiring.connect(m, segments.o, wiring.flipped(self.o))
            self._merge(m, segments, self._look_up(m, candidate))
            m.d.sync += room.eq((segments.level <= SEGMENTS - PIPELINE) & (tiles.level <= TILES - 3))
        return m

    def _nest(self, m, name, loops, moves, start, steps):
        width = len(start)
        m.submodules[name] = nest = Nest(width=width, loops=LOOPS, moves=moves)
        m.d.comb += [nest.begin.eq(self.begin), nest.start.eq(start), nest.advance.eq(loops.advance)]
        m.d.comb += [nest.steps[loop].eq(step) for loop, step in zip(moves, steps)]
        return nest

    def _describe_tile(self, m, loops, turn, tiles, queue):
        layer = self.layer
        base = Signal(signed(len(layer.parameter_base) + 1))
        m.d.comb += base.eq(layer.parameter_base)
        parameters = self._nest(m, "parameter_nest", loops, ("tiles",), base, (self._params.beats,))
        origin = Signal(signed(self._params.offset_bits))
        index = self._nest(m, "place", loops, ("columns", "tiles"), origin, (layer.index_column, layer.index_tile))
        m.d.comb += [
            tiles.i.valid.eq(turn.tile_done), queue.i.valid.eq(turn.tile_done),
            queue.i.payload.eq(parameters.o),
            tiles.i.payload.index.eq(index.o),
            tiles.i.payload.window_first.eq(turn.window_first),
            tiles.i.payload.window_last.eq(turn.window_last),
            tiles.i.payload.layer_last.eq(turn.ends),
        ]

    def _candidate(self, m, loops, turn):
        """Register the present candidate: where it lies in map and weights, unclipped."""
        p = self._params
        offset = signed(p.offset_bits)
        addresses = {name: [] for name in ADDRESSES}
        for i in range(p.synapses):
            synapse = self.synapses[i]
            period = Signal(synapse.tile_period.shape(), name=f"period_{i}")
            renew = period == synapse.tile_period
            with m.If(turn.position):
                m.d.sync += period.eq(0)
            with m.Elif(turn.advance.tiles):
                m.d.sync += period.eq(Mux(renew, 0, period + 1))
            output = {"rows": "output", "columns": "output", "pool_rows": "pool", "pool_columns": "pool"}
            for name, moves in ADDRESSES.items():
                start = Signal(signed(p.weight_address_bits + 1) if name == "weight" else offset, name=f"{name}_{i}")
                m.d.comb += start.eq(synapse.weight_base if name == "weight" else synapse[f"{name}_start"])
                if name == "weight":
                    steps = (synapse.weight_tile, synapse.weight_row, synapse.weight_segment)
                else:
                    steps = [
                        Mux(renew, synapse[f"{name}_tile"], 0) if loop == "tiles" else
                        synapse[f"{name}_{output.get(loop, 'kernel')}"] for loop in moves
                    ]
                nest = self._nest(m, f"{name}_nest_{i}", loops, moves, start, steps)
                for loop in KERNEL_LOOPS:
                    m.d.comb += nest.advance[loop].eq(loops.advance[loop] & (loops.synapse == i))
                addresses[name].append(nest.o)

        candidate = Signal(data.StructLayout({
            "valid": 1, "gather": 1, "last": 1, "tile_last": 1, "row": offset, "column": offset, "index": offset,
            "weight": signed(p.weight_address_bits + 1), "synapse": turn.synapse.shape(),
        }))
        m.d.sync += candidate.valid.eq(turn.step)
        with m.If(turn.step):
            for name, values in addresses.items():
                choice = data.View(data.ArrayLayout(values[0].shape(), len(values)), Cat(values))
                m.d.sync += candidate[name].eq(choice[turn.synapse])
            m.d.sync += [
                candidate.gather.eq(self.gather), candidate.last.eq(turn.tile_done),
                candidate.tile_last.eq(turn.tile_last), candidate.synapse.eq(turn.synapse),
            ]
        return candidate

    def _look_up(self, m, candidate):
        """Clip to the map and read the pointers of both ends; return the segment, and whether it holds events."""
        p = self._params
        offset = signed(p.offset_bits)
        synapse = self._synapse(candidate.synapse)
        layout = data.StructLayout({"base": offset, "first": offset, "end": offset, "inside": 1})
        clipped = Signal(layout, reset_less=True)
        end = candidate.column + synapse.column_width
        m.d.sync += [
            clipped.base.eq(synapse.pointer_base + candidate.row),
            clipped.first.eq(Mux(candidate.column < 0, 0, candidate.column)),
            clipped.end.eq(Mux(end > synapse.column_limit, synapse.column_limit, end)),
            clipped.inside.eq((candidate.row >= 0) & (candidate.row < synapse.row_limit) & candidate.gather),
        ]
        inside = Signal()
        m.d.sync += [
            self.first_pointer.eq(clipped.base + clipped.first),
            self.end_pointer.eq(clipped.base + clipped.end),
            inside.eq(clipped.inside & (clipped.first < clipped.end)),
        ]
        if not p.shared:
            for _ in range(2):
                inside = _delay(m, inside)
            for _ in range(4):
                candidate = _delay(m, candidate)
            synapse = self._synapse(candidate.synapse)
        ready = Signal(data.StructLayout({"valid": 1, "last": 1, "some": 1, "segment": payloads.segment(p)}))
        domain = m.d.comb if p.shared else m.d.sync
        domain += [
            ready.valid.eq(candidate.valid),
            ready.last.eq(candidate.last),
            ready.some.eq(inside & (self.end_event != self.first_event)),
            ready.segment.address.eq(self.first_event),
            ready.segment.length.eq(self.end_event - self.first_event),
            ready.segment.origin.eq(candidate.index),
            ready.segment.count.eq(Mux(candidate.tile_last, synapse.index_count_last, synapse.index_count)),
            ready.segment.weights.eq(candidate.weight - candidate.index),
            ready.segment.active.eq(Mux(synapse.direct & ~self.first_step, 0, Mux(
                candidate.tile_last, synapse.active_last, synapse.active,
            ))),
        ]
        return ready

    def _synapse(self, index):
        """Return the block of a synapse, without a choice where there is but one."""
        return self.synapses[index if self._params.synapses > 1 else 0]

    def _hold(self, m, ready, step):
        """Hold one segment until it is known whether it is the last of its tile; return whether another one waits.

        What ``ready`` says of a candidate holds six cycles after its ``step``, and until the next one.
        """
        held, waiting = Signal(payloads.segment(self._params)), Signal()
        age, arrived, late = Signal(LOOK_UP - 1), Signal(), Signal()
        m.d.sync += age.eq(Cat(step, age))
        m.d.comb += [
            arrived.eq(age[-1] | late), self.o.payload.eq(held),
            self.o.valid.eq(waiting & (held.last | (arrived & ready.some))),
        ]
        sent, stays = self.o.valid & self.o.ready, Signal()
        m.d.comb += stays.eq(waiting & (held.last | (ready.some & ~sent)))
        m.d.sync += late.eq(arrived & stays)
        with m.If(sent & held.last):
            m.d.sync += [waiting.eq(0), held.last.eq(0)]
        with m.Elif(arrived & ~stays):
            with m.If(ready.some):
                m.d.sync += [held.eq(ready.segment), waiting.eq(1), held.last.eq(ready.last)]
            with m.Elif(ready.last):
                m.d.sync += [waiting.eq(1), held.last.eq(1)]
                with m.If(~waiting):
                    m.d.sync += held.length.eq(0)
        return age.any() | arrived

    def _merge(self, m, segments, ready):
        """Hold one segment back until it is known whether it is the last of its tile."""
        held, waiting = Signal(payloads.segment(self._params)), Signal()
        arrives = ready.valid & ready.some
        closes = ready.valid & ready.last
        m.d.comb += [
            segments.i.payload.eq(held),
            segments.i.valid.eq(waiting & (held.last | arrives)),
        ]
        with m.If(arrives):
            m.d.sync += [waiting.eq(1), held.eq(ready.segment), held.last.eq(closes)]
        with m.Elif(closes):
            m.d.sync += [waiting.eq(1), held.last.eq(1)]
            with m.If(~waiting | held.last):
                m.d.sync += held.length.eq(0)
        with m.Elif(held.last):
            m.d.sync += waiting.eq(0)


def _delay(m, value):
    later = Signal.like(value, name_suffix="_d")
    m.d.sync += later.eq(value)
    return later
