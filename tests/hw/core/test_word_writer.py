"""`hw.core.word_writer`: words with zeros behind, taken late; counts that are events."""

import numpy as np
import pytest

from hw.core.word_writer import WordWriter
from tests.kit.streams import Bench, plain


@pytest.mark.parametrize("apart, late", [(1, 0), (2, 1), (4, 3), (6, 5)])
@pytest.mark.parametrize("width, neurons, seed", [(4, 1, 0), (4, 1, 1), (4, 2, 0), (4, 2, 1), (16, 8, 0)])
def test_words_taken_within_the_spacing(sizes, width, neurons, seed, apart, late):
    """The ends of two words lie ``apart`` cycles or their beats apart, and each waits up to ``late`` cycles."""
    rng, dut = np.random.default_rng([seed, apart]), WordWriter(sizes(width=width, neurons=neurons))
    bench, words, expected, counted = Bench(dut, seed=seed), [], [], [0]

    async def collect(ctx):
        ctx.set(dut.layer, {"stores": 1, "counted": 1})
        nonzero = 0
        for address in range(50):
            lanes = int(rng.integers(1, width + 1))
            counts = (rng.integers(0, 16, lanes) * rng.integers(0, 2, lanes)).tolist()
            nonzero += sum(count != 0 for count in counts)
            expected.append({"address": address, "word": counts + [0] * (width - lanes)})
            beats = -(-lanes // neurons)
            for _ in range(max(0, apart - beats)):
                await ctx.tick()
            for lane in range(beats * neurons):
                beat, number = divmod(lane, neurons)
                one = {"valid": 1, "beat": beat, "ends": beat == beats - 1, "address": address}
                one["count"] = counts[lane] if lane < lanes else 15  # means nothing
                ctx.set(getattr(dut, f"i_{number}"), one | ({"own": lane < lanes} if neurons > 1 else {}))
                if number == neurons - 1:
                    await ctx.tick()
            for number in range(neurons):
                ctx.set(getattr(dut, f"i_{number}").valid, 0)
        await ctx.tick()
        while not ctx.get(dut.idle):
            await ctx.tick()
        assert words == expected
        assert counted[0] == nonzero

    async def take(ctx):
        waited, patience = 0, 0
        while True:
            ctx.set(dut.write.ready, waited == patience)
            _, _, valid, word, adds = await ctx.tick().sample(dut.write.valid, dut.write.payload, dut.counted)
            counted[0] += adds
            if valid and waited == patience:
                words.append(plain(word))
                waited, patience = 0, int(rng.integers(late + 1))
            elif valid:
                waited += 1

    bench.add(take, background=True)
    bench.watch(dut.write)
    bench.add(collect)
    bench.run()


def test_a_layer_that_stores_nothing_writes_nothing(sizes):
    dut = WordWriter(sizes())
    bench = Bench(dut)

    async def collect(ctx):
        ctx.set(dut.i_0, {"valid": 1, "count": 3, "beat": 0, "ends": 1, "address": 5})
        for _ in range(4):
            _, _, valid, counted, idle = await ctx.tick().sample(dut.write.valid, dut.counted, dut.idle)
            assert (valid, counted, idle) == (0, 0, 1)

    bench.add(collect)
    bench.run()
