"""The walker against a plain model of loops, cursors and taps."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from gen.plan.params import LEVELS, WORD_BITS
from hw.core.fetch import LATENCY
from hw.core.walker import Walker
from tests.hw.core.walker_model import expected, random_pass, words_of_passes
from tests.kit.streams import plain

CYCLES = 60_000
RESTS = 12  # cycles after which a row is freed, at most


def _walk(params, passes, *, rooms, steps, seed, stops=None, stopped=None, ready=1.0, given_up=0):
    """Run the passes one after another; return [[(cycle after go, what was sent)] of each].

    ``rooms``, ``ready``: how likely there is room, or the next row is ready, in a cycle. ``stops``: the cycle in which
    all passes are stopped, or the first ``stopped``. ``given_up``: cycles, at most,
    for which before each pass another one is read ahead, of words that are none of the program's.
    """
    dut, logs, rng = Walker(params), [], np.random.default_rng([seed, 1])
    words, addresses = words_of_passes(params, passes, base=3)
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)

    taken = False  # by someone else: the program's port

    async def program(ctx):
        found = 0
        async for _, _, address in ctx.tick().sample(dut.program_address):
            ctx.set(dut.program, int(rng.integers(1 << WORD_BITS)) if taken else found)
            found = words[address] if address < len(words) else 0

    async def prepare(ctx, address):
        ctx.set(dut.pass_address, address)
        ctx.set(dut.prepare, 1)
        await ctx.tick()
        ctx.set(dut.prepare, 0)

    async def run(ctx):
        nonlocal taken
        for number, (one, first) in enumerate(zip(passes, steps)):
            if given_up:
                taken = True
                await prepare(ctx, 0)
                await ctx.tick().repeat(int(rng.integers(1, given_up)))
                taken = False
            await prepare(ctx, addresses[number])
            for _ in range(200):
                if ctx.get(dut.prepared):
                    break
                await ctx.tick()
            assert ctx.get(dut.prepared) and ctx.get(dut.done)
            assert ctx.get(dut.next_pass) == one["block"]["next"]
            assert ctx.get(dut.next_readout) == one["block"]["readout"]
            for _ in range(int(rng.integers(4))):
                await ctx.tick()
            ctx.set(dut.first_step, first)
            ctx.set(dut.go, 1)
            await ctx.tick()
            ctx.set(dut.go, 0)
            assert plain(ctx.get(dut.layer)) == one["block"]
            log, over, cycle, rests = [], 0, 0, 0
            logs.append(log)
            assert not ctx.get(dut.done)
            while rests <= RESTS * params.rowwise:
                rests = rests + 1 if ctx.get(dut.done) else 0
                room = rng.random() < rooms
                ctx.set(dut.room, int(room))
                if params.rowwise:
                    _follow_rows(ctx, dut, rng.random() < ready, cycle, log)
                ctx.set(dut.stop, int(
                    stops is not None and cycle >= stops and (stopped is None or number < stopped)))
                over = 0 if room else over
                if ctx.get(dut.tile_valid):
                    log.append((cycle, ("tile", plain(ctx.get(dut.tile)))))
                if ctx.get(dut.request_valid):
                    request = plain(ctx.get(dut.request))
                    over += not room
                    assert over <= 2
                    word, end = request.pop("word"), request.pop("end")
                    if word and (not params.windows or one["block"].get("positions", 0) or (
                            request["hit"] and 0 <= request["column"] < request["columns"])):
                        log.append((cycle, ("word", request)))
                    if end:
                        log.append((cycle, ("end",)))
                    assert word or end, "a request for nothing"
                cycle += 1
                assert cycle < CYCLES, f"seed {seed}: still walking"
                await ctx.tick()
            ctx.set(dut.stop, 0)

    simulator.add_testbench(program, background=True)
    simulator.add_testbench(run)
    simulator.run()
    return logs


def _follow_rows(ctx, dut, ready, cycle, log):
    """Say whether the next row is ready; log the rows that begin, and those that are freed."""
    ctx.set(dut.row_ready, int(ready))
    if ctx.get(dut.row_begins):
        assert ready, "a row begins that is not ready"
        log.append((cycle, ("row",)))
    if ctx.get(dut.row_freed):
        log.append((cycle, ("freed",)))


SHAPES = [
    {"synapses": 1, "quick": 1}, {"synapses": 1}, {"synapses": 2}, {"synapses": 3, "groups": 4},
    {"synapses": 1, "groups": 4, "phase_bits": 2}, {"synapses": 1, "windows": 0},
    {"synapses": 3, "windows": 0, "groups": 2}, {"synapses": 3, "phase_bits": 2},
    {"synapses": 2, "dense": 0, "signed": 1, "two_phase": 1, "turns_bits": 4},
]
QUICK = [  # besides
    {"synapses": 3, "groups": 4, "quick": 1}, {"synapses": 2, "windows": 0, "quick": 1},
    {"synapses": 2, "phase_bits": 2, "quick": 1}, {"synapses": 1, "tile_order": 0, "quick": 1},
]


def _named(shape):
    return "-".join(f"{name}{value}" for name, value in shape.items())


@pytest.mark.parametrize("rooms, seed", [
    (1.0, 0), (0.5, 1), *(pytest.param(*other, marks=pytest.mark.slow)
                          for other in ((0.5, 0), (1.0, 1), (1.0, 2), (0.5, 2))),
])
@pytest.mark.parametrize("shape", [*SHAPES, *QUICK], ids=_named)
def test_walks_what_the_program_says(sizes, shape, rooms, seed):
    """Every tile, word and end of several passes comes in order, with all its fields."""
    params = sizes(**{"program": 2048, "weights": 512, **shape})
    rng = np.random.default_rng(seed)
    passes = [random_pass(params, rng, int(rng.integers(params.synapses + 1))) for _ in range(4)]
    passes.append(random_pass(params, rng, params.synapses))
    steps = [int(rng.integers(2)) for _ in passes]
    logs = _walk(params, passes, rooms=rooms, steps=steps, seed=seed)
    for number, (one, first, log) in enumerate(zip(passes, steps, logs)):
        assert [what for _, what in log] == expected(params, one, first), f"seed {seed}, pass {number}"


@pytest.mark.parametrize("shape", [*SHAPES, *(pytest.param(shape, marks=pytest.mark.slow) for shape in QUICK)],
                         ids=_named)
def test_what_was_read_ahead_in_vain_does_not_stop_the_next_pass(sizes, shape):
    """A pass is read ahead as its image is given up; with the next image the sequencer reads the program meanwhile."""
    params = sizes(**{"program": 2048, "weights": 512, **shape})
    for seed in range(4):
        rng = np.random.default_rng([seed, 4])
        passes = [random_pass(params, rng, params.synapses, tiles=4) for _ in range(4)]
        for number, (one, log) in enumerate(zip(passes, _walk(
                params, passes, rooms=1.0, steps=[1] * 4, seed=seed, given_up=120))):
            assert [what for _, what in log] == expected(params, one, 1), f"seed {seed}, pass {number}"


@pytest.mark.parametrize("quick", [0, 1])
def test_stops_at_a_tile(sizes, quick):
    """A stop ends the pass behind a whole tile; the next pass is none the worse."""
    params = sizes(program=2048, synapses=2, quick=quick)
    for seed in range(4):
        rng = np.random.default_rng(seed)
        passes = [random_pass(params, rng, 2) for _ in range(3)]
        for log, one in zip(_walk(params, passes, rooms=0.7, steps=[1, 1, 1], seed=seed, stops=60), passes):
            whole, said = expected(params, one, 1), [what for _, what in log]
            assert said == whole[: len(said)] and said[-1:] in ([], [("end",)]), f"seed {seed}"
            assert sum(cycle > 60 + 60 for cycle, what in log if what[0] == "tile") == 0, f"seed {seed}"


@pytest.mark.parametrize("keep", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_stops_in_any_cycle_of_a_pass_whose_steps_are_kept(sizes, keep):
    """Of tiles that gather, and of those that do not; the pass behind it is whole."""
    params = sizes(program=2048, synapses=2, quick=1)
    rng = np.random.default_rng([keep, 6])
    passes = [random_pass(params, rng, 1, tiles=tiles, keep=keep) for tiles in (24, 8)]
    stopped, whole = (expected(params, one, 0) for one in passes)
    for stop in range(60):
        cut, log = _walk(params, passes, rooms=1.0, steps=[0, 0], seed=stop, stops=stop, stopped=1)
        said = [what for _, what in cut]
        assert said == stopped[: len(said)] and said[-1:] in ([], [("end",)]), stop
        assert [what for _, what in log] == whole, stop


def _window(params, kernel, words, synapses=1):
    """A pass whose windows of ``kernel`` x ``kernel`` taps all lie on the map."""
    one = random_pass(params, np.random.default_rng(0), synapses, keep=0)
    one["block"].update({f"{level}_turns": 0 for level in LEVELS}, columns_turns=9, keep=0)
    for fields, cursor in one["sources"]:
        fields.update(rows=100, columns=100, row_tap=1, column_tap=1, kernel_rows=kernel - 1,
                      kernel_columns=kernel - 1, words=words - 1)
        cursor[0].update(row=0, column=0)
        cursor[2].update(row=0, column=1)
    return one


@pytest.mark.parametrize(("kernel", "words", "synapses", "cycles"), [
    (3, 1, 1, 9), (3, 2, 1, 18), (1, 1, 1, 4), (5, 1, 1, 25), (3, 1, 2, 23),
])
def test_cycles_of_a_tile(sizes, kernel, words, synapses, cycles):
    """A tile costs its words, or what making it costs; the first word comes soon after ``go``."""
    params = sizes(program=2048, synapses=2)
    (log,) = _walk(params, [_window(params, kernel, words, synapses)], rooms=1.0, steps=[1], seed=0)
    ends = [cycle for cycle, what in log if what[0] == "end"]
    assert log[0][0] <= 5
    assert max(np.diff(ends)[1:]) <= cycles, "the second tile is read behind the first"


@pytest.mark.parametrize(("keep", "windows"), [(1, 1), (0, 1), (1, 0)])
def test_a_tile_whose_step_is_kept_costs_two_cycles(sizes, keep, windows):
    """Of one word and its end, or of nothing; the first tile of a level is made of the program's words."""
    params = sizes(program=2048, synapses=2, quick=1, windows=windows)
    one = _window(params, 1, 1) if windows else random_pass(params, np.random.default_rng(0), 1)
    one["block"].update(keep=keep, **({"rows_turns": 2} if windows else {"tiles_turns": 29, "steps_turns": 0}))
    if windows:
        one["sources"][0][1][1].update(row=1, column=-9)
    (log,) = _walk(params, [one], rooms=1.0, steps=[0], seed=0)
    assert [what for _, what in log] == expected(params, one, 0)
    gaps = np.diff([cycle for cycle, what in log if what[0] == "end"])
    quick = np.ones(len(gaps), bool)
    quick[[0, 1, *([9, 10] if windows else [])]] = False
    assert (gaps[quick] == 2).all() and (gaps[~quick] > 2).any(), gaps


