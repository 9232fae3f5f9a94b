"""`verify` on both simulators: equal cores pass, planted bugs are found and named, bad folders are refused."""

import re
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import sim.bench.launch
import sim.verify
from gen.errors import AdafireError, InputError, ToolMissing
from gen.plan.estimate import expected_cycles
from gen.plan.plan import make_plan
from hw.emit import generate
from sim.bench.folder import read_folder
from sim.bench.job import planned_runs
from sim.compiled_core import Probe
from sim.compare import expected_probe, first_difference
from sim.golden import Golden
from tests.kit.random_networks import random_images, random_network
from tests.kit.verified import FAST, edit, edit_output, installed, put, separated_network, tiny_network
from sim.verify import verify

IMAGES = 2


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verify") / "core"
    generate(tiny_network(), lanes=4, out=folder)
    return folder


@pytest.fixture
def core(original, tmp_path, monkeypatch):
    """A core of its own for every test, and a cache of its own."""
    monkeypatch.setenv("ADAFIRE_CACHE", str(tmp_path / "cache"))
    return Path(shutil.copytree(original, tmp_path / "core"))


@pytest.fixture
def x():
    return random_images(tiny_network(), 1, IMAGES)


@pytest.fixture(scope="module")
def outcomes(original):
    """What `verify` says and what it reports on the way, with every simulator."""
    outcomes = {}
    for simulator in installed():
        heard, x = [], random_images(tiny_network(), 1, IMAGES)
        figures = verify(original, x, images=50, simulator=simulator, progress=lambda *news, to=heard: to.append(news))
        outcomes[simulator] = figures, heard
    return outcomes


@pytest.mark.parametrize("simulator", [
    pytest.param(name, marks=[] if name == FAST else pytest.mark.slow) for name in installed()
])
def test_a_separated_network_equals_the_golden_model(tmp_path, simulator):
    network = separated_network()
    generate(network, lanes=4, out=tmp_path / "core")
    images = random_images(network, 3, IMAGES)
    traces = [Golden(network).trace(image) for image in images]
    assert all(any(trace.counts[name].any() for trace in traces) for name in ("conv", "dense", "sum"))
    figures = verify(tmp_path / "core", images, simulator=simulator)
    assert (figures["mismatches"], figures["first_difference"]) == (0, None)
    runs = figures["compared"]["exit_steps"]
    assert figures["compared"]["logits"] == runs * network.classes * (network.timesteps + 1)
    states = sum(trace_states.size for trace_states in traces[0].states.values())
    assert figures["compared"]["states"] == runs * states


@pytest.mark.parametrize("simulator", installed())
def test_the_verilog_equals_the_golden_model(outcomes, x, simulator):
    figures, heard = outcomes[simulator]
    assert figures["first_difference"] is None
    assert (figures["images"], figures["mismatches"], figures["simulator"]) == (IMAGES, 0, simulator)
    compared, whole = figures["compared"], sum(planned_runs(IMAGES).values()) - 4  # 3 aborted, 1 cut short
    steps = Golden(tiny_network()).run(x).exit_steps
    assert compared["classes"] == compared["exit_steps"] == compared["events"] == compared["synaptic_ops"] == whole
    assert whole * steps.min() * (48 + 2) <= compared["counts"] == compared["states"] <= whole * 2 * (48 + 2)
    assert compared["logits"] >= whole * (3 + 3)
    assert 100 < figures["cycles_per_image"] < 2000 and 0 < figures["lane_utilization"] < 1
    assert figures["seconds"] > 0
    assert heard[0] == ("compiling the simulator", 0.0) and heard[-1][0] == "simulating" and heard[-1][1] <= 1
    assert [fraction for _, fraction in heard] == sorted(fraction for _, fraction in heard)


def test_each_image_once_and_none_again(core, x):
    figures = verify(core, x, images=2, simulator=FAST, once=True)
    assert (figures["mismatches"], figures["compared"]["classes"]) == (0, 2)
    edit_output(core, "probe_counts", "sent ^ 1'b1")
    figures = verify(core, x, images=2, simulator=FAST, once=True)
    assert figures["mismatches"] == 2


def test_the_simulators_agree_on_every_figure(outcomes):
    same = ("compared", "cycles_per_image", "lane_utilization")
    assert len({str([figures[name] for name in same]) for figures, _ in outcomes.values()}) == 1


def begin(core, x, **options):
    """Verify until the simulation runs, then interrupt it."""
    def interrupt(text, fraction):
        if text == "simulating":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify(core, x, simulator=FAST, progress=interrupt, **options)


def test_a_simulator_is_compiled_once(core, x, tmp_path):
    begin(core, x)
    programs = [path for path in (tmp_path / "cache" / "simulators").glob(f"{FAST}-*/*")]
    times = [path.stat().st_mtime_ns for path in programs]
    begin(core, x, seed=1)
    assert len(programs) == 1 and [path.stat().st_mtime_ns for path in programs] == times
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["simulators"]


