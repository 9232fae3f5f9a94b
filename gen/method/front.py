"""A search's Pareto front: what was tried, what may be had for what, what was taken; as JSON and as a picture."""

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gen.errors import InputError
from gen.folders import work_beside
from gen.method.pareto import pareto_front

__all__ = ["Front", "front_of", "save_front"]

SHOWN = 100
WIDE = 5  # the greatest loss over the median


@dataclass(frozen=True)
class Front:
    """The outcome of one search.

    kind : burst caps, compression or weight bits; unit : of the costs
    values : layer name to the values tried; taken : index into ``points`` of the choice in force
    reference : the cost before the search
    points : `gen.method.pareto.Point` by rising cost; loss is the rise of the divergence, nats per image
    """

    kind: str
    unit: str
    values: dict
    reference: float
    points: tuple
    taken: int = -1

    def choice(self, index=None):
        """Return layer name to the value of the point ``index``, by default the one taken."""
        chosen = self.points[self.taken if index is None else index].choice
        return {name: values[i] for (name, values), i in zip(self.values.items(), chosen)}

    def within(self, budget):
        """Return the front with the point of least loss that costs at most ``budget`` taken, or None."""
        affordable = sum(point.cost <= budget * (1 + 1e-9) for point in self.points)
        return replace(self, taken=affordable - 1) if affordable else None

    def as_dict(self):
        """Return what JSON holds: up to 100 points, evenly along the front and the one taken."""
        kept = np.unique(np.r_[np.linspace(0, len(self.points) - 1, SHOWN).astype(int), self.taken])
        return {
            "search": self.kind, "unit": self.unit, "reference_cost": round(self.reference, 3),
            "choice": self.choice(), "tried": {name: list(values) for name, values in self.values.items()},
            "front": [[round(self.points[i].cost, 3), round(self.points[i].loss, 9)] for i in kept],
            "taken": int(np.searchsorted(kept, self.taken)),
        }


def front_of(kind, unit, options, reference):
    """Return the `Front` of ``options``: layer name to (values, costs, losses)."""
    values, costs, losses = zip(*options.values())
    return Front(kind, unit, dict(zip(options, map(tuple, values))), reference, tuple(pareto_front(costs, losses)))


def save_front(searched, path):
    """Write ``searched``, a `Front.as_dict`, to ``path`` with the suffixes .json and .svg; return both paths."""
    path = Path(path)
    paths = path.with_name(path.name + ".json"), path.with_name(path.name + ".svg")
    for target, write in zip(paths, (_write_json, _plot)):
        try:
            with work_beside(target) as beside:
                write(searched, beside / target.name)
                os.replace(beside / target.name, target)
        except OSError as error:
            raise InputError(f"{target} cannot be written ({error}): name a folder you may write to.") from error
    return paths


def _write_json(searched, path):
    path.write_text(json.dumps(searched, indent=1) + "\n")


def _scale(loss):
    """Return the scale of an axis on which the small losses are seen beside the large: logarithmic if it takes that."""
    size = np.abs(loss)
    if size.max() <= WIDE * np.median(size):
        return {"value": "linear"}
    return {"value": "log"} if loss.min() > 0 else {"value": "symlog", "linthresh": float(size.max()) / 1e3}


def _plot(searched, path):
    """Draw loss over cost; the same front gives the same bytes."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    cost, loss = np.array(searched["front"]).T
    with pyplot.rc_context({"svg.hashsalt": "adafire", "font.size": 10}):
        figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
        axes.step(cost, loss, where="post", color="#2266aa", linewidth=1)
        axes.plot(cost, loss, ".", color="#2266aa", markersize=4)
        axes.plot(cost[searched["taken"]], loss[searched["taken"]], "o", color="#cc4422", label="taken")
        axes.axvline(searched["reference_cost"], color="#888888", linestyle=":", label="before the search")
        axes.set(xlabel=f"cost: {searched['unit']}", ylabel="rise of the divergence, nats per image",
                 title=searched["search"])
        axes.set_yscale(**_scale(loss))
        axes.legend()
        axes.grid(alpha=0.3)
        figure.savefig(path, metadata={"Date": None})
        pyplot.close(figure)
