"""The host's end of the link: windows, sequence numbers, deadlines, and replies that are none."""

import struct
from collections import deque

import pytest

from host.errors import Disconnected, LinkError, LinkFault, Refused
from host.link import FIRST_WINDOW, RESETS, Link
from hw.regmap import Command, Fault, decode, frames
from tests.host.fake_board import frame

TIMEOUT_S = 2.0


class Scripted:
    """A transport that hands every request to ``answer``, which returns the bytes that come back, if any."""

    port = "scripted"

    def __init__(self, answer):
        self.answer, self.now, self.is_open = answer, 0.0, True
        self.requests, self.waiting, self.buffer = [], deque(), bytearray()

    def clock(self):
        return self.now

    def write(self, data):
        if not self.is_open:
            raise Disconnected("the port scripted is closed")
        self.buffer += data
        for body in frames(self.buffer):
            request = decode(body)
            self.requests.append(request)
            self.waiting.append(self.answer(*request) or b"")

    def read(self, deadline):
        if not any(self.waiting):
            self.waiting.clear()
            self.now = max(self.now, deadline)
        return self.waiting.popleft() if self.waiting else b""

    def close(self):
        self.is_open = False

    def reopen(self, seconds):
        self.is_open = True


def echo(command, sequence, payload):
    return frame(0x80 | command, sequence, payload)


def linked(answer):
    return Link(Scripted(answer), TIMEOUT_S)


def requests(count, size=4):
    return [(n, Command.INPUT, bytes([n % 256]) * size) for n in range(count)]


def test_a_request_and_its_reply():
    link = linked(echo)
    assert link.ask(Command.COUNTERS, b"abc") == b"abc"
    (command, sequence, payload), = link.transport.requests
    assert (command, payload) == (Command.COUNTERS, b"abc") and 1 <= sequence <= 255
    assert (link.statistics.requests, link.statistics.replies) == (1, 1)


def test_sequence_numbers_never_are_zero_nor_in_use_twice():
    link = linked(echo)
    link.window = 4096
    assert [key for key, _, _ in link.stream(requests(1000))] == list(range(1000))
    used = [sequence for _, sequence, _ in link.transport.requests]
    assert set(used) == set(range(1, 256))
    assert all(len(set(used[i : i + 255])) == 255 for i in range(0, 765, 255))


@pytest.mark.parametrize("window, size, most", [
    (FIRST_WINDOW, 4, 5), (100, 42, 2), (50, 42, 1), (2048, 796, 2), (4096, 0, 128),
])
def test_the_window_is_filled_and_never_exceeded(window, size, most):
    unanswered, highest = deque(), []

    def hold_back(command, sequence, payload):
        unanswered.append((command, sequence, payload))
        highest.append(len(unanswered))
        assert sum(8 + len(held[2]) for held in unanswered) <= window

    link = linked(hold_back)
    link.window = window

    def read(deadline):
        return echo(*unanswered.popleft())

    link.transport.read = read
    replies = {key: reply for key, last, reply in link.stream(requests(300, size)) if last}
    assert replies == {n: bytes([n % 256]) * size for n in range(300)}
    assert max(highest) == most


def test_replies_may_come_in_any_order_and_in_pieces():
    held = []
    link = linked(lambda *request: held.append(request))
    link.window = 1000

    def read(deadline):
        if not read.data:
            read.data += b"".join(echo(*request) for request in reversed(held))
            held.clear()
        piece, read.data = read.data[:3], read.data[3:]
        return piece

    read.data = b""
    link.transport.read = read
    keys = [key for key, _, _ in link.stream(requests(30))]
    assert sorted(keys) == list(range(30)) and keys[:3] == [29, 28, 27]


def test_a_run_is_answered_by_a_result():
    link = linked(lambda command, sequence, payload: frame(0x89, sequence, b"result"))
    assert link.ask(Command.RUN, b"pixels") == b"result"
    with pytest.raises(LinkFault, match="^the reply to INPUT is of the kind 0x89$"):
        link.ask(Command.INPUT)