def altered_network(network):
    """One threshold of one channel of the convolution is larger by one."""
    conv = network.layers[0]
    return replace(network, layers=(replace(conv, theta=conv.theta + [0, 1, 0]), *network.layers[1:]))


def test_a_wrong_threshold_beside_the_verilog_is_named(core, x, tmp_path):
    network, wrong = tiny_network(), altered_network(tiny_network())
    generate(wrong, lanes=4, out=tmp_path / "wrong")
    for file in (tmp_path / "wrong").glob("*.hex"):
        put(core, file.name, file.read_bytes())
    figures = verify(core, x, images=1, simulator=FAST, seed=3)

    plan = make_plan(network, 4)
    right, (got,) = (expected_probe(plan, Golden(n).traces(x[0])) for n in (network, wrong))
    seen = Probe(0 * got.index, got.index, 0 * got.index, got.counts, got.states)
    expected = first_difference(plan, right, seen)
    assert (expected.layer, expected.neuron[0]) == ("conv", 1)
    assert figures["mismatches"] >= 1
    assert figures["first_difference"] == f"{expected} (image 0, scenario 'in order', seed 3, {FAST})"


def test_a_wrong_threshold_in_the_image_is_named(core, x, tmp_path):
    generate(altered_network(tiny_network()), lanes=4, out=tmp_path / "wrong")
    put(core, "image.bin", (tmp_path / "wrong" / "image.bin").read_bytes())
    figures = verify(core, x, images=1, simulator=FAST)
    assert figures["mismatches"] == 1
    assert figures["first_difference"].startswith("layer 'conv', timestep 1, neuron (channel 1, row 0, column ")
    assert "scenario 'loaded'" in figures["first_difference"]


def test_a_core_that_ignores_abort_is_found(core, x):
    edit(core, r"\.abort\(abort\)", ".abort(1'h0)")
    figures = verify(core, x, images=1, simulator=FAST)
    assert figures["mismatches"] == 1
    assert figures["first_difference"].startswith("a result came although the image had been given up before (")
    assert "scenario 'aborted'" in figures["first_difference"]


BROKEN_STREAMS = {
    ("o__valid", "sent & ~o__ready"): r"the word \w+ was withdrawn from the output before it was taken",
    ("o__payload", "sent ^ o__ready"): r"the word \w+ changed to \w+ before it was taken",
}
if FAST == "icarus":  # Verilator knows no X
    BROKEN_STREAMS["o__payload", "33'bx"] = "o__payload holds undefined bits: X"


@pytest.mark.parametrize("port, expression", BROKEN_STREAMS)
def test_a_broken_output_stream_is_found(core, x, port, expression):
    edit_output(core, port, expression)
    figures = verify(core, x, images=1, simulator=FAST)
    assert figures["mismatches"] > 0
    assert re.match(BROKEN_STREAMS[port, expression], figures["first_difference"])


def test_a_core_that_hangs_is_found(core, x):
    edit_output(core, "o__valid", "1'h0")
    figures = verify(core, x, images=1, simulator=FAST, seed=5)
    assert (figures["mismatches"], figures["cycles_per_image"], figures["lane_utilization"]) == (1, None, None)
    assert figures["first_difference"].startswith("no result within ")
    assert figures["first_difference"].endswith(f"(scenario 'in order', seed 5, {FAST})")


