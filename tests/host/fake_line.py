"""Lines to a `tests.host.fake_board.FakeBoard`, with faults on order.

`MemoryTransport` has a clock of its own, so that timeouts take no time; `PtyBoard` is a pseudo-terminal, so that
pyserial is in the loop.
"""

import os
import select
import threading
import time
import tty
from collections import deque

import numpy as np

from host.errors import Disconnected, LinkError

KINDS = ("drop", "double", "flip", "delay", "reset", "unplug")
DIRECTIONS = ("rx", "tx")


class Faults:
    """What happens to the bytes of a line: {(direction, how many bytes passed before): (kind, argument)}."""

    def __init__(self, plan=()):
        self.plan, self.passed, self.happened = dict(plan), dict.fromkeys(DIRECTIONS, 0), 0

    @classmethod
    def random(cls, seed, count, span):
        """Plan ``count`` faults among the first ``span`` bytes of each direction."""
        rng = np.random.default_rng([seed, 0xFA17])
        places = rng.choice(2 * span, count, replace=False)
        return cls({
            (DIRECTIONS[place % 2], int(place // 2)): (str(rng.choice(KINDS)), int(rng.integers(1, 256)))
            for place in places
        })

    def at(self, direction):
        """Return (kind, argument) for the byte that passes now."""
        place = direction, self.passed[direction]
        self.passed[direction] += 1
        self.happened += place in self.plan
        return self.plan.get(place, (None, 0))


class MemoryTransport:
    """A line without a port, and its own time; the methods of `host.transport.Transport`.

    Arguments of its faults: ``flip`` xors, ``delay`` and ``unplug`` last so many 256ths of a second.
    """

    port = "memory"

    def __init__(self, board, faults=None):
        self.board, self.faults, self.now, self.is_open = board, faults or Faults(), 0.0, True
        self.line, self.line_free, self.plugged_at, self.arrived = deque(), 0.0, 0.0, bytearray()
        self.closed = 0

    def clock(self):
        return self.now

    def write(self, data):
        self._check()
        for byte in data:
            self.line_free = max(self.line_free, self.now) + self.board.byte_s
            self.line.append((self.line_free, byte))

    def read(self, deadline):
        while True:
            self._check()
            self._settle()
            if self.arrived and self.is_open:
                data, self.arrived = bytes(self.arrived), bytearray()
                return data
            times = [self.line[0][0]] if self.line else []
            times += [self.board.next_time] if self.board.next_time is not None else []
            if not times or min(times) > deadline:
                self.now = max(self.now, deadline)
                return b""
            self.now = max(self.now, min(times))

    def close(self):
        self.is_open, self.closed = False, self.closed + 1

    def reopen(self, seconds):
        if self.plugged_at > self.now + seconds:
            self.now += seconds
            raise LinkError(f"The port memory did not come back within {seconds:g} s.")
        self.now = max(self.now, self.plugged_at)
        self.is_open = True

    def _check(self):
        if not self.is_open:
            raise Disconnected("the port memory is gone")

    def _settle(self):
        """Let everything happen that happens now."""
        while self.is_open and self.line and self.line[0][0] <= self.now:
            _, byte = self.line.popleft()
            for good in self._through("rx", byte, self.line):
                self.board.receive(good, self.now)
        self.board.advance(self.now)
        while self.is_open and self.board.outbox and self.board.outbox[0][0] <= self.now:
            _, byte = self.board.outbox.popleft()
            self.arrived += self._through("tx", byte, self.board.outbox)

    def _through(self, direction, byte, queue):
        kind, argument = self.faults.at(direction)
        if kind == "reset":
            self.board.power_on()
        elif kind == "unplug":
            self.is_open, self.plugged_at = False, self.now + argument / 256
            self.line.clear()
            self.board.outbox.clear()
            self.arrived.clear()
        elif kind == "delay":
            late = [(at + argument / 256, later) for at, later in [(self.now, byte), *queue]]
            queue.clear()
            queue.extend(late)
        return spoilt(kind, argument, byte)


def spoilt(kind, argument, byte):
    """Return what is left of a byte."""
    left = {None: [byte], "double": [byte, byte], "flip": [byte ^ argument]}
    return bytes(left.get(kind, []))


class PtyBoard:
    """A fake board behind a pseudo-terminal in a thread of its own; a context manager. ``port`` is its name."""

    def __init__(self, board, port, faults=None):
        self.board, self.port, self.faults = board, str(port), faults or Faults()
        self._over, self._lock, self._master = threading.Event(), threading.Lock(), None
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def plug(self):
        """Make the port appear under its name."""
        with self._lock:
            self._master, slave = os.openpty()
            tty.setraw(slave)
            os.symlink(os.ttyname(slave), self.port)
            self._slave = slave

    def unplug(self):
        """Make the port disappear, under whoever has it open."""
        with self._lock:
            if self._master is not None:
                os.unlink(self.port)
                os.close(self._master)
                os.close(self._slave)
                self._master = None

    def __enter__(self):
        self.plug()
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()
        self.unplug()

    def _serve(self):
        while not self._over.is_set():
            with self._lock:
                data = self._received()
                now = time.monotonic()
                for byte in data:
                    kind, argument = self.faults.at("rx")
                    if kind == "reset":
                        self.board.power_on()
                    for good in spoilt(kind, argument, byte):
                        self.board.receive(good, now)
                self.board.advance(now)
                self._deliver(now)
            if not data:
                time.sleep(0.002)

    def _received(self):
        if self._master is None or not select.select([self._master], [], [], 0)[0]:
            return b""
        return os.read(self._master, 4096)

    def _deliver(self, now):
        data = bytearray()
        while self.board.outbox and self.board.outbox[0][0] <= now:
            _, byte = self.board.outbox.popleft()
            kind, argument = self.faults.at("tx")
            data += spoilt(kind, argument, byte)
        if data and self._master is not None:
            os.write(self._master, data)
