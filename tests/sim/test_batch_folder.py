"""A core that takes several images together: verified, profiled, its words and cycles counted, image by image."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from pywellen import Waveform

from gen.inputs import together
from gen.plan.plan import make_plan
from gen.plan.regions import Room
from gen.result import shared_out
from hw.emit import generate
from sim.bench.folder import read_folder
from sim.bench.job import WAVES, planned_runs
from sim.checked import checked, planned_checks
from sim.compare import expected_probe, first_difference
from sim.compiled_core import CompiledCore, Probe
from sim.golden import Golden
from sim.hardware_energy import estimated
from sim.profile import MACHINE_KINDS, PASS_KINDS, ProfiledCore
from sim.traffic import memory_traffic
from sim.verify import verify
from tests.kit.little_room import leave_room
from tests.kit.random_networks import random_images
from tests.kit.verified import FAST, batch_network, edit, installed

BATCH, IMAGES = 3, 7  # the last run has an image three times
OUTSIDE = Room(weights=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A core whose weights lie outside the chip."""
    folder = tmp_path_factory.mktemp("batch") / "core"
    with pytest.MonkeyPatch.context() as patch:
        leave_room(patch, OUTSIDE)
        generate(batch_network(), lanes=4, out=folder, batch=BATCH)
    return folder


@pytest.fixture(scope="module")
def x():
    return random_images(batch_network(), 1, IMAGES)


@pytest.fixture(scope="module")
def core():
    return ProfiledCore.for_plan(make_plan(batch_network(), 4, room=OUTSIDE, batch=BATCH))


