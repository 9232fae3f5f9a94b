"""THE map of registers, commands and frames: gateware decodes it, the host encodes it, docs and C header print it.

A frame on the wire is ``FLAG, stuffed(header, payload, CRC-32), FLAG``, HDLC-like as in RFC 1662: inside, a `FLAG`
or `ESCAPE` byte is sent as `ESCAPE` and the byte xor `STUFF`. One flag may end a frame and begin the next; empty
frames mean nothing. The header is command, sequence number and length of the payload (`HEADER`); the CRC is that
of Ethernet and zlib over header and payload. All numbers are little-endian.

Every request is answered by a frame with its sequence number: `Command` with `REPLY` set, or an `ERROR_REPLY` with the
payload `ERROR`. The answer to RUN is of other commands: any number of PART and one RESULT. A frame too damaged to be
understood is answered by an error with sequence number 0.
"""

import zlib
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct

__all__ = [
    "COMMIT", "COUNTERS", "Command", "ERROR", "ERROR_REPLY", "ESCAPE", "FLAG", "FRAME_OVERHEAD", "Fault", "HEADER",
    "IDENTITY", "LONGEST_PAYLOAD", "MAGIC", "MOST_IMAGE_BYTES", "PIECE", "PIECE_WORDS", "POSITION", "PROTOCOL",
    "REGISTERS", "REPLY", "RESULT_WORDS", "Register", "STUFF", "WRITABLE", "crc", "decode", "encode", "frames",
    "register",
]

MAGIC = 0x46414441  # "ADAF"
PROTOCOL = 2

FLAG, ESCAPE, STUFF = 0x7E, 0x7D, 0x20
REPLY, ERROR_REPLY = 0x80, 0xFF
HEADER = Struct("<BBH")      # command, sequence number, bytes of payload
POSITION = Struct("<I")      # before the data of LOAD, INPUT and RUN; alone in the replies to LOAD and INPUT
COMMIT = Struct("<IIIiI")    # words of the whole load stream, then NETWORK, INPUT_SIZE, INPUT_LOW, INPUT_BYTES
ERROR = Struct("<BBHI")      # fault, command, 0, what was expected
PIECE = Struct("<II")        # NETWORK, POSITION in words: before the words of PART and RESULT
PIECE_WORDS = 64             # of a result, in one PART or RESULT, at most
FRAME_OVERHEAD = HEADER.size + 4
LONGEST_PAYLOAD = 2**16 - 1  # bytes, by the header
MOST_IMAGE_BYTES = 2**32 - 1  # by POSITION
RESULT_WORDS = ("class", "timesteps", "cycles", "busy_cycles", "events", "synaptic_ops")


def _described(cls, number, **words):
    """Return the member ``number`` of an enumeration, with ``words`` as its attributes."""
    made = int.__new__(cls, number)
    made._value_ = number
    vars(made).update(words)
    return made


class Command(IntEnum):
    """What the host may ask: ``payload`` of the request, ``reply`` (its payload), and ``meaning``."""

    payload: str
    reply: str
    meaning: str

    def __new__(cls, number, payload, reply, meaning):
        return _described(cls, number, payload=payload, reply=reply, meaning=meaning)

    IDENTIFY = 0x01, "nothing", "the registers MAGIC to MAX_PAYLOAD", "Say what the design is."
    LOAD = 0x02, "POSITION in words, words of the load stream", "POSITION of the next word", (
        "Take a piece of a network; position 0 resets the core and begins anew.")
    COMMIT = 0x03, "words of the whole load stream, NETWORK, INPUT_SIZE, INPUT_LOW, INPUT_BYTES", "nothing", (
        "Let the network loaded run.")
    INPUT = 0x04, "POSITION in bytes, input values", "POSITION of the next byte", (
        "Take a piece of an image, not its last one but after AWAIT.")
    RUN = 0x05, "POSITION in bytes, input values", "none of its own: PART, RESULT", "Take the last piece of an image."
    ABORT = 0x06, "nothing", "nothing", "Give up every image sent before; no result of theirs comes any more."
    COUNTERS = 0x07, "nothing", "the registers RESULTS to BUSY", "Say what was counted."
    RESET = 0x08, "nothing", "nothing", "ABORT, reset the core, counters to 0, give up a load under way."
    RESULT = 0x09, "never asked", "register NETWORK, POSITION in words, words of the result", (
        "Answers RUN: the last piece of a result.")
    PART = 0x0A, "never asked", "as RESULT", "Answers RUN: a piece of a result, not its last one."
    AWAIT = 0x0B, "nothing", "none of its own: PART, RESULT", (
        "Answer with the result of this image as soon as it is decided; INPUT brings all its pieces.")


class Fault(IntEnum):
    """Why a frame was not obeyed: ``meaning``, and what ``expected`` of `ERROR` says."""

    meaning: str
    expected: str

    def __new__(cls, number, meaning, expected):
        return _described(cls, number, meaning=meaning, expected=expected)

    DAMAGED = 1, "Wrong CRC, too short, or a byte without its stop bit; of sequence number 0.", "0"
    LENGTH = 2, "The header's length is not that of the frame, or too long.", "the longest payload"
    COMMAND = 3, "There is no such command.", "the version of the protocol"
    PAYLOAD = 4, "A payload that the command cannot have.", "0"
    SEQUENCE = 5, "A piece that is not the next one.", "the position of the next one"
    NO_NETWORK = 6, "Nothing is loaded, or a load was not committed.", "0"
    OVERRUN = 7, "Dropped: more was sent than the buffer holds.", "RX_BYTES"
    DIGEST = 8, "A load has begun, and the digest that ends a load has not come, or is not that of its words.", "0"


