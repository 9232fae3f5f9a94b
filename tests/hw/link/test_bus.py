"""`hw.link.bus`: every register, the gates before load and input, whole results, reset; its streams proved."""

import re
import subprocess
from pathlib import Path

import pytest
from amaranth.hdl import Assume

from hw.link.bus import ADDRESS_BITS, QUEUE, RESET_CYCLES, BusSide
from hw.link.regmap_text import c_header, markdown_tables
from hw.regmap import IDENTITY, MAGIC, PIECE_WORDS, PROTOCOL, REGISTERS, WRITABLE, register
from tests.kit.proof import claim_stable, prove
from tests.kit.streams import Bench, plain, play

PAGE = Path(__file__).parents[3] / "docs" / "bus.md"
VALUES = {"BUILD_0": 0x1234, "NETWORK": 9, "INPUT_SIZE": 16, "INPUT_LOW": -128, "LANES": 3, "OUTPUTS": 5,
          "LOADED": 0xFEDC}
NETWORK, CONTROL, STATUS = register("NETWORK"), register("CONTROL"), register("STATUS")
LOAD, INPUT, RESULT = register("LOAD"), register("INPUT"), register("RESULT")
RESTS, TAKES_WORD, TAKES_VALUE, HAS_WORD, HAS_LAST, UNSOUND = (1 << bit for bit in range(6))


class Side:
    """A `BusSide` whose core is the test: idle, and taking and giving nothing unless told."""

    def __init__(self, sizes, values=VALUES, beat=1, **options):
        self.dut = BusSide(sizes(image_tile=4, input_values=beat), values, **options)
        self.bench = Bench(self.dut)
        self.ctx = None

    def run(self, testbench):
        async def with_an_idle_core(ctx):
            self.ctx = ctx
            ctx.set(self.dut.core.idle, 1)
            await testbench(ctx)

        self.bench.add(with_an_idle_core)
        self.bench.run()

    async def access(self, address, data=None):
        """Read, or write ``data``; return what was read, or whether the write was taken, None if refused."""
        ctx, port = self.ctx, self.dut.access
        strobe = port.read if data is None else port.write
        ctx.set(port.address, address)
        ctx.set(port.write_data, data or 0)
        ctx.set(strobe, 1)
        await ctx.tick()
        ctx.set(strobe, 0)
        seen, refused = ctx.get(port.data), ctx.get(port.refused)
        await ctx.tick()
        return None if refused else seen if data is None else True

    async def take(self, stream):
        """Take the word that the core's ``stream`` offers; None if it offers none."""
        ctx, word = self.ctx, None
        if ctx.get(stream.valid):
            word = plain(ctx.get(stream.payload))
            ctx.set(stream.ready, 1)
        await ctx.tick()
        ctx.set(stream.ready, 0)
        return word

    async def give(self, words):
        """Let the core give a result of ``words``; return how many were taken."""
        ctx, stream = self.ctx, self.dut.core.o
        for n, word in enumerate(words):
            if not ctx.get(stream.ready):
                return n
            ctx.set(stream.payload, {"data": word, "last": n == len(words) - 1})
            ctx.set(stream.valid, 1)
            await ctx.tick()
            ctx.set(stream.valid, 0)
        await ctx.tick()
        return len(words)


def test_every_address_reads_what_the_map_says(sizes):
    side = Side(sizes)
    expected = {register(entry.name): VALUES.get(entry.name, 0) & 0xFFFFFFFF for entry in IDENTITY}
    expected |= {0: MAGIC, 1: PROTOCOL, STATUS: RESTS | TAKES_VALUE, RESULT: None}

    async def read(ctx):
        for address in range(2**ADDRESS_BITS):
            assert await side.access(address) == expected.get(address, 0), f"address {address}"

    side.run(read)


def test_only_what_can_be_written_is_written(sizes):
    side = Side(sizes)
    writable = {register(entry.name) for entry in WRITABLE}

    async def write(ctx):
        for address in [*range(2 * len(REGISTERS)), 2**ADDRESS_BITS - 1]:
            before = await side.access(address)
            taken = await side.access(address, 0xFFFFFFFF)
            assert bool(taken) == (address in writable or address in (CONTROL, INPUT)), f"address {address}"
            if address in writable:
                assert await side.access(address) == (3 if address == register("INPUT_BYTES") else 0xFFFFFFFF)
            elif address not in (CONTROL, STATUS, INPUT):
                assert await side.access(address) == before

    side.run(write)


