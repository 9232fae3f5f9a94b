"""The commands that wait for nothing, ABORT and RESET, and whatever else resets the core."""

from functools import partial

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.link.breakable import breakable
from hw.link.replies import answer
from hw.regmap import Command

__all__ = ["RESET_CYCLES", "Urgent"]

RESET_CYCLES = 8
BYTE = 8


class Urgent(wiring.Component):
    """Stop everything in hand, wait until the core is idle, answer.

    A core that does not become idle, because a garbage program runs on it, holds an ABORT up; the RESET that
    follows takes its place, and the ABORT remains unanswered.

    Members
    -------
    urgent, command, sequence : In
        Of `hw.link.framing.Deframer`.
    restart, restarted : In(1), Out(1)
        Reset the core for a new network, without an answer; it is done.
    flush : Out(1)
        High for one cycle: drop the ring.
    stop, stopped : Out(1), In(1)
        Take no more from the ring, give up what waits for the core; nothing is in hand.
    reset : Out(1)
        From ``flush`` on: the command is RESET.
    clear : Out(1)
        Drop results and tags.
    abort, core_reset, idle : Out(1), Out(1), In(1)
        To the core, from the core.
    o : Out(stream(answer))
        Withdrawn when another urgent command takes its place.
    """

    def __init__(self):
        super().__init__({
            "urgent": In(1), "command": In(BYTE), "sequence": In(BYTE), "restart": In(1), "restarted": Out(1),
            "flush": Out(1), "stop": Out(1), "stopped": In(1), "reset": Out(1), "clear": Out(1),
            "abort": Out(1), "core_reset": Out(1), "idle": In(1), "o": Out(stream.Signature(answer())),
        })

    def elaborate(self, platform):
        m = Module()
        count, sequence = Signal(range(RESET_CYCLES)), Signal(BYTE)
        m.d.comb += [
            self.o.payload.command.eq(Mux(self.reset, Command.RESET, Command.ABORT)),
            self.o.payload.sequence.eq(sequence),
        ]
        m.d.sync += [count.eq(count - 1), self.core_reset.eq(0), self.flush.eq(self.urgent)]
        with m.FSM():  # what it tells others comes from registers: the way to them is long
            state = partial(breakable, m, event=self.flush, target="DROP")
            with state("IDLE"):
                m.d.sync += count.eq(RESET_CYCLES - 1)
                with m.If(self.restart):
                    m.d.sync += self.clear.eq(1)
                    m.next = "RESTART"
            with state("RESTART"):
                m.d.sync += self.core_reset.eq(count != 0)
                with m.If(count == 0):
                    m.d.comb += self.restarted.eq(1)
                    m.d.sync += self.clear.eq(0)
                    m.next = "IDLE"
            with state("DROP"):
                m.d.sync += self.core_reset.eq(self.reset & (count != 0))
                with m.If(count == 0):
                    m.next = "WAIT"
            with state("WAIT"):
                with m.If(self.idle & self.stopped):
                    m.d.sync += [self.clear.eq(0), self.abort.eq(0)]
                    m.next = "ANSWER"
            with state("ANSWER"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += self.stop.eq(0)
                    m.next = "IDLE"
        with m.If(self.urgent):
            m.d.sync += [sequence.eq(self.sequence), self.reset.eq(self.command == Command.RESET)]
        with m.If(self.flush):
            m.d.sync += [
                count.eq(RESET_CYCLES - 1), self.stop.eq(1), self.clear.eq(1), self.abort.eq(~self.reset),
            ]
        return m
