"""A board on a good line: results, other networks, refusals, and how little a host needs."""

import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from gen.errors import DoesNotFit, InputError
from gen.generated import SCHEMA
from gen.manifest import write_manifest
from gen.result import Result
from host.board import Board
from host.device import open_device
from host.errors import NoSuchPort, WrongBoard
from hw.regmap import COUNTERS, IDENTITY
from tests.kit.random_networks import random_network
from tests.host.fake_board import BUILD, FakeBoard
from tests.host.fake_line import PtyBoard
from tests.host.fake_world import COMPUTE_S, FIRST, FRAMES, OTHER, WIDE, World

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("boards"))


@pytest.mark.parametrize("seed", [FIRST, OTHER, WIDE, FRAMES])
def test_results_are_those_of_the_golden_model(world, seed):
    folder = world.make(seed, name=f"alone{seed}")
    with Board(world.line(folder=folder), folder) as board:
        result, other = board.run(world.images[seed]), world.golden[seed]
        world.check(result, seed)
        assert isinstance(result, Result) and board.lanes == 4
        assert result.spike_ops is None and result.stages is None  # what a core does not tell
        assert list(result.outputs) == [board.network.readout.name]
        for field in fields(Result):
            if field.name in ("spike_ops", "outputs", "stages"):
                continue
            array = getattr(result, field.name)
            assert array.dtype == np.int64 and array.shape == (getattr(other, field.name, None) is not None
                                                               and getattr(other, field.name).shape or (60,))
        assert board.network.classes == world.networks[seed].classes
        none = board.run(world.images[seed][:0])
        assert none.logits.shape == (0, board.network.classes) and none.classes.shape == (0,)


@pytest.mark.parametrize("rx_bytes, max_payload", [(64, 32), (64, 1024), (70, 41), (2048, 1024), (8192, 16)])
def test_images_of_any_size_go_through_any_window(world, rx_bytes, max_payload):
    line = world.line(rx_bytes=rx_bytes, max_payload=max_payload)
    with Board(line, world.folder) as board:
        world.check(board.run(world.images[FIRST]))
        assert board.counters()["OVERRUNS"] == 0 and board.statistics.retries == 0


def test_sending_and_computing_overlap(world):
    line = world.line()
    board, fresh = Board(line, world.folder), line.now
    board.run(world.images[FIRST])
    together = line.now - fresh
    assert 60 * COMPUTE_S < together < 1.1 * 60 * COMPUTE_S
    for image in world.images[FIRST]:
        board.run(image[None])
    assert line.now - fresh - together > 1.9 * together
    assert line.board.overlapped > 50 * 60


def test_progress_counts_images(world):
    seen = []
    Board(world.line(), world.folder).run(world.images[FIRST], progress=lambda *amounts: seen.append(amounts))
    assert seen == [(n, 60) for n in range(1, 61)]


@pytest.mark.parametrize("form", ["network", "file", "folder"])
def test_another_network_in_the_same_bitstream(world, form):
    line = world.line()
    board = Board(line, world.folder)
    world.check(board.run(world.images[FIRST]))
    board.load({
        "network": world.networks[OTHER], "file": world.path / "other.safetensors", "folder": str(world.other),
    }[form])
    world.check(board.run(world.images[OTHER]), OTHER)
    assert board.network.classes == world.networks[OTHER].classes
    board.load(world.networks[FIRST])
    world.check(board.run(world.images[FIRST]))
    assert board.statistics.retries == 0


def test_a_network_that_does_not_fit_is_refused_before_anything_is_sent(world):
    line = world.line()
    board = Board(line, world.folder)
    asked = board.statistics.requests
    with pytest.raises(DoesNotFit, match="^The network does not fit the core. .*network needs .* the core has"):
        board.load(random_network(3))
    assert board.statistics.requests == asked
    world.check(board.run(world.images[FIRST]))


def test_a_board_without_memories_in_its_bitstream_is_loaded(world):
    folder, told = world.make(FIRST, name="empty", initialised=False), []
    line = world.line(folder=folder)
    board = Board(line, folder, progress=lambda *step: told.append(step))
    assert told[-1] == ("loading the network", 1.0)
    world.check(board.run(world.images[FIRST]))
    line.board.power_on()
    world.check(board.run(world.images[FIRST]))
    assert board.statistics.retries == 1


def test_the_wrong_build_is_refused_with_both_ids(world):
    folder = world.make(FIRST, world.params, name="newer", build_id="f" * 32)
    line = world.line()
    with pytest.raises(WrongBoard) as caught:
        Board(line, folder)
    assert str(caught.value) == (
        f"The board at memory holds the build {BUILD}, {folder} is the build {'f' * 32}: load the bitstream of "
        f"{folder}, or name the folder that the board's was made from."
    )
    assert caught.value.exit_code == 1 and not line.is_open


