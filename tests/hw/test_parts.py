"""`hw.parts`: what of the parts of words stays in Verilog."""

from amaranth.back import verilog
from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.names import plain_names
from hw.parts import lean_parts
from sim.inside import CORE, Inside

FEW, MANY = ({f"field_{i}": i + 1 for i in range(count)} for count in (3, 9))


class Words(wiring.Component):
    """A long word that goes through, a short one, and registers of both kinds; one part is read by its name."""

    def __init__(self):
        super().__init__({"many": In(data.StructLayout(MANY)), "few": In(data.StructLayout(FEW)), "sum": Out(8)})

    def elaborate(self, platform):
        m = Module()
        kept = Signal(data.StructLayout(MANY))
        read = Signal(3)
        m.d.sync += kept.eq(self.many)
        m.d.comb += [read.eq(self.few.field_2), self.sum.eq(read + kept.field_3)]
        return m


def texts():
    text = verilog.convert(Words(), name=CORE, emit_src=False)
    return text, lean_parts(text)


def test_parts_of_registers_and_of_short_words_stay_with_their_widths():
    before, after = (Inside(text).signals("") for text in texts())
    assert set(before) - set(after) == {f"many_{name}" for name in MANY}
    assert after.items() <= before.items() and {f"kept_{name}" for name in MANY} <= set(after)


def test_each_is_declared_where_it_is_assigned():
    _, text = texts()
    assert "  wire [2:0] \\kept.field_2  = kept[5:3];\n" in text and text.count("\\kept.field_2 ") == 1


def test_a_wire_that_something_reads_is_left_as_it_is():
    text = (
        "module m(w, o);\n  input [7:0] w;\n  wire [7:0] w;\n  output [1:0] o;\n  wire [1:0] o;\n"
        "  wire [1:0] \\w.low ;\n  assign o = ~ \\w.low ;\n  assign \\w.low  = w[1:0];\nendmodule\n"
    )
    assert lean_parts(text) == text


def test_names_can_still_be_made_plain():
    _, text = texts()
    assert "\\kept_field_2  = kept[5:3];" in plain_names(text)
