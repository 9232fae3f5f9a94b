# amaranth: UnusedElaboratable=no
"""`hw.memory.sdram_words`: beats in order, nothing lost for want of room, proved for a small one."""

import pytest
from amaranth.hdl import Assert, Assume, Signal

from hw.memory import sdram_words
from hw.memory.sdram_words import SdramWords
from tests.kit.proof import Disproved, claim_stable, prove
from tests.kit.streams import play


def claims_of(words, latency):
    """Claim that words read come out in order, whenever they are asked for and taken."""
    def claims(m):
        asked, taken, coming = Signal(4), Signal(4), [Signal(4, name=f"coming_{n}") for n in range(latency + 1)]
        m.d.comb += Assume(~words.reads | words.room)
        with m.If(words.reads):
            m.d.sync += asked.eq(asked + 1)
        m.d.sync += [after.eq(before) for before, after in zip([asked, *coming], coming)]
        m.d.comb += Assume(words.dq_i == coming[-1])
        with m.If(words.read.valid):
            m.d.comb += Assert(words.read.payload == taken)
        with m.If(words.read.valid & words.read.ready):
            m.d.sync += taken.eq(taken + 1)
        m.d.comb += Assert((asked - taken)[:4] <= sdram_words.QUEUED)
        claim_stable(m, words.read)

    return claims


def test_no_word_is_lost_is_proved(monkeypatch):
    monkeypatch.setattr(sdram_words, "QUEUED", 3)
    words = SdramWords(4, 1, 2)
    prove(words, claims_of(words, 2), steps=14, bounded=True)


def test_a_word_that_is_late_is_found(monkeypatch):
    monkeypatch.setattr(sdram_words, "QUEUED", 3)
    words = SdramWords(4, 1, 2)
    with pytest.raises(Disproved):
        prove(words, claims_of(words, 3), steps=10, bounded=True)


def test_the_beats_of_a_word_leave_lowest_first_with_its_command():
    rows = [{"write.valid": 1, "write.payload": 0xDDCCBBAA}, {"write.valid": 0}, {"writes": 1}, {"writes": 0}]
    rows += [{}, {}, {}]
    seen = play(SdramWords(8, 4, 2), rows, "word", "write.ready", "dq_oe", "dq_o")
    assert [row[0] for row in seen] == [0, 1, 1, 0, 0, 0, 0]
    assert [row[1] for row in seen] == [1, 0, 0, 1, 1, 1, 1]
    assert [(row[3] if row[2] else None) for row in seen] == [None, None, None, 0xAA, 0xBB, 0xCC, 0xDD]
