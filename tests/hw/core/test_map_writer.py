"""`hw.core.map_writer`: every word of every group once, in the group's order, none waiting for long."""

import pytest

from hw.core.map_writer import MapWriter
from tests.kit.proof import assume_stable, prove
from tests.kit.streams import Bench


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("stall", [0, 0.7])
def test_words_of_all_groups_are_written_in_turn(sizes, groups, stall):
    dut = MapWriter(sizes(groups=groups, map_words=256))
    bench = Bench(dut, seed=groups, limit=2000)
    sent = [[{"address": 64 * g + n, "word": [n % 16, g, 1, 15]} for n in range(20)] for g in range(groups)]
    for g, words in enumerate(sent):
        bench.source(getattr(dut, f"i_{g}"), words, stall=stall)
    written = bench.collect(dut.o.enable, dut.o)

    async def end(ctx):
        while len(written) < 20 * groups:
            await ctx.tick()
        await ctx.tick().repeat(2)
        assert not ctx.get(dut.busy)

    bench.add(end)
    bench.run()
    words = [{"address": w.payload["address"], "word": w.payload["word"]} for w in written]
    for g in range(groups):
        assert [word for word in words if word["address"] // 64 == g] == sent[g]
    assert len(words) == 20 * groups
    if not stall:
        assert bench.cycle <= 20 * groups + 6, "a word a cycle"
        assert [word["address"] // 64 for word in words[:groups]] == list(range(groups)), "in turn"


def test_no_group_waits_longer_than_the_others_need(sizes):
    """Proved: an offered word is taken within as many cycles as there are groups."""
    from amaranth.hdl import Assert, Mux, Signal

    dut = MapWriter(sizes(groups=4, width=4, count_bits=1, map_words=2))

    def claims(m):
        for g in range(4):
            port, waited = getattr(dut, f"i_{g}"), Signal(range(8))
            assume_stable(m, port)
            m.d.sync += waited.eq(Mux(port.valid & ~port.ready, waited + 1, 0))
            m.d.comb += Assert(waited < 4)

    prove(dut, claims, steps=12, bounded=True)
