"""The machine: one core of one, two or four groups of lanes, one walker, one program.

A double arrow reaches all groups alike; what stands in brackets is there with ``params.shared``, ``params.parked``::

    load --> loader ==> program, limits, and each group's weights and parameters
    i --> image writer ==> every group's copy of the input
               |
           sequencer --> walker ==tiles, requests==> group 0 .. G-1 --> map writer ==> every group's copy of the maps
             |   ^                                     |      |
             |   |                            output store   counters
             |   |                       (one of each group)  |
             |   |                              (output sum)  |
             v   |                                     |      v
           decision <----------------------------------+--> result reader --> o

Where something lies outside the chip (``params.outside``)::

    loader, map writer, image writer --words--> outside ==> loader: blocks; every group's maps and input: rows
                                                   |
             states of (group 0 .. G-1) --> (shared bus) --> memory

What is quiet, and when each is high::

    walker.done          every tile of the pass has been sent
    rested               so it was a cycle ago, and all of them were fired and stored
    sequencer.drained    both: the next pass may go
    sequencer.idle       no image is under way; the header is known, or awaits the end of a load
    sequencer.loadable   no image is under way; the header is known, or still to be read
    image_writer.idle    no map is there or under way
    loader.rests         no word of a load is being taken
    loading              a load has begun and has not ended well; ``sequencer.loading`` is so a cycle later
    loads                the loader may take words: loadable, no map, no result
    rests                no image or map, no word of a load, no word on its way from or to the outside
    idle                 that, and no result
"""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from gen.plan.memories import loadable_memories, memory_table
from gen.plan.params import WORD_BITS
from hw.core import payloads
from hw.core.counters import Counters
from hw.core.decision import Decision
from hw.core.firing import STEPS
from hw.core.group import Group
from hw.core.image_writer import ImageWriter
from hw.core.loader import Loader
from hw.core.map_writer import MapWriter
from hw.core.memory import CoreMemory
from hw.core.output_store import OutputStore
from hw.core.output_sum import OutputSum
from hw.core.outside import Outside
from hw.core.result_reader import ResultReader
from hw.core.sequencer import Sequencer
from hw.core.walker import Walker
from hw.memory.bus import MemoryBus
from hw.memory.shared import SharedBus

__all__ = ["Core"]


