"""Small ONNX models for tests, written node by node."""

import numpy as np
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

from gen.model.load import load
from tests.gen.model.reference import results

__all__ = ["END", "HEAD", "IMAGE", "PLAIN", "STEM", "assert_computes", "model", "run", "value", "weight"]

RNG = np.random.default_rng(1)
IMAGE = ["N", 2, 8, 8]


def weight(*shape):
    return RNG.normal(size=shape).astype("float32")


STEM = {"stem.weight": weight(4, 2, 3, 3), "b": weight(4)}
HEAD = {"head.weight": weight(3, 4)}
END = [("GlobalAveragePool", "r", "g", {}), ("Flatten", "g", "f", {}), ("Gemm", "f,head.weight", "y", {"transB": 1})]
PLAIN = [("Conv", "x,stem.weight,b", "c", {"pads": [1, 1, 1, 1]}), ("Relu", "c", "r", {}), *END]


def value(name, shape=None, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def node(op, read, written, attributes):
    """Return the node of ``op``; names are one text, with commas between them."""
    read = read.split(",") if read else []
    return helper.make_node(op, read, written.split(","), name=f"/{written}", **attributes)


def model(nodes, weights, opset=17, shape=IMAGE, outputs=("y",), kind=TensorProto.FLOAT, inputs=1, domain="acme"):
    """Return a model of ``nodes``, (op, inputs, output, attributes), from x to the ``outputs``."""
    images = [value("x" * (i + 1), shape, kind) for i in range(inputs)]
    stored = [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()]
    graph = helper.make_graph([node(*parts) for parts in nodes], "g", images, [value(name) for name in outputs], stored)
    imports = [helper.make_opsetid("", opset), helper.make_opsetid(domain, 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def run(made, x):
    """Return what onnxruntime computes for ``x``."""
    onnxruntime.set_default_logger_severity(3)
    session = onnxruntime.InferenceSession(made.SerializeToString())
    return session.run(None, {session.get_inputs()[0].name: x})


def assert_computes(made, images=3, least=0.0):
    """Assert that the float network of the model ``made`` computes what onnxruntime computes; return it."""
    network = load(made)
    sizes = [size.dim_value or images for size in made.graph.input[0].type.tensor_type.shape.dim]
    x = np.random.default_rng(2).normal(size=sizes).astype("float32").clip(least)
    wanted = run(made, x)
    for output, found, want in zip(network.returns, results(network, torch.tensor(x)), wanted, strict=True):
        decode = {"": lambda v: v, "sigmoid": torch.sigmoid, "softmax": lambda v: v.softmax(1),
                  "log_softmax": lambda v: v.log_softmax(1)}[output.decode]
        found = decode(torch.as_tensor(found)).numpy()
        assert found.shape == want.shape and np.abs(want).max() > 0
        np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-4 * np.abs(want).max(), err_msg=output.name)
    return network
