"""How a value that a model returns becomes readouts, and how their numbers become that value again."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gen.model.currents import identity, pushed, settle
from gen.model.network import FloatLayer, Output
from gen.model.synapses import dense
from gen.model.values import Current, View

__all__ = ["Ending", "ending"]


@dataclass(frozen=True, eq=False)
class Ending:
    """An output while the network is built, and the currents of its readouts, so that two outputs may share them."""

    output: Output
    currents: tuple[Current, ...]


def ending(build, site: str, value: View, others, alone: bool = False) -> Ending:
    """Add the readouts of ``value``, an output, and return how it is made of them; ``others`` may share some.

    A sigmoid ``alone``, of a single number, tells two classes apart: its readout gets a class 0 whose score is zero.
    """
    known = {id(current): (name, current)
             for other in others for name, current in zip(other.output.readouts, other.currents)}
    value = pushed(build, site, value)
    names, currents = [], []
    for part in value.parts:
        if isinstance(part, Current) and part.pools:
            (part,) = settle(build, site, View.whole(part)).parts
        name, current = known.get(id(part), (None, part))
        if name is None:
            current = identity(part, f"{part.name} (output)" if not isinstance(part, Current) else "")
            name = build.append(FloatLayer(current.name or site, current.synapses, current.bias, fires=False)).name
            current = part if isinstance(part, Current) else current
        names.append(name)
        currents.append(current)
    index = value.index
    if alone and value.decode == "sigmoid" and value.seen in ((), (1,), (1, 1, 1)) and currents[0].shape == (1, 1, 1):
        build.layers[-1] = _against_zero(build.layers[-1])
        index = np.ones(value.seen, np.int32)
    return Ending(Output(site, tuple(names), value.seen, index, value.decode), tuple(currents))


def _against_zero(readout):
    """Return the readout of two channels, zero and what ``readout`` has as its only one."""
    synapses = (replace(s, weight=np.concatenate([0 * dense(s), dense(s)]), groups=1) for s in readout.synapses)
    return replace(readout, synapses=tuple(synapses), bias=np.append(0.0, readout.bias))
