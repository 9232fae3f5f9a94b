"""Whether one ONNX node is valid, and how large its results are, before anything is computed."""

from __future__ import annotations

from math import prod

import numpy as np

from gen.model.onnx_graph import MAX_NUMBERS, STANDARD, first_line
from gen.model.refusal import Refused
from gen.model.optional import need

__all__ = ["WIDE", "known_operation", "result_shapes"]

onnx, shape_inference = need("onnx"), need("onnx.shape_inference")

WIDE = (np.float32, np.float64)
SMALL = 1024  # numbers of an input whose values, and not its shape alone, may set a size


def known_operation(node, opset: int) -> bool:
    """Return whether ONNX itself defines the operation of ``node`` in ``opset``."""
    try:
        return node.domain in STANDARD and bool(onnx.defs.get_schema(node.op_type, opset))
    except onnx.defs.SchemaError:
        return False


def result_shapes(node, opset: int, inputs: list, most: int = MAX_NUMBERS) -> list[tuple[int, ...] | None]:
    """Return the shape, N included, of every output of ``node``; None where it depends on values that are not known.

    ``inputs`` holds, for each input, a constant array, the shape of a map of floats, or None where it is absent.
    Raises Refused for a node that ONNX does not allow, and for a result of more than ``most`` numbers.
    """
    helper, kinds, known = onnx.helper, {}, {}
    try:
        for name, value in zip(node.input, inputs):
            if isinstance(value, np.ndarray):
                kinds[name] = helper.make_tensor_type_proto(_element_type(value), value.shape)
                if value.size <= SMALL:
                    small = value.astype(np.float32) if value.dtype in WIDE else value
                    known[name] = onnx.numpy_helper.from_array(small)
            elif name:
                kinds[name] = helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, value)
        results = shape_inference.infer_node_outputs(
            onnx.defs.get_schema(node.op_type, opset), node, kinds, known,
            opset_imports=[helper.make_opsetid("", opset)],
        )
    except (shape_inference.InferenceError, onnx.checker.ValidationError, KeyError, ValueError, TypeError) as error:
        raise Refused(f"is not valid ({first_line(error).rpartition('Error] ')[2]})", "the model as it was exported") \
            from error
    shapes = [_shape(results.get(name)) for name in node.output]
    numbers = max((prod(shape) for shape in shapes if shape is not None), default=0)
    if numbers > most:
        raise Refused(f"makes {numbers} numbers, of which {most} are computed at most", "smaller ones")
    return shapes


def _element_type(array):
    """Return the type of an array for ONNX; floats of 32 and 64 bits count as the same, as maps have no width."""
    return onnx.TensorProto.FLOAT if array.dtype in WIDE else onnx.helper.np_dtype_to_tensor_dtype(array.dtype)


def _shape(kind) -> tuple[int, ...] | None:
    """Return the shape in a TypeProto, or None where a size is not known."""
    if kind is None or not kind.tensor_type.HasField("shape"):
        return None
    sizes = kind.tensor_type.shape.dim
    if any(not size.HasField("dim_value") or size.dim_value < 0 for size in sizes):
        return None
    return tuple(size.dim_value for size in sizes)
