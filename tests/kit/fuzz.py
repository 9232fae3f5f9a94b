"""What no host should send: noise, broken frames, frames that are sound and mean nonsense, all from a seed."""

import time
from collections import Counter

import numpy as np
import serial

from gen.errors import AdafireError
from gen.inputs import input_stream
from hw.regmap import COMMIT, ESCAPE, FLAG, HEADER, POSITION, REPLY, STUFF, Command, crc, decode, encode, frames

__all__ = ["KINDS", "Fuzzer", "assail", "image_bytes", "image_requests", "load_requests"]

# Kinds of input and how often each comes: what is long, or takes the network away, seldom.
KINDS = {
    "noise": 4, "flipped": 4, "cut": 2, "spliced": 2, "wrong length": 2, "nonsense": 4, "oversize": 0.5,
    "bad network": 0.5, "good run": 4,
}
END = 127  # sequence number of the last reset
TRACKED = range(128, 256)  # sequence numbers of good runs; whatever else has a sound CRC carries a lower one
RESETS, PATIENCE_S = 5, 20.0
LONGEST_OVERSIZE = 4000
PIECE = 300  # words of the load stream: what bad loads begin with


def image_bytes(network, x):
    """Return what INPUT and RUN send of each image: every value above the lowest one, in 1 or 2 bytes."""
    low, high = network.source.range
    values = input_stream(network, x) - low
    return [row.astype("<u1" if high - low < 256 else "<u2").tobytes() for row in values]


def image_requests(data, longest):
    """Return (command, payload) of the pieces of one image in payloads of at most ``longest`` bytes."""
    step = (longest - POSITION.size) // 2 * 2
    pieces = [POSITION.pack(at) + data[at : at + step] for at in range(0, len(data), step)]
    return [*((Command.INPUT, piece) for piece in pieces[:-1]), (Command.RUN, pieces[-1])]


def load_requests(stream, commit, longest):
    """Return (command, payload) that load a stream of words; ``commit``: network number, size, low, bytes."""
    step = (longest - POSITION.size) // 4
    pieces = [(at, stream[at : at + step].astype("<u4").tobytes()) for at in range(0, len(stream), step)]
    return [(Command.LOAD, POSITION.pack(at) + piece) for at, piece in pieces] + [
        (Command.COMMIT, COMMIT.pack(len(stream), *commit))
    ]


