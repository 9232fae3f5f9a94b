"""The core chosen for a board: the fastest that fits, the smallest that is fast enough, and what is said if none is."""

from dataclasses import replace

import numpy as np
import pytest

from gen.errors import DoesNotFit, InputError
from gen.intnet import IntegerNetwork
from gen.layers import INPUT, Source, Synapse
from gen.plan.candidates import candidates
from gen.plan.choice import choose, pareto_rows
from gen.plan.estimate import expected_cycles
from gen.plan.lanes import LANES, neurons_of
from gen.plan.plan import make_plan
from gen.plan.target import find_target
from tests.gen.plan.networks import chained, readout, spiking
from tests.kit.random_networks import random_network

BOARD = find_target("ulx3s_85f")


def _network():
    """Return a network wide enough for 16 lanes, for which 8 are faster than 4."""
    first = spiking("a", [Synapse(INPUT, np.ones((16, 1, 1, 1), int))])
    second = spiking("b", [Synapse("a", np.ones((16, 16, 3, 3), int))])
    out = readout("out", Synapse("b", np.ones((2, 16, 6, 6), int)))
    return IntegerNetwork(Source((1, 8, 8)), [first, second, out], 2)


def _with_windows(channels=1):
    """Return a network whose first layer moves a window over an input of so many channels."""
    first = spiking("a", [Synapse(INPUT, np.ones((4, channels, 3, 3), int), padding=(1, 1))])
    return IntegerNetwork(
        Source((channels, 12, 12)), [first, readout("out", Synapse("a", np.ones((2, 4, 12, 12), int)))], 1)


def test_every_number_of_lanes_is_a_candidate():
    found = candidates(_network(), BOARD)
    assert [candidate.lanes for candidate in found if candidate.neurons == 1] == list(LANES)
    assert {candidate.lanes for candidate in candidates(_network(), BOARD, lanes=8)} == {8}
    for candidate in found:
        assert candidate.fps == pytest.approx(1e6 * BOARD.core_mhz / candidate.estimate.interval)


def test_twice_the_neurons_are_a_candidate_where_they_pay():
    """A kept current leaves only the firing to do, which two neurons halve; a layer of many events leaves it hidden."""
    kept = IntegerNetwork(Source((1, 8, 8)), [
        spiking("a", [Synapse(INPUT, np.ones((16, 1, 1, 1), int))]),
        readout("out", Synapse("a", np.ones((2, 16, 8, 8), int))),
    ], 8)
    found = candidates(kept, BOARD, lanes=16)
    assert [candidate.neurons for candidate in found] == [1, 2, 4, 8]
    assert [candidate.plan.params.quick for candidate in found] == [0, 0, 0, 1], "else the walk of a tile takes longer"
    faster = [candidate.estimate.interval for candidate in found]
    assert all(more < 0.97 * fewer for fewer, more in zip(faster, faster[1:]))
    assert [candidate.used["lut"] for candidate in found] == sorted(candidate.used["lut"] for candidate in found)
    events = IntegerNetwork(Source((64, 8, 8)), [readout("out", Synapse(INPUT, np.ones((16, 64, 8, 8), int)))], 1)
    assert [candidate.neurons for candidate in candidates(events, BOARD, lanes=16)] == [1]
    assert [candidate.neurons for candidate in candidates(events, BOARD, lanes=16, neurons=4)] == [4]
    for neurons in (4, 0):
        with pytest.raises(InputError, match=f"A group of 4 lanes has one of 1, 2 neurons, not {neurons}."):
            candidates(events, BOARD, lanes=4, neurons=neurons)
    assert [candidate.lanes for candidate in candidates(events, BOARD, neurons=4)] == [8, 16, 32, 64]
    assert [candidate.lanes for candidate in candidates(events, BOARD, neurons=8)] == [16, 32, 64]
    with pytest.raises(InputError, match="A group of 16 lanes has one of 1, 2, 4, 8 neurons, not 3."):
        candidates(events, BOARD, neurons=3)


