"""The C host as a library, against a model of the board with a clock of its own."""

import ctypes
import json
import zlib
from dataclasses import replace

import numpy as np
import pytest

from gen.inputs import input_values
from gen.plan.plan import make_plan
from hw.regmap import COUNTERS, Fault, register
from sim.golden import Golden
from tests.host.fake_board import Faults, FakeBoard, MemoryTransport, make_folder
from tests.kit.c_host import (
    BUFFER, BUILD, DAMAGED, IMAGE, NETWORK, OK, PORT, REFUSED, SINK, SOURCE, STRANGER, TIMEOUT, CHost, compiled_library,
    described,
)
from tests.kit.random_networks import FIRST, random_batch_network, random_images, random_network

SMALL = dict(
    max_layers=2, max_neurons=60, max_weights=300, max_channels=4, max_size=5, max_timesteps=3, max_classes=5,
)
IMAGES = 3


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The C host as a shared library."""
    return compiled_library(tmp_path_factory.mktemp("library"))


def expected(network, x):
    """Return what `CHost.run` returns for every image."""
    result = Golden(network).run(x)
    outputs = [np.moveaxis(values, 1, -1).reshape(len(x), -1) for values in result.outputs.values()]
    columns = (result.classes, result.exit_steps, result.events, result.synaptic_ops, np.hstack(outputs))
    return [(OK, *(int(value) for value in row[:-1]), row[-1].tolist()) for row in zip(*columns)]


class Case:
    """A network, its folder, images and their results, and a model of its board."""

    def __init__(self, folder, seed, sources=("direct", "frames"), network=None, **changes):
        self.network = network or random_network(seed, sources=sources, **SMALL)
        self.x = random_images(self.network, seed, IMAGES)
        self.folder, self.params, self.stream = make_folder(folder, self.network, **changes)
        self.manifest = json.loads((folder / "manifest.json").read_text())
        self.expected = expected(self.network, self.x)

    def line(self, faults=None, others=(), **settings):
        """Return a `MemoryTransport` with a new board behind it."""
        known = {self.stream: self.network, **{other.stream: other.network for other in others}}
        return MemoryTransport(FakeBoard(self.folder, known, **settings), faults)


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return Case(tmp_path_factory.mktemp("case") / "folder", 1, sources=("direct",))


@pytest.mark.parametrize("seed", range(8))
def test_results_are_those_of_the_golden_model(library, tmp_path, seed):
    case = Case(tmp_path / "folder", seed)
    host = CHost(library, case.line(max_payload=64 + 8 * seed), case.manifest)
    assert host.open() == OK
    assert [host.run(image) for image in case.x] == case.expected
    assert host.board.retries == 0
    assert host.board.identity[register("LANES")] == case.manifest["lanes"]
    counters = (ctypes.c_uint32 * len(COUNTERS))()
    assert library.adafire_counters(ctypes.byref(host.board), counters) == OK
    assert counters[0] == IMAGES and list(counters[2:]) == [0] * 5


def test_two_byte_inputs(library, tmp_path):
    network = random_network(3, sources=("direct",), **SMALL)
    wide = replace(network.source, low=0, high=255, offset=np.arange(network.source.shape[0]) * 60 - 30)
    network = replace(network, source=wide)
    case = Case(tmp_path / "folder", 3, network=network)
    low = case.manifest["input"]["lowest"]
    assert (case.manifest["input"]["bytes"] == 2) == (network.source.shape[0] > 1)
    host = CHost(library, case.line(), case.manifest)
    assert host.open() == OK and [host.run(image) for image in case.x] == case.expected
    assert input_values(network, case.x).min() >= low


@pytest.mark.parametrize("seed", [0, 3, 4, 7])
def test_several_images_that_are_run_together_are_one(library, tmp_path, seed):
    """Class and counts are as the core gives them, of the last one and of all; the values are those of each."""
    network = random_batch_network(seed, FIRST, **SMALL)
    case = Case(tmp_path / "folder", seed, network=network, params=make_plan(network, 4, batch=IMAGES).params)
    host = CHost(library, case.line(max_payload=64), case.manifest)
    assert host.open() == OK
    found, (_, classes, steps, events, operations, values) = host.run(case.x), zip(*case.expected)
    assert found == (OK, classes[-1], sum(steps), sum(events), sum(operations), sum(values, []))
    assert host.board.retries == 0


@pytest.mark.parametrize("size", [272, 2048])
def test_a_network_is_loaded_where_there_is_none(library, tmp_path, size):
    case = Case(tmp_path / "folder", 2, initialised=False)
    host = CHost(library, case.line(), case.manifest, size=size)
    assert host.open() == NETWORK
    assert host.load(case.stream) == OK
    assert [host.run(image) for image in case.x] == case.expected


def test_another_network_is_loaded(library, tmp_path, case):
    other = Case(tmp_path / "other", 5, sources=("frames",))
    host = CHost(library, case.line(others=[other]), case.manifest)
    assert host.open() == OK and host.run(case.x[0]) == case.expected[0]
    host.manifest = other.manifest
    assert host.load(other.stream, described(other.manifest)) == OK
    assert [host.run(image) for image in other.x] == other.expected


@pytest.mark.parametrize("seed", range(60))
def test_a_disturbed_line_costs_time_and_no_bits(library, case, seed):
    """Every image is right in the end, whatever is lost; a pulled cable ends in its own status."""
    line = case.line(Faults.random(seed, 6, 1500), compute_s=0.02, byte_s=1e-4)
    host = CHost(library, line, case.manifest, attempts=10)
    unplugged = any(kind == "unplug" for kind, _ in line.faults.plan.values())
    images = [(n, image) for n, image in enumerate(case.x)] * 4
    status = host.open(sequence=seed)
    while images:
        if status == NETWORK:
            status = host.load(case.stream)
        elif status == PORT and unplugged:
            line.pending = bytearray()
            line.reopen(100)
            status = host.open(sequence=seed + 100)
        else:
            assert status == OK, (seed, library.adafire_text(status))
            n, image = images[0]
            status, *found = host.run(image)
            if status == OK:
                assert (OK, *found) == case.expected[n], seed
                images.pop(0)
    assert line.faults.happened and host.board.retries <= 50, seed


@pytest.mark.parametrize("seed", range(30))
def test_loading_over_a_disturbed_line(library, case, seed):
    line = case.line(Faults.random(seed, 8, len(case.stream)), byte_s=1e-4)
    line.faults.plan = {at: fault for at, fault in line.faults.plan.items() if fault[0] != "unplug"}
    host = CHost(library, line, case.manifest, attempts=10, size=272)
    # Opening tries five times by itself, which is as many faults as may hit it at once here.
    assert any(host.open(sequence=first) in (OK, NETWORK) for first in (1, 101)), seed
    status = host.load(case.stream)
    assert status == OK, (seed, library.adafire_text(status))
    assert line.faults.happened and line.board.memory == case.stream and line.board.loading is None, seed
    assert [host.run(image)[1:] for image in case.x] == [row[1:] for row in case.expected], seed


def test_what_answers_is_looked_at(library, case):
    def opened(**registers):
        return CHost(library, case.line(**registers), case.manifest).open()

    assert opened() == OK
    assert opened(MAGIC=0x46414442) == opened(VERSION=1) == STRANGER
    assert opened(MAX_PAYLOAD=0) == opened(RX_BYTES=3) == STRANGER
    assert opened(BUILD_0=1) == opened(BUILD_3=1) == BUILD
    assert opened(NETWORK=5) == opened(NETWORK=0) == opened(LOADED=5) == NETWORK


def test_a_board_that_lost_its_power_is_noticed(library, tmp_path, case):
    other = Case(tmp_path / "other", 5, sources=("frames",))
    line = case.line(others=[other])
    host = CHost(library, line, other.manifest)
    assert host.open() == NETWORK and host.load(other.stream) == OK
    line.board.power_on()
    assert host.run(other.x[0])[0] == NETWORK
    assert host.load(other.stream) == OK and host.run(other.x[0]) == other.expected[0]


def test_a_board_that_says_nothing(library, case):
    line = case.line()
    host = CHost(library, line, case.manifest, attempts=3)
    assert host.open() == OK
    line.board.mute, before = True, line.now
    assert host.run(case.x[0])[0] == TIMEOUT
    assert 3 <= line.now - before < 6 and host.board.retries == 3  # of the run, of the reset
    assert library.adafire_abort(ctypes.byref(host.board)) == TIMEOUT
    line.board.mute = False
    assert library.adafire_abort(ctypes.byref(host.board)) == OK
    assert host.run(case.x[0]) == case.expected[0]


@pytest.mark.parametrize("noise", [b"\x55" * 64, b"\x7e" * 64, b"\x7d" * 64, bytes(range(256))])
def test_a_line_that_babbles_is_given_up(library, case, noise):
    class Babble:
        now, count = 0.0, 0

        def write(self, data):
            pass

        def read(self, deadline):
            self.count += len(noise)
            return noise

    line = Babble()
    host = CHost(library, line, case.manifest)
    assert host.open() == DAMAGED and line.count < 5 * 66_000


def test_refusals_are_told(library, case):
    host = CHost(library, case.line(), case.manifest)
    assert host.open() == OK
    board = host.transport.board
    board.network = (board.network[0], board.network[1] + 4, *board.network[2:])  # it wants more
    assert host.run(case.x[0])[0] == REFUSED
    assert (host.board.fault, host.board.expected, host.board.retries) == (Fault.PAYLOAD, 0, 4)


def test_what_cannot_be_is_said_at_once(library, case):
    host = CHost(library, case.line(), case.manifest, size=271)
    assert host.open() == BUFFER and host.transport.board.counters[1] == 0
    host = CHost(library, case.line(), case.manifest)
    assert host.open() == OK
    assert host.load(case.stream[:-1]) == host.load(b"") == host.load(case.stream, fails=True) == SOURCE
    assert host.run(case.x[0], room=host.network.outputs - 1)[0] == BUFFER


def test_a_damaged_image_is_not_sent(library, case):
    """Cut short, or any bit of it wrong, or the whole image of another network, its digest right."""
    host = CHost(library, case.line(), case.manifest)
    assert host.open() == OK
    asked = host.transport.board.counters[1]
    for bit in (0, 300, 8 * len(case.stream) - 90, 8 * len(case.stream) - 1):
        stream = bytearray(case.stream)
        stream[bit // 8] ^= 1 << bit % 8
        assert host.load(bytes(stream)) == IMAGE
    assert host.load(case.stream[:-4]) == host.load(case.stream[:8]) == IMAGE
    other = bytearray(case.stream)
    other[40] ^= 1
    other[-4:] = zlib.crc32(other[:-12]).to_bytes(4, "little")
    assert host.load(bytes(other)) == IMAGE
    assert host.transport.board.counters[1] == asked, "nothing was sent"
    assert host.load(case.stream) == OK and host.run(case.x[0]) == case.expected[0]


@pytest.mark.parametrize("values", [58, 59, 500])
def test_results_of_any_size_through_a_sink(library, case, values):
    """Larger than the buffer of the link and than a piece; a fault amid them begins them anew."""
    line = case.line(Faults({("tx", 400): ("flip", 1)}))
    outputs = np.arange(values) * 60_007 - 2**31
    line.board._compute = lambda *_: np.array([3, 2, 7, 7, 5, 6, *outputs], "<i4").tobytes()
    host = CHost(library, line, case.manifest)
    host.network.outputs = values
    assert host.open() == OK
    starts = []

    def sink(target, position, piece):
        starts.append(position)
        target[position : position + len(piece)] = piece
        return 0

    assert host.run(case.x[0], sink=sink) == (OK, 3, 2, 5, 6, outputs.tolist())
    assert host.board.retries == line.faults.happened
    assert starts[-len(range(0, values + 6, 64)):] == [0, *range(58, values, 64)]
    assert host.run(case.x[0]) == (OK, 3, 2, 5, 6, outputs.tolist())
    assert host.run(case.x[0], sink=lambda *_: 1)[0] == SINK
    assert host.run(case.x[0]) == (OK, 3, 2, 5, 6, outputs.tolist()), "what was still coming is passed over"
    host.network.outputs = values + 1
    host.open()
    assert host.run(case.x[0])[0] == DAMAGED


def test_an_image_through_a_source(library, case):
    """Piece by piece, through the smallest buffer; a fault amid them begins it anew, and a source may give up."""
    line = case.line(Faults({("rx", 60): ("flip", 1)}), max_payload=64)
    host, starts = CHost(library, line, case.manifest, size=272), []
    assert host.open() == OK

    def values(target, position, piece):
        target[position : position + len(piece)] = piece
        return 0

    def source(position, piece):
        starts.append((position, len(piece)))
        return 0

    whole = host.network.input_size * host.network.input_bytes
    assert host.run(case.x[0], sink=values, source=source) == case.expected[0]
    assert host.board.retries == line.faults.happened and starts[-1][0] + starts[-1][1] == whole
    assert host.run(case.x[0], sink=values, source=lambda *_: 1)[0] == SOURCE
    assert host.run(case.x[1], sink=values, source=source) == case.expected[1]


def test_a_slow_image_and_a_slow_line_are_waited_for(library, case):
    """By the estimated cycles, the board's clock (1 MHz) and its baud rate."""
    host = CHost(library, case.line(compute_s=20.0), case.manifest)
    host.network.cycles = 15_000_000
    assert host.open() == OK and host.run(case.x[0]) == case.expected[0] and host.board.retries == 0
    host.network.cycles = 100_000
    assert host.open() == OK and host.run(case.x[0])[0] == TIMEOUT
    host = CHost(library, case.line(byte_s=10 / 1200, BAUD=1200), case.manifest, size=2048)
    assert len(case.stream) * 10 / 1200 > 2
    assert host.open() == OK and host.load(case.stream) == OK and host.board.retries == 0


def test_every_status_has_words(library):
    texts = [library.adafire_text(status).decode() for status in range(12)]
    assert len(set(texts)) == 12 and library.adafire_text(12) == b"unknown status"
    faults = [library.adafire_fault_text(fault).decode() for fault in Fault]
    assert len(set(faults)) == len(Fault) and library.adafire_fault_text(99) == b"unknown fault"


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("channels", [1, 2, 7])
def test_classes_of_positions(library, channels, seed):
    values = np.random.default_rng(seed).integers(-4, 5, (30, channels)).astype(np.int32)
    found = (ctypes.c_uint32 * 30)()
    library.adafire_classes(values.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)), channels, 30, found)
    wanted = values.argmax(axis=1) if channels > 1 else values[:, 0] > 0
    np.testing.assert_array_equal(list(found), wanted, err_msg=f"seed {seed}")
