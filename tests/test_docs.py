"""The documentation is run: its doctests, its programs, its commands; and every command line is one we have.

A fence ``python file=NAME`` is written to NAME. A fence ``sh`` is run, in the page's order and one folder;
``sh slow`` takes minutes; ``sh board`` needs a board, in whose place a simulated one and stand-ins are used;
``sh network`` downloads, and is not run.
"""

import doctest
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from gen.data.named import NAMED
from host.cli import app
from hw.board.boards import BOARDS

ROOT = Path(__file__).parents[1]
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
PAGES = [ROOT / "README.md", CONTRIBUTING, *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w+)((?: +\S+)*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^]]*\]\(([^)#:]+)(?:#[^)]*)?\)")
# What a machine without boards has in place of the program that writes a bitstream: it wants its file to be there.
PROGRAMMER = '#!/bin/sh\nfor last; do :; done\n[ -s "$last" ] || { echo "no bitstream $last"; exit 1; }\n'
TIMEOUT_S = 3000


def fences(page):
    return [(kind, words.split(), text) for kind, words, text in FENCE.findall(page.read_text())]


def command_lines(page):
    text = "\n".join(text for kind, _, text in fences(page) if kind == "sh").replace("\\\n", " ")
    return [line for line in text.splitlines() if line.startswith("adafire ")]


@pytest.fixture
def shell(tmp_path):
    """Run a text with ``sh`` in an empty folder with our program and the stand-ins in the path."""
    programs = tmp_path / "programs"
    programs.mkdir()
    ours = f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m host.cli "$@"\n'
    python = f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" "$@"\n'
    for name, script in {"adafire": ours, "python": python, "openFPGALoader": PROGRAMMER}.items():
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()

    def run(text):
        done = subprocess.run(
            ["sh", "-eu", "-c", text], cwd=work, env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT_S, check=False,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}"

    run.folder = work
    return run


def play(page, shell, kinds):
    """Run the fences of a page whose mark is in ``kinds``; return how many commands that were."""
    count = 0
    for kind, words, text in fences(page):
        files = [word.removeprefix("file=") for word in words if word.startswith("file=")]
        if files:
            (shell.folder / files[0]).write_text(text)
        elif kind == "sh" and (words or ["plain"])[0] in kinds:
            shell(text.replace("/dev/ttyUSB0", "sim"))
            count += 1
    return count


def board_tables():
    """Return name to what stands between its marks in docs/boards.md."""
    parts = [
        f"| `{name}` | {b.target.device} | {b.target.luts:,} | {b.target.bram_blocks} | {b.target.dsps} | "
        f"{b.target.flow.name} | {b.target.clock_mhz:g} | {b.target.core_mhz:g} |" for name, b in BOARDS.items()
    ]
    places = [
        f"| `{name}` | {b.uart or 'none: the processor, over AXI'} | `{b.program.format(bitstream='FILE')}` |"
        for name, b in BOARDS.items()
    ]
    return {
        "parts": "\n".join([
            "| board | part | LUT | block RAM | DSP | router | oscillator, MHz | core, MHz |", "|---" * 8 + "|", *parts,
        ]),
        "connections": "\n".join(["| board | UART | program |", "|---" * 3 + "|", *places]),
    }


def dataset_tables():
    """Return name to what stands between its marks in docs/datasets.md."""
    def code(words):
        return ", ".join(f"`{word}`" for word in words)

    names = [
        f"| `{name}` | {code(known.aliases)} | {known.title}, {' x '.join(map(str, known.shape))} | "
        f"{known.images['train']:,} | {known.images['test']:,} | {len(known.class_names)} |"
        for name, known in NAMED.items()
    ]
    published = [f"| `{name}` | {code(known.files)} | {', '.join(known.urls)} |" for name, known in NAMED.items()]
    return {
        "names": "\n".join(["| name | also | images | train | test | classes |", "|---" * 6 + "|", *names]),
        "published": "\n".join(["| name | files | from |", "|---" * 3 + "|", *published]),
    }


@pytest.mark.parametrize("name", dataset_tables())
def test_the_tables_of_data_sets_are_those_of_the_data(name):
    page = (ROOT / "docs/datasets.md").read_text()
    assert f"<!-- {name} -->\n{dataset_tables()[name]}\n<!-- end of {name} -->\n" in page


@pytest.mark.parametrize("name", board_tables())
def test_the_board_tables_are_those_of_the_data(name):
    page = (ROOT / "docs/boards.md").read_text()
    assert f"<!-- {name} -->\n{board_tables()[name]}\n<!-- end of {name} -->\n" in page


def operations_table():
    """Return what stands between its marks in docs/models.md."""
    from gen.model import aten, nir_nodes, onnx_nodes, tflite_nodes

    doors = {
        "PyTorch (ATen, without `_` in front)": aten, "ONNX": onnx_nodes, "TFLite": tflite_nodes, "NIR": nir_nodes,
    }
    rows = []
    for door, module in doors.items():
        names = sorted((name for name in module.OPERATIONS if not name.startswith("_")), key=str.lower)
        rows.append(f"| {door} | {', '.join(f'`{name}`' for name in names)} |")
    return "\n".join(["| door | operations |", "|---|---|", *rows])


def test_the_operations_are_those_of_the_doors():
    page = (ROOT / "docs/models.md").read_text()
    assert f"<!-- operations -->\n{operations_table()}\n<!-- end of operations -->\n" in page


EXAMPLES = [
    "datasets.md", "energy.md", "events.md", "file-format.md", "integer-network.md", "models.md", "protocol.md",
    "tasks.md",
]


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples(name):
    result = doctest.testfile(str(ROOT / "docs" / name), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert result.attempted > 3 and result.failed == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_command_lines_are_ones_we_have(page):
    command = get_command(app)
    for line in command_lines(page):
        _, verb, *words = shlex.split(line, comments=True)
        command.commands[verb].make_context(verb, words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


CHANGES = re.findall(r"^\| (an? [^|]+) \| (.+) \|$", CONTRIBUTING.read_text(), re.MULTILINE)


@pytest.mark.parametrize("change, files", CHANGES, ids=[change for change, _ in CHANGES])
def test_what_a_change_touches(change, files):
    named = re.findall(r"`([\w./]+\.\w+)`", files)
    assert 2 <= len(named) <= 6
    for name in named:
        assert list(ROOT.glob(name.replace("NAME", "*"))), f"{change}: there is no {name}"


def test_the_files_that_contributors_read_of():
    named = set(re.findall(r"`([\w./]+\.(?:py|md|toml|txt))`", CONTRIBUTING.read_text()))
    assert len(CHANGES) > 8 and len(named) > 20
    assert [name for name in named if not list(ROOT.glob(name.replace("NAME", "*")))] == []


@pytest.mark.slow
def test_the_tutorial(shell):
    assert play(ROOT / "docs/tutorial.md", shell, {"plain"}) >= 5
    assert (shell.folder / "build/report.html").stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command(page, shell):
    if "adafire-demo/" in page.read_text():  # what `make demo` leaves
        shell("adafire demo --images 2")
    play(page, shell, {"plain", "slow", "board"})


def test_the_pages_have_commands():
    assert sum(len(command_lines(page)) for page in PAGES) > 10
