"""The core behind AXI4-Lite for its registers and AXI4-Stream for its data."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gen.plan.params import WORD_BITS
from hw.core import payloads
from hw.link.blackbox import CoreBox, connect_core
from hw.link.bus import ADDRESS_BITS, VALUE_BITS, BusSide, access_port
from hw.memory.axi import AxiMaster, axi4

__all__ = ["VIVADO", "AxiLite", "AxiTop", "axi_lite", "axi_stream"]

BYTES = WORD_BITS // 8
OKAY, SLVERR = 0, 2
# Of ports that Vivado does not fully understand by their names (UG994, "Inferring Control Signals in a RTL Module").
VIVADO = {
    "aclk": {
        "X_INTERFACE_INFO": "xilinx.com:signal:clock:1.0 aclk CLK",
        "X_INTERFACE_PARAMETER": "ASSOCIATED_BUSIF {interfaces}, ASSOCIATED_RESET aresetn",
    },
    "aresetn": {
        "X_INTERFACE_INFO": "xilinx.com:signal:reset:1.0 aresetn RST",
        "X_INTERFACE_PARAMETER": "POLARITY ACTIVE_LOW",
    },
    "interrupt": {
        "X_INTERFACE_INFO": "xilinx.com:signal:interrupt:1.0 interrupt INTERRUPT",
        "X_INTERFACE_PARAMETER": "SENSITIVITY LEVEL_HIGH",
    },
}


def axi_lite():
    """Return the signature of an AXI4-Lite bus, as the master sees it."""
    address = ADDRESS_BITS + (BYTES - 1).bit_length()
    return wiring.Signature({
        "awaddr": Out(address), "awprot": Out(3), "awvalid": Out(1), "awready": In(1),
        "wdata": Out(WORD_BITS), "wstrb": Out(BYTES), "wvalid": Out(1), "wready": In(1),
        "bresp": In(2), "bvalid": In(1), "bready": Out(1),
        "araddr": Out(address), "arprot": Out(3), "arvalid": Out(1), "arready": In(1),
        "rdata": In(WORD_BITS), "rresp": In(2), "rvalid": In(1), "rready": Out(1),
    })


def axi_stream(bits, *, last, keep=False):
    """Return the signature of an AXI4-Stream, as the sender sees it; ``last`` and ``keep`` give it these signals."""
    return wiring.Signature({
        "tdata": Out(bits), **({"tkeep": Out(bits // 8)} if keep else {}), **({"tlast": Out(1)} if last else {}),
        "tvalid": Out(1), "tready": In(1),
    })


class AxiLite(wiring.Component):
    """AXI4-Lite accesses, one at a time, a write before a read.

    Address and data of a write may come in any order. A write without all four strobes is answered ``SLVERR``, as
    is an access that is refused.

    Members
    -------
    bus : In(axi_lite)
    access : Out(access_port)
    """

    def __init__(self):
        super().__init__({"bus": In(axi_lite()), "access": Out(access_port())})

    def elaborate(self, platform):
        m = Module()
        bus, access = self.bus, self.access
        held = {}
        for name, parts in {"aw": ("addr",), "w": ("data", "strb"), "ar": ("addr",)}.items():
            held[name] = full = Signal(name=f"{name}_held")
            valid, ready = getattr(bus, f"{name}valid"), getattr(bus, f"{name}ready")
            m.d.comb += ready.eq(~full)
            with m.If(valid & ready):
                m.d.sync += full.eq(1)
                for part in parts:
                    held[name + part] = word = Signal.like(getattr(bus, name + part), name=f"held_{name}{part}")
                    m.d.sync += word.eq(getattr(bus, name + part))

        write, read, written, seen = Signal(), Signal(), Signal(), Signal()
        whole, partial = held["wstrb"].all(), Signal()
        m.d.comb += [
            write.eq(held["aw"] & held["w"] & ~written & ~bus.bvalid),
            read.eq(held["ar"] & ~seen & ~bus.rvalid & ~write),
            access.address.eq(Mux(write, held["awaddr"], held["araddr"])[(BYTES - 1).bit_length():]),
            access.write.eq(write & whole), access.read.eq(read), access.write_data.eq(held["wdata"]),
        ]
        m.d.sync += [written.eq(write), seen.eq(read), partial.eq(~whole)]
        with m.If(write):
            m.d.sync += [held["aw"].eq(0), held["w"].eq(0)]
        with m.If(read):
            m.d.sync += held["ar"].eq(0)
        with m.If(bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        with m.If(bus.rready):
            m.d.sync += bus.rvalid.eq(0)
        with m.If(written):
            m.d.sync += [bus.bvalid.eq(1), bus.bresp.eq(Mux(access.refused | partial, SLVERR, OKAY))]
        with m.If(seen):
            m.d.sync += [
                bus.rvalid.eq(1), bus.rdata.eq(access.data), bus.rresp.eq(Mux(access.refused, SLVERR, OKAY)),
            ]
        return m


class AxiTop(wiring.Component):
    """The registers as an AXI4-Lite slave, load stream, input values and results as AXI4-Streams.

    The input value after ``tlast``, and the one after INPUT_SIZE values, begins an image; so a transfer may hold
    several images, and a stream that has lost its place has it again with the next ``tlast``. A reset of the core
    lets the next value begin an image; one that is merely given up is dropped to its end.

    Parameters
    ----------
    params, values
        As of `BusSide`.
    core : component with `core_signature`, or None
        In place of a `CoreBox`.

    Members
    -------
    s_axi : In(axi_lite)
    s_axis_load : In(axi_stream)
        Words of a load stream.
    s_axis_input : In(axi_stream)
        Input values, signed, 16 bits each, as many as the core takes in a cycle, the first one lowest; ``tlast`` with
        the last one of an image. Of several values ``tkeep`` must say that all are there: a transfer that ends amid
        them was cut short, and they are dropped.
    m_axis_result : Out(axi_stream)
        Words of results, 32 bits; ``tlast`` with the last one of each.
    interrupt : Out(1)
        As of `BusSide`.
    m_axi_memory : Out(axi4)
        Only with ``params.outside``: to the memory, which begins where the register MEMORY says.
    """

    def __init__(self, params, values, core=None):
        self._params = params
        self._values = params.input_values
        self._side, self._core = BusSide(params, values, streams=True), core or CoreBox(params)
        self._memory = AxiMaster(params.outside_bits, WORD_BITS, base=None) if params.outside else None
        super().__init__({
            "s_axi": In(axi_lite()), "s_axis_load": In(axi_stream(WORD_BITS, last=False)),
            "s_axis_input": In(axi_stream(VALUE_BITS * params.input_values, last=True, keep=params.input_values > 1)),
            "m_axis_result": Out(axi_stream(WORD_BITS, last=True)), "interrupt": Out(1),
            **({"m_axi_memory": Out(axi4(WORD_BITS, WORD_BITS))} if params.outside else {}),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.lite = lite = AxiLite()
        m.submodules.side, m.submodules.core = side, core = self._side, self._core
        connect_core(m, self._params, side.core, core, self._memory and self._memory.bus)
        if self._memory:
            m.submodules.memory = memory = self._memory
            wiring.connect(m, memory.axi, wiring.flipped(self.m_axi_memory))
            m.d.comb += memory.base.eq(side.base)
        wiring.connect(m, lite.access, side.access)
        wiring.connect(m, wiring.flipped(self.s_axi), lite.bus)
        load, values, results = self.s_axis_load, self.s_axis_input, self.m_axis_result
        m.d.comb += [
            side.i_load.payload.eq(load.tdata),
            side.i_load.valid.eq(load.tvalid), load.tready.eq(side.i_load.ready),
            *(value.eq(values.tdata.word_select(n, VALUE_BITS).as_signed())
              for n, value in enumerate(payloads.input_values(side.i_input.payload))),
            side.i_input.valid.eq(values.tvalid if self._values == 1 else values.tvalid & values.tkeep.all()),
            values.tready.eq(side.i_input.ready),
            results.tdata.eq(side.o_result.payload.data), results.tlast.eq(side.o_result.payload.last),
            results.tvalid.eq(side.o_result.valid), side.o_result.ready.eq(results.tready),
            self.interrupt.eq(side.interrupt),
        ]
        whole = (self._values - 1).bit_length()  # an image is whole beats: their values need no bits
        place, last = Signal(WORD_BITS - whole), Signal(WORD_BITS - whole)
        m.d.comb += side.i_input.payload.first.eq(place == 0)
        m.d.sync += last.eq((side.input_size - 1)[whole:])
        with m.If(values.tvalid & values.tready):
            m.d.sync += place.eq(Mux(values.tlast | (place == last), 0, place + 1))
        with m.If(side.core.reset):
            m.d.sync += place.eq(0)
        return m
