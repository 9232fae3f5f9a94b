"""Projects for boards whose bitstream the vendor's tool makes: complete folders for Vivado 2020.1 or newer.

- Boards with pins for a UART (Arty A7): ``adafire_top`` holds pins, MMCM and reset around the module of uart.v, and
  the memory's controller, where the core has something outside (`hw.board.mig`). Amaranth writes it with its
  constraints and script.
- Boards with a processor (PYNQ-Z2): a block design, made by the script: the processor's first AXI master port to the
  registers, two AXI DMAs (PG021) between its first AXI slave port and the streams; another slave port for the core's
  memory.
"""

from string import Template

from amaranth.hdl import ClockSignal, Instance, Module, ResetSignal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gen.errors import InputError
from hw.board.board_top import TOP, BoardTop, link_params
from hw.board.mig import MIG_FILE, mig_project, mig_scripts
from hw.identity import register_values
from hw.link.blackbox import memory_port
from hw.link.bus import VALUE_BITS
from hw.verilog import AXI, UART, axi_verilog, uart_verilog

__all__ = ["UartBox", "axi_project", "uart_project"]

LENGTH_BITS = 26  # of the bytes of a transfer, the most there are (PG021, "Width of Buffer Length Register")


class UartBox(wiring.Component):
    """An instance of the module `UART` of uart.v for a core of ``params``, for `BoardTop`."""

    def __init__(self, params):
        super().__init__({"rx": In(1), "tx": Out(1), "active": Out(1), **memory_port(params)})

    def elaborate(self, platform):
        m = Module()
        ports = {
            f"{'i' if member.flow is In else 'o'}_{'_'.join(path)}": Value.cast(value)
            for path, member, value in self.signature.flatten(self)
        }
        m.submodules.uart = Instance(UART, i_clk=ClockSignal(), i_rst=ResetSignal(), **ports)
        return m


def uart_project(board, setting, sources, params, manifest):
    """Return the project of a design behind a UART: the module that is the design, and {file name: text}.

    Parameters
    ----------
    board : hw.board.boards.Board
    setting : hw.board.plls.Setting
    sources : {file name: text}
        core.v of the generated folder, and what its memories hold.
    params : CoreParams
    manifest : dict
        Of the generated folder.
    """
    link = link_params(board.target, manifest, setting.output)
    files = {**sources, "uart.v": uart_verilog(params, link, register_values(manifest))}
    platform = board.make_platform()
    for name, text in files.items():
        platform.add_file(name, text)
    timing = _TIMING.format(slack="[get_property SLACK [get_timing_paths]]", clock=float(setting.output))
    scripts = {"script_after_route": timing}
    if params.outside:
        files[MIG_FILE] = mig_project(board.memory, board.target, _balls(platform.lookup("ddram", 0)))
        scripts |= mig_scripts()
    plan = platform.prepare(BoardTop(board, setting, UartBox(params)), TOP, emit_src=False, **scripts)
    wanted = {f"{TOP}.v", f"{TOP}.xdc", f"{TOP}.tcl"}
    return UART, {name: text for name, text in plan.files.items() if name in wanted} | files


def _balls(resource):
    """Return {name: (balls, attributes)} of the pins of a resource."""
    return {pin.name: (pin.ios[0].names, {**resource.attrs, **pin.attrs}) for pin in resource.ios}


def axi_project(board, setting, sources, params, manifest):
    """Return the project of a design that a processor drives; parameters and results as of `uart_project`.

    Raises `InputError` for a network whose images are longer than a transfer can be.
    """
    size, most = manifest["input"]["values"] * VALUE_BITS // 8, 2**LENGTH_BITS - 1
    if size > most:
        raise InputError(
            f"An image of the network has {size} bytes on AXI, and a transfer of the DMA {most} at most: convert it "
            "for fewer or smaller frames."
        )
    clock, target = float(setting.output), board.target
    files = {**sources, "axi.v": axi_verilog(params, register_values(manifest, CLOCK_HZ=round(clock * 1e6)))}
    held = " ".join(name for name in files if not name.endswith(".v"))
    script = _AXI_SCRIPT.substitute(
        part=f"{target.device}{target.package}-{target.speed}", clock=f"{clock:g}", top=TOP, files=" ".join(files),
        held=f"set_property file_type {{Memory Initialization Files}} [get_files {{{held}}}]\n" if held else "",
        input=VALUE_BITS * params.input_values, length=LENGTH_BITS,
        memory="" if params.input_values < 4 else " CONFIG.c_m_axi_mm2s_data_width 64",
        board=target.title, **_memory_port(board.memory, params),
        timing=_TIMING.format(slack="[get_property STATS.WNS [get_runs impl_1]]", clock=clock),
    )
    return AXI, {**files, f"{TOP}.tcl": script}


def _memory_port(port, params):
    """Return what the script has more for a core with something outside: settings of the processor, cells and nets."""
    if not params.outside:
        return dict.fromkeys(("ps_port", "port_cells", "port_clocks", "port_resets"), "")
    slave = f"S_AXI_{port.name}"
    return {
        "ps_port": f" CONFIG.PCW_USE_{slave} 1",
        "port_cells": _PORT_CELLS.format(slave=slave),
        "port_clocks": f" \\\n    memory_port/aclk ps/{slave}_ACLK", "port_resets": " memory_port/aresetn",
    }


