"""The decision after each timestep: class, exit rule, and the logits of the answer."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from gen.exit_rule import EXP_BITS, LOG
from gen.layout.program import CORE_TIMESTEPS, EXIT_CODES
from hw.machine import payloads
from hw.machine.loader import LoadableMemory
from hw.machine.logit_scan import LogitScan
from hw.machine.softmax import SoftmaxSums

__all__ = ["EarlyExit"]

FACTOR_BITS = 14


class EarlyExit(wiring.Component):
    """Find the two largest logits, then S and A of the softmax rules, and compare with the step's limit.

    The equations are those of `gen.exit_rule`, bit for bit; ``S * (limit - L)`` is added up bit by bit. A core
    whose ``params.softmax`` is 0 has the rules `off` and `margin` only.

    Members
    -------
    logit_read, logit_address, logits : Out, Out, In
        To the readout's words in the state store.
    begin : In(1)
        Decide about timestep ``step`` + 1; ``done`` comes with ``exits`` and ``class_``.
    answer : In(1)
        Send the logits to ``o``, the last one marked.
    """

    def __init__(self, params, image):
        self._params, self._image = params, image
        p = params
        super().__init__({
            "header": In(payloads.header(p)), "load": In(payloads.load_port(p)),
            "logit_read": Out(1), "logit_address": Out(range(max(2, p.class_tiles * p.beats))),
            "logits": In(data.ArrayLayout(signed(p.acc_bits), p.neurons)),
            "begin": In(1), "step": In(range(CORE_TIMESTEPS)), "done": Out(1), "exits": Out(1),
            "class_": Out(range(max(2, p.classes))),
            "answer": In(1), "o": Out(stream.Signature(payloads.output_word())),
        })

    def elaborate(self, platform):
        m = Module()
        p, header = self._params, self.header
        m.submodules.scan = scan = LogitScan(p)
        m.submodules.limits = limits = LoadableMemory(p, "limits", self._image["limits"], latency=1 if p.shared else 2)
        best, second, margin = (Signal(signed(p.acc_bits), name=name) for name in ("best", "second", "margin"))
        several = Signal()
        seen, taken = Signal(scan.o.payload.shape(), reset_less=True), Signal()
        largest, larger, compared = Signal(), Signal(), Signal()
        m.d.sync += taken.eq(scan.o.valid & scan.o.ready)
        with m.If(scan.o.valid & scan.o.ready):
            m.d.sync += seen.eq(scan.o.payload)
        m.d.comb += [
            scan.header.eq(header), scan.logits.eq(self.logits),
            self.logit_read.eq(scan.read), self.logit_address.eq(scan.address),
            limits.load.eq(self.load), limits.address.eq(self.step),
            self.o.payload.data.eq(scan.o.payload.logit), self.o.payload.last.eq(scan.o.payload.last),
        ]
        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.begin):
                    m.d.comb += scan.begin.eq(1)
                    m.next = "LARGEST"
                with m.Elif(self.answer):
                    m.d.comb += scan.begin.eq(1)
                    m.next = "ANSWER"
            with m.State("LARGEST"):
                # A logit every three cycles: fetched, compared, put in its place.
                m.d.comb += scan.o.ready.eq(~taken & ~compared)
                m.d.sync += [
                    compared.eq(taken), largest.eq((seen.index == 0) | (seen.logit > best)),
                    larger.eq(~several | (seen.logit > second)),
                ]
                with m.If(compared):
                    with m.If(largest):
                        m.d.sync += [best.eq(seen.logit), second.eq(best), self.class_.eq(seen.index)]
                        m.d.sync += several.eq(seen.index != 0)
                    with m.Elif(larger):
                        m.d.sync += [second.eq(seen.logit), several.eq(1)]
                    with m.If(seen.last):
                        m.next = "COMPARE"
            with m.State("COMPARE"):
                m.d.sync += margin.eq(Mux(several, best - second, 0))
                with m.Switch(header.exit_kind):
                    with m.Case(EXIT_CODES["off"]):
                        m.d.sync += self.exits.eq(0)
                        m.next = "DONE"
                    with m.Case(EXIT_CODES["margin"]):
                        m.next = "MARGIN"
                    with m.Default():
                        m.d.comb += scan.begin.eq(1)
                        m.next = "SOFTMAX" if p.softmax else "DONE"
            with m.State("MARGIN"):
                m.d.sync += self.exits.eq(margin.as_unsigned() > limits.data)
                m.next = "DONE"
            if p.softmax:
                self._softmax(m, scan, seen, taken, best, limits.data)
            with m.State("DONE"):
                m.d.comb += self.done.eq(1)
                m.next = "IDLE"
            with m.State("ANSWER"):
                m.d.comb += [self.o.valid.eq(scan.o.valid), scan.o.ready.eq(self.o.ready)]
                with m.If(self.o.valid & self.o.ready & self.o.payload.last):
                    m.next = "IDLE"
        return m

    def _softmax(self, m, scan, seen, taken, best, limit):
        """Add up S and A; compare S, or A with S * (limit - L)."""
        m.submodules.softmax = softmax = SoftmaxSums(self._params)
        m.d.comb += [
            softmax.shift.eq(self.header.exit_shift), softmax.scale.eq(self.header.exit_scale),
            softmax.best.eq(best), softmax.logit.eq(seen.logit), softmax.clear.eq(self.begin),
        ]
        with m.State("SOFTMAX"):
            m.d.comb += [scan.o.ready.eq(1), softmax.valid.eq(taken)]
            with m.If(taken & seen.last):
                m.next = "SETTLE"
        with m.State("SETTLE"):
            with m.If(softmax.settled):
                m.next = "LIMIT"
        s_bits = len(softmax.s)
        shifted, top = Signal(s_bits), Signal(range(s_bits))
        factor, addend = Signal(FACTOR_BITS), Signal(s_bits + FACTOR_BITS)
        product = Signal(s_bits + FACTOR_BITS)
        logarithm, difference = Signal(8 + len(top)), Signal(signed(len(limit) + 1))
        m.submodules.log = log = Memory(shape=8, depth=len(LOG), init=LOG)
        read = log.read_port()
        m.d.comb += read.addr.eq(shifted[-9:-1])
        with m.State("LIMIT"):
            m.d.sync += [shifted.eq(softmax.s), top.eq(s_bits - 1), self.exits.eq(softmax.s < limit)]
            with m.If(self.header.exit_kind == EXIT_CODES["confidence"]):
                m.next = "DONE"
            with m.Else():
                m.next = "NORMALIZE"
        with m.State("NORMALIZE"):
            with m.If(shifted[-1]):
                m.next = "LOGARITHM"
            with m.Else():
                m.d.sync += [shifted.eq(shifted << 1), top.eq(top - 1)]
        with m.State("LOGARITHM"):
            m.d.sync += logarithm.eq(Cat(read.data, top - EXP_BITS)[: len(logarithm)])
            m.next = "DIFFERENCE"
        with m.State("DIFFERENCE"):
            m.d.sync += difference.eq(limit - logarithm)
            m.next = "FACTOR"
        with m.State("FACTOR"):
            m.d.sync += [
                factor.eq(Mux(difference < 0, 0, Mux(difference >= 2**FACTOR_BITS, 2**FACTOR_BITS - 1, difference))),
                addend.eq(softmax.s), product.eq(0),
            ]
            m.next = "MULTIPLY"
        with m.State("MULTIPLY"):
            m.d.sync += [factor.eq(factor >> 1), addend.eq(addend << 1)]
            with m.If(factor[0]):
                m.d.sync += product.eq(product + addend)
            with m.If(factor == 0):
                m.d.sync += self.exits.eq(softmax.a < product)
                m.next = "DONE"
