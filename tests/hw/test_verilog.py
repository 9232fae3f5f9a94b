"""`hw.verilog`: the same network gives the same text, whatever the hash seed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gen.plan.plan import make_plan
from hw.verilog import core_verilog
from tests.kit.random_networks import random_network

SCRIPT = """
import hashlib
from gen.plan.plan import make_plan
from hw.verilog import core_files
from tests.kit.random_networks import random_network

plan = make_plan(random_network({seed}), {lanes})
for text in core_files(plan).values():
    print(hashlib.sha256(text.encode()).hexdigest(), len(text))
"""


def emitted(seed, lanes, hash_seed):
    """Return the hashes of every file of a core, made by a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", SCRIPT.format(seed=seed, lanes=lanes)], cwd=Path(__file__).parents[2], check=True,
        env={**os.environ, "PYTHONHASHSEED": hash_seed}, capture_output=True, text=True,
    ).stdout


@pytest.mark.parametrize("seed, lanes", [(3, 4), pytest.param(8, 8, marks=pytest.mark.slow)])
def test_the_text_is_the_same_from_run_to_run(seed, lanes):
    assert emitted(seed, lanes, "1") == emitted(seed, lanes, "2")


def test_another_network_is_another_text():
    assert emitted(3, 4, "1") != emitted(8, 4, "1")


def test_a_core_has_the_hardware_for_narrow_layers_only_where_there_are_some():
    texts = [core_verilog(make_plan(random_network(3, layer_bits=bits), 4)) for bits in ((8,), (4, 8))]
    assert ["halves" in text for text in texts] == [False, True]