_PORT_CELLS = """\
# The core's memory: a part of the processor's that the register MEMORY names, through a port of its own.
ip memory_port smartconnect CONFIG.NUM_SI 1 CONFIG.NUM_MI 1
bus adafire/m_axi_memory memory_port/S00_AXI
bus memory_port/M00_AXI ps/{slave}
"""

_TIMING = 'if {{{slack} < 0}} {{ error "timing fails at {clock:g} MHz: build with a lower --clock" }}'

_AXI_SCRIPT = Template("""\
# The core on $board, driven by the processor. Run: vivado -mode batch -source $top.tcl
# Makes $top.bit and $top.hwh, which PYNQ's Overlay loads.
create_project $top project -part $part -force
# The board's own preset (memory, pins of the processor) where its board files are installed.
set presets [get_board_parts -quiet "tul.com.tw:pynq-z2:part0:*"]
if {[llength $$presets]} { set_property board_part [lindex $$presets end] [current_project] }
set_property target_language Verilog [current_project]
add_files {$files}
${held}update_compile_order -fileset sources_1

proc ip {name kind args} {
    create_bd_cell -type ip -vlnv xilinx.com:ip:$$kind $$name
    if {[llength $$args]} { set_property -dict $$args [get_bd_cells $$name] }
}
proc bus {from to} { connect_bd_intf_net [get_bd_intf_pins $$from] [get_bd_intf_pins $$to] }
proc net {from args} { foreach to $$args { connect_bd_net [get_bd_pins $$from] [get_bd_pins $$to] } }

create_bd_design system
ip ps processing_system7
apply_bd_automation -rule xilinx.com:bd_rule:processing_system7 -config [list \\
    make_external "FIXED_IO, DDR" apply_board_preset [expr {[llength $$presets] > 0}]] [get_bd_cells ps]
set_property -dict [list \\
    CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ $clock CONFIG.PCW_USE_M_AXI_GP0 1 CONFIG.PCW_USE_S_AXI_HP0 1 \\
    CONFIG.PCW_USE_FABRIC_INTERRUPT 1 CONFIG.PCW_IRQ_F2P_INTR 1$ps_port] [get_bd_cells ps]
create_bd_cell -type module -reference adafire_axi adafire
ip reset proc_sys_reset
ip registers smartconnect CONFIG.NUM_SI 1 CONFIG.NUM_MI 3
ip memory smartconnect CONFIG.NUM_SI 3 CONFIG.NUM_MI 1
# Images and results through one DMA, networks through another; a stream is as wide as the core's data.
ip dma_images axi_dma CONFIG.c_include_sg 0 CONFIG.c_sg_length_width $length \\
    CONFIG.c_include_mm2s 1 CONFIG.c_m_axis_mm2s_tdata_width $input$memory CONFIG.c_include_s2mm 1
ip dma_network axi_dma CONFIG.c_include_sg 0 CONFIG.c_sg_length_width $length \\
    CONFIG.c_include_mm2s 1 CONFIG.c_m_axis_mm2s_tdata_width 32 CONFIG.c_include_s2mm 0

bus dma_images/M_AXIS_MM2S adafire/s_axis_input
bus adafire/m_axis_result dma_images/S_AXIS_S2MM
bus dma_network/M_AXIS_MM2S adafire/s_axis_load
bus ps/M_AXI_GP0 registers/S00_AXI
bus registers/M00_AXI adafire/s_axi
bus registers/M01_AXI dma_images/S_AXI_LITE
bus registers/M02_AXI dma_network/S_AXI_LITE
bus dma_images/M_AXI_MM2S memory/S00_AXI
bus dma_images/M_AXI_S2MM memory/S01_AXI
bus dma_network/M_AXI_MM2S memory/S02_AXI
bus memory/M00_AXI ps/S_AXI_HP0
${port_cells}net ps/FCLK_CLK0 ps/M_AXI_GP0_ACLK ps/S_AXI_HP0_ACLK reset/slowest_sync_clk registers/aclk \\
    memory/aclk adafire/aclk dma_images/s_axi_lite_aclk dma_images/m_axi_mm2s_aclk dma_images/m_axi_s2mm_aclk \\
    dma_network/s_axi_lite_aclk dma_network/m_axi_mm2s_aclk$port_clocks
net ps/FCLK_RESET0_N reset/ext_reset_in
net reset/peripheral_aresetn registers/aresetn memory/aresetn adafire/aresetn \\
    dma_images/axi_resetn dma_network/axi_resetn$port_resets
net adafire/interrupt ps/IRQ_F2P
assign_bd_address
validate_bd_design
save_bd_design

make_wrapper -files [get_files system.bd] -top -import
set_property top system_wrapper [current_fileset]
update_compile_order -fileset sources_1
launch_runs impl_1 -to_step write_bitstream -jobs 4
wait_on_run impl_1
if {[get_property PROGRESS [get_runs impl_1]] ne "100%"} { error "implementation failed: see project/$top.runs" }
$timing
file copy -force project/$top.runs/impl_1/system_wrapper.bit $top.bit
file copy -force [lindex [glob -nocomplain project/$top.gen/sources_1/bd/system/hw_handoff/system.hwh \\
    project/$top.srcs/sources_1/bd/system/hw_handoff/system.hwh] 0] $top.hwh
""")
