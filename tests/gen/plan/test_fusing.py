"""`gen.plan.fusing`: which pools are taken apart, what they cost, and that a core's parameters say so."""

import numpy as np
import pytest

from gen.intnet import IntegerNetwork
from gen.layers import INPUT, Pool, Source, Synapse
from gen.plan.candidates import candidates
from gen.plan.choice import choose, pareto_rows
from gen.plan.estimate import expected_cycles
from gen.plan.fusing import fan_ins_apart
from gen.plan.params import CoreParams
from gen.plan.passes import fusible_pool
from gen.plan.placement import placed_plan
from gen.plan.plan import covering, make_plan, plan_on
from gen.plan.target import find_target
from tests.gen.plan.networks import chained, readout, spiking

BOARD = find_target("ulx3s_85f")


def network(channels=(4, 4), columns=14, kernel=3, inputs=1):
    """Return two layers with a pool of 2 x 2 behind each, over maps of ``columns``, then of half as many."""
    layers, source, shape = [], INPUT, (inputs, columns, columns)
    for number, outputs in enumerate(channels):
        synapse = Synapse(source, np.ones((outputs, inputs, kernel, kernel), int), padding=(kernel // 2, kernel // 2))
        layers += [spiking(f"layer{number}", [synapse]), Pool(f"pool{number}", f"layer{number}", "sum", (2, 2), (2, 2))]
        source, inputs = f"pool{number}", outputs
    side = columns // 2 ** len(channels)
    layers.append(readout("out", Synapse(source, np.ones((2, inputs, side, side), int))))
    return IntegerNetwork(Source(shape), layers, 1)


def stored(plan):
    return [p.stored for p in plan.passes]


def test_layers_of_many_synapses_are_taken_apart_first():
    """Of 7 pooled columns, then of 3, two groups of one tile have one more turn than they need."""
    seven = network()
    fused = make_plan(seven, width=4, groups=2)
    assert stored(fused) == ["pool0", "pool1", None] and fan_ins_apart(fused.passes, 2) == [36, 9]
    assert [p.loops.turns["columns"] for p in fused.passes] == [4, 2, 1]
    for unfused, names in ((37, ["pool0", "pool1", None]), (36, ["pool0", "layer1", "pool1", None]),
                           (10, ["pool0", "layer1", "pool1", None]), (1, ["layer0", "pool0", "layer1", "pool1", None])):
        plan = make_plan(seven, width=4, groups=2, unfused=unfused)
        assert stored(plan) == names, unfused
        assert plan.params.unfused == unfused and plan.params.dense == (len(names) > 3)
    # Of 14 columns; of 7; of 7 less the one that no window reads; of 3.
    assert [p.loops.turns["columns"] for p in plan.passes] == [7, 4, 3, 2, 1]


@pytest.mark.parametrize("groups, columns", [(1, 14), (2, 8), (4, 32)])
def test_pools_whose_columns_share_out_stay_fused(groups, columns):
    plan = make_plan(network(columns=columns), width=4, groups=groups, unfused=1)
    idle = [p for p in plan.passes if p.loops.last_positions < p.loops.positions]
    assert not idle and stored(plan) == ["pool0", "pool1", None]


def test_a_pool_that_cannot_be_fused_is_not_counted():
    """Windows that overlap, or a layer that something else reads."""
    layer = spiking("a", [Synapse(INPUT, np.ones((4, 1, 1, 1), int))])
    for kernel, more in (((3, 3), []), ((2, 2), ["a"])):
        pool = Pool("pool", "a", "sum", kernel, (2, 2))
        layers = [layer, pool, readout("out", *(
            Synapse(name, np.ones((2, 4, *size), int)) for name, size in (("pool", (3, 3)), ("a", (7, 7)))
            if name in ["pool", *more]))]
        of = IntegerNetwork(Source((1, 7, 7)), layers, 1)
        assert fusible_pool(of, layer) is None
        assert fan_ins_apart(make_plan(of, width=4, groups=4).passes, 4) == []


def test_parameters_say_how_a_network_was_laid_out():
    """A manifest has nothing else; another network is laid out by the same rule."""
    plan = make_plan(network(), width=4, groups=2, unfused=36)
    params = CoreParams(**{name: getattr(plan.params, name) for name in plan.params.__dataclass_fields__})
    again = plan_on(network(), params)
    assert stored(again) == stored(plan) and again.digest == plan.digest
    others = [network((4, 4), 12), network((3, 2), 14), chained({"a": [INPUT]})]
    core = covering([plan, *(make_plan(other, width=4, groups=2) for other in others)])
    assert core.unfused == 36
    assert [stored(plan_on(other, core)) for other in others] == [
        ["pool0", "layer1", "pool1", None], ["pool0", "pool1", None], ["a", None]]


def test_pools_by_themselves_are_a_candidate_where_they_pay():
    """Of 32 channels 4 groups have 2 parts and 2 positions; 7 columns. Of few events the pool's own pass costs more."""
    def chosen(channels, **options):
        found = candidates(network(channels), BOARD, lanes=64, neurons=4, **options)
        fused, apart = ([each for each in found if bool(each.plan.params.unfused) == kind] for kind in (False, True))
        return found, fused[-1], apart

    found, fused, (apart,) = chosen((32, 32))
    assert apart.plan.params.unfused == 32 * 9 and stored(apart.plan) == ["pool0", "layer1", "pool1", None]
    assert apart.estimate.interval <= 0.98 * fused.estimate.interval and choose(found) is apart
    assert [row["pools_apart"] for row in pareto_rows(found)] == [False] * (len(found) - 1) + [True]
    assert expected_cycles(plan_on(apart.plan.network, apart.plan.params)).cycles == apart.estimate.cycles
    assert not chosen((8, 8))[2]
    other, _, (both,) = chosen((32, 32), also=[network((32, 16))])
    assert both.plan.params.unfused == 32 * 9 and choose(other).plan is both.plan


def test_no_further_core_is_planned_where_no_group_is_idle(monkeypatch):
    planned = []

    def counted(*args, **form):
        planned.append(args)
        return placed_plan(*args, **form)

    monkeypatch.setattr("gen.plan.candidate.placed_plan", counted)
    candidates(network((64, 64), 32, inputs=3), BOARD, lanes=64, neurons=1)
    assert len(planned) == 1
    candidates(network((32, 32), 14, inputs=3), BOARD, lanes=64, neurons=1)
    assert len(planned) > 2
