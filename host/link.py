"""Requests and replies over a port: sequence numbers, several requests at once, deadlines. Frames: `hw.regmap`."""

import random
from dataclasses import dataclass
from typing import Any

from host.errors import Disconnected, LinkError, LinkFault, Refused
from hw.regmap import ERROR, ERROR_REPLY, FRAME_OVERHEAD, REPLY, Command, Fault, decode, encode, frames

__all__ = ["Link", "Statistics"]

FIRST_WINDOW = 64        # bytes; before the board has said what it can hold
MOST_UNANSWERED = 128    # of 255 sequence numbers
RESETS = 5               # how often a reset is sent before the board counts as dead
RECONNECT_S = 15.0       # how long an unplugged cable may stay unplugged
LONGEST_REPLY = 1 << 16  # bytes without a flag that are certainly no reply
POLL_S = 0.001           # how often what is not yet to be sent is asked for

# What answers a request: others are answered by themselves; and what comes before that, any number of them.
_ANSWERS: dict[Command, Command] = dict.fromkeys((Command.RUN, Command.AWAIT), Command.RESULT)
_PARTS: dict[Command, Command] = dict.fromkeys((Command.RUN, Command.AWAIT), Command.PART)


@dataclass
class Statistics:
    """What a link has been through."""

    requests: int = 0
    replies: int = 0
    damaged: int = 0      # replies that arrived broken
    refused: int = 0      # error replies
    timeouts: int = 0     # nothing came in time
    strays: int = 0       # replies to nothing that was asked
    reconnects: int = 0   # the port vanished and came back
    retries: int = 0      # times that work was taken up again


