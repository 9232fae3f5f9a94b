"""`adafire doctor`: what it looks for, and what it says when something is not there."""

import shutil

from host import doctor


def test_everything_tests_need_is_here(adafire):
    outcome = adafire("doctor")
    assert outcome.code == 0 and "Everything needed is here." in outcome.out
    checks = {check["name"]: check for check in adafire("doctor", "--json").json["checks"]}
    assert set(checks) >= {
        "python", "numpy", "torch", "amaranth", "yosys", "nextpnr-ecp5", "verilator", "iverilog", "cocotb", "g++",
        "make",
    }
    assert checks["amaranth"]["version"].startswith("0.5.")
    assert all(check["purpose"] and check["install"] for check in checks.values())


def test_a_missing_program_fails_and_says_how_to_install_it(adafire, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    outcome = adafire("doctor")
    assert outcome.code == 1 and "MISSING" in outcome.out
    assert "g++: sudo apt-get install g++ (Debian, Ubuntu)" in outcome.out
    assert "Missing and needed: g++, make." in outcome.out
    assert adafire("doctor", "--json").json["missing"] == ["g++", "make"]


def test_a_missing_optional_program_is_no_failure(adafire, monkeypatch):
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "iverilog" else which(name))
    outcome = adafire("doctor")
    assert outcome.code == 0 and "not installed" in outcome.out and "iverilog: sudo apt-get" in outcome.out


def test_a_program_that_does_not_run_counts_as_missing(tmp_path, monkeypatch):
    broken = tmp_path / "make"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(broken))
    assert doctor.diagnose()["missing"] == ["g++", "make"]


def test_unknown_distribution_has_no_version():
    assert doctor._package("adafire-no-such-distribution") is None
