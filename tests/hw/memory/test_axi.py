# amaranth: UnusedElaboratable=no
"""`hw.memory.axi`: every word, bursts inside their pages, reads and writes in order, errors that are seen."""

import pytest

from hw.memory.axi import OUTSTANDING, AxiMaster
from sim.toolchain import choose_simulator
from tests.hw.memory.axi_memory import AxiMemory, channel
from tests.hw.memory.cocotb_axi import simulate
from tests.hw.memory.traffic import check, random_bursts
from tests.kit.proof import claim_stable, prove


def run(dut, bursts, *, seed, stalls, memory_stall, errors=(), after=None):
    """Run bursts; return (words read as `Taken`, the `AxiMemory`)."""
    memories = []

    def around(bench):
        memories.append(AxiMemory(bench, dut.axi, stall=memory_stall, errors=errors))

    return check(dut, dut.bus, bursts, seed=seed, stall=None, stalls=stalls, around=around, after=after), memories[0]


@pytest.mark.parametrize("seed, width, stalls, memory_stall", [
    (0, 32, (0, 0, 0), 0), (1, 32, (0.5, 0.5, 0.5), 0.5), (2, 64, (0, 0.9, 0), 0.2), (3, 128, (0.2, 0, 0.9), 0.5),
    (4, 128, (0.9, 0, 0), 0.8), (5, 16, (0, 0, 0), 0.5),
])
def test_every_word_is_right_whatever_waits(seed, width, stalls, memory_stall):
    dut = AxiMaster(12, width, base=0x4000_0000)
    bursts = random_bursts(seed, 18, address_bits=12, width=width, longest=40, local=0.7, reads=0.5)
    _, memory = run(dut, bursts, seed=seed, stalls=stalls, memory_stall=memory_stall)
    assert sum(beats for _, _, beats, _ in memory.asked) == sum(length for _, length, _ in bursts)
    assert all(address >> 28 == 4 for _, address, _, _ in memory.asked)
    assert [open_ for *_, open_ in memory.asked] == [0] * len(memory.asked)


def test_a_burst_is_cut_where_4_kb_end():
    bursts = [(1000, 100, list(range(100))), (1023, 1, None), (1024, 256, None), (900, 256, None)]
    words, memory = run(AxiMaster(13, 32), bursts, seed=0, stalls=(0, 0, 0), memory_stall=0)
    assert [(way, address // 4, beats) for way, address, beats, _ in memory.asked] == [
        ("aw", 1000, 24), ("aw", 1024, 76), ("ar", 1023, 1), ("ar", 1024, 256), ("ar", 900, 124), ("ar", 1024, 132),
    ]
    assert len(words) == 513


@pytest.mark.parametrize("seed, width, wide", [(0, 32, 128), (1, 32, 64), (2, 16, 128)])
def test_words_keep_to_their_lanes_on_a_wider_bus(seed, width, wide):
    """Each beat is a word; nothing else of the memory changes."""
    dut, memories = AxiMaster(12, width, bus_bits=32, axi_width=wide), []
    bursts = random_bursts(seed, 24, address_bits=12, width=width, longest=40, local=0.7, reads=0.5)
    check(dut, dut.bus, bursts, seed=seed, stall=0.3,
          around=lambda bench: memories.append(AxiMemory(bench, dut.axi, stall=0.3, word_bytes=width // 8)))
    assert {address % (width // 8) for _, address, _, _ in memories[0].asked} == {0}


def test_a_memory_begins_where_it_is_told():
    """At a page of 4 KB, no multiple of its size; until then nothing is asked."""
    dut, base, asked = AxiMaster(12, 32, base=None), 0x1F_F000, []
    bursts = random_bursts(7, 18, address_bits=12, width=32, longest=80, local=0.7, reads=0.5)
    memories = []

    async def tell(ctx):
        for _ in range(50):
            *_, reads, writes = await ctx.tick().sample(dut.axi.arvalid, dut.axi.awvalid)
            asked.append(reads | writes)
        ctx.set(dut.base, base)

    check(dut, dut.bus, bursts, seed=7, stall=0.2, tasks=[tell],
          around=lambda bench: memories.append(AxiMemory(bench, dut.axi, stall=0.3)))
    assert asked == [0] * 50
    assert all(base <= address < base + 4 * 2**12 for _, address, _, _ in memories[0].asked)


def test_bursts_run_back_to_back():
    words, _ = run(AxiMaster(12, 32), [(64 * n, 64, None) for n in range(8)], seed=0, stalls=(0, 0, 0), memory_stall=0)
    assert words[-1].cycle - words[0].cycle < 8 * 64 * 2  # this memory sends a word every other cycle


@pytest.mark.parametrize("errors, fault", [((), 0), ([("aw", 1)], 1), ([("ar", 2)], 1)])
def test_an_error_is_a_fault_and_nothing_stops(errors, fault):
    bursts = [(8 * n, 8, [n] * 8) for n in range(3)] + [(8 * n, 8, None) for n in range(3)]
    dut, seen = AxiMaster(12, 32), []
    run(dut, bursts, seed=0, stalls=(0, 0, 0), memory_stall=0.3, errors=errors,
        after=lambda ctx: seen.append(ctx.get(dut.bus.fault)))
    assert seen == [fault]


def test_several_bursts_are_on_their_way():
    dut, most = AxiMaster(12, 32), []

    async def watch(ctx):
        open_ = 0
        while len(most) < 400:
            axi = dut.axi
            _, _, asked, ended = await ctx.tick().sample(
                axi.arvalid & axi.arready, axi.rvalid & axi.rready & axi.rlast)
            open_ += asked - ended
            most.append(open_)

    memories = []
    check(dut, dut.bus, [(n, 20, None) for n in range(12)], seed=0, stall=0, tasks=[watch],
          around=lambda bench: memories.append(AxiMemory(bench, dut.axi, stall=0)))
    assert max(most) == OUTSTANDING


@pytest.mark.parametrize("settings", [
    {"address_bits": 9, "width": 32}, {"address_bits": 12, "width": 32, "base": 0x1000},
    {"address_bits": 12, "width": 32, "base": 1 << 32}, {"address_bits": 31, "width": 32},
])
def test_a_place_that_cannot_be_is_refused(settings):
    with pytest.raises(ValueError, match="ask for a multiple of its size below 2\\^32"):
        AxiMaster(**settings)


def test_what_is_offered_stays_is_proved():
    dut = AxiMaster(11, 16)

    def claims(m):
        claim_stable(m, channel(dut.axi, "aw", "addr", "len"))
        claim_stable(m, channel(dut.axi, "ar", "addr", "len"))

    prove(dut, claims)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_the_verilog_and_a_memory_that_is_not_ours_agree(seed, tmp_path):
    choose_simulator("icarus")
    code, log = simulate(tmp_path, seed)
    assert code == 0, log[-3000:]
