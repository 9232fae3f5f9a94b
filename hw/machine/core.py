"""The machine: one spiking core of P lanes with its program, weights and states.

::

    load ------> program  weights  parameters  limits            (every memory, through one port)
                    |
              program reader <-- sequencer ----------------------------- early exit --> o
                    |                                                        ^
    i --> ingest    v                                                        | logits
            |    segment generator --tiles--> state store <---------+        |
            v       |  ^ pointers               | v, theta, bias    | v      |
          event store  |                        v                   |        |
            ^       +--> gather --> lanes --> neurons --------------+--------+
            |            events     sum w*k     | counts
            +------------- compressor <---------+
"""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from gen.layout.program import WORD_BITS
from hw.machine import payloads
from hw.machine.compressor import Compressor
from hw.machine.counters import Counters
from hw.machine.early_exit import EarlyExit
from hw.machine.events import EventStore
from hw.machine.gather import Gather
from hw.machine.halves import Halves
from hw.machine.ingest import Ingest
from hw.machine.lane_compressor import LaneCompressor
from hw.machine.lanes import Lanes
from hw.machine.loader import LoadableMemory, Loader
from hw.machine.neuron import Neuron
from hw.machine.program_reader import ProgramReader
from hw.machine.segments import SegmentGenerator
from hw.machine.sequencer import Sequencer
from hw.machine.spram import LoadableSinglePort
from hw.machine.state import StateStore

__all__ = ["Core"]

CREDITS = 16


