"""The burst neuron, fully pipelined: one may fire every cycle."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.core import payloads

__all__ = ["Neuron"]


class Neuron(wiring.Component):
    """``u = v + current``, ``k = clamp(floor(u / theta), 0, burst)``, ``v = saturate(u - k * theta)``.

    The floor is a binary search, one compare-and-subtract of ``theta << j`` per stage from the highest bit down. While
    the count's bits so far equal the cap's (``tight``), a bit may be set only where the cap has one; and a bit under
    the least burst only where a higher one is set. With two thresholds the search runs on the magnitude of u with half
    the threshold more, both of which are taken back behind it. The stages, those in brackets only where
    ``params.signed``::

        total + bias | + v | [magnitude] | - theta<<3 | ... | - theta | [back to u's sign] | out of range? | saturate

    Members
    -------
    layer : In
        The pass in force. A pool's count is u itself, its burst is 0; a readout's state is not saturated.
    total, bias : In
        Synaptic sum and bias.
    kept, use_kept : In
        A current kept from an earlier timestep, and whether to take it in place of total + bias. Only where
        ``params.currents``.
    v, theta, theta_low : In
        State before this timestep, which counts twice where the layer resumes, and thresholds, in the cycle of
        ``total``. The low one only where ``params.signed``.
    current : Out
        total + bias, one cycle later.
    count, state : Out
        ``params.neuron_latency`` cycles later.
    """

    def __init__(self, params):
        self._params = p = params
        word = signed(p.acc_bits)
        super().__init__({
            "layer": In(payloads.pass_block(p)), "total": In(word), "bias": In(signed(p.bias_bits)), "v": In(word),
            "theta": In(p.theta_bits), **({"theta_low": In(p.theta_bits)} if p.signed else {}),
            **({"kept": In(word), "use_kept": In(1)} if p.currents else {}),
            "current": Out(word), "count": Out(signed(p.signed_count_bits)), "state": Out(word),
        })

    def elaborate(self, platform):
        m = Module()
        p, layer, word = self._params, self.layer, signed(self._params.acc_bits)
        v, u = Signal(word, name="v_late", reset_less=True), Signal(word, name="u_summed", reset_less=True)
        total = self.total + self.bias
        m.d.sync += [
            self.current.eq(Mux(self.use_kept, self.kept, total) if p.currents else total),
            v.eq(Mux(layer.resumes, self.v << 1, self.v) if p.two_phase else self.v), u.eq(self.current + v),
        ]
        theta, low = self._late(m, "theta"), Const(0)
        if p.signed:
            u, theta, low = self._magnitude(m, u, theta, self._late(m, "theta_low"))
        u, theta, count, low = self._search(m, u, theta, low)
        if p.signed:
            u, count = self._back(m, u, theta, count, low)

        # A state is in range when its bits above the layer's width repeat the sign.
        limit = Cat(layer.state_limit, 0).as_signed()
        beyond = Signal(reset_less=True)
        late_u = Signal.like(u, name="u_late", reset_less=True)
        late_count = Signal.like(self.count, name="count_late", reset_less=True)
        m.d.sync += [
            beyond.eq(((u ^ u[-1].replicate(len(u)).as_signed()) & ~limit).any() & ~layer.readout),
            late_u.eq(u), late_count.eq(Mux(layer.pool, u, count)),
            self.count.eq(late_count), self.state.eq(Mux(beyond, Mux(late_u[-1], ~limit, limit), late_u)),
        ]
        return m

    def _late(self, m, name):
        """Return the threshold in step with u."""
        value = getattr(self, name)
        for stage in range(2):
            late = Signal.like(value, name=f"{name}_late_{stage}", reset_less=True)
            m.d.sync += late.eq(value)
            value = late
        return value

    def _half(self, theta):
        return Mux(self.layer.two_thresholds, theta >> 1, 0)

    def _magnitude(self, m, u, theta, theta_low):
        """Return what is to be divided, by which threshold, and whether u is below the lower one's zero."""
        word = signed(len(u) + 1)  # the largest magnitude needs a bit more than the membrane
        magnitude, low = Signal(word, reset_less=True), Signal(name="low_0", reset_less=True)
        below = Signal()
        chosen, half = (Signal.like(theta, name=name) for name in ("chosen", "half"))
        late = Signal.like(theta, name="theta_chosen", reset_less=True)
        m.d.comb += [
            below.eq(self.layer.two_thresholds & u[-1]), chosen.eq(Mux(below, theta_low, theta)),
            half.eq(self._half(chosen)),
        ]
        m.d.sync += [magnitude.eq(_sum(u ^ _spread(below, len(u)), half, below)), late.eq(chosen), low.eq(below)]
        return magnitude, late, low

    def _search(self, m, u, theta, low):
        """Return the rest, the threshold, the count and ``low``, a stage for each bit of the count later."""
        p, layer, stages = self._params, self.layer, self._params.burst_bits
        count, tight = Const(0, stages), Const(1, 1)
        for bit in reversed(range(stages)):
            stage = stages - bit
            rest, fires = u - (theta << bit), Signal(name=f"fires_{stage}")
            cap = Mux(low, layer.burst_low[bit], layer.burst[bit]) if p.signed else layer.burst[bit]
            allowed = ~tight | cap
            if 1 << bit < p.min_burst:
                allowed &= count.any() | ~layer.quiet[bit]
            m.d.comb += fires.eq(allowed & (rest >= 0))
            u_next = Signal.like(u, name=f"u_{stage}", reset_less=True)
            count_next = Signal(stages, name=f"count_{stage}", reset_less=True)
            theta_next = Signal.like(theta, name=f"theta_{stage}", reset_less=True)
            tight_next = Signal(name=f"tight_{stage}", reset_less=True)
            m.d.sync += [
                u_next.eq(Mux(fires, rest, u)), count_next.eq(count | (fires << bit)), theta_next.eq(theta),
                tight_next.eq(tight & (fires == cap)),
            ]
            if p.signed:
                low_next = Signal(name=f"low_{stage}", reset_less=True)
                m.d.sync += low_next.eq(low)
                low = low_next
            u, count, theta, tight = u_next, count_next, theta_next, tight_next
        return u, theta, count, low

    def _back(self, m, rest, theta, count, low):
        """Return the state, ``rest - half`` or its negative, and the count with its sign, a cycle later."""
        u = Signal(signed(self._params.acc_bits), name="u_back", reset_less=True)
        back = Signal(signed(len(count) + 1), name="count_back", reset_less=True)
        half = Signal.like(rest, name="half_back")
        m.d.comb += half.eq(self._half(theta))
        m.d.sync += [
            u.eq(_sum(rest ^ _spread(low, len(rest)), half ^ _spread(~low, len(half)), Const(1, 1))),
            back.eq(_sum(count ^ _spread(low, len(back)), Const(0), low)),
        ]
        return u, back


def _spread(bit, width):
    return bit.replicate(width).as_signed()


def _sum(a, b, carry):
    """Return a + b + carry as one adder."""
    return (_behind(Const(1, 1), a) + _behind(carry, b)) >> 1


def _behind(bit, value):
    """Return ``2 * value + bit``."""
    return Cat(bit, value).as_signed() if value.shape().signed else Cat(bit, value)
