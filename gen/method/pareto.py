"""One choice for each layer: the exact Pareto front of total cost against total loss.

Costs and losses of layers add up, so a dynamic program over the layers is exact: of all partial choices only those
are kept that no other beats in both (Adaptive Calibration, AAAI 2025, section on burst allocation; here without
its budget, so that the whole front is there to be looked at).
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["Point", "pareto_front"]


@dataclass(frozen=True)
class Point:
    """A choice that nothing beats: ``choice`` holds the index of the option of every layer."""

    cost: float
    loss: float
    choice: tuple[int, ...]


def pareto_front(costs, losses):
    """Return the `Point`s of the front by rising cost, so by falling loss.

    ``costs`` and ``losses``: for every layer, in order, one number for each of its options. Of choices with
    equal cost and loss the one of the lowest indices stays.
    """
    cost, loss, parents = np.zeros(1), np.zeros(1), []
    for layer_costs, layer_losses in zip(costs, losses, strict=True):
        added = np.add.outer(cost, np.asarray(layer_costs, float))
        summed = np.add.outer(loss, np.asarray(layer_losses, float)).ravel()
        order = np.lexsort((summed, added.ravel()))
        best = np.minimum.accumulate(summed[order])
        kept = order[np.r_[True, best[1:] < best[:-1]]]
        parents.append(np.divmod(kept, added.shape[1]))
        cost, loss = added.ravel()[kept], summed[kept]
    rows, choices = np.arange(len(cost)), []
    for parent, option in reversed(parents):
        choices.append(option[rows])
        rows = parent[rows]
    # parents lead from the last layer to the first: the choices are put into the layers' own order
    table = np.array(choices[::-1]).reshape(len(parents), -1).T
    return [Point(float(c), float(s), tuple(map(int, row))) for c, s, row in zip(cost, loss, table)]
