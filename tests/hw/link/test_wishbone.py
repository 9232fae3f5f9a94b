"""`hw.link.wishbone`: every access is answered once, two cycles each; the rules of the bus proved."""

import re

import numpy as np
import pytest
from amaranth.hdl import Assert, Assume, Module, Signal
from amaranth.lib import wiring

from hw.link.blackbox import core_signature
from hw.link.wishbone import WishboneTop
from hw.regmap import MAGIC, register
from hw.verilog import WISHBONE, wishbone_verilog
from tests.kit.proof import prove
from tests.kit.streams import play

VALUES = {"NETWORK": 9, "LANES": 3}
IDLE = {"wb.cyc": 0, "wb.stb": 0}
ANSWER = ("wb.ack", "wb.err", "wb.dat_r")


class QuietCore(wiring.Component):
    """A core that is idle and takes nothing, whose result counts its words without an end."""

    def __init__(self, params):
        super().__init__(core_signature(params))

    def elaborate(self, platform):
        m = Module()
        word = Signal(8, init=1)
        m.d.sync += word.eq(word + (self.o.valid & self.o.ready))
        m.d.comb += [self.idle.eq(1), self.o.valid.eq(1), self.o.payload.data.eq(word)]
        return m


def top(sizes):
    params = sizes(classes=1)
    return WishboneTop(params, VALUES, QuietCore(params))


def read(name):
    return {"wb.cyc": 1, "wb.stb": 1, "wb.we": 0, "wb.sel": 0, "wb.adr": register(name)}


def write(name, value, select=15):
    return {"wb.cyc": 1, "wb.stb": 1, "wb.we": 1, "wb.sel": select, "wb.adr": register(name), "wb.dat_w": value}


def test_back_to_back_accesses_take_two_cycles_each(sizes):
    accesses = [read("MAGIC"), write("NETWORK", 77), read("NETWORK"), write("LANES", 1), read("LANES")]
    seen = play(top(sizes), [row for access in accesses for row in (access, access)], *ANSWER)
    assert [answer[:2] for answer in seen[::2]] == [(0, 0)] * 5
    assert [answer[:2] for answer in seen[1::2]] == [(1, 0), (1, 0), (1, 0), (0, 1), (1, 0)]
    assert [seen[n][2] for n in (1, 5, 9)] == [MAGIC, 77, 3]


@pytest.mark.parametrize("select", [0, 1, 7, 14])
def test_a_write_of_less_than_a_word_is_refused(sizes, select):
    rows = [write("NETWORK", 77, select)] * 2 + [read("NETWORK")] * 2
    seen = play(top(sizes), rows, *ANSWER)
    assert seen[1][:2] == (0, 1) and seen[3] == (1, 0, VALUES["NETWORK"])


def test_a_result_word_is_taken_once_by_an_access(sizes):
    """However long the master pauses with ``cyc`` high."""
    pause = {"wb.stb": 0}
    rows = [IDLE] * 12 + [row for _ in range(7) for row in (read("RESULT"), read("RESULT"), pause, pause)]
    assert play(top(sizes), rows, *ANSWER)[13::4] == [(1, 0, n) for n in range(1, 8)]


def test_a_pipelined_master_is_stalled_until_the_answer(sizes):
    rng, dut = np.random.default_rng(5), top(sizes)
    asked = rng.random(300) < 0.5
    rows = [read("MAGIC") if ask else {"wb.cyc": 1, "wb.stb": 0} for ask in asked]
    for ask, (ack, err, stall) in zip(asked, play(dut, rows, "wb.ack", "wb.err", "wb.stall")):
        assert not err and (ack, stall) in ([(1, 0), (0, 1)] if ask else [(0, 0)])


def test_the_rules_are_proved(sizes):
    """What is asked for, and only that, is answered by either ack or err in the second cycle."""
    dut = top(sizes)

    def claims(m):
        bus, waited = dut.wb, Signal()
        asked, answered = bus.cyc & bus.stb, bus.ack | bus.err
        m.d.sync += waited.eq(asked & ~answered)
        with m.If(waited):
            m.d.comb += [Assume(asked), Assert(answered)]
        with m.Else():
            m.d.comb += Assert(~answered)
        m.d.comb += [Assert(~(bus.ack & bus.err)), Assert(bus.stall == (asked & ~answered))]

    prove(dut, claims, steps=6)


def test_the_verilog_has_the_ports_and_instantiates_the_core(sizes):
    text = wishbone_verilog(sizes(), VALUES)
    ports = set(re.search(rf"module {WISHBONE}\((.*?)\);", text, re.DOTALL)[1].replace("\n", "").split(", "))
    assert ports == {
        "clk", "rst", "interrupt",
        *(f"wb_{name}" for name in ("cyc", "stb", "we", "adr", "sel", "dat_w", "dat_r", "ack", "err", "stall")),
    }
    assert len(re.findall(r"^  adafire_core core \(", text, re.MULTILINE)) == 1
    assert text == wishbone_verilog(sizes(), VALUES)
