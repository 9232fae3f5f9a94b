"""Several images together on a board: whole runs go out, a row for each image comes back, however many there are."""

import re
from dataclasses import asdict

import numpy as np
import pytest

from gen.errors import InputError
from gen.inputs import input_values
from gen.manifest import read_manifest, write_manifest
from gen.netfile import save_network
from gen.plan.estimate import expected_cycles
from gen.plan.plan import covering, make_plan
from gen.plan.regions import Room
from benchmarks.campaigns import PACE
from host.board import Board
from host.content import content_of
from host.content import read_manifest as read_folder
from hw.emit import generate
from sim.board import SimulatedBoard
from sim.golden import Golden
from tests.host.fake_board import FakeBoard, Faults, MemoryTransport, fake_cycles, make_folder
from tests.kit.little_room import leave_room
from tests.kit.random_networks import FIRST, random_batch_network, random_images, random_network

TOGETHER, IMAGES, SEED, OTHER = 3, 7, 6, 1
SIZES = dict(max_layers=4, max_neurons=400, max_weights=1500)


class Case:
    """A network, one that fits the same core, the folder, images and what is right of them."""

    def __init__(self, path):
        self.network, self.other = (random_batch_network(seed, FIRST, **SIZES) for seed in (SEED, OTHER))
        plans = [make_plan(network, 4, batch=TOGETHER) for network in (self.network, self.other)]
        self.folder, self.params, self.stream = make_folder(path / "core", self.network, params=covering(plans))
        self.other_folder, _, other = make_folder(path / "other", self.other, params=self.params)
        self.library = {self.stream: self.network, other: self.other}
        self.x, self.y = (random_images(network, SEED, IMAGES) for network in (self.network, self.other))
        self.golden = Golden(self.network).run(self.x)
        assert len(np.unique(self.golden.logits, axis=0)) == IMAGES

    def line(self, faults=None, **settings):
        return MemoryTransport(FakeBoard(self.folder, self.library, **settings), faults)


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return Case(tmp_path_factory.mktemp("batch"))


def check_answers(result, golden, note=None):
    """Compare all that a core tells of each image; it counts for whole runs."""
    for name in ("classes", "exit_steps", "logits"):
        np.testing.assert_array_equal(getattr(result, name), getattr(golden, name), err_msg=f"{note}, {name}")
    assert result.outputs.keys() == golden.outputs.keys()
    for name, values in golden.outputs.items():
        np.testing.assert_array_equal(result.outputs[name], values, err_msg=f"{note}, {name}")


def check_counts(result, golden):
    """Compare what was counted of whole runs."""
    whole = len(result.events) // TOGETHER * TOGETHER
    for name in ("events", "synaptic_ops"):
        counted, right = (getattr(r, name)[:whole].reshape(-1, TOGETHER).sum(axis=1) for r in (result, golden))
        assert counted.tolist() == right.tolist(), name


def test_the_folder_says_how_many_are_run_together(case):
    manifest, content = read_folder(case.folder)
    assert manifest["parameters"]["batch"] == content.images == TOGETHER
    assert manifest["input"]["values"] == TOGETHER * case.x[0].size
    assert content.words == 6 + TOGETHER * case.golden.logits[0].size
    assert content.cycles == TOGETHER * manifest["estimated_cycles_per_image"]