ROWS = {"spilled": 90, "outside": 64, "map_words": 64, "image_ring": 8}


@pytest.mark.parametrize("rooms, ready", [(1.0, 1.0), (0.5, 0.02)])
@pytest.mark.parametrize("shape", [
    {"synapses": 1}, {"synapses": 2, "groups": 4, "phase_bits": 2, "wide": 16, "map_bits": 2},
    {"synapses": 2, "quick": 1},
], ids=["one", "several", "quick"])
def test_a_row_waits_until_it_is_ready_and_frees_what_is_asked_for(sizes, shape, rooms, ready):
    """What is sent is that of any pass; no word of a row comes before it, and every word before a row is freed."""
    params = sizes(**{"program": 2048, "weights": 512, **ROWS, **shape})
    for seed in range(2):
        rng = np.random.default_rng([seed, 3])
        passes = [random_pass(params, rng, int(rng.integers(params.synapses + 1)), tiles=16, rowwise=rowwise)
                  for rowwise in (1, 0, 1)]
        logs = _walk(params, passes, rooms=rooms, steps=[1] * 3, seed=seed, ready=ready)
        for number, (one, log) in enumerate(zip(passes, logs)):
            where, block = f"seed {seed}, pass {number}", one["block"]
            sent = [(cycle, what) for cycle, what in log if what[0] not in ("row", "freed")]
            assert [what for _, what in sent] == expected(params, one, 1), where
            begins, freed = ([cycle for cycle, what in log if what[0] == name] for name in ("row", "freed"))
            if not block["rowwise"]:
                assert not begins and not freed, where
                continue
            assert len(begins) == len(freed) == block["rows_turns"] + 1, where
            tiles, row, last = -1, 0, -1
            a_row = np.prod([block[f"{level}_turns"] + 1 for level in LEVELS if level != "rows"])
            for cycle, what in sent:
                if what[0] == "tile":
                    tiles += 1
                    if tiles // a_row != row:
                        row = tiles // a_row
                        assert freed[row] >= last + LATENCY, f"{where}: row {row} is freed before all is read"
                assert cycle > begins[row], f"{where}: row {row}"
                last = cycle
