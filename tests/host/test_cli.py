"""The command line as a user meets it: exit codes, texts, and what stands on which stream."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest

from gen.errors import AdafireError, InputError, UnsupportedModel
from host import cli, commands
from host.cli import app

VERBS = ("demo", "convert", "cascade", "info", "export", "evaluate", "run", "predict", "generate", "verify",
         "build", "report", "sweep", "datasets", "boards", "doctor")


def raising(error):
    def command(*_args, **_options):
        raise error

    return command


def test_help_lists_every_verb(adafire):
    outcome = adafire("--help")
    assert outcome.code == 0 and outcome.err == ""
    assert [command.callback.__name__ for command in app.registered_commands] == list(VERBS)
    assert all(f"  {verb} " in outcome.out for verb in VERBS)


def test_no_words_at_all_is_help(adafire):
    assert adafire().out == adafire("--help").out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_json_debug_and_verbose(adafire, verb):
    outcome = adafire(verb, "--help")
    assert outcome.code == 0
    assert all(option in outcome.out for option in ("--json", "--debug", "--verbose"))
    assert "progress" not in outcome.out


@pytest.mark.parametrize("words, text", [
    (["boards", "--nonsense"], "No such option: --nonsense. `adafire boards --help` shows the options.\n"),
    (["nonsense"], "No such command 'nonsense'. `adafire --help` shows the options.\n"),
    (["biuld"], "No such command 'biuld'. Did you mean 'build'? `adafire --help` shows the options.\n"),
    (["info"], "Missing argument 'NET'. `adafire info --help` shows the options.\n"),
    (["evaluate", "net", "--data", "d", "--limit", "0"],
     "Invalid value for '--limit': Input should be greater than or equal to 1. "
     "`adafire evaluate --help` shows the options.\n"),
    (["generate", "net", "--board", "icebreaker", "--out", "o", "--lanes", "65"],
     "The number of lanes must be 4, 8, 16, 32, 64, not 65.\n"),
])
def test_wrong_command_line(adafire, words, text):
    outcome = adafire(*words)
    assert (outcome.code, outcome.out, outcome.err) == (2, "", text)


def test_wrong_command_line_as_json(adafire):
    outcome = adafire("info", "--json")
    assert outcome.code == 2 and outcome.err == ""
    assert outcome.json == {"error": "Missing argument 'NET'. `adafire info --help` shows the options.", "exit_code": 2}


@pytest.mark.parametrize("error, code", [
    (InputError("net.safetensors is not a network: convert a model."), 2),
    (UnsupportedModel(["act: GELU is not supported, use ReLU"]), 2),
    (AdafireError("The simulator stopped: look at run.log."), 1),
])
def test_errors_are_one_paragraph_and_a_code(adafire, monkeypatch, error, code):
    monkeypatch.setattr(commands, "info", raising(error))
    outcome = adafire("info", "net")
    assert (outcome.code, outcome.out, outcome.err) == (code, "", f"{error}\n")
    outcome = adafire("info", "net", "--json")
    assert (outcome.code, outcome.err) == (code, "")
    assert outcome.json == {"error": str(error), "exit_code": code}


@pytest.mark.parametrize("error, code, text", [
    (RecursionError("maximum recursion depth exceeded"), 2, "What was given is nested deeper than can be read"),
    (MemoryError("Unable to allocate 239. GiB"), 1, "The memory of this machine does not suffice (Unable to allocate"),
])
def test_what_is_too_large_is_no_fault_of_adafire(adafire, monkeypatch, error, code, text):
    monkeypatch.setattr(commands, "info", raising(error))
    outcome = adafire("info", "net")
    assert outcome.code == code and outcome.err.startswith(text) and "fault in adafire" not in outcome.err


def test_operating_system_errors_name_the_file(adafire, monkeypatch):
    monkeypatch.setattr(commands, "info", raising(OSError(28, "No space left on device", "net.safetensors")))
    outcome = adafire("info", "net")
    assert outcome.code == 1
    assert outcome.err == "net.safetensors: No space left on device. Nothing half-written remains.\n"


def test_unexpected_errors_are_short_and_debug_shows_the_traceback(adafire, monkeypatch):
    monkeypatch.setattr(commands, "info", raising(ZeroDivisionError("division by zero")))
    outcome = adafire("info", "net")
    assert outcome.code == 1 and "Traceback" not in outcome.err
    assert outcome.err.startswith("Unexpected ZeroDivisionError: division by zero. ") and "--debug" in outcome.err
    assert adafire("info", "net", "--json").json["exit_code"] == 1
    with pytest.raises(ZeroDivisionError):
        adafire("info", "net", "--debug")


def test_interrupt(adafire, monkeypatch):
    monkeypatch.setattr(commands, "info", raising(KeyboardInterrupt()))
    outcome = adafire("info", "net")
    assert (outcome.code, outcome.out, outcome.err) == (130, "", "Interrupted; nothing half-written remains.\n")
    assert adafire("info", "net", "--json").json == {
        "error": "Interrupted; nothing half-written remains.", "exit_code": 130,
    }


def test_json_stays_pure_when_libraries_and_children_talk(adafire, monkeypatch):
    def talkative():
        sys.stdout.write("from a library\n")
        subprocess.run(["echo", "from a child"], check=True)
        return {"boards": []}

    monkeypatch.setattr(commands, "boards", talkative)
    outcome = adafire("boards", "--json")
    assert outcome.code == 0 and outcome.json == {"boards": []}
    assert "from a library" in outcome.err and "from a child" in outcome.err


@pytest.mark.parametrize("mismatches, code", [(0, 0), (3, 1)])
def test_a_mismatch_is_a_failure(adafire, monkeypatch, mismatches, code):
    payload = {
        "images": 20, "mismatches": mismatches, "compared": {"counts": 5}, "cycles_per_image": 10.0,
        "lane_utilization": 0.9, "simulator": "icarus",
        "first_difference": "layer 'a', timestep 1, neuron (0, 1, 2): expected 3, got 4" if mismatches else None,
    }
    monkeypatch.setattr(commands, "verify", lambda *words: payload)
    outcome = adafire("verify", "dir", "--data", "d.npz", "--json")
    assert outcome.code == code and outcome.json == payload
    text = adafire("verify", "dir", "--data", "d.npz").out
    assert ("First difference: layer 'a', timestep 1" in text) == bool(mismatches)


def test_boards(adafire):
    outcome = adafire("boards")
    assert outcome.code == 0 and "tang_nano_20k" in outcome.out and "nextpnr-himbaechel" in outcome.out
    assert "colorlight_i5 8 MB" in " ".join(outcome.out.split())
    boards = {entry["board"]: entry for entry in adafire("boards", "--json").json["boards"]}
    assert boards["ulx3s_85f"]["bram"] == 208 and boards["pynq_z2"]["open_flow"] is False
    assert "from the flash of ulx3s_12f, ulx3s_25f, ulx3s_45f, ulx3s_85f (" in " ".join(outcome.out.split())
    assert boards["ulx3s_12f"]["flash_mb"] == 16 and boards["colorlight_i5"]["flash_mb"] == 0


BUILT = {
    "board": "ulx3s_85f", "lanes": 16, "core_only": False, "asked_mhz": 80, "clock_mhz": 80, "shares": {},
    "fmax_mhz": None, "bitstream": "a.bit", "program": "load a.bit", "uart": "USB", "seconds": 1, "step_seconds": {},
    "tools": {}, "kind": "post-route",
}


@pytest.mark.parametrize("stored, text", [
    ({}, None), ({"flash": "b.bin", "store": "write a.bit && write b.bin"}, "write a.bit && write b.bin"),
    ({"flash": None, "flash_bytes": 14_000_000, "flash_room": 13 * 2**20},
     "no room: 14,000,000 bytes where 13,631,488 are free, so the host loads the network"),
])
def test_build_says_how_the_network_gets_into_the_flash(adafire, monkeypatch, stored, text):
    monkeypatch.setattr(commands, "build", lambda *words: BUILT | stored)
    found = " ".join(adafire("build", "dir").out.split())
    assert (text in found) if text else ("flash" not in found)


@pytest.mark.parametrize("option, value", [("--mean", "0.1,x"), ("--std", "")])
def test_mean_and_std_must_be_numbers(adafire, tmp_path, option, value):
    outcome = adafire("convert", "m.pt2", "--calibration", "x.npz", "--out", tmp_path / "n", option, value)
    assert outcome.code == 2
    assert outcome.err == (
        f"{option} must be one number, or one for each channel with commas between, not {value!r}.\n"
    )


def test_output_file_is_checked_before_anything_slow(adafire, tmp_path):
    words = ("convert", "missing.pt2", "--calibration", "missing.npz", "--out")
    assert "does not exist: make it, or write n.safetensors elsewhere." in adafire(
        *words, tmp_path / "none" / "n.safetensors").err
    outcome = adafire(*words, tmp_path)
    assert outcome.code == 2 and "is a folder: name the file to write" in outcome.err


def run_as_a_program(code, *words, **options):
    return subprocess.Popen(
        [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_control_c_in_a_running_program(tmp_path, sent):
    slow = (
        "import sys, time\nfrom host import cli, commands\n"
        "commands.info = lambda path, boards: (open(path, 'w').close(), time.sleep(60))\n"
        "sys.exit(cli.main())"
    )
    begun = tmp_path / "begun"
    process = run_as_a_program(slow, "info", str(begun))
    deadline = time.monotonic() + 30
    while not begun.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(sent)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "Interrupted; nothing half-written remains.\n")


def test_help_needs_neither_torch_nor_amaranth():
    blocked = (
        "import sys\nfor name in ('torch', 'amaranth', 'cocotb', 'sklearn'): sys.modules[name] = None\n"
        "from host import cli\ncode = cli.main()\n"
        "sys.exit(code)"
    )
    process = run_as_a_program(blocked, "boards", "--json")
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0 and err == "" and len(json.loads(out)["boards"]) == 15


def test_unwritable_folder(adafire, tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root, who may run this, can write anywhere
    outcome = adafire("convert", "m.pt2", "--calibration", "x.npz", "--out", tmp_path / "n.safetensors")
    assert outcome.code == 2
    assert outcome.err == f"The folder {tmp_path} is not writable: choose another place for n.safetensors.\n"


def test_a_missing_library_is_named(adafire, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(commands, "convert", lambda *words, **settings: __import__("torch"))
    outcome = adafire("convert", "m.pt2", "--calibration", "x.npz", "--out", tmp_path / "n.safetensors")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == (
        "This command needs the library 'torch', which is not installed: pip install 'adafire[all]', or, in a copy of "
        "the repository, use the environment that `make demo` makes. `adafire doctor` shows what is there.\n"
    )


def test_a_missing_library_is_named_as_its_package_is(adafire, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setattr(commands, "convert", lambda *words, **settings: __import__("PIL"))
    outcome = adafire("convert", "m.pt2", "--calibration", "x.npz", "--out", tmp_path / "n.safetensors")
    assert outcome.code == 1 and "needs the library 'pillow'" in outcome.err


def test_version(adafire):
    outcome = adafire("--version")
    assert (outcome.code, outcome.out, outcome.err) == (0, f"adafire {version('adafire')}\n", "")


def telling():
    logging.getLogger("adafire.gen").info("convolution 'a': a Dropout is left out")
    logging.getLogger("adafire.hw").warning("yosys is an old one")
    return {"boards": []}


@pytest.mark.parametrize("words, told", [
    ((), "adafire.hw: yosys is an old one\n"),
    (("-v",), "adafire.gen: convolution 'a': a Dropout is left out\nadafire.hw: yosys is an old one\n"),
    (("--verbose", "--json"), "adafire.gen: convolution 'a': a Dropout is left out\nadafire.hw: yosys is an old one\n"),
])
def test_steps_are_told_on_standard_error(adafire, monkeypatch, words, told):
    monkeypatch.setattr(commands, "boards", telling)
    outcome = adafire("boards", *words)
    assert outcome.code == 0 and outcome.err == told and "Dropout" not in outcome.out
    assert outcome.json == {"boards": []} if "--json" in words else outcome.out
    assert logging.getLogger("adafire").handlers == []


FULL = "could not be written to standard output (No space left on device)"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full device")
@pytest.mark.parametrize("words, code, text", [
    ("boards", 1, FULL), ("boards --json", 1, FULL), ("--help", 1, "No space left on device"),
    ("info missing --json", 2, "missing does not exist"),
])
def test_a_standard_output_that_is_full(words, code, text):
    outcome = subprocess.run(f"{sys.executable} -m host.cli {words} > /dev/full", shell=True, capture_output=True,
                             text=True, check=False)
    assert outcome.returncode == code and text in outcome.stderr and outcome.stderr.count("\n") == 1


@pytest.mark.parametrize("closed, text", [
    (">&-", "Standard output is closed, so a result could not be written: redirect it to a file.\n"), (">&- 2>&-", ""),
])
def test_a_standard_output_that_is_closed(closed, text):
    outcome = subprocess.run(f"{sys.executable} -m host.cli boards --json {closed}", shell=True, capture_output=True,
                             text=True, check=False)
    assert (outcome.returncode, outcome.stderr) == (1, text)


def test_a_reader_that_has_seen_enough():
    outcome = subprocess.run(
        [shutil.which("bash"), "-c", f"{sys.executable} -m host.cli boards | head -1; echo ${{PIPESTATUS[0]}}"],
        capture_output=True, text=True, check=False,
    )
    assert outcome.stderr == "" and outcome.stdout.splitlines()[-1] in ("0", "1")


STRIKES = {  # where a request to end strikes
    "in executed text": 'demo.run_demo = lambda *words, **options: exec("strike()")',
    "before a verb is looked for": "cli.get_command = lambda app: strike()",
    "within an import": "demo.run_demo = imported",
    "beside what is half-made": "demo.run_demo = lambda *words, **options: (warnings.warn(UNUSED), strike())",
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("where", STRIKES)
def test_a_request_to_end(tmp_path, where, number):
    (tmp_path / "told.py").write_text(f"""
import os, sys, warnings
from functools import partial
from host import cli, demo
UNUSED = "<hw.core.group.Group object at 0x7f14b1a16ed0> created but never used"  # as Amaranth has it
strike = partial(os.kill, os.getpid(), {int(number)})
def imported(*words, **options):
    try:
        strike()
    except KeyboardInterrupt as error:
        raise ImportError("initialization failed") from error
{STRIKES[where]}
sys.argv = ["adafire", "demo"]
sys.exit(cli.main())
""")
    path = {"PYTHONPATH": str(Path(cli.__file__).parents[1])}
    outcome = subprocess.run([sys.executable, "-m", "told"], cwd=tmp_path, env=os.environ | path, capture_output=True,
                             text=True, check=False, timeout=60)
    assert (outcome.returncode, outcome.stderr) == (130, "Interrupted; nothing half-written remains.\n")