def running(group):
    """Return whether a process of the group still runs."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = status.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(its_group) == group and state != "Z":
            return True
    return False


def test_control_c_ends_the_simulator(core, x, monkeypatch):
    started, popen = [], sim.bench.launch.subprocess.Popen

    def start(*words, **options):
        started.append(popen(*words, **options))
        return started[-1]

    def interrupt(text, fraction):
        if text == "simulating":
            assert running(started[-1].pid)
            raise KeyboardInterrupt

    monkeypatch.setattr(sim.bench.launch.subprocess, "Popen", start)
    with pytest.raises(KeyboardInterrupt):
        verify(core, x, simulator=FAST, progress=interrupt)
    deadline = time.monotonic() + 10
    while running(started[-1].pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not running(started[-1].pid)


def test_verilog_that_does_not_compile(core, x, tmp_path):
    edit_output(core, "o__valid", "nonsense(")
    with pytest.raises(AdafireError) as caught:
        verify(core, x, simulator=FAST, seed=2)
    assert str(caught.value).startswith(f"The simulation with {FAST} (seed 2) failed; its whole log is ")
    assert caught.value.exit_code == 1
    log, = (tmp_path / "cache" / "logs").iterdir()
    assert str(log) in str(caught.value) and log.read_text().splitlines()[-1] in str(caught.value)


@pytest.mark.parametrize("longer, seconds", [(1, "0.01"), (2, "0.02")])
def test_a_simulator_that_says_nothing_is_given_up(core, x, monkeypatch, longer, seconds):
    """After a time that grows with the image."""
    monkeypatch.setattr(sim.verify, "SILENCE_SECONDS", 0.01)
    monkeypatch.setattr(sim.verify, "SILENCE_CYCLES", expected_cycles(read_folder(core)).interval / longer)
    with pytest.raises(AdafireError, match=f"gave no result for {seconds} seconds; its whole log is"):
        verify(core, x, simulator=FAST)


def test_a_waveform(core, x, tmp_path):
    suffix = {"icarus": ".fst", "verilator": ".vcd"}[FAST]
    other = {"icarus": ".vcd", "verilator": ".fst"}[FAST]
    with pytest.raises(InputError, match=f"{FAST} writes {suffix} waveforms: name the file {tmp_path}/a{suffix}"):
        verify(core, x, simulator=FAST, waves=tmp_path / f"a{other}")
    with pytest.raises(InputError, match="The folder .*/nowhere does not exist"):
        verify(core, x, simulator=FAST, waves=tmp_path / "nowhere" / f"a{suffix}")
    assert verify(core, x, images=1, simulator=FAST, waves=tmp_path / f"a{suffix}")["mismatches"] == 0
    assert (tmp_path / f"a{suffix}").stat().st_size > 10_000


@pytest.mark.parametrize("damage, text", [
    (lambda core: shutil.rmtree(core), "{core} is not a folder made by `adafire generate`"),
    (lambda core: (core / "manifest.json").unlink(), "{core} is not a folder made by `adafire generate`"),
    (lambda core: (core / "manifest.json").write_text("{"), "{core}/manifest.json is not JSON"),
    (lambda core: (core / "manifest.json").write_text('{"parameters": {}}'), "{core}/manifest.json has no digest"),
    (lambda core: (core / "core.v").unlink(),
     "{core} is not a folder made by `adafire generate`: it lacks the file core.v; "),
    (lambda core: (core / "image.bin").unlink(), "it lacks the file image.bin"),
    (lambda core: (core / "image.bin").write_bytes(b"1234"), "{core}/image.bin is not the file that manifest.json"),
    (lambda core: (core / "core.v").write_text("endmodule"), "core.v is not the file that manifest.json describes, it"),
])
def test_a_damaged_folder_is_refused(core, x, monkeypatch, damage, text):
    monkeypatch.setattr(sim.verify, "_simulate", lambda *words: pytest.fail("this comes too late"))
    damage(core)
    with pytest.raises(InputError) as caught:
        verify(core, x)
    assert text.format(core=core) in str(caught.value)


@pytest.mark.parametrize("images, x, text", [
    (0, np.zeros((3, 4, 4), np.uint8), "The number of images must be at least 1, not 0."),
    (20, np.zeros((0, 1, 4, 4), np.uint8), "There are no images to verify with"),
    (20, np.zeros((3, 28, 28), np.uint8), "The network takes images of shape (1, 4, 4)"),
])
def test_images_that_do_not_fit_are_refused(core, images, x, text):
    with pytest.raises(InputError) as caught:
        verify(core, x, images=images)
    assert text in str(caught.value)


def test_missing_tools_are_said_before_anything_slow(core, x, monkeypatch):
    monkeypatch.setattr(sim.verify, "_simulate", lambda *words: pytest.fail("this comes too late"))
    with pytest.raises(InputError, match="simulator 'vcs' is unknown: choose one of verilator, icarus"):
        verify(core, x, simulator="vcs")
    monkeypatch.setattr("sim.toolchain._wheel", lambda: None)
    monkeypatch.setattr("shutil.which", lambda *words, **options: None)
    with pytest.raises(ToolMissing, match="No Verilog simulator is installed"):
        verify(core, x)
    with pytest.raises(ToolMissing, match="The simulator icarus is not installed.*apt-get install iverilog"):
        verify(core, x, simulator="icarus")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ToolMissing, match="cocotb is not installed"):
        verify(core, x)


def test_only_reads_beyond_a_memory_change_for_icarus():
    from sim.bench.compiled import without_gaps

    module = """  reg [7:0] table [99:0];
  initial begin
    table[0] = 8'h00;
  end
    table[write[6:0]] <= 8'h01;
    _0_ <= table[read[6:0]];
    other <= table2[read];
endmodule
"""
    filled = module.replace("_0_ <= table[read[6:0]]", "_0_ <= read[6:0] <= 99 ? table [read[6:0]] : {8{1'b1}}")
    assert filled != module and without_gaps(module + module.replace("99", "9")) == filled + filled.replace("99", "9")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("sources", [("direct",), ("frames",)])
def test_random_networks(tmp_path, seed, sources):
    network = random_network(
        seed, sources=sources, max_layers=3, max_neurons=200, max_weights=800, max_channels=6, max_size=6,
        max_timesteps=3, max_classes=5,
    )
    generate(network, lanes=(4, 8, 16, 32)[seed % 4], out=tmp_path / "core")
    figures = verify(tmp_path / "core", random_images(network, seed, 4), images=4, simulator=FAST, seed=seed)
    assert figures["mismatches"] == 0, figures["first_difference"]
