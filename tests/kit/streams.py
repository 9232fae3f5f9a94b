"""A component in Amaranth's simulator: sources, sinks, stalls, a watch on the stream rules, a time limit."""

from collections import deque
from operator import attrgetter
from typing import NamedTuple

import numpy as np
from amaranth.hdl import ShapeCastable, Value
from amaranth.lib import data
from amaranth.sim import Simulator

__all__ = ["Bench", "Taken", "plain", "play", "ticks", "until"]


class Taken(NamedTuple):
    """A transfer: the cycle in which it took place, counted from 1, and its payload."""

    cycle: int
    payload: object


def plain(value):
    """Return a simulated value as integers, lists and dictionaries."""
    if isinstance(value, data.Const):
        layout = value.shape()
        if isinstance(layout, data.ArrayLayout):
            return [plain(value[i]) for i in range(layout.length)]
        return {name: plain(value[name]) for name, _ in layout}
    return value


async def ticks(ctx, count):
    """Wait (Amaranth's `repeat` is noisy when a bench ends in it)."""
    if count > 0:
        async for _ in ctx.tick():
            count -= 1
            if not count:
                return


async def until(ctx, condition, *values):
    """Return the values in the first cycle in which the condition holds (Amaranth's `until` is noisy)."""
    async for _, _, holds, *samples in ctx.tick().sample(condition, *values):
        if holds:
            return samples


class Bench:
    """Runs one component until every source is empty and every sink has what it waits for.

    Sources and sinks pause for a geometric number of cycles before each word; every stream is watched: once
    valid, it must stay valid with the same payload until taken. A failure carries seed and cycle as a note.

    Parameters
    ----------
    dut : a component, or a module with ports in reach of the caller
    seed : of the pauses
    limit : cycles after which the run is given up with `TimeoutError`
    clocks : of further domains, name to period, or to (period, first edge); those of ``sync`` are 1e-6 and 0.5e-6
    """

    def __init__(self, dut, *, seed=0, limit=10_000, clocks=None):
        self.cycle = 0
        self._seed, self._limit, self._streams = seed, limit, 0
        self._simulator = Simulator(dut)
        self._simulator.add_clock(1e-6)
        for domain, times in (clocks or {}).items():
            period, phase = times if isinstance(times, tuple) else (times, None)
            self._simulator.add_clock(period, phase=phase, domain=domain)
        self.add(self._watch_the_time, background=True)

    async def _watch_the_time(self, ctx):
        async for _ in ctx.tick():
            self.cycle += 1
            if self.cycle > self._limit:
                raise TimeoutError(f"still running after {self._limit} cycles")

    def pauses(self, stall):
        """Return a function that draws a pause: each cycle is spent waiting with probability ``stall``."""
        self._streams += 1
        rng = np.random.default_rng([self._seed, self._streams])
        return lambda: int(rng.geometric(1 - stall)) - 1 if stall else 0

    def add(self, testbench, *, background=False):
        """Run the coroutine function ``testbench(ctx)``; the bench waits for it unless in the background."""
        self._simulator.add_testbench(testbench, background=background)

    def source(self, stream, words, *, stall=0.5):
        """Send ``words`` (integers or dictionaries; an iterator may draw them late) into ``stream``."""
        pause = self.pauses(stall)

        async def send(ctx):
            for word in words:
                await ticks(ctx, pause())
                ctx.set(stream.payload, word)
                ctx.set(stream.valid, 1)
                await until(ctx, stream.ready)
                ctx.set(stream.valid, 0)

        self.add(send)

    def sink(self, stream, count=None, *, stall=0.5):
        """Return a list that fills with `Taken`; the bench waits for ``count`` of them."""
        taken, pause = [], self.pauses(stall)

        async def receive(ctx):
            while count is None or len(taken) < count:
                await ticks(ctx, pause())
                ctx.set(stream.ready, 1)
                payload, = await until(ctx, stream.valid, stream.payload)
                ctx.set(stream.ready, 0)
                taken.append(Taken(self.cycle, plain(payload)))

        self.add(receive, background=count is None)
        self.watch(stream)
        return taken

    def watch(self, stream):
        """Check the stream rule in every cycle."""
        async def check(ctx):
            shape, offered = stream.payload.shape(), None

            def shown(bits):
                return plain(shape.from_bits(bits)) if isinstance(shape, ShapeCastable) else bits

            samples = ctx.tick().sample(stream.valid, stream.ready, Value.cast(stream.payload))
            async for _, _, valid, ready, now in samples:
                if offered is not None:
                    assert valid, f"a word was withdrawn before it was taken: {shown(offered)}"
                    assert now == offered, f"a waiting word changed from {shown(offered)} to {shown(now)}"
                offered = now if valid and not ready else None

        self.add(check, background=True)

    def collect(self, enable, value):
        """Return a list that fills with `Taken` in every cycle in which ``enable`` is high."""
        taken = []

        async def receive(ctx):
            async for _, _, enabled, sample in ctx.tick().sample(enable, value):
                if enabled:
                    taken.append(Taken(self.cycle, plain(sample)))

        self.add(receive, background=True)
        return taken

    def memory(self, address, value, words, *, latency):
        """Answer ``address`` with its entry of ``words`` in ``value``, ``latency`` cycles later."""
        async def answer(ctx):
            pending = deque([0] * (latency - 1))
            async for _, _, sample in ctx.tick().sample(address):
                pending.append(sample)
                ctx.set(value, words[pending.popleft()])

        self.add(answer, background=True)

    def run(self):
        """Run to the end."""
        try:
            self._simulator.run()
        except (AssertionError, TimeoutError) as error:
            error.add_note(f"seed {self._seed}, cycle {self.cycle}")
            raise


def play(dut, rows, *outputs, limit=100_000):
    """Set a row of inputs in every cycle and return the outputs at the end of every cycle.

    Parameters
    ----------
    dut : component
    rows : dictionaries from the name of an input (``"i.valid"``) to its value; the others keep theirs
    outputs : names of outputs

    Returns
    -------
    list of tuples, one value per output
    """
    bench, seen = Bench(dut, limit=limit), []
    watched = [attrgetter(name)(dut) for name in outputs]

    async def drive(ctx):
        for row in rows:
            for name, value in row.items():
                ctx.set(attrgetter(name)(dut), value)
            _, _, *sample = await ctx.tick().sample(*watched)
            seen.append(tuple(plain(value) for value in sample))

    bench.add(drive)
    bench.run()
    return seen
