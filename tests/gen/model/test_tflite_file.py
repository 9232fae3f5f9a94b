"""The door for TFLite: outputs, inputs and types of whole models, as LiteRT's interpreter has them."""

import numpy as np
import pytest

from gen.model.load import load
from tests.gen.model.tflite_maker import RELU, RELU6, SAME, Maker, float_weights, interpreted
from tests.gen.model.tflite_models import RNG, base, check, head, normal, results

pytestmark = pytest.mark.usefixtures("one_thread", "same_numbers")


def test_outputs_of_all_kinds():
    m = Maker()
    x = base(m)
    mask = m.conv(x, normal(2, 1, 1, 4), (1, 8, 8, 2), normal(2))
    scores = head(m, x, (8, 8, 4))
    again = m.node("RESHAPE", [m.conv(x, normal(6, 3, 3, 4), (1, 4, 4, 6), normal(6), (2, 2)), m.const([1, 32, 3])],
                   (1, 32, 3), "ReshapeOptions")
    content = m.content(
        m.node("LOGISTIC", [mask], (1, 8, 8, 2)), m.node("SOFTMAX", [scores], (1, 3), "SoftmaxOptions", beta=2.0),
        m.node("LOG_SOFTMAX", [again], (1, 32, 3), "LogSoftmaxOptions"),
        m.conv(x, normal(3, 3, 3, 4), (1, 8, 8, 3), act=RELU),
    )
    network = check(content, (8, 8, 3))
    assert [output.decode for output in network.returns] == ["sigmoid", "softmax", "log_softmax", ""]
    assert [output.name for output in network.returns] == ["logistic6", "softmax7", "log_softmax8", "conv_2d9"]


def test_a_normalisation_of_the_image_and_sums_read_twice():
    m = Maker()
    x = m.input(1, 8, 8, 3)
    x = m.node("SUB", [x, m.const([0.1, 0.2, 0.3])], (1, 8, 8, 3), "SubOptions")
    x = m.node("MUL", [x, m.const([2.0, 4.0, 0.5])], (1, 8, 8, 3), "MulOptions")
    y = m.conv(x, normal(4, 3, 3, 3), (1, 8, 8, 4), normal(4))
    z = m.conv(y, normal(4, 3, 3, 4), (1, 8, 8, 4), normal(4), act=RELU)
    y = m.node("ADD", [y, z], (1, 8, 8, 4), "AddOptions", fusedActivationFunction=RELU)
    network = check(m.content(head(m, y, (8, 8, 4))), (8, 8, 3))
    np.testing.assert_allclose(network.mean, [0.1, 0.2, 0.3], rtol=1e-6)
    np.testing.assert_allclose(network.std, [0.5, 0.25, 2.0], rtol=1e-6)
    assert sum(layer.signed for layer in network.layers if layer.fires) == 1


def test_sequences_and_vectors():
    m = Maker()
    x = m.input(1, 16, 3)
    y = m.node("EXPAND_DIMS", [x, m.const(np.array(1))], (1, 1, 16, 3), "ExpandDimsOptions")
    y = m.conv(y, normal(5, 1, 3, 3), (1, 1, 8, 5), normal(5), (1, 2), act=RELU)
    y = m.node("SQUEEZE", [y], (1, 8, 5), "SqueezeOptions", squeezeDims=[1])
    y = m.node("MEAN", [y, m.const([1])], (1, 5), "ReducerOptions")
    network = check(m.content(m.linear(y, normal(2, 5), (1, 2))), (16, 3))
    assert network.shape == (3, 1, 16)
    m = Maker()
    y = m.linear(m.input(1, 12), normal(8, 12), (1, 8), normal(8), RELU)
    content = m.content(m.linear(m.linear(y, normal(2, 8), (1, 2), normal(2)), normal(12, 2), (1, 12), normal(12)))
    assert check(content, (12,)).shape == (12, 1, 1)
    assert load(content, (3, 2, 2)).shape == (3, 2, 2)


def test_an_image_with_channels_first_is_taken_as_such():
    m = Maker()
    x = m.node("TRANSPOSE", [m.input(1, 3, 8, 6), m.const([0, 2, 3, 1])], (1, 8, 6, 3), "TransposeOptions")
    content = m.content(head(m, m.conv(x, normal(4, 3, 3, 3), (1, 8, 6, 4), act=RELU), (8, 6, 4)))
    network, images = load(content), RNG.normal(size=(3, 3, 8, 6)).astype("f4")
    assert network.shape == (3, 8, 6)
    np.testing.assert_allclose(results(network, np.moveaxis(images, 1, -1))[0], interpreted(content, images)[0],
                               rtol=1e-4, atol=1e-5)
    m = Maker()
    x = m.node("RESHAPE", [m.input(1, 4, 16), m.const([1, 4, 1, 16])], (1, 4, 1, 16), "ReshapeOptions")
    x = m.node("TRANSPOSE", [x, m.const([0, 2, 3, 1])], (1, 1, 16, 4), "TransposeOptions")
    content = m.content(head(m, m.conv(x, normal(4, 1, 3, 4), (1, 1, 16, 4), act=RELU), (1, 16, 4)))
    assert load(content).shape == (4, 1, 16)
    m = Maker()
    x = m.node("RESHAPE", [m.input(1, 1, 8, 6), m.const([1, 8, 6, 1])], (1, 8, 6, 1), "ReshapeOptions")
    content = m.content(head(m, m.conv(x, normal(4, 3, 3, 1), (1, 8, 6, 4), act=RELU), (8, 6, 4)))
    assert load(content).shape == (1, 8, 6)


