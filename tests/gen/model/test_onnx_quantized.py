"""Quantized ONNX models in the QDQ form are read as the float network that they stand for."""

import logging

import numpy as np
import pytest
import torch
from onnx import load_from_string
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from gen.errors import UnsupportedModel
from gen.model.load import load
from tests.gen.model.onnx_maker import END, HEAD, PLAIN, STEM, model, run, weight
from tests.gen.model.reference import results

pytestmark = pytest.mark.usefixtures("one_thread")

CONV, RELU = PLAIN[:2]
SCALE = {"scale": np.float32(0.5), "zero": np.uint8(0), "low": np.int8(-128), "mid": np.uint8(128),
         "other": np.float32(0.25)}


class Images(CalibrationDataReader):
    """The images ``x``, one after another."""

    def __init__(self, x):
        self.rest = iter(x)

    def get_next(self):
        """Return the next image, by the name of the input."""
        image = next(self.rest, None)
        return None if image is None else {"x": image[None]}


def quantized_by_onnxruntime(path, made, x, activations, form=QuantFormat.QDQ, **options):
    path.write_bytes(made.SerializeToString())
    target = path.with_suffix(".quantized.onnx")
    quantize_static(path, target, Images(x), quant_format=form, activation_type=activations,
                    weight_type=QuantType.QInt8, **options)
    return load_from_string(target.read_bytes())


NODES = [CONV, RELU, ("Conv", "r,w", "d", {}), ("Add", "d,k", "e", {}), ("Clip", "e,none,most", "h", {}),
         ("MaxPool", "h", "p", {"kernel_shape": [2, 2]}), ("GlobalAveragePool", "p", "g", {}), *END[1:]]
MORE = {"w": weight(4, 4, 3, 3), "k": weight(4, 1, 1), "none": np.float32(0), "most": np.float32(1)}


@pytest.mark.parametrize("per_channel", [False, True])
def test_a_model_quantized_by_onnxruntime(tmp_path, per_channel, caplog):
    made = model(NODES, {**STEM, **HEAD, **MORE})
    x = np.random.default_rng(3).normal(size=(64, 2, 8, 8)).astype("float32")
    fine = quantized_by_onnxruntime(tmp_path / "m.onnx", made, x, QuantType.QUInt16, per_channel=per_channel)
    caplog.set_level(logging.INFO, "adafire.model")
    network, plain = load(fine), load(made)
    assert "nodes that quantize maps are dropped" in caplog.text
    assert [layer.name for layer in network.layers] == [layer.name for layer in plain.layers]
    (found,), wanted = results(network, torch.tensor(x)), run(fine, x)[0]
    error, of_float = (np.quantile(np.abs(found - other), 0.9) for other in (wanted, run(made, x)[0]))
    assert error < 1e-3 * np.abs(wanted).max() and error < of_float, "the weights are those of 8 bits"
    for node in fine.graph.node:
        node.domain = "com.microsoft" if node.op_type in ("QuantizeLinear", "DequantizeLinear") else ""
    fine.opset_import.add(domain="com.microsoft", version=1)
    assert load(fine).digest == network.digest, "a vendor's copies mean the same"


def test_a_model_that_computes_in_integers_is_refused(tmp_path):
    made = model(NODES, {**STEM, **HEAD, **MORE})
    x = np.random.default_rng(3).normal(size=(4, 2, 8, 8)).astype("float32")
    integers = quantized_by_onnxruntime(tmp_path / "m.onnx", made, x, QuantType.QUInt8, QuantFormat.QOperator)
    with pytest.raises(UnsupportedModel, match="QLinearConv.*computes in integers; nearest .*: the QDQ form"):
        load(integers)


def pair(zero, scale="scale"):
    return [("QuantizeLinear", f"c,scale,{zero}", "q", {}), ("DequantizeLinear", f"q,{scale},{zero}", "d", {})]


@pytest.mark.parametrize("zero, most", [("zero", 255), ("low", 255), ("", 255), ("mid", None)])
def test_a_pair_that_cuts_off_at_zero_is_the_relu_that_the_quantizer_dropped(zero, most):
    network = load(model([CONV, *pair(zero), ("GlobalAveragePool", "d", "g", {}), *END[1:]], {**STEM, **HEAD, **SCALE}))
    (first, *_) = network.layers
    assert first.ceiling == (None if most is None else most * 0.5) and first.signed == (most is None)


def test_what_orders_numbers_may_stand_within_a_pair():
    between = [("QuantizeLinear", "r,scale,mid", "q", {}), ("MaxPool", "q", "m", {"kernel_shape": [2, 2]}),
               ("Transpose", "m", "t", {"perm": [0, 2, 3, 1]}), ("DequantizeLinear", "t,scale,mid", "y", {})]
    floats = [("MaxPool", "r", "m", {"kernel_shape": [2, 2]}), ("Transpose", "m", "y", {"perm": [0, 2, 3, 1]})]
    assert load(model([CONV, RELU, *between], {**STEM, **SCALE})).digest == load(
        model([CONV, RELU, *floats], STEM)).digest


@pytest.mark.parametrize("nodes, reason", [
    ([*pair("zero", "other"), ("Relu", "d", "y", {})], "gives integers another meaning than they were made with"),
    ([pair("mid")[0], ("AveragePool", "q", "y", {"kernel_shape": [2, 2]})], "computes in integers"),
    ([("QuantizeLinear", "c,scale,mid", "y", {})], r"y \(output\): is made of integers"),
    ([("DynamicQuantizeLinear", "c", "y,s,z", {})], "computes in integers"),
    ([("ConvInteger", "c,whole", "y", {})], "computes in integers"),
    ([("QuantizeLinear", "c,,zero", "y", {})], "has no scale"),
    ([("QuantizeLinear", "scale,c,zero", "y", {})], "has scales that depend on the image"),
])
def test_integers_that_stay_are_refused(nodes, reason):
    with pytest.raises(UnsupportedModel, match=reason):
        load(model([CONV, *nodes], {**STEM, **SCALE, "whole": np.ones((2, 4, 1, 1), "int8")}))


def test_weights_are_dequantized_in_every_opset_and_by_blocks():
    whole = np.random.default_rng(0).integers(-128, 128, (4, 2, 3, 3)).astype("int8")
    scales = np.float32([0.5, 0.25, 1, 2])
    plain = model([("Conv", "x,w", "y", {})], {"w": whole * scales[:, None, None, None]})
    for opset in (10, 13, 19, 21):
        scale = scales if opset > 10 else np.float32(0.5)
        nodes = [("DequantizeLinear", "whole,scale", "w", {"axis": 0} if opset > 10 else {}), ("Conv", "x,w", "y", {})]
        wanted = model([("Conv", "x,w", "y", {})], {"w": whole * scale.reshape(-1, 1, 1, 1)})
        assert load(model(nodes, {"whole": whole, "scale": scale}, opset)).digest == load(wanted).digest
    blocks = np.float32([[0.5], [0.25], [1], [2]])[:, :, None, None].repeat(3, 2).repeat(3, 3)
    blocked = [("DequantizeLinear", "whole,scale", "w", {"axis": 1, "block_size": 2}), ("Conv", "x,w", "y", {})]
    assert load(model(blocked, {"whole": whole, "scale": blocks}, 21)).digest == load(plain).digest
