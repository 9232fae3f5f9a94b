"""`hw.link.endpoint` with a stand-in for the core: counters, urgent commands, a core that hangs, damage, noise."""

import numpy as np
import pytest

from hw.regmap import COMMIT, ERROR_REPLY, ESCAPE, FLAG, POSITION, REPLY, Command, Fault, encode
from tests.kit.streams import ticks
from tests.kit.stand_in import MAX_PAYLOAD, NETWORK, RX_BYTES, Far, sealed


def test_counters(sizes):
    far = Far(sizes(), limit=60_000)

    async def drive(ctx):
        await far.load(ctx)
        for sequence in range(3):
            await far.infer(ctx, [sequence] * 6, sequence)
        before = await far.count(ctx)
        assert before["BUSY"] >= 3 * 6 and before["BUSY"] < far.bench.cycle
        assert [before[name] for name in ("RESULTS", "FRAMES", "DAMAGED", "REFUSED", "OVERRUNS", "UART_ERRORS")] \
            == [3, 6, 0, 0, 0, 0]
        await far.refused(ctx, Command.COMMIT)
        await far.refused(ctx, Command.ABORT, 0, b"1")
        await far.refused(ctx, Command.LOAD, 0, bytes(MAX_PAYLOAD + 4))
        await far.cable.send(ctx, bytes([FLAG, 1, 2, FLAG]))
        assert far.error(await far.cable.answer(ctx), 0, 0) == (Fault.DAMAGED, 0)
        await far.cable.send(ctx, b"abc", broken=True)
        await far.cable.send(ctx, bytes([FLAG]))
        assert far.error(await far.cable.answer(ctx), 0, 0) == (Fault.DAMAGED, 0)
        after = await far.count(ctx)
        grown = {name: after[name] - before[name] for name in after}
        assert grown == {"RESULTS": 0, "FRAMES": 2, "DAMAGED": 3, "REFUSED": 2, "OVERRUNS": 0, "UART_ERRORS": 3,
                         "BUSY": 0}
        await far.ask(ctx, Command.RESET)
        assert await far.count(ctx) == dict.fromkeys(after, 0) | {"FRAMES": 1}

    far.run(drive)


@pytest.mark.parametrize("command", [Command.ABORT, Command.RESET])
@pytest.mark.parametrize("seed, beat", [(0, 1), (2, 2), pytest.param(1, 1, marks=pytest.mark.slow)])
def test_urgent_commands_at_any_moment(sizes, seed, beat, command):
    """In the middle of images, with more of them in the ring; what comes afterwards is as if nothing had been."""
    rng = np.random.default_rng([seed, 5])
    far = Far(sizes(image_tile=4, input_values=beat), seed=seed, limit=100_000)

    async def drive(ctx):
        await far.load(ctx)
        for turn in range(4):
            far.core.work = int(rng.choice([2, 100, 800]))
            for n in range(rng.integers(0, 5)):
                await far.cable.send(ctx, far.frame([turn] * 6, n))
            if rng.random() < 0.5:
                await far.cable.send(ctx, encode(Command.INPUT, 77, POSITION.pack(0) + bytes(3)))
            await ticks(ctx, int(rng.integers(0, 300)))
            await far.urgently(ctx, command, 200)
            await far.infer(ctx, rng.integers(0, 256, 6).tolist(), 100 + turn)

    far.run(drive)


