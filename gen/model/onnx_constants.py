"""Constants of an ONNX graph: what depends on weights and sizes alone, by ONNX's own reference implementation.

A node of a few bytes can ask for 2^62 numbers or for as many steps. So only operations of the list below are
computed, none of which loops or draws; the sizes of their results are known before, and all of them together are
bounded.
"""

from __future__ import annotations

from math import prod

import numpy as np

from gen.model.onnx_graph import MAX_NUMBERS, STANDARD, first_line
from gen.model.onnx_shapes import WIDE, result_shapes
from gen.model.refusal import Refused
from gen.model.optional import need

__all__ = ["Constants", "as_operand", "widened"]

onnx, reference = need("onnx"), need("onnx.reference")

COMPUTED = frozenset("""
    Abs Add And Cast CastLike Ceil Clip Concat Constant ConstantOfShape CumSum DequantizeLinear Div Equal Exp Expand
    EyeLike Flatten Floor Gather GatherElements GatherND Gemm Greater GreaterOrEqual Identity Less LessOrEqual Log
    MatMul Max Mean Min Mod Mul Neg NonZero Not OneHot Or Pad Pow QuantizeLinear Range Reciprocal ReduceMax ReduceMean
    ReduceMin ReduceProd ReduceSum Relu Reshape Round Shape Sigmoid Sign Size Slice Split Sqrt Squeeze Sub Sum Tile
    Transpose Trilu Unsqueeze Where Xor
""".split())
CONTROL = {"If", "Loop", "Scan", "SequenceMap"}
RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"}
AS_IN = {"DequantizeLinear": 21, "QuantizeLinear": 21}  # for more types than before, and the reference knows them
PRODUCTS = {"Gemm", "MatMul"}
MAX_PRODUCTS = 2**34
FOLD = "constants folded before, with onnxsim or the offline optimization of onnxruntime"


class Constants:
    """The constants of one graph of ``opset``, and how much may still be computed."""

    def __init__(self, opset: int):
        self.opset, self.numbers, self.products = opset, MAX_NUMBERS, MAX_PRODUCTS

    def compute(self, node, values: list) -> list[np.ndarray | None]:
        """Return the outputs of a ``node`` that reads the constants ``values``; Refused where that is not done."""
        op = node.op_type
        if op in CONTROL:
            raise Refused("is control flow", "the branch or the rounds that are taken, written out")
        if op in RANDOM:
            raise Refused("draws random numbers, others at each run", "weights stored in the model")
        if op not in COMPUTED or node.domain not in STANDARD:
            raise Refused("is not computed on constants", FOLD)
        feeds = {name: numbers(value) for name, value in zip(node.input, values) if name}
        opset = max(self.opset, AS_IN.get(op, 0))
        self._spend(node, feeds, result_shapes(node, opset, [feeds.get(name) for name in node.input]))
        names = [name for name in node.output if name]
        try:
            inputs, outputs = (
                [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in group]
                for group in (feeds, names)
            )
            graph = onnx.helper.make_graph([node], "constant", inputs, outputs)
            results = reference.ReferenceEvaluator(graph, opsets={"": opset}).run(names, feeds)
        except Exception as error:  # whatever an operation of the reference raises for what it cannot compute
            raise Refused(f"cannot be computed ({first_line(error)})", FOLD) from error
        computed = dict(zip(names, results))
        return [widened(np.asarray(computed[name])) if name else None for name in node.output]

    def _spend(self, node, feeds: dict, shapes: list) -> None:
        """Take what a node computes from what may be computed; Refused where that is more than is left."""
        if node.op_type == "NonZero":
            shapes = [(feed.ndim, feed.size) for feed in feeds.values()]
        if None in shapes:
            raise Refused("makes constants of a size that is not known before", FOLD)
        made = sum(map(prod, shapes))
        self.numbers -= made
        if node.op_type in PRODUCTS:
            self.products -= made * max(feeds[node.input[0]].shape, default=1)
        if self.numbers < 0 or self.products < 0:
            raise Refused(f"makes {made} numbers out of constants, more than are computed here", FOLD)


def as_operand(array: np.ndarray) -> np.ndarray:
    """Return a constant that meets a map, floats as float64; Refused for what is not of numbers."""
    array = numbers(array)
    if array.dtype.kind in "fV" and array.dtype not in WIDE:
        raise Refused(f"joins a constant of type {array.dtype.name} to a map", "floats of 16 bits or more")
    return array.astype(float) if array.dtype.kind == "f" else array


def widened(array: np.ndarray) -> np.ndarray:
    """Return floats of 16 bits as floats of 32, the same numbers: maps have no width, and constants meet in sums."""
    return array.astype(np.float32) if array.dtype.name in ("float16", "bfloat16") else array


def numbers(value) -> np.ndarray:
    """Return a constant as an array; Refused for text and complex numbers."""
    array = np.asarray(value)
    if array.dtype.kind in "OSUc":
        kind = "complex numbers" if array.dtype.kind == "c" else "text"
        raise Refused(f"reads a constant of {kind}", "weights as floats")
    return array
