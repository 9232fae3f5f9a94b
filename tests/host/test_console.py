"""What stands on which stream, with and without a terminal."""

import os
import pty
import subprocess
import sys

import numpy as np

from host.console import reporting, show


def test_json_knows_numpy_and_paths(capfd, tmp_path):
    show({"a": np.int64(3), "b": np.arange(2), "c": tmp_path}, [], as_json=True)
    assert capfd.readouterr().out == f'{{\n  "a": 3,\n  "b": [\n    0,\n    1\n  ],\n  "c": "{tmp_path}"\n}}\n'


def test_without_a_terminal_stages_are_lines_and_bars_are_silent(capfd):
    with reporting(as_json=False) as report:
        report.stage("Converting")
        report("epoch 1", 0.5)
        report(3, 10)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "Converting ...\n")


def test_json_says_nothing_on_the_way(capfd):
    with reporting(as_json=True) as report:
        report.stage("Converting")
        report("epoch 1", 0.5)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_standard_output_is_back_after_an_error(capfd):
    try:
        with reporting(as_json=True):
            raise ValueError
    except ValueError:
        os.write(1, b"here\n")
    assert capfd.readouterr().out == "here\n"


def test_on_a_terminal_a_bar_is_drawn_and_vanishes():
    code = (
        "import time\nfrom host.console import reporting\n"
        "with reporting(False) as report:\n"
        "    report.stage('Converting')\n    report('layer 2', 0.4)\n    time.sleep(0.3)\n"
        "    report(3, 4)\n    time.sleep(0.3)\n"
    )
    leader, follower = pty.openpty()
    process = subprocess.run(
        [sys.executable, "-c", code], stderr=follower, stdout=subprocess.PIPE, timeout=60, check=True,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(follower)
    drawn = os.read(leader, 100_000).decode()
    os.close(leader)
    assert process.stdout == b""
    assert "Converting: layer 2" in drawn and "\x1b[2K" in drawn.rsplit("Converting", 1)[1]
