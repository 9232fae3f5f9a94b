"""`hw.link.endpoint` with a stand-in for the core: loads, images, pieces of them, what is refused and why."""

from struct import Struct

import numpy as np
import pytest

from hw.regmap import (
    COMMIT, ESCAPE, FLAG, IDENTITY, MAGIC, POSITION, PROTOCOL, REPLY, Command, Fault, encode, register,
)
from tests.kit.streams import ticks
from tests.kit.stand_in import MAX_PAYLOAD, NETWORK, RX_BYTES, Far, sealed


@pytest.mark.parametrize("seed, stall", [(0, 0), (1, 0.6)])
def test_identify(sizes, seed, stall):
    far = Far(sizes(), seed=seed, stall=stall)

    async def drive(ctx):
        for sequence in (FLAG, 255):
            words = Struct(f"<{len(IDENTITY)}I").unpack(await far.ask(ctx, Command.IDENTIFY, sequence))
            found = dict(zip((entry.name for entry in IDENTITY), words))
            assert found == dict.fromkeys(found, 0) | {
                "MAGIC": MAGIC, "VERSION": PROTOCOL, "BUILD_2": 0x7E7D7E7D, "RX_BYTES": RX_BYTES,
                "MAX_PAYLOAD": MAX_PAYLOAD,
            }

    far.run(drive)


@pytest.mark.parametrize("seed", [0])
def test_a_network_is_loaded_in_pieces(sizes, seed):
    rng = np.random.default_rng(seed)
    far = Far(sizes(), seed=seed)
    words = np.array(sealed(rng.integers(0, 2**32, 13, dtype=np.uint32)), np.uint32)

    async def drive(ctx):
        assert await far.refused(ctx, Command.RUN, 9, POSITION.pack(0) + b"123456") == (Fault.NO_NETWORK, 0)
        assert await far.refused(ctx, Command.INPUT, 9, POSITION.pack(0) + b"123456") == (Fault.NO_NETWORK, 0)
        assert await far.refused(ctx, Command.LOAD, 9, POSITION.pack(1) + bytes(4)) == (Fault.SEQUENCE, 0)
        assert await far.refused(ctx, Command.COMMIT, 9, COMMIT.pack(0, 5, 6, 0, 1)) == (Fault.SEQUENCE, 0)
        at = 0
        while at < len(words):
            piece = words[at : at + int(rng.integers(0, 8))] if at else words[:7]
            payload = POSITION.pack(at) + piece.astype("<u4").tobytes()
            for _ in range(1 + (at > 0 and len(piece) > 0)):  # the second one does nothing
                assert await far.ask(ctx, Command.LOAD, 7, payload) == POSITION.pack(at + len(piece))
            at += len(piece)
            assert await far.refused(ctx, Command.LOAD, 8, POSITION.pack(at + 1)) == (Fault.SEQUENCE, at)
            commit = COMMIT.pack(at + 1, 5, 6, 0, 1)
            assert await far.refused(ctx, Command.COMMIT, 8, commit) == (Fault.SEQUENCE, at)
            why = Fault.DIGEST if at < len(words) else Fault.NO_NETWORK
            assert await far.refused(ctx, Command.RUN, 8, POSITION.pack(at) + bytes(9)) == (why, 0)
            if at < len(words):
                commit = COMMIT.pack(at, 5, 6, 0, 1)
                assert await far.refused(ctx, Command.COMMIT, 8, commit) == (Fault.DIGEST, 0)
        assert far.core.words == words.tolist()
        assert await far.ask(ctx, Command.COMMIT, 3, COMMIT.pack(at, NETWORK, 6, -100, 1)) == b""
        found = Struct(f"<{len(IDENTITY)}i").unpack(await far.ask(ctx, Command.IDENTIFY, 4))
        assert found[6:10] == (NETWORK - 2**32, 6, -100, 1)
        assert found[register("LOADED")] & 0xFFFFFFFF == words[-1]
        assert await far.refused(ctx, Command.COMMIT, 5, COMMIT.pack(at, 5, 6, 0, 1)) == (Fault.SEQUENCE, 0)
        assert await far.refused(ctx, Command.LOAD, 5, POSITION.pack(at)) == (Fault.SEQUENCE, 0)
        await far.infer(ctx, range(6), 6, low=-100)

    far.run(drive)
    assert far.core.resets


