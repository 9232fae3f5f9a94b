"""The serial part of a group: fires the neurons of a tile, one lane a cycle, while the next one is gathered."""

from amaranth.hdl import Module, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.core import payloads
from hw.core.drain import Drain
from hw.core.neuron import Neuron
from hw.core.pooler import Pooler
from hw.core.state_store import StateStore
from hw.core.tile_queue import TileQueue
from hw.core.word_writer import WordWriter

__all__ = ["Firing"]


class Firing(wiring.Component):
    """Fire tiles in the order in which they were announced.

    ::

        tile --> tile queue ---------------------------------------+
                     |                                             |
        sums --> drain --> neuron --> pooler --> word writer --> write
                     |      ^  |
                 state store --+

    Nothing waits inside. The ends of two tiles lie at least ``lanes`` cycles apart.

    Parameters
    ----------
    params : CoreParams
    number : int
        Of the group, from 0; only group 0 has the ports of the outputs.
    contents : dict
        Initial contents of the loadable memories, name to list of ints.

    Members
    -------
    begin : In(1)
        A pass begins; ``layer`` is its block from the next cycle on.
    layer, load, tile_valid, tile, room
        As of `StateStore` and `TileQueue`.
    sums, done : In
        A tile's sums, complete in the cycle of ``done``.
    write : Out(stream(stored_word))
        To be taken within ``params.groups`` cycles.
    counted : Out(1)
        A count that is not zero leaves for a map whose events are counted.
    idle : Out(1)
        No tile is announced or under way, no word waits.
    probe_fired, probe_count, probe_state : Out
        A neuron's count before pooling, and its new state or value of an output; of a pool the count only.
    output_address, output, output_write
        As of `StateStore`.
    """

    def __init__(self, params, number, contents):
        self._params, self._number = p, _ = params, number
        self._store = StateStore(p, number, contents)
        members = self._store.signature.members
        self._outputs = [name for name in members if name.startswith("output")]
        super().__init__({
            "begin": In(1), "layer": In(payloads.pass_block(p)), "load": In(payloads.load_port(p)),
            "tile_valid": In(1), "tile": In(payloads.tile(p)), "room": Out(1),
            "sums": In(data.ArrayLayout(signed(p.acc_bits), p.width)), "done": In(1),
            "write": Out(stream.Signature(payloads.stored_word(p))), "counted": Out(1), "idle": Out(1),
            "probe_fired": Out(1), "probe_count": Out(signed(p.signed_count_bits)),
            "probe_state": Out(signed(p.acc_bits)),
            **{name: members[name] for name in self._outputs},
        })

    def elaborate(self, platform):
        m = Module()
        p, store = self._params, self._store
        m.submodules.tile_queue = queue = TileQueue(p, self._number)
        m.submodules.drain = drain = Drain(p)
        m.submodules.state_store = store
        m.submodules.neuron = neuron = Neuron(p)
        m.submodules.pooler = pooler = Pooler(p)
        m.submodules.word_writer = writer = WordWriter(p)
        wiring.connect(m, queue.opening, drain.tiles)
        wiring.connect(m, writer.write, wiring.flipped(self.write))
        m.d.comb += [part.layer.eq(self.layer) for part in (queue, store, neuron, pooler, writer)]
        m.d.comb += [
            queue.tile_valid.eq(self.tile_valid), queue.tile.eq(self.tile), self.room.eq(queue.room),
            drain.sums.eq(self.sums), drain.done.eq(self.done),
            store.begin.eq(self.begin), store.load.eq(self.load), store.beat.eq(drain.beat),
            store.parameter.eq(drain.parameter), store.state.eq(neuron.state), neuron.total.eq(drain.total),
            pooler.begin.eq(self.begin), pooler.beat.eq(store.fired), pooler.count.eq(neuron.count),
            pooler.tile.eq(queue.closing.payload),
            queue.closing.ready.eq(store.fired.valid & store.fired.ends), writer.i.eq(pooler.o),
            self.counted.eq(writer.counted), self.idle.eq(queue.empty & ~pooler.o.valid & writer.idle),
            self.probe_fired.eq(store.fired.valid), self.probe_count.eq(neuron.count),
            self.probe_state.eq(neuron.state),
        ]
        given = ["theta", "bias", "v", *(["theta_low"] if p.signed else [])]
        if p.currents:
            given += ["kept", "use_kept"]
            m.d.comb += store.current.eq(neuron.current)
        m.d.comb += [getattr(neuron, name).eq(getattr(store, name)) for name in given]
        if not self._number:
            m.d.comb += [
                self.output_address.eq(store.output_address), self.output_write.eq(store.output_write),
                store.output.eq(self.output),
            ]
        return m
