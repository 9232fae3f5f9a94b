"""`hw.link.framing` against `hw.regmap`: the verdict on any bytes is that of `decode`, frames sent are `encode`'s."""

import numpy as np
import pytest

from hw.link.framing import DIGEST_CYCLES, Deframer, Framer
from hw.regmap import ESCAPE, FLAG, FRAME_OVERHEAD, HEADER, STUFF, Command, Fault, crc, decode, encode
from tests.kit.streams import ticks
from tests.kit.proof import assume_stable, claim_stable, prove
from tests.kit.streams import Bench

MAX_PAYLOAD = 40
SPECIAL = bytes([FLAG, ESCAPE, FLAG ^ STUFF, ESCAPE ^ STUFF])


def raw(body):
    """Return a frame around ``body``, its CRC right whatever the header says."""
    body += crc(body).to_bytes(4, "little")
    for byte in (ESCAPE, FLAG):
        body = body.replace(bytes([byte]), bytes([ESCAPE, byte ^ STUFF]))
    return bytes([FLAG]) + body + bytes([FLAG])


class Judge:
    """A `Deframer` whose ring is a list; ``verdicts`` holds what it says of each frame."""

    def __init__(self, *, seed=0, lost=False, limit=100_000):
        self.dut = Deframer(MAX_PAYLOAD)
        self.bench = Bench(self.dut, seed=seed, limit=limit)
        self.verdicts, self._lost = [], lost
        self._pause = self.bench.pauses(0.3)
        self.bench.add(self._watch, background=True)

    async def _watch(self, ctx):
        dut, kept = self.dut, bytearray()
        watched = dut.write, dut.data, dut.commit, dut.rollback, dut.urgent, dut.faulty, dut.fault
        async for _, _, write, byte, commit, rollback, urgent, faulty, fault in ctx.tick().sample(*watched):
            assert write + commit + rollback <= 1 and commit + urgent + faulty <= 1
            header = ctx.get(dut.command), ctx.get(dut.sequence)
            if write:
                kept.append(byte)
            if commit:
                self.verdicts.append(bytes(kept))
            if urgent:
                self.verdicts.append(header)
            if faulty:
                self.verdicts.append(Fault(fault) if fault == Fault.DAMAGED else (Fault(fault), *header))
            if commit or rollback:
                kept.clear()

    def run(self, data, broken=()):
        """Send bytes, those at the places ``broken`` without stop bit; return the verdicts."""
        async def send(ctx):
            ctx.set(self.dut.lost, self._lost)
            for place, byte in enumerate(data):
                ctx.set(self.dut.i.payload, {"data": byte, "broken": int(place in broken)})
                ctx.set(self.dut.i.valid, 1)
                await ctx.tick()
                ctx.set(self.dut.i.valid, 0)
                await ticks(ctx, DIGEST_CYCLES - 1 + self._pause())
            await ctx.tick()

        self.bench.add(send)
        self.bench.run()
        return self.verdicts


def expected(data):
    """Return the verdicts on ``data``, from `hw.regmap.decode`."""
    verdicts = []
    for body in data.split(bytes([FLAG]))[:-1]:
        frame = decode(body)
        if not body:
            continue
        if frame and len(frame[2]) <= MAX_PAYLOAD and frame[0] in (Command.ABORT, Command.RESET):
            verdicts.append(frame[:2] if not frame[2] else (Fault.PAYLOAD, *frame[:2]))
        elif frame and len(frame[2]) <= MAX_PAYLOAD:
            verdicts.append(HEADER.pack(*frame[:2], len(frame[2])) + frame[2])
        elif frame:
            verdicts.append((Fault.LENGTH, *frame[:2]))
        else:
            verdicts.append(Fault.DAMAGED)
    return verdicts


def draw(rng, longest=MAX_PAYLOAD):
    """Return a random frame, rich in bytes that are escaped."""
    payload = rng.choice([*range(256), *SPECIAL * 30], rng.integers(0, longest + 1)).astype(np.uint8).tobytes()
    return encode(int(rng.choice([*Command, 0, FLAG, 0xFF])), int(rng.integers(0, 256)), payload)