def test_a_run_is_answered_by_parts_and_a_result():
    def in_parts(command, sequence, payload):
        if command != Command.RUN:
            return frame(0x8A, sequence)
        return b"".join(frame(code, sequence, piece) for code, piece in ((0x8A, b"a"), (0x8A, b"b"), (0x89, b"c")))

    link = linked(in_parts)
    runs = [(n, Command.RUN, b"pixels") for n in range(2)]
    assert list(link.stream(runs)) == [
        (n, last, piece) for n in range(2) for last, piece in ((False, b"a"), (False, b"b"), (True, b"c"))
    ]
    with pytest.raises(LinkFault, match="^the reply to INPUT is of the kind 0x8a$"):
        link.ask(Command.INPUT)


def slow(answers):
    """Return a link whose first request is answered by these kinds, each 0.9 of the deadline behind the one before."""
    link, asked, left, due = linked(lambda *request: asked.append(request)), [], list(answers), [0.9 * TIMEOUT_S]

    def read(deadline):
        link.transport.now = min(deadline, due[0]) if left else deadline
        if not left or link.transport.now < due[0]:
            return b""
        due[0] += 0.9 * TIMEOUT_S
        return frame(left.pop(0), asked[0][1])

    link.transport.read = read
    return link


@pytest.mark.parametrize("answers, within", [([0x8A, 0x8A, 0x89], True), ([0x8A, 0x8A], False)])
def test_every_piece_of_an_answer_renews_the_deadline_of_what_is_followed(answers, within):
    link = slow(answers)
    if within:
        assert len(link.follow(())) == 3 and link.transport.now == pytest.approx(2.7 * TIMEOUT_S)
    else:
        with pytest.raises(LinkFault, match="no reply came within"):
            link.follow(())
        assert link.transport.now == pytest.approx(2.8 * TIMEOUT_S, rel=1e-3)


@pytest.mark.parametrize("answers, within", [([0x8A, 0x8A, 0x89], True), ([0x8A, 0x8A], False)])
def test_every_piece_of_an_answer_renews_the_deadline(answers, within):
    """They come 0.9 of the time apart: all together take far longer than one deadline."""
    link = slow(answers)
    if within:
        assert len(list(link.stream([(0, Command.RUN, b"x")]))) == 3
        assert link.transport.now == pytest.approx(2.7 * TIMEOUT_S)
    else:  # and no longer than one deadline after the last of them
        with pytest.raises(LinkFault, match="no reply came within"):
            list(link.stream([(0, Command.RUN, b"x")]))
        assert link.transport.now == pytest.approx(2.8 * TIMEOUT_S)


def test_a_reset_is_answered_by_its_own_number_only():
    """The late reply to an earlier RESET says nothing of this one."""
    link = linked(lambda command, sequence, payload: frame(0x88, sequence % 255 + 1))
    with pytest.raises(LinkError, match="5 requests to reset, no reply within"):
        link.synchronise()


def test_replies_to_nothing_are_passed_over():
    def with_another(command, sequence, payload):
        return frame(0x80 | command, sequence % 255 + 1) + b"\x7e\x7e" + echo(command, sequence, payload)

    link = linked(with_another)
    assert link.ask(Command.COUNTERS, b"mine") == b"mine"
    assert link.statistics.strays == 1


@pytest.mark.parametrize("answer, text", [
    (lambda *request: b"", r"^no reply came within 2\.0 s$"),
    (lambda *request: b"noise without a flag", r"^no reply came within 2\.0 s$"),
    (lambda command, sequence, payload: frame(0x81, sequence % 255 + 1), r"^no reply came within 2\.0 s$"),
    (lambda *request: echo(*request)[:-3] + b"x\x7e", "^a reply arrived damaged$"),
    (lambda *request: b"x" * 70000, "^a reply arrived damaged$"),
    (lambda *request: frame(0xFF, 3, b"\1"), "^an error reply of an unknown form came$"),
    (lambda *request: frame(0xFF, 0, struct.pack("<BBHI", 1, 0, 0, 0)), r"^the board refused a frame as DAMAGED"),
    (lambda *request: frame(0xFF, 9, struct.pack("<BBHI", 77, 99, 0, 5)),
     r"^the board refused command 0x63 as fault 77 \(expected 5\)$"),
])
def test_what_is_no_reply_is_a_fault_in_bounded_time(answer, text):
    link = linked(answer)
    with pytest.raises(LinkFault, match=text):
        link.ask(Command.IDENTIFY)
    assert link.transport.now <= TIMEOUT_S
    assert link.statistics.damaged + link.statistics.timeouts + link.statistics.refused == 1


