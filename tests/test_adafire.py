"""The public face: every name loads, and none before it is used."""

import subprocess
import sys

import pytest

import adafire


@pytest.mark.parametrize("name", adafire.__all__)
def test_every_name_loads(name):
    assert getattr(adafire, name).__name__ == name and name in dir(adafire)


def test_an_unknown_name():
    with pytest.raises(AttributeError, match="module 'adafire' has no attribute 'nonsense'"):
        adafire.nonsense()


def test_importing_it_loads_nothing_slow():
    code = "import sys, adafire; adafire.Result; print({'torch', 'amaranth', 'typer', 'cocotb'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
