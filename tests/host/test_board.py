"""A board: results equal to the golden model's, whatever happens to the line, or an error that says what to do."""

import os
import subprocess
import sys
import threading
from contextlib import ExitStack
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from gen.errors import DoesNotFit, InputError
from gen.netfile import save_network
from gen.result import Result
from gen.schedule import build_schedule
from host.board import RETRIES, Board
from host.content import read_content
from host.device import open_device
from host.errors import LinkError, LinkFault, NoSuchPort, WrongBoard
from hw.regmap import COUNTERS, IDENTITY
from sim.golden import Golden
from sim.model import input_stream
from sim.random_networks import random_images, random_network
from tests.host.fake_board import (
    BUILD, KINDS, FakeBoard, Faults, MemoryTransport, PtyBoard, fake_cycles, make_folder,
)

ROOT = Path(__file__).parents[2]
FIRST, OTHER, WIDE, FRAMES = 11, 29, 15, 19  # 48 pixels; 40; 36 of 9 bits; frames of counts
TWIN = -11                                   # looks like FIRST from outside and gives other logits
BYTE_S, COMPUTE_S = 1e-5, 1e-3


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("boards"))


class World:
    """Two folders for one core, networks by seed, and every load stream there is to its network."""

    def __init__(self, path):
        self.path, self.library, self.seeds = path, {}, (FIRST, OTHER)
        self.networks = {seed: random_network(seed) for seed in (FIRST, OTHER, WIDE, FRAMES)}
        readout = self.networks[FIRST].readout
        twin = replace(readout, bias=readout.bias[::-1])
        self.networks[TWIN] = replace(
            self.networks[FIRST], layers=[*self.networks[FIRST].layers[:-1], twin]
        )
        first, other = (build_schedule(self.networks[seed], 4).params for seed in self.seeds)
        self.params = first.covering(other)
        self.folder, self.other = (self.make(seed, self.params) for seed in self.seeds)
        self.images = {seed: random_images(network, abs(seed), 60) for seed, network in self.networks.items()}
        self.golden = {seed: Golden(network).run(self.images[seed]) for seed, network in self.networks.items()}
        save_network(self.networks[OTHER], path / "other.safetensors")

    def make(self, seed, params=None, name=None, **changes):
        folder, _, stream = make_folder(self.path / str(name or seed), self.networks[seed], params=params, **changes)
        self.library[stream] = self.networks[seed]
        return folder

    def fake(self, folder=None, **options):
        return FakeBoard(folder or self.folder, self.library, byte_s=BYTE_S, compute_s=COMPUTE_S, **options)

    def line(self, faults=None, folder=None, **options):
        return MemoryTransport(self.fake(folder, **options), faults)

    def check(self, result, seed=FIRST, number=60):
        for name in ("classes", "exit_steps", "logits", "events", "synaptic_ops"):
            expected = getattr(self.golden[seed], name)[:number]
            np.testing.assert_array_equal(getattr(result, name), expected, err_msg=name)
        network = self.networks[seed]
        lowest, wide = network.source.range[0], np.ptp(network.source.range) > 255
        sent = (input_stream(network, self.images[seed][:number]) - lowest).astype("<u2" if wide else np.uint8)
        assert result.cycles.tolist() == [fake_cycles(image.tobytes()) for image in sent]


@pytest.mark.parametrize("seed", [FIRST, OTHER, WIDE, FRAMES])
def test_results_are_those_of_the_golden_model(world, seed):
    folder = world.make(seed, name=f"alone{seed}")
    with Board(world.line(folder=folder), folder) as board:
        result, other = board.run(world.images[seed]), world.golden[seed]
        world.check(result, seed)
        assert isinstance(result, Result) and board.lanes == 4
        for field in fields(Result):
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


@pytest.mark.parametrize("direction", ["rx", "tx"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_anywhere_from_opening_to_the_last_result(world, kind, direction):
    images, number = world.images[FIRST][:3], 3
    for at in range(0, 260, 7):
        faults = Faults({(direction, at): (kind, 1 + at % 255)})
        line = world.line(faults)
        board = Board(line, world.folder)
        world.check(board.run(images), number=number)
        assert faults.happened or faults.passed[direction] <= at, (kind, direction, at)
        assert line.now < 40


@pytest.mark.parametrize("seed", range(4))
def test_none_of_200_faults_is_lost_in_silence(world, seed):
    faults = Faults.random(seed, 200, 60_000)
    board = Board(world.line(faults), world.folder)
    for _ in range(100):
        world.check(board.run(world.images[FIRST]))
        if faults.happened == 200:
            break
    assert faults.happened == 200, f"seed {seed}"
    assert board.statistics.retries > 20, f"seed {seed}"


@pytest.mark.parametrize("seed", range(3))
def test_faults_while_another_network_is_loaded_and_runs(world, seed):
    faults = Faults.random(seed, 60, 30_000)
    line = world.line(faults, rx_bytes=256, max_payload=64)
    board = Board(line, world.folder)
    for _ in range(100):
        board.load(world.networks[OTHER])
        world.check(board.run(world.images[OTHER]), OTHER)
        board.load(world.folder)
        world.check(board.run(world.images[FIRST]))
        if faults.happened == 60:
            break
    assert faults.happened == 60, f"seed {seed}"


@pytest.mark.parametrize("seed", [OTHER, TWIN])
def test_a_board_that_falls_back_on_its_bitstream_is_noticed(world, seed):
    folder, line = world.make(seed, world.params, name=f"loaded{seed}"), world.line()
    board = Board(line, world.folder)
    board.load(folder)

    def power_cut(done, total):
        if done in (5, 6, 31):
            line.board.power_on()

    world.check(board.run(world.images[seed], progress=power_cut), seed)
    assert line.board.powered == 4 and board.statistics.retries == 3
    line.board.power_on()  # between two runs there is nothing that could be cut
    world.check(board.run(world.images[seed]), seed)
    assert board.statistics.retries == 4
    assert board.identify()["NETWORK"] == read_content(folder).identity


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
    with pytest.raises(DoesNotFit, match="^The network does not fit the core. .*the network needs .* the core has"):
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


def test_a_long_load_is_taken_up_where_it_was_cut(world):
    folder = world.make(FIRST, name="cut", initialised=False)
    words = len(read_content(folder).stream) // 4
    faults = Faults({("rx", at): ("drop", 0) for at in range(200, 2200, 120)})
    line = world.line(faults, folder=folder, rx_bytes=128, max_payload=24)
    Board(line, folder)
    assert words > 150 and faults.happened == 17
    assert faults.passed["rx"] < 6000  # from the beginning each time it would never have got through


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
    ("VERSION", 2, "speaks version 2 of the protocol, this adafire version 1: generate and build .* again with this one"),
])
def test_another_board_is_refused(world, register, value, text):
    line = world.line(**{register: value})
    with pytest.raises(WrongBoard, match=text):
        Board(line, world.folder)
    assert not line.is_open


