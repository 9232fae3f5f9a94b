"""Plays one core in cocotb: feeds its streams with random pauses, takes its results, watches the probe.

One coroutine does all of it, once a clock cycle: what it reads right after the rising edge is what the core saw
at that edge, what it writes is seen at the next one. The core works on the next image while a result is taken: the
neurons that fire before a result is offered are those of its image.
"""

from collections import deque
from dataclasses import dataclass, field
from random import Random

import numpy as np
from cocotb.triggers import RisingEdge

from gen.inputs import input_beats
from sim.compiled_core import LOAD_CYCLES, Probe

__all__ = ["STALL", "Driver", "Run", "Stuck", "Violation", "probe_of"]

STALL = 0.3


class Violation(AssertionError):
    """The core broke the rule of its output stream, or sent something that is no result."""


class Stuck(AssertionError):
    """The core did not finish within the limit of cycles."""


@dataclass
class Run:
    """What the core showed of an image, or of all that it takes together.

    words : the result, signed; empty if it was given up
    fired : (which, pass, counts, states) of every cycle in which neurons fired, vectors as the simulator's integers
    """

    words: list = field(default_factory=list)
    fired: list = field(default_factory=list)


def probe_of(fired, params):
    """Return the `sim.compiled_core.Probe` of what was seen firing, as of image 0."""
    seen = []
    for which, index, counts, states in fired:
        for neuron in range(params.groups * params.neurons):
            if which >> neuron & 1:
                seen.append((
                    0, index, neuron // params.neurons, _part(counts, neuron, params.signed_count_bits),
                    _part(states, neuron, params.acc_bits),
                ))
    return Probe(*np.array(seen, np.int64).reshape(-1, len(Probe._fields)).T)


def _part(vector, number, bits):
    """Return a two's complement number of a vector of them."""
    value = vector >> number * bits & (1 << bits) - 1
    return value - (value >> bits - 1 << bits)


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
    params : gen.plan.params.CoreParams
    words : of a result
    seed : of every pause

    Attributes
    ----------
    dut : see above
    runs : finished `Run`, one for every result taken
    cycle : clock cycles so far
    sent : beats of the input taken
    """

    def __init__(self, dut, params, words, seed):
        self.params, self.runs, self.cycle, self.sent = params, [], 0, 0
        self._words = words
        self._random = Random(seed).random
        self.dut, self._edge = dut, RisingEdge(dut.clk)
        self._run, self._answer, self._waiting = Run(), None, None
        self._input, self._offering, self._taking = deque(), False, False
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
        """Queue the input values of one run; ``stall`` is the chance of a pause before each beat of them."""
        self._input += [(beat, stall) for beat in input_beats(values, self.params)]

    async def until(self, finished, limit):
        """Run the clock until ``finished()`` holds after a cycle; `Stuck` after ``limit`` cycles."""
        for _ in range(limit):
            await self._cycle()
            if finished():
                return
        raise Stuck(f"no result within {limit} cycles, neurons fired in {len(self._run.fired)} of them")

    async def results(self, count, limit):
        """Return the next ``count`` runs, each within ``limit`` cycles."""
        for goal in range(len(self.runs) + 1, len(self.runs) + 1 + count):
            await self.until(lambda goal=goal: len(self.runs) >= goal, limit)
        return self.runs[-count:]

    async def abort(self, limit):
        """Pulse ``abort``, forget the words not yet offered, wait until the core is idle; return the cut `Run`.

        A result that is on its way when the pulse comes is taken as usual and stands in ``runs``; any other
        is a `Violation`. What a batch fires after the pulse is not in the cut run: it may be of its next image's input.
        """
        finished = len(self.runs)
        self.dut.abort.value = 1
        await self._cycle()
        self.dut.abort.value = 0
        early = len(self._run.fired)
        self._input.clear()
        await self._cycle()
        await self._cycle()
        answering = self._answer is not None or len(self.runs) > finished
        await self.until(lambda: not self._offering and self.dut.idle.value, limit)
        if len(self.runs) > finished and not answering:
            raise Violation("a result came although the image had been given up before")
        cut, self._run = self._run, Run()
        return cut if self.params.batch == 1 else Run(fired=cut.fired[:early])

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
        for _ in range(LOAD_CYCLES):  # the digest of the last word
            await self._edge

    @property
    def fault(self):
        """Whether the core says that what it holds was damaged on its way through the load port."""
        return bool(self.dut.fault.value)

    async def _cycle(self):
        await self._edge
        self.cycle += 1
        offered = bool(self._o_valid.value)
        if offered and self._answer is None:
            self._answer, self._run = self._run, Run()
        if groups := self._fired.value:
            self._run.fired.append((int(groups), *map(_number, (self._layer, self._counts, self._states))))
        if offered or self._waiting is not None:
            self._take(offered)
        if self._offering or self._input:
            self._offer()

    def _take(self, offered):
        if offered:
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
        words = self._answer.words
        words.append((word & 0x7FFFFFFF) - (word & 0x80000000))
        if word >> 32:
            self.runs.append(self._answer)
            self._answer = None
        elif len(words) >= self._words:
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
