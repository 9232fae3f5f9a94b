"""The AdaFire burst neuron, fully pipelined: one may fire every cycle."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Neuron", "latency"]


def latency(p):
    """Return the cycles from a neuron's inputs to its count and state."""
    return p.burst.bit_length() + 4


class Neuron(wiring.Component):
    """``u = v + current``, ``k = clamp(floor(u / theta), 0, burst)``, ``v = saturate(u - k * theta)``.

    A k under the least burst is 0. The floor is a binary search, one compare-and-subtract of ``theta << j`` per stage
    from the highest bit down. While the count's bits so far equal the cap's (``tight``), a bit may be set only where
    the cap has one; and a bit under the least burst only where a higher one is set::

        current + bias | + v | - theta<<3 | - theta<<2 | - theta<<1 | - theta | out of range? | saturate

    Members
    -------
    total, bias : In
        Synaptic sum and bias.
    kept, use_kept : In
        A current kept from an earlier timestep, and whether to take it in place of total + bias.
    v, theta : In
        State before this timestep and threshold, at the same cycle as ``total``.
    burst, state_limit : In
        Cap and largest state of the layer, one less than a power of two.
    pass_through, unlimited : In(1)
        The count is u itself (a pool); the state is not saturated (the readout).
    quiet : In
        The least burst less one, a mask of low bits. Only where ``params.least`` is over 1.
    double : In(1)
        The state counts twice (an inverse-leaky neuron). Only where ``params.separated``.
    current : Out
        total + bias, one cycle later.
    count, state : Out
        `latency` cycles later.
    """

    def __init__(self, params):
        self._params = p = params
        word = signed(p.acc_bits)
        super().__init__({
            "total": In(word), "bias": In(signed(p.bias_bits)), "kept": In(word), "use_kept": In(1), "v": In(word),
            "theta": In(p.theta_bits), "burst": In(p.burst.bit_length()), "state_limit": In(p.state_bits - 1),
            "pass_through": In(1), "unlimited": In(1), **({"double": In(1)} if p.separated else {}),
            **({"quiet": In((p.least - 1).bit_length())} if p.least > 1 else {}),
            "current": Out(word), "count": Out(signed(p.value_bits)), "state": Out(word),
        })

    def elaborate(self, platform):
        m = Module()
        p = self._params
        word, stages = signed(p.acc_bits), len(self.burst)
        v, theta = Signal(word, name="v_0", reset_less=True), Signal(p.theta_bits, name="theta_0", reset_less=True)
        m.d.sync += [
            self.current.eq(Mux(self.use_kept, self.kept, self.total + self.bias)),
            v.eq(Mux(self.double, self.v << 1, self.v) if p.separated else self.v), theta.eq(self.theta),
        ]
        u, count = Signal(word, name="u_0", reset_less=True), Signal(stages, name="count_0")
        threshold, tight = Signal(p.theta_bits, name="theta_1", reset_less=True), Signal(init=1, name="tight_0")
        m.d.sync += [u.eq(self.current + v), threshold.eq(theta)]
        m.d.comb += [count.eq(0), tight.eq(1)]
        for bit in reversed(range(stages)):
            stage = stages - bit
            rest = u - (threshold << bit)
            fires = Signal(name=f"fires_{stage}")
            allowed = ~tight | self.burst[bit]
            if 1 << bit < p.least:
                allowed &= count.any() | ~self.quiet[bit]
            m.d.comb += fires.eq(allowed & (rest >= 0))
            next_u = Signal(word, name=f"u_{stage}", reset_less=True)
            next_count = Signal(stages, name=f"count_{stage}", reset_less=True)
            next_threshold = Signal.like(threshold, name=f"theta_{stage + 1}")
            next_tight = Signal(name=f"tight_{stage}", reset_less=True)
            m.d.sync += [
                next_u.eq(Mux(fires, rest, u)), next_count.eq(count | (fires << bit)), next_threshold.eq(threshold),
                next_tight.eq(tight & (fires == self.burst[bit])),
            ]
            u, count, threshold, tight = next_u, next_count, next_threshold, next_tight

        # A state is in range when its bits above the layer's width repeat the sign.
        limit = Cat(self.state_limit, 0).as_signed()
        beyond, late_u = Signal(reset_less=True), Signal(word, reset_less=True)
        late_count = Signal(signed(p.value_bits), reset_less=True)
        m.d.sync += [
            beyond.eq(((u ^ u[-1].replicate(len(u)).as_signed()) & ~limit).any() & ~self.unlimited),
            late_u.eq(u), late_count.eq(Mux(self.pass_through, u, count)),
        ]
        m.d.sync += [
            self.count.eq(late_count),
            self.state.eq(Mux(beyond, Mux(late_u[-1], ~limit, limit), late_u)),
        ]
        return m