@pytest.mark.parametrize("seed", range(2))
def test_good_frames_urgent_ones_and_long_ones(seed):
    rng = np.random.default_rng(seed)
    data = b"".join(draw(rng, 2 * MAX_PAYLOAD) for _ in range(10))
    assert Judge(seed=seed).run(data) == expected(data), f"seed {seed}"


@pytest.mark.parametrize("seed", range(4))
def test_mutated_frames_are_judged_as_decode_does(seed):
    """Bytes flipped, dropped, doubled, cut, flags among them; every verdict is that of the map."""
    rng = np.random.default_rng([seed, 1])
    data = bytearray()
    for _ in range(20):
        frame = bytearray(draw(rng, 12))
        for _ in range(rng.integers(0, 3)):
            at = int(rng.integers(0, len(frame)))
            match rng.integers(0, 5):
                case 0:
                    frame[at] ^= 1 << int(rng.integers(0, 8))
                case 1:
                    del frame[at:at + int(rng.integers(1, 4))]
                case 2:
                    frame[at:at] = frame[at:at + 3]
                case 3:
                    frame[at:at] = bytes([int(rng.choice([*SPECIAL]))])
                case 4:
                    frame = frame[: at + 1]
            frame = frame or bytearray([FLAG])
        data += frame
    data += bytes([FLAG]) + encode(Command.COUNTERS, 9)
    verdicts = Judge(seed=seed).run(bytes(data))
    assert verdicts == expected(bytes(data)), f"seed {seed}"
    assert verdicts[-1] == HEADER.pack(Command.COUNTERS, 9, 0) and Fault.DAMAGED in verdicts


@pytest.mark.parametrize("seed", range(2))
def test_noise_is_damaged_and_the_next_frame_is_good(seed):
    rng = np.random.default_rng([seed, 2])
    noise = rng.integers(0, 256, 1000, dtype=np.uint8).tobytes() + SPECIAL * 5 + bytes([FLAG])
    data = noise + encode(Command.IDENTIFY, 5)
    verdicts = Judge(seed=seed).run(data)
    assert verdicts == expected(data)
    assert verdicts == [Fault.DAMAGED] * (len(verdicts) - 1) + [HEADER.pack(Command.IDENTIFY, 5, 0)]


def test_wrong_lengths():
    cases = {
        raw(HEADER.pack(Command.RUN, 3, 5) + b"1234"): (Fault.LENGTH, Command.RUN, 3),
        raw(HEADER.pack(Command.RUN, 4, 3) + b"1234"): (Fault.LENGTH, Command.RUN, 4),
        raw(HEADER.pack(Command.RUN, 5, 0) + b"1"): (Fault.LENGTH, Command.RUN, 5),
        raw(HEADER.pack(Command.RUN, 6, 0xFFFF) + b"1234"): (Fault.LENGTH, Command.RUN, 6),
        raw(HEADER.pack(Command.RUN, 7, 0x0104) + b"1234"): (Fault.LENGTH, Command.RUN, 7),
        raw(HEADER.pack(Command.ABORT, 8, 1)): (Fault.LENGTH, Command.ABORT, 8),
        raw(HEADER.pack(Command.RUN, 9, MAX_PAYLOAD + 1) + bytes(MAX_PAYLOAD + 1)): (Fault.LENGTH, Command.RUN, 9),
        raw(HEADER.pack(Command.RUN, 10, 300) + bytes(300)): (Fault.LENGTH, Command.RUN, 10),
        raw(HEADER.pack(Command.RESET, 11, 2) + bytes(2)): (Fault.PAYLOAD, Command.RESET, 11),
        raw(b""): Fault.DAMAGED, raw(b"\0"): Fault.DAMAGED, raw(b"\0\0\0"): Fault.DAMAGED,
        bytes([FLAG, 1, FLAG]): Fault.DAMAGED, bytes([ESCAPE, FLAG]): Fault.DAMAGED,
        raw(HEADER.pack(Command.RUN, 12, 4) + b"1234"): HEADER.pack(Command.RUN, 12, 4) + b"1234",
    }
    assert Judge().run(b"".join(cases)) == list(cases.values())


