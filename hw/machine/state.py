"""What a tile's neurons remember: parameters, membrane states, kept currents, logits."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.machine import payloads
from hw.machine.loader import LoadableMemory
from hw.machine.neuron import latency
from hw.machine.spram import SinglePort
from hw.machine.wide_memory import WideMemory

__all__ = ["READ", "StateStore", "spacing"]

READ = 3


def spacing(p):
    """Return the cycles from the end of a tile to the next one's: no read may meet a write of a single-port RAM."""
    return READ + latency(p) + p.beats - 1 if p.spram == 2 else p.beats


class StateStore(wiring.Component):
    """Read a tile's parameters and state before its sums are complete, write the state back after firing.

    Tiles of a pass come in the same order at every timestep, so running addresses find their states, one that
    reads and one that writes::

        ending -> read (3 cycles) -> with the sums at the neurons -> (`latency`) -> write back

    A neuron that serves all lanes takes a tile in ``params.beats`` cycles, one memory word each, so tiles must
    end `spacing` apart; its words are read a cycle later and choose the state without a register between.

    Parameters
    ----------
    image : dict
        Initial contents (`gen.layout.image.memory_image`).

    Members
    -------
    begin : In(1)
        A pass begins: start from its base addresses.
    first_step : In(1)
        Timestep 1: states are initial states, logits zero, kept currents written. States and logits of a pass that
        resumes are those of an earlier pass all the same.
    ending, parameters : In
        A tile is three cycles from complete; where its parameters are.
    summed : Out(1)
        A tile is complete.
    theta, bias, v, kept : Out
        One per neuron, with the complete sums.
    current, state : In
        One per neuron, from the neurons.
    tiles : In(stream(tile))
        The description of the tile that leaves the neurons, taken with its last beat.
    fired : Out(1)
        A beat of ``tiles`` has just left the neurons with ``state``.
    logit_read, logit_address, logits : In, In, Out
        Read the words of the readout instead, one cycle later; only while no tile is under way.
    """

    def __init__(self, params, image):
        self._params, self._image = params, image
        p = params
        words = data.ArrayLayout(signed(p.acc_bits), p.neurons)
        super().__init__({
            "begin": In(1), "first_step": In(1), "layer": In(payloads.layer_block(p)),
            "ending": In(1), "parameters": In(stream.Signature(payloads.parameter_address(p))), "summed": Out(1),
            "load": In(payloads.load_port(p)),
            "theta": Out(data.ArrayLayout(p.theta_bits, p.neurons)),
            "bias": Out(data.ArrayLayout(signed(p.bias_bits), p.neurons)), "v": Out(words), "kept": Out(words),
            "current": In(words), "state": In(words),
            "tiles": In(stream.Signature(payloads.tile(p))), "fired": Out(1),
            "logit_read": In(1), "logit_address": In(range(max(2, p.class_tiles * p.beats))), "logits": Out(words),
        })

    def elaborate(self, platform):
        m = Module()
        p, layer = self._params, self.layer
        m.d.comb += self.parameters.ready.eq(self.ending)
        reading, address = self._reading(m)
        spikes, first = ~layer.readout & ~layer.pool_pass, self.first_step
        initial = first & ~layer.resumes if p.separated else first
        stages = [reading]  # one more for every cycle since the address
        for stage in range(1 + p.shared, READ + latency(p) + 1):
            stages.append(Signal(name=f"read_{stage}"))
            m.d.sync += stages[-1].eq(stages[-2])
        read = READ - p.shared
        reads = {}
        for name in ("theta", "bias", "v_init"):
            m.submodules[name] = memory = LoadableMemory(p, name, self._image[name])
            m.d.comb += [memory.load.eq(self.load), memory.address.eq(address)]
            reads[name] = memory.data
        for name, bits, depth, base, write, value in (
            ("states", p.state_bits, p.states, layer.state_base, stages[-1] & spikes, self.state),
            ("currents", p.acc_bits, p.currents, layer.current_base, stages[read + 1] & layer.keep & first,
             self.current),
            ("logits", p.acc_bits, p.class_tiles, 0, stages[-1] & layer.readout, self.state),
        ):
            kind = SinglePort if name == "states" and p.spram == 2 else WideMemory
            m.submodules[name] = memory = kind(bits * p.neurons, depth=depth * p.beats)
            reads[name] = memory.data
            run, written = (Signal(range(depth * p.beats + 1), name=f"{name}_{kind}") for kind in ("read", "written"))
            m.d.comb += [
                memory.address.eq(Mux(self.logit_read, self.logit_address, run) if name == "logits" else run),
                memory.write_enable.eq(write), memory.write_address.eq(written),
                memory.write_data.eq(Cat(word[:bits] for word in value)),
            ]
            for place, moves in ((run, reading), (written, write)):
                with m.If(self.begin):
                    m.d.sync += place.eq(base)
                with m.Elif(moves):
                    m.d.sync += place.eq(place + 1)
        m.d.comb += [
            self.logits.as_value().eq(reads["logits"]), self.fired.eq(stages[-1]),
            self.tiles.ready.eq(self._last_beat(m, stages[-1])),
        ]
        endings = self.ending
        for _ in range(READ):
            late = Signal()
            m.d.sync += late.eq(endings)
            endings = late
        m.d.comb += self.summed.eq(endings)
        self._choose(m, reads, {
            "v_init": spikes & initial, "states": spikes & ~initial, "logits": layer.readout & ~initial,
        })
        return m

    def _reading(self, m):
        """Return whether a word is read in this cycle, and the address of its parameters."""
        p, first = self._params, self.parameters.payload
        if not p.shared:
            return self.ending, first
        address, left = Signal.like(first), Signal(range(p.beats + 1))
        with m.If(self.ending):
            m.d.sync += [address.eq(first), left.eq(p.beats)]
        with m.Elif(left.any()):
            m.d.sync += [address.eq(address + 1), left.eq(left - 1)]
        return left.any(), address

    def _last_beat(self, m, fired):
        """Return whether the beat that fires is its tile's last."""
        if self._params.beats == 1:
            return fired
        beat, last = Signal(range(self._params.beats)), Signal()
        m.d.comb += last.eq(beat == self._params.beats - 1)
        with m.If(fired):
            m.d.sync += beat.eq(Mux(last, 0, beat + 1))
        return fired & last

    def _choose(self, m, reads, wanted):
        """Register what the neurons take; choose their state by one of the strobes ``wanted``."""
        p, held, chosen = self._params, {}, {}
        for name, value in reads.items():
            word = value
            if not p.shared:
                word = Signal(len(value), name=f"{name}_held", reset_less=True)
                m.d.sync += word.eq(value)
            held[name] = data.View(data.ArrayLayout(signed(len(value) // p.neurons), p.neurons), word)
        for name, strobe in wanted.items():
            chosen[name] = Signal(name=f"choose_{name}")
            m.d.sync += chosen[name].eq(strobe)
        for port, name in ((self.theta, "theta"), (self.bias, "bias"), (self.kept, "currents")):
            m.d.sync += port.as_value().eq(held[name].as_value())
        if p.separated:
            with m.If(self.layer.unbiased):
                m.d.sync += self.bias.as_value().eq(0)
        for lane in range(p.neurons):
            v = 0
            for name, choose in chosen.items():
                v = v | Mux(choose, held[name][lane], 0)
            m.d.sync += self.v[lane].eq(v)
