"""A board as a model: frames decoded by the letter of the protocol, results from the golden model.

`FakeBoard` is the design, told what arrives when; the lines to it, with their faults, are in `tests.host.fake_line`
and can be had from here.
"""

import json
import struct
import zlib
from collections import deque

import numpy as np

from gen.generated import IMAGE, NETWORK, seal
from gen.netfile import network_hash, save_network
from gen.plan.plan import make_plan, plan_on
from hw.identity import describe_input, describe_outputs, network_id
from sim.golden import Golden
from tests.host.fake_line import DIRECTIONS, KINDS, Faults, MemoryTransport, PtyBoard

__all__ = [
    "BUILD", "DIRECTIONS", "KINDS", "FakeBoard", "Faults", "MemoryTransport", "PtyBoard", "fake_cycles", "frame",
    "make_folder",
]

BUILD = "00112233445566778899aabbccddeeff"
CLOCK_HZ = 1_000_000

IDENTIFY, LOAD, COMMIT, INPUT, RUN, ABORT, COUNTERS, RESET, RESULT, PART, AWAIT = range(1, 12)
DAMAGED, LENGTH, COMMAND, PAYLOAD, SEQUENCE, NO_NETWORK, OVERRUN, DIGEST = range(1, 9)
PIECE_WORDS = 64


def make_folder(folder, network, lanes=4, params=None, **changes):
    """Write what the host reads of a generated folder; return (folder, CoreParams, bytes of the load stream)."""
    plan = plan_on(network, params) if params else make_plan(network, lanes)
    folder.mkdir(parents=True, exist_ok=True)
    stream = plan.load_stream.astype("<u4").tobytes()
    manifest = {
        "network": network_hash(network), "parameters": vars(plan.params), "lanes": plan.params.lanes,
        "board": "ulx3s_85f", "build_id": BUILD, "network_id": network_id(network), "classes": network.classes,
        "image_digest": plan.digest, "outputs": describe_outputs(network, plan.params.batch),
        "task": network.task.as_dict(), "input": describe_input(network, plan.params.batch), "initialised": True,
        "baud": 1_000_000, "estimated_cycles_per_image": 2000, **changes,
    }
    (folder / IMAGE).write_bytes(stream)
    save_network(network, folder / NETWORK)
    seal(folder, manifest)
    return folder, plan.params, stream


def frame(command, sequence, payload=b""):
    """Return the bytes of a frame, written down once more."""
    body = struct.pack("<BBH", command, sequence, len(payload)) + payload
    body += struct.pack("<I", zlib.crc32(body))
    stuffed = b"".join(bytes([0x7D, byte ^ 0x20]) if byte in (0x7D, 0x7E) else bytes([byte]) for byte in body)
    return b"\x7e" + stuffed + b"\x7e"


