"""The burst neuron, fully pipelined: one may fire every cycle."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.core import payloads
from hw.core.sums import loaded_or_moved, spread, sum_with_carry

__all__ = ["Neuron"]


class Neuron(wiring.Component):
    """``u = v + current``, ``k = clamp(floor(u / theta), 0, burst)``, ``v = saturate(u - k * theta)``.

    The floor is a binary search from the highest bit down, without restoring: ``theta << j`` is taken off before it is
    known whether bit j may be set. If not, the next stage adds half of it, instead of taking half of it off. While the
    count's bits so far equal the cap's (``tight``), a bit may be set only where the cap has one; and a bit under the
    least burst only where a higher one is set. With two thresholds the search runs on the magnitude of u with half the
    threshold more, both of which are taken back behind it. The stages, first without, then with ``params.signed``, for
    counts of three bits::

        total + bias, v - theta<<2 | + | -+ theta<<1 | -+ theta | + theta or 0 | out of range? | saturate
        total + bias | + v | magnitude | - theta<<2 | -+ theta<<1 | -+ theta | + theta or 0 | back to u's sign | ...

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
        total = self.total + self.bias
        if p.currents:
            total = loaded_or_moved(self.use_kept, self.kept, self.total, self.bias)
        before = self.v << 1 if p.two_phase else self.v
        before = Mux(layer.resumes, before, self.v) if p.two_phase else before
        top, theta, low = p.burst_bits - 1, self._late(m, "theta"), Const(0)
        m.d.sync += self.current.eq(total)
        if p.signed:
            v, u = Signal(word, name="v_late", reset_less=True), Signal(word, name="u_summed", reset_less=True)
            m.d.sync += [v.eq(before), u.eq(self.current + v)]
            magnitude, theta, low = self._magnitude(m, u, theta, self._late(m, "theta_low"))
            rest = Signal(self._rest(), name="rest_0", reset_less=True)
            m.d.sync += rest.eq(magnitude - (theta << top))
            theta, low = self._later(m, theta, "theta_0"), self._later(m, low, "low_0")
        else:
            v, rest = (Signal(self._rest(), name=name, reset_less=True) for name in ("v_less", "rest_0"))
            m.d.sync += [v.eq(before - (self.theta << top)), rest.eq(self.current + v)]
        u, theta, count, low = self._search(m, rest, theta, low)
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

    def _rest(self):
        """Return the shape of a membrane, or of its magnitude, less the largest threshold shifted as far as it is."""
        p = self._params
        return signed(max(p.acc_bits + p.signed, p.theta_bits + p.burst_bits) + 1)

    def _later(self, m, value, name):
        """Return the value a cycle later."""
        late = Signal.like(value, name=name, reset_less=True)
        m.d.sync += late.eq(value)
        return late

    def _late(self, m, name):
        """Return the threshold in step with u."""
        return self._later(m, self._later(m, getattr(self, name), f"{name}_late_0"), f"{name}_late_1")

    def _half(self, theta):
        return Mux(self.layer.two_thresholds, theta >> 1, 0)

    def _magnitude(self, m, u, theta, theta_low):
        """Return what is to be divided, by which threshold, and whether u is below the lower one's zero."""
        word = signed(len(u) + 1)  # the largest magnitude needs a bit more than the membrane
        magnitude, low = Signal(word, reset_less=True), Signal(name="low_chosen", reset_less=True)
        below = Signal()
        chosen, half = (Signal.like(theta, name=name) for name in ("chosen", "half"))
        late = Signal.like(theta, name="theta_chosen", reset_less=True)
        m.d.comb += [
            below.eq(self.layer.two_thresholds & u[-1]), chosen.eq(Mux(below, theta_low, theta)),
            half.eq(self._half(chosen)),
        ]
        total = sum_with_carry(u ^ spread(below, len(u)), half, below)
        m.d.sync += [magnitude.eq(total), late.eq(chosen), low.eq(below)]
        return magnitude, late, low

    def _search(self, m, rest, theta, low):
        """Return the rest, the threshold, the count and ``low``, a stage for each bit of the count later.

        ``rest`` is what is divided, less the threshold shifted for the highest bit.
        """
        p, layer, stages = self._params, self.layer, self._params.burst_bits
        count, tight = Const(0, stages), Const(1, 1)
        for bit in reversed(range(stages)):
            stage = stages - bit
            fires = Signal(name=f"fires_{stage}")
            cap = Mux(low, layer.burst_low[bit], layer.burst[bit]) if p.signed else layer.burst[bit]
            allowed = ~tight | cap
            if 1 << bit < p.min_burst:
                allowed &= count.any() | ~layer.quiet[bit]
            m.d.comb += fires.eq(allowed & ~rest[-1])
            after = Signal.like(rest, name=f"rest_{stage}", reset_less=True)
            count_next = Signal(stages, name=f"count_{stage}", reset_less=True)
            tight_next = Signal(name=f"tight_{stage}", reset_less=True)
            if bit:  # the lowest bits are those of the rest
                high, half = rest[bit - 1 :].as_signed(), Cat(theta, 0).as_signed()
                half = half ^ spread(fires, len(high))
                m.d.sync += after.eq(Cat(rest[: bit - 1], sum_with_carry(high, half, fires)))
            else:
                m.d.sync += after.eq(rest + Mux(fires, 0, theta))
            m.d.sync += [count_next.eq(count | (fires << bit)), tight_next.eq(tight & (fires == cap))]
            theta = self._later(m, theta, f"theta_{stage}")
            if p.signed:
                low = self._later(m, low, f"low_{stage}")
            rest, count, tight = after, count_next, tight_next
        return rest[: p.acc_bits + p.signed].as_signed(), theta, count, low

    def _back(self, m, rest, theta, count, low):
        """Return the state, ``rest - half`` or its negative, and the count with its sign, a cycle later."""
        u = Signal(signed(self._params.acc_bits), name="u_back", reset_less=True)
        back = Signal(signed(len(count) + 1), name="count_back", reset_less=True)
        half = Signal.like(rest, name="half_back")
        m.d.comb += half.eq(self._half(theta))
        m.d.sync += [
            u.eq(sum_with_carry(rest ^ spread(low, len(rest)), half ^ spread(~low, len(half)), Const(1, 1))),
            back.eq(sum_with_carry(count ^ spread(low, len(back)), Const(0), low)),
        ]
        return u, back
