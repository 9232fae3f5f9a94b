# amaranth: UnusedElaboratable=no
"""`hw.memory.litedram_start` before registers like LiteDRAM's: JEDEC's order, lanes in the middle of what works."""

import pytest

from hw.memory.litedram_program import DELAYS, LANES, REGISTERS, SLIPS
from hw.memory.litedram_start import LiteDramStart
from tests.kit.streams import Bench, ticks, until

NAMES = {address: name for name, address in REGISTERS.items()}
WORDS = tuple(f"sdram_dfii_pi{phase}_{{}}+{offset}" for phase in (0, 1) for offset in (0, 4))
CLOCK_HZ = 1e6  # so that the long waits are short
LOAD_MODE, READ, WRITE, PRECHARGE, ACTIVATE, CALIBRATE = 15, 37, 23, 11, 9, 3


class Registers:
    """LiteDRAM's registers before a memory whose lanes read right at the settings ``works``, {(slip, delay)} each."""

    def __init__(self, works):
        self.works, self.values, self.log, self.cycle = works, {}, [], 0
        self.slips, self.delays = [5 % SLIPS] * LANES, [3] * LANES  # of a bitstream that ran before
        self.row, self.held, self.seen, self.unpaused = False, {}, 0, 0

    def right(self, lane):
        return (self.slips[lane], self.delays[lane]) in self.works[lane]

    def write(self, address, value):
        name = NAMES.get(address) or f"{NAMES[address - 4]}+4"
        name = f"{name}+0" if name.endswith("data") else name
        self.values[name] = value
        chosen = [lane for lane in range(LANES) if self.values.get("ddrphy_dly_sel", 0) >> lane & 1]
        for lane in chosen if name.startswith("ddrphy_rdly") else ():
            if name.endswith("_rst"):
                (self.slips if "bitslip" in name else self.delays)[lane] = 0
            elif name.endswith("bitslip"):
                self.slips[lane] = (self.slips[lane] + 1) % SLIPS
            else:
                self.delays[lane] = (self.delays[lane] + 1) % DELAYS
        if name == "ddrphy_burstdet_clr":
            self.seen = 0
        if name in ("sdram_dfii_control", "ddrctrl_init_done"):
            self.log.append((self.cycle, name, value))
        if name.endswith("command_issue"):
            self._command(name[:14])

    def _command(self, pins):
        bits, address, bank = (self.values[f"{pins}_{part}"] for part in ("command", "address", "baddress"))
        if bits in (LOAD_MODE, CALIBRATE):
            self.log.append((self.cycle, "mode" if bits == LOAD_MODE else "calibrate", (bank, address)))
            return
        assert self.row == (bits != ACTIVATE), "a row is opened before it is used, once"
        assert self.values["ddrphy_dly_sel"] == 0, "no lane is paused"
        self.row = bits != PRECHARGE
        if bits == WRITE:
            assert pins == "sdram_dfii_pi1"
            self.held = {name: self.values[name.format("wrdata")] for name in WORDS}
        if bits == READ:
            assert pins == "sdram_dfii_pi0"
            for name in WORDS:
                word = self.held[name]
                for lane in range(LANES):
                    word ^= 0 if self.right(lane) else 0x10 << 8 * lane
                self.values[name.format("rddata")] = word
            self.seen = sum(self.right(lane) << lane for lane in range(LANES))

    def read(self, address):
        name = NAMES.get(address) or f"{NAMES[address - 4]}+4"
        return self.seen if name == "ddrphy_burstdet_seen" else self.values[f"{name}+0" if "+" not in name else name]


def start(works):
    """Run to the end; return (the `Registers`, whether it failed)."""
    dut, registers = LiteDramStart(CLOCK_HZ), Registers(works)
    bench, bus, ends = Bench(dut, limit=200_000), dut.bus, []

    async def answer(ctx):
        while True:
            address, word, write = await until(ctx, bus.cyc & bus.stb, bus.adr, bus.dat_w, bus.we)
            await ticks(ctx, 1)
            registers.cycle = bench.cycle
            if write:
                registers.write(4 * address, word)
            else:
                ctx.set(bus.dat_r, registers.read(4 * address))
            ctx.set(bus.ack, 1)
            await ctx.tick()
            ctx.set(bus.ack, 0)

    async def wait(ctx):
        failed, = await until(ctx, dut.done, dut.failed)
        await ticks(ctx, 50)
        ends.append(failed)

    bench.add(answer, background=True)
    bench.add(wait)
    bench.run()
    return registers, ends[0]


def settings(slip, first, last):
    return {(slip, delay) for delay in range(first, last + 1)}


@pytest.mark.parametrize("works, chosen", [
    ((settings(0, 0, 7), settings(3, 2, 2)), [(0, 3), (3, 2)]),
    ((settings(2, 1, 5) | settings(1, 6, 7), settings(0, 5, 7) | settings(1, 0, 3)), [(2, 3), (1, 1)]),
    ((settings(3, 6, 7), settings(2, 0, 1)), [(3, 6), (2, 0)]),
])
def test_each_lane_is_set_to_the_middle_of_its_longest_run(works, chosen):
    registers, failed = start(works)
    assert not failed and [*zip(registers.slips, registers.delays)] == chosen
    assert registers.log[-2:] == [
        (registers.log[-2][0], "sdram_dfii_control", 1), (registers.log[-1][0], "ddrctrl_init_done", 1)]


def test_a_lane_that_never_reads_right_is_a_failure_and_the_controller_gets_the_memory():
    registers, failed = start((settings(1, 2, 6), set()))
    assert failed and registers.values["sdram_dfii_control"] == 1 and registers.values["ddrctrl_init_done"] == 1
    assert (registers.slips[0], registers.delays[0]) == (1, 4)


def test_the_order_and_the_times_of_jedec():
    """Reset low for 200 us, 500 us until CKE, mode registers 2, 3, 1, 0, the long calibration; JESD79-3F, 3.3.1."""
    registers, _ = start((settings(0, 0, 7), settings(0, 0, 7)))
    steps = [(name, value) for _, name, value in registers.log]
    assert steps[:9] == [
        ("ddrctrl_init_done", 0), ("sdram_dfii_control", 0), ("sdram_dfii_control", 12), ("sdram_dfii_control", 14),
        ("mode", (2, 0x200)), ("mode", (3, 0)), ("mode", (1, 0x6)), ("mode", (0, 0x320)), ("calibrate", (0, 0x400)),
    ]
    times = [cycle for cycle, *_ in registers.log]
    assert times[2] - times[1] >= 200 and times[3] - times[2] >= 500 and times[4] - times[3] >= 20
