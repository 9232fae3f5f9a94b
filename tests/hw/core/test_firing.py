"""`hw.core.firing`: random passes, tiles and groups against a reference in loops, words taken late."""

from dataclasses import dataclass

import numpy as np
import pytest

from hw.core.firing import Firing
from tests.hw.core.test_neuron import fires
from tests.kit.streams import Bench, plain

ANNOUNCED = 8  # cycles from a tile's announcement to its sums, at least


@dataclass
class Run:
    """One pass at one timestep: its block's fields, and each tile as the walker announces it with its sums."""

    layer: dict
    tiles: list
    sums: list


class Reference:
    """What the memories hold, and what a group does with a `Run`."""

    def __init__(self, params, number, parameters):
        self.params, self.number, self.parameters = params, number, parameters
        self.states, self.currents, self.outputs = {}, {}, {}

    def joins(self, layer, tile):
        """Return (position, part) of the group, or None where it sits the tile out."""
        if self.params.groups == 1:
            return 0, 0
        position, part = self.number >> layer["part_bits"], self.number % (1 << layer["part_bits"])
        away = (position > layer["positions"] or (tile["last_column"] and position > layer["last_positions"])
                or (tile["last_tile"] and part > layer["last_parts"]))
        return None if away else (position, part)

    def play(self, run):
        """Return the neurons' (count, state or, in a pool, None), the words, the counts counted, each tile's lanes."""
        layer, neurons, words, counted, lanes_of = run.layer, [], [], 0, []
        place = layer["output"] if layer["readout"] else layer["state"]
        current, window = layer["current"], {}
        for tile, sums in zip(run.tiles, run.sums):
            joins = self.joins(layer, tile)
            lanes_of.append(0)
            if joins is None:
                continue
            ends = tile["last_tile"] and (self.params.groups == 1 or joins[1] == layer["last_parts"])
            lanes = lanes_of[-1] = 1 + (layer["lanes_last"] if ends else layer["lanes"])
            begin, word, each = place, [0] * self.params.width, self.params.neurons
            for lane in range(lanes):
                part, beat = lane % each, lane // each
                step = lane if layer["readout"] else beat
                count, state = self._neuron(
                    layer, tile, sums[lane], (part, tile["parameter"] + beat),
                    place + step if layer["readout"] else (part, place + step), (part, current + step),
                )
                neurons.append((count, state))
                if not tile["window_first"]:
                    count = max(count, window[lane]) if layer["fused_maximum"] else count + window[lane]
                window[lane] = word[lane] = count
                counted += bool(tile["window_last"] and layer["counted"] and count)
            place, current = place + step + 1, current + step + 1
            if layer["rewind"]:
                current, place = layer["current"], place if layer["readout"] and tile["last"] else begin
            if tile["window_last"] and layer["stores"]:
                moved = joins[0] * layer.get("output_position", 0) + joins[1]
                words.append({"address": tile["address"] + moved, "word": word})
        return neurons, words, counted, lanes_of

    def _neuron(self, layer, tile, total, channel, place, current):
        theta, bias, v_init, low = self.parameters[channel]
        if layer["pool"]:
            return total, None
        first, resumes = tile["first"], layer.get("resumes", 0)
        if layer["keep"] and not first:
            amount = self.currents[current]
        else:
            amount = total + (0 if layer.get("unbiased") else bias)
        if layer["keep"] and first:
            self.currents[current] = amount
        if layer["readout"]:
            v = 0 if first and not resumes else self.outputs[place]
        else:
            v = v_init if first and not resumes else self.states[place]
        u = amount + v * (1 + resumes)
        if layer["readout"]:
            self.outputs[place] = u
            return 0, u
        count, self.states[place] = fires(
            u, theta, layer["burst"], layer["state_limit"], least=layer.get("quiet", 0) + 1,
            **({"low": low, "burst_low": layer["burst_low"]} if layer.get("two_thresholds") else {}),
        )
        return count, self.states[place]


