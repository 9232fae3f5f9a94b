"""AMD's memory controller beside a core on a 7 series part: the file that its generator reads, and its module.

The Memory Interface Generator (UG586, MIG 7 series 4.2) makes controller and PHY as an IP with an AXI port, from a
project file of XML. Vivado was not run here: the file follows UG586 and the files that the generator itself writes;
times are those of Micron's data sheet of the MT41K128M16, speed -125 (1.25 ns), at 3 ns.
"""

from dataclasses import dataclass
from string import Template

from amaranth.hdl import ClockDomain, ClockSignal, Const, Instance, Module, ResetSignal, Signal
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In

from gen.plan.params import WORD_BITS
from hw.memory.bus import connect_wider
from hw.memory.crossed_axi import CrossedAxi, CrossedMemory
from hw.memory.crossing import MEMORY_DOMAIN

__all__ = ["MIG", "MIG_FILE", "MT41K128M16JT_125", "Mig", "MigMemory", "mig_project", "mig_scripts"]

MIG, MIG_FILE = "adafire_mig", "mig.prj"
SOURCE_MHZ, REFERENCE_MHZ = 500 / 3, 200  # of the controller, half its memory's clock; of the pins' delays (UG586)
VCO_MHZ = 1000  # of the MMCM that makes both: 600 to 1,200 at the slowest speed grade (DS181)


@dataclass(frozen=True, kw_only=True)
class Mig:
    """A DDR3 of 16 bits on a 7 series part.

    Parameters
    ----------
    device : str
        The part as the generator names it, with its speed grade.
    row_bits, column_bits : int
    megabytes : int
    period_ps : int
        Of the memory's clock; the port has a fourth of it.
    volts : float
    cas, cas_write : int
        Latencies, cycles.
    times : ((name, value), ...)
        Of the data sheet, ns; ``trefi`` in us.
    """

    device: str
    row_bits: int
    column_bits: int
    megabytes: int
    period_ps: int
    volts: float
    cas: int
    cas_write: int
    times: tuple[tuple[str, float], ...]

    @property
    def address_bits(self) -> int:
        """Bits of a byte's address on AXI."""
        return (self.megabytes - 1).bit_length() + 20


MT41K128M16JT_125 = Mig(
    device="DDR3_SDRAM/Components/MT41K128M16XX-125", row_bits=14, column_bits=10, megabytes=256, period_ps=3000,
    volts=1.35, cas=5, cas_write=5, times=(
        ("twtr", 7.5), ("trrd", 7.5), ("trefi", 7.8), ("tfaw", 40), ("trtp", 7.5), ("tcke", 5), ("trfc", 160),
        ("trp", 13.75), ("tras", 35), ("trcd", 13.75),
    ),
)


def mig_project(part: Mig, target, pins) -> str:
    """Return the text of `MIG_FILE`.

    Parameters
    ----------
    part : Mig
    target : gen.plan.target.Target
    pins : {name of a pin of a DDR3: (balls, attributes)}
    """
    named = {"a": "addr", "clk_p": "ck_p", "clk_n": "ck_n"}
    single = ("cas_n", "ras_n", "we_n", "reset_n")
    rows = [
        f'<Pin IN_TERM="" IOSTANDARD="{attributes["IOSTANDARD"]}" PADName="{ball}" SLEW="" VCCAUX_IO="" '
        f'name="ddr3_{named.get(name, name)}{"" if name in single else f"[{number}]"}"/>'
        for name, (balls, attributes) in pins.items() for number, ball in enumerate(balls)
    ]
    return _PROJECT.substitute(
        module=MIG, fpga=f"{target.device}-{target.package}/-{target.speed}", device=part.device, period=part.period_ps,
        source=f"{SOURCE_MHZ:.3f}", rows=part.row_bits, columns=part.column_bits, volts=f"{part.volts:.2f}V",
        bytes=part.megabytes * 2**20, bits=part.address_bits, width=WORD_BITS, cas=part.cas, cas_write=part.cas_write,
        times=" ".join(f'{name}="{value}"' for name, value in part.times),
        vco=round(4000 * 1000 / part.period_ps / 2), pins="\n      ".join(rows),
    )


def mig_scripts() -> dict[str, str]:
    """Return commands for Amaranth's script: the IP is made of `MIG_FILE`; its clock and the core's know nothing of
    each other (`BusCrossing` is all that lies between them).
    """
    return {"script_after_read": _MAKE, "script_after_synth": _CLOCKS}


