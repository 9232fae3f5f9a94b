"""What one ONNX node is given, whatever the opset: values by position, attributes by name, shapes of its results."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gen.model.optional import need
from gen.model.refusal import Refused
from gen.model.values import View, is_constant

__all__ = ["Given", "attributes"]

helper = need("onnx.helper")


def attributes(node) -> dict:
    """Return name of every attribute of ``node`` to its value."""
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


@dataclass
class Given:
    """The inputs of a node.

    values : constants, floats among them as float64, and views, by position; None where one is absent
    attributes : by name
    opset : of the model
    batch : N, 1 where it is free
    results : shape of each output, N included, as ONNX infers it; None where it is not known
    last : whether what follows changes the order of the results alone, if anything
    """

    values: list
    attributes: dict
    opset: int
    batch: int
    results: list
    last: bool

    def __getitem__(self, index: int):
        return self.values[index] if index < len(self.values) else None

    def get(self, name: str, default=None):
        """Return the attribute ``name``; text as str."""
        value = self.attributes.get(name, default)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value

    def view(self, index: int = 0) -> View:
        """Return the input ``index``, which must be a map."""
        value = self[index]
        if not isinstance(value, View):
            raise Refused("reads a constant where the map is expected", "the map first, the constant second")
        return value

    def constant(self, index: int, what: str) -> np.ndarray | None:
        """Return the input ``index``, which must be a constant or absent."""
        if self[index] is not None and not is_constant(self[index]):
            raise Refused(f"has {what} that depend on the image", f"constant {what}")
        return self[index]

    def whole(self, name: str, index: int) -> list[int] | None:
        """Return as integers what is an attribute in old opsets and an input in new ones; None where absent."""
        value = self.attributes.get(name)
        value = self.constant(index, name) if value is None else value
        return None if value is None else [int(number) for number in np.ravel(value)]

    def number(self, name: str, index: int, default: float | None) -> float | None:
        """Return as a number what is an attribute in old opsets and an input in new ones."""
        value = self.attributes.get(name)
        value = self.constant(index, name) if value is None else value
        if value is None:
            return default
        if np.size(value) != 1:
            raise Refused(f"has {name} of {np.size(value)} numbers", "one number")
        return float(np.ravel(value)[0])

    def axis(self, axis: int, index: int = 0) -> int:
        """Return ``axis`` of the input ``index``, counted without N; Refused for N itself."""
        return self.axes([axis], index)[0]

    def axes(self, axes, index: int = 0) -> list[int]:
        """Return ``axes`` of the input ``index``, which may count from the end, without N; Refused for N itself."""
        rank = len(self.view(index).seen) + 1
        axes = [int(axis) + rank if axis < 0 else int(axis) for axis in axes]
        if any(not 0 <= axis < rank for axis in axes):
            raise Refused(f"names the axes {axes} of {rank}", "axes that exist")
        if 0 in axes:
            raise Refused("acts along N, across images", "axes after N")
        return [axis - 1 for axis in axes]

    def result(self, index: int = 0) -> tuple[int, ...]:
        """Return the shape of an output without N; Refused where it is not known."""
        if self.results[index] is None:
            raise Refused("makes a map of a size that is not fixed", "sizes written as constants")
        return self.results[index][1:]
