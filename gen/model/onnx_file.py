"""The door for ONNX: a model of opset 7 or later becomes a `FloatNetwork`.

Reading, checking and walking are apart: `onnx_graph` says whether a model is whole and puts its nodes in order,
`onnx_walk` walks them once, `onnx_constants` computes what depends on weights and sizes alone, and `onnx_nodes`,
`onnx_windows` and `onnx_shapes` know the operations.
"""

from __future__ import annotations

from pathlib import Path

from gen.errors import InputError
from gen.model.network import FloatNetwork
from gen.model.onnx_graph import PARTS_MISSING, STANDARD, Graph, check_model, first_line, inlined, is_whole
from gen.model.onnx_walk import Walk
from gen.model.optional import need

__all__ = ["OLDEST_OPSET", "load_onnx", "read_onnx"]

onnx, external_data = need("onnx"), need("onnx.external_data_helper")
DecodeError = need("google.protobuf.message").DecodeError

OLDEST_OPSET = 7


def read_onnx(path: Path):
    """Return the `onnx.ModelProto` in the file ``path``, external data included, or raise InputError."""
    try:
        model = onnx.load(path, load_external_data=False)
        if not is_whole(model):
            raise ValueError(PARTS_MISSING)
    except (DecodeError, OSError, ValueError) as error:
        raise InputError(
            f"{path} is not an ONNX model ({first_line(error)}): it is truncated, or of another kind. Copy it again, "
            "or write one with torch.onnx.export(model.eval(), (images,), 'model.onnx')."
        ) from error
    check_model(model)
    try:
        external_data.load_external_data_for_model(model, str(path.parent))
    except (onnx.checker.ValidationError, OSError, ValueError) as error:
        places = sorted({entry.value for tensor in model.graph.initializer
                         for entry in tensor.external_data if entry.key == "location"})
        raise InputError(
            f"{path} keeps its weights in {', '.join(places)}, which cannot be read ({first_line(error)}). Put it "
            f"into the folder {path.parent}, beside the model."
        ) from error
    return model


def load_onnx(model) -> FloatNetwork:
    """Return the `FloatNetwork` of an `onnx.ModelProto`."""
    check_model(model)
    opset = _opset(model)
    model = inlined(model)
    return Walk(Graph.of(model.graph), opset).network()


def _opset(model) -> int:
    opset = next((entry.version for entry in model.opset_import if entry.domain in STANDARD), 1)
    newest = onnx.defs.onnx_opset_version()
    if opset > newest:
        raise InputError(
            f"The ONNX model is written in opset {opset}: the installed onnx {onnx.__version__} knows opsets up to "
            f"{newest}: pip install -U onnx."
        )
    if opset < OLDEST_OPSET:
        raise InputError(
            f"The ONNX model is written in opset {opset}: bring it to {OLDEST_OPSET} or later with "
            "onnx.version_converter.convert_version(model, 13)."
        )
    return opset
