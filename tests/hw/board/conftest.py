"""Designs to build, and stand-ins for the tools that build them."""

import json
from shutil import copytree
from types import SimpleNamespace

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gen.errors import AdafireError
from hw.board import steps
from hw.board.order import Order
from hw.emit import generate
from tests.kit.random_networks import random_network

CELLS = {"LUT4": 5, "TRELLIS_FF": 4}


class Wire(wiring.Component):
    """In the place of core and link, which take seconds to elaborate."""

    rx: In(1)
    tx: Out(1)
    active: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.tx.eq(self.rx)
        return m


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ADAFIRE_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """Return a function: the folder of a small design for a board."""
    folders = {}

    def folder(board):
        if board not in folders:
            folders[board] = tmp_path_factory.mktemp(board) / "core"
            generate(random_network(3), board=board, lanes=4, out=folders[board])
        return folders[board]

    return folder


@pytest.fixture
def design(generated, tmp_path):
    """Return a function: a fresh copy of the folder of a small design for a board."""
    return lambda board="ulx3s_25f": copytree(generated(board), tmp_path / board)


@pytest.fixture
def toolbox(monkeypatch):
    """Put stand-ins in the place of tools and design: ``carries`` are the clocks of the coming routings, MHz."""
    box = SimpleNamespace(carries=[90.0], ran=[], fails=None, says="much", cells=CELLS)

    def run(work, command, kept):
        box.ran.append(command)
        (work / command.log).write_text(box.says)
        if box.fails == command.tool:
            raise AdafireError(f"{command.tool} failed, see {kept / command.log}:\n{box.says}")
        if command.tool == "yosys":
            (work / "cells.json").write_text(json.dumps({"design": {"num_cells_by_type": box.cells}}))
            for top in ("adafire_top", "shell"):
                (work / f"{top}.json").write_text(json.dumps({"modules": {}}))
        elif "nextpnr" in command.tool:
            fmax = box.carries.pop(0) if len(box.carries) > 1 else box.carries[0]
            step = {"delay": 1, "from": {"cell": "design.core.a.x"}, "to": {"cell": "design.link.b.y"}}
            (work / "timing.json").write_text(json.dumps({
                "utilization": {"TRELLIS_COMB": {"used": 2430}}, "fmax": {"clk": {"achieved": fmax}},
                "critical_paths": [{"from": "posedge clk", "to": "posedge clk", "path": [step]}],
            }))
            (work / "adafire_top.config").write_text("large")
        else:
            (work / "adafire_top.bit").write_bytes(b"bits")

    monkeypatch.setattr(steps, "run_tool", run)
    monkeypatch.setattr(steps, "uart_design", lambda core, params, link, manifest: Wire())
    monkeypatch.setattr(Order, "core", lambda order: None)
    box.routings = lambda: [
        (float(command.arguments[command.arguments.index("--freq") + 1]), command.log) for command in box.ran
        if "nextpnr" in command.tool
    ]
    return box