@pytest.mark.parametrize("simulator", [
    *(pytest.param(name, marks=pytest.mark.slow) for name in installed()), "compiled",
])
def test_a_batch_equals_the_golden_model(folder, x, simulator):
    figures = verify(folder, x, images=IMAGES, simulator=simulator)
    assert (figures["first_difference"], figures["mismatches"], figures["images"]) == (None, 0, IMAGES)
    runs = -(-IMAGES // BATCH)
    planned = planned_checks(runs) if simulator == "compiled" else planned_runs(runs, batch=BATCH)
    whole = sum(planned.values()) - (1 if simulator == "compiled" else 5)  # 3 aborted, 2 cut short
    compared, values = figures["compared"], 3 * 16 + 14 + 12  # of the layers that fire
    assert compared["classes"] == compared["exit_steps"] == compared["events"] == compared["synaptic_ops"] == whole
    assert compared["counts"] == compared["states"] == whole * BATCH * values
    assert compared["logits"] == whole * BATCH * (5 + 5)
    assert 300 < figures["cycles_per_image"] < 1000 and 0 < figures["lane_utilization"] < 1


@pytest.mark.slow
def test_a_waveform_shows_the_run_that_begins_with_an_image(folder, x, tmp_path):
    file = tmp_path / f"a{Path(WAVES[FAST]).suffix}"
    figures = verify(folder, x, images=1, simulator=FAST, once=True, waves=file, wave_image=1)
    assert (figures["first_difference"], figures["mismatches"]) == (None, 0)
    seen = {variable.full_name: variable for variable in Waveform(str(file)).all_vars()}
    assert {image for _, image in seen["adafire.now.of_image"].tv if isinstance(image, int)} == {1, 2, 3}
    words = [value.to_bytes(64, "big") for _, value in seen["adafire.streams.output_name"].tv if isinstance(value, int)]
    assert any(b"out 4 of image 2" in word for word in words)
    assert "image 1 and those run with it, 3 in all" in file.with_suffix(".gtkw").read_text()


def test_a_fault_names_the_images_and_which_of_them(core, x):
    plan, (run, *_) = core.plan, together(x, BATCH)
    expected, = expected_probe(plan, Golden(plan.network).traces_of(run))
    of = np.array([p.image for p in plan.passes])[expected.index]
    at = int(np.argmax(of == 2))
    states = expected.states + (np.arange(len(of)) == at)
    difference = first_difference(plan, [expected], Probe(0 * of, expected.index, 0 * of, expected.counts, states))
    assert str(difference).startswith("image 3 of those together, layer 'conv', timestep 1, neuron (channel 0, row 0, ")


def test_a_fault_is_found_in_every_run(folder, x, tmp_path):
    edited = shutil.copytree(folder, tmp_path / "core")
    edit(edited, r"= abort \| spoiled;", "= spoiled;")  # it does not give up
    figures = verify(edited, x, images=BATCH, simulator="compiled")
    assert figures["mismatches"] == 1
    assert "(images 0 1 2, scenario 'aborted', seed 0, compiled)" in figures["first_difference"]


def test_every_cycle_is_of_one_pass_or_of_the_machine(core, x):
    profile, golden = core.profile(x[:6]), Golden(core.network)
    of_runs = {name: getattr(profile.result, name).reshape(-1, BATCH).sum(axis=1)
               for name in ("cycles", "busy_cycles", "synaptic_ops")}
    for name, values in (
        ("cycles", sum(profile.cycles.values())), ("busy_cycles", profile.group_cycles),
        ("synaptic_ops", profile.lane_cycles),
    ):
        assert (values.sum(axis=(1, 2)).reshape(-1, BATCH).sum(axis=1) == of_runs[name]).all(), name
    assert not any(profile.cycles[kind][:, :, -1].any() for kind in PASS_KINDS)
    assert not any(profile.cycles[kind][:, :, :-1].any() for kind in MACHINE_KINDS)
    for n, image in enumerate(x[:6]):
        trace, spent = golden.traces(image)[0], sum(profile.cycles.values())[n, 0]
        assert profile.lane_cycles[n].sum() == trace.synaptic_ops and profile.events[n].sum() == trace.events
        assert all((spent[p.index] > 0) == (p.image == n % BATCH) for p in core.plan.passes)
    assert len(core.profile(x).result.cycles) == IMAGES


@pytest.mark.parametrize("room", [OUTSIDE, Room(weights=1, parameters=1)])
def test_the_words_that_move_are_counted(x, room):
    core = CompiledCore.for_plan(make_plan(batch_network(), 4, room=room, batch=BATCH))
    before = core.moved
    result = core.run(x[:6])
    moved = memory_traffic(core.plan, result)
    read, written, _ = moved["outside"]
    assert read.sum() + written.sum() == pytest.approx(core.moved - before) and core.moved > before
    assert np.ptp(read) == 0 and moved["weights"][0].sum() == result.busy_cycles.sum()
    assert moved["outputs"][1] == pytest.approx(np.full(6, 5)) and moved["image"][1] == pytest.approx(np.full(6, 16))


def test_what_a_batch_fetches_once_is_a_share_of_each_image(core, x):
    """Beside a core that takes one image at a time: all else is the same."""
    alone = CompiledCore.for_plan(make_plan(batch_network(), 4, room=OUTSIDE))
    plans = core.plan, alone.plan
    batch, single = (memory_traffic(plan, alone.run(x[:6])) for plan in plans)
    for name in ("parameters", "image", "maps"):
        for words, same in zip(batch[name][:2], single[name][:2]):
            assert words == pytest.approx(same), name
    assert (batch["outside"][0] < single["outside"][0]).all() and (batch["weights"][1] < single["weights"][1]).all()
    costs = [estimated(plan, alone.run(x[:6])) for plan in plans]
    assert costs[0]["additions"] == pytest.approx(costs[1]["additions"])
    assert (costs[0]["memory_estimated_uJ"] < costs[1]["memory_estimated_uJ"]).all()


def test_records_are_of_runs(core, x):
    records = checked(core, Golden(core.network), x)
    assert [record["difference"] for record in records] == [None] * 3
    assert records[0]["cycles"] == pytest.approx(core.run(x[:BATCH]).cycles.sum(), rel=0.02)  # the memory refreshes


def test_the_folder_says_how_many_images(folder):
    assert read_folder(folder).layout.images == BATCH


def test_what_is_shared_out_adds_up():
    totals = np.array([[7, 0], [9, 2]])
    assert shared_out(totals, 3).tolist() == [[[3, 0], [3, 1]], [[2, 0], [3, 1]], [[2, 0], [3, 0]]]
    assert (shared_out(totals, 3).sum(axis=0) == totals).all()
