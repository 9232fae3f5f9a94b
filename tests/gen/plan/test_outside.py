"""`gen.plan.outside`, `gen.plan.blocks`: which weights and parameters lie outside, what the words of blocks say."""

from collections import Counter

import numpy as np
import pytest

from gen.intnet import IntegerNetwork
from gen.layers import INPUT, INVERSE_LEAKY, Source, Synapse
from gen.plan import placement
from gen.plan.blocks import block_digest, block_words, stage_blocks
from gen.plan.estimate import expected_cycles
from gen.plan.memories import parameter_bits
from gen.plan.outside import groups_of_parts
from gen.plan.placement import placed_plan
from gen.plan.plan import make_plan, plan_on
from gen.plan.regions import Room
from gen.plan.resources import core_resources, link_resources
from gen.plan.target import find_target
from tests.gen.plan.networks import layered, readout, residual, spiking
from tests.kit.random_networks import SECOND, random_network, random_staged_network

SMALLEST = Room(weights=1)  # all weights lie outside
LEAST = Room(weights=1, parameters=0)  # and of parameters as many as make their memory the smallest
FOLLOWS = 1 << 31  # in a head


def random_plans(seed, room=SMALLEST, **core):
    """Return the plan of a random network with all on the chip, and with what has ``room``."""
    draw = (random_network, random_staged_network)[seed % 5 == 4]
    limits = {} if seed % 5 == 4 else {"contract": SECOND}
    if seed % 5 == 3:
        limits["neuron"] = INVERSE_LEAKY
    network = draw(seed, **limits)
    return make_plan(network, **core), make_plan(network, **core, room=room)


def blocks(plan):
    """Yield the uint32 words of every block, by the lengths that they tell."""
    words = plan.contents["outside"]
    while len(words):
        length = 1 + int(words[0]) % (1 << 20)
        yield words[:length]
        words = words[length:]


def fetched_words(block, pieces):
    """Yield (groups, address, memory words as tuples of 32-bit words) of every run of a block."""
    body = block[1:-1].tolist()
    while body:
        head, count = body[:2]
        data, body = body[2 : 2 + count * pieces], body[2 + count * pieces :]
        yield head >> 24, head % (1 << 24), [tuple(data[n : n + pieces]) for n in range(0, len(data), pieces)]


def test_a_pass_of_one_tile_reads_the_channels_of_its_own_group():
    grouped = [Synapse("layer0", np.ones((8, 4, 1, 1), int), groups=2), Synapse(INPUT, np.ones((8, 1, 1, 1), int))]
    layers = [
        spiking("layer0", [Synapse(INPUT, np.ones((8, 1, 1, 1), int))]), spiking("grouped", grouped),
        readout("out", Synapse("grouped", np.ones((2, 8, 1, 1), int))),
    ]
    plan = make_plan(IntegerNetwork(Source((1, 3, 3)), layers, 1), width=4, groups=1, room=SMALLEST)
    base = plan.regions[0, "layer0", 0].base
    walks = [(p.first_channel, p.walk.sources[0]) for p in plan.passes if p.layer.name == "grouped"]
    assert [(first, walk.fields["words"], walk.cursor.start["address"]) for first, walk in walks] == [
        (0, 0, base), (4, 0, base + 1),
    ]


