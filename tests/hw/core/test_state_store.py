"""`hw.core.state_store`: where membranes, currents and values of outputs are found again, and when."""

import pytest
from amaranth.back import rtlil

from hw.core.state_store import READ, StateStore
from tests.kit.streams import play

THETA, BIAS, V_INIT, LOW = 100, -20, 7, 60


def parameters(params):
    """Return a word for each channel: theta, bias and v_init of channel c lie c higher."""
    shifts, at = [], 0
    for bits in (params.theta_bits, params.bias_bits, params.state_bits):
        shifts.append((at, bits))
        at += bits
    return [
        sum(((value + c) & ((1 << bits) - 1)) << low for value, (low, bits) in zip((THETA, BIAS, V_INIT), shifts))
        | (LOW + c << at if params.signed else 0) for c in range(params.parameters)
    ]


def run(params, layer, tiles, outputs):
    """Play tiles (first, last, lanes) 20 cycles apart, each state being the lane's number in the run plus 500.

    Return the rows of ``outputs`` when each lane is at the neuron, and the writes of the outputs' memory.
    """
    dut = StateStore(params, 0, {"parameters_0": parameters(params)})
    late, lanes_at = READ + params.neuron_latency, {}
    rows = [{"begin": 1}, {"begin": 0, **{f"layer.{name}": value for name, value in layer.items()}}, {}]
    for first, last, lanes in tiles:
        for lane in range(lanes):
            lanes_at[len(rows)] = len(lanes_at)
            rows.append({"beat": {"valid": 1, "first": first, "last": last, "ends": lane == lanes - 1},
                         "parameter": lane})
        rows += [{"beat.valid": 0}] * 20
    for at, number in lanes_at.items():
        rows[at + late] = rows[at + late] | {"state": number + 500}
        if params.currents:
            rows[at + READ + 1] = rows[at + READ + 1] | {"current": number + 900}
    seen = play(dut, rows, *outputs, "output_write", "output_address")
    writes = [(row[-2]["address"], row[-2]["data"]) for row in seen if row[-2]["enable"]]
    return [seen[at + READ][:-2] for at in lanes_at], writes, [seen[at][-1] for at in lanes_at]


@pytest.mark.parametrize("signed", [0, 1])
def test_membranes_follow_one_another(sizes, signed):
    params = sizes(states=40, signed=signed)
    names = ("theta", "bias", "v", *(["theta_low"] if signed else []))
    layer = {"state": 5}
    seen, writes, _ = run(params, layer, [(1, 0, 3), (1, 0, 2)], names)
    assert seen == [(THETA + c, BIAS + c, V_INIT + c, LOW + c)[: 3 + signed] for c in (0, 1, 2, 0, 1)]
    assert not writes


def test_in_tile_order_a_tile_finds_its_states_and_currents(sizes):
    params = sizes(states=4, currents=4)
    tiles = [(1, 0, 3), (0, 0, 3), (0, 1, 3), (1, 0, 2), (0, 1, 2)]
    seen, _, _ = run(params, {"state": 1, "current": 1, "rewind": 1, "keep": 1}, tiles, ("v", "use_kept", "kept"))
    assert [v for v, _, _ in seen] == [7, 8, 9, 500, 501, 502, 503, 504, 505, 7, 8, 509, 510]
    assert [use for _, use, _ in seen] == [0] * 3 + [1] * 6 + [0] * 2 + [1] * 2
    assert [kept for _, use, kept in seen if use] == [900, 901, 902, 900, 901, 902, 909, 910]


def test_in_tile_order_only_an_output_moves_on(sizes):
    layer = {"readout": 1, "output": 3, "rewind": 1}
    _, writes, read = run(sizes(), layer, [(1, 0, 2), (0, 1, 2), (1, 0, 3), (0, 1, 3)], ("v",))
    places = [3, 4, 3, 4, 5, 6, 7, 5, 6, 7]
    assert read == places
    assert writes == [(place, 500 + number) for number, place in enumerate(places)]


def test_a_pool_has_neither_bias_nor_membrane(sizes):
    seen, writes, _ = run(sizes(states=4), {"pool": 1}, [(1, 1, 3)], ("bias", "v"))
    assert seen == [(0, 0)] * 3 and not writes


@pytest.mark.parametrize("changes, number, memories", [
    ({}, 0, {"parameters"}), ({"states": 4}, 1, {"parameters", "states"}),
    ({"states": 4, "currents": 4}, 0, {"parameters", "states", "currents"}),
])
def test_only_what_is_needed_is_built(sizes, changes, number, memories):
    store = StateStore(sizes(groups=2, **changes), number, {})
    text = rtlil.convert(store, name="store", emit_src=False)
    assert {name for name in ("parameters", "states", "currents") if f"module \\store.{name}\n" in text} == memories
    assert ("output_write" in store.signature.members) == (number == 0)