def test_a_dead_board_is_an_error_in_bounded_time(world):
    line = world.line()
    line.board.mute = True
    with pytest.raises(LinkError, match="^The board at memory does not answer: 5 requests to reset") as caught:
        Board(line, world.folder)
    assert not isinstance(caught.value, LinkFault) and not line.is_open and line.now < 10


def test_a_board_that_dies_in_the_middle_is_an_error_in_bounded_time(world):
    line = world.line()
    board = Board(line, world.folder)

    def die(done, total):
        line.board.mute = done >= 10

    with pytest.raises(LinkError, match="does not answer"):
        board.run(world.images[FIRST], progress=die)
    assert line.now < 20
    line.board.mute = False
    world.check(board.run(world.images[FIRST]))


def test_a_core_that_never_gives_a_result_is_an_error_in_bounded_time(world):
    line = world.line()
    board = Board(line, world.folder)
    line.board.compute_s = 1e9
    with pytest.raises(LinkError, match=r"was reset 8 times in a row without getting on, the last time because no reply"
                       r" came within 1\.\d s\. Check cable, power and baud rate \(1000000\); if these are right, build"):
        board.run(world.images[FIRST])
    assert board.statistics.retries == RETRIES and line.now < 20
    line.board.compute_s = 0.0
    world.check(board.run(world.images[FIRST]))


def test_a_cable_that_stays_out_is_an_error_in_bounded_time(world):
    line = world.line(Faults({("rx", 500): ("unplug", 256 * 60)}))
    board = Board(line, world.folder)
    with pytest.raises(LinkError, match="did not come back within 15 s"):
        board.run(world.images[FIRST])
    assert line.now < 20


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


def test_an_interrupt_leaves_a_board_that_runs_on_and_closes(world):
    line = world.line()

    def control_c(done, total):
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Board(line, world.folder) as board:
        with pytest.raises(KeyboardInterrupt):
            board.run(world.images[FIRST], progress=control_c)
        world.check(board.run(world.images[FIRST]))
        board.run(world.images[FIRST], progress=control_c)
    assert not line.is_open
    with pytest.raises(LinkError, match="^The board at memory has been closed: open it again.$"):
        board.run(world.images[FIRST])
    board.close()


def test_resources_are_closed_with_the_board_and_when_it_does_not_open(world):
    for folder, fails in ((world.folder, False), (world.path / "none", True)):
        closed, resources = [], ExitStack()
        resources.callback(closed.append, "simulator")
        if fails:
            with pytest.raises(InputError, match="none is not a folder made by `adafire generate`: manifest.json cannot"):
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
    with pytest.raises(InputError, match=r"manifest\.json does not say build_id, network_id, classes, input, baud, .*gener"):
        Board(world.line(), folder)
    for text in ("[]", "{"):
        (folder / "manifest.json").write_text(text)
        with pytest.raises(InputError, match=r"manifest\.json (is not JSON|does not say)"):
            Board(world.line(), folder)


def test_through_a_pseudo_terminal_with_faults_of_its_cable(world, tmp_path):
    plan = {("rx", 300): ("flip", 1), ("tx", 900): ("drop", 0), ("rx", 2000): ("reset", 0), ("tx", 2500): ("double", 0)}
    faults = Faults(plan)
    with PtyBoard(FakeBoard(world.folder, world.library), tmp_path / "port", faults) as fake:
        with open_device(fake.port, folder=world.folder) as board:
            world.check(board.run(world.images[FIRST]))
            assert faults.happened == 4 and board.port == fake.port
            pulled = threading.Event()

            def pull_the_cable(done, total):
                if done == 20 and not pulled.is_set():
                    pulled.set()
                    fake.unplug()
                    threading.Timer(0.3, fake.plug).start()

            world.check(board.run(world.images[FIRST], progress=pull_the_cable))
            assert board.statistics.reconnects == 1
        with open_device(fake.port, world.networks[OTHER], folder=world.folder) as board:
            world.check(board.run(world.images[OTHER]), OTHER)


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