def play(params, number, contents, runs, reference, *, seed, spacing=None, eager=None):
    """Run them in a bench, compare all that leaves; return the cycles of (reads, writes) of the states' memory."""
    dut = Firing(params, number, contents)
    bench, rng = Bench(dut, seed=seed, limit=60_000), np.random.default_rng([seed, 99])
    words, neurons, memory, accesses = [], [], {}, ([], [])
    counted = [0]

    async def take(ctx):
        """Take each word after 0 to ``groups`` - 1 cycles."""
        waited, late = 0, 0
        while True:
            ctx.set(dut.write.ready, waited == late)
            _, _, valid, word = await ctx.tick().sample(dut.write.valid, dut.write.payload)
            if valid and waited == late:
                words.append(plain(word))
                waited, late = 0, int(rng.integers(params.groups))
            elif valid:
                waited += 1

    async def observe(ctx):
        store = dut._stores[0]
        async for _, _, fired, count, state, adds, reads, pooling in ctx.tick().sample(
                dut.probe_fired, dut.probe_counts, dut.probe_states, dut.counted, store.beat.valid,
                dut.layer.pool):
            counted[0] += adds
            for part in range(params.neurons):
                if fired >> part & 1:
                    neurons.append((count[part], None if pooling else state[part]))
            for cycles, is_one in zip(accesses, (reads, fired)):
                if is_one:
                    cycles.append(bench.cycle)

    async def outputs(ctx):
        found = 0
        async for _, _, address, write in ctx.tick().sample(dut.output_address, dut.output_write):
            ctx.set(dut.output, found)
            found = memory.get(address, 0)
            if write.enable:
                memory[write.address] = write.data

    async def drive(ctx):
        for index, run in enumerate(runs):
            expected = reference.play(run)
            for part in (words, neurons):
                part.clear()
            counted[0] = 0
            await _pass(ctx, run, expected[3])
            assert neurons == expected[0], f"neurons of run {index}"
            assert words == expected[1], f"words of run {index}"
            assert counted[0] == expected[2], f"counted of run {index}"

    async def _pass(ctx, run, lanes_of):
        ctx.set(dut.begin, 1)
        await ctx.tick()
        ctx.set(dut.begin, 0)
        ctx.set(dut.layer, run.layer)
        least = max(params.groups, params.neuron_latency + 4 if run.layer["rewind"] else 0)
        chance = eager or rng.choice([0.05, 0.5, 1.0])
        room, sent, waiting, since, apart = ctx.get(dut.room), 0, [], 0, 0
        while sent < len(run.tiles) or waiting:
            announces = bool(sent < len(run.tiles) and room and rng.random() < max(chance, 0.3))
            ctx.set(dut.tile_valid, announces)
            if announces:
                ctx.set(dut.tile, run.tiles[sent])
                if lanes_of[sent]:
                    waiting.append((bench.cycle + ANNOUNCED, sent))
                sent += 1
            done = bool(waiting and waiting[0][0] <= bench.cycle and since >= apart and rng.random() < chance)
            ctx.set(dut.done, done)
            since += 1
            if done:
                tile = waiting.pop(0)[1]
                ctx.set(dut.sums, run.sums[tile])
                beats = lanes_of[tile] if run.layer["readout"] else -(-lanes_of[tile] // params.neurons)
                since, apart = 1, beats + spacing if spacing else max(beats, least)
            _, _, room, idle = await ctx.tick().sample(dut.room, dut.idle)
            assert announces or not (idle and waiting), "idle with a tile under way"
        ctx.set(dut.tile_valid, 0)
        ctx.set(dut.done, 0)
        while not ctx.get(dut.idle):
            await ctx.tick()

    for process in (take, observe, *([] if number else [outputs])):
        bench.add(process, background=True)
    bench.add(drive)
    bench.run()
    return accesses


def draw_parameters(rng, params):
    """Return {(neuron of a group, word): (theta, bias, v_init, theta_low)}, and the words of each one's memory."""
    words = [(n, word) for n in range(params.neurons) for word in range(params.parameters)]
    rows = [(int(rng.integers(1, 500)), int(rng.integers(-300, 300)), int(rng.integers(-100, 100)),
             int(rng.integers(1, 500))) for _ in words]
    shifts = (0, params.theta_bits, params.theta_bits + params.bias_bits)
    shifts += (shifts[-1] + params.state_bits,)
    widths = (params.theta_bits, params.bias_bits, params.state_bits, params.theta_bits * params.signed)
    packed = [sum((v & ((1 << bits) - 1)) << at for v, bits, at in zip(row, widths, shifts)) for row in rows]
    memories = np.array(packed, object).reshape(params.neurons, -1).tolist()
    return dict(zip(words, rows)), memories


def contents(params, number, memories):
    """Return the memories of the neurons of a group by name."""
    return {f"parameters_{number * params.neurons + n}": words for n, words in enumerate(memories)}


def draw_layer(rng, params, kind):
    """Draw the block of a pass of a ``kind``: spiking, kept, readout, pool, or with ``order``ed tiles."""
    lanes = int(rng.integers(params.width))
    layer = {
        "readout": "readout" in kind, "pool": kind == "pool", "stores": "readout" not in kind,
        "counted": rng.integers(2), "keep": kind in ("kept", "kept readout", "tiles"), "rewind": "tiles" in kind,
        "fused_maximum": bool(params.maximum) and rng.integers(2),
        "lanes": lanes, "lanes_last": rng.integers(lanes + 1),
        "burst": rng.integers(1, 8) if kind in ("spiking", "kept", "tiles") else 0,
        "state_limit": 2 ** int(rng.integers(4, 12)) - 1, "state": rng.integers(8), "current": rng.integers(8),
        "output": rng.integers(8),
    }
    if params.signed and layer["burst"]:
        layer |= {"two_thresholds": rng.integers(2), "burst_low": rng.integers(8)}
    if params.min_burst > 1:
        layer["quiet"] = rng.choice([0, 1, 3]) if layer["burst"] > 3 else 0
    if params.groups > 1:
        part_bits = 0 if layer["readout"] else int(rng.integers((params.groups - 1).bit_length() + 1))
        positions = (params.groups >> part_bits) - 1
        layer |= {
            "part_bits": part_bits, "positions": rng.integers(positions + 1), "last_positions": 0,
            "last_parts": 0 if layer["readout"] else rng.integers(1 << part_bits), "output_position": rng.integers(4),
        }
        layer["last_positions"] = rng.integers(layer["positions"] + 1)
        if layer["readout"]:
            layer["positions"] = layer["last_positions"] = 0
    return {name: int(value) for name, value in layer.items()}


def draw_runs(rng, params, kind, *, timesteps=3, places=6):
    """Draw a pass and the sums of some timesteps of it."""
    layer, runs = draw_layer(rng, params, kind), []
    window = int(rng.integers(1, 4)) if kind in ("spiking", "kept") else 1
    places = 3 if kind == "readout tiles" else places
    inner = timesteps if layer["rewind"] else 1
    tiles = []
    for _ in range(places):
        last_column, last_tile = (int(x) for x in rng.integers(2, size=2))
        for turn in range(window):
            parameter = int(rng.integers(params.parameters - params.width + 1))
            tile = {
                "address": int(rng.integers(40)), "parameter": parameter, "window_first": turn == 0,
                "window_last": turn == window - 1, "last_column": last_column, "last_tile": last_tile,
            }
            tiles += [tile | {"first": step == 0, "last": step == inner - 1} for step in range(inner)]
    low, high = (-20 if params.signed else 0, 32) if kind == "pool" else (-1200, 2500)
    for timestep in range(1 if layer["rewind"] else timesteps):
        mine = tiles if layer["rewind"] else [t | {"first": timestep == 0, "last": timestep == timesteps - 1}
                                              for t in tiles]
        runs.append(Run(layer, mine, rng.integers(low, high, (len(tiles), params.width)).tolist()))
    return runs


KINDS = ("spiking", "kept", "readout", "kept readout", "pool", "tiles", "readout tiles")
CORES = {
    "plain": {}, "eight_lanes": {"width": 8}, "signed": {"signed": 1, "min_burst": 4},
    "no_maximum": {"maximum": 0}, "two_groups": {"groups": 2}, "four_groups": {"groups": 4},
    "signed_groups": {"groups": 4, "signed": 1}, "two_neurons": {"width": 8, "neurons": 2},
    "four_neurons": {"width": 8, "neurons": 4, "signed": 1}, "neurons_of_groups": {"groups": 4, "neurons": 2},
    "eight_neurons": {"width": 16, "neurons": 8, "maximum": 0},
}


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3))])
@pytest.mark.parametrize("core", CORES)
def test_random_passes(sizes, core, seed):
    params = sizes(burst=7, count_bits=6, states=120, currents=120, outputs=120, parameters=40, **CORES[core])
    seed = 100 * seed + list(CORES).index(core)
    rng = np.random.default_rng(seed)
    number = int(rng.integers(params.groups))
    rows, words = draw_parameters(rng, params)
    kinds = rng.permutation([k for k in KINDS if not number or "readout" not in k])
    runs = [run for kind in kinds for run in draw_runs(rng, params, kind)]
    play(params, number, contents(params, number, words), runs, Reference(params, number, rows), seed=seed)