def test_an_escape_that_is_doubled_is_no_escape():
    """ESCAPE ESCAPE byte: dropping the first of them would give a frame with a right CRC."""
    plain = HEADER.pack(Command.LOAD, 1, 1) + bytes([FLAG])
    check = crc(plain).to_bytes(4, "little")
    assert not {FLAG, ESCAPE} & set(check)
    once, twice = (
        bytes([FLAG]) + plain[:-1] + bytes([ESCAPE] * count + [FLAG ^ STUFF]) + check + bytes([FLAG])
        for count in (1, 2)
    )
    assert Judge().run(once + twice) == [plain, Fault.DAMAGED]


def test_an_escape_before_the_closing_flag_damages_a_frame_that_is_whole_without_it():
    plain = HEADER.pack(Command.LOAD, 1, 2) + b"ab"
    frame = raw(plain)
    assert Judge().run(frame[:-1] + bytes([ESCAPE, FLAG]) + frame) == [Fault.DAMAGED, plain]


@pytest.mark.parametrize("place", range(1, 11))
def test_each_byte_without_stop_bit_damages_a_frame_that_is_whole_otherwise(place):
    """Its bits are those that were sent: only the missing stop bit says that it is not to be trusted."""
    plain = HEADER.pack(Command.LOAD, 1, 2) + b"ab"
    assert Judge().run(raw(plain) + raw(plain), broken={place}) == [Fault.DAMAGED, plain]


def test_a_byte_without_stop_bit_damages_a_frame_that_is_whole_without_it():
    plain = HEADER.pack(Command.LOAD, 1, 2) + b"ab"
    frame = raw(plain)
    assert Judge().run(frame[:4] + b"U" + frame[4:] + frame, broken={4}) == [Fault.DAMAGED, plain]


def test_a_byte_without_stop_bit_damages_its_frame_only():
    frames = [encode(Command.LOAD, 1, b"abcd"), encode(Command.LOAD, 2, b"efgh"), encode(Command.LOAD, 3, b"ijkl")]
    data = b"".join(frames)
    places = {len(frames[0]) + 4}
    good = expected(data)
    assert Judge().run(data, broken=places) == [good[0], Fault.DAMAGED, good[2]]


def test_a_closing_flag_without_stop_bit_joins_two_frames_into_a_damaged_one():
    frames = [encode(Command.LOAD, 1, b"abcd"), encode(Command.LOAD, 2, b"efgh")]
    data = b"".join(frames)
    assert Judge().run(data, broken={len(frames[0]) - 1, len(frames[0])}) == [Fault.DAMAGED]


def test_what_the_ring_lost_is_an_overrun_but_not_if_it_is_urgent():
    data = encode(Command.RUN, 1, b"abcd") + encode(Command.ABORT, 2) + encode(Command.RESET, 3)
    assert Judge(lost=True).run(data) == [(Fault.OVERRUN, Command.RUN, 1), (Command.ABORT, 2), (Command.RESET, 3)]


@pytest.mark.parametrize("seed, stall", [(0, 0), (1, 0.5), (2, 0.9)])
def test_frames_sent_are_those_of_the_map(seed, stall):
    rng = np.random.default_rng([seed, 3])
    bodies = []
    for _ in range(8):
        payload = rng.choice([*range(256), *SPECIAL * 30], rng.integers(0, 20)).astype(np.uint8).tobytes()
        bodies.append((int(rng.integers(0, 256)), int(rng.choice([0, FLAG, 77])), payload))
    wire = b"".join(encode(*body) for body in bodies)
    pieces = []
    for command, sequence, payload in bodies:
        plain = HEADER.pack(command, sequence, len(payload)) + payload
        pieces += [{"data": byte, "last": int(n == len(plain) - 1)} for n, byte in enumerate(plain)]
    dut = Framer()
    bench = Bench(dut, seed=seed, limit=20_000)
    bench.source(dut.i, pieces, stall=stall)
    taken = bench.sink(dut.o, len(wire), stall=stall)
    bench.run()
    assert bytes(word.payload for word in taken) == wire, f"seed {seed}"
    assert min(len(body[2]) for body in bodies) + FRAME_OVERHEAD < len(wire)


def test_the_framer_is_proved_to_keep_the_stream_rules():
    dut = Framer()

    def claims(m):
        assume_stable(m, dut.i)
        claim_stable(m, dut.o)

    prove(dut, claims)