class Link:
    """The host's end of the link.

    Parameters
    ----------
    transport : `host.transport.Transport`, or whatever has its methods
    timeout : float
        Seconds without any reply after which what was asked counts as lost.
    reconnect : float
        Seconds in which a port that vanished must come back.

    Attributes
    ----------
    window : int
        Bytes that unanswered requests may take, 8 and the payload for each; the register RX_BYTES.
    statistics : Statistics
    """

    def __init__(self, transport, timeout, reconnect=RECONNECT_S):
        self.transport, self.timeout, self.reconnect = transport, timeout, reconnect
        self.window, self.statistics = FIRST_WINDOW, Statistics()
        self._received, self._heard = bytearray(), False
        self._sequence = random.randrange(255)

    def ask(self, command, payload=b""):
        """Send one request and return the payload of its reply; raises `LinkFault`."""
        ((_, _, reply),) = self.stream([(None, command, payload)])
        return reply

    def stream(self, requests):
        """Send requests, as many at once as the window allows, and yield replies as they come.

        Parameters
        ----------
        requests : iterable of (key, command, payload)
            No request may be larger than the window.

        Yields
        ------
        (key, whether it is the last one to this request, payload) of each reply.

        Raises
        ------
        LinkFault
            At the first reply that is an error, damaged, not what the request can have, or not there in time.
            What is unanswered then stays so: `synchronise` before the next request.
        """
        requests, used = iter(requests), 0
        unanswered: dict[int, tuple[Any, Command, int]] = {}
        upcoming = next(requests, None)
        while upcoming or unanswered:
            sent = bytearray()
            while upcoming and len(unanswered) < MOST_UNANSWERED:
                key, command, payload = upcoming
                size = FRAME_OVERHEAD + len(payload)
                if used + size > self.window:
                    break
                sequence = self._next_sequence()
                unanswered[sequence], used = (key, command, size), used + size
                sent += encode(command, sequence, payload)
                upcoming = next(requests, None)
            self._send(sent)
            deadline, answered = self._deadline(), False
            while not answered:
                for frame in self._receive(deadline):
                    if frame is None:
                        raise LinkFault("a reply arrived damaged")
                    sequence = self._checked(frame, unanswered)
                    if sequence is None:
                        continue
                    answered, (key, asked, size) = True, unanswered[sequence]
                    last = frame[0] == _ANSWERS.get(asked, asked) | REPLY
                    if last:
                        del unanswered[sequence]
                        used -= size
                    yield key, last, frame[2]
                if not answered and self.transport.clock() >= deadline:
                    self.statistics.timeouts += 1
                    raise LinkFault(f"no reply came within {self.timeout:.1f} s")

    def follow(self, pieces):
        """Send AWAIT, then ``pieces`` as they come, and return the payloads of its result: PART, ..., RESULT.

        What is not sent yet when the result is there is not sent any more, and what is unanswered stays so:
        `synchronise` before the next request, or `ask` where all pieces were taken.

        Parameters
        ----------
        pieces : iterable of (command, payload), or None where the next one is still to come

        Raises
        ------
        LinkFault
            As `stream`; the board may take its time for as long as pieces are still to come.
        """
        pieces, used, parts = iter(pieces), FRAME_OVERHEAD, []
        unanswered: dict[int, tuple[Any, Command, int]] = {}
        upcoming, ended, begun = None, False, self.transport.clock()
        awaited = self._next_sequence()
        unanswered[awaited] = None, Command.AWAIT, FRAME_OVERHEAD
        self._send(encode(Command.AWAIT, awaited))
        while True:
            if upcoming is None and not ended:
                try:
                    upcoming = next(pieces)
                except StopIteration:
                    ended = True
            size = FRAME_OVERHEAD + len(upcoming[1]) if upcoming else 0
            sends = upcoming is not None and used + size <= self.window
            if upcoming and sends:
                (command, payload), upcoming, sequence = upcoming, None, self._next_sequence()
                unanswered[sequence], used = (None, command, size), used + size
                self._send(encode(command, sequence, payload))
                begun = self.transport.clock()
            waits = ended or upcoming is not None or len(unanswered) > 1
            for frame in self._receive(self.transport.clock() + (0 if sends else POLL_S)):
                if frame is None:
                    raise LinkFault("a reply arrived damaged")
                sequence = self._checked(frame, unanswered)
                begun = self.transport.clock()
                if sequence == awaited:
                    parts.append(frame[2])
                    if frame[0] == Command.RESULT | REPLY:
                        return parts
                elif sequence is not None:
                    used -= unanswered.pop(sequence)[2]
            if waits and self.transport.clock() >= begun + self.timeout:
                self.statistics.timeouts += 1
                raise LinkFault(f"no reply came within {self.timeout:.1f} s")

    def synchronise(self, command=Command.RESET):
        """Bring both ends to the same place: RESET, or ABORT, is answered and everything asked before is given up.

        A port that vanished is opened again. Raises `LinkError` if the board does not answer several times.
        """
        reason = ""
        for _ in range(RESETS):
            try:
                if not self.transport.is_open:
                    self.transport.reopen(self.reconnect)
                    self.statistics.reconnects += 1
                if self._answered(command):
                    return
                reason = f"no reply within {self.timeout:.1f} s"
            except Disconnected as fault:
                reason = str(fault)
        raise LinkError(
            f"The board at {self.transport.port} does not answer: {RESETS} requests to {command.name.lower()}, "
            f"{reason}. {self._advice()}"
        )

    def _advice(self):
        if self._heard:
            return "Something comes and it is no reply: check the baud rate, and that this is the board's port."
        return "Check that this is the board's port, that its bitstream is loaded, its clock, and the cable."

    def _answered(self, command):
        sequence, deadline = self._next_sequence(), self._deadline()
        self._send(encode(command, sequence))
        while self.transport.clock() < deadline:
            if any(frame and frame[:2] == (command | REPLY, sequence) for frame in self._receive(deadline)):
                self.statistics.replies += 1
                return True
        self.statistics.timeouts += 1
        return False

    def _send(self, data):
        if data:
            self.transport.write(bytes(data))

    def _receive(self, deadline):
        """Return the frames that have come, waiting for some bytes until ``deadline``; None for a damaged one."""
        data = self.transport.read(deadline)
        self._heard = self._heard or bool(data)
        self._received += data
        decoded = [decode(body) for body in frames(self._received)]
        if len(self._received) > LONGEST_REPLY:
            self._received.clear()
            decoded.append(None)
        self.statistics.damaged += decoded.count(None)
        return decoded

    def _checked(self, frame, unanswered):
        """Return the sequence number of the request that a frame answers, None for one that nobody waits for."""
        command, sequence, payload = frame
        if command == ERROR_REPLY:
            self.statistics.refused += 1
            raise _refusal(payload)
        if sequence not in unanswered:
            self.statistics.strays += 1
            return None
        asked = unanswered[sequence][1]
        if command & ~REPLY not in (_ANSWERS.get(asked, asked), _PARTS.get(asked)):
            raise LinkFault(f"the reply to {asked.name} is of the kind 0x{command:02x}")
        self.statistics.replies += 1
        return sequence

    def _next_sequence(self):
        """Return the next of 1..255; 0 is what errors about a damaged frame carry."""
        self._sequence = self._sequence % 255 + 1
        self.statistics.requests += 1
        return self._sequence

    def _deadline(self):
        return self.transport.clock() + self.timeout


def _refusal(payload):
    if len(payload) != ERROR.size:
        return LinkFault("an error reply of an unknown form came")
    number, command, _, expected = ERROR.unpack(payload)
    known = number in set(Fault)
    fault = Fault(number).name if known else f"fault {number}"
    name = Command(command).name if command in set(Command) else f"command 0x{command:02x}"
    about = "a frame" if number == Fault.DAMAGED else name
    return Refused(
        f"the board refused {about} as {fault} (expected {expected})", Fault(number) if known else None, expected
    )