class FakeBoard:
    """The design; every method is told the time in seconds.

    Parameters
    ----------
    folder : made by `make_folder`
    library : {bytes of a load stream: network}, all networks that will ever be in the memories
    compute_s, byte_s : time that one image, and one byte on the line, takes
    registers : read-only registers to answer otherwise

    Attributes
    ----------
    outbox : deque of (time, byte) on their way to the host
    computed : images computed; ``overlapped``: bytes that came while one was
    """

    def __init__(
        self, folder, library, *, compute_s=0.0, byte_s=0.0, rx_bytes=2048, max_payload=1024, **registers
    ):
        self.manifest = json.loads((folder / "manifest.json").read_text())
        self.library, self.first = library, (folder / "image.bin").read_bytes()
        self.compute_s, self.byte_s, self.rx_bytes, self.max_payload = compute_s, byte_s, rx_bytes, max_payload
        self.registers, self.outbox, self.known = registers, deque(), {}
        self.computed, self.overlapped, self.powered, self.mute = 0, 0, 0, False
        self.power_on()

    def power_on(self):
        """Forget everything; hold what the bitstream holds."""
        self.powered += 1
        self.buffer, self.escaped = bytearray(), False
        self.network, self.memory, self.loading, self.unsound = (0, 0, 0, 1), None, None, False
        if self.manifest["initialised"]:
            described = self.manifest["input"]
            number, size, low, width = self.manifest["network_id"], *map(described.get, ("values", "lowest", "bytes"))
            self.network = (number, size, low, width)
            self.memory = self.first
        self.counters = [0] * 7
        self.outbox.clear()
        self.line_free = self.busy_until = 0.0
        self._drop()

    def _drop(self):
        self.ring, self.image, self.results, self.awaited = deque(), bytearray(), deque(), None

    @property
    def next_time(self):
        """When something happens by itself; None if nothing will."""
        times = [self.outbox[0][0]] if self.outbox else []
        times += [self.results[0][0]] if self.results else []
        times += [self.busy_until] if self.ring else []
        return min(times, default=None)

    def receive(self, byte, now):
        """Take one byte from the line."""
        self.advance(now)
        self.overlapped += now < self.busy_until
        if byte == 0x7E:
            body, cut = bytes(self.buffer), self.escaped
            self.buffer, self.escaped = bytearray(), False
            if body or cut:
                self._frame(body, cut, now)
        elif byte == 0x7D and not self.escaped:
            self.escaped = True
        else:
            self.buffer.append(byte ^ 0x20 * self.escaped)
            self.escaped = False
        self.advance(now)

    def advance(self, now):
        """Give the results that are due, then obey the frames that can be."""
        while self.results and self.results[0][0] <= now:
            _, sequence, number, words = self.results.popleft()
            self.counters[0] += 1
            for at in range(0, len(words), 4 * PIECE_WORDS):
                piece, last = words[at : at + 4 * PIECE_WORDS], at + 4 * PIECE_WORDS >= len(words)
                head = struct.pack("<II", number, at // 4)
                self._send((RESULT if last else PART) | 0x80, sequence, head + piece, now)
        while self.ring:
            command, sequence, payload = self.ring[0]
            if command in (INPUT, RUN) and now < self.busy_until:
                return
            self.ring.popleft()
            answer = self._obey(command, sequence, payload, now)
            if isinstance(answer, tuple):
                self._refuse(command, sequence, *answer, now)
            elif answer is not None:
                self._send(command | 0x80, sequence, answer, now)

    def _send(self, command, sequence, payload, now):
        if self.mute:
            return
        for byte in frame(command, sequence, payload):
            self.line_free = max(self.line_free, now) + self.byte_s
            self.outbox.append((self.line_free, byte))

    def _refuse(self, command, sequence, fault, expected, now):
        self.counters[2 if fault in (DAMAGED, LENGTH) else 4 if fault == OVERRUN else 3] += 1
        self._send(0xFF, sequence, struct.pack("<BBHI", fault, command, 0, expected), now)

    def _frame(self, body, cut, now):
        if cut or len(body) < 8 or zlib.crc32(body[:-4]) != struct.unpack("<I", body[-4:])[0]:
            return self._refuse(0, 0, DAMAGED, 0, now)
        command, sequence, length = struct.unpack_from("<BBH", body)
        payload = body[4:-4]
        if len(payload) != length or length > self.max_payload:
            return self._refuse(command, sequence, LENGTH, self.max_payload, now)
        self.counters[1] += 1
        if command in (ABORT, RESET):
            if payload:
                return self._refuse(command, sequence, PAYLOAD, 0, now)
            self._drop()
            self.busy_until = now
            if command == RESET:
                self.counters, self.loading = [0] * 7, None
            return self._send(command | 0x80, sequence, b"", now)
        if sum(8 + len(frame[2]) for frame in self.ring) + len(body) > self.rx_bytes:
            return self._refuse(command, sequence, OVERRUN, self.rx_bytes, now)
        self.ring.append((command, sequence, payload))
        return None

    def _obey(self, command, sequence, payload, now):
        """Return the payload of the reply, (fault, expected), or None where the reply comes later."""
        if command == IDENTIFY:
            return (PAYLOAD, 0) if payload else self._identity()
        if command == COUNTERS:
            return (PAYLOAD, 0) if payload else struct.pack("<7I", *self.counters)
        if command == LOAD:
            return self._load(payload)
        if command == COMMIT:
            return self._commit(payload)
        if command in (INPUT, RUN):
            return self._image(command, sequence, payload, now)
        if command == AWAIT:
            return self._await(sequence, payload)
        return COMMAND, 2

    def _await(self, sequence, payload):
        if self.unsound or not self.network[0] or payload:
            return DIGEST if self.unsound else PAYLOAD if self.network[0] else NO_NETWORK, 0
        if self.awaited is not None:
            return SEQUENCE, len(self.image)
        self.awaited = sequence
        return None

    def _identity(self):
        build = int(self.manifest["build_id"], 16)
        number, size, low, width = self.network
        found = {
            "MAGIC": 0x46414441, "VERSION": 2, **{f"BUILD_{i}": build >> 32 * i & 0xFFFFFFFF for i in range(4)},
            "NETWORK": number, "INPUT_SIZE": size, "INPUT_LOW": low & 0xFFFFFFFF, "INPUT_BYTES": width,
            "LOADED": struct.unpack("<I", (self.memory or bytes(4))[-4:])[0],
            "LANES": self.manifest["lanes"], "OUTPUTS": self.manifest["parameters"]["outputs"],
            "CLOCK_HZ": CLOCK_HZ, "BAUD": 1_000_000, "RX_BYTES": self.rx_bytes, "MAX_PAYLOAD": self.max_payload,
        } | self.registers
        return struct.pack(f"<{len(found)}I", *found.values())

    def _load(self, payload):
        if len(payload) < 4 or len(payload) % 4:
            return PAYLOAD, 0
        (position,), words = struct.unpack_from("<I", payload), payload[4:]
        if position == 0:
            self._drop()
            self.network, self.memory, self.loading = (0, *self.network[1:]), None, bytearray()
        if self.loading is None or position > len(self.loading) // 4:
            return SEQUENCE, len(self.loading or b"") // 4
        if position == len(self.loading) // 4:
            self.loading += words
            self.unsound = self.loading[-12:] != struct.pack("<III", 0xFF << 24, 1, zlib.crc32(self.loading[:-12]))
        return struct.pack("<I", len(self.loading) // 4)

    def _commit(self, payload):
        if len(payload) != 20:
            return PAYLOAD, 0
        total, *network = struct.unpack("<IIIiI", payload)
        if self.loading is None or total != len(self.loading) // 4:
            return SEQUENCE, len(self.loading or b"") // 4
        if self.unsound:
            return DIGEST, 0
        self.network, self.memory, self.loading = tuple(network), bytes(self.loading), None
        return b""

    def _image(self, command, sequence, payload, now):
        number, size, low, width = self.network
        if self.unsound:
            return DIGEST, 0
        if not number:
            return NO_NETWORK, 0
        if len(payload) < 4:
            return PAYLOAD, 0
        (position,), data = struct.unpack_from("<I", payload), payload[4:]
        if position != len(self.image):
            return SEQUENCE, len(self.image)
        whole, runs = position + len(data) == size * width, command == RUN
        if position + len(data) > size * width or (runs and (not whole or self.awaited is not None)) or (
            not runs and whole and self.awaited is None
        ):
            return PAYLOAD, 0
        self.image += data
        if self.awaited is not None:
            return self._awaited_piece(size * width, number, low, width, now)
        if command == INPUT:
            return struct.pack("<I", len(self.image))
        image, self.image = bytes(self.image), bytearray()
        self.busy_until = now + self.compute_s
        self.results.append((self.busy_until, sequence, number, self._compute(image, low, width)))
        return None

    def _awaited_piece(self, size, number, low, width, now):
        """Give the result as soon as the frames that are there suffice: what follows them does not matter then."""
        frames, length = self.library[self.memory].frames, len(self.image)
        if self.awaited >= 0 and length % (size // frames) == 0:
            words = self._compute(bytes(self.image).ljust(size, b"\0"), low, width)
            if struct.unpack_from("<i", words, 4)[0] <= length * frames // size:
                self.busy_until = now + self.compute_s
                self.results.append((self.busy_until, self.awaited, number, words))
                self.awaited = -1  # given
        if length == size:
            self.image, self.awaited = bytearray(), None
        return struct.pack("<I", length)

    def _compute(self, image, low, width):
        self.computed += 1
        if (self.memory, image) not in self.known:
            network = self.library[self.memory]
            channels, height, columns = network.source.shape
            values = np.frombuffer(image, np.uint8 if width == 1 else "<u2").astype(np.int64) + low
            values = values.reshape(-1, height, columns, channels).transpose(0, 3, 1, 2)
            pixels = values + network.source.offset[:, None, None]
            result = Golden(network).run(pixels if network.source.kind == "direct" else pixels[None])
            counts = fake_cycles(image), 7, result.events.sum(), result.synaptic_ops.sum()
            header = [result.classes[-1].flat[0], result.exit_steps.sum(), *counts]
            outputs = [np.moveaxis(values, 1, -1).reshape(len(values), -1) for values in result.outputs.values()]
            words = [*map(int, header), *np.hstack(outputs).ravel().tolist()]
            self.known[self.memory, image] = struct.pack(f"<{len(words)}i", *words)
        return self.known[self.memory, image]


def fake_cycles(image):
    """Return the cycles that a fake board says an image took, given its bytes."""
    return 1000 + sum(image)
