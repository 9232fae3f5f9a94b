"""Decodes runs of memory words, and writes them into the memories that they are for."""

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gen.plan.blocks import OF_PARAMETERS
from gen.plan.image import TRAILER
from gen.plan.memories import loadable_memories
from gen.plan.params import WORD_BITS
from hw.core import payloads
from hw.core.sums import loaded_or_moved

__all__ = ["BlockDecoder"]


class BlockDecoder(wiring.Component):
    """Take ``[memory << 24 | address, words, data ...]`` again and again, a 32-bit word a cycle at most.

    A memory word follows its last data word by a cycle. Of the memory `TRAILER` nothing is written.

    Members
    -------
    valid, word : In
    heads, trailer, closes : Out(1)
        The next word begins a run; the run in hand is the trailer; the next word is its data.
    fetches : In(1)
        Only with ``params.outside``: instead of a memory the head names groups, one bit each, whose weights are
        written, or parameters of a neuron of theirs (`gen.plan.blocks`).
    o, writes : Out(load_port), Out(1)
        A word to write; one is there, or would be if it were not of the trailer.
    """

    def __init__(self, params):
        self._params, self._specs = params, list(loadable_memories(params).values())
        super().__init__({
            "valid": In(1), "word": In(WORD_BITS), "heads": Out(1), "trailer": Out(1),
            "closes": Out(1), "o": Out(payloads.load_port(params)), "writes": Out(1),
            **({"fetches": In(1)} if params.outside else {}),
        })

    def elaborate(self, platform):
        m = Module()
        pieces = len(self.o.data) // WORD_BITS
        left, memory = Signal.like(self.o.address, reset_less=True), Signal(8)
        piece, last_piece = Signal(range(pieces + 1)), Signal(range(pieces + 1), reset_less=True)
        port = {name: Signal.like(self.o[name], name=name, reset_less=True) for name in ("data", "address")}
        m.d.comb += [self.o[name].eq(value) for name, value in port.items()]
        m.d.sync += [self.o.write.eq(0), self.writes.eq(0)]
        begins, lengthens, shortens = (Signal(name=name) for name in ("begins", "lengthens", "shortens"))
        given = self.word[: len(left)]
        with m.If(self.writes | begins):
            m.d.sync += port["address"].eq(loaded_or_moved(begins, given, port["address"]))
        with m.If(lengthens | shortens):
            m.d.sync += left.eq(loaded_or_moved(lengthens, given, left, -1))
        with m.FSM() as fsm:
            with m.State("ADDRESS"), m.If(self.valid):
                m.d.comb += begins.eq(1)
                m.d.sync += memory.eq(self.word[24:])
                m.next = "LENGTH"
            with m.State("LENGTH"), m.If(self.valid):
                m.d.comb += lengthens.eq(1)
                m.d.sync += [piece.eq(0), last_piece.eq(self._last_piece(m, memory))]
                m.next = "DATA"
                with m.If(self.word == 0):
                    m.next = "ADDRESS"
            with m.State("DATA"), m.If(self.valid):
                with m.Switch(piece):
                    for i in range(pieces):
                        with m.Case(i):
                            m.d.sync += port["data"].word_select(i, WORD_BITS).eq(self.word)
                m.d.sync += piece.eq(piece + 1)
                with m.If(piece == last_piece):
                    m.d.comb += shortens.eq(1)
                    m.d.sync += [piece.eq(0), self.o.write.eq(self._written(m, memory))]
                    m.d.sync += self.writes.eq(1)
                    with m.If(left == 1):
                        m.next = "ADDRESS"
        m.d.comb += [
            self.heads.eq(fsm.ongoing("ADDRESS")), self.trailer.eq(memory == TRAILER),
            self.closes.eq(fsm.ongoing("DATA") & self.trailer),
        ]
        return m

    def _last_piece(self, m, memory):
        """Return the number of the last data word of a memory word."""
        last = Signal(range(8))
        with m.Switch(memory):
            for code, spec in enumerate(self._specs):
                with m.Case(code):
                    m.d.comb += last.eq(-(-spec.width // WORD_BITS) - 1)
        if self._params.outside:
            weights, parameters = (-(-next(spec for spec in self._specs if spec.role == role).width // WORD_BITS) - 1
                                   for role in ("weights", "parameters"))
            with m.If(self.fetches):
                m.d.comb += last.eq(Mux(self._of_parameters(memory), parameters, weights))
        return last

    def _written(self, m, memory):
        """Return which memories the word is for."""
        written = Signal.like(self.o.write)
        m.d.comb += written.eq(1 << memory)
        with m.If(self.trailer):
            m.d.comb += written.eq(0)
        if self._params.outside:
            with m.If(self.fetches):
                m.d.comb += written.eq(0)
                of_parameters, neurons = self._of_parameters(memory), self._params.neurons
                neuron = memory[OF_PARAMETERS + 1 :]
                for code, spec in enumerate(self._specs):
                    if spec.role == "weights":
                        m.d.comb += written[code].eq(memory[spec.owner] & ~of_parameters)
                    elif spec.role == "parameters" and self._params.supplied:
                        group, own = divmod(spec.owner, neurons)
                        m.d.comb += written[code].eq(memory[group] & of_parameters & (neuron == own))
        return written

    def _of_parameters(self, memory):
        """Return whether a run that is fetched is one of parameters."""
        return memory[OF_PARAMETERS] if self._params.supplied else Const(0)