def test_a_folder_that_says_two_things_is_refused(case, tmp_path):
    folder, *_ = make_folder(tmp_path / "core", case.network, params=case.params)
    manifest = read_manifest(folder)
    for name in ("input", "outputs"):
        damaged = {key: value for key, value in manifest[name].items() if key != "images"}
        write_manifest(folder, {key: v for key, v in manifest.items() if key != "sha256"} | {name: damaged})
        with pytest.raises(InputError, match="must be of as many images that are run together, not of 3, "):
            Board(case.line(), folder)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_a_row_of_bytes_for_every_run(case, count):
    """The values of its images one behind the other; in the last one the last image stands for those missing."""
    content = read_folder(case.folder)[1]
    alone = np.moveaxis(input_values(case.network, case.x), 1, -1).reshape(IMAGES, -1) - content.input["lowest"]
    rows = content.encode(case.x[:count])
    numbers = np.minimum(np.arange(-(-count // TOGETHER) * TOGETHER), count - 1).reshape(-1, TOGETHER)
    np.testing.assert_array_equal(rows, alone[numbers].reshape(len(numbers), -1))
    assert content.encode(case.x[:0]).shape == (0, rows.shape[1])


def test_images_are_encoded_by_whole_runs(case, monkeypatch):
    from host import content as module

    content, parts, stream = read_folder(case.folder)[1], [], module.input_stream
    whole = content.encode(case.x)
    monkeypatch.setattr(module, "input_stream", lambda view, x, images: parts.append(len(x)) or stream(view, x, images))
    for room, lengths in ((1, [3, 3, 1]), (2 * content.input["values"], [6, 1])):
        monkeypatch.setattr(module, "_VALUES_AT_ONCE", room)
        np.testing.assert_array_equal(content.encode(case.x), whole)
        assert parts == lengths
        parts.clear()


@pytest.mark.parametrize("count", [0, 1, 3, 7])
def test_as_many_rows_as_images(case, count):
    line, told = case.line(), []
    with Board(line, case.folder) as board:
        result = board.run(case.x[:count], progress=lambda done, of: told.append((done, of)))
        check_answers(result, Golden(case.network).run(case.x[:count]))
        assert told == [(min(done, count), count) for done in range(TOGETHER, count + TOGETHER, TOGETHER)]
        assert line.board.computed == len(told) and board.statistics.retries == 0
        runs = board.content.encode(case.x[:count])
        cycles = [fake_cycles(run.tobytes()) for run in runs]
    check_counts(result, case.golden)
    whole = count // TOGETHER
    assert result.cycles[: whole * TOGETHER].reshape(-1, TOGETHER).sum(axis=1).tolist() == cycles[:whole]


@pytest.mark.parametrize("seed", range(8))
def test_a_disturbed_line_costs_time_and_no_bits(case, seed):
    faults = Faults.random(seed, 4, 2000)
    faults.plan = {at: fault for at, fault in faults.plan.items() if fault[0] != "unplug"}
    with Board(case.line(faults, byte_s=1e-4, max_payload=128), case.folder) as board:
        for _ in range(3):
            check_answers(board.run(case.x), case.golden, f"seed {seed}")


def test_the_board_is_waited_for_as_long_as_all_images_take(case):
    """At the board's clock of 1 MHz, four times what the manifest says of an image, for each of them."""
    folder_cycles = read_folder(case.folder)[1].cycles
    assert folder_cycles == 6000  # 24 ms
    with Board(case.line(compute_s=0.0), case.folder) as board:
        assert board._link.timeout == pytest.approx(1.0 + 2 * 2048 * 10 / 1e6 + 4 * folder_cycles / 1e6)


def test_another_network_of_the_same_core(case, tmp_path):
    golden = Golden(case.other).run(case.y)
    save_network(case.other, tmp_path / "other.safetensors")
    with Board(case.line(), case.folder) as board:
        for held in (case.other, tmp_path / "other.safetensors", case.other_folder):
            check_answers(board.run(case.x), case.golden)
            board.load(held)
            check_answers(board.run(case.y), golden, held)
            board.load(case.folder)
    parameters = asdict(case.params)
    content = content_of(case.other, parameters)
    assert content.images == content.outputs["images"] == TOGETHER
    assert content.input == read_folder(case.other_folder)[0]["input"]
    estimate = expected_cycles(make_plan(case.other, 4, batch=TOGETHER)).cycles
    assert content.cycles == pytest.approx(TOGETHER * estimate, rel=0.05)


@pytest.mark.parametrize("sources, said", [("frames", "still images"), ("direct", "convert it with --timesteps 1")])
def test_a_network_that_has_no_batch_is_refused(case, sources, said):
    several = next(n for n in (random_network(s, sources=(sources,)) for s in range(50)) if n.timesteps > 1)
    with Board(case.line(), case.folder) as board, pytest.raises(InputError, match=said):
        board.load(several)


def test_recordings_are_no_images_of_it(case):
    with Board(case.line(), case.folder) as board, pytest.raises(InputError, match="takes images of shape"):
        board.watch(np.stack([case.x[0]] * 4))


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """A core whose dense layers lie outside the chip, as `generate` writes it, and its network."""
    network, folder = random_batch_network(SEED, FIRST, **SIZES), tmp_path_factory.mktemp("generated") / "core"
    with pytest.MonkeyPatch.context() as patch:
        leave_room(patch, Room(weights=1))
        manifest = generate(network, lanes=4, batch=TOGETHER, out=folder)
    assert manifest["input"]["images"] == manifest["outputs"]["images"] == TOGETHER
    return network, folder


def test_on_the_simulated_board(generated):
    """However many images, every class and output is that of the golden model; so it is after a fault and a reset."""
    network, folder = generated
    x = random_images(network, SEED, 11)
    golden = Golden(network).run(x)
    with SimulatedBoard(folder) as board, Board(board.port, folder, pace=PACE) as device:
        for count in (1, TOGETHER, len(x)):
            result = device.run(x[:count])
            check_answers(result, golden.first(count), f"{count} images")
            check_counts(result, golden.first(count))
        assert (result.cycles > 0).all() and device.statistics.retries == 0
        board.fault("tx", "drop", 200)
        check_answers(device.run(x), golden)
        board.reset()
        check_answers(device.run(x), golden)
        assert device.statistics.retries > 0


@pytest.fixture
def data(generated, tmp_path):
    """Images in a file, four of them labelled wrong."""
    network, _ = generated
    x = random_images(network, SEED, 11)
    classes = Golden(network).run(x).classes
    np.savez(tmp_path / "data.npz", x=x, y=np.where(np.arange(11) < 4, (classes + 1) % network.classes, classes))
    return tmp_path / "data.npz"


@pytest.mark.parametrize("words", [
    ("run", "{folder}", "--port", "sim"), ("evaluate", "{network}", "--device", "{folder}", "--batch", "4"),
], ids=lambda words: words[0])
def test_the_figures_of_images(adafire, generated, data, words):
    _, folder = generated
    words = [word.format(folder=folder, network=folder / "network.safetensors") for word in words]
    payload = adafire(*words, "--data", data, "--json").json
    assert (payload["images"], payload["exit_histogram"], payload["mean_timesteps"]) == (11, [11], 1.0)
    assert payload["accuracy"] == pytest.approx(7 / 11)
    cycles = read_folder(folder)[0]["estimated_cycles_per_image"]
    assert payload["cycles_per_image"] == pytest.approx(cycles, rel=0.2)


def test_pictures_are_predicted_each_by_its_own_result(adafire, generated, data, tmp_path):
    network, folder = generated
    golden = Golden(network).run(random_images(network, SEED, 11))
    payload = adafire("predict", folder, data, "--device", "sim", "--out", tmp_path / "out", "--json").json
    assert [picture["logits"] for picture in payload["pictures"]] == golden.logits.tolist()
    assert [picture["class"] for picture in payload["pictures"]] == golden.classes.tolist()


def test_no_frames_are_streamed_to_it(adafire, generated, data):
    outcome = adafire("run", generated[1], "--port", "sim", "--data", data, "--stream")
    assert outcome.code == 2 and "this network looks at one still image: leave it out" in outcome.err


def test_what_generate_says(adafire, generated, tmp_path, monkeypatch):
    _, folder = generated
    leave_room(monkeypatch, Room(weights=1))
    words = ["generate", folder / "network.safetensors", "--board", "ulx3s_85f", "--lanes", "4"]
    words += ["--out", tmp_path / "core"]
    assert re.search(r"images run together +\W +3 ", adafire(*words, "--batch", "3").out)
    assert "images run together" not in adafire(*words, "--force").out