def test_strips_are_a_candidate_where_they_pay():
    """A first layer of few events waits for the walk; one of many channels has no strips."""
    plain, strips, *_ = candidates(_with_windows(), BOARD, lanes=16)
    assert (plain.plan.params.strips, strips.plan.params.strips) == (0, 13)
    assert strips.neurons == plain.neurons and strips.estimate.interval < 0.97 * plain.estimate.interval
    assert [row["strips"] for row in pareto_rows([plain, strips])] == ["", "rows"]
    assert choose(candidates(_with_windows(), BOARD, lanes=16, neurons=1)).plan.params.strips
    assert not any(each.plan.params.strips for each in candidates(_with_windows(3), BOARD, lanes=16))
    both = choose(candidates(_with_windows(), BOARD, [_with_windows(3)], lanes=16))
    assert both.plan.params.strips and both.plan.layout.tiling.strips


@pytest.mark.parametrize("lanes", [8, 16, 64])
@pytest.mark.parametrize("network", [_with_windows(), _with_windows(2), _network()], ids=["one", "two", "points"])
def test_no_neurons_and_no_strips_would_be_much_faster(network, lanes):
    """None there is leaves less than 97 % of the cycles of the fastest candidate; each of these does of the last."""
    found = [each.estimate.interval for each in candidates(network, BOARD, lanes=lanes)]
    assert all(after < 0.97 * before for before, after in zip(found, found[1:]))
    asked = [(neurons, strips) for neurons in neurons_of(min(lanes, 16)) for strips in ("no", "rows", "windows")]
    for neurons, strips in asked:
        try:
            forms = candidates(network, BOARD, lanes=lanes, neurons=neurons, strips=strips)
        except InputError:  # such strips it does not have
            continue
        assert min(each.estimate.interval for each in forms) >= 0.97 * found[-1], (neurons, strips)


