"""A core's place taken by a stand-in that the protocol can be tested against, and the host's words for it."""

from struct import Struct
from zlib import crc32

import numpy as np

from gen.plan.image import TRAILER

from hw.core.payloads import input_values
from hw.link.endpoint import Endpoint
from hw.regmap import COMMIT, COUNTERS, ERROR, ERROR_REPLY, PIECE, PIECE_WORDS, POSITION, REPLY, Command, Fault, encode
from tests.kit.cable import ByteCable
from tests.kit.streams import Bench

__all__ = ["MAX_PAYLOAD", "NETWORK", "RX_BYTES", "Far", "StandIn", "sealed"]

RX_BYTES, MAX_PAYLOAD = 128, 64
NETWORK = 0xC0FFEE7E
HEAD = 6  # words of a result before its values


def sealed(words):
    """Return a load stream: these words and the digest behind them."""
    digest = crc32(np.array(words, "<u4").tobytes())
    return [*(int(word) for word in words), TRAILER << 24, 1, digest]


class StandIn:
    """A core that takes words, and answers ``size`` values by a result made of them.

    Attributes
    ----------
    words, images : what it was given; ``loading``: the words of the load under way
    unsound : a reset has come amid a load
    values : of a result, beside its head
    early : values of an image after which it answers already; what remains of the image is dropped
    work : cycles it takes at most
    hung : it takes nothing and is not idle, until it is reset
    """

    def __init__(self, bench, port, seed):
        self.words, self.images, self.resets, self.size, self.early = [], [], 0, 6, None
        self.loading, self.unsound, self.values = [], False, 5
        self.work, self.hung, self._port, self._rng = 60, False, port, np.random.default_rng([seed, 77])
        bench.add(self._run, background=True)

    def result(self, image):
        """Return the words of the result for the values that were looked at."""
        many = [image[n % len(image)] * 60_007 + n // 4 for n in range(self.values - 1)]
        return [len(image), *[*image, *[0] * HEAD][:HEAD - 1], *many, -2**31]

    async def _run(self, ctx):
        load, i, o, idle, fault = self._port.load, self._port.i, self._port.o, self._port.idle, self._port.fault
        inputs = load.valid, load.payload, i.valid, i.payload, o.ready, self._port.abort, self._port.reset
        image, answer, wait, shown = [], [], 0, {}

        def show(name, signal, value):
            if shown.get(name) != value:
                ctx.set(signal, value)
                shown[name] = value

        def draw():
            """Show what the core does until the next tick; return whether it rests, takes and offers."""
            rests = not image and not answer and not self.hung
            takes = self._rng.random() < 0.7 and not self.hung and not answer
            offers = bool(answer) and not wait
            show("idle", idle, int(rests))
            show("fault", fault, int(bool(self.loading) or self.unsound))
            show("load", load.ready, int(takes and rests))
            show("i", i.ready, int(takes))
            show("valid", o.valid, int(offers))
            if offers:
                show("o", o.payload, {"data": answer[0], "last": int(len(answer) == 1)})
            return rests, takes, offers

        rests, takes, offers = draw()
        async for _, _, loads, word, gives, value, taken, abort, reset in ctx.tick().sample(*inputs):
            wait = max(0, wait - 1)
            if takes and rests and loads:
                self.words.append(word)
                self.loading.append(word)
                if self.loading == sealed(self.loading[:-3]):
                    self.loading, self.unsound = [], False
            if takes and gives and (image or value.first):
                assert value.first == (not image)
                image += input_values(value)
                if len(image) == (self.early or self.size):
                    self.images.append(image)
                    answer, image, wait = self.result(image), [], int(self._rng.integers(1, self.work + 1))
            if offers and taken:
                answer.pop(0)
            if abort and not self.hung:
                image, answer = [], answer if offers else []
            if reset:
                image, answer, self.hung, self.resets = [], [], False, self.resets + 1
                self.unsound, self.loading = self.unsound or bool(self.loading), []
            rests, takes, offers = draw()


class Far:
    """An endpoint, its stand-in for a core, and a cable to it."""

    def __init__(self, params, *, seed=0, stall=0.3, limit=40_000):
        self.dut = Endpoint(params, {"BUILD_2": 0x7E7D7E7D, "RX_BYTES": RX_BYTES, "MAX_PAYLOAD": MAX_PAYLOAD})
        self.bench = Bench(self.dut, seed=seed, limit=limit)
        self.core = StandIn(self.bench, self.dut.core, seed)  # pyright: ignore[reportAttributeAccessIssue] - a port
        self.cable = ByteCable(self.bench, self.dut, stall=stall)

    def run(self, testbench):
        self.bench.add(testbench)
        self.bench.run()

    async def ask(self, ctx, command, sequence=0, payload=b""):
        """Send a request; return the payload of its answer."""
        answer = await self.cable.ask(ctx, command, sequence, payload)
        assert answer[:2] == (command | REPLY, sequence), f"{command!r}: {answer}"
        return answer[2]

    async def refused(self, ctx, command, sequence=0, payload=b""):
        """Send a request; return (fault, expected) of the error that answers it."""
        answer = await self.cable.ask(ctx, command, sequence, payload)
        return self.error(answer, command, sequence)

    async def urgently(self, ctx, command, sequence):
        """Send ABORT or RESET and wait for its answer, whatever comes before it."""
        await self.cable.send(ctx, encode(command, sequence))
        while (await self.cable.answer(ctx)) != (command | REPLY, sequence, b""):
            pass

    def error(self, answer, command, sequence):
        """Return (fault, expected) of an error about this request."""
        fault, about, zero, expected = ERROR.unpack(answer[2])
        assert (answer[0], answer[1], about, zero) == (ERROR_REPLY, sequence, command, 0), answer
        return Fault(fault), expected

    async def load(self, ctx, words=(1, 2, 3), network=NETWORK, size=6, low=0, width=1):
        """Load and commit a network."""
        stream = sealed(words)
        payload = POSITION.pack(0) + np.array(stream, "<u4").tobytes()
        assert await self.ask(ctx, Command.LOAD, 1, payload) == POSITION.pack(len(stream))
        commit = COMMIT.pack(len(stream), network, size, low, width)
        assert await self.ask(ctx, Command.COMMIT, 2, commit) == b""

    def frame(self, image, sequence, position=0):
        """Return the frame that runs an image of bytes."""
        return encode(Command.RUN, sequence, POSITION.pack(position) + bytes(image))

    def expect(self, answer, image, sequence, network=NETWORK):
        """Check a result of one piece."""
        self.expect_piece(answer, self.core.result(image), sequence, 0, Command.RESULT, network)

    def expect_piece(self, answer, words, sequence, position, command, network=NETWORK):
        """Check a piece of a result."""
        assert answer[:2] == (command | REPLY, sequence), answer
        assert PIECE.unpack_from(answer[2]) == (network, position)
        data = answer[2][PIECE.size:]
        assert list(Struct(f"<{len(data) // 4}i").unpack(data)) == list(words)

    async def whole(self, ctx, image, sequence):
        """Take all pieces of a result, and check them."""
        words = self.core.result(image)
        for at in range(0, len(words), PIECE_WORDS):
            last = at + PIECE_WORDS >= len(words)
            self.expect_piece(
                await self.cable.answer(ctx), words[at : at + PIECE_WORDS], sequence, at,
                Command.RESULT if last else Command.PART,
            )

    async def infer(self, ctx, image, sequence, low=0):
        """Run an image and check its result."""
        await self.cable.send(ctx, self.frame(image, sequence))
        self.expect(await self.cable.answer(ctx), [value + low for value in image], sequence)

    async def count(self, ctx):
        """Return the counters."""
        words = Struct(f"<{len(COUNTERS)}I").unpack(await self.ask(ctx, Command.COUNTERS, 250))
        return dict(zip((entry.name for entry in COUNTERS), words))
