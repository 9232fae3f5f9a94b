"""The table of clocks: which places are slow, and what an interrupted run does not make again."""

import json

import pytest

from benchmarks import clock
from gen.errors import AdafireError

CLOCK = "posedge clk"


def net(driver, *ends, event=CLOCK):
    return {"driver": driver, "event": event,
            "endpoints": [{"cell": cell, "event": CLOCK, "delay": [delay - 1, delay]} for cell, delay in ends]}


TIMING = {
    "detailed_net_timings": [
        net("core.group_0.lanes.m", ("core.group_0.lanes.product_3_FF", 9.0), ("core.group_0.lanes.p_FF", 8.0)),
        net("core.walker.lut", ("core.group_0.fetch.address_FF", 8.5), ("core.walker.room_FF", 7.126)),
        net("core.decision.lut", ("core.decision.best_FF", 5.0)),
        net("pin", ("core.abort_FF", 20.0), event="<async>"),
    ],
    "utilization": {"TRELLIS_COMB": {"used": 100}, "TRELLIS_FF": {"used": 80}},
    "fmax": {"clk": {"achieved": 111.119}},
    "critical_paths": [{"from": CLOCK, "to": CLOCK, "path": [
        {"type": "logic", "delay": 9.0, "from": {"cell": "core.lanes.a"}, "to": {"cell": "core.lanes.b"}},
    ]}],
}


def test_the_slowest_places_are_pairs_of_components_pins_left_out():
    assert clock.slowest_places(TIMING) == [
        ("core.group_0.lanes", "core.group_0.lanes", 9.0), ("core.walker", "core.group_0.fetch", 8.5),
        ("core.walker", "core.walker", 7.13),
    ]


def test_a_run_goes_on_where_it_was(monkeypatch, tmp_path):
    monkeypatch.setenv("ADAFIRE_CACHE", str(tmp_path))
    broken, steps = {"2"}, []

    def run_tool(work, command, kept):
        if command.tool == "yosys":
            (work / "shell.json").write_text(json.dumps({"modules": {}}))
            (work / "cells.json").write_text(json.dumps({"design": {"num_cells_by_type": {"DP16KD": 21}}}))
        elif command.arguments[command.arguments.index("--seed") + 1] in broken:
            raise AdafireError("cut short")
        else:
            (work / "timing.json").write_text(json.dumps(TIMING))

    monkeypatch.setattr(clock, "run_tool", run_tool)
    with pytest.raises(AdafireError, match="cut short"):
        clock.routed_seeds("netlist", (1, 2, 3), steps.append)
    broken.clear()
    found = clock.routed_seeds("netlist", (1, 2, 3), steps.append)
    assert steps == ["synthesis", *(f"place and route, seed {seed}" for seed in (1, 2, 2, 3))]
    assert list(found) == [1, 2, 3]
    assert found[2]["fmax_mhz"] == 111.11 and found[2]["bram"] == 21
    assert found[2]["places"][0] == ["core.group_0.lanes", "core.group_0.lanes", 9.0]
    assert found[2]["steps"] == [["logic", 9.0, "core.lanes.b"]]
    clock.routed_seeds("another netlist", (1,), steps.append)
    assert steps[5:] == ["synthesis", "place and route, seed 1"]