class MigMemory(CrossedMemory):
    """Answer a memory bus by the generator's controller, on the pins that the platform calls ``ddram``.

    An MMCM makes the controller's two clocks from the oscillator of 100 MHz; the controller's own clock is that of the
    domain `MEMORY_DOMAIN`.
    """

    def elaborate(self, platform):
        m = Module()
        m.domains += ClockDomain(MEMORY_DOMAIN)
        m.submodules.crossed = crossed = CrossedAxi(self._signature, self._part.address_bits, WORD_BITS)
        connect_wider(m, self.bus, crossed.bus)
        source, reference, locked = self._clocks(m, platform.default_clk_frequency / 1e6)
        pins, axi, reset = platform.request("ddram", 0, dir="-"), crossed.axi, Signal()
        ready = {name: Signal(name=name) for name in ("calibrated", "memory_locked", "up")}
        m.d.comb += ResetSignal(MEMORY_DOMAIN).eq(~ready["up"])
        m.submodules.up = FFSynchronizer(
            ~reset & ready["memory_locked"] & ready["calibrated"], ready["up"], o_domain=MEMORY_DOMAIN, reset_less=True)
        ports = {
            f"{'o' if member.flow is In else 'i'}_s_axi_{name}": getattr(axi, name)
            for name, member in axi.signature.members.items()
        }
        out = {"a": "addr", "ba": "ba", "ras_n": "ras_n", "cas_n": "cas_n", "we_n": "we_n", "cs_n": "cs_n", "dm": "dm",
               "cke": "cke", "odt": "odt", "reset_n": "reset_n", "clk_p": "ck_p", "clk_n": "ck_n"}
        m.submodules.controller = Instance(
            MIG, **{f"o_ddr3_{name}": getattr(pins, pin).io for pin, name in out.items()},
            **{f"io_ddr3_{name}": getattr(pins, name).io for name in ("dq", "dqs_p", "dqs_n")},
            i_sys_clk_i=source, i_clk_ref_i=reference, i_sys_rst=locked, o_ui_clk=ClockSignal(MEMORY_DOMAIN),
            o_ui_clk_sync_rst=reset, o_mmcm_locked=ready["memory_locked"], o_init_calib_complete=ready["calibrated"],
            i_aresetn=~reset,
            **{f"i_app_{name}": Const(0) for name in ("sr_req", "ref_req", "zq_req")},
            **{f"i_s_axi_{way}lock": Const(0, 1) for way in ("aw", "ar")},
            **{f"i_s_axi_{way}qos": Const(0, 4) for way in ("aw", "ar")},
            **ports,
        )
        return m

    def _clocks(self, m, oscillator_mhz):
        """Return the controller's clock, that of the delays, and whether both are stable."""
        feedback, locked = Signal(), Signal()
        fast, slow = {}, {}
        for name in ("source", "reference"):
            fast[name], slow[name] = Signal(name=f"{name}_fast"), Signal(name=name)
            m.submodules[name] = Instance("BUFG", i_I=fast[name], o_O=slow[name])
        m.submodules.mmcm = Instance(
            "MMCME2_BASE", p_CLKIN1_PERIOD=1000 / oscillator_mhz, p_DIVCLK_DIVIDE=1,
            p_CLKFBOUT_MULT_F=VCO_MHZ / oscillator_mhz, p_CLKOUT0_DIVIDE_F=VCO_MHZ / SOURCE_MHZ,
            p_CLKOUT1_DIVIDE=round(VCO_MHZ / REFERENCE_MHZ), i_CLKIN1=self.oscillator, i_CLKFBIN=feedback,
            o_CLKFBOUT=feedback, o_CLKOUT0=fast["source"], o_CLKOUT1=fast["reference"], o_LOCKED=locked, i_RST=Const(0),
            i_PWRDWN=Const(0),
        )
        return slow["source"], slow["reference"], locked


_CLOCKS = """\
set_clock_groups -asynchronous -group [get_clocks -of_objects [get_pins design/uart/clk]] \\
    -group [get_clocks -of_objects [get_pins dram/controller/ui_clk]]
"""

_MAKE = f"""\
create_ip -name mig_7series -vendor xilinx.com -library ip -module_name {MIG}
set_property -dict [list CONFIG.XML_INPUT_FILE [file normalize {MIG_FILE}] CONFIG.RESET_BOARD_INTERFACE Custom \\
    CONFIG.MIG_DONT_TOUCH_PARAM Custom CONFIG.BOARD_MIG_PARAM Custom] [get_ips {MIG}]
generate_target all [get_ips {MIG}]
synth_ip [get_ips {MIG}]
"""

