# amaranth: UnusedElaboratable=no
"""`hw.memory.cutter`: the same words in the same order, no piece over the end of a page."""

import numpy as np
import pytest
from amaranth.hdl import Assert, Assume, Signal

from hw.memory.cutter import Cutter
from tests.kit.proof import Disproved, claim_stable, prove
from tests.kit.streams import Bench


@pytest.mark.parametrize("seed, page_bits, stall", [(0, 4, 0.0), (1, 6, 0.5), (2, 8, 0.3), (3, 9, 0.8), (4, 1, 0.2)])
def test_pieces_are_the_burst_cut_at_pages(seed, page_bits, stall):
    rng, page = np.random.default_rng(seed), 1 << page_bits
    bursts = [(int(rng.integers(0, 3000)), int(rng.integers(1, 257)), int(rng.integers(2))) for _ in range(30)]
    wanted = []
    for address, length, write in bursts:
        end = address + length
        while address < end:
            stop = min(end, (address // page + 1) * page)
            wanted.append({"address": address, "length": stop - address - 1, "write": write})
            address = stop
    dut = Cutter(12, page_bits)
    bench = Bench(dut, seed=seed, limit=30_000)
    bench.source(dut.i, [{"address": a, "length": n - 1, "write": w} for a, n, w in bursts], stall=stall)
    pieces = bench.sink(dut.o, len(wanted), stall=stall)
    bench.run()
    assert [piece.payload for piece in pieces] == wanted


def test_a_request_leaves_two_cycles_later_and_one_follows_every_other_cycle():
    dut = Cutter(12, 8)
    bench = Bench(dut)
    bench.source(dut.i, [{"address": 256 * n, "length": 255, "write": 0} for n in range(4)], stall=0)
    pieces = bench.sink(dut.o, 4, stall=0)
    bench.run()
    assert [piece.cycle for piece in pieces] == [3, 5, 7, 9]


def claims_of(cutter, page_bits):
    """Claim of one burst at a time that its pieces follow each other, stay in a page and are all of it."""
    def claims(m):
        under_way, next_address, left = Signal(), Signal(9), Signal(9)
        asks, piece = cutter.i.payload, cutter.o.payload
        comes, leaves = cutter.i.valid & cutter.i.ready, cutter.o.valid & cutter.o.ready
        m.d.comb += Assume((asks.address + asks.length) < 2**9)
        with m.If(under_way):
            m.d.comb += Assume(~cutter.i.valid)
        with m.Else():
            m.d.comb += Assert(~cutter.o.valid)
        with m.If(comes):
            m.d.sync += [under_way.eq(1), next_address.eq(asks.address), left.eq(asks.length + 1)]
        with m.If(cutter.o.valid):
            last = piece.address + piece.length
            m.d.comb += [
                Assert(piece.address == next_address), Assert(piece.length < left),
                Assert(piece.address[page_bits:] == last[page_bits:9]),
            ]
        with m.If(leaves):
            m.d.sync += [next_address.eq(piece.address + piece.length + 1), left.eq(left - piece.length - 1)]
            with m.If(left == piece.length + 1):
                m.d.sync += under_way.eq(0)
        claim_stable(m, cutter.o)

    return claims


def test_pieces_proved():
    """Of a burst that is cut into three at most, and the beginning of the next one."""
    cutter = Cutter(9, 7)
    prove(cutter, claims_of(cutter, 7), steps=8, bounded=True)


def test_a_wrong_claim_is_refused():
    cutter = Cutter(9, 7)
    with pytest.raises(Disproved):
        prove(cutter, claims_of(cutter, 6), steps=6, bounded=True)
