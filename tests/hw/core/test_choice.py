"""One of several words, by its number."""

from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator

from hw.core.choice import choice


def test_every_word_has_its_number():
    for size in range(1, 10):
        index, chosen, m = Signal(4), Signal(8), Module()
        m.d.comb += chosen.eq(choice([Signal(8, init=10 + place) for place in range(size)], index))
        sim = Simulator(m)

        async def bench(ctx, size=size, index=index, chosen=chosen):
            for number in range(size):
                ctx.set(index, number)
                assert ctx.get(chosen) == 10 + number

        sim.add_testbench(bench)
        sim.run()
