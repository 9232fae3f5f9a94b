# amaranth: UnusedElaboratable=no
"""`hw.memory.bus` and the model that answers it: order, every word, gaps from a seed, faults."""

import pytest
from amaranth.back import verilog

from hw.core.contents import ContentFiles
from hw.memory.bus import MemoryBus
from sim.memory import BusModel
from tests.hw.memory.traffic import check, random_bursts


@pytest.mark.parametrize("seed, width, latency, stall, taker", [
    (0, 16, (0, 0), 0.0, 0.0), (1, 32, (3, 3), 0.0, 0.5), (2, 64, (0, 40), 0.5, 0.0), (3, 128, (5, 200), 0.3, 0.3),
    (4, 16, (0, 9), 0.9, 0.9),
])
def test_bursts_are_done_in_order_whatever_waits(seed, width, latency, stall, taker):
    dut = BusModel(9, width, latency=latency, stall=stall, seed=seed)
    bursts = random_bursts(seed, 24, address_bits=9, width=width, longest=50)
    check(dut, dut.bus, bursts, seed=seed, stall=taker)


def cycles(**settings):
    dut, bursts = BusModel(9, 16, **settings), random_bursts(7, 12, address_bits=9, width=16, longest=50)
    return [word.cycle for word in check(dut, dut.bus, bursts, seed=7, stall=0)]


def test_the_cycles_are_those_of_the_seed():
    slow = {"latency": (4, 30), "stall": 0.4}
    assert cycles(seed=1, **slow) == cycles(seed=1, **slow) != cycles(seed=2, **slow)


def test_latency_and_gaps_cost_what_they_say():
    bursts = [(0, 100, None)]
    times = {}
    for name, settings in {"none": {}, "late": {"latency": (20, 20)}, "gaps": {"stall": 0.5}}.items():
        dut = BusModel(9, 16, **settings)
        times[name] = [word.cycle for word in check(dut, dut.bus, bursts, seed=0, stall=0)]
    assert times["none"] == list(range(times["none"][0], times["none"][0] + 100))
    assert times["late"] == [cycle + 20 for cycle in times["none"]]
    assert 170 < times["gaps"][-1] - times["gaps"][0] < 230


def test_a_memory_has_contents_and_bits_that_flip():
    dut = BusModel(6, 16, depth=40, init=[5, 6, 7])
    words = check(dut, dut.bus, [(0, 4, None)], seed=0, stall=0, contents={0: 5, 1: 6, 2: 7},
                  before=lambda ctx: ctx.set(dut.flip, 0x8000), flip=0x8000)
    assert [word.payload for word in words] == [0x8005, 0x8006, 0x8007, 0x8000]


@pytest.mark.parametrize("bursts, fault", [
    ([(36, 4, None)], 0), ([(36, 5, None)], 1), ([(40, 1, [3])], 1), ([(39, 1, [3])], 0),
])
def test_a_burst_that_leaves_the_memory_is_a_fault(bursts, fault):
    dut = BusModel(6, 16, depth=40)
    seen = []
    check(dut, dut.bus, bursts, seed=0, stall=0, values=False, after=lambda ctx: seen.append(ctx.get(dut.bus.fault)))
    assert seen == [fault]


def test_a_memory_that_fails_says_so_for_good():
    dut, seen = BusModel(6, 16), []

    async def blink(ctx):
        ctx.set(dut.fail, 1)
        await ctx.tick()
        ctx.set(dut.fail, 0)
        await ctx.tick()

    check(dut, dut.bus, [(3, 2, [8, 9]), (3, 2, None)], seed=0, stall=0, tasks=[blink],
          after=lambda ctx: seen.append(ctx.get(dut.bus.fault)))
    assert seen == [1]


@pytest.mark.parametrize("arguments, text", [
    ({"address_bits": 8, "width": 24}, "the width of a memory bus must be one of"),
    ({"address_bits": 0, "width": 16}, "needs at least one bit of address"),
])
def test_a_bus_says_what_it_cannot_be(arguments, text):
    with pytest.raises(ValueError, match=text):
        MemoryBus(**arguments)


@pytest.mark.parametrize("settings, text", [
    ({"depth": 65}, "65 words does not fit 6 bits"), ({"latency": (3, 2)}, "0 <= least <= most"),
    ({"stall": 1}, "less than 1"),
])
def test_a_model_says_what_it_cannot_be(settings, text):
    with pytest.raises(ValueError, match=text):
        BusModel(6, 16, **settings)


def test_the_model_is_verilog_too():
    files = ContentFiles()
    text = verilog.convert(BusModel(6, 16, init=[1, 2]), name="memory", platform=files, emit_src=False)
    assert "adafire_ram" in text and files.texts["memory.hex"].startswith("0001\n0002\n0000\n")
