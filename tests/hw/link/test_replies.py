"""`hw.link.replies`: who speaks first, which damage is reported, what a result waits for; its output proved."""

import pytest
from amaranth.hdl import Module

from hw.link.replies import Replies
from hw.regmap import ERROR, ERROR_REPLY, HEADER, PROTOCOL, REPLY, Command, Fault
from tests.kit.streams import ticks
from tests.kit.proof import claim_stable, prove
from tests.kit.streams import Bench

PIECE_WORDS, RESULT_WORDS, MAX_PAYLOAD, RX_BYTES = 4, 31, 40, 64


class Speaker:
    """Replies whose registers hold their own addresses; ``frames`` are the headers and payloads sent."""

    def __init__(self, *, seed=0, stall=0.5):
        m = Module()
        self.dut = dut = Replies(
            max_payload=MAX_PAYLOAD, rx_bytes=RX_BYTES, result_words=RESULT_WORDS, piece_words=PIECE_WORDS)
        m.submodules.dut = dut
        m.d.sync += dut.data.eq(dut.address)
        m.d.comb += dut.granted.eq(dut.reading)
        self.bench = Bench(m, seed=seed, limit=20_000)
        self._pieces = self.bench.sink(dut.o, stall=stall)

    @property
    def frames(self):
        """[(command, sequence, payload)]."""
        frames, data = [], b""
        for piece in self._pieces:
            data += bytes([piece.payload["data"]])
            if piece.payload["last"]:
                command, sequence, length = HEADER.unpack_from(data)
                assert len(data) == HEADER.size + length
                frames.append((command, sequence, data[HEADER.size:]))
                data = b""
        return frames

    def offer(self, ctx, port, command, sequence, fault=0, position=0):
        ctx.set(port.payload, {"command": command, "sequence": sequence, "fault": fault, "position": position})
        ctx.set(port.valid, 1)

    async def damage(self, ctx, command, sequence, fault):
        """Report a frame that is refused."""
        answer = {"command": command, "sequence": sequence, "fault": fault, "position": 0}
        ctx.set(self.dut.damage, answer)
        ctx.set(self.dut.faulty, 1)
        await ctx.tick()
        ctx.set(self.dut.faulty, 0)

    async def sent(self, ctx, count):
        """Wait for so many frames."""
        while len(self.frames) < count:
            await ctx.tick()

    def run(self, testbench):
        self.bench.add(testbench)
        self.bench.run()


def error(sequence, fault, command, expected):
    return ERROR_REPLY, sequence, ERROR.pack(fault, command, 0, expected)


def test_of_many_damages_the_last_one_is_reported_when_there_is_time():
    speaker = Speaker()

    async def drive(ctx):
        for sequence in range(1, 6):
            await speaker.damage(ctx, Command.RUN, sequence, Fault.OVERRUN if sequence % 2 else Fault.LENGTH)
            await ticks(ctx, 4)
        await speaker.sent(ctx, 2)
        await ticks(ctx, 200)

    speaker.run(drive)
    assert speaker.frames == [error(n, Fault.OVERRUN, Command.RUN, RX_BYTES) for n in (1, 5)]


def test_urgent_answers_come_first_then_damage_results_and_the_ring():
    speaker = Speaker(seed=1)
    dut = speaker.dut

    async def drive(ctx):
        speaker.offer(ctx, dut.i, Command.LOAD, 4, position=0x123456)
        await ctx.tick()  # it is being sent, the others meet
        speaker.offer(ctx, dut.urgent, Command.ABORT, 1)
        for word in (7, -8):
            ctx.set(dut.results.payload, {"data": word, "last": word < 0})
            ctx.set(dut.results.valid, 1)
            ready = 0
            while not ready:
                _, _, ready = await ctx.tick().sample(dut.results.ready)
            ctx.set(dut.results.valid, 0)
        ctx.set(dut.tags.payload, 3)
        ctx.set(dut.tags.valid, 1)
        await speaker.damage(ctx, Command.RESET, 2, Fault.PAYLOAD)
        taken = {}
        while len(taken) < 3:
            ports = {"i": dut.i, "urgent": dut.urgent, "tags": dut.tags}
            _, _, *ready = await ctx.tick().sample(*(port.ready for port in ports.values()))
            for (name, port), is_ready in zip(ports.items(), ready):
                if is_ready and name not in taken:
                    taken[name] = True
                    if name == "i":
                        speaker.offer(ctx, dut.i, Command.COMMIT, 5)
                    else:
                        ctx.set(port.valid, 0)
        await speaker.sent(ctx, 5)
        ctx.set(dut.i.valid, 0)

    speaker.run(drive)
    network = bytes(range(24, 28))
    assert speaker.frames[:5] == [
        (Command.LOAD | REPLY, 4, (0x123456).to_bytes(4, "little")), (Command.ABORT | REPLY, 1, b""),
        error(2, Fault.PAYLOAD, Command.RESET, 0),
        (Command.RESULT | REPLY, 3,
         network + bytes(4) + (7).to_bytes(4, "little") + (-8).to_bytes(4, "little", signed=True)),
        (Command.COMMIT | REPLY, 5, b""),
    ]