@pytest.mark.parametrize("seed", range(15))
@pytest.mark.parametrize("groups", [1, 4])
def test_a_group_is_given_the_words_that_it_would_have_on_the_chip(seed, groups):
    inside, outside = random_plans(seed, width=4, groups=groups)
    pieces = -(-4 * outside.params.weight_bits // 32)

    def split(word):
        return tuple(word >> 32 * n & 0xFFFFFFFF for n in range(pieces))

    for group in range(groups):
        held = Counter(map(split, inside.contents[f"weights_{group}"]))
        given = Counter()
        for block in blocks(outside):
            for taking, _, words in fetched_words(block, pieces):
                given.update(words if taking >> group & 1 else ())
        if inside.params.narrow:  # a turn of an odd number of words ends with half a word
            continue
        assert given.keys() <= held.keys() | {(0,) * pieces}, f"seed {seed}: words that no layer has"
        kept = set(map(split, outside.contents[f"weights_{group}"]))
        assert {word for word in held if any(word)} <= given.keys() | kept, f"seed {seed}: words that are missing"


@pytest.mark.parametrize("seed", range(15))
def test_blocks_are_whole_and_lie_one_behind_the_other(seed):
    _, plan = random_plans(seed, LEAST, width=8, groups=2)
    found, at = list(blocks(plan)), 0
    fetching = [stage_blocks(stage.passes, plan.regions) for stage in plan.stages]
    assert [len(block) for block in found] == [block_words(block, plan.params) for row in fetching for block in row]
    assert plan.params.outside == sum(map(len, found))
    for stage, row in zip(plan.stages, fetching):
        assert [block.p for block in row] == [p for p in stage.passes if p.fetched], "in the order of the passes"
        for block in row:
            assert bool(found[at][0] & FOLLOWS) == (block is not row[-1])
            assert block_digest(found[at][:-1]) == found[at][-1]
            at += 1
    assert at == len(found)


@pytest.mark.parametrize("seed", range(15))
def test_two_blocks_in_a_row_share_no_word_of_the_buffer(seed):
    _, plan = random_plans(seed, LEAST, width=4, groups=2)
    for stage in plan.stages:
        row = [{base + n for base, size in zip(p.weights, p.sizes) for n in range(size)}
               for p in stage.passes if p.streamed]
        assert all(not one & other for one, other in zip(row, row[1:]))
        assert all(max(words, default=0) < plan.params.weights for words in row)
        row = [range(p.parameter, p.parameter + p.parameter_words) for p in stage.passes if p.supplied]
        assert all(one.stop <= other.start or other.stop <= one.start for one, other in zip(row, row[1:]))
        assert all(words.stop <= plan.params.parameters for words in row)


@pytest.mark.parametrize("seed", range(15))
def test_each_neuron_is_given_its_own_parameters(seed):
    """In the order of the passes, those that stay beside them: as a core has them that holds all."""
    inside, outside = random_plans(seed, Room(parameters=0), width=4, groups=4, neurons=2)
    pieces, given = -(-sum(parameter_bits(inside.params)) // 32), {}
    for block in blocks(outside):
        for head, address, words in fetched_words(block, pieces):
            groups, of_parameters, neuron = head & 15, head >> 4 & 1, head >> 5
            assert of_parameters, f"seed {seed}: weights stay inside"
            for group in range(4):
                if groups >> group & 1:
                    own = given.setdefault(2 * group + neuron, [])
                    own.append((address, [sum(piece << 32 * n for n, piece in enumerate(word)) for word in words]))
    supplied = [p for p in outside.passes if p.supplied]
    assert supplied and outside.params.supplied and outside.params.parameters <= inside.params.parameters * 2
    held = {(p.layer.name, p.stage, p.update): p.parameter for p in inside.passes}
    for neuron, runs in given.items():
        words = inside.contents[f"parameters_{neuron}"]
        takes = [p for p in supplied if any(groups >> neuron // 2 & 1 for groups in groups_of_parts(p, 4))]
        assert len(takes) == len(runs), f"seed {seed}: neuron {neuron}"
        for p, (address, own) in zip(takes, runs):
            first = held[p.layer.name, p.stage, p.update]
            assert address == p.parameter and own == words[first : first + p.parameter_words], f"seed {seed}: {p.title}"


@pytest.mark.parametrize("seed", range(10))
def test_parameters_have_the_room_that_makes_their_memory_the_smallest_or_more(seed):
    inside, least = random_plans(seed, Room(parameters=0), width=4, groups=1)
    whole = inside.params.parameters
    for room in range(0, whole + 1, max(1, whole // 5)):
        plan = make_plan(inside.network, width=4, groups=1, room=Room(parameters=room))
        assert plan.params.parameters <= max(room, least.params.parameters), f"seed {seed}, room {room}"
    assert not make_plan(inside.network, width=4, groups=1, room=Room(parameters=whole)).params.supplied


@pytest.mark.parametrize("seed", range(10))
def test_the_room_is_kept_where_blocks_allow_it_and_all_is_inside_where_it_suffices(seed):
    inside, outside = random_plans(seed, width=4, groups=1)
    whole = Room(weights=inside.params.weights)
    assert "outside" not in make_plan(inside.network, width=4, groups=1, room=whole).contents
    for room in np.linspace(outside.params.weights, inside.params.weights - 1, 4, dtype=int):
        assert make_plan(inside.network, width=4, groups=1, room=Room(weights=int(room))).params.weights <= max(
            room, outside.params.weights)
    again = plan_on(outside.network, outside.params, SMALLEST)
    assert again.params == outside.params and len(again.contents["outside"]) <= outside.params.outside


def test_a_digest_tells_every_word_that_is_wrong():
    rng = np.random.default_rng(5)
    words = rng.integers(0, 2**32, 200, dtype=np.uint64).astype(np.uint32)
    right = block_digest(words)
    for _ in range(200):
        wrong = words.copy()
        wrong[rng.integers(200)] ^= np.uint32(rng.integers(1, 2**32))
        assert block_digest(wrong) != right
    assert block_digest(words[::-1]) != right


def test_a_board_with_a_memory_keeps_what_fits_and_one_without_refuses():
    network = layered(*[8] * 24, channels=128)  # 370,000 weights
    board, bare = find_target("ulx3s_12f"), find_target("tang_nano_20k")
    plan = placed_plan(network, 16, board)
    used = core_resources(plan.params, board)["bram"] + link_resources(board)["bram"]
    assert plan.params.outside and used <= board.bram_blocks
    assert placed_plan(network, 16, bare).params.outside == 0
    assert plan_on(network, plan.params).digest == plan.digest, "a folder is read as it was written"
    fetched = len(plan.contents["outside"])
    slow, fast = (expected_cycles(plan, pace=pace).cycles for pace in (4, 2))
    assert slow - fast == pytest.approx(2 * fetched, rel=0.1), "the memory bounds it"


def test_maps_that_need_fewer_words_in_more_and_more_in_fewer_have_a_place():
    """ResNet-44's need 640 words of 768, and 768 of 640: it was said to fit no board."""
    network, board = residual(7), find_target("ulx3s_85f")
    needed = [make_plan(network, 16, room=Room(maps=words)).params.map_words for words in (768, 640)]
    assert needed == [640, 768]
    plan = placed_plan(network, 16, board)
    assert plan.params.outside and core_resources(plan.params, board)["bram"] < board.bram_blocks
    assert plan_on(network, plan.params).digest == plan.digest, "a folder is read as it was written"


def test_block_rams_that_make_it_no_faster_are_left_free(monkeypatch):
    network, board = layered(*[8] * 24, channels=128, side=8), find_target("ulx3s_12f")  # 64 positions use each weight

    def blocks_and_cycles():
        plan = placed_plan(network, 16, board)
        return core_resources(plan.params, board)["bram"], expected_cycles(plan, pace=board.pace).interval

    spared, cycles = blocks_and_cycles()
    monkeypatch.setattr(placement, "FILLED", placement.FILLED[:1])
    full, least = blocks_and_cycles()
    assert spared < 0.6 * full and cycles <= placement.SLOWER * least
