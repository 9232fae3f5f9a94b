"""Reads the layer program for the machine."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gen.layout.program import WORD_BITS, header_fields, layer_fields, synapse_fields, words_of
from hw.machine import payloads
from hw.machine.loader import LoadableMemory

__all__ = ["ProgramReader"]


class ProgramReader(wiring.Component):
    """Fetch the header, then each pass's record; after the last comes the first.

    A record is fetched into a register of its own while the pass before it runs, or, where one neuron serves all
    lanes, in place of the record in force, once that pass has ended.

    Members
    -------
    begin : In(1)
        Read the header and the first record.
    release : In(1)
        The pass in force has ended.
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
            "load": In(payloads.load_port(p)), "begin": In(1), "release": In(1), "ready": Out(1), "advance": In(1),
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
        header, fetch, force = (Signal(WORD_BITS * n, name=name) for n, name in (
            (header_words, "header_words"), (record, "record_ahead"), (record, "record_in_force"),
        ))
        fetch = force if p.shared else fetch
        address, word = Signal(range(p.program + 1)), Signal(range(max(header_words, record)))
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
                        wanted.eq(0), address.eq(0), in_header.eq(1), following.eq(0),
                    ]
                    m.next = "ADDRESS"
                with m.Elif(self.advance):
                    m.d.sync += [self.running.eq(following), following.eq(following + 1), fetched.eq(0)]
                    with m.If(following == self.header.layers):
                        m.d.sync += [following.eq(0), address.eq(header_words)]
                    m.next = "ADDRESS"
                    if p.shared:
                        m.next = "RUN"
                    else:
                        m.d.sync += force.eq(fetch)
            if p.shared:
                with m.State("RUN"):
                    with m.If(self.release):
                        m.next = "ADDRESS"
                    with m.Elif(wanted):
                        m.next = "WAIT"
            with m.State("ADDRESS"):
                m.d.sync += [address.eq(address + 1), fetched.eq(0), word.eq(0)]
                m.next = "FETCH"
            with m.State("FETCH"):
                m.d.sync += [word.eq(word + 1), address.eq(address + 1)]
                for block, chosen in ((header, in_header), (fetch, ~in_header)):
                    for i in range(len(block) // WORD_BITS):
                        with m.If(chosen & (word == i)):
                            m.d.sync += block.word_select(i, WORD_BITS).eq(program.data)
                with m.If(in_header & (word == header_words - 1)):
                    m.d.sync += [in_header.eq(0), address.eq(header_words)]
                    m.next = "ADDRESS"
                with m.Elif(~in_header & (word == record - 1)):
                    m.d.sync += [fetched.eq(1), address.eq(address)]
                    m.next = "WAIT"
        return m
