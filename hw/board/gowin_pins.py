"""Pins of Gowin's parts whose registers the router finds beside the pad.

nextpnr-himbaechel puts a flip-flop into an I/O cell where it is the only one at an OBUF or IOBUF (options in
`hw.board.flows`). Amaranth's own buffers have TBUFs for outputs, and Yosys makes one of flip-flops that are alike, as
those of the output enables of a bus are. It leaves alone those that are there from the beginning.
"""

from amaranth.hdl import ClockSignal, Instance, Module, Signal
from amaranth.lib import io

__all__ = ["GowinFFBuffer"]


class GowinFFBuffer(io.FFBuffer):
    """`amaranth.lib.io.FFBuffer` for a `SingleEndedPort`; an output is always enabled."""

    def elaborate(self, platform):
        m, direction = Module(), self.direction
        for bit, invert in enumerate(self.port.invert):
            def register(name, domain, value, bit=bit):
                taken = Signal(name=f"{name}_{bit}")
                m.submodules[f"{name}_ff{bit}"] = Instance(
                    "DFF", i_CLK=ClockSignal(domain), i_D=value, o_Q=taken)
                return taken

            pad, ports = self.port.io[bit], {}
            if direction is not io.Direction.Input:
                ports["i_I"] = register("o", self.o_domain, self.o[bit] ^ invert)
            if direction is io.Direction.Bidir:
                ports["i_OEN"] = register("t", self.o_domain, ~self.oe)
            if direction is not io.Direction.Output:
                ports["o_O"] = level = Signal(name=f"level_{bit}")
                m.d.comb += self.i[bit].eq(register("i", self.i_domain, level) ^ invert)
            kind, side = {
                io.Direction.Input: ("IBUF", "i_I"), io.Direction.Output: ("OBUF", "o_O"),
                io.Direction.Bidir: ("IOBUF", "io_IO"),
            }[direction]
            m.submodules[f"buf{bit}"] = Instance(kind, **ports, **{side: pad})
        return m
