"""The serial part of a group: fires the lanes of a tile, one of each neuron a cycle, while the next is gathered."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from gen.plan.params import WORD_BITS
from hw.core import payloads
from hw.core.drain import Drain
from hw.core.neuron import Neuron
from hw.core.pooler import Pooler
from hw.core.state_store import StateStore
from hw.core.state_stream import StateStream
from hw.core.tile_queue import TileQueue
from hw.core.word_writer import WordWriter
from hw.memory.bus import MemoryBus

__all__ = ["STEPS", "Firing"]

STEPS = ("first_step", "last_step", "stop")  # of an image, as a sequencer tells them


class Firing(wiring.Component):
    """Fire tiles in the order in which they were announced.

    ::

        tile --> tile queue ---------------------------------------+
                     |                                             |
        sums --> drain --> neuron --> pooler --> word writer --> write
                     |      ^  |
                 state store --+
                     ^         |
                     +-- state stream <--> memory (only where states lie outside the chip)

    State store, neuron and pooler are there once for each of the group's neurons, and run in step. Nothing waits
    inside. The ends of two tiles lie at least as many cycles apart as the tile has beats, and none ends without
    ``end_room``.

    Parameters
    ----------
    params : CoreParams
    number : int
        Of the group, from 0; only group 0 has the ports of the outputs, or with ``params.shared`` all.
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
    counted : Out
        How many counts that are not zero leave for a map whose events are counted.
    idle : Out(1)
        No tile is announced or under way, no word waits, no state moves.
    first_step, last_step, stop, sent, end_room, memory : In, In, In, In, Out, Out
        Only with ``params.parked``: as of `StateStream`, whose ``room`` and ``bus`` are the last two; ``sent``: all
        tiles of the pass have been announced.
    probe_fired, probe_counts, probe_states : Out
        Which neurons fire; each one's count before pooling, and its new state or value of an output; of a pool the
        count only.
    output_address, output, output_write
        As of `StateStore`.
    """

    def __init__(self, params, number, contents):
        self._params = p = params
        self._number = number
        self._stores = [StateStore(p, number * p.neurons + n, contents) for n in range(p.neurons)]
        members = self._stores[0].signature.members
        outputs = [name for name in members if name.startswith("output")]
        super().__init__({
            "begin": In(1), "layer": In(payloads.pass_block(p)), "load": In(payloads.load_port(p)),
            "tile_valid": In(1), "tile": In(payloads.tile(p)), "room": Out(1),
            "sums": In(data.ArrayLayout(signed(p.sum_bits), p.width)), "done": In(1),
            "write": Out(stream.Signature(payloads.stored_word(p))), "counted": Out(range(p.neurons + 1)),
            "idle": Out(1), "probe_fired": Out(p.neurons),
            "probe_counts": Out(data.ArrayLayout(signed(p.signed_count_bits), p.neurons)),
            "probe_states": Out(data.ArrayLayout(signed(p.acc_bits), p.neurons)),
            **{name: members[name] for name in outputs},
            **({**dict.fromkeys((*STEPS, "sent"), In(1)), "end_room": Out(1),
                "memory": Out(MemoryBus(p.outside_bits, WORD_BITS))} if p.parked else {}),
        })

    def elaborate(self, platform):
        m = Module()
        p = self._params
        m.submodules.tile_queue = queue = TileQueue(p, self._number)
        m.submodules.drain = drain = Drain(p)
        m.submodules.word_writer = writer = WordWriter(p)
        fired = self._stores[0].fired
        closing, ends = queue.closing, Signal()
        wiring.connect(m, queue.opening, drain.tiles)
        wiring.connect(m, writer.write, wiring.flipped(self.write))
        resting = queue.empty & ~writer.i_0.valid & writer.idle
        states = self._park(m, drain.beat, fired) if p.parked else None
        m.d.comb += [
            queue.layer.eq(self.layer), drain.layer.eq(self.layer), writer.layer.eq(self.layer),
            queue.tile_valid.eq(self.tile_valid), queue.tile.eq(self.tile), self.room.eq(queue.room),
            drain.sums.eq(self.sums), drain.done.eq(self.done), ends.eq(fired.valid & fired.ends),
            closing.ready.eq(ends), self.counted.eq(writer.counted),
            self.idle.eq(resting & ~states.busy if states else resting),
            self.probe_fired.eq(fired.valid.replicate(p.neurons) & (fired.own if p.neurons > 1 else 1)),
        ]
        if states:
            m.d.comb += states.rests.eq(resting & self.sent)
        for number in range(p.neurons):
            pooler = self._add(m, number, drain, closing.payload, states)
            m.d.comb += getattr(writer, f"i_{number}").eq(pooler.o)
        if "output" in self.signature.members:
            self._join_outputs(m)
        return m

    def _park(self, m, beat, fired):
        """Add what moves states to and from the outside."""
        m.submodules.state_stream = states = StateStream(self._params, self._number)
        wiring.connect(m, states.bus, wiring.flipped(self.memory))
        m.d.comb += [
            states.begin.eq(self.begin), states.layer.eq(self.layer), states.beat.eq(beat), states.fired.eq(fired),
            *(getattr(states, name).eq(getattr(self, name)) for name in STEPS), self.end_room.eq(states.room),
        ]
        return states

    def _add(self, m, number, drain, tile, states):
        """Add one neuron with its store, and return its pooler."""
        p, store = self._params, self._stores[number]
        m.submodules[f"state_store_{number}"] = store
        m.submodules[f"neuron_{number}"] = neuron = Neuron(p)
        m.submodules[f"pooler_{number}"] = pooler = Pooler(p, number)
        m.d.comb += [
            *(part.layer.eq(self.layer) for part in (store, neuron, pooler)),
            store.begin.eq(self.begin), store.load.eq(self.load), store.beat.eq(drain.beat),
            store.parameter.eq(drain.parameter), store.state.eq(neuron.state), neuron.total.eq(drain.totals[number]),
            pooler.begin.eq(self.begin), pooler.beat.eq(store.fired), pooler.count.eq(neuron.count),
            pooler.tile.eq(tile),
            self.probe_counts[number].eq(neuron.count), self.probe_states[number].eq(neuron.state),
        ]
        given = ["theta", "bias", "v", *(["theta_low"] if p.signed else [])]
        if p.currents:
            given += ["kept", "use_kept"]
            m.d.comb += store.current.eq(neuron.current)
        if states:
            m.d.comb += [store.parked.eq(states.parked[number]), states.states[number].eq(neuron.state)]
        m.d.comb += [getattr(neuron, name).eq(getattr(store, name)) for name in given]
        return pooler

    def _join_outputs(self, m):
        """Let all neurons read the value of an output; write that of the one whose lane it is."""
        first, write = self._stores[0], self.output_write
        writes = [store.output_write for store in self._stores]
        m.d.comb += [
            self.output_address.eq(first.output_address), write.address.eq(writes[0].address),
            write.enable.eq(Cat(own.enable for own in writes).any()), write.data.eq(_chosen(writes)),
            *(store.output.eq(self.output) for store in self._stores),
        ]


def _chosen(writes):
    """Return the data of the one that is enabled; of a single one always its own."""
    if len(writes) == 1:
        return writes[0].data
    return reduce(or_, (Mux(own.enable, own.data, 0) for own in writes))
