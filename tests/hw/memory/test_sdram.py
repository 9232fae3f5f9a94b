# amaranth: UnusedElaboratable=no
"""`hw.memory.sdram` before a part that keeps its times: every word, no rule broken, bursts without gaps."""

from dataclasses import replace

import pytest
from amaranth.hdl import Cat, Module, ResetInserter, Signal
from amaranth.lib import wiring

from hw.memory.sdram import SdramController
from hw.memory.sdram_part import COLORLIGHT_I5, ULX3S
from hw.memory.sdram_pins import Command
from hw.memory.sdram_words import QUEUED
from sim.sdram import RULES, SdramModel, connect_pins
from tests.hw.memory.traffic import check, random_bursts
from tests.kit.streams import Bench, plain

SMALL = {"row_bits": 4, "column_bits": 6, "power_up_us": 1, "refreshes": 16, "retention_ms": 0.05}
WIDE = {"row_bits": 4, "column_bits": 5, "power_up_us": 1, "refreshes": 16, "retention_ms": 0.06}
PARTS = {16: replace(ULX3S, **SMALL), 32: replace(COLORLIGHT_I5, **WIDE)}
FORGETFUL = replace(ULX3S, row_bits=4, column_bits=6, power_up_us=1, refreshes=4, retention_ms=0.018)


class Board(wiring.Component):
    """A controller and its part, with ``pin_cycles`` registers at the pins."""

    def __init__(self, part, clock_hz, pin_cycles=0, **settings):
        self.controller = SdramController(part, clock_hz, pin_cycles=pin_cycles, **settings)
        self.part, self._pin_cycles = SdramModel(part, clock_hz), pin_cycles
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        m.submodules.controller, m.submodules.part = self.controller, self.part
        connect_pins(m, self.controller.pins, self.part.pins, self._pin_cycles)
        return m


def run(part, clock_hz, bursts, *, width=None, pin_cycles=0, **settings):
    """Run bursts; return (words read as `Taken`, words that the part moved). No rule may be broken."""
    board, seen = Board(part, clock_hz, pin_cycles, width=width), {}

    def look(ctx):
        seen.update(plain(ctx.get(board.part.broken)), words=ctx.get(board.part.words))

    taken = check(board, board.controller.bus, bursts, after=look, **settings)
    assert [rule for rule in RULES if seen[rule]] == [], f"seed {settings['seed']}"
    return taken, seen["words"]