class Core(wiring.Component):
    """A complete core.

    Parameters
    ----------
    params : CoreParams
        Sizes.
    contents : dict
        Initial contents of the loadable memories, name to list of ints (`gen.plan.plan.Plan.initial_contents`).

    Members
    -------
    load : In(stream(32))
        The memory image (`gen.plan.image.load_stream`), taken while ``idle``.
    i : In(stream(input_word))
        Images, one ahead of what is computed; a word that begins no image is dropped.
    o : Out(stream(output_word))
        Results: class, timesteps executed, counters, the values of all outputs.
    abort : In(1)
        Give up the image under way and what has come of the next; no result of them is sent. Words at the input
        meanwhile are dropped.
    idle : Out(1)
        No image is under way or waits, no result either; no word of a load is being taken.
    fault : Out(1)
        A load has begun whose digest has not come, or was wrong: no image is computed. A reset leaves it as it is.
    memory : Out(MemoryBus)
        Only with ``params.outside``: the memory outside the chip, in words of 32 bits.
    probe_fired, probe_layer, probe_counts, probe_states : Out
        Neurons as they fire, those of group 0 first, for verification: the index of their pass, which is what every
        ``layer`` of the gateware is of (`hw.core.payloads.pass_block`); a count, before its pool; a new state, or a
        value of an output.
    """

    def __init__(self, params, contents):
        self._params = p = params
        self._contents = contents
        neurons = p.groups * p.neurons
        super().__init__({
            "load": In(stream.Signature(WORD_BITS)), "i": In(stream.Signature(payloads.input_word(p))),
            "o": Out(stream.Signature(payloads.output_word())), "abort": In(1), "idle": Out(1), "fault": Out(1),
            **({"memory": Out(MemoryBus(p.outside_bits, WORD_BITS))} if p.outside else {}),
            "probe_fired": Out(neurons), "probe_layer": Out(range(max(2, p.passes))),
            "probe_counts": Out(data.ArrayLayout(signed(p.signed_count_bits), neurons)),
            "probe_states": Out(data.ArrayLayout(signed(p.acc_bits), neurons)),
        })

    @property
    def params(self):
        """Sizes."""
        return self._params

    def elaborate(self, platform):
        m = Module()
        p, contents = self._params, self._contents
        m.submodules.loader = loader = Loader(p)
        m.submodules.program = program = CoreMemory(memory_table(p)["program"], contents.get("program", ()), params=p)
        m.submodules.image_writer = image_writer = ImageWriter(p)
        m.submodules.sequencer = sequencer = Sequencer(p)
        m.submodules.walker = walker = Walker(p)
        m.submodules.map_writer = map_writer = MapWriter(p)
        output_stores = [OutputStore(p, number) for number in range(p.groups if p.shared else 1)]
        for number, store in enumerate(output_stores):
            m.submodules[f"output_store_{number}" if p.shared else "output_store"] = store
        m.submodules.decision = decision = Decision(p, contents.get("limits", ()))
        m.submodules.result_reader = result_reader = ResultReader(p)
        m.submodules.counters = counters = Counters(p)
        groups = [Group(p, number, contents) for number in range(p.groups)]
        for number, group in enumerate(groups):
            m.submodules[f"group_{number}"] = group
        outside = shared_bus = output_sum = None
        if p.outside:
            m.submodules.outside = outside = Outside(p)
        if p.parked:
            m.submodules.shared = shared_bus = SharedBus(p.outside_bits, WORD_BITS, 1 + p.groups)
        if p.shared:
            m.submodules.output_sum = output_sum = OutputSum(p)

        wiring.connect(m, wiring.flipped(self.load), loader.i)
        wiring.connect(m, wiring.flipped(self.i), image_writer.i)
        wiring.connect(m, result_reader.o, wiring.flipped(self.o))
        self._sequence(m, loader, program, image_writer, sequencer, walker, decision, result_reader)
        # A cycle later: a load begins while nothing is under way; the image writer has compared with all of the header.
        loading = loader.busy | loader.fault
        m.d.sync += [sequencer.loading.eq(loading), image_writer.enable.eq(sequencer.known & ~loading)]
        if p.outside:
            self._join_outside(m, loader, sequencer, walker, outside)
        self._rest(m, loader, loading, image_writer, sequencer, result_reader, outside)
        if p.rowwise:
            self._join_rows(m, image_writer, sequencer, walker, map_writer, outside)
        self._gather(m, loader, image_writer, walker, map_writer, groups, outside)
        if p.parked:
            self._park(m, sequencer, walker, groups, outside, shared_bus)
        # An abort keeps an image from its beginning, late in the cycle; what is counted reaches the sums later too.
        m.d.sync += counters.clear.eq(sequencer.begins)
        rested = Signal()  # of what was sent: a cycle later, since the groups are far
        m.d.sync += rested.eq(walker.done & ~map_writer.busy & Cat(group.idle for group in groups).all())
        self._keep_outputs(m, output_stores, output_sum, sequencer, groups, decision, result_reader)
        m.d.comb += [
            counters.running.eq(sequencer.counts),
            *(getattr(counters, name).eq(sum(getattr(group, name) for group in groups))
              for name in ("busy", "active", "counted")),
            result_reader.counter.eq(counters.o), counters.shift.eq(result_reader.shift),
            sequencer.drained.eq(walker.done & rested),
            self.probe_fired.eq(Cat(group.probe_fired for group in groups)), self.probe_layer.eq(sequencer.running),
            self.probe_counts.as_value().eq(Cat(group.probe_counts for group in groups)),
            self.probe_states.as_value().eq(Cat(group.probe_states for group in groups)),
        ]
        return m

    def _sequence(self, m, loader, program, image_writer, sequencer, walker, decision, result_reader):
        """Join the sequencer with those that it tells what to do."""
        m.d.comb += [
            program.load.eq(loader.o),
            program.address.eq(Mux(sequencer.reads, sequencer.program_address, walker.program_address)),
            sequencer.program.eq(program.data), walker.program.eq(program.data),
            image_writer.header.eq(sequencer.header),
            result_reader.header.eq(sequencer.header),
            decision.stage.eq(sequencer.stage), decision.load.eq(loader.o), decision.step.eq(sequencer.step),
            decision.begin.eq(sequencer.decide), sequencer.decided.eq(decision.done),
            sequencer.exits.eq(decision.exits), result_reader.class_.eq(decision.class_),
            result_reader.begin.eq(sequencer.answers), result_reader.timesteps.eq(sequencer.timesteps),
            sequencer.answering.eq(result_reader.busy), sequencer.heading.eq(result_reader.heading),
            *(getattr(image_writer, name).eq(getattr(sequencer, name)) for name in ("release", "ends", "clear")),
            *(getattr(sequencer, name).eq(getattr(image_writer, name)) for name in ("full", "restart")),
            *(getattr(walker, name).eq(getattr(sequencer, name))
              for name in ("prepare", "pass_address", "go", "first_step", "stop", *["frame"] * self._params.replay)),
            *(getattr(sequencer, name).eq(getattr(walker, name))
              for name in ("prepared", "next_pass", "next_readout")),
        ]

    def _join_outside(self, m, loader, sequencer, walker, outside):
        """Join what lies outside the chip with the passes that wait for it, and with the loader."""
        if not self._params.parked:
            wiring.connect(m, outside.bus, wiring.flipped(self.memory))
        code, waits = list(loadable_memories(self._params)).index("outside"), Signal()
        m.d.sync += waits.eq(outside.writing | loader.o.write[code])  # words of a load are far apart
        m.d.comb += [
            outside.start.eq(sequencer.fetch), outside.address.eq(sequencer.stage.blocks),
            outside.take.eq(sequencer.take), sequencer.ready.eq(outside.ready),
            sequencer.next_fetched.eq(walker.next_fetched),
            loader.waits.eq(outside.fetching | waits),
            loader.fetching.eq(outside.fetching), loader.fetched_valid.eq(outside.o_valid),
            loader.fetched.eq(outside.o), loader.spoiled.eq(outside.spoiled), outside.write.eq(loader.o.write[code]),
            outside.write_address.eq(loader.o.address), outside.word.eq(loader.o.data),
        ]

    def _rest(self, m, loader, loading, image_writer, sequencer, result_reader, outside):
        """Say when the core is idle, when words of a load are taken, and when an image is given up."""
        loads = sequencer.loadable & image_writer.idle & ~result_reader.busy
        rests = sequencer.idle & image_writer.idle & loader.rests
        rests &= sequencer.loading == loading  # a load that has ended is followed by the header
        gives_up = self.abort
        if outside:
            rests &= ~outside.fetching & ~outside.writing
            gives_up = self.abort | outside.spoiled
            m.d.comb += outside.stop.eq(gives_up)
        m.d.comb += [
            loader.enable.eq(loads), sequencer.abort.eq(gives_up), self.idle.eq(rests & ~result_reader.busy),
            self.fault.eq(loader.fault),
        ]

    def _join_rows(self, m, image_writer, sequencer, walker, map_writer, outside):
        """Join maps and input outside the chip with those who make them, and with those who wait for them by rows."""
        p = self._params
        m.d.comb += [
            outside.header.eq(sequencer.header), outside.slot.eq(image_writer.slot),
            walker.row_ready.eq(outside.ready),
            outside.take_row.eq(walker.row_begins), outside.free_row.eq(walker.row_freed),
        ]
        if p.spilled:
            wiring.connect(m, outside.copied, map_writer.copied)
            m.d.comb += [
                map_writer.spills.eq(walker.layer.spills), outside.map_word.eq(map_writer.outside),
                outside.base.eq(walker.layer.spill),
            ]
        if p.image_ring:
            wiring.connect(m, image_writer.store, outside.image)

    def _gather(self, m, loader, image_writer, walker, map_writer, groups, outside):
        """Join the groups with the walker, and with those that write into their copies."""
        p = self._params
        room = Cat(group.room for group in groups).all()
        if p.rowwise:
            room &= outside.room
        image = outside.copied_image if p.image_ring else image_writer.write
        m.d.comb += walker.room.eq(room)
        for number, group in enumerate(groups):
            wiring.connect(m, group.write, getattr(map_writer, f"i_{number}"))
            m.d.comb += [
                group.begin.eq(walker.go), group.layer.eq(walker.layer), group.slot.eq(image_writer.slot),
                group.image_write.eq(image), group.map_write.eq(map_writer.o), group.load.eq(loader.o),
                *(getattr(group, name).eq(getattr(walker, name))
                  for name in ("tile_valid", "tile", "request_valid", "request")),
            ]

    def _park(self, m, sequencer, walker, groups, outside, shared_bus):
        """Let the groups, who need their states at once, share the way outside the chip with all else."""
        wiring.connect(m, shared_bus.bus, wiring.flipped(self.memory))
        wiring.connect(m, outside.bus, getattr(shared_bus, f"i_{len(groups)}"))
        for number, group in enumerate(groups):
            wiring.connect(m, group.memory, getattr(shared_bus, f"i_{number}"))
            m.d.comb += [
                group.sent.eq(walker.done), *(getattr(group, name).eq(getattr(sequencer, name)) for name in STEPS)]

    def _keep_outputs(self, m, output_stores, output_sum, sequencer, groups, decision, result_reader):
        """Join the values of outputs with the groups that add to them, and with those that read them."""
        for group, store in zip(groups, output_stores):  # a single store is that of group 0, the others have none
            m.d.comb += [
                store.firing_address.eq(group.output_address), store.write.eq(group.output_write),
                group.output.eq(store.data),
                store.decides.eq(decision.busy), store.decision_address.eq(decision.address),
                store.answers.eq(result_reader.busy), store.result_address.eq(result_reader.address),
            ]
        value = output_stores[0].data
        if output_sum:
            m.d.comb += [
                output_sum.shared.eq(sequencer.header.shared),
                *(own.eq(store.data) for own, store in zip(output_sum.own, output_stores)),
            ]
            value = output_sum.o
        m.d.comb += [decision.value.eq(value), result_reader.output.eq(value)]
