"""Obeys the frames in the ring, one after the other."""

from functools import partial

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.core import payloads
from hw.link.breakable import breakable
from hw.link.piece_order import PieceOrder
from hw.link.replies import NO_FAULT, POSITION_BITS, answer
from hw.regmap import COMMIT, POSITION, Command, Fault, register

__all__ = ["Commands"]

BYTE, WORD = 8, 32
WORD_BYTES = WORD // BYTE
NETWORK, LOADED = (WORD_BYTES * register(name) for name in ("NETWORK", "LOADED"))


class Commands(wiring.Component):
    """Take a frame, check it, hand its words or values to the core, answer.

    One position counts the words of a load while NETWORK is 0 and the bytes of an image while it is not: only one
    of them can be under way, and an error about either says where that one is.

    The sequence number of an image goes to the replies with its last piece, RUN, or ahead of it with AWAIT: then its
    result is sent when it is there, and INPUT brings the last piece.

    Parameters
    ----------
    params : CoreParams
    max_payload : int
        Of a frame; what comes from the ring has been checked.

    Members
    -------
    i : In(stream(8))
        Frames without their CRC.
    stop, stopped : In(1), Out(1)
        Give up the frame in hand and take no other; it is so. An answer that waits is still given.
    reset : In(1)
        With ``stop``: give up a load under way too.
    restart, restarted : Out(1), In(1)
        Reset the core before a load.
    write, address, write_data : Out
        A byte of a register, at its address in bytes.
    loaded, input_size, input_low, wide : In
        Of `hw.link.register_file.RegisterFile`.
    unsound : In(1)
        The core's ``fault``: no image is taken, and no network named.
    load, values : Out(stream(32)), Out(stream(input_value))
        To the core.
    tags : Out(stream(8))
        The sequence number of an image that is handed over.
    refused : Out(1)
        While ``o`` waits: it is an error.
    o : Out(stream(answer))
    """

    def __init__(self, params, max_payload):
        self._max_payload = max_payload
        super().__init__({
            "i": In(stream.Signature(BYTE)), "stop": In(1), "stopped": Out(1), "reset": In(1),
            "restart": Out(1), "restarted": In(1),
            "write": Out(1), "address": Out(range(WORD_BYTES * register("CONTROL"))), "write_data": Out(BYTE),
            "loaded": In(1), "input_size": In(POSITION_BITS), "input_low": In(signed(2 * BYTE)), "wide": In(1),
            "unsound": In(1), "load": Out(stream.Signature(WORD)),
            "values": Out(stream.Signature(payloads.input_value(params))),
            "tags": Out(stream.Signature(BYTE)), "refused": Out(1), "o": Out(stream.Signature(answer())),
        })

    def elaborate(self, platform):
        m = Module()
        word, place, whole, take = Signal(WORD), Signal(range(WORD_BYTES)), Signal(), Signal()
        command, sequence, fault = Signal(BYTE), Signal(BYTE), Signal(range(max(Fault) + 1))
        left, position = Signal(range(self._max_payload + 1)), Signal(POSITION_BITS)
        loaded, wide, taken = self.loaded, self.wide, Signal()
        more, hears = Signal(), Signal()  # ``left`` is not 0; a byte may come
        moved, offered = Signal(), Signal()  # a word or a value has gone; a value is offered
        awaited, ends = Signal(), Signal()  # the image has its tag already; the piece is its last
        m.submodules.order = order = PieceOrder(left.shape())
        m.d.sync += taken.eq(self.i.valid & self.i.ready)
        m.d.comb += [
            order.place.eq(place), order.byte.eq(self.i.payload), order.position.eq(position),
            order.left.eq(left), order.size.eq(self.input_size), order.wide.eq(wide),
            self.write_data.eq(word[-BYTE:]), self.address.eq(NETWORK + place),
            self.load.payload.eq(word), self.tags.payload.eq(sequence), self.refused.eq(fault != NO_FAULT),
            self.o.payload.command.eq(command), self.o.payload.sequence.eq(sequence),
            self.o.payload.fault.eq(fault), self.o.payload.position.eq(position),
        ]

        def refuse(why):
            m.d.sync += fault.eq(why)
            m.next = "SKIP"

        def accept(target):
            m.d.sync += fault.eq(NO_FAULT)
            m.next = target

        m.d.sync += offered.eq(0)
        with m.FSM() as fsm:
            state = partial(breakable, m, event=self.stop, target="HEADER")
            with state("HEADER"):
                m.d.sync += fault.eq(NO_FAULT)
                with m.If(whole):
                    m.d.sync += [Cat(command, sequence, left).eq(word), more.eq(word[2 * BYTE :][: len(left)].any())]
                    m.next = "SIZE"
            with state("SIZE"):
                m.next = "POSITION"
                with m.Switch(command):
                    with m.Case(Command.IDENTIFY, Command.COUNTERS):
                        m.next = "ANSWER"
                        with m.If(more):
                            refuse(Fault.PAYLOAD)
                    with m.Case(Command.AWAIT):
                        m.next = "AWAIT"
                        with m.If(self.unsound):
                            refuse(Fault.DIGEST)
                        with m.Elif(~loaded):
                            refuse(Fault.NO_NETWORK)
                        with m.Elif(more):
                            refuse(Fault.PAYLOAD)
                        with m.Elif(awaited):
                            refuse(Fault.SEQUENCE)
                    with m.Case(Command.LOAD):
                        with m.If(~more | (left[:2] != 0)):
                            refuse(Fault.PAYLOAD)
                    with m.Case(Command.COMMIT):
                        with m.If(left != COMMIT.size):
                            refuse(Fault.PAYLOAD)
                    with m.Case(Command.INPUT, Command.RUN):
                        with m.If(self.unsound):
                            refuse(Fault.DIGEST)
                        with m.Elif(~loaded):
                            refuse(Fault.NO_NETWORK)
                        with m.Elif((left <= POSITION.size) | (wide & left[0])):
                            refuse(Fault.PAYLOAD)
                    with m.Default():
                        refuse(Fault.COMMAND)
            with state("POSITION"):
                m.d.comb += [take.eq(1), order.enable.eq(self.i.valid & self.i.ready)]
                with m.If(whole):
                    m.next = "ORDER"
            with state("ORDER"):
                refuse(Fault.SEQUENCE)
                with m.If(command == Command.LOAD):
                    with m.If(order.zero):
                        accept("RESTART")
                    with m.Elif(~loaded & order.same):
                        accept("WORDS")
                    with m.Elif(~loaded & order.before):  # a piece that comes twice does no harm
                        accept("SKIP")
                with m.Elif(command == Command.COMMIT):
                    with m.If(~loaded & order.same & ~order.zero):
                        accept("COMMIT")
                        with m.If(self.unsound):
                            refuse(Fault.DIGEST)
                with m.Elif(order.same):
                    accept("MEASURE")
            with state("SKIP"):
                m.d.comb += take.eq(1)
                with m.If(~more):
                    m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "HEADER"
                    with m.If(ends):
                        m.d.sync += [position.eq(0), awaited.eq(0), ends.eq(0)]
            with state("AWAIT"):
                m.d.comb += self.tags.valid.eq(1)
                with m.If(self.tags.ready):
                    m.d.sync += awaited.eq(1)
                    m.next = "HEADER"
            self._load(m, state, word, place, whole, take, taken, left, more, position, awaited)
            with state("MEASURE"):
                m.d.comb += [order.measuring.eq(1), order.enable.eq(1)]
                m.d.sync += place.eq(place + 1)
                with m.If(place == WORD_BYTES - 1):
                    m.next = "MEASURED"
            with state("MEASURED"):
                m.next = "FIT"
            with state("FIT"):
                refuse(Fault.PAYLOAD)
                run = command == Command.RUN
                with m.If(Mux(order.same, run ^ awaited, ~run & ~order.before)):
                    m.d.sync += ends.eq(order.same & awaited)
                    accept("VALUES")
            self._image(m, state, word, whole, take, more, offered, position, command)

        header = fsm.ongoing("HEADER")
        heard = self.i.valid & self.i.ready
        m.d.comb += [self.stopped.eq(header), self.i.ready.eq(hears & ~self.stop), self.values.valid.eq(offered)]
        m.d.sync += hears.eq((header | take & more) & ~whole & ~heard)  # a byte in two cycles, and all registers near
        with m.If(heard):
            m.d.sync += [
                word.eq(Cat(word[BYTE:], self.i.payload)), left.eq(left - 1), more.eq(left != 1), place.eq(place + 1),
                whole.eq(place == Mux(fsm.ongoing("VALUES"), wide, WORD_BYTES - 1)),
            ]
        with m.If(whole | fsm.ongoing("ANSWER") | self.stop & ~fsm.ongoing("FORGET")):
            m.d.sync += [whole.eq(0), place.eq(0)]
        m.d.sync += moved.eq(self.values.valid & self.values.ready | self.load.valid & self.load.ready)
        with m.If(moved):
            m.d.sync += position.eq(position + Mux(loaded & wide, 2, 1))
        with m.If(self.stop & header & (self.reset | loaded)):
            m.d.sync += [position.eq(0), awaited.eq(0), ends.eq(0)]
        return m

    def _load(self, m, state, word, place, whole, take, taken, left, more, position, awaited):
        """Words to the core, and the registers of the network that they were; NETWORK is 0 in between.

        Every word is written to LOADED too: of a load that ended well the last one was its digest.
        """
        with state("RESTART"):
            m.d.comb += [self.restart.eq(1), self.write.eq(1)]  # 0: the word is the position
            m.d.sync += [position.eq(0), awaited.eq(0), place.eq(place + 1)]
            with m.If(self.restarted):
                m.d.sync += place.eq(0)
                m.next = "WORDS"
        with state("WORDS"):
            m.d.comb += [take.eq(1), self.write.eq(taken), self.address.eq(LOADED + (place - 1)[:2])]
            with m.If(whole):
                m.next = "WORD"
            with m.Elif(~more):
                m.next = "ANSWER"
        with state("WORD"):
            m.d.comb += self.load.valid.eq(1)
            with m.If(self.load.ready):
                m.next = "WORDS"
        with m.State("COMMIT"):
            m.d.comb += [take.eq(1), self.address.eq(NETWORK + ~left[:4])]
            with m.If(self.stop):
                m.d.sync += word.eq(0)
                m.next = "FORGET"
            with m.Else():
                m.d.comb += self.write.eq(taken)
                with m.If(~more):
                    m.d.sync += position.eq(0)
                    m.next = "ANSWER"
        with m.State("FORGET"):
            m.d.comb += self.write.eq(1)
            m.d.sync += place.eq(place + 1)
            with m.If(place == WORD_BYTES - 1):
                m.next = "HEADER"

    def _image(self, m, state, word, whole, take, more, offered, position, command):
        """Values to the core, and the tag of an image that is complete."""
        wide, value = self.wide, self.values.payload
        with state("VALUES"):
            m.d.comb += take.eq(1)
            m.d.sync += [
                value.value.eq(Mux(wide, word[-2 * BYTE:], word[-BYTE:]) + self.input_low),
                value.first.eq(position == 0),
            ]
            m.d.sync += offered.eq(whole)
            with m.If(whole):
                m.next = "VALUE"
            with m.Elif(~more):
                m.next = "ANSWER"
                with m.If(command == Command.RUN):
                    m.next = "TAG"
        with state("VALUE"):
            m.d.sync += offered.eq(~self.values.ready)
            with m.If(self.values.ready):
                m.next = "VALUES"
        with state("TAG"):
            m.d.comb += self.tags.valid.eq(1)
            with m.If(self.tags.ready):
                m.d.sync += position.eq(0)
                m.next = "HEADER"
