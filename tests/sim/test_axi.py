# amaranth: UnusedElaboratable=no
"""`sim.axi` and `sim.dram.AxiDram`: every word, at the rate that was asked for."""

import pytest

from sim.dram import AxiDram
from tests.hw.memory.traffic import check, random_bursts


@pytest.mark.parametrize("seed, share, stall", [(0, 1.0, 0.0), (1, 0.5, 0.3), (2, 0.8, 0.7)])
def test_every_word_is_right(seed, share, stall):
    dut = AxiDram(12, share)
    bursts = random_bursts(seed, 20, address_bits=12, width=32, longest=80, local=0.7, reads=0.5)
    check(dut, dut.bus, bursts, seed=seed, stall=stall)


def test_bursts_without_latency():
    dut = AxiDram(10, 1.0, latency=(0, 0))
    words = check(dut, dut.bus, [(0, 1, [7]), (0, 1, None), (5, 256, None), (1, 2, None)], seed=0, stall=0)
    assert len(words) == 259


@pytest.mark.parametrize("share", [0.4, 0.8])
def test_words_come_at_the_rate_of_the_memory(share):
    """Latencies apart, which are drawn for each burst."""
    dut = AxiDram(12, share)
    words = check(dut, dut.bus, [(256 * n, 256, None) for n in range(8)], seed=0, stall=0)
    cycles = words[-1].cycle - words[0].cycle
    assert 7 * 256 / share < cycles < 8 * (256 / share * 1.05 + 40)
