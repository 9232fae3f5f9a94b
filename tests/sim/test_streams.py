"""`tests.kit.streams`: the bench sees what breaks the stream rules, and gives up in time."""

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from tests.kit.streams import Bench, play


class Queue(wiring.Component):
    """Two words of eight bits."""

    i: In(stream.Signature(8))
    o: Out(stream.Signature(8))

    def elaborate(self, platform):
        m = Module()
        m.submodules.fifo = queue = fifo.SyncFIFOBuffered(width=8, depth=2)
        wiring.connect(m, wiring.flipped(self.i), queue.w_stream)
        wiring.connect(m, queue.r_stream, wiring.flipped(self.o))
        return m


class Restless(wiring.Component):
    """Offers a word at every cycle, or at every other, whether or not the last one was taken."""

    def __init__(self, *, changes, withdraws):
        self._changes, self._withdraws = changes, withdraws
        super().__init__({"o": Out(stream.Signature(8)), "unused": In(1)})

    def elaborate(self, platform):
        m = Module()
        count = Signal(8)
        m.d.sync += count.eq(count + 1)
        m.d.comb += [
            self.o.valid.eq(~count[0] if self._withdraws else 1), self.o.payload.eq(count * self._changes),
        ]
        return m


@pytest.mark.parametrize("changes, withdraws, text", [
    (1, 0, "a waiting word changed from"), (0, 1, "a word was withdrawn before it was taken: 0"),
])
def test_a_stream_that_does_not_hold_still_is_caught(changes, withdraws, text):
    dut = Restless(changes=changes, withdraws=withdraws)
    bench = Bench(dut, seed=4, limit=200)
    bench.sink(dut.o, 100, stall=0.7)
    with pytest.raises(AssertionError, match=text) as caught:
        bench.run()
    assert any(note.startswith("seed 4, cycle ") for note in caught.value.__notes__)


def test_a_run_without_end_is_given_up():
    queue = Queue()
    bench = Bench(queue, seed=5, limit=100)
    bench.sink(queue.o, 1)
    with pytest.raises(TimeoutError, match="still running after 100 cycles") as caught:
        bench.run()
    assert caught.value.__notes__ == ["seed 5, cycle 101"]


def test_pauses_are_those_of_the_seed():
    def cycles(seed, stall):
        queue = Queue()
        bench = Bench(queue, seed=seed)
        bench.source(queue.i, range(40), stall=stall)
        taken = bench.sink(queue.o, 40, stall=stall)
        bench.run()
        return [word.cycle for word in taken]

    assert cycles(1, 0.5) == cycles(1, 0.5) != cycles(2, 0.5)
    assert cycles(1, 0)[-1] < cycles(1, 0.3)[-1] < cycles(1, 0.8)[-1]


def test_rows_are_played_one_a_cycle():
    seen = play(Restless(changes=1, withdraws=0), [{"o.ready": 1}, {}, {"unused": 1}], "o.payload", "unused")
    assert seen == [(0, 0), (1, 0), (2, 1)]
