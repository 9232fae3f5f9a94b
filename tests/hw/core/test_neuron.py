"""`hw.core.neuron` against the equations of docs/integer-network.md, in the simulator and by proof."""

from itertools import product

import numpy as np
import pytest
from amaranth.hdl import Assert, Assume, Mux, Signal

from gen.layers import MAX_BURST
from hw.core.neuron import Neuron
from tests.kit.proof import Disproved, assume_constant, prove
from tests.kit.streams import play


def fires(u, theta, burst, limit, *, least=1, low=None, burst_low=0):
    """Return (count, state); ``limit`` is the largest state, ``low`` the second threshold."""
    if low is None:
        count = min(max(u // theta, 0), burst)
    elif u >= 0:
        count = min((u + theta // 2) // theta, burst)
    else:
        count = -min((-u + low // 2) // low, burst_low)
    count = count if abs(count) >= least else 0
    state = u - count * (theta if count >= 0 else low)
    return count, min(max(state, -limit - 1), limit)


def run(params, rows, layer):
    """Play rows, one a cycle; return (current a cycle later, count and state ``neuron_latency`` cycles later)."""
    constants, late = {f"layer.{name}": value for name, value in layer.items()}, params.neuron_latency
    rows = [rows[0] | constants, *rows[1:]]
    seen = play(Neuron(params), rows + [{}] * late, "current", "count", "state")
    return [(seen[n + 1][0], *seen[n + late][1:]) for n in range(len(rows))]


def draw(rng, theta, burst, limit, *, low=None, burst_low=0, bits=24):
    """Draw a row of inputs whose u is anywhere from far below zero to far above the cap, often on an edge."""
    edges = [k * theta + d for k in (0, 1, burst, burst + 1) for d in (-1, 0, 1)]
    edges += [-limit - 2, -limit - 1, -limit, burst * theta + limit, burst * theta + limit + 1]
    below, room = 2 * theta, 2 ** (bits - 1)
    if low is not None:
        edges += [e + theta - theta // 2 for e in edges]
        edges += [-k * low + low // 2 + d for k in (0, 1, burst_low, burst_low + 1) for d in (-1, 0, 1)]
        edges += [-burst_low * low - limit - d for d in (0, 1, 2)]
        below = (burst_low + 2) * low
    near = int(rng.integers(-below, (burst + 2) * theta))
    far = int(rng.integers(-room, room))
    u = int(rng.choice([rng.choice([*edges, -room, room - 1]), near, far]))
    half = max(theta, low or 0) // 2 if low is not None else 0
    u = min(max(u, -room + half), room - 1 - half)
    bias, v = int(rng.integers(-(2**15), 2**15)), int(rng.integers(-limit - 1, limit + 1))
    total = u - bias - v
    if not -room <= total < room or not -room <= total + bias < room:
        total, bias, v = u, 0, 0
    return u, {"total": total, "bias": bias, "v": v, "theta": theta} | ({} if low is None else {"theta_low": low})


@pytest.mark.parametrize("burst", [*range(1, 20), 31, 32, 100, 127, 128, 170, 254, MAX_BURST])
def test_count_and_state_are_the_contracts(sizes, burst):
    rng = np.random.default_rng(burst)
    limit = 2 ** (int(rng.integers(4, 17)) - 1) - 1
    thetas = [1, 2, 2**12 - 1, *(int(2 ** rng.uniform(0, 12)) for _ in range(12))]
    drawn = [draw(rng, int(rng.choice(thetas)), burst, limit) for _ in range(250)]
    params = sizes(burst=burst, count_bits=8)
    seen = run(params, [row for _, row in drawn], {"burst": burst, "state_limit": limit})
    for (u, row), (current, count, state) in zip(drawn, seen):
        assert current == row["total"] + row["bias"]
        assert (count, state) == fires(u, row["theta"], burst, limit), f"seed {burst}, u {u}, {row}"


@pytest.mark.parametrize("burst, burst_low", [(1, 1), (3, 3), (7, 2), (2, 7), (5, 0), (15, 11), (255, 255), (100, 201)])
@pytest.mark.parametrize("least", [1, 2, 8])
def test_two_thresholds(sizes, burst, burst_low, least):
    seed = 1000 * burst + 10 * burst_low + least
    rng = np.random.default_rng(seed)
    limit = 2 ** (int(rng.integers(4, 17)) - 1) - 1
    thetas = [1, 2, 3, 2**12 - 1, *(int(2 ** rng.uniform(0, 12)) for _ in range(8))]
    drawn = []
    for _ in range(300):
        theta, low = (int(t) for t in rng.choice(thetas, 2))
        drawn.append(draw(rng, theta, burst, limit, low=low, burst_low=burst_low))
    params = sizes(signed=1, burst=max(burst, burst_low), count_bits=9, min_burst=least)
    layer = {"burst": burst, "burst_low": burst_low, "two_thresholds": 1, "state_limit": limit}
    layer |= {"quiet": least - 1} if least > 1 else {}
    seen = run(params, [row for _, row in drawn], layer)
    for (u, row), (_, count, state) in zip(drawn, seen):
        expected = fires(u, row["theta"], burst, limit, least=least, low=row["theta_low"], burst_low=burst_low)
        assert (count, state) == expected, f"seed {seed}, u {u}, {row}"
    counts = {count for _, count, _ in seen}
    assert {0, burst if burst >= least else 0, -burst_low if burst_low >= least else 0} <= counts


def test_one_threshold_where_two_are_built(sizes):
    rng = np.random.default_rng(3)
    drawn = [draw(rng, int(2 ** rng.uniform(0, 12)), 9, 127) for _ in range(250)]
    rows = [row | {"theta_low": 1} for _, row in drawn]
    seen = run(sizes(signed=1, count_bits=5), rows, {"burst": 9, "burst_low": 9, "state_limit": 127})
    for (u, row), (_, count, state) in zip(drawn, seen):
        assert (count, state) == fires(u, row["theta"], 9, 127), f"seed 3, u {u}, {row}"


def test_the_widest_numbers_do_not_overflow(sizes):
    """Accumulators of 32 bits, a threshold of 2**30 shifted by seven places, magnitudes that fill the word."""
    params, rows, expected = sizes(signed=1, acc_bits=32, theta_bits=31, state_bits=32, burst=255, count_bits=9), [], []
    top, limit = 2**31, 2**31 - 1
    for u, theta, low in product((-top + 2**29, 1 - 2**30, -(2**29), -1, 0, 2**29, 2**30, top - 1 - 2**29),
                                 (2**30, 2**30 - 1), (2**30, 2**23)):
        rows.append({"total": u, "theta": theta, "theta_low": low})
        expected.append(fires(u, theta, 255, limit, low=low, burst_low=255))
    rows.append({"total": -top + 1, "theta": 2, "theta_low": 2})
    expected.append(fires(-top + 1, 2, 255, limit, low=2, burst_low=255))
    seen = run(params, rows, {"burst": 255, "burst_low": 255, "two_thresholds": 1, "state_limit": limit})
    assert [(count, state) for _, count, state in seen] == expected


@pytest.mark.parametrize("least, built", [(2, 2), (4, 4), (8, 8), (1, 8), (2, 8)])
@pytest.mark.parametrize("burst", [2, 5, 7, 8, 15])
def test_a_burst_under_the_least_is_kept(sizes, burst, least, built):
    rng, seed = np.random.default_rng(100 * burst + least), 100 * burst + least
    least = min(least, burst)
    least = 1 << least.bit_length() - 1
    limit = 2**14 - 1
    drawn = [draw(rng, int(2 ** rng.uniform(0, 10)), burst, limit) for _ in range(200)]
    layer = {"burst": burst, "state_limit": limit, "quiet": least - 1}
    seen = run(sizes(burst=burst, min_burst=built), [row for _, row in drawn], layer)
    for (u, row), (_, count, state) in zip(drawn, seen):
        assert (count, state) == fires(u, row["theta"], burst, limit, least=least), f"seed {seed}, u {u}, {row}"
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
    rows = [{"kept": 70, "total": 5, "bias": 3, "v": 20, "theta": 40, "use_kept": 1}]
    assert run(sizes(currents=4), rows, {"burst": 7, "state_limit": 127}) == [(70, 2, 10)]


@pytest.mark.parametrize("signed", [0, 1])
def test_a_pool_passes_its_sum_through(sizes, signed):
    sums = [0, 1, 200, 255, *([-1, -100, -256] if signed else [])]
    rows = [{"total": n, "theta": 2**12 - 1} for n in sums]
    seen = run(sizes(signed=signed, count_bits=8 + signed), rows, {"pool": 1})
    assert [count for _, count, _ in seen] == sums


@pytest.mark.parametrize("signed", [0, 1])
def test_the_readout_neither_fires_nor_saturates(sizes, signed):
    sums = [-(2**22), -1, 0, 1, 2**22]
    rows = [{"total": total, "bias": 5, "v": 100, "theta": 0} for total in sums]
    seen = run(sizes(signed=signed), rows, {"readout": 1})
    assert [(count, state) for _, count, state in seen] == [(0, total + 105) for total in sums]


def test_a_doubled_state_counts_twice(sizes):
    """Also beyond the range of the state; a neuron of burst 0 keeps its whole membrane."""
    params, rows = sizes(two_phase=1), []
    for total, v in product((-60, 0, 39, 41), (-100, -1, 0, 3, 100)):
        rows.append({"total": total, "bias": 1, "v": v, "theta": 40})
    for burst, resumes in product((0, 1), (0, 1)):
        seen = run(params, rows, {"burst": burst, "state_limit": 127, "resumes": resumes})
        expected = [fires(row["total"] + 1 + row["v"] * (1 + resumes), 40, burst, 127) for row in rows]
        assert [(count, state) for _, count, state in seen] == expected


def equation(neuron, latency, *, planted=0):
    """Return the claims that count and state are the equation's; ``planted`` makes them wrong."""
    def claims(m):
        layer, two = neuron.layer, "theta_low" in neuron.signature.members
        value, partial = neuron.total + neuron.bias + neuron.v, neuron.total + neuron.bias
        half = 1 << (len(neuron.state) - 1)
        low = neuron.theta_low if two else neuron.theta
        m.d.comb += [
            Assume((neuron.theta != 0) & (low != 0)), Assume((partial >= -half) & (partial < half)),
            Assume((value >= -half) & (value < half) & ~layer.pool & ~layer.readout & (layer.burst != 0)),
            Assume((layer.state_limit & (layer.state_limit + 1)) == 0),
        ]
        constants = [layer.burst, layer.state_limit]
        if two:  # a magnitude with half a threshold more fits the word
            m.d.comb += [
                Assume(layer.two_thresholds), Assume(value + (neuron.theta >> 1) < half),
                Assume(value - (low >> 1) >= -half),
            ]
            constants += [layer.burst_low, layer.two_thresholds]
        assume_constant(m, *constants)
        u, theta = Signal.like(neuron.state, name="input_u"), Signal.like(neuron.theta, name="input_theta")
        below = two & (value < 0) if two else 0
        m.d.comb += [u.eq(value), theta.eq(Mux(below, low, neuron.theta))]
        for stage in range(latency):
            late_u = Signal.like(u, name=f"u_after_{stage}")
            late_theta = Signal.like(theta, name=f"theta_after_{stage}")
            m.d.sync += [late_u.eq(u), late_theta.eq(theta)]
            u, theta = late_u, late_theta
        since = Signal(range(latency + 1))
        m.d.sync += since.eq(Mux(since == latency, latency, since + 1))
        count, sign = neuron.count, (u < 0) & two
        size, cap = Mux(sign, -count, count), Mux(sign, layer.burst_low, layer.burst) if two else layer.burst
        rest, top, bottom = u - count * theta, layer.state_limit + planted, -1 - layer.state_limit
        over = Mux(sign, -rest, rest) + (theta >> 1 if two else 0)
        with m.If(since == latency):
            m.d.comb += [
                Assert((size >= 0) & (size <= cap)), Assert((over >= 0) | (count == 0)),
                Assert((over < theta) | (size == cap)),
                Assert(neuron.state == Mux(rest > top, top, Mux(rest < bottom, bottom, rest))),
            ]

    return claims


def tiny(sizes, **changes):
    return sizes(**{**dict(acc_bits=7, bias_bits=4, theta_bits=3, state_bits=4, count_bits=3, burst=7), **changes})


@pytest.mark.parametrize("changes", [
    {"acc_bits": 6, "bias_bits": 3}, {"signed": 1, "burst": 3}, pytest.param({}, marks=pytest.mark.slow),
])
def test_the_equation_is_proved(sizes, changes):
    params = tiny(sizes, **changes)
    neuron = Neuron(params)
    prove(neuron, equation(neuron, params.neuron_latency), steps=params.neuron_latency + 2)


def test_a_wrong_equation_is_disproved(sizes):
    params = tiny(sizes)
    neuron = Neuron(params)
    with pytest.raises(Disproved, match="claims about Neuron"):
        prove(neuron, equation(neuron, params.neuron_latency, planted=1), steps=params.neuron_latency + 2)
