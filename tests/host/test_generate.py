"""`adafire generate` and the device that its folder is: files, figures, refusals."""

import json

import numpy as np
import pytest

from gen.errors import InputError
from gen.netfile import network_hash, save_network
from gen.plan.params import CoreParams
from gen.plan.plan import make_plan, plan_on
from gen.plan.target import TARGETS
from host.device import open_device
from sim.golden import Golden
from tests.host.without_yosys import without_yosys
from tests.kit.random_networks import random_images, random_network

SEED = 7  # small enough for every board


@pytest.fixture(scope="module")
def network():
    return random_network(SEED)


@pytest.fixture(scope="module")
def net(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "net.safetensors"
    save_network(network, path)
    return path


@pytest.fixture(scope="module")
def core(net, tmp_path_factory):
    from host.cli import main

    folder = tmp_path_factory.mktemp("core") / "core"
    assert main(["generate", net, "--board", "ulx3s_85f", "--lanes", "4", "--out", folder]) == 0
    return folder


def test_files_and_figures(adafire, net, tmp_path):
    outcome = adafire("generate", net, "--board", "ulx3s_85f", "--lanes", "8", "--out", tmp_path / "core", "--json")
    manifest = json.loads((tmp_path / "core" / "manifest.json").read_text())
    assert outcome.code == 0 and outcome.json == {"out": str(tmp_path / "core"), **manifest}
    assert {"files", "lanes", "memory_bits", "estimated_cycles_per_image", "fits"} <= set(outcome.json)
    assert sorted(path.name for path in (tmp_path / "core").iterdir()) == sorted(manifest["files"])
    assert [path.name for path in tmp_path.iterdir()] == ["core"]


@pytest.mark.parametrize("board", TARGETS)
def test_every_board(adafire, net, tmp_path, monkeypatch, board):
    without_yosys(monkeypatch)
    outcome = adafire("generate", net, "--board", board, "--out", tmp_path / "core")
    assert outcome.code == 0 and outcome.err == ""
    assert f"{TARGETS[board].luts:,}" in outcome.out and "estimated" in outcome.out and " words of " in outcome.out


def test_unknown_board(adafire, net, tmp_path):
    outcome = adafire("generate", net, "--board", "tang_nano_9", "--out", tmp_path / "core")
    assert outcome.code == 2 and outcome.err == (
        "There is no board 'tang_nano_9': the nearest names are tang_nano_9k, tang_nano_20k; "
        "`adafire boards` lists all 15.\n"
    )


def test_what_does_not_fit_is_refused(adafire, net, tmp_path):
    words = ("generate", net, "--board", "icebreaker", "--lanes", "64", "--out", tmp_path / "core")
    outcome = adafire(*words)
    assert outcome.code == 2 and outcome.out == "" and not any(tmp_path.iterdir())
    assert outcome.err.startswith("The network does not fit 1BitSquared iCEBreaker with 64 lanes: it needs ")
    assert "It would fit with --lanes" in outcome.err
    assert adafire(*words, "--json").json == {"error": outcome.err.strip(), "exit_code": 2}


def test_the_lanes_of_a_core(adafire, net, tmp_path):
    words = ("generate", net, "--board", "ulx3s_85f", "--out", tmp_path / "core")
    for lanes in (0, 1, 5, 48, 128):
        outcome = adafire(*words, "--lanes", lanes)
        assert outcome.code == 2 and outcome.err == f"The number of lanes must be 4, 8, 16, 32, 64, not {lanes}.\n"
    outcome = adafire(*words, "--lanes", "4", "--target-fps", "10")
    assert outcome.code == 2 and outcome.err.startswith("Give --lanes or --target-fps, not both")
    assert not any(tmp_path.iterdir())


def test_the_smallest_core_that_is_fast_enough(adafire, net, tmp_path, monkeypatch):
    without_yosys(monkeypatch)
    words = ("generate", net, "--board", "ulx3s_85f", "--force", "--json", "--out", tmp_path / "core")
    fastest = adafire(*words).json
    choices = json.loads((tmp_path / "core" / "pareto.json").read_text())
    chosen = next(row for row in choices if row["chosen"])
    assert chosen["lanes"] == fastest["lanes"] and chosen["fps"] == fastest["estimated_fps"]
    assert chosen["fps"] == max(row["fps"] for row in choices if row["fits"])
    assert [row["lanes"] for row in choices] == sorted({row["lanes"] for row in choices})
    assert adafire(*words, "--target-fps", "1").json["lanes"] == min(row["lanes"] for row in choices)
    outcome = adafire(*words, "--target-fps", "1e9")
    assert outcome.code == 2 and "makes 1e+09 images a second: the fastest that fits has" in outcome.json["error"]


def test_another_build_is_replaced_only_when_told(adafire, net, tmp_path):
    words = ("generate", net, "--board", "ulx3s_85f", "--lanes", "4", "--out", tmp_path / "core")
    assert adafire(*words).code == 0
    outcome = adafire(*words)
    assert outcome.code == 2 and "already holds a generated core: give --force to replace it" in outcome.err
    assert adafire(*words, "--force").code == 0


def test_a_folder_of_something_else_is_never_touched(adafire, net, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    outcome = adafire("generate", net, "--board", "ulx3s_85f", "--out", tmp_path, "--force")
    assert outcome.code == 2 and "holds files that are not a core" in outcome.err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("made, kept", [
    ("report.html", False), ("build/uart.bit", False), ("mine/notes.txt", True), ("trace.vcd", True),
    (".git/HEAD", True),
])
def test_what_a_user_put_beside_a_core_is_never_deleted(adafire, net, tmp_path, monkeypatch, made, kept):
    without_yosys(monkeypatch)
    words = ("generate", net, "--board", "ulx3s_85f", "--lanes", "4", "--out", tmp_path / "core")
    assert adafire(*words).code == 0
    file = tmp_path / "core" / made
    file.parent.mkdir(exist_ok=True)
    file.write_text("")
    before = (tmp_path / "core" / "manifest.json").stat().st_ino
    outcome = adafire(*words, "--force")
    assert file.exists() == kept and (outcome.code, (tmp_path / "core" / "manifest.json").stat().st_ino == before) == (
        (2, True) if kept else (0, False)
    )
    if kept:
        assert outcome.err == (
            f"{tmp_path / 'core'} holds, beside the core, what adafire did not make and --force would delete: "
            f"{made.partition('/')[0]}. Move it elsewhere, or choose another folder.\n"
        )


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": 3}', '{"files": [3]}'])
def test_a_manifest_that_does_not_say_what_is_there(adafire, net, tmp_path, text):
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "manifest.json").write_text(text)
    outcome = adafire("generate", net, "--board", "ulx3s_85f", "--out", tmp_path / "core", "--force")
    assert outcome.code == 2 and "so it is not known what in" in outcome.err
    assert [path.name for path in (tmp_path / "core").iterdir()] == ["manifest.json"]


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_behind_a_link(adafire, net, tmp_path, monkeypatch, there):
    without_yosys(monkeypatch)
    if there:
        (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert adafire("generate", net, "--board", "ulx3s_85f", "--lanes", "4", "--out", tmp_path / "link").code == 0
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real" / "manifest.json").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "real"]


def test_an_interrupt_leaves_nothing(adafire, net, tmp_path, monkeypatch):
    def interrupt(*_words):
        raise KeyboardInterrupt

    monkeypatch.setattr("hw.emit.write_image", interrupt)
    outcome = adafire("generate", net, "--board", "ulx3s_85f", "--lanes", "4", "--out", tmp_path / "core")
    assert (outcome.code, outcome.err) == (130, "Interrupted; nothing half-written remains.\n")
    assert not any(tmp_path.iterdir())


def test_a_place_that_cannot_be_written(adafire, net, tmp_path):
    (tmp_path / "file").write_text("")
    outcome = adafire("generate", net, "--board", "ulx3s_85f", "--out", tmp_path / "file" / "core")
    assert outcome.code == 2 and "cannot be written" in outcome.err


def test_the_folder_is_a_device_with_the_same_bits(adafire, network, net, core, tmp_path):
    images = random_images(network, SEED, 16)
    golden, device = Golden(network).run(images), open_device(core, network)
    result = device.run(images)
    for name in ("classes", "exit_steps", "logits", "events", "synaptic_ops"):
        np.testing.assert_array_equal(getattr(result, name), getattr(golden, name))
    assert device.lanes == 4 and (result.cycles > 0).all()

    np.savez(tmp_path / "data.npz", x=images)
    words = ("evaluate", net, "--data", tmp_path / "data.npz", "--json")
    payloads = [adafire(*words).json, adafire(*words, "--device", core).json]
    assert payloads[1]["cycles_per_image"] == float(result.cycles.mean())
    for key in ("mean_timesteps", "exit_histogram", "events_per_image", "synaptic_ops_per_image"):
        assert payloads[0][key] == payloads[1][key]


def test_a_folder_of_another_network(core):
    with pytest.raises(InputError, match="was generated for another network: generate it for this one."):
        open_device(core, random_network(SEED + 1))


def test_a_folder_that_is_no_core(network, tmp_path):
    with pytest.raises(InputError, match="is not a folder made by `adafire generate`"):
        open_device(tmp_path, network)


@pytest.mark.parametrize("words, text", [
    ((".", "--data", "data.npz"), "is not a folder made by `adafire generate`"),
    (("core", "--data", "missing.npz"), "missing.npz does not exist"),
    (("core", "--data", "small.npz"), "The network takes images of shape"),
    (("core", "--data", "data.npz", "--simulator", "vcs"), "simulator 'vcs' is unknown: choose one of"),
    (("core", "--data", "data.npz", "--waves", "w.txt"), "waveforms: name the file"),
    (("core", "--data", "data.npz", "--simulator", "compiled", "--waves", "w.vcd"), "compiled core writes no waveform"),
])
def test_verify_refuses_before_it_simulates(adafire, network, core, tmp_path, monkeypatch, words, text):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "core").symlink_to(core)
    images = random_images(network, SEED, 2)
    np.savez("data.npz", x=images)
    np.savez("small.npz", x=images[..., :-1])
    outcome = adafire("verify", *words)
    assert outcome.code == 2 and outcome.out == "" and text in outcome.err, outcome.err
    assert adafire("verify", *words, "--json").json == {"error": outcome.err.strip(), "exit_code": 2}


def test_build_refuses_a_folder_without_a_core(adafire, tmp_path):
    outcome = adafire("build", tmp_path)
    assert outcome.code == 2 and "is not a folder made by `adafire generate`" in outcome.err


def test_a_core_for_two_networks(adafire, net, network, tmp_path):
    other = next(
        candidate for candidate in map(random_network, range(SEED + 1, SEED + 50))
        if needed_params(network).shortages(needed_params(candidate))
    )
    save_network(other, tmp_path / "other.safetensors")
    options = "--board", "ulx3s_85f", "--lanes", "8", "--out", tmp_path / "core", "--json"
    outcome = adafire("generate", net, *options, "--also", tmp_path / "other.safetensors")
    params = CoreParams(**outcome.json["parameters"])
    assert outcome.json["network"] == network_hash(network)
    assert not params.shortages(needed_params(other)) and not params.shortages(needed_params(network))
    assert plan_on(other, params).params == plan_on(network, params).params == params


def needed_params(network):
    return make_plan(network, 8).params


def test_a_baud_rate_that_no_port_has(adafire, net, tmp_path):
    outcome = adafire("generate", net, "--board", "ulx3s_85f", "--out", tmp_path / "core", "--baud", "110")
    assert outcome.code == 2 and outcome.err == "The baud rate must be 9,600 to 12,000,000, not 110.\n"
