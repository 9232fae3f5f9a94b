"""`hw.machine.lane_compressor` against lists: pooling, pointers, one count a cycle."""

import numpy as np
import pytest

from hw.machine.lane_compressor import LaneCompressor
from tests.kit.streams import Bench

LAYER = {"event_base": 5, "pointer_base": 3, "counted": 1}


class Run:
    """A compressor fed with passes of tiles, one lane a cycle, with pauses."""

    def __init__(self, params, passes, *, seed=0, stall=0.0):
        self.dut = dut = LaneCompressor(params)
        self.bench = Bench(dut, seed=seed, limit=9000)
        self.passes, self.pause, self.results = passes, self.bench.pauses(stall), []
        self.events = self.bench.collect(dut.write.event_enable, dut.write)
        self.pointers = self.bench.collect(dut.write.pointer_enable, dut.write)
        self.counted = self.bench.collect(dut.counted, dut.counted)
        self.done = self.bench.collect(dut.done, dut.done)
        self.bench.add(self._drive)
        self.bench.run()

    async def _drive(self, ctx):
        dut = self.dut
        for number, (tiles, layer, window) in enumerate(self.passes):
            self.events.clear()
            self.pointers.clear()
            ctx.set(dut.layer, LAYER | layer)
            ctx.set(dut.begin, 1)
            await ctx.tick()
            ctx.set(dut.begin, 0)
            for n, counts in enumerate(tiles.tolist()):
                for _ in range(self.pause()):
                    await ctx.tick()
                ctx.set(dut.i.valid, 1)
                for count in counts:
                    ctx.set(dut.i.payload, {"counts": [count], "tile": {
                        "index": 3 * (n // window), "window_first": n % window == 0,
                        "window_last": n % window == window - 1, "layer_last": n == len(tiles) - 1,
                    }})
                    await ctx.tick()
                ctx.set(dut.i.valid, 0)
            await ctx.tick().until(dut.done)
            assert len(self.done) == number + 1
            events, pointers = [word.payload for word in self.events], [word.payload for word in self.pointers]
            assert [word["event_address"] for word in events] == list(range(5, 5 + len(events)))
            assert [word["pointer_address"] for word in pointers] == list(range(3, 3 + len(pointers)))
            self.results.append(([(word["event"]["index"], word["event"]["value"]) for word in events],
                                 [word["pointer"] for word in pointers]))


def expected(tiles, window, maximum, lanes):
    """Return (events, pointers) that tiles [n, lanes], ``window`` to a vector, leave behind, in order."""
    events, pointers = [], []
    for index, group in enumerate(tiles.reshape(-1, window, lanes)):
        pointers.append(5 + len(events))
        pooled = group.max(axis=0) if maximum else group.sum(axis=0)
        events += [(3 * index + lane, int(value)) for lane, value in enumerate(pooled) if value]
    return events, [*pointers, 5 + len(events)]


@pytest.mark.parametrize("maximum", [0, 1])
@pytest.mark.parametrize("window", [1, 2, 4])
@pytest.mark.parametrize("lanes, stall", [(1, 0.5), (3, 0.0), (5, 0.6)])
def test_pooled_counts_become_events_and_pointers(sizes, lanes, window, maximum, stall):
    rng = np.random.default_rng([lanes, window, maximum])
    shape = 9 * window, lanes
    passes = [(rng.integers(1, 16, shape) * (rng.random(shape) < density), {"fused_maximum": maximum}, window)
              for density in (0, 0.3, 1, 0.6)]
    run = Run(sizes(lanes=lanes, neurons=1), passes, seed=lanes, stall=stall)
    for number, (tiles, *_) in enumerate(passes):
        assert run.results[number] == expected(tiles, window, maximum, lanes), f"pass {number}"
    assert len(run.counted) == sum(len(events) for events, _ in run.results)


def test_the_readout_stores_nothing_and_a_pool_pass_counts_nothing(sizes):
    tiles = np.full((6, 3), 2)
    run = Run(sizes(neurons=1), [(0 * tiles, {"readout": 1}, 1), (tiles, {"counted": 0}, 1)])
    assert run.results == [([], []), expected(tiles, 1, 0, 3)]
    assert not run.counted


def test_a_layer_that_accumulates_stores_nothing(sizes):
    tiles = np.full((6, 3), 2)
    run = Run(sizes(neurons=1, separated=1), [(0 * tiles, {"silent": 1}, 2), (tiles, {}, 2)])
    assert run.results == [([], []), expected(tiles, 2, 0, 3)]
