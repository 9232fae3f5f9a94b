"""What neurons remember: their parameters, membranes, kept currents; the values of the outputs lie outside."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gen.plan.memories import memory_table
from hw.core import payloads
from hw.core.memory import CoreMemory, write_port
from hw.core.sums import loaded_or_moved

__all__ = ["StateStore"]

READ = 2  # cycles from an address to its word


class StateStore(wiring.Component):
    """Read what the neuron of a lane needs, write back what it keeps.

    A group fires its lanes in the same order at every timestep, so a running address finds their membranes, and
    another one, behind the neuron, the place of the new state. In tile order every timestep of a tile begins at the
    same address (``layer.rewind``): only the values of an output move on, after the tile's last timestep::

        cycle 0 address   2 words, at the neuron   3 its current is kept   2 + latency the state is written, fired

    Parameters
    ----------
    params : CoreParams
    number : int
        Of the neuron among those of all groups, from 0; only those of group 0 have outputs, or with ``params.shared``
        all.
    contents : dict
        Initial contents of the loadable memories.

    Members
    -------
    begin : In(1)
        A pass begins; ``layer`` is its block from the next cycle on.
    layer : In
    load : In(load_port)
    beat, parameter : In
        A lane, and the address of its parameters.
    parked : In
        Only with ``params.parked``: of a layer that parks its states the one from outside, two cycles behind ``beat``.
    theta, theta_low, bias, v, kept, use_kept : Out
        To the neuron. Of a pool neither bias nor v.
    current, state : In
        From the neuron.
    fired : Out(neuron_beat)
        The lane whose ``state`` is there.
    output_address, output, output_write : Out, In, Out
        The memory of the outputs; ``output`` comes two cycles later.
    """

    def __init__(self, params, number, contents):
        self._params = p = params
        self._number, self._contents = number, contents
        self._has_outputs = number < p.neurons or bool(p.shared)
        word = signed(p.acc_bits)
        outputs = write_port(p.acc_bits, p.outputs)
        super().__init__({
            "begin": In(1), "layer": In(payloads.pass_block(p)), "load": In(payloads.load_port(p)),
            "beat": In(payloads.neuron_beat(p)), "parameter": In(range(max(2, p.parameters))),
            "theta": Out(p.theta_bits), **({"theta_low": Out(p.theta_bits)} if p.signed else {}),
            "bias": Out(signed(p.bias_bits)), "v": Out(word), "state": In(word), "fired": Out(payloads.neuron_beat(p)),
            **({"kept": Out(word), "use_kept": Out(1), "current": In(word)} if p.currents else {}),
            **({"parked": In(signed(p.state_bits))} if p.parked else {}),
            **({
                "output_address": Out(outputs["address"].shape), "output": In(word), "output_write": Out(outputs),
            } if self._has_outputs else {}),
        })

    def elaborate(self, platform):
        m = Module()
        p, layer = self._params, self.layer
        begun = Signal()
        beats = [self.beat]  # one more for every cycle since the address
        for stage in range(READ + p.neuron_latency):
            beats.append(Signal.like(self.beat, name=f"beat_{stage + 1}"))
            m.d.sync += beats[-1].eq(beats[-2])
        m.d.sync += begun.eq(self.begin)
        m.d.comb += self.fired.eq(beats[-1])
        v_init = self._parameters(m)

        initial = beats[READ - 1].first & (~layer.resumes if p.two_phase else 1)
        fires = Signal()
        m.d.comb += fires.eq(~layer.readout & ~layer.pool)
        chosen, own = [(v_init, fires & initial)], fires
        if p.parked:
            own = fires & ~layer.parks
            chosen.append((self.parked, fires & ~initial & layer.parks))
        if p.states or self._has_outputs:
            place = self._running_address(m, begun, self.beat, "place")
            late = self._running_address(m, begun, self.fired, "fired_place")
            wrote = self._does(self.fired)
        if p.states:
            memory = self._memory(m, "states")
            m.d.comb += [
                memory.address.eq(place), memory.write.address.eq(late), memory.write.data.eq(self.state),
                memory.write.enable.eq(wrote & own),
            ]
            chosen.append((memory.data.as_signed(), own & ~initial))
        if self._has_outputs:
            m.d.comb += [
                self.output_address.eq(place), self.output_write.address.eq(late),
                self.output_write.data.eq(self.state), self.output_write.enable.eq(wrote & layer.readout),
            ]
            chosen.append((self.output, layer.readout & ~initial))
        v = 0
        for index, (value, wanted) in enumerate(chosen):
            choose = Signal(name=f"choose_{index}")
            m.d.sync += choose.eq(wanted)
            v = v | Mux(choose, value, 0)
        m.d.comb += self.v.eq(v)
        if p.currents:
            self._currents(m, begun, beats)
        return m

    def _does(self, beat):
        """Return whether the neuron has a lane in the beat."""
        p = self._params
        return beat.valid & beat.own[self._number % p.neurons] if p.neurons > 1 else beat.valid

    def _memory(self, m, name):
        spec = memory_table(self._params)[f"{name}_{self._number}"]
        m.submodules[name] = memory = CoreMemory(spec, self._contents.get(spec.name, ()), params=self._params)
        return memory

    def _parameters(self, m):
        """Hand out thresholds and bias; return the initial state."""
        p, layer, memory = self._params, self.layer, self._memory(m, "parameters")
        biased = ~layer.pool & (~layer.unbiased if p.two_phase else 1)
        v_init = Signal(signed(p.state_bits))
        theta, bias, v_end = p.theta_bits, p.theta_bits + p.bias_bits, p.theta_bits + p.bias_bits + p.state_bits
        m.d.comb += [
            memory.load.eq(self.load), memory.address.eq(self.parameter), self.theta.eq(memory.data[:theta]),
            self.bias.eq(Mux(biased, memory.data[theta:bias].as_signed(), 0)), v_init.eq(memory.data[bias:v_end]),
        ]
        if p.signed:
            m.d.comb += self.theta_low.eq(memory.data[v_end:])
        return v_init

    def _running_address(self, m, begun, beat, name):
        """Return the address of the membrane of a beat's lane, or of its value of an output."""
        p, layer = self._params, self.layer
        place = Signal(range(max(2, p.states, p.outputs)), name=name, reset_less=True)
        base = Mux(layer.readout, layer.output, layer.state)
        with m.If(begun | beat.valid):
            m.d.sync += place.eq(loaded_or_moved(begun, base, place))
        if p.tile_order:
            start, moves_on = Signal.like(place, name=f"{name}_start"), layer.readout & beat.last
            with m.If(begun):
                m.d.sync += start.eq(base)
            with m.Elif(beat.valid & beat.ends):
                with m.If(moves_on):
                    m.d.sync += start.eq(place + 1)
                with m.Elif(layer.rewind):
                    m.d.sync += place.eq(start)
        return place

    def _currents(self, m, begun, beats):
        """Keep the current of a tile's first timestep, and give it back later."""
        p, layer, beat, memory = self._params, self.layer, self.beat, self._memory(m, "currents")
        place = Signal(range(max(2, p.currents)), reset_less=True)
        written = beats[READ + 1]
        begins = begun | (beat.ends & layer.rewind) if p.tile_order else begun
        with m.If(begins | beat.valid):
            m.d.sync += place.eq(loaded_or_moved(begins, layer.current, place))
        m.d.comb += [
            memory.address.eq(place), memory.write.address.eq(_late(m, place, READ + 1)),
            memory.write.data.eq(self.current),
            memory.write.enable.eq(self._does(written) & written.first & layer.keep),
            self.kept.eq(memory.data), self.use_kept.eq(layer.keep & ~beats[READ].first),
        ]


def _late(m, value, cycles):
    """Return the address ``cycles`` later."""
    for _ in range(cycles):
        late = Signal.like(value, name=f"{value.name}_late", reset_less=True)
        m.d.sync += late.eq(value)
        value = late
    return value
