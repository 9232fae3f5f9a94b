"""The public face: every name loads, none before it is used; a user's file that hides a package of ours is named."""

import ast
import json
import subprocess
import sys
from importlib.metadata import version
from inspect import signature
from pathlib import Path

import pytest

import adafire

ROOT = Path(adafire.__file__).parent
FUNCTIONS = [name for name in adafire.__all__ if name[0].islower()]


@pytest.mark.parametrize("name", adafire.__all__)
def test_every_name_loads(name):
    assert getattr(adafire, name).__name__ == name and name in dir(adafire)


def test_type_checkers_see_the_same_names():
    tree = ast.parse((ROOT / "adafire.py").read_text())
    seen = next(node for node in tree.body if isinstance(node, ast.If))
    imported = {alias.name: node.module for node in seen.body if isinstance(node, ast.ImportFrom)
                for alias in node.names}
    assert imported == adafire._HOME and sorted(imported) == sorted(adafire.__all__)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_carry_types(name):
    told = signature(getattr(adafire, name))
    untyped = [parameter.name for parameter in told.parameters.values() if parameter.annotation is parameter.empty]
    assert not untyped and told.return_annotation is not told.empty


def test_an_unknown_name():
    with pytest.raises(AttributeError, match="module 'adafire' has no attribute 'nonsense'"):
        adafire.nonsense()


def test_version():
    assert adafire.__version__ == version("adafire")


@pytest.mark.parametrize("floor", ["gen", "hw", "sim", "host"])
def test_packages_say_that_they_are_typed(floor):
    assert (ROOT / floor / "py.typed").is_file()
    assert "py.typed" in (ROOT / "pyproject.toml").read_text()


def run(code, folder):
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False,
    )


def test_importing_it_loads_nothing_slow(tmp_path):
    code = "import sys, adafire; adafire.Result; print({'torch', 'amaranth', 'typer', 'cocotb'} & set(sys.modules))"
    assert run(code, tmp_path).stdout == "set()\n"


USES = {"gen": "adafire.Result", "hw": "adafire.generate", "sim": "adafire.Golden", "host": "adafire.open_device"}


@pytest.mark.parametrize("floor", USES)
@pytest.mark.parametrize("kind", ["file", "package", "folder"])
def test_a_users_file_that_hides_a_package_of_ours(tmp_path, floor, kind):
    hides = tmp_path / (f"{floor}.py" if kind == "file" else floor)
    if kind == "file":
        hides.write_text("")
    else:
        hides.mkdir()
        (hides / ("__init__.py" if kind == "package" else "notes.txt")).write_text("")
    code = f"import sys; sys.path[1:1] = [{str(ROOT)!r}]; import adafire; {USES[floor]}"
    if kind == "folder":  # of which ours, a regular package, is found first
        assert run(code, tmp_path).returncode == 0
        return
    outcome = run(code, tmp_path)
    assert outcome.stderr.splitlines()[-1] == (
        f"ImportError: adafire cannot be used here: {hides} is what Python finds as {floor!r}, the name of one of "
        f"adafire's own packages, {ROOT / floor}. Those names are gen, hw, sim, host: rename your file or folder, or "
        "run from where it is not beside your script."
    )


def test_a_users_module_loaded_before(tmp_path):
    (tmp_path / "sim.py").write_text("")
    code = f"import sys; sys.path[1:1] = [{str(ROOT)!r}]; import sim, adafire; adafire.Golden"
    assert f"{tmp_path / 'sim.py'} is what Python finds as 'sim'" in run(code, tmp_path).stderr


def test_what_is_not_needed_may_be_hidden(tmp_path):
    (tmp_path / "host.py").write_text("")
    code = f"import sys; sys.path[1:1] = [{str(ROOT)!r}]; import adafire; adafire.Golden"
    assert run(code, tmp_path).returncode == 0


@pytest.mark.parametrize("option", ["", "--json"])
def test_the_command_line_says_so_too(tmp_path, option):
    (tmp_path / "sim.py").write_text("")
    code = (
        f"import sys; sys.path[1:1] = [{str(ROOT)!r}]; sys.argv[1:] = ['boards', *{option.split()}]\n"
        "import adafire; sys.exit(adafire.main())"
    )
    outcome = run(code, tmp_path)
    text = json.loads(outcome.stdout)["error"] if option else outcome.stderr
    assert outcome.returncode == 2 and f"{tmp_path / 'sim.py'} is what Python finds as 'sim'" in text
    assert "Traceback" not in outcome.stderr
