"""`hw.core.state_stream`: states come in time, in order, and are found again; an image given up leaves none."""

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring

from gen.plan.params import WORD_BITS
from gen.plan.parking import DIGIT, DIGITS
from hw.core.state_stream import StateStream
from sim.memory import BusModel
from tests.hw.core.bus_watch import BusWatch
from tests.kit.streams import Bench

FIRST, DEPTH = 100, 8192  # addresses outside: of the first state of group 0, of all words
OPENS, ENDS, FIRES = 4, 7, 12  # cycles from a pass's beginning, before a tile ends; then to a beat; to its new state


class Streaming(wiring.Component):
    """A `StateStream` before a memory, led as a group leads it: tile after tile, each lane at once.

    The states of a neuron in a step are drawn anew, and kept to be found in the next.
    """

    def __init__(self, sizes, seed, *, number, bits, stall=0.2, latency=(0, 25), **changes):
        self.rng = rng = np.random.default_rng([seed, 5])
        self.bits, digits = bits, -(-bits // DIGIT)
        self.p = p = sizes(outside=DEPTH, parked=DEPTH // 8, state_bits=bits, acc_bits=32, **changes)
        self.dut, self.seed = StateStream(p, number), seed
        self.memory = BusModel(p.outside_bits, WORD_BITS, latency=latency, stall=stall, seed=seed + 1)
        super().__init__({})
        self.tiles = rng.integers(1, p.beats + 1, int(rng.integers(1, 50))).tolist()  # beats of each
        words = p.neurons * -(-sum(self.tiles) * digits // DIGITS)
        self.words, self.others = words, words + int(rng.integers(9))  # of this group, and of group 0
        self.layer = {"parks": 1, "digits": digits, "park": FIRST, "parked_0": self.others, f"parked_{number}": words}
        self.first = FIRST + number * self.others
        self.bench = Bench(self, seed=seed, limit=60_000)
        self.bus = BusWatch(self.bench, self.dut.bus.request, self.dut.bus.write)
        self.held = None

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut, m.submodules.memory = self.dut, self.memory
        wiring.connect(m, self.dut.bus, self.memory.bus)
        return m

    async def step(self, ctx, first=False, last=False, stops=None):
        """Run a timestep of the pass, or as many tiles of it as ``stops`` says; compare every state that comes."""
        dut, p, rng = self.dut, self.p, self.rng
        ctx.set(dut.begin, 1)
        await ctx.tick()
        for name, value in (("begin", 0), ("layer", self.layer), ("first_step", first), ("last_step", last)):
            ctx.set(getattr(dut, name), value)
        for _ in range(OPENS):
            await ctx.tick()
        limit = 1 << self.bits - 1
        new = [rng.integers(-limit, limit, (beats, p.neurons)).tolist() for beats in self.tiles]
        due, cycle, busy_until = {}, 0, 0  # {cycle: what happens in it}
        tiles = self.tiles if stops is None else self.tiles[:stops]
        for tile, beats in enumerate(tiles):
            rest = int(rng.integers(30)) * (rng.random() < 0.5)
            while rest or cycle + ENDS < busy_until or not ctx.get(dut.room):
                rest, cycle = max(0, rest - 1), cycle + 1
                await self._cycle(ctx, due, cycle)
            for beat in range(beats):
                at = cycle + ENDS + beat
                ends = beat == beats - 1
                due.setdefault(at, {})["beat"] = {"valid": 1, "first": first, "ends": ends}
                if not first:
                    due.setdefault(at + 2, {})["parked"] = self.held[tile][beat]
                due.setdefault(at + FIRES, {}).update(fired={"valid": 1, "ends": ends}, states=new[tile][beat])
            busy_until = cycle + ENDS + beats
            cycle += 1
            await self._cycle(ctx, due, cycle)
        ctx.set(dut.stop, stops is not None)
        while cycle <= max(due, default=0) or ctx.get(dut.busy):
            cycle += 1
            await self._cycle(ctx, due, cycle)
            ctx.set(dut.rests, cycle > max(due, default=0))
        ctx.set(dut.stop, 0)
        ctx.set(dut.rests, 0)
        self.held = new

    async def _cycle(self, ctx, due, cycle):
        """Go to the next cycle, and let happen what is due in it."""
        await ctx.tick()
        now = due.get(cycle, {})
        for name, nothing in (("beat", {"valid": 0}), ("fired", {"valid": 0}), ("states", None)):
            if name in now or nothing:
                ctx.set(getattr(self.dut, name), now.get(name, nothing))
        if "parked" in now and not ctx.get(self.dut.stop):
            got = [ctx.get(self.dut.parked[n]) for n in range(self.p.neurons)]
            assert got == now["parked"], f"seed {self.seed}, cycle {cycle} of the pass"

    def moved(self, since=0):
        """Return the words read and written, and see that all of them are those of the group."""
        bursts = self.bus.bursts[since:]
        assert all(self.first <= at and at + words <= self.first + self.words for at, words, _ in bursts)
        return tuple(sum(words for _, words, write in bursts if write == way) for way in (0, 1))


@pytest.mark.parametrize("bits", [7, 17, 32])
@pytest.mark.parametrize("seed, core", [*enumerate([
    {}, {"width": 16}, {"width": 16, "neurons": 2}, {"width": 16, "neurons": 4, "groups": 2}, {"groups": 4},
    {"width": 16, "neurons": 8},
])])
def test_states_are_found_again_timestep_after_timestep(sizes, seed, core, bits):
    seed = 10 * bits + seed
    streaming = Streaming(sizes, seed, number=core.get("groups", 1) - 1, bits=bits, stall=0.2 * (seed % 2), **core)

    async def drive(ctx):
        await streaming.step(ctx, first=True)
        assert streaming.moved() == (0, streaming.words), "none comes at first"
        for _ in range(1 + seed % 2):
            begun = len(streaming.bus.bursts)
            await streaming.step(ctx)
            assert streaming.moved(begun) == (streaming.words, streaming.words)
        begun = len(streaming.bus.bursts)
        await streaming.step(ctx, last=True)
        assert streaming.moved(begun) == (streaming.words, 0), "none is written at last"

    streaming.bench.add(drive)
    streaming.bench.run()


@pytest.mark.parametrize("seed", range(6))
def test_an_image_that_is_given_up_leaves_nothing_to_the_next(sizes, seed):
    streaming = Streaming(sizes, seed, number=0, bits=9 + 4 * seed, width=8, neurons=(1, 2)[seed % 3 == 0])

    async def drive(ctx):
        for last in (False, True):
            for timestep in ("first", "later"):
                await streaming.step(ctx, first=True)
                stops = int(streaming.rng.integers(len(streaming.tiles) + 1))
                await streaming.step(ctx, first=timestep == "first", last=last, stops=stops)
        await streaming.step(ctx, first=True)
        await streaming.step(ctx, last=True)

    streaming.bench.add(drive)
    streaming.bench.run()


def test_a_pass_that_parks_nothing_moves_nothing_and_has_room(sizes):
    streaming = Streaming(sizes, 0, number=0, bits=12)
    dut = streaming.dut

    async def drive(ctx):
        ctx.set(dut.begin, 1)
        await ctx.tick()
        ctx.set(dut.begin, 0)
        for valid in [1] * 20 + [0] * 20:
            ctx.set(dut.beat, {"valid": valid, "ends": 1})
            ctx.set(dut.fired, {"valid": valid, "ends": 1})
            await ctx.tick()
            assert not ctx.get(dut.busy)
        assert ctx.get(dut.room) and not streaming.bus.bursts

    streaming.bench.add(drive)
    streaming.bench.run()
