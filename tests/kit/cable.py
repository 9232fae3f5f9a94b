"""The host's side of a link in the simulator: frames to a design, as bytes or as bits on its pins, and answers."""

from abc import ABC, abstractmethod

from hw.link.framing import DIGEST_CYCLES
from hw.regmap import decode, encode, frames
from tests.kit.streams import ticks, until

__all__ = ["ByteCable", "UartCable"]


class Cable(ABC):
    """Collects answers; a kind of cable knows how bytes are sent.

    Attributes
    ----------
    answers : list of (command, sequence, payload), all so far
    """

    def __init__(self):
        self.answers, self._buffer, self._seen = [], bytearray(), 0

    @abstractmethod
    async def send(self, ctx, data, *, broken=False):
        """Send bytes; ``broken`` ones have no stop bit."""

    def _take(self, byte):
        self._buffer.append(byte)
        for body in frames(self._buffer):
            answer = decode(body)
            assert answer is not None, f"a damaged frame came: {body.hex()}"
            self.answers.append(answer)

    async def answer(self, ctx):
        """Return the next answer not returned yet."""
        if len(self.answers) == self._seen:
            async for _ in ctx.tick():
                if len(self.answers) > self._seen:
                    break
        self._seen += 1
        return self.answers[self._seen - 1]

    async def ask(self, ctx, command, sequence=0, payload=b""):
        """Send a request and return the next answer."""
        await self.send(ctx, encode(command, sequence, payload))
        return await self.answer(ctx)


class ByteCable(Cable):
    """To an `hw.link.endpoint.Endpoint`: bytes as fast as it can take them, but for pauses; so are answers taken."""

    def __init__(self, bench, endpoint, *, stall=0.5):
        super().__init__()
        self._port, self._from, self._pauses = endpoint.i, endpoint.o, [bench.pauses(stall) for _ in range(2)]
        bench.add(self._listen, background=True)
        bench.watch(endpoint.o)

    async def send(self, ctx, data, *, broken=False):
        """Send bytes; ``broken`` ones have no stop bit."""
        for byte in data:
            ctx.set(self._port.payload, {"data": byte, "broken": broken})
            ctx.set(self._port.valid, 1)
            await ctx.tick()
            ctx.set(self._port.valid, 0)
            await ticks(ctx, DIGEST_CYCLES - 1 + self._pauses[0]())

    async def _listen(self, ctx):
        port = self._from
        while True:
            await ticks(ctx, self._pauses[1]())
            ctx.set(port.ready, 1)
            byte, = await until(ctx, port.valid, port.payload)
            ctx.set(port.ready, 0)
            self._take(byte)


class UartCable(Cable):
    """To the pins of a UART, either of which may be None; ``cycles`` of the clock a bit may be a fraction.

    Attributes
    ----------
    bytes : bytearray
        What has come, frames or not.
    """

    def __init__(self, bench, rx, tx, cycles):
        super().__init__()
        self._rx, self._tx, self._cycles, self.bytes = rx, tx, cycles, bytearray()
        self._late = 0.0
        if tx is not None:
            bench.add(self._listen, background=True)

    async def send(self, ctx, data, *, broken=False):
        """Send bytes back to back; ``broken`` ones have no stop bit."""
        for byte in data:
            for bit in (0, *(byte >> n & 1 for n in range(8)), not broken):
                ctx.set(self._rx, bit)
                await self._wait(ctx)
            ctx.set(self._rx, 1)
            if broken:
                await self._wait(ctx)

    async def _wait(self, ctx):
        """Wait for a bit's time, on an average."""
        self._late += self._cycles
        whole = int(self._late)
        self._late -= whole
        await ticks(ctx, whole)

    async def _listen(self, ctx):
        while True:
            await ctx.tick()
            if not ctx.get(self._tx):
                bits = []
                for n in range(9):
                    middle = (1.5 + n) * self._cycles
                    await ticks(ctx, int(middle) - int(middle - (self._cycles if n else middle)))
                    bits.append(ctx.get(self._tx))
                *bits, stop = bits
                byte = sum(bit << n for n, bit in enumerate(bits))
                assert stop, f"byte {len(self.bytes)}, {byte:#x}, has no stop bit"
                self.bytes.append(byte)
                self._take(byte)
