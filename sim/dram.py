"""A board's memory behind its controller, compiled for C++: an SDRAM and `hw.memory.sdram`, or one on AXI.

The part is up when a harness has made one, as it is on a board long before the first byte comes.
"""
# pyright: reportAttributeAccessIssue=false
# Ports are attributes that Amaranth makes from a component's signature, and clocks from a domain.

from functools import lru_cache
from pathlib import Path

from amaranth.hdl import ClockDomain, Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gen.plan.params import WORD_BITS
from hw.core.contents import ContentFiles, ram_verilog
from hw.memory.axi import AxiMaster
from hw.memory.bus import MemoryBus
from hw.memory.sdram import SdramController
from hw.memory.sdram_part import SdramPart
from hw.memory.sdram_timing import pin_timing
from hw.verilog import component_verilog
from sim.axi import AxiModel
from sim.sdram import RULES, SdramModel, connect_pins
from sim.verilate import compile_part

__all__ = ["AxiDram", "Dram", "compiled_axi", "compiled_dram"]

TOP = "adafire_dram"
HARNESS = Path(__file__).with_name("dram.cpp")
HEADER = HARNESS.with_name("dram.hpp")
CELLS = "adafire_dram__DOT__dram__DOT__model__DOT__{}__DOT__words"  # as Verilator names the words of the memory
AXI_LATENCY = 12, 36  # cycles until the first word of a burst: of a controller, its port and refreshes, as a guess
ROUNDS = 64  # refreshes at power-up, and what else the controller does until it takes requests, fit in so many tRFC


class Dram(wiring.Component):
    """The controller of a part, the registers at the pins that it has on a board, and the part.

    Members
    -------
    bus : In(MemoryBus)
    broken : Out
        A bit for each of `RULES`, for good.
    """

    def __init__(self, part: SdramPart, clock_hz: float):
        self._pin_cycles = pin_timing(part, clock_hz).edges
        self._controller = SdramController(part, clock_hz, width=WORD_BITS, pin_cycles=self._pin_cycles)
        self._model = SdramModel(part, clock_hz)
        bus = self._controller.bus.signature
        super().__init__({"bus": In(MemoryBus(bus.address_bits, bus.width)), "broken": Out(len(RULES))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.controller, m.submodules.model = controller, model = self._controller, self._model
        wiring.connect(m, wiring.flipped(self.bus), controller.bus)
        connect_pins(m, controller.pins, model.pins, self._pin_cycles)
        m.d.comb += self.broken.eq(model.broken.as_value())
        return m


class AxiDram(wiring.Component):
    """`hw.memory.axi` before a memory of 2 ** ``address_bits`` words, which gives ``share`` of its words in time.

    ``latency``: least and most cycles until the first word of a burst.

    Members
    -------
    bus : In(MemoryBus)
    broken : Out
        As of `Dram`; always 0.
    """

    def __init__(self, address_bits: int, share: float, latency: tuple[int, int] = AXI_LATENCY):
        self._master = AxiMaster(address_bits, WORD_BITS)
        self._model = AxiModel(address_bits, WORD_BITS, latency=latency, stall=1 - share)
        super().__init__({"bus": In(MemoryBus(address_bits, WORD_BITS)), "broken": Out(len(RULES))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.master, m.submodules.model = master, model = self._master, self._model
        wiring.connect(m, wiring.flipped(self.bus), master.bus)
        wiring.connect(m, master.axi, model.axi)
        return m


def _verilog(dram):
    """Return the Verilog of a `Dram` or `AxiDram` that is never reset, its ports named with one underscore."""
    m, clock = Module(), ClockDomain("sync", reset_less=True)
    m.domains.sync, m.submodules.dram = clock, dram
    ports = {"_".join(path): (Value.cast(port), None) for path, _, port in dram.signature.flatten(dram)}
    ports["clk"] = clock.clk, None
    return component_verilog(m, TOP, ports=ports, platform=ContentFiles())


@lru_cache
def compiled_dram(part: SdramPart, clock_hz: float) -> tuple[int, list[Path]]:
    """Return (bits of an address, the objects to link) of a part behind its controller."""
    dram, timing = Dram(part, clock_hz), part.timing(clock_hz)
    return dram.bus.signature.address_bits, _compiled(
        dram, "cells", WORD_BITS // part.width, timing.power_up + ROUNDS * timing.rfc)


@lru_cache
def compiled_axi(address_bits: int, share: float) -> tuple[int, list[Path]]:
    """Return the same of an `AxiDram`."""
    return address_bits, _compiled(AxiDram(address_bits, share), "memory__DOT__words", 1, 1)


def _compiled(dram, cells, beats, power_up):
    """Return the objects of a memory whose words are the RAM ``cells``, so many of them to one of the bus."""
    ram = ram_verilog().replace("words [0:DEPTH-1]", "words [0:DEPTH-1] /*verilator public_flat_rw*/")
    defines = [
        f"-DBEATS={beats}", f"-DWORDS={2**dram.bus.signature.address_bits}", f"-DPOWER_UP_CYCLES={power_up}",
        f"-DCELLS={CELLS.format(cells)}",
    ]
    return compile_part(TOP, [_verilog(dram), ram], HARNESS, defines, headers=[HEADER])
