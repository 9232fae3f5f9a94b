"""`gen.plan.spilling`, `gen.plan.blocks`, `gen.plan.maps`: rings hold every word as long as it is read; wide maps."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from gen.layers import INPUT, Synapse
from gen.plan.blocks import copy_pieces, outside_bases, stage_blocks
from gen.plan.maps import count_bits
from gen.plan.passes import Pass
from gen.plan.plan import core_room, make_plan, plan_on
from gen.plan.regions import Region, Room
from gen.plan.spilling import MOST_AHEAD, ring_words, rows_ahead
from gen.plan.walk import Ring
from gen.window import FILLS, ZEROS, Window
from tests.gen.plan.networks import spiking
from tests.kit.random_networks import SECOND, random_network, random_staged_network

OUTSIDE = Room(maps=1, image=0)  # all maps that can, and the input


def random_window(rng, rows):
    """Return a window with at least one output of a map of ``rows`` rows."""
    while True:
        window = Window(
            (int(rng.integers(1, 8)), 1), (int(rng.integers(1, 6)), 1), (int(rng.integers(5)), 0) * 2,
            (int(rng.integers(1, 4)), 1), (int(rng.choice([1, 1, 2, 3, 5])), 1), FILLS[rng.integers(2)],
        )
        if window.size((rows, 3))[0] >= 1:
            return window


def synapse_of(name, window):
    fields = {key: value for key, value in vars(window).items() if key in Window.__dataclass_fields__}
    return Synapse(name, np.ones((1, 1, *fields.pop("kernel")), int), **fields)


def rows_of(p, synapse, rows):
    """Return for every row of a pass the rows of a map that its windows read, by the equations of `gen.window`."""
    window, found = synapse.window, []
    (kernel, _), (stride, _), (dilation, _), (factor, _) = (
        window.kernel, window.stride, window.dilation, window.upsample)
    seen = (rows - 1) * factor + 1 if window.fill == ZEROS else rows * factor
    for row in range(p.rows):
        reads = set()
        for output in range(row * p.window[0], (row + 1) * p.window[0]):
            for tap in range(kernel):
                place = output * stride + tap * dilation - window.padding[0]
                if 0 <= place < seen and not (window.fill == ZEROS and place % factor):
                    reads.add(place // factor)
        found.append(reads)
    return found


def check_pass(p, regions, where):
    """Carry the copies of a pass out as early and as late as they may be; every word that a row reads is there."""
    blocks = [block for block in stage_blocks([p], regions) if block.row is not None]
    assert [block.row for block in blocks] == list(range(p.rows)), where
    assert [block.ahead for block in blocks] == [0] + [p.ahead] * (p.rows - 1), where
    assert [block.settles for block in blocks] == [True] + [False] * (p.rows - 1), where
    for synapse, key, ring in zip(p.synapses, p.reads, p.rings):
        if not ring:
            continue
        region = regions[p.stage, *key]
        assert ring.words & ring.words - 1 == 0 and ring.base % ring.words == 0, where
        reads = rows_of(p, synapse, region.rows)
        row_words = region.columns * region.words_per_position
        own = [[copy for copy in block.copies if copy.source == key and copy.place in
                range(ring.base, ring.base + ring.words)] for block in blocks]
        _check_pieces(own, reads, row_words, ring, where)
        states, held = [], {}  # the words of the ring behind each block
        for copies in own:
            for copy in copies:
                held |= {copy.place + n: copy.first + n for n in range(copy.words)}
            states.append(dict(held))
        for row, wanted in enumerate(reads):
            for state in (states[row], states[min(row + 1 + p.ahead, p.rows - 1)]):
                for read in wanted:
                    for word in range(read * row_words, (read + 1) * row_words):
                        assert state.get(ring.base + word % ring.words) == word, f"{where}, row {row}: word {word}"


def _check_pieces(own, reads, row_words, ring, where):
    """Every word from the first that is read to the last is copied once, in its order, and no piece leaves the ring."""
    at = min(set.union(*reads), default=0) * row_words
    for copies in own:
        for copy in copies:
            assert copy.first == at and copy.words > 0, where
            assert copy.place == ring.base + at % ring.words, where
            assert copy.place + copy.words <= ring.base + ring.words, where
            at += copy.words
    assert at == (max(set.union(*reads), default=-1) + 1) * row_words, where


@pytest.mark.parametrize("seed", range(60))
def test_rings_hold_every_word_as_long_as_a_row_reads_it(seed):
    """Of one or two maps, with windows of every kind, of layers with and without a pool behind."""
    rng = np.random.default_rng(seed)
    synapses, regions, sources = [], {}, []
    for number in range(int(rng.integers(1, 3))):
        rows, key = int(rng.integers(1, 24)), (f"map{number}", 0)
        synapses.append(synapse_of(key[0], random_window(rng, rows)))
        regions[0, *key] = Region(0, int(rng.integers(1, 4)), 4, rows, int(rng.integers(1, 6)), outside=0)
    outputs = min(s.window.size((regions[0, s.source, 0].rows, 3))[0] for s in synapses)
    height = int(rng.integers(1, min(3, outputs) + 1))
    layer = spiking("layer", [Synapse(INPUT, np.ones((1, 1, 1, 1), int))])
    pool = type("Pooled", (), {"kernel": (height, 1)})() if height > 1 else None
    p = Pass(0, 0, layer, pool, "layer", tuple(synapses), outputs // height, 1, 1)
    base, rings = 0, []
    for synapse in synapses:
        words = ring_words(p, synapse, regions[0, synapse.source, 0]) << int(rng.choice([0, 0, 1, 2]))
        base = -(-base // words) * words
        rings.append(Ring(base, words))
        sources.append((synapse, regions[0, synapse.source, 0], rings[-1]))
        base += words
    p = replace(p, rings=tuple(rings), ahead=rows_ahead(p, sources))
    assert p.ahead <= MOST_AHEAD
    check_pass(p, regions, f"seed {seed}")


def random_plan(seed, room=OUTSIDE):
    draw = random_staged_network if seed % 5 == 4 else random_network
    network = draw(seed, max_neurons=1500, **({} if seed % 5 == 4 else {"contract": SECOND}))
    return make_plan(network, (4, 8, 16, 32)[seed % 4], room=room)


def extents(plan, stage):
    """Return [(first pass, last pass, base, end)] of what lies in the maps' memory, in the input's, and outside."""
    lives, inside, image, outside = {}, [], [], []
    for n, p in enumerate(stage.passes):
        if p.stored:
            lives.setdefault(p.writes, [n, n])[1] = n
        for synapse, key, ring in zip(p.synapses, p.reads, p.rings or (None,) * len(p.synapses)):
            if key[0] != INPUT:
                lives[key][1] = max(lives[key][1], n)
            spilled = plan.regions[p.stage, *key].outside is not None
            assert (ring is not None) == spilled, f"{p.title}: a ring for every map outside"
            if ring:
                (image if synapse.source == INPUT else inside).append((n, n, ring.base, ring.base + ring.words))
    for key, (born, died) in lives.items():
        region = plan.regions[stage.passes[0].stage, *key]
        row, base = (inside, region.base) if region.outside is None else (outside, region.outside)
        row.append((born, died, base, base + region.versions * region.words))
    return inside, image, outside


@pytest.mark.parametrize("seed", range(20))
def test_regions_and_rings_that_live_together_do_not_share_memory_inside_or_outside(seed):
    plan = random_plan(seed, OUTSIDE if seed % 3 else Room(maps=60))
    p, most = plan.params, max(map(len, plan.contents.values()))
    for stage in plan.stages:
        inside, image, outside = extents(plan, stage)
        for row, end in ((inside, p.map_words), (image, p.image_depth), (outside, most)):
            assert all(last <= end for *_, last in row), f"seed {seed}"
            for (born, died, a, b), (other, gone, c, d) in combinations(row, 2):
                assert died < other or gone < born or b <= c or d <= a, f"seed {seed}"
        assert all(last - base <= max(p.spilled, p.map_words) for *_, base, last in outside), f"seed {seed}"


@pytest.mark.parametrize("seed", range(20))
def test_rows_of_whole_plans_find_what_they_read(seed):
    plan = random_plan(seed)
    params, rowwise = plan.params, 0
    for stage in plan.stages:
        for p in stage.passes:
            if p.rowwise:
                rowwise += 1
                if len(set(p.reads)) == len(p.reads):
                    check_pass(p, plan.regions, f"seed {seed}, {p.title}")
        for block in stage_blocks(stage.passes, plan.regions):
            for copy in block.copies:
                region = plan.regions[block.p.stage, *copy.source]
                assert copy.first + copy.words <= region.words, f"seed {seed}"
                assert copy_pieces(copy, params) == copy.words * (
                    params.image_pieces if copy.of_input else params.map_pieces)
    assert bool(rowwise) == params.rowwise, f"seed {seed}"
    bases = outside_bases(params, plan.stages, plan.regions)
    assert len(plan.contents.get("outside", ())) == (bases.maps if params.outside else 0), f"seed {seed}"
    assert bases.maps <= bases.image <= bases.states == bases.end == params.outside, f"seed {seed}"


def summed(seed):
    """Return the plan of a network whose sums of pools have more bits than what its neurons fire, or None."""
    plan = make_plan(random_network(seed, contract=SECOND, max_neurons=1500), 8, room=OUTSIDE if seed % 2 else Room())
    return plan if plan.params.wide else None


@pytest.mark.parametrize("seed", [*range(4100, 4110), 4112])  # the last stage of 4112 is two-phase: it reads no rows
def test_an_input_lies_outside_for_all_stages_or_for_none(seed):
    network = random_staged_network(seed, max_layers=3, sources=("direct",))
    plan = make_plan(network, width=4, groups=1, room=Room(weights=1, maps=1, image=0))
    outside = {plan.regions[p.stage, INPUT, 0].outside is not None for p in plan.passes}
    ringed = {bool(p.rings) and p.rings[n] is not None
              for p in plan.passes for n, s in enumerate(p.synapses) if s.source == INPUT}
    assert outside == ringed == {bool(plan.params.image_ring)}, f"seed {seed}"


def test_wide_maps_lie_below_the_depth_of_their_upper_bits_and_on_the_chip():
    plans = {seed: plan for seed in range(40) if (plan := summed(seed))}
    assert len(plans) >= 3
    for seed, plan in plans.items():
        p = plan.params
        assert p.map_bits < p.count_bits and p.wide <= p.map_words, f"seed {seed}"
        for (stage, name, _), region in plan.regions.items():
            if name == INPUT:
                continue
            bits = count_bits(plan.stages[stage].network, name, bool(p.signed))
            assert region.wide == (bits > p.map_bits), f"seed {seed}: {name}"
            assert bits <= p.count_bits, f"seed {seed}: {name}"
            if region.wide:
                assert region.outside is None and region.base + region.words <= p.wide, f"seed {seed}: {name}"
        assert plan_on(plan.network, p).params == p, f"seed {seed}"


@pytest.mark.parametrize("seed", range(20))
def test_a_network_on_the_core_that_was_made_for_it_is_the_same(seed):
    whole = random_plan(seed, Room())
    for share in (0.7, 0.4):
        plan = random_plan(seed, Room(maps=int(share * whole.params.map_words), image=(None, 0)[seed % 2]))
        again = plan_on(plan.network, plan.params)
        once = make_plan(plan.network, (4, 8, 16, 32)[seed % 4], room=core_room(plan.params))
        if once.params == plan.params:
            assert again.digest == plan.digest, f"seed {seed}"
        assert plan_on(again.network, again.params).digest == again.digest, f"seed {seed}"
