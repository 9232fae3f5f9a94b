"""The passes of a network of inverse-leaky neurons, which is run through once.

A layer accumulates for each timestep of its sources, then fires in timesteps of its own: a pass for every update. Its
last accumulation and its first firing are one pass.
"""

from __future__ import annotations

from dataclasses import replace

from gen.intnet import IntegerNetwork
from gen.layers import INPUT
from gen.plan.passes import Pass

__all__ = ["two_phase_passes"]


def two_phase_passes(network: IntegerNetwork, layers: list[Pass]) -> list[Pass]:
    """Return the passes of a two-phase network, of one pass for every layer.

    Layer by layer, a timestep fired is pooled and taken at once by the layers that wait for no other: of a layer that
    feeds but the next one, the spikes of one timestep are stored at a time.
    """
    last, spikes_of, pools, listeners = network.timesteps, {}, {}, {}
    for n, p in enumerate(layers):
        sources = [spikes_of[s.source] for s in p.synapses if s.source != INPUT]
        spikes_of[p.stored] = n if p.layer.weighted else max(sources)
        if sources:
            (listeners if p.layer.weighted else pools).setdefault(max(sources), []).append(p)
    passes = []
    for n, p in enumerate(layers):
        if not p.layer.weighted:
            continue
        taken = last if any(s.source != INPUT for s in p.synapses) else 1
        passes.append(replace(p, update=taken, reads_at=last, stores_at=int(p.stored is not None)))
        for t in range(1, last + 1 if p.stored else 1):
            if t > 1:
                fires = replace(p, synapses=(), sizes=(), weights=(), update=taken + t - 1, stores_at=t, biased=False)
                passes.append(fires)
            passes += [replace(pool, reads_at=t, stores_at=t) for pool in pools.get(n, ())]
            passes += [_accumulation(other, t) for other in listeners.get(n, ()) if t < last]
    return passes


def _accumulation(p, t):
    """Return the pass that takes the spikes of timestep ``t``, before the last one."""
    spiking = [(s, size, base) for s, size, base in zip(p.synapses, p.sizes, p.weights) if s.source != INPUT]
    synapses, sizes, weights = zip(*spiking)
    return replace(
        p, stored=None, synapses=synapses, sizes=sizes, weights=weights, update=t, reads_at=t, stores_at=0,
        biased=False,
    )
