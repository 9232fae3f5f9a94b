"""Reads the layer program, one pass ahead of the machine."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gen.program import WORD_BITS, header_fields, layer_fields, synapse_fields, words_of
from hw import payloads
from hw.loader import LoadableMemory

__all__ = ["ProgramReader"]


class ProgramReader(wiring.Component):
    """Fetch the header, then each pass's record while the pass before it runs; after the last comes the first.

    Members
    -------
    begin : In(1)
        Read the header and the first record.
    ready : Out(1)
        The next record is at hand.
    advance : In(1)
        Put it in force. Only while ``ready``.
    header, layer, synapses : Out
        The blocks in force.
    running, last : Out
        Index of the pass in force; it is the program's last.
    """

    def __init__(self, params, image):
        self._params, self._words = params, image["program"]
        p = params
        super().__init__({
            "load": In(payloads.load_port(p)), "begin": In(1), "ready": Out(1), "advance": In(1),
            "header": Out(payloads.header(p)), "layer": Out(payloads.layer_block(p)),
            "synapses": Out(payloads.synapse_blocks(p)),
            "running": Out(range(max(2, p.layers))), "last": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        p = self._params
        header_words, layer_words = words_of(header_fields(p)), words_of(layer_fields(p))
        synapse_words = words_of(synapse_fields(p))
        record = layer_words + p.synapses * synapse_words
        m.submodules.program = program = LoadableMemory(p, "program", self._words)
        header, ahead, force = (Signal(WORD_BITS * n, name=name) for n, name in (
            (header_words, "header_words"), (record, "record_ahead"), (record, "record_in_force"),
        ))
        address, left = Signal(range(p.program + 1)), Signal(range(max(header_words, record)))
        following, in_header, wanted, fetched = Signal.like(self.running), Signal(), Signal(), Signal()
        m.d.comb += [
            program.load.eq(self.load), program.address.eq(address),
            self.header.eq(header), self.layer.eq(force), self.last.eq(self.running == self.header.layers),
        ]
        for i in range(p.synapses):
            m.d.comb += self.synapses[i].eq(force[WORD_BITS * (layer_words + i * synapse_words):])
        with m.If(self.begin):
            m.d.sync += wanted.eq(1)
        with m.FSM():
            with m.State("WAIT"):
                m.d.comb += self.ready.eq(fetched & ~wanted)
                with m.If(wanted):
                    m.d.sync += [
                        wanted.eq(0), address.eq(0), in_header.eq(1), left.eq(header_words - 1), following.eq(0),
                    ]
                    m.next = "ADDRESS"
                with m.Elif(self.advance):
                    m.d.sync += [
                        force.eq(ahead), left.eq(record - 1), self.running.eq(following), following.eq(following + 1),
                    ]
                    with m.If(following == self.header.layers):
                        m.d.sync += [following.eq(0), address.eq(header_words)]
                    m.next = "ADDRESS"
            with m.State("ADDRESS"):
                m.d.sync += [address.eq(address + 1), fetched.eq(0)]
                m.next = "FETCH"
            with m.State("FETCH"):
                m.d.sync += left.eq(left - 1)
                with m.If(in_header):
                    m.d.sync += header.eq(Cat(header, program.data)[WORD_BITS:])
                with m.Else():
                    m.d.sync += ahead.eq(Cat(ahead, program.data)[WORD_BITS:])
                with m.If(left != 0):
                    m.d.sync += address.eq(address + 1)
                with m.Elif(in_header):
                    m.d.sync += [in_header.eq(0), left.eq(record - 1)]
                    m.next = "ADDRESS"
                with m.Else():
                    m.d.sync += fetched.eq(1)
                    m.next = "WAIT"
        return m
