"""Recordings frame by frame: decided as soon as the frames suffice, the same bits, and times that add up."""

from types import SimpleNamespace

import numpy as np
import pytest

from gen.errors import InputError
from gen.plan.target import find_target
from gen.result import results_in
from host.board import Board
from host.content import read_content, read_manifest
from host.streaming import Reckoning, Streamed, check_recordings
from sim.golden import Golden
from tests.host.fake_board import FakeBoard, make_folder
from tests.host.fake_line import Faults, MemoryTransport
from tests.kit.random_networks import random_images, random_network


SEED, IMAGES = 18, 30  # four frames, and each of them decides some


class World:
    """A network of frames, recordings, what the golden model says of them, and a fake board on a line of its own."""

    def __init__(self, path):
        self.network = random_network(SEED, sources=("frames",), max_layers=3, max_neurons=400, max_weights=1500)
        self.x = random_images(self.network, SEED, IMAGES)
        self.golden = Golden(self.network).run(self.x)
        self.folder, _, stream = make_folder(path / "core", self.network)
        self.library = {stream: self.network}

    def line(self, faults=None, **options):
        return MemoryTransport(FakeBoard(self.folder, self.library, byte_s=1e-5, compute_s=1e-3, **options), faults)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = World(tmp_path_factory.mktemp("streaming"))
    assert set(made.golden.exit_steps.tolist()) == {1, 2, 3, 4}
    return made


def check(found, golden, numbers):
    for name in ("classes", "exit_steps", "logits", "events", "synaptic_ops"):
        assert (getattr(found, name) == getattr(golden, name)[numbers]).all(), name


def words(board, rows):
    return results_in(board.content.outputs, np.stack(rows))


@pytest.mark.parametrize("rx_bytes, max_payload", [(2048, 1024), (64, 32), (70, 41)])
def test_the_decision_comes_before_the_frames_that_it_does_not_need(world, rx_bytes, max_payload):
    line = world.line(rx_bytes=rx_bytes, max_payload=max_payload)
    with Board(line, world.folder) as board:
        rows = []
        for recording, needed in zip(world.x, world.golden.exit_steps.tolist()):
            start, asked = line.now, set()

            def due(frame, start=start, asked=asked):
                asked.add(frame)
                return line.now >= start + 1.0 * frame  # a second from frame to frame, more than one takes

            row, answered = board.watch(recording, due)
            rows.append(row)
            assert needed - 1 < answered - start < needed and asked <= {*range(needed + 1)}
        check(words(board, rows), world.golden, slice(None))
        check(board.run(world.x[:5]), world.golden, slice(5))
        assert board.statistics.retries == 0


def test_faults_on_the_way_change_no_bit(world):
    faults = Faults({("rx", at): ("flip", 4) for at in range(700, 3000, 233)} | {("tx", 900): ("drop", 0)})
    with Board(world.line(faults), world.folder) as board:
        check(words(board, [board.watch(recording)[0] for recording in world.x]), world.golden, slice(None))
        assert board.statistics.retries >= 2


class Stand:
    """A board that decides at once what the golden model decides, on a clock of its own."""

    def __init__(self, network, content):
        self.network, self.content, self.now = network, content, 0.0

    def clock(self):
        self.now += 1e-4
        return self.now

    def watch(self, recording, due=lambda frame: True):
        result = Golden(self.network).run(recording[None])
        for frame in range(int(result.exit_steps[0])):
            while not due(frame):
                pass
        outputs = [np.moveaxis(z[0], 0, -1).ravel() for z in result.outputs.values()]
        header = result.classes, result.exit_steps, [900], [7], result.events, result.synaptic_ops
        return np.concatenate([[int(column[0]) for column in header], *outputs]), self.clock()


@pytest.mark.parametrize("reckoning", [None, Reckoning(0.002, 0.0003, 0.001)], ids=["measured", "reckoned"])
def test_the_latency_is_that_of_the_frame_at_which_it_is_decided(world, reckoning):
    x, golden, content = world.x[:8], world.golden, read_content(world.folder)
    ends = np.cumsum(np.random.default_rng(3).integers(5000, 20_000, x.shape[:2]), axis=1)
    device = Streamed(
        Stand(world.network, content), SimpleNamespace(ends=lambda number: ends[number]), reckoning,
    )
    check(device.run(x[:3]), golden, slice(3))
    check(device.run(x[3:]), golden, slice(3, 8))
    told, decided = device.latency(), ends[np.arange(8), golden.exit_steps[:8] - 1] / 1e3
    assert sum(told["histogram"]["recordings"]) == 8
    wanted = decided + (3.3 if reckoning else 0)  # the line and the core are faster than the recording
    assert abs(told["mean"] - wanted.mean()) < (1e-6 if reckoning else 0.5), (told, wanted)
    assert told["least"] <= told["median"] <= told["most"] == told["histogram"]["edges"][-1]


def test_a_line_or_a_core_slower_than_the_recording_adds_up():
    ends = np.array([0.01, 0.02, 0.03])
    assert Reckoning(0.05, 0.001, 0.002).decision(ends, 3) == pytest.approx(0.01 + 3 * 0.05 + 0.001 + 0.002)
    assert Reckoning(0.001, 0.1, 0.002).decision(ends, 2) == pytest.approx(0.01 + 0.001 + 2 * 0.1 + 0.002)


def test_a_later_stage_looks_at_the_frames_again():
    ends = np.array([0.01, 0.02, 0.03])
    assert Reckoning(0.001, 0.004, 0.002).decision(ends, 5) == pytest.approx(0.03 + 0.001 + 3 * 0.004 + 0.002)


def test_what_is_reckoned_is_the_folder_s(world):
    manifest, content = read_manifest(world.folder)
    found, size = Reckoning.of(manifest, content), world.x[0, 0].size
    assert found.frame_s == pytest.approx(1e-5 * (size + 14)) and found.answer_s == pytest.approx(
        1e-5 * (4 * content.words + 18))
    assert found.step_s == pytest.approx(2000 / 4 / (1e6 * find_target("ulx3s_85f").core_mhz))


def test_only_recordings_can_be_streamed(world):
    images = SimpleNamespace(name="x.npz")
    with pytest.raises(InputError, match="this network looks at one still image"):
        check_recordings(random_network(1, sources=("direct",)), images)
    with pytest.raises(InputError, match="x.npz holds images without times"):
        check_recordings(world.network, images)
