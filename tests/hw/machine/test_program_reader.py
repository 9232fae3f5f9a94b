"""`hw.machine.program_reader` against the records of random networks' programs."""

import numpy as np
import pytest

from gen.layout.image import memory_image
from gen.layout.program import WORD_BITS, header_fields, layer_fields, synapse_fields, words_of
from gen.layout.schedule import build_schedule
from hw.machine import payloads
from hw.machine.program_reader import ProgramReader
from tests.kit.random_networks import random_network
from tests.kit.streams import Bench, plain


def blocks(schedule):
    """Return the header, and (layer block, synapse blocks) of every pass, cut out of the program's words."""
    p, words = schedule.params, list(memory_image(schedule)["program"])

    def take(layout, fields):
        taken, words[:] = words[: words_of(fields)], words[words_of(fields):]
        return plain(layout.from_bits(sum(word << WORD_BITS * n for n, word in enumerate(taken))))

    header = take(payloads.header(p), header_fields(p))
    synapse = payloads.synapse_blocks(p).elem_shape
    return header, [
        (take(payloads.layer_block(p), layer_fields(p)),
         [take(synapse, synapse_fields(p)) for _ in range(p.synapses)])
        for _ in schedule.passes
    ]


@pytest.mark.parametrize("neurons", [1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_records_come_in_turn_and_begin_anew_at_any_time(seed, neurons):
    schedule = build_schedule(random_network(seed, max_neurons=120, max_weights=700, max_size=5), 3, neurons)
    reader = ProgramReader(schedule.params, memory_image(schedule))
    header, passes = blocks(schedule)
    rng, bench = np.random.default_rng(seed), Bench(reader, seed=seed, limit=20_000)

    async def drive(ctx):
        for _ in range(6):
            ctx.set(reader.begin, 1)
            await ctx.tick()
            ctx.set(reader.begin, 0)
            for turn in range(int(rng.integers(0, 2 * len(passes) + 2))):
                while not ctx.get(reader.ready):
                    await ctx.tick()
                ctx.set(reader.advance, 1)
                await ctx.tick()
                ctx.set(reader.advance, 0)
                number = turn % len(passes)
                for _ in range(int(rng.integers(0, 50))):
                    await ctx.tick()
                    assert plain(ctx.get(reader.header)) == header
                    assert ctx.get(reader.running) == number
                    assert ctx.get(reader.last) == (number == len(passes) - 1)
                    assert (plain(ctx.get(reader.layer)), plain(ctx.get(reader.synapses))) == passes[number]
                ctx.set(reader.release, 1)
                await ctx.tick()
                ctx.set(reader.release, 0)
            for _ in range(int(rng.integers(0, 60))):
                await ctx.tick()

    bench.add(drive)
    bench.run()


def test_the_next_record_is_at_hand_when_a_pass_of_some_length_ends():
    schedule = build_schedule(random_network(0, max_neurons=120, max_weights=700, max_size=5), 3, 3)
    p = schedule.params
    reader = ProgramReader(p, memory_image(schedule))
    bench = Bench(reader, limit=500)
    record = words_of(layer_fields(p)) + p.synapses * words_of(synapse_fields(p))

    async def drive(ctx):
        ctx.set(reader.begin, 1)
        await ctx.tick()
        ctx.set(reader.begin, 0)
        await ctx.tick().repeat(words_of(header_fields(p)) + record + 4)
        for _ in range(4):
            assert ctx.get(reader.ready)
            ctx.set(reader.advance, 1)
            await ctx.tick()
            ctx.set(reader.advance, 0)
            await ctx.tick().repeat(record + 2)

    bench.add(drive)
    bench.run()
