"""README and docs say what is true: commands parse, files exist, tables are those of the code."""

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from gen.target import TARGETS
from host.cli import UsageError, app

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("**/*.md")])
FILES = re.compile(r"`((?:gen|hw|sim|host|docs|tests|examples|benchmarks)/[\w./-]*|\w+\.(?:py|toml|txt|md)|Makefile)`")


def code_lines(page):
    """Yield every line of code in a page of Markdown: of a shell's fence, indented, or in backticks."""
    fence = None
    for line in page.read_text().splitlines():
        mark = re.match(r"\s*```(\w*)", line)
        if mark:
            fence = mark[1] if fence is None else None
        elif fence is not None:
            yield line.strip() if fence in ("", "sh", "console") else ""
        elif line.startswith("    "):
            yield line.strip()
        else:
            yield from re.findall(r"`([^`]+)`", line)


def commands():
    """Yield (page name, words after ``adafire``) of every command line with arguments in README and docs."""
    for page in PAGES:
        for line in code_lines(page):
            line = line.removeprefix("$ ")
            if line.startswith("adafire ") and "..." not in line:
                yield page.name, shlex.split(line, comments=True)[1:]


COMMANDS = sorted({(page, tuple(words)) for page, words in commands()})


def test_the_readme_shows_every_verb():
    shown = {words[0] for page, words in COMMANDS if page == "README.md"}
    assert shown >= {"demo", "convert", "info", "evaluate", "generate", "verify", "build", "boards", "doctor"}


@pytest.mark.parametrize("page, words", COMMANDS, ids=[" ".join(words) for _, words in COMMANDS])
def test_commands_parse(page, words):
    verb = get_command(app).commands.get(words[0])
    assert verb, f"{page}: there is no `adafire {words[0]}`"
    if len(words) == 1:
        return
    try:
        verb.make_context(words[0], list(words[1:]))
    except UsageError as error:
        pytest.fail(f"{page}: `adafire {' '.join(words)}`: {error.format_message()}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_files_and_links_exist(page):
    text = page.read_text()
    missing = [name for name in FILES.findall(text) if not (ROOT / name).exists()]
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    missing += [link for link in links if not (page.parent / link).exists()]
    assert not missing, f"{page.name} names files that do not exist: {', '.join(missing)}"


def test_make_targets_exist():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {line.split()[1] for page in PAGES for line in code_lines(page) if line.startswith("make ")}
    assert named and named <= targets


def test_board_table_is_that_of_the_code():
    table = (ROOT / "README.md").read_text().split("<!-- boards -->")[1].split("<!-- end of boards -->")[0]
    rows = [[cell.strip().strip("`") for cell in line.strip("| \n").split("|")] for line in table.strip().splitlines()]
    assert rows[2:] == [
        [
            target.name, target.device, f"{target.luts:,}", str(target.bram_blocks), str(target.dsps), target.flow.name,
            "yes" if target.flow.open else "no",
        ]
        for target in TARGETS.values()
    ]


def test_every_public_name_is_in_the_readme_or_loads_on_use():
    import adafire

    readme = (ROOT / "README.md").read_text()
    used = set(re.findall(r"adafire\.(\w+)\(", readme))
    assert used and used <= set(adafire.__all__)
