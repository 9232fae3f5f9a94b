# amaranth: UnusedElaboratable=no
"""`hw.link.frame_ring` against two lists, what is committed and what is not; its output proved."""

import numpy as np
import pytest
from amaranth.hdl import Assert, Assume, Signal

from hw.link.frame_ring import FrameRing
from tests.kit.proof import claim_stable, prove
from tests.kit.streams import Bench, play


class Model:
    """Drives a ring with random frames and keeps what must come out."""

    def __init__(self, depth, seed):
        self.ring = FrameRing(depth)
        self.bench = Bench(self.ring, seed=seed, limit=20_000)
        self.rng = np.random.default_rng(seed)
        self.committed, self.frames, self.overruns = [], 0, 0
        self._depth = depth
        self.taken = self.bench.sink(self.ring.o, stall=0.7)

    async def drive(self, ctx):
        ring = self.ring
        for _ in range(40):
            frame, lost = self.rng.integers(0, 256, self.rng.integers(0, self._depth + 3)).tolist(), False
            for byte in frame:
                ctx.set(ring.i, byte)
                ctx.set(ring.write, 1)
                await ctx.tick()
                ctx.set(ring.write, 0)
                lost |= bool(ctx.get(ring.lost))
                for _ in range(self.rng.integers(0, 4)):
                    await ctx.tick()
            assert bool(ctx.get(ring.lost)) == lost, "it stays to the end of the frame"
            good = not lost and self.rng.random() < 0.7
            ctx.set(ring.commit, int(good))
            ctx.set(ring.rollback, int(not good))
            await ctx.tick()
            ctx.set(ring.commit, 0)
            ctx.set(ring.rollback, 0)
            assert not ctx.get(ring.lost)
            self.overruns += lost
            self.frames += good
            self.committed += frame if good else []
        while len(self.taken) < len(self.committed):
            await ctx.tick()

    def run(self):
        self.bench.add(self.drive)
        self.bench.run()


@pytest.mark.parametrize("depth, seed", [(8, 0), (8, 1), (32, 2), (64, 3)])
def test_what_is_committed_comes_out_and_nothing_else(depth, seed):
    model = Model(depth, seed)
    model.run()
    assert [word.payload for word in model.taken] == model.committed
    assert model.frames > 10 and model.overruns > 0


@pytest.mark.parametrize("word", range(5))
def test_a_flush_drops_what_was_committed_and_keeps_what_is_being_written(word):
    """One byte is committed, two are on their way; the flush comes at every stage of the first one's fetch."""
    rows = [{"i": 1, "write": 1}, {"write": 0, "commit": 1}]
    rows += [{"commit": 0, "i": 2, "write": 1}, {"i": 3}, {"write": 0}]
    rows[2:2] = [{"commit": 0}] * word
    rows[2 + word]["commit"] = 0
    rows += [{"flush": 1}, {"flush": 0}] + [{}] * 4
    rows += [{"commit": 1}, {"commit": 0}, *[{}] * 4, {"o.ready": 1}, *[{}] * 9]
    seen = play(FrameRing(8), rows, "o.valid", "o.ready", "o.payload")
    assert [payload for valid, ready, payload in seen if valid and ready] == [2, 3]


def test_it_holds_its_depth():
    rows = [{"i": n, "write": 1} for n in range(20)]
    seen = play(FrameRing(16), rows, "lost")
    assert [lost for lost, in seen] == [0] * 17 + [1] * 3


def test_a_byte_in_three_cycles():
    ring = FrameRing(64)
    rows = [{"i": n, "write": 1} for n in range(60)] + [{"write": 0, "commit": 1}, {"commit": 0, "o.ready": 1}]
    seen = play(ring, rows + [{}] * 181, "o.valid", "o.payload")
    assert [payload for valid, payload in seen if valid] == list(range(60))


def test_the_output_is_proved_stable():
    ring = FrameRing(4)

    def claims(m):
        m.d.comb += Assume(~ring.flush)
        claim_stable(m, ring.o)

    prove(ring, claims)


def test_order_is_proved():
    """Bytes numbered as they are kept come out in the order of their numbers: frames rolled back leave no gap."""
    ring = FrameRing(4)

    def claims(m):
        kept, good, taken = Signal(8), Signal(8), Signal(8)
        stored = ring.write & ~ring.lost
        m.d.comb += [
            Assume(ring.i == kept), Assume(~ring.flush), Assume(ring.commit + ring.rollback + ring.write <= 1),
            Assume(~(ring.commit & ring.lost)),
        ]
        with m.If(stored & (kept - taken != 5)):
            m.d.sync += kept.eq(kept + 1)
        with m.If(ring.commit):
            m.d.sync += good.eq(kept)
        with m.If(ring.rollback):
            m.d.sync += kept.eq(good)
        with m.If(ring.o.valid & ring.o.ready):
            m.d.sync += taken.eq(taken + 1)
        with m.If(ring.o.valid):
            m.d.comb += Assert((ring.o.payload == taken) & (taken != good))

    prove(ring, claims, steps=14, bounded=True)
