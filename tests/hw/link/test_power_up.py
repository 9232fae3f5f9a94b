"""`hw.link.power_up`: a flash loads the core; what is not sound leaves it empty; the line may cut in at any time."""

from itertools import chain, repeat
from types import SimpleNamespace

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring

from hw.flash_file import flash_file, flash_header
from hw.link.endpoint import Endpoint
from hw.link.framing import DIGEST_CYCLES
from hw.link.power_up import PowerUp
from hw.regmap import FLAG, IDENTITY, POSITION, REPLY, Command, Fault, decode, encode, frames, register
from tests.kit.cable import ByteCable
from tests.kit.stand_in import MAX_PAYLOAD, NETWORK, RX_BYTES, Far, StandIn, sealed
from tests.kit.streams import Bench, ticks, until

ERASED = 0xFF
MANIFEST = {
    "build_id": "00112233445566778899aabbccddeeff", "network_id": NETWORK,
    "input": {"values": 6, "lowest": -100, "bytes": 1},
}
WORDS = sealed(np.random.default_rng(8).integers(0, 2**32, 20, dtype=np.uint32))


def stored(words=WORDS, **manifest):
    """Return what lies in the flash for a load stream."""
    return flash_file({**MANIFEST, **manifest}, np.array(words, "<u4").tobytes(), MAX_PAYLOAD)


FILE, HEADER = stored(), len(flash_header(MANIFEST))
ENDS = [place for place, byte in enumerate(FILE) if byte == FLAG]  # of its frames


class Board(Far):
    """Between a cable and a link whose core is a stand-in: who plays ``contents``, as fast as may be, erased behind."""

    def __init__(self, params, contents, seed=0, limit=20_000):
        m = Module()
        endpoint = Endpoint(params, {"RX_BYTES": RX_BYTES, "MAX_PAYLOAD": MAX_PAYLOAD})
        m.submodules.dut = self.dut = dut = PowerUp(flash_header(MANIFEST), MAX_PAYLOAD)
        m.submodules.endpoint = endpoint
        wiring.connect(m, dut.requests, endpoint.i)
        wiring.connect(m, endpoint.o, dut.replies)
        self.bench, self.taken = Bench(m, seed=seed, limit=limit), 0
        self.core = StandIn(self.bench, endpoint.core, seed)  # pyright: ignore[reportAttributeAccessIssue] - a port
        self.cable = ByteCable(self.bench, SimpleNamespace(i=dut.heard, o=dut.said), stall=0)
        self._contents = contents
        self.bench.add(self._store, background=True)

    async def _store(self, ctx):
        port = self.dut.stored
        for byte in chain(self._contents, repeat(ERASED)):
            await ticks(ctx, DIGEST_CYCLES)
            ctx.set(port.payload, byte)
            ctx.set(port.valid, 1)
            await until(ctx, port.ready)
            ctx.set(port.valid, 0)
            self.taken += 1

    async def played(self, ctx):
        """Wait until nothing more comes from the flash."""
        await until(ctx, self.dut.done)

    async def holds_nothing(self, ctx, fault):
        """No image is taken, for this reason; the host can load as if there were no flash."""
        assert await self.refused(ctx, Command.RUN, 9, POSITION.pack(0) + b"123456") == (fault, 0)
        await self.load(ctx)
        await self.infer(ctx, [1, 2, 3, 4, 5, 6], 9)


@pytest.mark.parametrize("seed", [0])
def test_a_sound_flash_loads_the_core_and_the_line_hears_nothing_of_it_seed(sizes, seed):
    board = Board(sizes(), FILE, seed)

    async def drive(ctx):
        await board.played(ctx)
        assert board.taken == len(FILE) and board.core.words == WORDS and board.core.resets
        await ticks(ctx, 300)
        assert board.cable.answers == []
        words = np.frombuffer(await board.ask(ctx, Command.IDENTIFY, 77), "<i4")
        assert len(words) == len(IDENTITY)
        assert [words[register(name)] for name in ("NETWORK", "LOADED", "INPUT_SIZE", "INPUT_LOW", "INPUT_BYTES")] == (
            np.array([NETWORK, WORDS[-1], 6, 2**32 - 100, 1], np.uint32).astype(np.int32).tolist())
        await board.infer(ctx, [1, 2, 3, 4, 5, 6], 9, low=-100)
        await board.load(ctx)  # of another network: the host's, as ever
        await board.infer(ctx, [1, 2, 3, 4, 5, 6], 9)

    board.run(drive)


def spoiled(place, bits=1):
    """Return the file with bits of a byte turned."""
    data = bytearray(FILE)
    data[place] ^= bits
    return bytes(data)


def test_an_erased_flash_leaves_the_core_to_the_host(sizes):
    board = Board(sizes(), b"")

    async def drive(ctx):
        await board.played(ctx)
        assert board.taken == 1
        await board.holds_nothing(ctx, Fault.NO_NETWORK)
        assert board.core.words == sealed((1, 2, 3)) and not board.core.unsound

    board.run(drive)