class Core(wiring.Component):
    """A complete core.

    Parameters
    ----------
    params : CoreParams
        Sizes.
    image : dict
        Initial contents of the memories (`gen.layout.image.memory_image`).

    Members
    -------
    load : In(stream(32))
        The memory image (`gen.layout.image.load_stream`), taken while no image is under way.
    i : In(stream(input_word))
        Images; a word that begins no image is dropped.
    o : Out(stream(output_word))
        Results: class, timesteps executed, counters, logits.
    abort : In(1)
        Give up the image under way; no result is sent.
    idle : Out(1)
        No image is under way and no result waits.
    fault : Out(1)
        0: this core's load stream has no digest.
    probe_fired, probe_layer, probe_counts, probe_states : Out
        Every tile as it leaves the neurons, for verification: index of its pass, one count and one new
        state (or logit) per lane.
    """

    def __init__(self, params, image):
        self._params, self._image = params, image
        p = params
        super().__init__({
            "load": In(stream.Signature(WORD_BITS)),
            "i": In(stream.Signature(payloads.input_word(p))),
            "o": Out(stream.Signature(payloads.output_word())),
            "abort": In(1), "idle": Out(1), "fault": Out(1),
            "probe_fired": Out(1), "probe_layer": Out(range(max(2, p.layers))),
            "probe_counts": Out(payloads.counts(p)),
            "probe_states": Out(data.ArrayLayout(signed(p.acc_bits), p.lanes)),
        })

    @property
    def params(self):
        """Sizes."""
        return self._params

    def elaborate(self, platform):
        m = Module()
        p, image = self._params, self._image
        m.submodules.loader = loader = Loader(p)
        m.submodules.sequencer = sequencer = Sequencer(p)
        m.submodules.program = program = ProgramReader(p, image)
        m.submodules.ingest = ingest = Ingest(p)
        m.submodules.event_store = store = EventStore(p)
        m.submodules.segments = segments = SegmentGenerator(p)
        m.submodules.gather = gather = Gather(p, credits=CREDITS)
        latency = 1 if p.narrow else 2  # `Halves` is the second cycle
        m.submodules.weights = weights = (
            LoadableSinglePort(p, "weights", latency=latency) if p.spram else
            LoadableMemory(p, "weights", image["weights"], latency=latency)
        )
        m.submodules.lanes = lanes = Lanes(p)
        m.submodules.state_store = states = StateStore(p, image)
        neurons = [Neuron(p) for _ in range(p.neurons)]
        for lane, neuron in enumerate(neurons):
            m.submodules[f"neuron_{lane}"] = neuron
        m.submodules.compressor = compressor = LaneCompressor(p) if p.shared else Compressor(p, depth=CREDITS)
        m.submodules.early_exit = early_exit = EarlyExit(p, image)
        m.submodules.counters = counters = Counters(p)

        self._control(m, loader, sequencer, program, ingest, early_exit, compressor, counters)
        for component in (program, weights, states, early_exit):
            m.d.comb += component.load.eq(loader.o)
        for component in (segments, states, compressor):
            m.d.comb += [component.layer.eq(program.layer), component.begin.eq(sequencer.begin_pass)]
        for component in (sequencer, ingest, early_exit):
            m.d.comb += component.header.eq(program.header)
        wiring.connect(m, segments.o, gather.i)
        wiring.connect(m, segments.o_tiles, states.tiles)
        wiring.connect(m, segments.o_parameters, states.parameters)
        if not p.shared:
            m.d.comb += gather.credit.eq(compressor.credit)
        m.d.comb += [
            segments.synapses.eq(program.synapses), segments.gather.eq(sequencer.gather),
            segments.first_step.eq(sequencer.first_step), segments.stop.eq(sequencer.stop),
            store.first_pointer.eq(segments.first_pointer), store.end_pointer.eq(segments.end_pointer),
            segments.first_event.eq(store.first_event), segments.end_event.eq(store.end_event),
            store.event_address.eq(gather.event_address), gather.event.eq(store.event),
            weights.address.eq(gather.weight_address),
            lanes.value.eq(gather.o.value), lanes.first.eq(gather.o.first), lanes.last.eq(gather.o.last),
            lanes.maximum.eq(program.layer.maximum),
            lanes.weights.eq(self._halves(m, program, gather, weights) if p.narrow else weights.data),
            counters.busy.eq(gather.busy), counters.active.eq(gather.o.active),
            states.ending.eq(gather.ending), states.first_step.eq(sequencer.first_step),
            states.logit_read.eq(early_exit.logit_read), states.logit_address.eq(early_exit.logit_address),
            early_exit.logits.eq(states.logits),
            store.write.eq(Mux(ingest.busy, ingest.write.as_value(), compressor.write.as_value())),
        ]
        self._fire(m, sequencer, program, lanes, states, neurons, compressor, early_exit)
        return m

    def _halves(self, m, program, gather, weights):
        """Return the weights of narrow and of other layers."""
        m.submodules.halves = halves = Halves(self._params)
        narrow = program.layer.narrow
        m.d.comb += [
            gather.narrow.eq(narrow), halves.narrow.eq(narrow), halves.upper.eq(gather.upper),
            halves.word.eq(weights.data),
        ]
        return halves.weights

    def _control(self, m, loader, sequencer, program, ingest, early_exit, compressor, counters):
        """Route the outer streams and the handshakes between the sequencer and the others."""
        offers = self.i.valid & self.i.payload.first
        wiring.connect(m, wiring.flipped(self.load), loader.i)
        offered = sequencer.o.valid | early_exit.o.valid
        free = ~self.o.valid | self.o.ready
        with m.If(free):
            m.d.sync += [self.o.valid.eq(offered), self.o.payload.eq(Mux(
                sequencer.o.valid, sequencer.o.payload.as_value(), early_exit.o.payload.as_value(),
            ))]
        m.d.comb += [
            loader.enable.eq(sequencer.idle),
            sequencer.wanted.eq(offers & ~self.load.valid & ~loader.busy),
            sequencer.restart.eq(ingest.restart),
            program.begin.eq(sequencer.read),
            program.advance.eq(sequencer.advance), program.release.eq(compressor.done),
            sequencer.ready.eq(program.ready),
            sequencer.last.eq(program.last),
            sequencer.keep.eq(program.layer.keep),
            sequencer.abort.eq(self.abort),
            self.idle.eq(sequencer.idle & ~self.o.valid),
            ingest.i.payload.eq(self.i.payload),
            ingest.i.valid.eq(self.i.valid),
            self.i.ready.eq(ingest.i.ready | (sequencer.idle & ~self.i.payload.first)),
            ingest.begin.eq(sequencer.ingest),
            ingest.stop.eq(sequencer.stop),
            ingest.first_map.eq(sequencer.first_step),
            sequencer.ingested.eq(ingest.done),
            sequencer.pass_done.eq(compressor.done),
            early_exit.begin.eq(sequencer.decide),
            early_exit.step.eq(sequencer.step),
            sequencer.decided.eq(early_exit.done),
            sequencer.exits.eq(early_exit.exits),
            sequencer.class_.eq(early_exit.class_),
            early_exit.answer.eq(sequencer.answer),
            sequencer.answered.eq(early_exit.o.valid & early_exit.o.ready & early_exit.o.payload.last),
            sequencer.o.ready.eq(free), early_exit.o.ready.eq(free),
            counters.clear.eq(sequencer.idle),
            counters.taken.eq(ingest.i.valid & ingest.i.ready),
            counters.given.eq(sequencer.answering),
            counters.counted.eq(compressor.counted),
            sequencer.counters.eq(counters.o),
        ]

    def _fire(self, m, sequencer, program, lanes, states, neurons, compressor, early_exit):
        """Join lanes, state store, neurons and the takers of their results."""
        layer = program.layer
        totals = self._in_turn(m, lanes.sums, states.summed) if self._params.shared else lanes.sums
        for lane, neuron in enumerate(neurons):
            m.d.comb += [
                neuron.total.eq(totals[lane]),
                neuron.bias.eq(states.bias[lane]),
                neuron.v.eq(states.v[lane]),
                neuron.theta.eq(states.theta[lane]),
                neuron.kept.eq(states.kept[lane]),
                neuron.use_kept.eq(~sequencer.gather),
                neuron.burst.eq(layer.burst),
                neuron.state_limit.eq(layer.state_limit),
                neuron.pass_through.eq(layer.pool_pass),
                neuron.unlimited.eq(layer.readout),
                *([neuron.quiet.eq(layer.quiet)] if self._params.least > 1 else []),
                *([neuron.double.eq(layer.resumes)] if self._params.separated else []),
                states.current[lane].eq(neuron.current),
                states.state[lane].eq(neuron.state),
                compressor.i.payload.counts[lane].eq(neuron.count),
            ]
        m.d.comb += [
            compressor.i.valid.eq(states.fired),
            compressor.i.payload.tile.eq(states.tiles.payload),
            self.probe_fired.eq(states.fired & states.tiles.ready),
            self.probe_layer.eq(program.running),
        ]
        for probe, words in ((self.probe_counts, compressor.i.payload.counts), (self.probe_states, states.state)):
            vector = words.as_value()
            if self._params.beats > 1:
                earlier = Signal(len(probe.as_value()) - len(vector))
                with m.If(states.fired):
                    m.d.sync += earlier.eq(Cat(earlier, vector)[len(vector):])
                vector = Cat(earlier, vector)
            m.d.comb += probe.as_value().eq(vector)

    def _in_turn(self, m, sums, summed):
        """Return the sums of a tile, complete for one cycle, one lane a cycle."""
        waiting = Signal(data.ArrayLayout(sums.shape().elem_shape, self._params.lanes))
        m.d.sync += waiting.eq(Mux(summed, sums.as_value(), waiting.as_value()) >> self._params.acc_bits)
        return [Mux(summed, sums[0], waiting[0])]