def test_a_load_begins_anew_and_takes_the_network_away(sizes):
    far = Far(sizes())

    async def drive(ctx):
        await far.load(ctx)
        await far.infer(ctx, [1, 2, 3, 4, 5, 6], 3)
        assert await far.ask(ctx, Command.LOAD, 4, POSITION.pack(0) + bytes(8)) == POSITION.pack(2)
        assert await far.refused(ctx, Command.RUN, 5, POSITION.pack(0) + b"123456") == (Fault.DIGEST, 0)
        assert await far.ask(ctx, Command.LOAD, 6, POSITION.pack(0)) == POSITION.pack(0)
        await far.load(ctx, words=(9,))
        assert far.core.words == [*sealed((1, 2, 3)), 0, 0, *sealed((9,))]
        await far.infer(ctx, [6, 5, 4, 3, 2, 1], 7)

    far.run(drive)


@pytest.mark.parametrize("width, low, beat", [(1, -128, 1), (2, -300, 1), (1, -128, 4), (2, -300, 2)])
def test_images_in_pieces(sizes, width, low, beat):
    """However they are cut, the core gets them in words of ``beat`` values."""
    rng = np.random.default_rng(width)
    far = Far(sizes(value_bits=16, image_tile=4, input_values=beat), seed=width)
    far.core.size = size = 12

    async def drive(ctx):
        await far.load(ctx, size=size, low=low, width=width)
        for sequence in range(3):
            values = rng.integers(0, 256**width // 2, size)
            data, at = values.astype(f"<u{width}").tobytes(), 0
            for cut in sorted({*(width * rng.integers(1, size, sequence)).tolist()}):
                reply = await far.ask(ctx, Command.INPUT, 100, POSITION.pack(at) + data[at:cut])
                assert reply == POSITION.pack(cut)
                at = cut
            await far.cable.send(ctx, far.frame(data[at:], sequence, at))
            far.expect(await far.cable.answer(ctx), (values + low).tolist(), sequence)
        assert far.core.images[-1] == (values + low).tolist()

    far.run(drive)


def test_pieces_of_images_that_cannot_be(sizes):
    far = Far(sizes())

    async def drive(ctx):
        await far.load(ctx)

        async def refuses(command, position, data, fault, expected=0):
            assert await far.refused(ctx, command, 1, POSITION.pack(position) + data) == (fault, expected)

        for command in (Command.INPUT, Command.RUN):
            await refuses(command, 1, b"1234", Fault.SEQUENCE, 0)
            await refuses(command, 1 << 24, b"1234", Fault.SEQUENCE, 0)
            await refuses(command, 0, b"", Fault.PAYLOAD)
            await refuses(command, 0, bytes(7), Fault.PAYLOAD)
            assert await far.refused(ctx, command, 1, b"123") == (Fault.PAYLOAD, 0)
        await refuses(Command.INPUT, 0, bytes(6), Fault.PAYLOAD)
        await refuses(Command.RUN, 0, bytes(5), Fault.PAYLOAD)
        assert await far.ask(ctx, Command.INPUT, 2, POSITION.pack(0) + b"ab") == POSITION.pack(2)
        await refuses(Command.INPUT, 0, b"ab", Fault.SEQUENCE, 2)
        await refuses(Command.RUN, 2, b"cdefg", Fault.PAYLOAD)
        await refuses(Command.INPUT, 2, b"cdef", Fault.PAYLOAD)
        await refuses(Command.RUN, 2, b"cde", Fault.PAYLOAD)
        assert far.core.images == []
        await far.cable.send(ctx, far.frame(b"cdef", 3, 2))
        far.expect(await far.cable.answer(ctx), [*b"abcdef"], 3)
        await far.load(ctx, width=2)
        await refuses(Command.INPUT, 0, bytes(5), Fault.PAYLOAD)
        await refuses(Command.RUN, 0, bytes(6), Fault.PAYLOAD)

    far.run(drive)


def test_requests_that_cannot_be(sizes):
    far = Far(sizes())

    async def drive(ctx):
        for command in (0x00, 0x09, 0x0A, 0x0C, 0x81, ESCAPE):
            for payload in (b"", b"12345"):
                assert await far.refused(ctx, command, 5, payload) == (Fault.COMMAND, PROTOCOL)
        for command, payload in (
            (Command.IDENTIFY, b"1"), (Command.COUNTERS, bytes(4)), (Command.LOAD, b""), (Command.LOAD, bytes(7)),
            (Command.COMMIT, bytes(19)), (Command.COMMIT, bytes(24)), (Command.ABORT, b"1"),
            (Command.RESET, bytes(20)),
        ):
            assert await far.refused(ctx, command, 6, payload) == (Fault.PAYLOAD, 0)
        too_long = bytes(MAX_PAYLOAD + 1)
        assert await far.refused(ctx, Command.LOAD, 7, too_long) == (Fault.LENGTH, MAX_PAYLOAD)
        await far.ask(ctx, Command.IDENTIFY, 8)

    far.run(drive)


@pytest.mark.parametrize("seed, stall, work", [(0, 0.4, 3), (1, 0, 400)])
def test_images_wait_in_the_ring_while_others_are_computed(sizes, seed, stall, work):
    """As many requests as the window allows are under way; results come in order, each with its number."""
    rng = np.random.default_rng([seed, 4])
    far = Far(sizes(), seed=seed, stall=stall, limit=20_000)
    far.core.work = work
    images = rng.integers(0, 256, (10, 6)).tolist()
    numbers = rng.integers(0, 256, 10).tolist()
    used = len(encode(Command.RUN, 0, POSITION.pack(0) + bytes(6))) - 2
    answered = []

    async def send(ctx):
        await far.load(ctx)
        for sent, (image, number) in enumerate(zip(images, numbers)):
            while (sent + 1 - len(answered)) * used > RX_BYTES:
                await ctx.tick()
            await far.cable.send(ctx, far.frame(image, number))

    async def take(ctx):
        while len(far.cable.answers) < 2:
            await ctx.tick()
        for image, number in zip(images, numbers):
            while len(far.cable.answers) < 3 + len(answered):
                await ctx.tick()
            far.expect(far.cable.answers[2 + len(answered)], image, number)
            answered.append(number)

    far.bench.add(send)
    far.run(take)
    assert answered == numbers and far.core.images == images


@pytest.mark.parametrize("flip", [0, 77])
def test_a_load_with_a_wrong_digest_does_not_run(sizes, flip):
    """A bit of it is wrong although every frame was sound: the network is not named, RUN has its own answer."""
    far = Far(sizes())
    stream = np.array(sealed((1, 2, 3)), np.uint32)
    stream[flip // 32] ^= 1 << flip % 32

    async def drive(ctx):
        await far.load(ctx)
        assert await far.ask(ctx, Command.LOAD, 3, POSITION.pack(0) + stream.tobytes()) == POSITION.pack(len(stream))
        commit = COMMIT.pack(len(stream), NETWORK, 6, 0, 1)
        assert await far.refused(ctx, Command.COMMIT, 4, commit) == (Fault.DIGEST, 0)
        for command in (Command.INPUT, Command.RUN):
            assert await far.refused(ctx, command, 5, POSITION.pack(0) + bytes(6)) == (Fault.DIGEST, 0)
        await far.ask(ctx, Command.RESET, 6)  # the memories are what they were
        assert await far.refused(ctx, Command.RUN, 7, POSITION.pack(0) + bytes(6)) == (Fault.DIGEST, 0)
        await far.load(ctx)
        await far.infer(ctx, range(6), 8)

    far.run(drive)


@pytest.mark.parametrize("values, stall", [(58, 0), (59, 0.3), (130, 0.2)])
def test_results_of_any_size_come_in_pieces(sizes, values, stall):
    """Longer than what the link can hold; the next image is sent meanwhile."""
    far = Far(sizes(outputs=values), stall=stall, limit=60_000)
    far.core.values = values

    async def drive(ctx):
        await far.load(ctx)
        images = [[n, 2, 3, 4, 5, 250] for n in range(3)]
        for n, image in enumerate(images):
            await far.cable.send(ctx, far.frame(image, 40 + n))
        for n, image in enumerate(images):
            await far.whole(ctx, image, 40 + n)
        assert (await far.count(ctx))["RESULTS"] == len(images)

    far.run(drive)


def test_a_result_before_its_image_is_complete_waits_for_it(sizes):
    """Early exit of a network of frames: the core answers after 2 of 6 values and drops the others."""
    far = Far(sizes(), seed=3)
    far.core.early = 2

    async def drive(ctx):
        await far.load(ctx)
        for sequence in range(3):
            piece = POSITION.pack(0) + bytes([sequence, 1, 2])
            assert await far.ask(ctx, Command.INPUT, 90, piece) == POSITION.pack(3)
            await ticks(ctx, 200)
            assert await far.ask(ctx, Command.INPUT, 91, POSITION.pack(3) + bytes(2)) == POSITION.pack(5)
            await far.cable.send(ctx, far.frame(bytes(1), sequence, 5))
            far.expect(await far.cable.answer(ctx), [sequence, 1], sequence)

    far.run(drive)


@pytest.mark.parametrize("seed", range(2))
def test_an_awaited_result_comes_before_the_end_of_its_image(sizes, seed):
    """The core decides after 2 of 6 values; the next image follows an ABORT, or the last piece of this one."""
    far = Far(sizes(), seed=seed)
    far.core.early = 2

    async def await_(ctx, sequence):
        await far.cable.send(ctx, encode(Command.AWAIT, sequence))

    async def first_piece(ctx, sequence, data):
        """Send three bytes; take the answer and the result, in whichever order they come."""
        await far.cable.send(ctx, encode(Command.INPUT, 90, POSITION.pack(0) + data))
        answers = sorted([await far.cable.answer(ctx), await far.cable.answer(ctx)], key=lambda answer: answer[0])
        assert answers[0] == (Command.INPUT | REPLY, 90, POSITION.pack(3))
        far.expect(answers[1], [*data[:2]], sequence)

    async def drive(ctx):
        assert await far.refused(ctx, Command.AWAIT, 1) == (Fault.NO_NETWORK, 0)
        await far.load(ctx)
        assert await far.refused(ctx, Command.AWAIT, 1, b"1") == (Fault.PAYLOAD, 0)
        for sequence in range(10, 13):
            await await_(ctx, sequence)
            assert await far.refused(ctx, Command.AWAIT, 91) == (Fault.SEQUENCE, 0)
            await first_piece(ctx, sequence, bytes([sequence, 1, 2]))
            rest = POSITION.pack(3) + bytes(3)
            if sequence == 11:  # the whole image after all
                assert await far.refused(ctx, Command.RUN, 92, rest) == (Fault.PAYLOAD, 0)
                assert await far.refused(ctx, Command.INPUT, 92, rest + b"1") == (Fault.PAYLOAD, 0)
                assert await far.ask(ctx, Command.INPUT, 92, rest) == POSITION.pack(6)
            else:
                await far.urgently(ctx, Command.ABORT, 93)
        far.core.early = None
        await far.infer(ctx, b"uvwxyz", 94)  # as ever

    far.run(drive)


def test_an_abort_takes_the_await_away(sizes):
    far = Far(sizes())

    async def drive(ctx):
        await far.load(ctx)
        await far.cable.send(ctx, encode(Command.AWAIT, 3))
        await far.ask(ctx, Command.INPUT, 4, POSITION.pack(0) + b"ab")
        await far.urgently(ctx, Command.ABORT, 5)
        assert await far.refused(ctx, Command.INPUT, 6, POSITION.pack(0) + b"abcdef") == (Fault.PAYLOAD, 0)
        await far.infer(ctx, b"abcdef", 7)

    far.run(drive)