@pytest.mark.parametrize("seed", range(3))
def test_two_phase(sizes, seed):
    """Passes that resume: states double, bias comes once; no currents, at every round ``first``."""
    params = sizes(two_phase=1, burst=1, states=120, outputs=120, parameters=40)
    rng = np.random.default_rng(seed)
    rows, words = draw_parameters(rng, params)
    runs = []
    for kind in ("spiking", "readout"):
        for update, run in enumerate(draw_runs(rng, params, kind, timesteps=4)):
            burst = int(kind == "spiking" and update > 1)
            layer = run.layer | {"resumes": int(update > 0), "unbiased": int(update != 2), "burst": burst}
            tiles = [tile | {"first": 1, "last": 1} for tile in run.tiles]
            runs.append(Run(layer, tiles, run.sums))
    play(params, 0, contents(params, 0, words), runs, Reference(params, 0, rows), seed=seed)


def test_no_state_outlives_a_timestep(sizes):
    params = sizes(burst=7, count_bits=6, outputs=120, parameters=40)
    rng = np.random.default_rng(5)
    rows, words = draw_parameters(rng, params)
    runs = [run for kind in ("spiking", "pool", "readout") for run in draw_runs(rng, params, kind, timesteps=1)]
    play(params, 0, contents(params, 0, words), runs, Reference(params, 0, rows), seed=5)


@pytest.mark.parametrize("short, meets", [(0, False), (1, True)])
@pytest.mark.parametrize("signed", [0, 1])
def test_no_read_of_single_port_states_meets_a_write(sizes, signed, short, meets):
    params = sizes(signed=signed, burst=7, count_bits=6, states=120, parameters=40, maximum=0)
    rng = np.random.default_rng(signed)
    rows, words = draw_parameters(rng, params)
    reads, writes = play(
        params, 0, contents(params, 0, words), draw_runs(rng, params, "spiking", places=20), Reference(params, 0, rows),
        seed=signed, spacing=params.single_port_spacing - short, eager=1.0,
    )
    assert reads and writes and bool(set(reads) & set(writes)) == meets