def test_more_than_16_neurons_are_only_made_if_asked_for():
    kept = [(each.lanes, each.neurons) for each in candidates(_with_windows(), BOARD)]
    assert max(neurons * max(1, lanes // 16) for lanes, neurons in kept) <= 16
    assert [each.neurons for each in candidates(_with_windows(), BOARD, lanes=64, neurons=8)][0] == 8


def test_strips_that_are_asked_for():
    found = [candidates(_with_windows(), BOARD, lanes=16, neurons=4, strips=form) for form in ("no", "rows", "windows")]
    assert [[row["strips"] for row in pareto_rows(rows)] for rows in found] == [[""], ["rows"], ["windows"]]
    none, rows, windows = (each.estimate.interval for each, in found)
    assert windows < rows < none
    of_nine_values = {each.lanes for each in candidates(_with_windows(), BOARD, strips="windows")}
    assert of_nine_values == {16, 32, 64}
    with pytest.raises(InputError, match="The strips must be no, rows or windows, not 'cols'."):
        candidates(_with_windows(), BOARD, strips="cols")
    with pytest.raises(InputError, match="No core here has an input in strips of windows: .* Leave --strips out."):
        candidates(_with_windows(), BOARD, lanes=8, strips="windows")


def test_the_fastest_that_fits_is_chosen():
    found = candidates(_network(), BOARD)
    chosen = choose(found)
    assert chosen.fits and all(chosen.estimate.interval <= other.estimate.interval for other in found if other.fits)


def test_a_smaller_part_gets_a_smaller_core():
    """Where only the smaller cores have room, the fastest of them is chosen."""
    found = candidates(_network(), BOARD, lanes=8)
    room = found[0].used["lut"]
    small = replace(BOARD, luts=room)
    chosen = choose(candidates(_network(), small))
    assert (chosen.lanes, chosen.neurons) == (8, 1) and chosen.used["lut"] == room


def test_the_smallest_that_is_fast_enough():
    found = candidates(_network(), BOARD)
    slowest = min(found, key=lambda candidate: candidate.fps)
    assert choose(found, slowest.fps).size == min(candidate.size for candidate in found)
    with pytest.raises(DoesNotFit, match="the fastest that fits has .* lanes"):
        choose(found, 1e9)


def test_what_does_not_fit_is_told_with_what_would():
    tiny = replace(BOARD, luts=100)
    with pytest.raises(DoesNotFit, match=r"lut where the part has 100, .* It would fit ulx3s_12f"):
        choose(candidates(_network(), tiny))
    small = replace(BOARD, luts=candidates(_network(), BOARD, lanes=8)[0].used["lut"])
    with pytest.raises(DoesNotFit, match="It would fit with --lanes 8"):
        choose(candidates(_network(), small, lanes=64))


def test_what_does_not_fit_in_strips_is_told_what_would_in_strips_or_without():
    """A board that it is said to fit has room for the form that is asked for."""
    network, tiny = _with_windows(), replace(BOARD, luts=100)
    plain, windows = (candidates(network, BOARD, lanes=16, neurons=1, strips=form)[0] for form in ("no", "windows"))
    small = replace(BOARD, luts=plain.used["lut"])
    for lanes in 16, None:
        with pytest.raises(DoesNotFit, match=r"It would fit without --strips windows\.$"):
            choose(candidates(network, small, lanes=lanes, strips="windows"))
    with pytest.raises(DoesNotFit, match=r"\(estimated, 16 lanes\)\. It would fit ulx3s_12f, .* with 16 lanes"):
        choose(candidates(network, tiny, strips="windows"))
    less = replace(BOARD, luts=windows.used["lut"])
    with pytest.raises(DoesNotFit, match="It would fit with --lanes 16"):
        choose(candidates(network, less, lanes=64, strips="windows"))


def test_what_does_not_fit_with_so_many_neurons_is_told_what_would_with_them_or_without():
    one, eight = (candidates(_network(), BOARD, lanes=16, neurons=n)[0].used["lut"] for n in (1, 8))
    with pytest.raises(DoesNotFit, match=r"It would fit without --neurons 8\.$"):
        choose(candidates(_network(), replace(BOARD, luts=one), lanes=16, neurons=8))
    with pytest.raises(DoesNotFit, match=r"It would fit with --lanes 16\.$"):  # of 8 lanes none has 8 neurons
        choose(candidates(_network(), replace(BOARD, luts=eight), lanes=64, neurons=8))
    with pytest.raises(DoesNotFit, match=r"It would fit ulx3s_12f"):
        choose(candidates(_network(), replace(BOARD, luts=100), lanes=16, neurons=8))


def test_a_core_for_several_networks_is_as_large_as_all_need():
    larger = chained({"a": [INPUT], "b": ["a"], "c": ["b", "a"]}, timesteps=3)  # more synapses, fewer channels
    alone, both, other = (
        candidates(network, BOARD, also, lanes=16)[0].plan.params
        for network, also in ((_network(), ()), (_network(), [larger]), (larger, ()))
    )
    assert not both.shortages(alone) and not both.shortages(other) and alone.shortages(other)


def test_the_list_for_a_file():
    """Nothing on the Pareto front is beaten by anything that fits; the chosen one is on it."""
    found = candidates(_network(), BOARD)
    rows = pareto_rows(found, choose(found))
    front = [row for row in rows if row["pareto"]]
    assert {row["lanes"] for row in rows} == set(LANES) and [row["pareto"] for row in rows if row["chosen"]] == [True]
    assert front and len({row["interval"] for row in front}) == len(front)
    assert {"neurons", "cycles", "fps", "lut", "ff", "bram", "dsp", "fits", "short", "clock_mhz"} <= rows[0].keys()


def test_weights_go_into_single_port_ram_where_there_is_some():
    found = candidates(_network(), find_target("icebreaker"), lanes=4)[0]
    params = found.plan.params
    assert params.spram == 2 and found.resources["bram"] < candidates(
        _network(), replace(find_target("icebreaker"), spram_bits=0), lanes=4)[0].resources["bram"]



def test_no_input_is_shared_where_that_makes_the_core_slower():
    """Small maps read as a line of many words: places have more bits then, and each tile of all layers a word more."""
    slower, faster = random_network(266), random_network(62)
    for network, shared in ((slower, 0), (faster, 1)):
        chosen, = candidates(network, BOARD, lanes=32, neurons=1)
        assert chosen.plan.layout.shared == shared
        other = make_plan(network, 32, shared=not shared)
        assert other.layout.shared != shared and expected_cycles(other).interval > chosen.estimate.interval
