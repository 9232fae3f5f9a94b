"""The machine: one core of one to four groups of lanes, one walker, one program.

::

    load --> loader --> program, limits, and each group's weights and parameters
       |                   |
       +-- outside -- memory (only where something lies outside the chip)
                           |
           sequencer --> walker ==tiles, requests==> group 0 .. G-1 --words--> every group's copy of the maps
             ^  |                                       |
             |  +-----> decision <---- output store <---+ (of group 0, or all)
    i --> image writer ==> every group's copy of the input      |
                                          result reader <-------+ --> o
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
        Initial contents of the loadable memories (`gen.plan.plan.Plan.initial_contents`).

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
        Neurons as they fire, those of group 0 first, for verification: the index of their pass; a count, of a layer
        before its pool; a new state, or a value of an output.
    """

    def __init__(self, params, contents):
        self._params, self._contents = p, _ = params, contents
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
        m.submodules.image_writer = images = ImageWriter(p)
        m.submodules.sequencer = sequencer = Sequencer(p)
        m.submodules.walker = walker = Walker(p)
        m.submodules.map_writer = map_writer = MapWriter(p)
        stores = [OutputStore(p, number) for number in range(p.groups if p.shared else 1)]
        for number, store in enumerate(stores):
            m.submodules[f"output_store_{number}" if p.shared else "output_store"] = store
        m.submodules.decision = decision = Decision(p, contents.get("limits", ()))
        m.submodules.result_reader = results = ResultReader(p)
        m.submodules.counters = counters = Counters(p)
        groups = [Group(p, number, contents) for number in range(p.groups)]
        for number, group in enumerate(groups):
            m.submodules[f"group_{number}"] = group

        outside = Outside(p) if p.outside else None
        wiring.connect(m, wiring.flipped(self.load), loader.i)
        wiring.connect(m, wiring.flipped(self.i), images.i)
        wiring.connect(m, results.o, wiring.flipped(self.o))
        self._sequence(m, loader, program, images, sequencer, walker, decision, results, outside)
        self._gather(m, loader, images, sequencer, walker, map_writer, groups, outside)
        if p.parked:
            self._park(m, sequencer, walker, groups, outside)
        m.d.sync += counters.clear.eq(sequencer.begins)
        rested = Signal()  # of what was sent: a cycle later, since the groups are far
        m.d.sync += rested.eq(walker.done & ~map_writer.busy & Cat(group.idle for group in groups).all())
        self._keep_outputs(m, stores, sequencer, groups, decision, results)
        m.d.comb += [
            counters.running.eq(sequencer.counts),
            *(getattr(counters, name).eq(sum(getattr(group, name) for group in groups))
              for name in ("busy", "active", "counted")),
            results.counter.eq(counters.o), counters.shift.eq(results.shift),
            sequencer.drained.eq(walker.done & rested),
            self.probe_fired.eq(Cat(group.probe_fired for group in groups)), self.probe_layer.eq(sequencer.running),
            self.probe_counts.as_value().eq(Cat(group.probe_counts for group in groups)),
            self.probe_states.as_value().eq(Cat(group.probe_states for group in groups)),
        ]
        return m

    def _keep_outputs(self, m, stores, sequencer, groups, decision, results):
        """Join the values of outputs with the groups that add to them, and with those that read them."""
        for group, store in zip(groups, stores):
            m.d.comb += [
                store.firing_address.eq(group.output_address), store.write.eq(group.output_write),
                group.output.eq(store.data),
                store.decides.eq(decision.busy), store.decision_address.eq(decision.address),
                store.answers.eq(results.busy), store.result_address.eq(results.address),
            ]
        value = stores[0].data
        if self._params.shared:
            m.submodules.output_sum = total = OutputSum(self._params)
            m.d.comb += [
                total.shared.eq(sequencer.header.shared),
                *(own.eq(store.data) for own, store in zip(total.own, stores)),
            ]
            value = total.o
        m.d.comb += [decision.value.eq(value), results.output.eq(value)]

    def _sequence(self, m, loader, program, images, sequencer, walker, decision, results, outside):
        """Join the sequencer with those that it tells what to do."""
        m.d.comb += [
            program.load.eq(loader.o),
            program.address.eq(Mux(sequencer.reads, sequencer.program_address, walker.program_address)),
            sequencer.program.eq(program.data), walker.program.eq(program.data),
            images.header.eq(sequencer.header),
            results.header.eq(sequencer.header),
            decision.stage.eq(sequencer.stage), decision.load.eq(loader.o), decision.step.eq(sequencer.step),
            decision.begin.eq(sequencer.decide), sequencer.decided.eq(decision.done),
            sequencer.exits.eq(decision.exits), results.class_.eq(decision.class_),
            results.begin.eq(sequencer.answers), results.timesteps.eq(sequencer.timesteps),
            sequencer.answering.eq(results.busy), sequencer.heading.eq(results.heading),
            *(getattr(images, name).eq(getattr(sequencer, name)) for name in ("release", "ends", "clear")),
            *(getattr(sequencer, name).eq(getattr(images, name)) for name in ("full", "restart")),
            *(getattr(walker, name).eq(getattr(sequencer, name))
              for name in ("prepare", "pass_address", "go", "first_step", "stop", *["frame"] * self._params.replay)),
            *(getattr(sequencer, name).eq(getattr(walker, name))
              for name in ("prepared", "next_pass", "next_readout")),
        ]
        # A cycle later: a load begins while nothing is under way; the image writer has compared with all of the header.
        loading = loader.busy | loader.fault
        m.d.sync += [sequencer.loading.eq(loading), images.enable.eq(sequencer.known & ~loading)]
        loads, rests = sequencer.loadable & images.idle & ~results.busy, sequencer.idle & images.idle & loader.rests
        rests &= sequencer.loading == loading  # a load that has ended is followed by the header
        gives_up = self.abort
        if outside:
            self._fetch(m, loader, sequencer, walker, outside)
            rests &= ~outside.fetching & ~outside.writing
            gives_up = self.abort | outside.spoiled
            m.d.comb += outside.stop.eq(gives_up)
        m.d.comb += [
            loader.enable.eq(loads), sequencer.abort.eq(gives_up), self.idle.eq(rests & ~results.busy),
            self.fault.eq(loader.fault),
        ]

    def _fetch(self, m, loader, sequencer, walker, outside):
        """Join what lies outside the chip with the passes that wait for it, and with the loader."""
        m.submodules.outside = outside
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

    def _park(self, m, sequencer, walker, groups, outside):
        """Let the groups, who need their states at once, share the way outside the chip with all else."""
        p = self._params
        m.submodules.shared = shared = SharedBus(p.outside_bits, WORD_BITS, 1 + p.groups)
        wiring.connect(m, shared.bus, wiring.flipped(self.memory))
        wiring.connect(m, outside.bus, getattr(shared, f"i_{p.groups}"))
        for number, group in enumerate(groups):
            wiring.connect(m, group.memory, getattr(shared, f"i_{number}"))
            m.d.comb += [
                group.sent.eq(walker.done), *(getattr(group, name).eq(getattr(sequencer, name)) for name in STEPS)]

    def _spill(self, m, images, sequencer, walker, map_writer, outside):
        """Join the maps outside the chip with those who make them, and with those who wait for them row by row."""
        p = self._params
        m.d.comb += [
            outside.header.eq(sequencer.header), outside.slot.eq(images.slot), walker.row_ready.eq(outside.ready),
            outside.take_row.eq(walker.row_begins), outside.free_row.eq(walker.row_freed),
        ]
        if p.spilled:
            wiring.connect(m, outside.copied, map_writer.copied)
            m.d.comb += [
                map_writer.spills.eq(walker.layer.spills), outside.map_word.eq(map_writer.outside),
                outside.base.eq(walker.layer.spill),
            ]
        if p.image_ring:
            wiring.connect(m, images.store, outside.image)

    def _gather(self, m, loader, images, sequencer, walker, map_writer, groups, outside):
        """Join the groups with the walker, and with those that write into their copies."""
        room = Cat(group.room for group in groups).all()
        if self._params.rowwise:
            self._spill(m, images, sequencer, walker, map_writer, outside)
            room &= outside.room
        image = outside.copied_image if self._params.image_ring else images.write
        m.d.comb += walker.room.eq(room)
        for number, group in enumerate(groups):
            wiring.connect(m, group.write, getattr(map_writer, f"i_{number}"))
            m.d.comb += [
                group.begin.eq(walker.go), group.layer.eq(walker.layer), group.slot.eq(images.slot),
                group.image_write.eq(image), group.map_write.eq(map_writer.o), group.load.eq(loader.o),
                *(getattr(group, name).eq(getattr(walker, name))
                  for name in ("tile_valid", "tile", "request_valid", "request")),
            ]
