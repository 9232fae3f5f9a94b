"""An SDRAM behind its controller, compiled for C++: `hw.memory.sdram` before the model of the part.

The part is up when a harness has made one, as it is on a board long before the first byte comes.
"""
# pyright: reportAttributeAccessIssue=false
# Ports are attributes that Amaranth makes from a component's signature, and clocks from a domain.

from functools import lru_cache
from pathlib import Path

from amaranth.back import verilog
from amaranth.hdl import ClockDomain, Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gen.plan.params import WORD_BITS
from hw.core.contents import ContentFiles, ram_verilog
from hw.memory.bus import MemoryBus
from hw.memory.sdram import SdramController
from hw.memory.sdram_part import SdramPart
from sim.sdram import RULES, SdramModel
from sim.verilate import compile_part

__all__ = ["Dram", "compiled_dram"]

TOP = "adafire_dram"
HARNESS = Path(__file__).with_name("dram.cpp")
HEADER = HARNESS.with_name("dram.hpp")
ROUNDS = 64  # refreshes at power-up, and what else the controller does until it takes requests, fit in so many tRFC


class Dram(wiring.Component):
    """The controller of a part, and the part.

    Members
    -------
    bus : In(MemoryBus)
    broken : Out
        A bit for each of `RULES`, for good.
    """

    def __init__(self, part: SdramPart, clock_hz: float):
        self._controller = SdramController(part, clock_hz, width=WORD_BITS)
        self._model = SdramModel(part, clock_hz)
        bus = self._controller.bus.signature
        super().__init__({"bus": In(MemoryBus(bus.address_bits, bus.width)), "broken": Out(len(RULES))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.controller, m.submodules.model = controller, model = self._controller, self._model
        wiring.connect(m, wiring.flipped(self.bus), controller.bus)
        wiring.connect(m, controller.pins, model.pins)
        m.d.comb += self.broken.eq(model.broken.as_value())
        return m


def _verilog(dram):
    """Return the Verilog of a `Dram` that is never reset, its ports named with one underscore."""
    m, clock = Module(), ClockDomain("sync", reset_less=True)
    m.domains.sync, m.submodules.dram = clock, dram
    ports = {"_".join(path): (Value.cast(port), None) for path, _, port in dram.signature.flatten(dram)}
    ports["clk"] = clock.clk, None
    return verilog.convert(m, name=TOP, ports=ports, platform=ContentFiles(), emit_src=False)


@lru_cache
def compiled_dram(part: SdramPart, clock_hz: float) -> tuple[int, list[Path]]:
    """Return (bits of an address, the objects to link) of a part behind its controller."""
    dram, timing = Dram(part, clock_hz), part.timing(clock_hz)
    text = _verilog(dram)
    ram = ram_verilog().replace("words [0:DEPTH-1]", "words [0:DEPTH-1] /*verilator public_flat_rw*/")
    bits, beats = dram.bus.signature.address_bits, WORD_BITS // part.width
    defines = [
        f"-DBEATS={beats}", f"-DWORDS={2**bits}", f"-DPOWER_UP_CYCLES={timing.power_up + ROUNDS * timing.rfc}",
    ]
    return bits, compile_part(TOP, [text, ram], HARNESS, defines, headers=[HEADER])
