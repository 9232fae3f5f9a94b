"""`hw.machine.neuron` against the contract's equation, in the simulator and by proof."""

from itertools import product

import numpy as np
import pytest
from amaranth.hdl import Assert, Assume, Mux, Signal

from gen.layers import MAX_BURST
from hw.machine.neuron import Neuron, latency
from tests.kit.proof import Disproved, assume_constant, prove
from tests.kit.streams import play

LATENCY = 8  # with counts of four bits


def fires(u, theta, burst, limit, least=1):
    """Return (count, state): the contract of `gen.intnet`, ``limit`` the largest state."""
    count = min(max(u // theta, 0), burst)
    count = count if count >= least else 0
    return count, min(max(u - count * theta, -limit - 1), limit)


def run(params, rows, constants):
    """Play rows, one a cycle; return (current a cycle later, count and state `latency` cycles later)."""
    rows, late = [rows[0] | constants, *rows[1:]], latency(params)
    seen = play(Neuron(params), rows + [{}] * late, "current", "count", "state")
    return [(seen[n + 1][0], *seen[n + late][1:]) for n in range(len(rows))]


def draw(rng, theta, burst, limit):
    """Draw a row of inputs whose u is anywhere from far below zero to far above the cap, often on an edge."""
    edges = [k * theta + d for k in (0, 1, burst, burst + 1) for d in (-1, 0, 1)]
    edges += [-limit - 2, -limit - 1, -limit, burst * theta + limit, burst * theta + limit + 1]
    near = int(rng.integers(-2 * theta, (burst + 2) * theta))
    u = int(rng.choice([rng.choice(edges), near, rng.integers(-(2**21), 2**21)]))
    bias, v = int(rng.integers(-(2**15), 2**15)), int(rng.integers(-limit - 1, limit + 1))
    return u, {"total": u - bias - v, "bias": bias, "v": v, "theta": theta}


@pytest.mark.parametrize("burst", range(1, MAX_BURST + 1))
def test_count_and_state_are_the_contracts(sizes, burst):
    rng = np.random.default_rng(burst)
    limit = 2 ** (int(rng.integers(4, 17)) - 1) - 1
    thetas = [1, 2, 2**12 - 1, *(int(2 ** rng.uniform(0, 12)) for _ in range(12))]
    drawn = [draw(rng, int(rng.choice(thetas)), burst, limit) for _ in range(250)]
    seen = run(sizes(burst=burst), [row for _, row in drawn], {"burst": burst, "state_limit": limit})
    for (u, row), (current, count, state) in zip(drawn, seen):
        assert current == row["total"] + row["bias"]
        assert (count, state) == fires(u, row["theta"], burst, limit), f"seed {burst}, u {u}, {row}"


@pytest.mark.parametrize("least, built", [(2, 2), (4, 4), (8, 8), (1, 8), (2, 8)])
@pytest.mark.parametrize("burst", [2, 5, 7, 8, 15])
def test_a_burst_under_the_least_is_kept(sizes, burst, least, built):
    rng, seed = np.random.default_rng(100 * burst + least), 100 * burst + least
    least = min(least, burst)
    least = 1 << least.bit_length() - 1
    limit = 2**14 - 1
    drawn = [draw(rng, int(2 ** rng.uniform(0, 10)), burst, limit) for _ in range(200)]
    constants = {"burst": burst, "state_limit": limit, "quiet": least - 1}
    seen = run(sizes(burst=burst, least=built), [row for _, row in drawn], constants)
    for (u, row), (_, count, state) in zip(drawn, seen):
        assert (count, state) == fires(u, row["theta"], burst, limit, least), f"seed {seed}, u {u}, {row}"
    assert {count for _, count, _ in seen} >= {0, least, burst} and not 0 < min(c for _, c, _ in seen if c) < least


def test_the_draw_reaches_every_case():
    rng, cases = np.random.default_rng(7), set()
    for _ in range(250):
        u, row = draw(rng, 100, 7, 127)
        count, state = fires(u, 100, 7, 127)
        cases |= {("count", count), ("negative", u < 0), ("low", state == -128), ("high", state == 127)}
    assert cases >= {("count", k) for k in (0, 1, 3, 6, 7)}
    assert cases >= {(name, True) for name in ("negative", "low", "high")}


def test_a_kept_current_takes_the_place_of_the_sum(sizes):
    rows = [{"kept": 70, "total": 5, "bias": 3, "v": 20, "theta": 40}]
    assert run(sizes(), rows, {"use_kept": 1, "burst": 7, "state_limit": 127}) == [(70, 2, 10)]


def test_a_pool_passes_its_sum_through(sizes):
    rows = [{"total": n, "theta": 2**12 - 1} for n in (0, 1, 200, 255)]
    seen = run(sizes(), rows, {"pass_through": 1})
    assert [count for _, count, _ in seen] == [0, 1, 200, 255]


def test_the_readout_neither_fires_nor_saturates(sizes):
    sums = [-(2**22), -1, 0, 1, 2**22]
    rows = [{"total": total, "bias": 5, "v": 100, "theta": 1} for total in sums]
    seen = run(sizes(), rows, {"unlimited": 1})
    assert [(count, state) for _, count, state in seen] == [(0, total + 105) for total in sums]


def test_a_doubled_state_counts_twice(sizes):
    """Also beyond the range of the state; a neuron of burst 0 keeps its whole membrane."""
    params, rows, expected = sizes(separated=1), [], []
    for total, v, double in product((-60, 0, 39, 41), (-100, -1, 0, 3, 100), (0, 1)):
        rows.append({"total": total, "bias": 1, "v": v, "theta": 40, "double": double})
        expected.append(total + 1 + v * (1 + double))
    for burst in (0, 1):
        seen = run(params, rows, {"burst": burst, "state_limit": 127})
        assert [(count, state) for _, count, state in seen] == [fires(u, 40, burst, 127) for u in expected]


def equation(neuron, *, planted=0, doubled=False):
    """Return the claims that count and state are the equation's; ``planted`` makes them wrong."""
    def claims(m):
        v = Mux(neuron.double, 2 * neuron.v, neuron.v) if doubled else neuron.v
        value = neuron.total + neuron.bias + v
        half = 1 << (len(neuron.state) - 1)
        m.d.comb += Assume((neuron.theta != 0) & (value >= -half) & (value < half))
        partial = neuron.total + neuron.bias
        m.d.comb += Assume((partial >= -half) & (partial < half))
        m.d.comb += Assume(~neuron.use_kept & ~neuron.pass_through & ~neuron.unlimited & (neuron.burst != 0))
        m.d.comb += Assume((neuron.state_limit & (neuron.state_limit + 1)) == 0)
        assume_constant(m, neuron.burst, neuron.state_limit)
        u, theta = Signal.like(neuron.state, name="input_u"), Signal.like(neuron.theta, name="input_theta")
        m.d.comb += [u.eq(value), theta.eq(neuron.theta)]
        for stage in range(LATENCY):
            late_u = Signal.like(u, name=f"u_after_{stage}")
            late_theta = Signal.like(theta, name=f"theta_after_{stage}")
            m.d.sync += [late_u.eq(u), late_theta.eq(theta)]
            u, theta = late_u, late_theta
        since = Signal(range(LATENCY + 1))
        m.d.sync += since.eq(Mux(since == LATENCY, LATENCY, since + 1))
        count = neuron.count[:4]
        rest, top, bottom = u - count * theta, neuron.state_limit + planted, -1 - neuron.state_limit
        with m.If(since == LATENCY):
            m.d.comb += [
                Assert(count <= neuron.burst),
                Assert((rest >= 0) | (count == 0)),
                Assert((rest < theta) | (count == neuron.burst)),
                Assert(neuron.state == Mux(rest > top, top, Mux(rest < bottom, bottom, rest))),
            ]

    return claims


def tiny(sizes, **changes):
    return Neuron(sizes(acc_bits=7, bias_bits=4, theta_bits=3, state_bits=4, value_bits=5, **changes))


def test_the_equation_is_proved(sizes):
    neuron = tiny(sizes)
    prove(neuron, equation(neuron), steps=LATENCY + 2)


def test_the_equation_of_a_doubled_state_is_proved(sizes):
    neuron = tiny(sizes, separated=1)
    prove(neuron, equation(neuron, doubled=True), steps=LATENCY + 2)


def test_a_wrong_equation_is_disproved(sizes):
    neuron = tiny(sizes)
    with pytest.raises(Disproved, match="claims about Neuron"):
        prove(neuron, equation(neuron, planted=1), steps=LATENCY + 2)
