"""`hw.core.map_writer`: every word of every group once, in the group's order, none waiting for long; what spills."""

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.core import payloads
from hw.core.map_writer import MapWriter
from hw.core.word_writer import WordWriter
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


@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("stall", [0, 0.7])
def test_words_that_spill_go_outside_and_those_copied_come_in_between(sizes, groups, stall, signed):
    """Passes take turns: the maps of every other one spill, whose addresses are larger than the memory of maps."""
    dut = MapWriter(sizes(groups=groups, map_words=64, spilled=200, outside=512, count_bits=6, map_bits=4,
                          signed=signed))
    seed = 10 * groups + signed
    rng, bench = np.random.default_rng(seed), Bench(dut, seed=seed, limit=3000)

    def draw(words, odd, bits=4):
        low = -signed << bits - 1
        return {"address": 2 * int(rng.integers(words // 2)) + odd,
                "word": rng.integers(low, low + (1 << bits), 4).tolist()}

    passes = [[[draw((64, 200)[n % 2], 1, 4 + n % 2) for _ in range(8)] for _ in range(groups)] for n in range(4)]
    copied = [draw(64, 0) for _ in range(25)]  # at even addresses, the others at odd ones
    inside, outside = (bench.collect(port.enable, port) for port in (dut.o, dut.outside))
    bench.source(dut.copied, copied, stall=stall)
    now = [-1]  # the pass that runs

    def send(group, pause):
        async def words_of_passes(ctx):
            port = getattr(dut, f"i_{group}")
            for number, words in enumerate(passes):
                while now[0] < number:
                    await ctx.tick()
                for word in words[group]:
                    for _ in range(pause()):
                        await ctx.tick()
                    ctx.set(port.payload, word)
                    ctx.set(port.valid, 1)
                    ready = 0
                    while not ready:
                        _, _, ready = await ctx.tick().sample(port.ready)
                    ctx.set(port.valid, 0)

        bench.add(words_of_passes)

    for group in range(groups):
        send(group, bench.pauses(stall))

    def plain(seen, odd):
        return [{name: word.payload[name] for name in ("address", "word")} for word in seen
                if word.payload["address"] % 2 == odd]

    async def drive(ctx):
        for number in range(4):
            ctx.set(dut.spills, number % 2)
            now[0] = number
            while len(plain(outside if number % 2 else inside, 1)) < 8 * groups * (number // 2 + 1):
                await ctx.tick()
        while len(plain(inside, 0)) < len(copied):
            await ctx.tick()
        await ctx.tick().repeat(2)
        assert not ctx.get(dut.busy)

    bench.add(drive)
    bench.run()
    assert plain(inside, 0) == copied, f"seed {seed}: what is copied, in its order"
    assert not plain(outside, 0), f"seed {seed}: what is copied stays inside"
    for spills, seen in ((0, inside), (1, outside)):
        wanted = [word for words in passes[spills::2] for row in words for word in row]
        wanted = [{**word, "word": [_narrow(lane, 4, signed) if spills else lane for lane in word["word"]]}
                  for word in wanted]
        got = plain(seen, 1)
        assert len(got) == len(wanted) and all(word in got for word in wanted), f"seed {seed}: spills {spills}"
        if groups == 1:
            assert got == wanted, f"seed {seed}: in their order"


def _narrow(count, bits, signed):
    count %= 1 << bits
    return count - (1 << bits) if signed and count >> bits - 1 else count


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


class Writers(wiring.Component):
    """The word writers of all groups before the one map writer; words from outside the chip are always there."""

    def __init__(self, params):
        self._params = p = params
        super().__init__({
            **{f"i_{g}": In(payloads.pooled_count(p)) for g in range(p.groups)}, "o": Out(payloads.map_write(p)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.map_writer = writer = MapWriter(self._params)
        m.d.comb += [self.o.eq(writer.o), writer.copied.valid.eq(1), writer.copied.p.address.eq(0)]
        for g in range(self._params.groups):
            m.submodules[f"group_{g}"] = group = WordWriter(self._params)
            m.d.comb += [group.layer.stores.eq(1), group.i_0.eq(getattr(self, f"i_{g}"))]
            wiring.connect(m, group.write, getattr(writer, f"i_{g}"))
        return m


@pytest.mark.parametrize("groups, apart, lost", [(2, 2, False), (4, 4, False), (4, 3, True)])
@pytest.mark.parametrize("seed", range(3))
def test_words_of_groups_that_drift_apart_are_all_written(sizes, groups, apart, lost, seed):
    """As close as `gen.plan.program_words.spacing` lets them begin, of one to ``apart`` beats; any closer is too close.

    The groups begin at different times, and rest at times.
    """
    dut = Writers(sizes(groups=groups, map_words=256, spilled=256, outside=512))
    rng, bench = np.random.default_rng(seed), Bench(dut, seed=seed, limit=2000)
    sent = [[] for _ in range(groups)]
    written = bench.collect(dut.o.enable, dut.o)

    def send(group):
        port, late = getattr(dut, f"i_{group}"), int(rng.integers(1, 20))

        async def words(ctx):
            await ctx.tick().repeat(late)
            for number in range(60):
                counts = rng.integers(1, 16, rng.integers(1, apart + 1)).tolist()
                sent[group].append({"address": 64 * group + 1 + number, "word": counts + [0] * (4 - len(counts))})
                for lane, count in enumerate(counts):
                    ctx.set(port, {"valid": 1, "count": count, "beat": lane, "ends": lane == len(counts) - 1,
                                   "address": 64 * group + 1 + number})
                    await ctx.tick()
                ctx.set(port.valid, 0)
                rest = apart - len(counts) + int(rng.integers(6) if rng.random() < 0.1 else 0)
                if rest:
                    await ctx.tick().repeat(rest)
            await ctx.tick().repeat(4 * groups)

        bench.add(words)

    for group in range(groups):
        send(group)
    bench.run()
    seen = [{name: word.payload[name] for name in ("address", "word")} for word in written if word.payload["address"]]
    per_group = [[word for word in seen if (word["address"] - 1) // 64 == group] for group in range(groups)]
    assert (per_group != sent) == lost, f"seed {seed}"