class Fuzzer:
    """Endless bad input for a design, good runs in between.

    Parameters
    ----------
    seed : int
    plan : gen.plan.plan.Plan
        Of the network that the design holds.
    number : int
        That network's number. No other network is ever committed under it, so a result that carries it must be
        right.
    images : list of bytes (`image_bytes`)
        Small enough for one request: a run in pieces may lawfully mix with pieces of others.
    longest : int
        Register MAX_PAYLOAD.
    """

    def __init__(self, seed, plan, number, images, longest):
        self._rng = np.random.default_rng([seed, 0xF022])
        self._number, self._images, self._longest = number, images, longest
        self._stream = plan.load_stream
        self._runs = 0
        commit = (self._other_network(), len(images[0]), 0, 1)
        self._good = load_requests(self._stream[:PIECE], commit, min(longest, 500)) + [
            request for data in images[:2] for request in image_requests(data, longest)
        ] + [(command, b"") for command in (Command.IDENTIFY, Command.COUNTERS, Command.ABORT, Command.RESET)]
        self._kinds = dict(zip(KINDS, (
            self._noise, self._flipped, self._cut, self._spliced, self._wrong_length, self._nonsense,
            self._oversize, self._bad_network, self._good_run,
        )))

    @staticmethod
    def image_of(sequence, images):
        """Return the index of the image whose run carries ``sequence``, None for what is no good run."""
        return (sequence - TRACKED[0]) % images if sequence in TRACKED else None

    def next(self):
        """Return the next (kind, bytes)."""
        kind = str(self._rng.choice(list(KINDS), p=np.array(list(KINDS.values())) / sum(KINDS.values())))
        return kind, self._kinds[kind]()

    def _integer(self, low, high):
        return int(self._rng.integers(low, high, endpoint=True))

    def _sequence(self):
        return self._integer(0, END - 1)

    def _other_network(self):
        return self._number ^ self._integer(1, 2**31)

    def _pick(self):
        return self._good[self._integer(0, len(self._good) - 1)]

    def _frame(self):
        command, payload = self._pick()
        return encode(command, self._sequence(), payload)

    def _noise(self):
        data = self._rng.bytes(self._integer(1, 300))
        if self._integer(0, 1):
            return data
        return bytes(self._rng.choice([FLAG, ESCAPE, FLAG ^ STUFF, ESCAPE ^ STUFF, *data], len(data)).tolist())

    def _changed(self, data):
        """Change 1 to 4 bytes at random places."""
        data = bytearray(data)
        for _ in range(self._integer(1, 4) if data else 0):
            data[self._integer(0, len(data) - 1)] = self._integer(0, 255)
        return bytes(data)

    def _flipped(self):
        frame = self._frame()
        return frame[:1] + self._changed(frame[1:-1]) + frame[-1:]

    def _cut(self):
        frame = self._frame()
        start = self._integer(0, 1) * self._integer(0, len(frame) - 1)
        return frame[start : self._integer(start, len(frame) - 1)]

    def _spliced(self):
        first, second = self._frame(), self._frame()
        return first[: self._integer(0, len(first) - 1)] + second[self._integer(0, len(second) - 1) :]

    def _wrong_length(self):
        command, payload = self._pick()
        length = self._integer(0, 2 * len(payload) + 3) if self._integer(0, 1) else self._integer(0, 2**16 - 1)
        return sealed(HEADER.pack(command, self._sequence(), length) + payload)

    def _nonsense(self):
        """A sound frame: a command with a payload changed, cut, or of another one, or no command at all."""
        command, payload = self._pick()
        match self._integer(0, 3):
            case 0:
                command = self._integer(0, 255)
            case 1:
                payload = self._pick()[1]
            case 2:
                payload = payload[: self._integer(0, len(payload))]
        if command == Command.COMMIT:
            return self._commit(self._integer(0, 2 * len(self._stream)))
        return encode(command, self._sequence(), self._changed(payload))

    def _commit(self, total):
        size, width = self._integer(0, 2 * len(self._images[0])), self._integer(0, 3)
        low = self._integer(-(2**31), 2**31 - 1)
        payload = COMMIT.pack(total, self._other_network(), size, low, width)
        return encode(Command.COMMIT, self._sequence(), payload)

    def _oversize(self):
        length = self._integer(self._longest - 8, LONGEST_OVERSIZE)
        command = self._integer(0, 9)
        return sealed(HEADER.pack(command, self._sequence(), length) + self._rng.bytes(length))

    def _bad_network(self):
        """Load a network with some words changed, commit it and run an image; the core may never end."""
        stream = self._stream[: self._integer(1, PIECE)].copy()
        for _ in range(self._integer(1, 8)):
            stream[self._integer(0, len(stream) - 1)] = self._integer(0, 2**32 - 1)
        data = self._images[0]
        commit = (self._other_network(), len(data), 0, 1)
        requests = load_requests(stream, commit, self._longest) + image_requests(data, self._longest)
        return b"".join(encode(command, self._sequence(), payload) for command, payload in requests)

    def _good_run(self):
        """A run as it should be; `image_of` tells of which image."""
        sequence = TRACKED[self._runs % len(TRACKED)]
        self._runs += 1
        data = self._images[self.image_of(sequence, len(self._images))]
        return encode(Command.RUN, sequence, POSITION.pack(0) + data)


def sealed(body):
    """Return the bytes of a frame around any body, its CRC sound."""
    body += crc(body).to_bytes(4, "little")
    for byte in (ESCAPE, FLAG):
        body = body.replace(bytes([byte]), bytes([ESCAPE, byte ^ STUFF]))
    return bytes([FLAG]) + body + bytes([FLAG])


def assail(port, fuzzer, size):
    """Send ``size`` bytes and more of a fuzzer to a port, reset the board, and tell what it said.

    Returns
    -------
    (sent, replies) : Counter of bytes by kind, list of (command, sequence number, payload).

    Raises
    ------
    AdafireError
        The board did not answer `RESETS` resets, or sent a damaged frame.
    """
    sent, received, replies = Counter(), bytearray(), []
    with serial.Serial(port, timeout=0.1, write_timeout=PATIENCE_S) as wire:
        while sent.total() < size:
            kind, data = fuzzer.next()
            wire.write(data)
            sent[kind] += len(data)
            received += wire.read(wire.in_waiting)
            replies += _decoded(received)
        for _ in range(RESETS):
            wire.write(bytes([FLAG]) + encode(Command.RESET, END))
            deadline = time.monotonic() + PATIENCE_S
            while time.monotonic() < deadline:
                received += wire.read(max(1, wire.in_waiting))
                replies += _decoded(received)
                if (Command.RESET | REPLY, END, b"") in replies:
                    return sent, replies
    raise AdafireError(
        f"The board did not answer {RESETS} resets, {PATIENCE_S:g} s each, after {sent.total()} bytes."
    )


def _decoded(received):
    bodies = frames(received)
    decoded = [decode(body) for body in bodies]
    if None in decoded:
        raise AdafireError(f"The board sent a damaged frame: {bodies[decoded.index(None)].hex()}.")
    return decoded