def test_words_are_taken_without_a_network_and_values_with_one(sizes):
    side = Side(sizes)
    load, i = side.dut.core.load, side.dut.core.i

    async def drive(ctx):
        assert await side.access(LOAD, 5) is None and not ctx.get(load.valid)
        assert [await side.access(INPUT, word) for word in (0x1FF00, 0x00FF, 3, 4, 5)] == [*[True] * QUEUE, None]
        assert await side.access(STATUS) == 0
        assert [await side.take(i) for _ in range(QUEUE + 1)] == [
            {"value": -256, "first": 1}, *({"value": n, "first": 0} for n in (255, 3, 4)), None,
        ]
        assert await side.access(STATUS) == RESTS | TAKES_VALUE
        await side.access(NETWORK, 0)
        assert await side.access(STATUS) == RESTS | TAKES_WORD
        assert await side.access(INPUT, 0x10001) is None and not ctx.get(i.valid)
        assert [await side.access(LOAD, word) for word in (0x80000001, 2, 3, 4, 5)] == [*[True] * QUEUE, None]
        assert await side.access(STATUS) == 0
        assert [await side.take(load) for _ in range(QUEUE + 1)] == [0x80000001, 2, 3, 4, None]
        await side.access(NETWORK, 8)
        assert await side.access(STATUS) == RESTS | TAKES_VALUE

    side.run(drive)


def test_values_are_collected_for_a_core_that_takes_several(sizes):
    side = Side(sizes, beat=4)
    i = side.dut.core.i

    async def drive(ctx):
        for n, value in enumerate([5, -6, 7, -8, 9, 10]):
            assert await side.access(INPUT, value & 0xFFFF | (n == 0) << 16)
        assert await side.take(i) == {"values": [5, -6, 7, -8], "first": 1} and not ctx.get(i.valid)
        assert await side.access(STATUS) == RESTS | TAKES_VALUE, "the core says itself that an image is under way"
        assert await side.access(INPUT, 0x10001)  # another image, which begins a word
        assert await side.access(STATUS) == TAKES_VALUE
        await side.access(CONTROL, 1)
        assert await side.access(STATUS) == RESTS | TAKES_VALUE, "given up"
        for value in (0x10001, 2, 3, 4):
            assert await side.access(INPUT, value)
        await ctx.tick().repeat(3)
        assert await side.take(i) == {"values": [1, 2, 3, 4], "first": 1}
        await side.access(INPUT, 0x10001)
        await side.access(CONTROL, 2)
        await ctx.tick().repeat(RESET_CYCLES)
        assert await side.access(STATUS) == RESTS | TAKES_VALUE and not ctx.get(i.valid)

    side.run(drive)


@pytest.mark.parametrize("words", [7, 11])
def test_a_result_is_queued_whole_and_read_once(sizes, words):
    side = Side(sizes)
    result = [(0x9E3779B9 * n) & 0xFFFFFFFF for n in range(1, words + 1)]

    async def drive(ctx):
        assert await side.access(RESULT) is None
        assert await side.give([word - 2**31 for word in result]) == words
        assert ctx.get(side.dut.interrupt)
        assert await side.access(STATUS) == TAKES_VALUE | HAS_WORD
        for n, word in enumerate(result):
            assert await side.access(register("RESULTS")) == 0
            assert bool(await side.access(STATUS) & HAS_LAST) == (n == words - 1)
            assert await side.access(RESULT) == word ^ 0x80000000
        assert await side.access(RESULT) is None
        assert await side.access(STATUS) == RESTS | TAKES_VALUE
        assert await side.access(register("RESULTS")) == 1 and not ctx.get(side.dut.interrupt)

    side.run(drive)


@pytest.mark.parametrize("words", [11, PIECE_WORDS, 2 * PIECE_WORDS + 3])
def test_the_interrupt_waits_for_the_end_of_a_result_or_a_full_queue(sizes, words):
    side = Side(sizes)

    async def drive(ctx):
        core = side.dut.core
        for n in range(min(words, PIECE_WORDS)):
            assert not ctx.get(side.dut.interrupt)
            ctx.set(core.o.payload, {"data": n, "last": n == words - 1})
            ctx.set(core.o.valid, 1)
            await ctx.tick()
        ctx.set(core.o.valid, 0)
        assert ctx.get(side.dut.interrupt) and ctx.get(core.o.ready) == (words < PIECE_WORDS)
        for n in range(PIECE_WORDS, words):  # a long result is read on while it comes
            assert await side.access(RESULT) == n - PIECE_WORDS
            assert not ctx.get(side.dut.interrupt)
            ctx.set(core.o.payload, {"data": n, "last": n == words - 1})
            ctx.set(core.o.valid, 1)
            await ctx.tick()
            ctx.set(core.o.valid, 0)
            await ctx.tick()
            assert ctx.get(side.dut.interrupt)

    side.run(drive)


