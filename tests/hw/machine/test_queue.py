# amaranth: UnusedElaboratable=no
"""`hw.machine.queue` against a list, and proved."""

import numpy as np
import pytest
from amaranth.hdl import Assert, Assume, Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.machine.queue import Queue
from tests.kit.proof import Disproved, claim_stable, prove
from tests.kit.streams import Bench, play

PAIR = data.StructLayout({"low": 5, "high": data.ArrayLayout(unsigned(3), 2)})


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("depth", [2, 3, 16])
def test_words_come_out_in_order(depth, seed):
    rng = np.random.default_rng(seed)
    words = [{"low": int(a), "high": [int(b), int(c)]} for a, b, c in rng.integers(0, (32, 8, 8), (200, 3))]
    queue = Queue(PAIR, depth=depth)
    bench = Bench(queue, seed=seed, limit=3000)
    bench.source(queue.i, words, stall=(0.2, 0.5, 0.8)[seed])
    taken = bench.sink(queue.o, len(words), stall=(0.8, 0.5, 0.2)[seed])
    bench.run()
    assert [word.payload for word in taken] == words


def test_one_word_a_cycle():
    queue = Queue(8, depth=4)
    bench = Bench(queue)
    bench.source(queue.i, range(100), stall=0)
    taken = bench.sink(queue.o, 100, stall=0)
    bench.run()
    assert [word.payload for word in taken] == list(range(100))
    assert taken[-1].cycle - taken[0].cycle == 99


@pytest.mark.parametrize("depth", [2, 5, 16])
def test_it_holds_its_depth_and_says_how_full_it_is(depth):
    queue = Queue(8, depth=depth)
    assert queue.depth == depth
    filling = [{"i.valid": 1, "i.payload": n} for n in range(depth + 3)]
    seen = play(queue, filling, "i.ready", "level")
    assert sum(ready for ready, _ in seen) == depth
    assert seen[-1] == (0, depth)


def test_depth_of_one_is_refused():
    with pytest.raises(ValueError, match="Queue depth must be at least 2, not 1"):
        Queue(8, depth=1)


class Shifts(wiring.Component):
    """A queue with a planted fault: while full and not read, its words move on."""

    def __init__(self):
        super().__init__({"i": In(stream.Signature(4)), "o": Out(stream.Signature(4))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = Queue(4, depth=2)
        m.d.comb += [
            queue.i.payload.eq(self.i.payload), queue.i.valid.eq(self.i.valid),
            self.i.ready.eq(queue.i.ready), self.o.payload.eq(queue.o.payload),
            self.o.valid.eq(queue.o.valid), queue.o.ready.eq(self.o.ready | (queue.level == 2)),
        ]
        return m


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_the_output_is_proved_stable(depth):
    queue = Queue(3, depth=depth)
    prove(queue, lambda m: claim_stable(m, queue.o))


def test_a_planted_fault_is_found():
    queue = Shifts()
    with pytest.raises(Disproved, match="The claims about Shifts are not proved"):
        prove(queue, lambda m: claim_stable(m, queue.o))


@pytest.mark.parametrize("depth", [2, 3])
def test_order_and_level_are_proved(depth):
    """Words numbered on their way in come out in the order of their numbers, none lost, none twice."""
    queue = Queue(3, depth=depth)

    def claims(m):
        sent, taken = Signal(3), Signal(3)
        m.d.sync += [
            sent.eq(sent + (queue.i.valid & queue.i.ready)),
            taken.eq(taken + (queue.o.valid & queue.o.ready)),
        ]
        m.d.comb += [Assume(queue.i.payload == sent), Assert(queue.level == (sent - taken)[:3])]
        m.d.comb += Assert(queue.level <= depth)
        with m.If(queue.o.valid):
            m.d.comb += Assert(queue.o.payload == taken)

    prove(queue, claims, steps=16, bounded=True)
