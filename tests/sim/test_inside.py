"""`sim.inside`: components and signals found in Verilog, and opened to C++."""

import pytest
from amaranth.back import verilog
from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from gen.errors import AdafireError
from hw.names import plain_names
from sim.inside import CORE, OPEN, Inside


class Leaf(wiring.Component):
    """Counts while it is asked to."""

    i: In(1)
    count__now: Out(9)
    parts: Out(data.StructLayout({"low": 1, "high": 4}))

    def elaborate(self, platform):
        m = Module()
        hidden = Signal(4, name="hidden")
        m.d.comb += self.parts.high.eq(hidden)
        m.d.sync += [hidden.eq(hidden + self.i), self.count__now.eq(self.count__now + hidden)]
        return m


class Pair(wiring.Component):
    """Two leaves; the name of one is that of a signal too."""

    i: In(1)
    o: Out(10)

    def elaborate(self, platform):
        m = Module()
        same = Signal(name="leaf")
        m.submodules.leaf, m.submodules.other = leaf, other = Leaf(), Leaf()
        m.d.comb += [same.eq(~self.i), leaf.i.eq(same), other.i.eq(self.i)]
        m.d.sync += self.o.eq(leaf.count__now + other.count__now)
        return m


class Top(wiring.Component):
    """A pair in a core."""

    i: In(1)
    o: Out(10)

    def elaborate(self, platform):
        m = Module()
        m.submodules.group_0 = pair = Pair()
        m.d.comb += [pair.i.eq(self.i), self.o.eq(pair.o)]
        return m


@pytest.fixture(scope="module")
def text():
    return verilog.convert(Top(), name=CORE, emit_src=False)


def test_components_ports_and_signals_are_found(text):
    inside = Inside(text)
    assert inside.components == ["", "group_0", "group_0.leaf", "group_0.other"]
    assert sorted(inside.ports) == [("input", 1, "clk"), ("input", 1, "i"), ("input", 1, "rst"), ("output", 10, "o")]
    assert inside.signals("group_0.other").items() >= {"i": 1, "hidden": 4, "count__now": 9, "parts_high": 4}.items()
    assert inside.has("group_0.leaf", "hidden") and not inside.has("group_0.leaf", "hid")
    assert not inside.has("group_1.leaf", "hidden")


def test_a_path_leads_through_escaped_names(text):
    assert Inside(text).path("group_0.other", "hidden") == "group_0.other.hidden"
    path = Inside(text).path("group_0.leaf", "hidden")
    assert path.startswith("group_0.\\leaf$") and path.endswith(" .hidden")


def test_signals_are_opened_where_they_are_declared(text):
    opened, names = Inside(text).opened({
        "A": ("group_0.other", "hidden"), "B": ("group_0.other", "count__now"), "C": ("group_0.leaf", "hidden"),
        "D": ("group_0.other", "parts_high"),
    })
    assert opened.replace(f" {OPEN} ", "") == text and opened.count(OPEN) == 4
    assert names["A"] == f"{CORE}__DOT__group_0__DOT__other__DOT__hidden"
    assert names["B"].endswith("__DOT__count___05Fnow")
    assert "__DOT__leaf__024" in names["C"]
    assert names["D"].endswith("__DOT__parts__02ehigh")


def test_plain_names_are_found_as_well(text):
    plain = Inside(plain_names(text))
    assert plain.path("group_0.other", "parts_high") == "group_0.other.parts_high"


def test_a_core_of_another_version_is_refused(text):
    with pytest.raises(AdafireError, match="has no signal group_0.leaf.full, .* generate it again."):
        Inside(text).opened({"FULL": ("group_0.leaf", "full")})
