"""The memory of the outputs' values: firing adds to them, the decision and the result read them."""

from amaranth.hdl import Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gen.plan.memories import memory_table
from hw.core.memory import CoreMemory, write_port

__all__ = ["OutputStore"]


class OutputStore(wiring.Component):
    """One read port for three readers: who reads says so; nobody else reads then.

    Parameters
    ----------
    params : CoreParams
    number : int
        Of the group that adds to them: 0, or with ``params.shared`` each, to values of its own.

    Members
    -------
    firing_address, write : In
        From the group.
    decides, decision_address, answers, result_address : In
        The decision, or the result, reads now.
    data : Out
        Two cycles after the address.
    """

    def __init__(self, params, number=0):
        p, self._spec = params, memory_table(params)[f"outputs_{number}" if params.shared else "outputs"]
        write = write_port(p.acc_bits, p.outputs)
        address = range(max(2, p.outputs))
        super().__init__({
            "firing_address": In(range(max(2, p.states, p.outputs))), "write": In(write),
            "decides": In(1), "decision_address": In(address), "answers": In(1), "result_address": In(address),
            "data": Out(p.acc_bits),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = CoreMemory(self._spec)
        m.d.comb += [
            memory.address.eq(Mux(self.decides, self.decision_address, Mux(
                self.answers, self.result_address, self.firing_address))),
            memory.write.eq(self.write), self.data.eq(memory.data),
        ]
        return m
