"""The cache of compiled models, with stand-ins for Verilator and g++: a damaged one is made again, never loaded."""

from pathlib import Path

import pytest

from sim import verilate


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
