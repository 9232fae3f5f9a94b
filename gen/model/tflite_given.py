"""What a TFLite node is given: values by position, options by name; and the two layouts of a map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from gen.model import operations as ops
from gen.model.refusal import LINEAR_PIECES, Refused
from gen.model.tflite_model import Node, Tensor, tflite
from gen.model.values import View

__all__ = ["MAX_MAP", "Bordered", "Given", "check_size", "planes", "to_last"]

ACTIVATIONS = {value: name for name, value in vars(tflite.ActivationFunctionType).items() if isinstance(value, int)}
CEILINGS = {"RELU": None, "RELU6": 6.0, "RELU_0_TO_1": 1.0}
MAX_MAP = 2**26  # numbers


@dataclass(frozen=True, eq=False)
class Bordered:
    """A map in a border of the lowest number there is: what converters write in front of a padded maximum pool.

    padding : (top, left, bottom, right)
    """

    view: View
    padding: tuple[int, int, int, int]


class Given:
    """What a node is given: values by position, options by name, the tensors it makes."""

    def __init__(self, node: Node, values: Sequence, results: Sequence[Tensor], batch: int, last: bool):
        self.op, self.options, self.values, self.results = node.op, node.options, values, results
        self.batch, self.last = batch, last

    def __getitem__(self, index):
        return self.values[index] if index < len(self.values) else None

    def option(self, name, default=None):
        """Return the option ``name``; without ``default`` it must be there."""
        value = self.options.get(name, default)
        if value is None:
            raise Refused(f"has no option {name}: the file is damaged", "the model converted again")
        return value

    def map(self, index=0) -> View:
        """Return the value at ``index``, which is computed from the image."""
        value = self[index]
        if isinstance(value, Bordered):
            raise Refused("reads a map that is padded with the lowest number", "a maximum pool behind that padding")
        if not isinstance(value, View):
            raise Refused("reads a constant where a map is needed", "the map as its first input")
        return value

    def operand(self, index) -> View | np.ndarray:
        """Return the value at ``index``, a constant or one that is computed from the image."""
        value = self[index]
        return value if isinstance(value, np.ndarray) else self.map(index)

    def constant(self, index, what, rank=None) -> np.ndarray:
        """Return the constant at ``index``, which the message calls ``what``."""
        value = self[index]
        if not isinstance(value, np.ndarray):
            raise Refused(f"has {what} that depend on the image", f"constant {what}")
        if rank is not None and value.ndim != rank:
            raise Refused(f"has {what} of shape {value.shape}", f"{what} of {rank} axes")
        return value

    def integers(self, index, what) -> list[int]:
        """Return the constant at ``index`` as integers."""
        return [int(n) for n in np.ravel(self.constant(index, what))]

    @property
    def stride(self) -> tuple[int, int]:
        """The stride of a window."""
        return self.option("StrideH"), self.option("StrideW")

    @property
    def padding(self) -> str:
        """The padding of a window: same or valid."""
        return "same" if self.option("Padding") == tflite.Padding.SAME else "valid"

    def axis(self, number, rank) -> int:
        """Return the axis ``number``, N included, as one after N."""
        if not -rank - 1 <= number <= rank or number % (rank + 1) == 0:
            raise Refused(f"works on axis {number}, across images", "axes after N")
        return number % (rank + 1) - 1

    def activated(self, build, site, value) -> View:
        """Return ``value`` behind the activation that is fused to the operation."""
        name = ACTIVATIONS.get(self.option("FusedActivationFunction", 0), "unknown")
        if name == "NONE":
            return value
        if name not in CEILINGS:
            reason = "cuts off below zero too" if name == "RELU_N1_TO_1" else LINEAR_PIECES
            raise Refused(f"ends in {name}, which {reason}", "RELU or RELU6")
        return ops.fire(build, site, value, ceiling=CEILINGS[name])


def to_last(build, site: str, value: View) -> View:
    """Return a map with its channels last, as TFLite has them."""
    return ops.transpose(build, site, value, (*range(1, len(value.seen)), 0))


def planes(build, site: str, value: View) -> View:
    """Return a map of rows, columns and channels with its channels first."""
    if len(value.seen) != 3:
        raise Refused(f"works on a map of shape {value.seen}", "maps of rows, columns and channels")
    return ops.transpose(build, site, value, (2, 0, 1))


def check_size(*sizes: int) -> None:
    """Refuse a map of ``sizes`` that is too large to look at."""
    if prod(sizes) > MAX_MAP or min(sizes) < 0:
        raise Refused(f"makes a map of {'x'.join(map(str, sizes))}", f"maps of up to {MAX_MAP} numbers")
