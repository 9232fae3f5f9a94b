"""Which pools run behind the neurons of the layer before, and which by themselves.

A pool whose windows lie side by side is *fused*: its layer's tiles go window by window, and the layer's own map is
never stored. The groups of lanes then share out columns of the pooled map. Where these are few, or do not share out,
groups stand idle: two groups take 4 turns for 7 columns, though the 14 of the layer's own map are 7 turns. Such a pool
may be worth a pass of its own (`CoreParams.unfused`). A layer of many events gains most from that, and its events grow
with its synapses: so one number says for which layers, of any network, it is done.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import prod

from gen.plan.passes import Pass
from gen.plan.walk import share_loops

__all__ = ["fan_ins_apart", "pools_apart"]


def fan_ins_apart(passes: Iterable[Pass], groups: int) -> list[int]:
    """Return the synapses of a neuron of each layer that takes more turns with its pool than alone, the most first."""
    return sorted({_fan_in(p) for p in passes if _saves_turns(p, groups)}, reverse=True)


def pools_apart(passes: Iterable[Pass], groups: int, unfused: int) -> frozenset[str]:
    """Return the names of the pools of ``passes`` that run by themselves; ``unfused``: as of `CoreParams`."""
    return frozenset(
        p.pool.name for p in passes if p.pool and unfused and _fan_in(p) >= unfused and _saves_turns(p, groups))


def _saves_turns(p, groups):
    """Return whether the groups take fewer turns for the layer's own map than for its pool's windows."""
    height, width = p.window
    alone = replace(p, pool=None, rows=p.rows * height, columns=p.columns * width)
    return p.pool is not None and _turns(alone, groups) < _turns(p, groups)


def _turns(p, groups):
    return prod(share_loops(p, groups).turns.values())


def _fan_in(p):
    return sum(s.weight[0].size for s in p.layer.synapses)
