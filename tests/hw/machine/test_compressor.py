"""`hw.machine.compressor` against lists: pooling, empty and full vectors, pointers, credits, cycles."""

import numpy as np
import pytest

from hw.machine.compressor import Compressor
from tests.kit.streams import Bench

LAYER = {"event_base": 5, "pointer_base": 3, "counted": 1}
DEPTH = 16


def expected(tiles, window, maximum, lanes):
    """Return (events, pointers) that tiles [n, lanes], ``window`` to a vector, leave behind, in order."""
    events, pointers = [], []
    for index, group in enumerate(tiles.reshape(-1, window, lanes)):
        pointers.append(LAYER["event_base"] + len(events))
        pooled = group.max(axis=0) if maximum else group.sum(axis=0)
        events += [(3 * index + lane, int(value)) for lane, value in enumerate(pooled) if value]
    pointers.append(LAYER["event_base"] + len(events))
    return events, pointers


class Run:
    """One compressor fed with passes of tiles by a sender that keeps to its credits."""

    def __init__(self, params, passes, *, seed=0, stall=0.0):
        self.dut = dut = Compressor(params, depth=DEPTH)
        self.bench = Bench(dut, seed=seed, limit=5000)
        self._passes, self._pause, self._credits = passes, self.bench.pauses(stall), DEPTH
        self.events = self.bench.collect(dut.write.event_enable, dut.write)
        self.pointers = self.bench.collect(dut.write.pointer_enable, dut.write)
        self.counted = self.bench.collect(dut.counted, dut.counted)
        self.done = self.bench.collect(dut.done, dut.done)
        self.begun, self.before = [], []
        self.bench.add(self._count_credits, background=True)
        self.bench.add(self._drive)
        self.bench.run()

    async def _count_credits(self, ctx):
        async for _, _, credit in ctx.tick().sample(self.dut.credit):
            self._credits += credit
            assert self._credits <= DEPTH, "more tiles have left the queue than have entered it"

    async def _drive(self, ctx):
        dut = self.dut
        for tiles, layer, window in self._passes:
            self.before.append((len(self.events), len(self.pointers), len(self.done)))
            ctx.set(dut.layer, LAYER | layer)
            ctx.set(dut.begin, 1)
            await ctx.tick()
            ctx.set(dut.begin, 0)
            self.begun.append(self.bench.cycle)
            for n, counts in enumerate(tiles.tolist()):
                while self._credits == 0 or self._pause():
                    await ctx.tick()
                self._credits -= 1
                ctx.set(dut.i.payload, {"counts": counts, "tile": {
                    "index": 3 * (n // window), "window_first": n % window == 0,
                    "window_last": n % window == window - 1, "layer_last": n == len(tiles) - 1,
                }})
                ctx.set(dut.i.valid, 1)
                await ctx.tick()
                ctx.set(dut.i.valid, 0)
            while len(self.done) == self.before[-1][2]:
                await ctx.tick()
        await ctx.tick().repeat(4)
        assert self._credits == DEPTH, "every tile gives its credit back"
        assert len(self.done) == len(self._passes)

    def stored(self, number=0):
        """Return (events, pointers) of a pass, after checking that their addresses run on from the bases."""
        ends = [(start[0], start[1]) for start in self.before[1:]] + [(len(self.events), len(self.pointers))]
        slices = [slice(a, b) for a, b in zip(self.before[number], ends[number])]
        events = [word.payload for word in self.events[slices[0]]]
        pointers = [word.payload for word in self.pointers[slices[1]]]
        for base, name, words in ((LAYER["event_base"], "event_address", events),
                                  (LAYER["pointer_base"], "pointer_address", pointers)):
            assert [word[name] for word in words] == list(range(base, base + len(words)))
        return ([(word["event"]["index"], word["event"]["value"]) for word in events],
                [word["pointer"] for word in pointers])


def draw(rng, vectors, window, lanes, density):
    return rng.integers(1, 16, (vectors * window, lanes)) * (rng.random((vectors * window, lanes)) < density)


@pytest.mark.parametrize("maximum", [0, 1])
@pytest.mark.parametrize("window", [1, 2, 4])
@pytest.mark.parametrize("lanes, stall", [(1, 0.5), (3, 0.0), (5, 0.6)])
def test_pooled_vectors_become_events_and_pointers(sizes, lanes, window, maximum, stall):
    rng = np.random.default_rng([lanes, window, maximum])
    passes = [(draw(rng, 9, window, lanes, density), {"fused_maximum": maximum}, window)
              for density in (0, 0.3, 1, 0.6)]
    run = Run(sizes(lanes=lanes), passes, seed=lanes, stall=stall)
    for number, (tiles, *_) in enumerate(passes):
        assert run.stored(number) == expected(tiles, window, maximum, lanes), f"pass {number}"
    assert len(run.counted) == len(run.events)


@pytest.mark.parametrize("lanes", [1, 4])
def test_one_event_a_cycle_and_one_cycle_for_an_empty_vector(sizes, lanes):
    rng = np.random.default_rng(lanes)
    tiles = draw(rng, 14, 1, lanes, 0.5)
    tiles[3:5], tiles[8:11] = 0, 1
    tiles[0, 0] = tiles[-1, 0] = 1
    run = Run(sizes(lanes=lanes), [(tiles, {}, 1)])
    assert run.stored() == expected(tiles, 1, 0, lanes)
    cycles, at = [], run.events[0].cycle
    for counts in tiles:
        events = np.count_nonzero(counts)
        cycles += range(at, at + events)
        at += max(1, events)
    assert [word.cycle for word in run.events] == cycles


def test_a_pooled_tile_takes_one_cycle(sizes):
    """Windows with fewer events than tiles pass at the rate of their tiles."""
    tiles = np.zeros((24, 3), int)
    tiles[::4, 1] = 7
    run = Run(sizes(), [(tiles, {}, 4)])
    cycles = [word.cycle for word in run.events]
    assert np.diff(cycles).tolist() == [4] * 5


def test_the_readout_stores_nothing(sizes):
    tiles = np.full((6, 3), 0)
    run = Run(sizes(), [(tiles, {"readout": 1, "counted": 0}, 1)])
    assert run.stored() == ([], [])


@pytest.mark.parametrize("window", [1, 2])
def test_a_layer_that_accumulates_stores_nothing(sizes, window):
    tiles = np.full((6, 3), 2)
    run = Run(sizes(separated=1), [(0 * tiles, {"silent": 1}, window), (tiles, {}, window)])
    assert run.stored(0) == ([], [])
    assert run.stored(1) == expected(tiles, window, 0, 3)


def test_a_pool_pass_stores_without_counting(sizes):
    tiles = np.full((6, 3), 2)
    run = Run(sizes(), [(tiles, {"counted": 0}, 1)])
    assert run.stored() == expected(tiles, 1, 0, 3)
    assert not run.counted