_PROJECT = Template("""\
<?xml version="1.0" encoding="UTF-8" standalone="no" ?>
<Project NoOfControllers="1">
  <ModuleName>$module</ModuleName>
  <dci_inouts_inputs>1</dci_inouts_inputs>
  <dci_inputs>1</dci_inputs>
  <Debug_En>OFF</Debug_En>
  <DataDepth_En>1024</DataDepth_En>
  <LowPower_En>ON</LowPower_En>
  <XADC_En>Enabled</XADC_En>
  <TargetFPGA>$fpga</TargetFPGA>
  <Version>4.2</Version>
  <SystemClock>No Buffer</SystemClock>
  <ReferenceClock>No Buffer</ReferenceClock>
  <SysResetPolarity>ACTIVE LOW</SysResetPolarity>
  <BankSelectionFlag>FALSE</BankSelectionFlag>
  <InternalVref>1</InternalVref>
  <dci_hr_inouts_inputs>50 Ohms</dci_hr_inouts_inputs>
  <dci_cascade>0</dci_cascade>
  <Controller number="0">
    <MemoryDevice>$device</MemoryDevice>
    <TimePeriod>$period</TimePeriod>
    <VccAuxIO>1.8V</VccAuxIO>
    <PHYRatio>4:1</PHYRatio>
    <InputClkFreq>$source</InputClkFreq>
    <UIExtraClocks>0</UIExtraClocks>
    <MMCM_VCO>$vco</MMCM_VCO>
    <MMCMClkOut0> 1.000</MMCMClkOut0>
    <MMCMClkOut1>1</MMCMClkOut1>
    <MMCMClkOut2>1</MMCMClkOut2>
    <MMCMClkOut3>1</MMCMClkOut3>
    <MMCMClkOut4>1</MMCMClkOut4>
    <DataWidth>16</DataWidth>
    <DeepMemory>1</DeepMemory>
    <DataMask>1</DataMask>
    <ECC>Disabled</ECC>
    <Ordering>Normal</Ordering>
    <BankMachineCnt>4</BankMachineCnt>
    <CustomPart>FALSE</CustomPart>
    <NewPartName></NewPartName>
    <RowAddress>$rows</RowAddress>
    <ColAddress>$columns</ColAddress>
    <BankAddress>3</BankAddress>
    <MemoryVoltage>$volts</MemoryVoltage>
    <C0_MEM_SIZE>$bytes</C0_MEM_SIZE>
    <UserMemoryAddressMap>ROW_BANK_COLUMN</UserMemoryAddressMap>
    <PinSelection>
      $pins
    </PinSelection>
    <System_Control>
      <Pin Bank="Select Bank" PADName="No connect" name="sys_rst"/>
      <Pin Bank="Select Bank" PADName="No connect" name="init_calib_complete"/>
      <Pin Bank="Select Bank" PADName="No connect" name="tg_compare_error"/>
    </System_Control>
    <TimingParameters>
      <Parameters $times/>
    </TimingParameters>
    <mrBurstLength name="Burst Length">8 - Fixed</mrBurstLength>
    <mrBurstType name="Read Burst Type and Length">Sequential</mrBurstType>
    <mrCasLatency name="CAS Latency">$cas</mrCasLatency>
    <mrMode name="Mode">Normal</mrMode>
    <mrDllReset name="DLL Reset">No</mrDllReset>
    <mrPdMode name="DLL control for precharge PD">Slow Exit</mrPdMode>
    <emrDllEnable name="DLL Enable">Enable</emrDllEnable>
    <emrOutputDriveStrength name="Output Driver Impedance Control">RZQ/6</emrOutputDriveStrength>
    <emrMirrorSelection name="Address Mirroring">Disable</emrMirrorSelection>
    <emrCSSelection name="Controller Chip Select Pin">Enable</emrCSSelection>
    <emrRTT name="RTT (nominal) - On Die Termination (ODT)">RZQ/6</emrRTT>
    <emrPosted name="Additive Latency (AL)">0</emrPosted>
    <emrOCD name="Write Leveling Enable">Disabled</emrOCD>
    <emrDQS name="TDQS enable">Enabled</emrDQS>
    <emrRDQS name="Qoff">Output Buffer Enabled</emrRDQS>
    <mr2PartialArraySelfRefresh name="Partial-Array Self Refresh">Full Array</mr2PartialArraySelfRefresh>
    <mr2CasWriteLatency name="CAS write latency">$cas_write</mr2CasWriteLatency>
    <mr2AutoSelfRefresh name="Auto Self Refresh">Enabled</mr2AutoSelfRefresh>
    <mr2SelfRefreshTempRange name="High Temparature Self Refresh Rate">Normal</mr2SelfRefreshTempRange>
    <mr2RTTWR name="RTT_WR - Dynamic On Die Termination (ODT)">Dynamic ODT off</mr2RTTWR>
    <PortInterface>AXI</PortInterface>
    <AXIParameters>
      <C0_C_RD_WR_ARB_ALGORITHM>RD_PRI_REG</C0_C_RD_WR_ARB_ALGORITHM>
      <C0_S_AXI_ADDR_WIDTH>$bits</C0_S_AXI_ADDR_WIDTH>
      <C0_S_AXI_DATA_WIDTH>$width</C0_S_AXI_DATA_WIDTH>
      <C0_S_AXI_ID_WIDTH>1</C0_S_AXI_ID_WIDTH>
      <C0_S_AXI_SUPPORTS_NARROW_BURST>0</C0_S_AXI_SUPPORTS_NARROW_BURST>
    </AXIParameters>
  </Controller>
</Project>
""")