@dataclass(frozen=True)
class Register:
    """A 32-bit register: its ``offset`` in bytes on a bus, ``access`` ``ro``, ``rw``, ``wo``, and what it holds."""

    name: str
    offset: int
    access: str
    meaning: str


def _bank(offset, *rows):
    return tuple(Register(name, offset + 4 * i, access, meaning) for i, (name, access, meaning) in enumerate(rows))


IDENTITY = _bank(
    0x00,
    ("MAGIC", "ro", 'The letters "ADAF", the first one lowest.'),
    ("VERSION", "ro", "Version of this map."),
    ("BUILD_0", "ro", "Build id, bits 0 to 31: a hash of parameters, memory image and tool versions."),
    ("BUILD_1", "ro", "Build id, bits 32 to 63."),
    ("BUILD_2", "ro", "Build id, bits 64 to 95."),
    ("BUILD_3", "ro", "Build id, bits 96 to 127."),
    ("NETWORK", "rw", "Number of the network in the memories; 0 while there is none."),
    ("INPUT_SIZE", "rw", "Input values of one image, all its maps."),
    ("INPUT_LOW", "rw", "Smallest input value, signed: over the UART a value is sent as what it is above that."),
    ("INPUT_BYTES", "rw", "Bytes of one input value over the UART, 1 or 2."),
    ("LOADED", "ro", "The digest of the network in the memories: CRC-32, the last word of its load stream."),
    ("LANES", "ro", "Lanes of the core."),
    ("OUTPUTS", "ro", "The most values a result can have, all outputs together."),
    ("CLOCK_HZ", "ro", "Clock of the core; 0 where the bus does not say."),
    ("BAUD", "ro", "Bits per second of the UART; 0 on a bus."),
    ("RX_BYTES", "ro", "Bytes that unanswered requests may take, header and CRC included; 0 on a bus."),
    ("MAX_PAYLOAD", "ro", "Bytes of the longest payload of a request; 0 on a bus."),
)
WRITABLE = tuple(register for register in IDENTITY if register.access == "rw")

COUNTERS = _bank(
    0x60,
    ("RESULTS", "ro", "Results given since reset."),
    ("FRAMES", "ro", "Good frames received."),
    ("DAMAGED", "ro", "Frames received with a wrong CRC, cut off, or of a wrong length."),
    ("REFUSED", "ro", "Good frames answered by an error."),
    ("OVERRUNS", "ro", "Frames dropped for want of room."),
    ("UART_ERRORS", "ro", "Bytes received without their stop bit."),
    ("BUSY", "ro", "Clock cycles in which the core was not idle, modulo 2^32."),
)

BUS = _bank(
    0x80,
    ("CONTROL", "wo", "Bit 0 gives up the image under way; bit 1 resets the core, memories stay."),
    ("STATUS", "ro", "Bit 0: the core is idle; bit 1: LOAD takes a word; bit 2: INPUT takes a value; "
                     "bit 3: RESULT holds a word; bit 4: that word is the last of its result; bit 5: a load has "
                     "begun whose right digest has not come, and nothing runs."),
    ("LOAD", "wo", "A word of the load stream, taken where STATUS says so."),
    ("INPUT", "wo", "An input value, signed, in bits 0 to 15; bit 16 marks the first one of an image."),
    ("RESULT", "ro", "The next word of a result; reading takes it."),
    ("MEMORY", "rw", "On AXI, of a core with a memory outside the chip: the address of its first byte, a multiple of "
                     "4,096. While it is 0 nothing is asked of the memory. It outlives every reset."),
)

REGISTERS = {register.name: register for register in (*IDENTITY, *COUNTERS, *BUS)}


def register(name):
    """Return the word index of a register."""
    return REGISTERS[name].offset // 4


def crc(data):
    """Return the CRC-32 of header and payload."""
    return zlib.crc32(data)


def encode(command, sequence, payload=b""):
    """Return the bytes of one frame, flags included."""
    body = HEADER.pack(command, sequence, len(payload)) + payload
    body += crc(body).to_bytes(4, "little")
    for byte in (ESCAPE, FLAG):
        body = body.replace(bytes([byte]), bytes([ESCAPE, byte ^ STUFF]))
    return bytes([FLAG]) + body + bytes([FLAG])


def decode(body):
    """Return (command, sequence, payload) of what stands between two flags; None if it is damaged."""
    parts = body.split(bytes([ESCAPE]))
    if any(not part for part in parts[1:]):
        return None
    plain = parts[0] + b"".join(bytes([part[0] ^ STUFF]) + part[1:] for part in parts[1:])
    if len(plain) < FRAME_OVERHEAD or crc(plain[:-4]) != int.from_bytes(plain[-4:], "little"):
        return None
    command, sequence, length = HEADER.unpack_from(plain)
    payload = plain[HEADER.size : -4]
    return (command, sequence, payload) if len(payload) == length else None


def frames(buffer):
    """Take the whole frames off a bytearray of received bytes; return their bodies, empty ones left out."""
    *bodies, rest = bytes(buffer).split(bytes([FLAG]))
    buffer[:] = rest
    return [body for body in bodies if body]