def test_no_network_is_named_and_no_value_taken_while_the_load_is_not_sound(sizes):
    side = Side(sizes)
    core = side.dut.core

    async def drive(ctx):
        ctx.set(core.fault, 1)
        await ctx.tick()
        assert await side.access(STATUS) == RESTS | UNSOUND
        assert await side.access(INPUT, 1) is None and not ctx.get(core.i.valid)
        assert await side.access(NETWORK, 7) is None and await side.access(NETWORK) == VALUES["NETWORK"]
        assert await side.access(NETWORK, 0) and await side.access(NETWORK, 7) is None
        assert await side.access(STATUS) == RESTS | UNSOUND | TAKES_WORD
        ctx.set(core.fault, 0)
        for word in (5, 0x89ABCDEF):
            assert await side.access(LOAD, word)
            assert await side.access(register("LOADED")) == word
        assert await side.access(NETWORK, 7) is None, "words wait"
        assert [await side.take(core.load) for _ in range(2)] == [5, 0x89ABCDEF]
        assert await side.access(NETWORK, 7) and await side.access(NETWORK) == 7
        await side.access(CONTROL, 2)
        await ctx.tick().repeat(RESET_CYCLES)
        assert await side.access(register("LOADED")) == 0x89ABCDEF

    side.run(drive)


def test_control(sizes):
    side = Side(sizes)
    core, port = side.dut.core, side.dut.access

    async def drive(ctx):
        async def written(word, cycles):
            ctx.set(port.address, CONTROL)
            ctx.set(port.write_data, word)
            ctx.set(port.write, 1)
            await ctx.tick()
            ctx.set(port.write, 0)
            seen = []
            for _ in range(cycles):
                seen.append((ctx.get(core.abort), ctx.get(core.reset)))
                await ctx.tick()
            return seen

        assert await written(1, 2) == [(1, 0), (0, 0)]
        assert await written(0, 2) == [(0, 0)] * 2
        await side.access(INPUT, 1)
        await side.give(range(9))
        assert await written(2, RESET_CYCLES + 1) == [(0, 1)] * RESET_CYCLES + [(0, 0)]
        assert await side.access(STATUS) == RESTS | TAKES_VALUE, "the queues are empty"
        assert not ctx.get(side.dut.interrupt) and not ctx.get(core.i.valid) and not ctx.get(core.o.ready) == 0
        assert await side.access(NETWORK) == VALUES["NETWORK"]

    side.run(drive)


def test_counters_count_since_reset(sizes):
    side = Side(sizes)

    async def drive(ctx):
        ctx.set(side.dut.core.idle, 0)
        await ctx.tick().repeat(5)
        ctx.set(side.dut.core.idle, 1)
        await side.give(range(7))
        for _ in range(7):
            await side.access(RESULT)
        assert await side.access(register("BUSY")) == 5 and await side.access(register("RESULTS")) == 1
        await side.access(CONTROL, 2)
        assert await side.access(register("BUSY")) == 0 and await side.access(register("RESULTS")) == 0

    side.run(drive)


def test_a_word_a_cycle_goes_through(sizes):
    side = Side(sizes, {}, streams=True)
    side.bench.source(side.dut.i_load, range(50), stall=0)
    taken = side.bench.sink(side.dut.core.load, 50, stall=0)
    side.bench.run()
    assert [word.payload for word in taken] == list(range(50)) and taken[-1].cycle - taken[0].cycle == 49


def test_with_streams_the_data_registers_are_none(sizes):
    side = Side(sizes, streams=True)

    async def drive(ctx):
        await side.give(range(7))
        assert [await side.access(address, 1) for address in (LOAD, INPUT, RESULT)] == [None] * 3
        assert [await side.access(address) for address in (LOAD, INPUT, RESULT)] == [0] * 3
        assert ctx.get(side.dut.o_result.valid) and ctx.get(side.dut.o_result.payload.data) == 0

    side.run(drive)


def test_nothing_is_taken_from_the_streams_during_a_reset(sizes):
    dut = BusSide(sizes(), {}, streams=True)
    write = {"access.write": 1, "access.address": CONTROL, "access.write_data": 2, "i_load.valid": 1}
    seen = play(dut, [write, *[{"access.write": 0}] * (RESET_CYCLES + 2)], "i_load.ready", "core.reset")
    assert seen == [(1, 0)] + [(0, 1)] * RESET_CYCLES + [(1, 0)] * 2


@pytest.mark.parametrize("streams, beat", [(False, 1), (False, 2), (True, 1)])
def test_the_streams_to_the_core_are_proved_stable(sizes, streams, beat):
    side = BusSide(sizes(image_tile=4, input_values=beat), VALUES, streams=streams)
    outputs = [side.core.load, side.core.i, *([side.o_result] if streams else [])]

    def claims(m):
        m.d.comb += Assume(~side.core.reset)
        for stream in outputs:
            claim_stable(m, stream)

    prove(side, claims)


def test_the_page_has_the_registers_of_the_map():
    table, = re.findall(r"<!-- registers -->\n(.*)\n<!-- end of registers -->", PAGE.read_text(), re.DOTALL)
    assert table == markdown_tables()["registers"], "print it anew: python -m hw.link.regmap_text --markdown"


def test_the_c_on_the_page_compiles(tmp_path):
    program, = re.findall(r"```c\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "bus.c").write_text(program)
    (tmp_path / "adafire_registers.h").write_text(c_header())
    subprocess.run(["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-c", "bus.c"], cwd=tmp_path, check=True)
