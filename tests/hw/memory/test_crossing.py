# amaranth: UnusedElaboratable=no
"""`hw.memory.crossing`: every word at any two clocks, streams that keep their rules, no cycle lost."""

import pytest
from amaranth.hdl import DomainRenamer, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hw.memory.bus import MemoryBus
from hw.memory.crossing import MEMORY_DOMAIN, BusCrossing
from sim.memory import BusModel
from tests.hw.memory.traffic import check, random_bursts


class Crossed(wiring.Component):
    """A memory of another clock behind a crossing."""

    def __init__(self, **settings):
        self.memory = BusModel(10, 32, **settings)
        super().__init__({"bus": In(MemoryBus(10, 32))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.crossing = crossing = BusCrossing(10, 32)
        m.submodules.memory = memory = DomainRenamer(MEMORY_DOMAIN)(self.memory)
        wiring.connect(m, wiring.flipped(self.bus), crossing.i)
        wiring.connect(m, crossing.o, memory.bus)
        return m


@pytest.mark.parametrize("seed, period, stall, settings", [
    (0, 1e-6, 0.0, {}), (1, 0.3e-6, 0.4, {"latency": (0, 30), "stall": 0.4}), (2, 1.7e-6, 0.0, {"latency": (5, 20)}),
    (3, 0.96e-6, 0.8, {"stall": 0.6}), (4, 2.9e-6, 0.3, {"stall": 0.2}), (5, 1.04e-6, 0.1, {"latency": (9, 9)}),
])
def test_every_word_is_right_at_any_two_clocks(seed, period, stall, settings):
    bursts = random_bursts(seed, 25, address_bits=10, width=32, longest=60, local=0.7, reads=0.5)
    dut = Crossed(seed=seed, **settings)
    check(dut, dut.bus, bursts, seed=seed, stall=stall, clocks={MEMORY_DOMAIN: period})


@pytest.mark.parametrize("period", [0.96e-6, 0.6e-6])
def test_a_word_comes_in_every_cycle(period):
    dut = Crossed()
    words = check(dut, dut.bus, [(0, 256, None), (256, 256, None), (512, 256, None)], seed=0, stall=0,
                  clocks={MEMORY_DOMAIN: period})
    assert words[-1].cycle - words[0].cycle < 3 * 256 + 20


def test_a_fault_comes_across():
    dut, seen = Crossed(depth=512), []
    check(dut, dut.bus, [(510, 4, None)], seed=0, stall=0, clocks={MEMORY_DOMAIN: 1.3e-6}, values=False,
          after=lambda ctx: seen.append(ctx.get(dut.bus.fault)))
    assert seen == [1]
