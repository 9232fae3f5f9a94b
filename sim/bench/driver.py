"""Plays one core in cocotb: feeds its streams with random pauses, takes its results, watches the probe.

One coroutine does all of it, once a clock cycle: what it reads right after the rising edge is what the core saw
at that edge, what it writes is seen at the next one.
"""

from collections import deque
from dataclasses import dataclass, field
from random import Random

import numpy as np
from cocotb.triggers import RisingEdge

__all__ = ["Driver", "Run", "Stuck", "Violation", "unpack"]

COUNTERS = 6  # words of a result before the logits
STALL = 0.3


class Violation(AssertionError):
    """The core broke the rule of its output stream, or sent something that is no result."""


class Stuck(AssertionError):
    """The core did not finish within the limit of cycles."""


@dataclass
class Run:
    """What the core showed from the end of the last result to the end of this one.

    words : the result, `COUNTERS` words and the logits, signed; empty if the image was given up
    tiles : (pass, counts, states) of every tile fired, vectors as the simulator's integers
    """

    words: list = field(default_factory=list)
    tiles: list = field(default_factory=list)


def unpack(vectors, lanes, bits):
    """Return int64 [len(vectors), lanes]: the two's complement numbers in integers, lane 0 lowest."""
    size = -(-lanes * bits // 8)
    packed = np.frombuffer(b"".join(vector.to_bytes(size, "little") for vector in vectors), np.uint8)
    flags = np.unpackbits(packed.reshape(-1, size), axis=1, count=lanes * bits, bitorder="little")
    weights = 1 << np.arange(bits, dtype=np.int64)
    weights[-1] *= -1
    return flags.reshape(-1, lanes, bits) @ weights


def _number(port):
    try:
        return int(port.value)
    except ValueError as error:
        raise Violation(f"{port._name} holds undefined bits: {port.value}") from error


class Driver:
    """The core and everything around it.

    Parameters
    ----------
    dut : the simulator's top module; its clock runs already
    params : gen.layout.program.CoreParams
    seed : of every pause

    Attributes
    ----------
    dut : see above
    runs : finished `Run`, one for every result taken
    cycle : clock cycles so far
    sent : words of the input taken
    """

    def __init__(self, dut, params, seed):
        self.params, self.runs, self.cycle, self.sent = params, [], 0, 0
        self._random = Random(seed).random
        self.dut, self._edge = dut, RisingEdge(dut.clk)
        self._run, self._waiting = Run(), None
        self._input, self._offering, self._taking = deque(), False, False
        self._first = 1 << params.value_bits
        # looked up once: this is what every cycle reads and writes
        self._fired, self._layer = dut.probe_fired, dut.probe_layer
        self._counts, self._states = dut.probe_counts, dut.probe_states
        self._i_valid, self._i_ready, self._i_payload = dut.i__valid, dut.i__ready, dut.i__payload
        self._o_valid, self._o_ready, self._o_payload = dut.o__valid, dut.o__ready, dut.o__payload

    async def reset(self):
        """Hold reset for some cycles, every input idle."""
        dut = self.dut
        for port in (dut.load__valid, dut.load__payload, dut.abort, self._i_valid, self._i_payload, self._o_ready):
            port.value = 0
        dut.rst.value = 1
        for _ in range(4):
            await self._edge
        dut.rst.value = 0
        await self._edge

    def send(self, values, stall=STALL):
        """Queue the input words of one image, signed integers; ``stall`` is the chance of a pause before each."""
        mask = self._first - 1
        self._input += [(int(value) & mask | (self._first if n == 0 else 0), stall) for n, value in enumerate(values)]

    async def until(self, finished, limit):
        """Run the clock until ``finished()`` holds after a cycle; `Stuck` after ``limit`` cycles."""
        for _ in range(limit):
            await self._cycle()
            if finished():
                return
        raise Stuck(f"no result within {limit} cycles, {len(self._run.tiles)} tiles since the last one")

    async def results(self, count, limit):
        """Return the next ``count`` runs, each within ``limit`` cycles."""
        for goal in range(len(self.runs) + 1, len(self.runs) + 1 + count):
            await self.until(lambda goal=goal: len(self.runs) >= goal, limit)
        return self.runs[-count:]

    async def abort(self, limit):
        """Pulse ``abort``, forget the words not yet offered, wait until the core is idle; return the cut `Run`.

        A result that is on its way when the pulse comes is taken as usual and stands in ``runs``; any other
        is a `Violation`.
        """
        finished = len(self.runs)
        self.dut.abort.value = 1
        await self._cycle()
        self.dut.abort.value = 0
        self._input.clear()
        await self._cycle()
        await self._cycle()
        answering = self._run.words or self._waiting is not None or len(self.runs) > finished
        await self.until(lambda: not self._offering and self.dut.idle.value, limit)
        if len(self.runs) > finished and not answering:
            raise Violation("a result came although the image had been given up before")
        return self.cut()

    def cut(self):
        """Return the `Run` since the last result, without a result, and begin another one."""
        run, self._run = self._run, Run()
        return run

    async def load(self, words, limit, stall=STALL):
        """Send 32-bit words to the load port."""
        valid, ready, payload = self.dut.load__valid, self.dut.load__ready, self.dut.load__payload
        for word in words:
            while self._random() < stall:
                valid.value = 0
                await self._edge
            valid.value, payload.value = 1, int(word)
            for _ in range(limit):
                await self._edge
                if ready.value:
                    break
            else:
                raise Stuck(f"the load port took no word within {limit} cycles")
        valid.value = 0
        for _ in range(4):
            await self._edge

    async def _cycle(self):
        await self._edge
        self.cycle += 1
        if self._fired.value:
            self._run.tiles.append((_number(self._layer), _number(self._counts), _number(self._states)))
        self._take()
        if self._offering or self._input:
            self._offer()

    def _take(self):
        if self._o_valid.value:
            word = _number(self._o_payload)
            if self._waiting is not None and word != self._waiting:
                raise Violation(f"the word {self._waiting:#x} changed to {word:#x} before it was taken from the output")
            self._waiting = None if self._taking else word
            if self._taking:
                self._result_word(word)
        elif self._waiting is not None:
            raise Violation(f"the word {self._waiting:#x} was withdrawn from the output before it was taken")
        taking = self._random() >= STALL
        if taking != self._taking:
            self._taking = self._o_ready.value = taking

    def _result_word(self, word):
        words = self._run.words
        words.append((word & 0x7FFFFFFF) - (word & 0x80000000))
        if word >> 32:
            self.runs.append(self._run)
            self._run = Run()
        elif len(words) >= COUNTERS + self.params.classes:
            raise Violation(f"a result has more than {len(words)} words")

    def _offer(self):
        taken = self._offering and self._i_ready.value
        if taken:
            self._offering = False
            self.sent += 1
        if not self._offering and self._input and self._random() >= self._input[0][1]:
            self._i_payload.value = self._input.popleft()[0]
            self._i_valid.value = self._offering = True
        elif taken:
            self._i_valid.value = False
