"""The fuzzer: every kind comes, from its seed, and nothing in it makes a right result look wrong."""

from collections import Counter

import numpy as np
import pytest

from gen.plan.plan import make_plan
from hw.regmap import COMMIT, POSITION, Command, decode, frames
from tests.kit.fuzz import END, KINDS, TRACKED, Fuzzer, image_bytes, image_requests, load_requests
from tests.kit.random_networks import random_images, random_network

SEED, NUMBER, LONGEST = 12, 0x12345678, 1024


@pytest.fixture(scope="module")
def network():
    return random_network(SEED, max_layers=3, max_neurons=400, max_weights=1500)


@pytest.fixture
def fuzzer(network):
    def made(seed):
        return Fuzzer(seed, make_plan(network, 4), NUMBER, images(network), LONGEST)
    return made


def images(network):
    return image_bytes(network, random_images(network, SEED, 5))


def sound(data):
    """Return the good frames in bytes that begin outside of any frame."""
    return [frame for frame in map(decode, frames(bytearray(data))) if frame]


def test_a_seed_says_everything(fuzzer):
    first, again, other = ([made.next() for _ in range(100)] for made in map(fuzzer, (1, 1, 2)))
    assert first == again != other


def test_every_kind_comes_and_only_good_runs_carry_their_numbers(fuzzer, network):
    fuzzer, kinds, commits = fuzzer(3), Counter(), 0
    for _ in range(2000):
        kind, data = fuzzer.next()
        kinds[kind] += 1
        for command, sequence, payload in sound(data):
            if kind == "good run":
                image = images(network)[fuzzer.image_of(sequence, 5)]
                assert (command, payload) == (Command.RUN, POSITION.pack(0) + image)
            else:
                assert sequence not in TRACKED and sequence != END and fuzzer.image_of(sequence, 5) is None
            if command == Command.COMMIT and len(payload) == COMMIT.size:
                commits += 1
                assert COMMIT.unpack(payload)[1] != NUMBER
    assert set(kinds) == set(KINDS) and commits > 10


def test_broken_kinds_are_broken_and_sound_ones_sound(fuzzer):
    fuzzer, right, seen = fuzzer(4), Counter(), Counter()
    for _ in range(2000):
        kind, data = fuzzer.next()
        seen[kind] += 1
        right[kind] += bool(sound(data))
    assert right["noise"] == right["cut"] == 0
    for kind in ("nonsense", "bad network", "good run"):
        assert right[kind] == seen[kind], kind
    assert right["flipped"] < seen["flipped"] / 4 and right["wrong length"] < seen["wrong length"] / 4


def test_pieces_of_images_and_loads_join_again(network):
    stream = make_plan(network, 4).load_stream
    *pieces, (last, commit) = load_requests(stream, (7, 300, -5, 2), 100)
    assert {command for command, _ in pieces} == {Command.LOAD}
    assert (last, COMMIT.unpack(commit)) == (Command.COMMIT, (len(stream), 7, 300, -5, 2))
    assert join(pieces, 4, 100) == stream.astype("<u4").tobytes()
    data = bytes(np.random.default_rng(0).integers(0, 256, 300, np.uint8))
    *inputs, run = image_requests(data, 100)
    assert {command for command, _ in inputs} == {Command.INPUT} and run[0] == Command.RUN
    assert join([*inputs, run], 1, 100) == data


def join(requests, unit, longest):
    """Return the payloads of pieces one after the other, their positions counted in ``unit`` bytes."""
    joined = b""
    for _, payload in requests:
        assert POSITION.unpack_from(payload)[0] * unit == len(joined) and len(payload) <= longest
        joined += payload[POSITION.size:]
    return joined