@pytest.mark.parametrize("register, value, text", [
    ("MAGIC", 5, "^What answers at memory is no adafire board: name another port, or load the bitstream of"),
    ("VERSION", 1, "version 1 of the protocol, this adafire version 2: generate and build .* again with this one"),
])
def test_another_board_is_refused(world, register, value, text):
    line = world.line(**{register: value})
    with pytest.raises(WrongBoard, match=text):
        Board(line, world.folder)
    assert not line.is_open


def test_identity_and_counters(world):
    board = Board(world.line(), world.folder)
    identity = board.identify()
    assert list(identity) == [register.name for register in IDENTITY] and identity["LANES"] == 4
    assert identity["INPUT_LOW"] == world.networks[FIRST].source.range[0]
    board.run(world.images[FIRST])
    counters = board.counters()
    assert list(counters) == [register.name for register in COUNTERS] and counters["RESULTS"] == 60
    board.abort()
    assert board.counters()["RESULTS"] == 60
    board.reset()
    assert board.counters()["RESULTS"] == 0
    world.check(board.run(world.images[FIRST]))


def test_signed_registers(world):
    folder = world.make(OTHER, world.params, name="low")
    board = Board(world.line(folder=folder), folder)
    assert board.identify()["INPUT_LOW"] == world.networks[OTHER].source.range[0] < 0


def test_resources_are_closed_with_the_board_and_when_it_does_not_open(world):
    for folder, fails in ((world.folder, False), (world.path / "none", True)):
        closed, resources = [], ExitStack()
        resources.callback(closed.append, "simulator")
        if fails:
            with pytest.raises(InputError, match="none is not a folder made by `adafire generate`: manifest.json"):
                Board(world.line(), folder, resources=resources)
        else:
            board = Board(world.line(), folder, resources=resources)
            assert closed == []
            board.close()
        assert closed == ["simulator"]


@pytest.mark.parametrize("change, text", [
    (lambda x: x[:, :, :-1], "takes images of shape"),
    (lambda x: x.astype(np.int16) + 300, "takes pixels in 0..255"),
    (lambda x: x / 255, "must hold integers"),
    (lambda x: np.uint8(3), "takes images of shape"),
])
def test_images_of_another_network_are_refused_before_anything_is_sent(world, change, text):
    board = Board(world.line(), world.folder)
    asked = board.statistics.requests
    with pytest.raises(InputError, match=text):
        board.run(change(world.images[FIRST]))
    assert board.statistics.requests == asked


def test_a_folder_of_an_older_adafire(world):
    folder = world.make(FIRST, name="old")
    (folder / "manifest.json").write_text('{"schema": 1, "lanes": 4, "parameters": {}}')
    with pytest.raises(InputError, match=r"manifest\.json has no digest of itself: an older adafire wrote it"):
        Board(world.line(), folder)
    write_manifest(folder, {"schema": 1, "lanes": 4, "parameters": {}})
    with pytest.raises(InputError, match=r"manifest\.json is of schema 1, this adafire's is \d"):
        Board(world.line(), folder)
    write_manifest(folder, {"schema": SCHEMA, "lanes": 4, "parameters": {}})
    with pytest.raises(InputError, match=r"manifest\.json does not say build_id, network, board, network_id,"):
        Board(world.line(), folder)


LIGHT = """
import sys
before = set(sys.modules)
sys.dont_write_bytecode = True
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in {*sys.stdlib_module_names, "numpy", "serial", "gen", "hw", "host"}:
            raise ModuleNotFoundError(f"{name} is not for a host", name=name)
sys.meta_path.insert(0, Refuse())
import numpy
from host.device import open_device
with open_device(sys.argv[1], folder=sys.argv[2]) as board:
    result = board.run(numpy.load(sys.argv[3]))
    board.load(sys.argv[4])
    board.identify(), board.counters(), board.lanes
numpy.save(sys.argv[5], result.logits)
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
print(sorted(loaded - set(sys.stdlib_module_names)))
"""


def test_a_board_needs_numpy_and_pyserial_only(world, tmp_path):
    np.save(tmp_path / "x.npy", world.images[FIRST])
    with PtyBoard(FakeBoard(world.folder, world.library), tmp_path / "port") as fake:
        words = (fake.port, world.folder, tmp_path / "x.npy", world.other, tmp_path / "logits.npy")
        done = subprocess.run(
            [sys.executable, "-c", LIGHT, *map(str, words)], cwd=ROOT, capture_output=True, text=True, timeout=60,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['gen', 'host', 'hw', 'numpy', 'serial']"
    np.testing.assert_array_equal(np.load(tmp_path / "logits.npy"), world.golden[FIRST].logits)


def test_a_port_that_is_not_there(world):
    with pytest.raises(NoSuchPort, match="There is no port '/dev/ttyADAFIRE'"):
        open_device("/dev/ttyADAFIRE", folder=world.folder)