@pytest.mark.parametrize("fault", Fault)
def test_an_error_reply_is_told(fault):
    def refuse(command, sequence, payload):
        return frame(0xFF, sequence, struct.pack("<BBHI", fault, command, 0, 42))

    link = linked(refuse)
    with pytest.raises(Refused, match=rf"as {fault.name} \(expected 42\)$") as caught:
        link.ask(Command.LOAD)
    assert (caught.value.fault, caught.value.expected) == (fault, 42)


def test_what_came_before_a_fault_is_not_lost():
    def second_is_refused(command, sequence, payload):
        if payload[:1] == b"\1":
            return frame(0xFF, sequence, struct.pack("<BBHI", 4, command, 0, 0))
        return echo(command, sequence, payload)

    link, got = linked(second_is_refused), []
    with pytest.raises(Refused):
        for key, _, _ in link.stream(requests(2)):
            got.append(key)
    assert got == [0]


def test_a_babbling_line_times_out():
    link = linked(lambda *request: b"")

    def read(deadline):
        link.transport.now += 0.1
        return b"babble"

    link.transport.read = read
    with pytest.raises(LinkFault, match="no reply came within"):
        link.ask(Command.IDENTIFY)
    assert link.transport.now <= 2 * TIMEOUT_S


def test_synchronising_passes_over_everything_before_its_reply():
    def late(command, sequence, payload):
        old = frame(0xFF, 0, struct.pack("<BBHI", 1, 0, 0, 0)) + frame(0x89, 7, b"old") + b"\x7ebroken\x7e"
        return old + frame(0x88, sequence % 255 + 1) + echo(command, sequence, payload)

    link = linked(late)
    link.synchronise()
    assert [command for command, _, _ in link.transport.requests] == [Command.RESET]
    link.synchronise(Command.ABORT)
    assert link.transport.requests[-1][0] == Command.ABORT
    assert link.statistics.damaged == 2


def test_a_reset_is_sent_again_until_it_is_answered():
    answered = []

    def third_time(command, sequence, payload):
        answered.append(sequence)
        return echo(command, sequence, payload) if len(answered) == 3 else b""

    link = linked(third_time)
    link.synchronise()
    assert len(answered) == len(set(answered)) == 3 and link.statistics.timeouts == 2


@pytest.mark.parametrize("answer, advice", [
    (lambda *request: b"", r"Check that this is the board's port, that its bitstream is loaded, its clock"),
    (lambda *request: b"\xf3\x00", r"Something comes and it is no reply: check the baud rate"),
])
def test_a_dead_board_is_given_up_in_bounded_time(answer, advice):
    link = linked(answer)
    text = rf"^The board at scripted does not answer: 5 requests to reset, no reply within 2\.0 s\. {advice}"
    with pytest.raises(LinkError, match=text) as caught:
        link.synchronise()
    assert not isinstance(caught.value, LinkFault)
    assert len(link.transport.requests) == RESETS and link.transport.now == RESETS * TIMEOUT_S


def test_a_port_that_vanished_is_opened_again():
    link = linked(echo)
    link.transport.close()
    with pytest.raises(Disconnected):
        link.ask(Command.IDENTIFY)
    link.synchronise()
    assert link.statistics.reconnects == 1
    assert link.ask(Command.IDENTIFY, b"here") == b"here"


def test_a_port_that_vanishes_whenever_it_is_used_is_given_up():
    link = linked(echo)

    def vanish(data):
        link.transport.close()
        raise Disconnected("the port scripted vanished")

    link.transport.write = vanish
    with pytest.raises(LinkError, match="5 requests to reset, the port scripted vanished"):
        link.synchronise()
