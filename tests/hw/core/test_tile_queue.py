"""`hw.core.tile_queue`: what each group makes of the walker's tiles, and room for those under way."""

import numpy as np
import pytest

from hw.core.tile_queue import SLACK, TileQueue, depth
from tests.kit.streams import Bench, plain


def draw_tile(rng, params):
    bits = ("window_first", "window_last", "first", "last", "last_column", "last_tile")
    return {
        "address": int(rng.integers(40)), "parameter": int(rng.integers(params.parameters)), "lanes": 0,
        **{name: int(rng.integers(2)) for name in bits},
    }


def adapted(tile, number, layer):
    """Return the tile as it is for the group, or None where the group sits it out."""
    position, part = number >> layer["part_bits"], number % (1 << layer["part_bits"])
    if position > layer["positions"] or (tile["last_column"] and position > layer["last_positions"]):
        return None
    if tile["last_tile"] and part > layer["last_parts"]:
        return None
    ends = tile["last_tile"] and part == layer["last_parts"]
    lanes = layer["lanes_last"] if ends else layer["lanes"]
    return tile | {"address": tile["address"] + position * layer["output_position"] + part, "lanes": lanes}


def run(params, number, layer, tiles, *, seed, stall):
    """Announce the tiles as far as there is room; return what opens and what closes, in that order."""
    dut = TileQueue(params, number)
    bench = Bench(dut, seed=seed, limit=5000)
    kept = [tile for tile in tiles if (tile if params.groups == 1 else adapted(tile, number, layer)) is not None]

    async def announce(ctx):
        ctx.set(dut.layer, layer)
        await ctx.tick()
        allowed = 0  # two more once the room is gone
        for tile in tiles:
            while True:
                allowed = 3 if ctx.get(dut.room) else allowed - 1
                if allowed > 0:
                    break
                ctx.set(dut.tile_valid, 0)
                await ctx.tick()
            ctx.set(dut.tile_valid, 1)
            ctx.set(dut.tile, tile)
            await ctx.tick()
        ctx.set(dut.tile_valid, 0)
        await ctx.tick()

    bench.add(announce)
    opened = bench.sink(dut.opening, len(kept), stall=stall)
    closed = []

    async def close(ctx):  # a tile closes only behind its opening
        while len(closed) < len(kept):
            ready = len(opened) > len(closed) + 2 or len(opened) == len(kept)
            ctx.set(dut.closing.ready, ready)
            _, _, valid, tile = await ctx.tick().sample(dut.closing.valid, dut.closing.payload)
            if ready and valid:
                closed.append(plain(tile))
        ctx.set(dut.closing.ready, 0)
        await ctx.tick()
        assert ctx.get(dut.empty) == 1

    bench.add(close)
    bench.run()
    return [taken.payload for taken in opened], closed


@pytest.mark.parametrize("stall", [0.0, 0.8])
@pytest.mark.parametrize("groups, part_bits, number", [
    (1, 0, 0), (2, 0, 1), (2, 1, 0), (2, 1, 1), (4, 0, 3), (4, 1, 1), (4, 1, 2), (4, 1, 3), (4, 2, 0), (4, 2, 3),
])
def test_every_group_takes_its_own(sizes, groups, part_bits, number, stall):
    params, rng = sizes(groups=groups), np.random.default_rng([groups, part_bits, number])
    layer = {"part_bits": part_bits, "positions": (groups >> part_bits) - 1, "lanes": 3, "lanes_last": 1,
             "output_position": 5}
    layer["last_positions"] = int(rng.integers(layer["positions"] + 1))
    layer["last_parts"] = int(rng.integers(1 << part_bits))
    tiles = [draw_tile(rng, params) for _ in range(60)]
    own = [tile for tile in (adapted(tile, number, layer) for tile in tiles) if tile]
    fields = layer if groups > 1 else {"lanes": 3, "lanes_last": 1}
    opened, closed = run(params, number, fields, tiles, seed=number, stall=stall)
    assert opened == [{name: tile[name] for name in ("parameter", "first", "last", "lanes")} for tile in own]
    assert closed == [{name: tile[name] for name in ("address", "window_first", "window_last")} for tile in own]


@pytest.mark.parametrize("quick, most", [(0, 16), (1, 32)])
def test_no_room_long_before_the_queue_is_full(sizes, quick, most):
    params = sizes(quick=quick)
    dut, rng = TileQueue(params, 0), np.random.default_rng(0)
    bench, sent = Bench(dut), []

    async def announce(ctx):
        await ctx.tick()
        ctx.set(dut.tile_valid, 1)
        while ctx.get(dut.room):
            ctx.set(dut.tile, draw_tile(rng, params))
            await ctx.tick()
            sent.append(1)

    bench.add(announce)
    bench.run()
    assert most == depth(params)
    assert most - SLACK < len(sent) + 2 <= most  # two more may follow; one lies behind the memory