def bits(part, width):
    return part.address_bits - (width // part.width).bit_length() + 1


@pytest.mark.parametrize("seed, pins, width, clock_hz, stalls", [
    (0, 16, 16, 100e6, (0, 0, 0)), (1, 16, 16, 133e6, (0.5, 0.5, 0.5)), (2, 16, 32, 100e6, (0, 0.8, 0.2)),
    (3, 16, 64, 80e6, (0.8, 0, 0.9)), (4, 16, 128, 130e6, (0.9, 0.9, 0)), (5, 32, 32, 100e6, (0.1, 0.3, 0.95)),
    (6, 32, 64, 140e6, (0, 0, 0.5)), (7, 32, 128, 40e6, (0.3, 0.3, 0.3)), (8, 16, 16, 12e6, (0, 0, 0)),
    (9, 16, 16, 100e6, (0.98, 0, 0)),
])
def test_every_word_is_right_and_no_rule_is_broken(seed, pins, width, clock_hz, stalls):
    part = PARTS[pins]
    if clock_hz < 20e6:
        part = replace(part, retention_ms=0.4, ras_max_ns=1e6)
    bursts = random_bursts(seed, 15, address_bits=bits(part, width), width=width, longest=60)
    _, moved = run(part, clock_hz, bursts, width=width, seed=seed, stall=None, stalls=stalls)
    assert moved == sum(length for _, length, _ in bursts) * width // pins


@pytest.mark.parametrize("seed, width, pin_cycles", [(0, 16, 1), (1, 16, 2), (2, 32, 2), (3, 64, 4)])
def test_registers_at_the_pins_are_counted_in(seed, width, pin_cycles):
    bursts = random_bursts(seed, 12, address_bits=bits(PARTS[16], width), width=width, longest=40)
    run(PARTS[16], 100e6, bursts, width=width, pin_cycles=pin_cycles, seed=seed, stall=0.2)


def test_sequential_bursts_keep_the_pins_busy():
    """Of 16-bit words: nothing but a row closed and a row opened in every 64 words."""
    part = replace(ULX3S, row_bits=4, column_bits=6, power_up_us=1)
    words, _ = run(part, 100e6, [(192 * n, 192, None) for n in range(4)], seed=0, stall=0)
    assert words[-1].cycle - words[0].cycle + 1 <= 768 + 2 * 12


@pytest.mark.parametrize("width", [32, *(pytest.param(w, marks=pytest.mark.slow) for w in (64, 128))])
def test_wider_words_hide_the_rows_as_well(width):
    part = replace(ULX3S, row_bits=4, column_bits=6, power_up_us=1)
    beats = width // 16
    words, _ = run(part, 100e6, [(60 * n, 60, None) for n in range(4)], width=width, seed=0, stall=0)
    assert words[-1].cycle - words[0].cycle + 1 <= 240 * beats * 1.02


def test_writes_and_reads_in_turn_cost_the_turn_of_the_pins_only():
    part = replace(ULX3S, row_bits=4, column_bits=6, power_up_us=1)
    bursts = [(0, 32, list(range(32))), (0, 32, None)] * 8
    words, _ = run(part, 100e6, bursts, seed=0, stall=0)
    pairs = 7
    assert words[-1].cycle - words[31].cycle <= pairs * (64 + 6)


@pytest.mark.parametrize("width", [16, pytest.param(64, marks=pytest.mark.slow)])
def test_refreshes_come_while_a_taker_or_a_giver_waits(width):
    """For twice as long as a row keeps its word."""
    part = FORGETFUL
    wait = 2 * part.timing(100e6).retention
    board = Board(part, 100e6, width=width)
    bus, words = board.controller.bus, [n * 0x0101 for n in range(64)]
    bench, seen = Bench(board, limit=100_000), {}

    async def pause(ctx):
        for _ in range(wait):
            await ctx.tick()

    async def ask(ctx):
        for write in (1, 0):
            ctx.set(bus.request.payload, {"address": 40, "length": 63, "write": write})
            ctx.set(bus.request.valid, 1)
            ready = 0
            while not ready:
                _, _, ready = await ctx.tick().sample(bus.request.ready)
        ctx.set(bus.request.valid, 0)

    async def give(ctx):
        for n, word in enumerate(words):
            if n == 30:
                await pause(ctx)
            ctx.set(bus.write.payload, word)
            ctx.set(bus.write.valid, 1)
            ready = 0
            while not ready:
                _, _, ready = await ctx.tick().sample(bus.write.ready)
            ctx.set(bus.write.valid, 0)

    async def take(ctx):
        got = []
        while len(got) < len(words):
            if len(got) == 7:
                await pause(ctx)
            ctx.set(bus.read.ready, 1)
            valid = 0
            while not valid:
                _, _, valid, word = await ctx.tick().sample(bus.read.valid, bus.read.payload)
            got.append(word)
            ctx.set(bus.read.ready, 0)
        seen.update(got=got, broken=plain(ctx.get(board.part.broken)))

    for testbench in (ask, give, take):
        bench.add(testbench)
    bench.watch(bus.read)
    bench.run()
    assert seen["got"] == words and bench.cycle > 2 * wait
    assert [rule for rule in RULES if seen["broken"][rule]] == []


@pytest.mark.slow
def test_a_row_that_was_opened_again_is_not_closed_too_soon():
    """A burst's last word waits until refreshes have interrupted it, and goes some cycles after its row is open again;
    the next burst is in another row of the bank.
    """
    board, seen, rounds = Board(FORGETFUL, 133e6), {}, 7
    bus, pins = board.controller.bus, board.controller.pins
    bench, length = Bench(board, limit=60_000), QUEUED + 1
    bench.source(bus.request, [
        {"address": 256 * (n % 2), "length": length - 1, "write": 0} for n in range(rounds)
    ], stall=0)

    async def take(ctx):
        for late in range(rounds):
            last = Command.NOP
            while True:
                _, _, now = await ctx.tick().sample(Cat(pins.ras, pins.cas, pins.we))
                if last == Command.REFRESH and now == Command.ACTIVE:
                    break
                last = now or last
            for _ in range(late):
                await ctx.tick()
            ctx.set(bus.read.ready, 1)
            taken = 0
            while taken < length:
                _, _, valid = await ctx.tick().sample(bus.read.valid)
                taken += valid
            ctx.set(bus.read.ready, 0)
        seen.update(plain(ctx.get(board.part.broken)))

    bench.add(take)
    bench.run()
    assert [rule for rule in RULES if seen[rule]] == []


@pytest.mark.slow
@pytest.mark.parametrize("seed, clock_hz", [(0, 100e6), (1, 133e6)])
def test_refreshes_amid_short_bursts_in_many_rows(seed, clock_hz):
    """Some seven rounds of refreshes, each in another moment of opening and closing rows."""
    bursts = random_bursts(seed, 700, address_bits=bits(FORGETFUL, 16), width=16, longest=3, local=0.1, reads=0.5)
    run(FORGETFUL, clock_hz, bursts, seed=seed, stall=0)


def test_an_idle_memory_is_refreshed_and_keeps_its_words():
    part = FORGETFUL
    board, seen = Board(part, 100e6), {}
    waits = 3 * part.timing(100e6).retention

    async def idle(ctx):
        for _ in range(waits):
            await ctx.tick()

    check(board, board.controller.bus, [(3, 2, [7, 8]), (3, 2, None)], seed=0, stall=0, tasks=[idle],
          after=lambda ctx: seen.update(plain(ctx.get(board.part.broken))))
    assert [rule for rule in RULES if seen[rule]] == []


def test_a_reset_of_the_controller_leaves_the_words_where_they_are():
    """While a burst is read; the part is brought up again, as if it had just been switched on."""
    board, reset = Board(PARTS[16], 100e6), Signal()
    controller, words, seen = board.controller, [3 * n for n in range(90)], {}
    m, bus = Module(), controller.bus
    m.submodules.controller, m.submodules.part = ResetInserter(reset)(controller), board.part
    wiring.connect(m, controller.pins, board.part.pins)
    bench = Bench(m, limit=30_000)

    async def ask(ctx, write):
        ctx.set(bus.request.payload, {"address": 20, "length": len(words) - 1, "write": write})
        ctx.set(bus.request.valid, 1)
        ready = 0
        while not ready:
            _, _, ready = await ctx.tick().sample(bus.request.ready)
        ctx.set(bus.request.valid, 0)

    async def take(ctx, count):
        got = []
        ctx.set(bus.read.ready, 1)
        while len(got) < count:
            _, _, valid, word = await ctx.tick().sample(bus.read.valid, bus.read.payload)
            got += [word] * valid
        ctx.set(bus.read.ready, 0)
        return got

    async def play(ctx):
        await ask(ctx, 1)
        for word in words:
            ctx.set(bus.write.payload, word)
            ctx.set(bus.write.valid, 1)
            ready = 0
            while not ready:
                _, _, ready = await ctx.tick().sample(bus.write.ready)
        ctx.set(bus.write.valid, 0)
        for count in (17, 40, len(words)):
            await ask(ctx, 0)
            assert await take(ctx, count) == words[:count]
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
        seen.update(plain(ctx.get(board.part.broken)))

    bench.add(play)
    bench.run()
    assert [rule for rule in RULES if seen[rule]] == []


@pytest.mark.parametrize("settings, text", [
    ({"width": 48}, "is 1, 2, 4 or 8 times 16 bits wide, not 48"), ({"width": 256}, "not 256"),
    ({"width": 8}, "not 8"),
])
def test_a_width_that_cannot_be_is_refused(settings, text):
    with pytest.raises(ValueError, match=text):
        SdramController(PARTS[16], 100e6, **settings)


def test_requests_wait_until_the_part_is_up():
    part = replace(PARTS[16], power_up_us=4)
    words, _ = run(part, 100e6, [(0, 1, [5]), (0, 1, None)], seed=0, stall=0)
    assert words[0].cycle > 400 + 8 * part.timing(100e6).rfc