def quantized_pair(kind):
    """Return a model of ``kind`` uint8 or int8, and the float network it stands for, as a float model."""
    zero = {"u1": 128, "i1": -5}[kind]
    low = {"u1": 0, "i1": -127}[kind]
    weights = [RNG.integers(low, 127, (4, 3, 3, 3)), RNG.integers(low, 127, (3, 256))]
    biases = [RNG.integers(-500, 500, 4), RNG.integers(-500, 500, 3)]
    per_channel = kind == "i1"
    scales = [np.array([0.004, 0.005, 0.003, 0.006]) if per_channel else np.array([0.004]), np.array([0.002])]
    zeros = [0, 0] if per_channel else [100, 90]
    m, f = Maker(), Maker()
    x, u = m.input(1, 8, 8, 3, dtype=kind, scale=0.01, zero=zero), f.input(1, 8, 8, 3)
    ends = [m.const(weights[0].astype(kind), scale=scales[0], zero=zeros[0]),
            m.const(biases[0].astype("i4"), scale=scales[0] * 0.01)]
    y = m.node("CONV_2D", [x, *ends], (1, 8, 8, 4), "Conv2DOptions", padding=SAME, strideH=1, strideW=1,
               fusedActivationFunction=RELU6, dtype=kind, scale=6 / 255, zero={"u1": 0, "i1": -128}[kind])
    y = m.node("RESHAPE", [y, m.const([1, 256])], (1, 256), "ReshapeOptions", dtype=kind, scale=6 / 255,
               zero={"u1": 0, "i1": -128}[kind])
    ends = [m.const(weights[1].astype(kind), scale=scales[1], zero=zeros[1]),
            m.const(biases[1].astype("i4"), scale=scales[1] * 6 / 255)]
    z = m.node("FULLY_CONNECTED", [y, *ends], (1, 3), "FullyConnectedOptions", dtype=kind, scale=0.08, zero=zero)
    real = [(w - o) * s.reshape(-1, *(1,) * (w.ndim - 1)) for w, o, s in zip(weights, zeros, scales)]
    v = f.conv(u, real[0], (1, 8, 8, 4), biases[0] * scales[0] * 0.01, act=RELU6)
    v = f.node("RESHAPE", [v, f.const([1, 256])], (1, 256), "ReshapeOptions")
    w = f.linear(v, real[1], (1, 3), biases[1] * scales[1] * 6 / 255)
    return m.content(m.node("DEQUANTIZE", [z], (1, 3))), f.content(w), zero


@pytest.mark.parametrize("kind", ["u1", "i1"])
def test_a_quantized_model_is_the_float_network_that_it_stands_for(kind, caplog):
    quantized, real, zero = quantized_pair(kind)
    caplog.set_level("INFO", "adafire.model")
    network, offset = load(quantized), {"u1": 0, "i1": 128}[kind]
    pixels = RNG.integers(0, 256, (4, 8, 8, 3))
    numbers = (pixels - offset - zero) * 0.01
    (found,), (expected,) = results(network, pixels / 255), results(load(real), numbers)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    (run,) = interpreted(quantized, pixels - offset)
    assert np.abs(found - run).max() < 0.03 * np.abs(run).max()  # what its rounding of maps costs
    assert network.layers[0].ceiling == 6
    assert "4 maps are quantized in the model: it is read as its float network" in caplog.text


def test_float16_weights_and_weights_of_eight_bits_are_read():
    m = Maker()
    x = m.input(1, 8, 8, 3)
    half = m.const(normal(4, 3, 3, 3).astype("f2"))
    weight = m.node("DEQUANTIZE", [half], (4, 3, 3, 3))
    y = m.conv(x, weight, (1, 8, 8, 4), normal(4), act=RELU)
    check(m.content(head(m, y, (8, 8, 4))), (8, 8, 3))
    eight = m.const(RNG.integers(-127, 127, (4, 3, 3, 4)).astype("i1"), scale=[0.01] * 4)
    content = m.content(head(m, m.conv(y, eight, (1, 8, 8, 4), normal(4), act=RELU), (8, 8, 4)))
    images = RNG.uniform(-1, 1, (3, 8, 8, 3)).astype("f4")
    (found,), (expected,) = results(load(content), images), interpreted(float_weights(content), images)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
