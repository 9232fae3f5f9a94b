"""The example for microcontrollers, compiled and run: on a model of the board, and on the simulated one."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from gen.plan.plan import make_plan
from gen.task import DETECT, SEGMENT
from hw.emit import generate
from hw.link.regmap_text import c_header
from sim.board import SimulatedBoard
from sim.golden import Golden
from tests.kit.random_networks import FIRST, random_batch_network, random_images, random_network
from tests.host.fake_board import FakeBoard, Faults, PtyBoard, make_folder
from tests.kit.task_networks import NETWORKS

ROOT = Path(__file__).parents[2]
SOURCES = [ROOT / "host/c/adafire.c", ROOT / "host/c/adafire_frames.c", ROOT / "examples/microcontroller/main.c"]
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", f"-I{ROOT / 'host/c'}")
WARNINGS = ("-O2", "-Wconversion", "-Wshadow", "-Wcast-qual", "-Wstrict-prototypes")
SANITIZED = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
SMALL = dict(
    max_layers=2, max_neurons=60, max_weights=300, max_channels=4, max_size=5, max_timesteps=3, max_classes=5,
)
IMAGES = 3
BOARD_SIZES = dict(max_layers=3, max_neurons=400, max_weights=1500)  # of the design that test_simulated_board compiles
BOARD_SEED = 12


class Program:
    """The example compiled for a generated folder, and images for it."""

    def __init__(self, folder, network, count, *options):
        self.folder, self.network, self.images = folder, network, folder.parent / "images.raw"
        x = random_images(network, 1, count)
        x.tofile(self.images)
        self.lines = [
            f"class {class_} exit step {step} logits {' '.join(map(str, logits))}"
            for class_, step, logits in zip(*result_of(network, x))
        ]
        self._program = compiled(folder, *options)

    def __call__(self, *words):
        """Run it; return exit code, lines of output and what it says on the error channel."""
        words = [self._program, *map(str, words)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout.splitlines(), done.stderr


def result_of(network, x):
    result = Golden(network).run(x)
    return result.classes, result.exit_steps, result.logits.tolist()


def compiled(folder, *options):
    """Compile the example for a folder; return the program."""
    program = folder.parent / "run_images"
    subprocess.run(["gcc", *STRICT, *options, f"-I{folder}", *SOURCES, "-o", program], check=True, timeout=100)
    return program


@pytest.fixture(scope="module")
def network():
    return random_network(4, **SMALL)


@pytest.fixture(scope="module")
def folder(network, tmp_path_factory):
    folder, _, _ = make_folder(tmp_path_factory.mktemp("example") / "core", network, initialised=False)
    (folder / "adafire_registers.h").write_text(c_header(json.loads((folder / "manifest.json").read_text())))
    return folder


@pytest.fixture(scope="module")
def example(folder, network):
    return Program(folder, network, IMAGES, *SANITIZED, "-DADAFIRE_TIMEOUT_MS=150")


@pytest.fixture
def board(folder, network):
    return FakeBoard(folder, {(folder / "image.bin").read_bytes(): network})


PLANS = {"quiet": {}, "disturbed": {("rx", 50): ("flip", 1), ("tx", 250): ("drop", 0)}}


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_it_loads_the_network_and_runs_the_images(example, board, tmp_path, plan):
    with PtyBoard(board, tmp_path / "port", Faults(plan)) as served:
        code, lines, err = example(served.port, example.images, example.folder / "image.bin")
        assert (code, lines, err) == (0, example.lines, "")
        assert served.faults.happened == len(plan)
    assert board.computed >= IMAGES


def test_it_says_what_is_wrong(example, board, tmp_path):
    assert example()[0] == 2 and "usage:" in example()[2]
    assert "No such file" in example(tmp_path / "port", example.images)[2]
    assert "No such file" in example(tmp_path / "port", tmp_path / "none")[2]
    with PtyBoard(board, tmp_path / "port") as served:
        wrong = (1, [], "the board holds another network, or none: it has to be loaded\n")
        assert example(served.port, example.images) == wrong
        assert "the network cannot be read" in example(served.port, example.images, tmp_path / "none")[2]
        board.registers = {"BUILD_0": 3}
        assert "another bitstream is on the board" in example(served.port, example.images)[2]
        board.mute = True
        assert "no reply came" in example(served.port, example.images)[2]


def test_what_it_prints_of_other_tasks(tmp_path):
    """Classes of positions, and the values of all outputs by name, of networks that are no classifiers."""
    for kind in (SEGMENT, DETECT):
        net = NETWORKS[kind]
        folder, _, _ = make_folder(tmp_path / kind / "core", net, initialised=False)
        (folder / "adafire_registers.h").write_text(c_header(json.loads((folder / "manifest.json").read_text())))
        x = np.random.default_rng(0).integers(0, 256, (2, *net.source.shape), dtype=np.uint8)
        x.tofile(tmp_path / "images.raw")
        result, program = Golden(net).run(x), compiled(folder, *SANITIZED)
        raster = {name: np.moveaxis(values, 1, -1).reshape(2, -1) for name, values in result.outputs.items()}
        if kind == SEGMENT:
            assert 0 < result.classes.sum() < result.classes.size
            wanted = [f"exit step 1 classes {' '.join(map(str, classes.ravel()))}" for classes in result.classes]
        else:
            wanted = ["exit step 1 " + " ".join(
                f"{name} {' '.join(map(str, values[n]))}" for name, values in raster.items()) for n in range(2)]
        board = FakeBoard(folder, {(folder / "image.bin").read_bytes(): net})
        with PtyBoard(board, tmp_path / "port") as served:
            words = [program, served.port, tmp_path / "images.raw", folder / "image.bin"]
            done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout.splitlines(), done.stderr) == (0, wanted, ""), kind


@pytest.mark.parametrize("together", [2, 3, 8])
def test_several_images_that_are_run_together(tmp_path, together):
    """Seven images on a board that takes so many at a time: a line for each."""
    network = random_batch_network(3, FIRST, **SMALL)
    params = make_plan(network, 4, batch=together).params
    folder, _, _ = make_folder(tmp_path / "core", network, params=params, initialised=False)
    (folder / "adafire_registers.h").write_text(c_header(json.loads((folder / "manifest.json").read_text())))
    compiled(folder, *WARNINGS)
    program = Program(folder, network, 7, *SANITIZED)
    board = FakeBoard(folder, {(folder / "image.bin").read_bytes(): network})
    with PtyBoard(board, tmp_path / "port") as served:
        assert program(served.port, program.images, folder / "image.bin") == (0, program.lines, "")
    assert len(set(program.lines)) > 1 and board.computed == -(-7 // together)


def test_it_compiles_with_every_warning(folder):
    compiled(folder, *WARNINGS)


def test_the_header_is_also_one_of_c_plus_plus(folder):
    flags = ("-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{folder}")
    subprocess.run(["g++", *flags, "-x", "c++", ROOT / "host/c/adafire.h"], check=True, timeout=60)


def test_on_the_simulated_board(tmp_path):
    network = random_network(BOARD_SEED, **BOARD_SIZES)
    others = [random_network(10, **BOARD_SIZES), random_network(11, sources=("frames",), **BOARD_SIZES)]
    generate(network, lanes=4, also=others, out=tmp_path / "core")
    program = Program(tmp_path / "core", network, 8, *SANITIZED)
    with SimulatedBoard(tmp_path / "core") as board:
        for faults in ([], [("rx", "flip", 100, 4), ("tx", "drop", 200, 0)]):
            for fault in faults:
                board.fault(*fault)
            assert program(board.port, program.images, tmp_path / "core" / "image.bin") == (0, program.lines, "")
        assert board.faults == 2