def test_urgent_commands_do_not_wait_in_a_full_ring(sizes):
    """The core hangs: the ring fills, frames are lost, ABORT gets no answer, RESET does, and all is well."""
    far = Far(sizes(), limit=60_000)

    async def drive(ctx):
        await far.load(ctx)
        far.core.hung = True
        fitting = RX_BYTES // (len(encode(Command.RUN, 0, POSITION.pack(0) + bytes(6))) - 6)
        for n in range(fitting + 4):
            await far.cable.send(ctx, far.frame([n] * 6, n))
        assert far.error(await far.cable.answer(ctx), Command.RUN, fitting)[0] == Fault.OVERRUN
        seen = len(far.cable.answers)
        await far.cable.send(ctx, encode(Command.ABORT, 50))
        await ticks(ctx, 500)
        assert {answer[0] for answer in far.cable.answers[seen:]} <= {ERROR_REPLY}
        await far.urgently(ctx, Command.RESET, 51)
        await far.infer(ctx, [1, 2, 3, 4, 5, 6], 60)

    far.run(drive)
    assert far.core.images == [[1, 2, 3, 4, 5, 6]]


@pytest.mark.parametrize("hangs_in", ["load", "image"])
def test_reset_recovers_a_core_that_takes_nothing(sizes, hangs_in):
    far = Far(sizes())

    async def drive(ctx):
        await far.load(ctx)
        if hangs_in == "load":
            assert await far.ask(ctx, Command.LOAD, 3, POSITION.pack(0) + bytes(4)) == POSITION.pack(1)
            far.core.hung = True
            await far.cable.send(ctx, encode(Command.LOAD, 4, POSITION.pack(1) + bytes(8)))
        else:
            far.core.hung = True
            await far.cable.send(ctx, far.frame(bytes(6), 4))
        await ticks(ctx, 300)
        await far.ask(ctx, Command.RESET, 5)
        if hangs_in == "load":
            assert await far.refused(ctx, Command.LOAD, 6, POSITION.pack(1) + bytes(4)) == (Fault.SEQUENCE, 0)
            assert await far.refused(ctx, Command.RUN, 6, POSITION.pack(0) + bytes(6)) == (Fault.DIGEST, 0)
            await far.load(ctx)
        await far.infer(ctx, [9] * 6, 7)

    far.run(drive)


def test_an_abort_leaves_a_load_under_way(sizes):
    far = Far(sizes())

    async def drive(ctx):
        words = np.array(sealed((7,)), "<u4").tobytes()
        assert await far.ask(ctx, Command.LOAD, 1, POSITION.pack(0) + words[:8]) == POSITION.pack(2)
        await far.ask(ctx, Command.ABORT, 2)
        assert await far.ask(ctx, Command.LOAD, 3, POSITION.pack(2) + words[8:]) == POSITION.pack(4)
        assert await far.ask(ctx, Command.COMMIT, 4, COMMIT.pack(4, NETWORK, 6, 0, 1)) == b""
        await far.infer(ctx, [3] * 6, 5)

    far.run(drive)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_noise_and_damaged_frames_then_an_image(sizes, seed):
    """Whatever comes: no result but those of images sent whole, no hang, and a RESET makes all good."""
    rng = np.random.default_rng([seed, 6])
    far = Far(sizes(), seed=seed, stall=0, limit=100_000)

    async def drive(ctx):
        await far.load(ctx)
        for turn in range(2):
            await far.cable.send(ctx, rng.integers(0, 256, 200, dtype=np.uint8).tobytes())
            for n in range(8):
                frame = bytearray(far.frame([n] * 6, n) if n % 3 else encode(Command(n % 8 + 1), n, bytes(n)))
                at = int(rng.integers(0, len(frame)))
                match rng.integers(0, 4):
                    case 0:
                        frame[at] ^= 1 << int(rng.integers(0, 8))
                    case 1:
                        del frame[at:]
                    case 2:
                        frame *= 2
                await far.cable.send(ctx, frame)
            await far.cable.send(ctx, bytes([ESCAPE, FLAG]))
            await far.urgently(ctx, Command.RESET, 240 + turn)
            for answer in far.cable.answers[2:]:
                if answer[0] == Command.RESULT | REPLY and answer[1] < 12:
                    far.expect(answer, [answer[1]] * 6, answer[1])
            await far.load(ctx)
            await far.infer(ctx, rng.integers(0, 256, 6).tolist(), 100 + turn)

    far.run(drive)
