"""Quantized ONNX models in the QDQ form, read as the float network that they stand for.

A pair of QuantizeLinear and DequantizeLinear on a map rounds to integers and back: it is dropped, and the log says
so. One thing that such a pair does is kept: quantizers drop a ReLU or a ReLU6 in front of a type whose smallest
integer means zero, since the pair cuts off there and at its largest integer by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gen.model import operations as ops
from gen.model.refusal import Refused

__all__ = ["INTEGERS", "KEEPING", "QDQ", "QUANTIZERS", "Integers", "dequantized", "quantized"]

QUANTIZERS = {"QuantizeLinear", "DequantizeLinear"}
KEEPING = {
    "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Split", "Gather", "MaxPool",
    "DepthToSpace", "SpaceToDepth",
}  # operations that commute with quantizing, which may stand between the two of a pair
INTEGERS = ("qlinear", "qgemm", "integer", "dynamicquantize", "nbits")  # parts of names of what computes in integers
TYPES = {2: np.uint8, 3: np.int8, 4: np.uint16, 5: np.int16}  # of onnx.TensorProto
QDQ = "the QDQ form of the quantized model, QuantFormat.QDQ, or the float model"


@dataclass(frozen=True, eq=False)
class Integers:
    """What integers mean: (integer - zero) * scale."""

    scale: np.ndarray
    zero: np.ndarray

    def same(self, other: Integers) -> bool:
        """Return whether both mean the same."""
        return np.array_equal(self.scale, other.scale) and np.array_equal(self.zero, other.zero)


def _integers(given):
    """Return what the node's integers mean, and their type."""
    scale, zero = given.constant(1, "scales"), given.constant(2, "zero points")
    if scale is None:
        raise Refused("has no scale", QDQ)
    kind = np.dtype(TYPES.get(given.get("output_dtype", 2), np.uint8)) if zero is None else zero.dtype
    if kind.kind not in "iu":
        raise Refused("quantizes to floats of few bits", "the float model")
    zero = np.zeros(np.shape(scale), kind) if zero is None else zero
    return Integers(scale, zero.astype(np.int64)), np.iinfo(kind)


def quantized(build, site, given):
    """Return the map itself, and what its integers mean."""
    value, (integers, kind) = given.view(), _integers(given)
    if value.pending and not value.decode and (integers.zero == kind.min).all():
        ceiling = float(np.max(integers.scale)) * (kind.max - kind.min) if np.size(integers.scale) == 1 else None
        value = ops.fire(build, site, value, ceiling=ceiling)
    return value, integers


def dequantized(build, site, given, integers):
    """Return the map itself, whose ``integers`` must mean what the node says."""
    if integers is None or not integers.same(_integers(given)[0]):
        raise Refused("gives integers another meaning than they were made with", QDQ)
    return given.view()
