"""What a tile's neurons remember: parameters, membrane states, kept currents, logits."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw import payloads
from hw.loader import LoadableMemory
from hw.neuron import LATENCY
from hw.wide_memory import WideMemory

__all__ = ["StateStore"]

READ = 3


class StateStore(wiring.Component):
    """Read a tile's parameters and state before its sums are complete, write the state back after firing.

    Tiles of a pass come in the same order at every timestep, so a running address finds their state::

        ending -> read (3 cycles) -> with the sums at the neurons -> (`LATENCY`) -> write back

    Parameters
    ----------
    image : dict
        Initial contents (`gen.image.memory_image`).

    Members
    -------
    begin : In(1)
        A pass begins: start from its base addresses.
    first_step : In(1)
        Timestep 1: states are initial states, logits zero, kept currents written.
    ending, tiles : In
        A tile is three cycles from complete; its description.
    theta, bias, v, kept : Out
        One per lane, with the complete sums.
    current, state : In
        One per lane, from the neurons.
    fired : Out(1)
        ``tile`` has just left the neurons with ``state``.
    """

    def __init__(self, params, image):
        self._params, self._image = params, image
        p = params
        words = data.ArrayLayout(signed(p.acc_bits), p.lanes)
        super().__init__({
            "begin": In(1), "first_step": In(1), "layer": In(payloads.layer_block(p)), "ending": In(1),
            "tiles": In(stream.Signature(payloads.tile(p))), "load": In(payloads.load_port(p)),
            "theta": Out(data.ArrayLayout(p.theta_bits, p.lanes)),
            "bias": Out(data.ArrayLayout(signed(p.bias_bits), p.lanes)), "v": Out(words), "kept": Out(words),
            "current": In(words), "state": In(words),
            "fired": Out(1), "tile": Out(payloads.tile(p)),
        })

    def elaborate(self, platform):
        m = Module()
        p, layer = self._params, self.layer
        reads, writes, runs = {}, {}, {}
        for name in ("theta", "bias", "v_init"):
            m.submodules[name] = memory = LoadableMemory(p, name, self._image[name])
            m.d.comb += [memory.load.eq(self.load), memory.address.eq(self.tiles.payload.parameters)]
            reads[name] = memory.data
        for name, bits, depth, base in (
            ("states", p.state_bits, p.states, layer.state_base),
            ("currents", p.acc_bits, p.currents, layer.current_base),
            ("logits", p.acc_bits, p.class_tiles, 0),
        ):
            m.submodules[name] = memory = WideMemory(bits * p.lanes, depth=depth)
            writes[name], reads[name] = memory, memory.data
            runs[name] = run = Signal(range(depth + 1), name=f"{name}_run")
            m.d.comb += memory.address.eq(run)
            with m.If(self.begin):
                m.d.sync += run.eq(base)
            with m.Elif(self.ending):
                m.d.sync += run.eq(run + 1)
        m.d.comb += self.tiles.ready.eq(self.ending)
        held = {}
        for name, value in reads.items():
            word = Signal(len(value), name=f"{name}_held", reset_less=True)
            m.d.sync += word.eq(value)
            held[name] = data.View(data.ArrayLayout(signed(len(value) // p.lanes), p.lanes), word)
        for port, name in ((self.theta, "theta"), (self.bias, "bias"), (self.kept, "currents")):
            m.d.sync += port.as_value().eq(held[name].as_value())
        spikes = ~layer.readout & ~layer.pool_pass
        chosen = {name: Signal(name=f"choose_{name}") for name in ("v_init", "states", "logits")}
        m.d.sync += [
            chosen["v_init"].eq(spikes & self.first_step), chosen["states"].eq(spikes & ~self.first_step),
            chosen["logits"].eq(layer.readout & ~self.first_step),
        ]
        for lane in range(p.lanes):
            v = 0
            for name, choose in chosen.items():
                v = v | Mux(choose, held[name][lane], 0)
            m.d.sync += self.v[lane].eq(v)
        self._write_back(m, writes, runs)
        return m

    def _write_back(self, m, writes, runs):
        p, layer = self._params, self.layer
        line = Signal(data.StructLayout({
            "valid": 1, "tile": payloads.tile(p), **{name: run.shape() for name, run in runs.items()},
        }), name="line_0")
        m.d.comb += [line.valid.eq(self.ending), line.tile.eq(self.tiles.payload)]
        m.d.comb += [line[name].eq(run) for name, run in runs.items()]
        for stage in range(1, READ + LATENCY + 1):
            later = Signal.like(line, name=f"line_{stage}")
            m.d.sync += later.eq(line)
            line = later
            if stage == READ + 1:
                m.d.comb += [
                    writes["currents"].write_address.eq(line.currents),
                    writes["currents"].write_data.eq(self.current.as_value()),
                    writes["currents"].write_enable.eq(line.valid & layer.keep & self.first_step),
                ]
        m.d.comb += [
            self.fired.eq(line.valid), self.tile.eq(line.tile),
            writes["states"].write_address.eq(line.states),
            writes["states"].write_enable.eq(line.valid & ~layer.readout & ~layer.pool_pass),
            writes["logits"].write_address.eq(line.logits), writes["logits"].write_data.eq(self.state.as_value()),
            writes["logits"].write_enable.eq(line.valid & layer.readout),
        ]
        m.d.comb += writes["states"].write_data.eq(Cat(self.state[lane][: p.state_bits] for lane in range(p.lanes)))

