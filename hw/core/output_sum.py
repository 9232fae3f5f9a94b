"""Adds up what the groups have of the value of an output."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["OutputSum"]


class OutputSum(wiring.Component):
    """The sum of all groups' values where they share the inputs of readouts, else that of group 0.

    Members
    -------
    shared : In(1)
        Of the program's header.
    own : In
        The value of every group.
    o : Out
        A cycle later.
    """

    def __init__(self, params):
        self._params = p = params
        super().__init__({
            "shared": In(1), "own": In(data.ArrayLayout(signed(p.acc_bits), p.groups)), "o": Out(signed(p.acc_bits)),
        })

    def elaborate(self, platform):
        m = Module()
        values, step = list(self.own), 1
        assert len(values).bit_count() == 1, "groups in pairs: a core has one, two or four"
        while step < len(values):  # pairs of neighbours: no sum waits for more than the logarithm of the others
            for group in range(0, len(values), 2 * step):
                both = Signal(signed(self._params.acc_bits), name=f"sum_{group}_{step}")
                other = values[group + step]
                m.d.comb += both.eq(values[group] + (other if group else Mux(self.shared, other, 0)))
                values[group] = both
            step *= 2
        m.d.sync += self.o.eq(values[0])
        return m