@pytest.mark.parametrize("place", range(HEADER))
def test_behind_a_header_with_one_wrong_bit_nothing_is_read(place):
    dut, contents = PowerUp(flash_header(MANIFEST), MAX_PAYLOAD), spoiled(place, 1 << place % 8)
    bench = Bench(dut, limit=1000)

    async def drive(ctx):
        ctx.set(dut.stored.valid, 1)
        for byte in contents[:place]:
            ctx.set(dut.stored.payload, byte)
            await ctx.tick()
            assert not ctx.get(dut.done)
        ctx.set(dut.stored.payload, contents[place])
        await ctx.tick()
        assert ctx.get(dut.done) and not ctx.get(dut.requests.valid)

    bench.add(drive)
    bench.run()


def test_a_header_of_another_build_is_another_one():
    assert stored(build_id="00112233445566778899aabbccddeefe")[:HEADER] == spoiled(len("ADAF"))[:HEADER]


SLOW = pytest.mark.slow
SAID, HALF = Fault.NO_NETWORK, Fault.DIGEST
BROKEN = {  # what lies there; how many words come from it; what an image is refused for then
    "cut before the frames": (FILE[:HEADER], 0, SAID), "cut in the first frame": (FILE[:HEADER + 33], 0, SAID),
    "cut between two frames": (FILE[:ENDS[0] + 1], 15, HALF), "no commit": (FILE[:ENDS[1] + 1], 23, SAID),
    "a byte of a word": (spoiled(HEADER + 30, 0x10), 0, SAID), "a byte of a position": (spoiled(ENDS[0] + 5), 15, HALF),
    "a flag lost": (spoiled(ENDS[0], 0x40), 0, SAID),
    "a wrong digest": (stored([*WORDS[:-1], WORDS[-1] ^ 1]), 23, HALF),
    "a word too many": (stored([*WORDS, 0]), 24, HALF), "a byte of the commit": (spoiled(len(FILE) - 8), 23, SAID),
    "an abort": (FILE[:ENDS[0] + 1] + encode(Command.ABORT, 0)[1:] + FILE[ENDS[0] + 1:], 15, HALF),
}
SELDOM = ("cut before the frames", "a byte of a position", "a word too many", "an abort")


@pytest.mark.parametrize("contents, words, fault", [
    pytest.param(*case, id=name, marks=[SLOW] * (name in SELDOM)) for name, case in BROKEN.items()])
def test_a_load_that_is_not_sound_ends_and_leaves_the_core_empty(sizes, contents, words, fault):
    board = Board(sizes(), contents)

    async def drive(ctx):
        await board.played(ctx)
        assert len(board.core.words) == words and board.taken < len(contents) + 260
        await ticks(ctx, 300)
        assert board.cable.answers == []
        await board.holds_nothing(ctx, fault)

    board.run(drive)


@pytest.mark.parametrize("seed", [0, 1, 2, *(pytest.param(seed, marks=SLOW) for seed in range(3, 12))])
def test_a_host_that_begins_amid_the_load_has_the_board_seed(sizes, seed):
    rng = np.random.default_rng(seed)
    board = Board(sizes(), FILE, seed)
    begin = int(rng.integers(DIGEST_CYCLES * len(FILE)))

    async def drive(ctx):
        await ticks(ctx, begin)
        await board.cable.send(ctx, bytes(rng.choice([*range(FLAG), *range(FLAG + 1, 256)], 5)))  # noise has no flag
        await board.cable.send(ctx, bytes([FLAG]), broken=True)
        assert not ctx.get(board.dut.done)
        await board.cable.send(ctx, encode(Command.RESET, 55)[:1])
        await ticks(ctx, 2 * DIGEST_CYCLES)
        assert ctx.get(board.dut.done)
        await board.cable.send(ctx, encode(Command.RESET, 55)[1:])
        while (answer := await board.cable.answer(ctx)) != (Command.RESET | REPLY, 55, b""):
            assert answer[1] == 0  # to what the flash said
        sound = board.core.words == WORDS or not board.core.words
        await board.holds_nothing(ctx, Fault.NO_NETWORK if sound else Fault.DIGEST)
        assert board.taken < len(FILE)

    board.run(drive)


def test_the_next_frame_waits_until_the_one_before_is_in_the_core(sizes):
    board = Board(sizes(), FILE)

    async def drive(ctx):
        while not board.core.words:
            await ctx.tick()
        board.core.hung = True
        await ticks(ctx, 3000)
        assert board.taken == ENDS[0] + 1
        board.core.hung = False
        await board.played(ctx)
        assert board.core.words == WORDS

    board.run(drive)


def test_the_file_is_a_header_and_what_a_host_would_send():
    data = np.array(WORDS, "<u4").tobytes()
    assert FILE.startswith(b"ADAF" + bytes.fromhex("ffeeddccbbaa99887766554433221100"))
    bodies = [decode(body) for body in frames(bytearray(FILE[HEADER:]))]
    assert bodies == [
        (Command.LOAD, 0, POSITION.pack(0) + data[:60]), (Command.LOAD, 0, POSITION.pack(15) + data[60:]),
        (Command.COMMIT, 0, bytes.fromhex("17000000 7eeeffc0 06000000 9cffffff 01000000")),
    ]
