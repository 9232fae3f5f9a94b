"""The cache of compiled models, with stand-ins for Verilator and g++: a damaged one is made again, never loaded."""

import subprocess
from pathlib import Path

import pytest

from sim import verilate
from sim.toolchain import tool_environment, verilator_program


@pytest.fixture
def linked(monkeypatch, tmp_path):
    """Compile without tools; gives the list of g++'s runs, each of which makes a library of the bytes ``library``."""
    runs = []

    def tool(command, folder, _environment):
        if command[0] == "g++":
            runs.append(command)
            (Path(folder) / "made").write_bytes(b"library")

    monkeypatch.setenv("ADAFIRE_CACHE", str(tmp_path / "cache"))
    for name, stand_in in {
        "choose_simulator": lambda name: name, "verilator_program": lambda: "verilator", "tool_environment": dict,
        "_runtime": lambda *_words: ([], tmp_path, []), "_make_objects": lambda *_words: [], "_tool": tool,
    }.items():
        monkeypatch.setattr(verilate, name, stand_in)
    return runs


def compiled(tmp_path):
    harness = tmp_path / "harness.cpp"
    harness.write_text("int main() {}")
    return verilate.compile_verilog("top", ["module top; endmodule"], harness)


@pytest.mark.parametrize("damage", [b"", b"libra", b"librarx"])
def test_a_damaged_library_is_made_again(linked, tmp_path, damage):
    library = compiled(tmp_path)
    assert compiled(tmp_path) == library and len(linked) == 1
    library.write_bytes(damage)
    assert compiled(tmp_path) == library and len(linked) == 2
    assert library.read_bytes() == b"library"


@pytest.mark.parametrize("level", verilate.HEADERS)
def test_headers_are_read_as_they_were_compiled_ahead(tmp_path, level):
    """By the real g++, with options that a harness may have; it would read the headers themselves without a word."""
    _, ahead, includes = verilate._runtime(verilator_program(), tmp_path, tool_environment())
    unit = tmp_path / "unit.cpp"
    unit.write_text(f'#include "{ahead / verilate.HEADERS[level]}"\n')
    command = ["g++", level, *verilate.COMPILE, *includes, "-DGROUPS=4", "-DSTATE_BITS=20", "-H", "-S", unit]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr.startswith(f"! {ahead / verilate.HEADERS[level]}.gch")