def test_every_error_says_what_was_expected():
    speaker = Speaker(stall=0)
    expected = {
        Fault.DAMAGED: 0, Fault.LENGTH: MAX_PAYLOAD, Fault.COMMAND: PROTOCOL, Fault.PAYLOAD: 0, Fault.SEQUENCE: 99,
        Fault.NO_NETWORK: 0, Fault.OVERRUN: RX_BYTES, Fault.DIGEST: 0,
    }
    assert set(expected) == set(Fault)

    async def drive(ctx):
        for fault in Fault:
            speaker.offer(ctx, speaker.dut.i, Command.INPUT, 9, fault, position=99)
            ready = 0
            while not ready:
                _, _, ready = await ctx.tick().sample(speaker.dut.i.ready)
        ctx.set(speaker.dut.i.valid, 0)

    speaker.run(drive)
    assert speaker.frames == [error(9, fault, Command.INPUT, expected[fault]) for fault in Fault]


@pytest.mark.parametrize("lengths", [[4, 5, 3, 13], [12, 1], [RESULT_WORDS]])
def test_a_result_goes_in_pieces_with_their_places(lengths):
    speaker = Speaker(stall=0.2)
    dut, results = speaker.dut, [[100 * n + word for word in range(length)] for n, length in enumerate(lengths)]
    words = [{"data": word, "last": int(word == result[-1])} for result in results for word in result]
    speaker.bench.source(dut.results, words, stall=0.2)
    speaker.bench.source(dut.tags, range(1, 1 + len(results)), stall=0.2)
    pieces = [
        (n, at, result[at : at + PIECE_WORDS], at + PIECE_WORDS >= len(result))
        for n, result in enumerate(results, 1) for at in range(0, len(result), PIECE_WORDS)
    ]
    given = speaker.bench.collect(dut.given, dut.given)

    async def drive(ctx):
        await speaker.sent(ctx, len(pieces))

    speaker.run(drive)
    assert len(given) == len(results)
    assert speaker.frames == [
        ((Command.RESULT if last else Command.PART) | REPLY, n,
         bytes(range(24, 28)) + b"".join(word.to_bytes(4, "little") for word in [at, *part]))
        for n, at, part, last in pieces
    ]


def test_after_a_clear_the_next_result_begins_at_its_beginning():
    speaker = Speaker(stall=0)
    dut = speaker.dut

    async def give(ctx, count, last):
        for n in range(count):
            ctx.set(dut.results.payload, {"data": n, "last": int(last and n == count - 1)})
            ctx.set(dut.results.valid, 1)
            await ctx.tick().until(dut.results.ready)
        ctx.set(dut.results.valid, 0)

    async def drive(ctx):
        ctx.set(dut.tags.payload, 1)
        ctx.set(dut.tags.valid, 1)
        await give(ctx, PIECE_WORDS + 1, False)
        await speaker.sent(ctx, 1)
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        ctx.set(dut.tags.payload, 2)
        await give(ctx, 2, True)
        await speaker.sent(ctx, 2)

    speaker.run(drive)
    places = [(command, tag, payload[4:8]) for command, tag, payload in speaker.frames]
    assert places == [(Command.PART | REPLY, 1, bytes(4)), (Command.RESULT | REPLY, 2, bytes(4))]


def test_the_output_is_proved_stable():
    dut = Replies(max_payload=MAX_PAYLOAD, rx_bytes=RX_BYTES, result_words=RESULT_WORDS, piece_words=2)
    prove(dut, lambda m: claim_stable(m, dut.o))
