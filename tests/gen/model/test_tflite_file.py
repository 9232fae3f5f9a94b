"""The door for TFLite: the float network computes what LiteRT's interpreter computes, and every refusal."""

import numpy as np
import pytest
import torch

from gen.errors import InputError, UnsupportedModel
from gen.method.simulate import activations
from gen.model.load import load
from tests.gen.model.tflite_maker import (
    NONE, RELU, RELU6, RELU_N1, SAME, TANH, VALID, Maker, float_weights, interpreted,
)

pytestmark = pytest.mark.usefixtures("one_thread")

RNG = np.random.default_rng(7)


@pytest.fixture(autouse=True)
def same_numbers():
    """Let every test draw the same numbers, whichever run before it."""
    RNG.bit_generator.state = np.random.default_rng(7).bit_generator.state


def normal(*shape):
    return RNG.normal(size=shape) / np.sqrt(np.prod(shape[1:]) + 1)


def results(network, images):
    """Return what the network returns for ``images`` [N, ...], channels last, in the shape that the model gives it."""
    x = torch.tensor(np.moveaxis(images, -1, 1) if images.ndim > 2 else images, dtype=torch.float32)
    x = x.reshape(len(x), *network.shape)
    if network.mean is not None:
        mean, std = (torch.tensor(v, dtype=torch.float32)[:, None, None] for v in (network.mean, network.std))
        x = (x - mean) / std
    maps = activations(network, x)
    return [output.assemble({name: maps[name].numpy() for name in output.readouts}) for output in network.returns]


def check(content, shape):
    """Assert that network and interpreter agree on random images of ``shape``; return the network."""
    images = RNG.uniform(-1, 1, (3, *shape)).astype("f4")
    network = load(content)
    found, expected = results(network, images), interpreted(content, images)
    assert len(found) == len(expected)
    for ours, theirs, output in zip(found, expected, network.returns):
        ours = {"softmax": softmax, "log_softmax": lambda x: np.log(softmax(x)), "sigmoid": sigmoid,
                "": lambda x: x}[output.decode](ours)
        assert ours.shape == theirs.shape and np.abs(theirs).max() > 0
        assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()
    return network


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def head(m, x, shape, classes=3):
    """Add a linear layer over all of ``x``."""
    size = int(np.prod(shape))
    return m.linear(m.node("RESHAPE", [x, m.const([1, size])], (1, size), "ReshapeOptions"), normal(classes, size),
                    (1, classes), normal(classes))


def base(m, shape=(8, 8, 4), act=RELU):
    """Add an image and a first convolution with a map of ``shape``."""
    x = m.input(1, shape[0], shape[1], 3)
    return m.conv(x, normal(shape[2], 3, 3, 3), (1, *shape), normal(shape[2]), act=act)


OPERATIONS = {}


def operation(function):
    """Note a test model: it adds to a map of shape (8, 8, 4), made by ReLU, and returns its result and shape."""
    OPERATIONS[function.__name__] = function
    return function


@operation
def strided_convolution(m, x):
    return m.conv(x, normal(6, 3, 2, 4), (1, 4, 4, 6), normal(6), stride=(2, 2), act=RELU), (4, 4, 6)


@operation
def dilated_convolution(m, x):
    return m.conv(x, normal(6, 3, 3, 4), (1, 4, 6, 6), stride=(1, 1), padding=VALID, dilation=(2, 1)), (4, 6, 6)


@operation
def grouped_convolution(m, x):
    return m.conv(x, normal(6, 3, 3, 2), (1, 8, 8, 6), normal(6), act=RELU6), (8, 8, 6)


@operation
def depthwise_convolution(m, x):
    return m.conv(x, normal(1, 3, 3, 8), (1, 4, 4, 8), normal(8), (2, 2), act=RELU, depthwise=2), (4, 4, 8)


@operation
def linear_bottleneck(m, x):
    y = m.conv(x, normal(2, 1, 1, 4), (1, 8, 8, 2), normal(2))
    z = m.conv(m.conv(y, normal(6, 1, 1, 2), (1, 8, 8, 6), act=RELU6), normal(2, 1, 1, 6), (1, 8, 8, 2), normal(2))
    return m.node("ADD", [z, y], (1, 8, 8, 2), "AddOptions"), (8, 8, 2)


@operation
def average_pool(m, x):
    return m.pool("AVERAGE_POOL_2D", x, (2, 2), (2, 2), (1, 4, 4, 4), SAME), (4, 4, 4)


@operation
def max_pool_with_padding(m, x):
    return m.pool("MAX_POOL_2D", x, (3, 3), (2, 2), (1, 4, 4, 4), SAME, RELU6), (4, 4, 4)


@operation
def max_pool_behind_a_border(m, x):
    y = m.conv(x, normal(5, 3, 3, 4), (1, 8, 8, 5), normal(5) - 1)
    pads, lowest = m.const([[0, 0], [1, 1], [0, 1], [0, 0]]), m.const(np.float32(-np.inf))
    y = m.node("PADV2", [y, pads, lowest], (1, 10, 9, 5))
    return m.pool("MAX_POOL_2D", y, (3, 3), (2, 2), (1, 4, 4, 5), VALID, RELU), (4, 4, 5)


@operation
def global_mean(m, x):
    y = m.conv(x, normal(5, 1, 1, 4), (1, 8, 8, 5), normal(5))
    return m.node("MEAN", [y, m.const([1, 2])], (1, 5), "ReducerOptions", keepDims=False), (5,)


@operation
def sum_and_largest(m, x):
    y = m.node("SUM", [x, m.const([-3, 2])], (1, 1, 1, 4), "ReducerOptions", keepDims=True)
    z = m.node("REDUCE_MAX", [x, m.const([1, 2])], (1, 1, 1, 4), "ReducerOptions", keepDims=True)
    return m.node("CONCATENATION", [y, z], (1, 1, 1, 8), "ConcatenationOptions", axis=-1), (1, 1, 8)


@operation
def norm_before_convolution(m, x):
    y = m.node("MUL", [x, m.const(normal(4))], (1, 8, 8, 4), "MulOptions")
    y = m.node("ADD", [y, m.const(normal(1, 1, 1, 4))], (1, 8, 8, 4), "AddOptions", fusedActivationFunction=RELU)
    y = m.node("SUB", [y, m.const(np.float32(0.25))], (1, 8, 8, 4), "SubOptions")
    y = m.node("DIV", [y, m.const(np.float32(2))], (1, 8, 8, 4), "DivOptions")
    return m.conv(y, normal(3, 3, 3, 4), (1, 8, 8, 3), normal(3)), (8, 8, 3)


@operation
def difference_of_maps(m, x):
    y = m.conv(x, normal(4, 1, 1, 4), (1, 8, 8, 4), normal(4), act=RELU)
    y = m.node("SUB", [x, y], (1, 8, 8, 4), "SubOptions", fusedActivationFunction=RELU)
    return m.node("SUB", [m.const(normal(4)), y], (1, 8, 8, 4), "SubOptions"), (8, 8, 4)


@operation
def slopes(m, x):
    y = m.conv(x, normal(4, 3, 3, 4), (1, 8, 8, 4), normal(4))
    y = m.node("LEAKY_RELU", [y], (1, 8, 8, 4), "LeakyReluOptions", alpha=0.1)
    y = m.conv(y, normal(4, 3, 3, 4), (1, 8, 8, 4), normal(4))
    y = m.node("PRELU", [y, m.const(np.abs(normal(1, 1, 4)))], (1, 8, 8, 4))
    y = m.conv(y, normal(4, 3, 3, 4), (1, 8, 8, 4), normal(4))
    return m.node("MAXIMUM", [y, m.const(np.float32(0))], (1, 8, 8, 4), "MaximumMinimumOptions"), (8, 8, 4)


@operation
def activations_apart(m, x):
    y = m.node("RELU6", [m.conv(x, 9 * normal(4, 3, 3, 4), (1, 8, 8, 4))], (1, 8, 8, 4))
    y = m.node("RELU", [m.conv(y, normal(4, 3, 3, 4), (1, 8, 8, 4))], (1, 8, 8, 4))
    return m.node("RELU_0_TO_1", [m.conv(y, 9 * normal(4, 3, 3, 4), (1, 8, 8, 4))], (1, 8, 8, 4)), (8, 8, 4)


@operation
def padded_apart(m, x):
    y = m.node("PAD", [x, m.const([[0, 0], [0, 1], [1, 0], [0, 2]])], (1, 9, 9, 6), "PadOptions")
    y = m.node("PADV2", [y, m.const([[0, 0], [1, 0], [0, 1], [0, 0]]), m.const(np.float32(0))], (1, 10, 10, 6))
    return m.conv(y, normal(3, 3, 3, 6), (1, 4, 4, 3), normal(3), (2, 2), VALID, RELU), (4, 4, 3)


@operation
def transposed_convolution(m, x):
    y = m.node("TRANSPOSE_CONV", [m.const([1, 16, 16, 2]), m.const(normal(2, 2, 2, 4)), x], (1, 16, 16, 2),
               "TransposeConvOptions", padding=SAME, strideH=2, strideW=2)
    y = m.node("RELU", [y], (1, 16, 16, 2))
    z = m.node("TRANSPOSE_CONV", [m.const([1, 33, 33, 3]), m.const(normal(3, 3, 3, 2)), y, m.const(normal(3))],
               (1, 33, 33, 3), "TransposeConvOptions", padding=VALID, strideH=2, strideW=2)
    w = m.node("TRANSPOSE_CONV", [m.const([1, 32, 32, 3]), m.const(normal(3, 3, 3, 2)), y], (1, 32, 32, 3),
               "TransposeConvOptions", padding=SAME, strideH=2, strideW=2)
    z = m.pool("AVERAGE_POOL_2D", z, (33, 33), (33, 33), (1, 1, 1, 3))
    w = m.pool("AVERAGE_POOL_2D", w, (32, 32), (32, 32), (1, 1, 1, 3))
    return m.node("ADD", [z, w], (1, 1, 1, 3), "AddOptions"), (1, 1, 3)


@operation
def decoder(m, x):
    y = m.pool("MAX_POOL_2D", x, (2, 2), (2, 2), (1, 4, 4, 4))
    y = m.node("RESIZE_NEAREST_NEIGHBOR", [y, m.const([8, 8])], (1, 8, 8, 4), "ResizeNearestNeighborOptions",
               halfPixelCenters=True)
    y = m.node("CONCATENATION", [x, y], (1, 8, 8, 8), "ConcatenationOptions", axis=3)
    return m.conv(y, normal(3, 3, 3, 8), (1, 8, 8, 3), normal(3)), (8, 8, 3)


@operation
def pooled_and_spread(m, x):
    y = m.node("MEAN", [x, m.const([1, 2])], (1, 1, 1, 4), "ReducerOptions", keepDims=True)
    y = m.conv(y, normal(4, 1, 1, 4), (1, 1, 1, 4), normal(4), act=RELU)
    y = m.node("RESIZE_BILINEAR", [y, m.const([8, 8])], (1, 8, 8, 4), "ResizeBilinearOptions")
    return m.node("CONCATENATION", [y, x], (1, 8, 8, 8), "ConcatenationOptions", axis=3), (8, 8, 8)


@operation
def shuffle(m, x):
    y = m.conv(x, normal(6, 1, 1, 2), (1, 8, 8, 6), normal(6), act=RELU)
    y = m.node("RESHAPE", [y, m.const([1, 8, 8, 2, 3])], (1, 8, 8, 2, 3), "ReshapeOptions")
    y = m.node("TRANSPOSE", [y, m.const([0, 1, 2, 4, 3])], (1, 8, 8, 3, 2), "TransposeOptions")
    y = m.node("RESHAPE", [y, m.const([-1, 8, 8, 6])], (1, 8, 8, 6), "ReshapeOptions")
    return m.conv(y, normal(4, 1, 1, 3), (1, 8, 8, 4), normal(4), act=RELU), (8, 8, 4)


@operation
def parts(m, x):
    a, b = m.node("SPLIT", [m.const(np.array(3)), x], (1, 8, 8, 2), "SplitOptions", results=2, numSplits=2)
    c = m.conv(a, normal(3, 3, 3, 2), (1, 8, 8, 3), normal(3), act=RELU)
    d, e = m.node("SPLIT_V", [c, m.const([1, 2]), m.const(np.array(-1))], (1, 8, 8, 1), "SplitVOptions", results=2,
                  numSplits=2)
    m.tensors[e].shape = [1, 8, 8, 2]
    g = m.node("SLICE", [x, m.const([0, 0, 0, 1]), m.const([-1, 8, 8, 2])], (1, 8, 8, 2), "SliceOptions")
    h = m.node("GATHER", [x, m.const([3, 0])], (1, 8, 8, 2), "GatherOptions", axis=3)
    y = m.node("CONCATENATION", [d, e, b, g, h], (1, 8, 8, 9), "ConcatenationOptions", axis=-1)
    return m.conv(y, normal(4, 3, 3, 9), (1, 8, 8, 4), normal(4), act=RELU), (8, 8, 4)


@operation
def every_second_pixel(m, x):
    y = m.node("STRIDED_SLICE", [x, m.const([0, 0, 1, 0]), m.const([1, 8, 8, 2]), m.const([1, 2, 2, 1])], (1, 4, 4, 2),
               "StridedSliceOptions", beginMask=2, endMask=6)
    z = m.conv(x, normal(2, 3, 3, 4), (1, 4, 4, 2), normal(2), (2, 2))
    y = m.node("ADD", [y, z], (1, 4, 4, 2), "AddOptions", fusedActivationFunction=RELU)
    z = m.node("STRIDED_SLICE", [y, m.const([0, -1, 0, 0]), m.const([1, 4, 4, 2]), m.const([1, 1, 1, 1])], (1, 4, 2),
               "StridedSliceOptions", shrinkAxisMask=2)
    return z, (4, 2)


@operation
def parts_of_a_sum(m, x):
    y = m.conv(x, normal(4, 3, 3, 4), (1, 8, 8, 4), normal(4))
    a, b = m.node("SPLIT", [m.const(np.array(3)), y], (1, 8, 8, 2), "SplitOptions", results=2, numSplits=2)
    a = m.node("RELU", [a], (1, 8, 8, 2))
    return m.node("CONCATENATION", [a, b], (1, 8, 8, 4), "ConcatenationOptions", axis=3), (8, 8, 4)


@operation
def channels_padded_by_concatenation(m, x):
    return m.node("CONCATENATION", [x, m.const(np.zeros((1, 8, 8, 2)))], (1, 8, 8, 6), "ConcatenationOptions",
                  axis=3), (8, 8, 6)


@operation
def blocks(m, x):
    y = m.node("SPACE_TO_DEPTH", [x], (1, 4, 4, 16), "SpaceToDepthOptions", blockSize=2)
    y = m.conv(y, normal(8, 3, 3, 16), (1, 4, 4, 8), normal(8), act=RELU)
    return m.node("DEPTH_TO_SPACE", [y], (1, 8, 8, 2), "DepthToSpaceOptions", blockSize=2), (8, 8, 2)


@operation
def stacked(m, x):
    y = m.node("UNPACK", [x], (1, 8, 8), "UnpackOptions", results=4, num=4, axis=3)
    return m.node("PACK", [y[2], y[0], y[1]], (1, 8, 8, 3), "PackOptions", axis=3, valuesCount=3), (8, 8, 3)


@operation
def shape_computed_by_the_model(m, x):
    shape = m.node("SHAPE", [x], (4,), "ShapeOptions", dtype="i4", outType=2)
    first = m.node("STRIDED_SLICE", [shape, m.const([0]), m.const([1]), m.const([1])], (), "StridedSliceOptions",
                   dtype="i4", shrinkAxisMask=1)
    sizes = m.node("PACK", [first, m.const(np.array(256))], (2,), "PackOptions", dtype="i4", valuesCount=2)
    return m.node("RESHAPE", [x, sizes], (1, 256), "ReshapeOptions"), (256,)


@operation
def linear_on_the_last_axis(m, x):
    y = m.linear(x, normal(5, 4), (1, 8, 8, 5), normal(5), RELU, keep=True)
    y = m.node("RESHAPE", [y, m.const([1, 64, 5])], (1, 64, 5), "ReshapeOptions")
    y = m.node("BATCH_MATMUL", [y, m.const(normal(5, 2))], (1, 64, 2), "BatchMatMulOptions")
    return y, (64, 2)


@operation
def squeezed(m, x):
    y = m.pool("AVERAGE_POOL_2D", x, (8, 1), (8, 1), (1, 1, 8, 4))
    y = m.node("SQUEEZE", [y], (1, 8, 4), "SqueezeOptions", squeezeDims=[1])
    y = m.node("EXPAND_DIMS", [y, m.const(np.array(1))], (1, 1, 8, 4), "ExpandDimsOptions")
    return m.conv(y, normal(3, 1, 3, 4), (1, 1, 8, 3), normal(3), act=RELU), (1, 8, 3)


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_float_network_is_the_model(name):
    m = Maker()
    x = base(m)
    result, shape = OPERATIONS[name](m, x)
    check(m.content(head(m, result, shape)), (8, 8, 3))


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


def refused(add, shape=(8, 8, 4), act=RELU):
    m = Maker()
    x = base(m, shape, act)
    y = add(m, x)
    with pytest.raises(UnsupportedModel) as caught:
        load(m.content(head(m, y, shape) if m.tensors[y].shape == [1, *shape] else y))
    return caught.value.problems


REFUSED = {
    "quantizes": (lambda m, x: m.node("HARD_SWISH", [x], (1, 8, 8, 4)),
                  "hard_swish1 (HARD_SWISH): is not made of straight lines"),
    "gates": (lambda m, x: m.node("MUL", [x, m.node("LOGISTIC", [x], (1, 8, 8, 4))], (1, 8, 8, 4), "MulOptions"),
              "logistic1 (LOGISTIC): is not the last operation; nearest supported form: ReLU"),
    "product": (lambda m, x: m.node("MUL", [x, x], (1, 8, 8, 4), "MulOptions"), "(MUL): multiplies two maps"),
    "clip": (lambda m, x: m.conv(x, normal(4, 3, 3, 4), (1, 8, 8, 4), act=RELU_N1), "RELU_N1_TO_1, which cuts off be"),
    "tanh": (lambda m, x: m.conv(x, normal(4, 3, 3, 4), (1, 8, 8, 4), act=TANH), "TANH, which is not made of straight"),
    "border": (lambda m, x: m.pool("AVERAGE_POOL_2D", x, (3, 3), (1, 1), (1, 8, 8, 4), SAME),
               "divides by another number at the border"),
    "resize": (lambda m, x: m.node("RESIZE_BILINEAR", [x, m.const([16, 16])], (1, 16, 16, 4), "ResizeBilinearOptions"),
               "weighs neighbours by their distance"),
    "part": (lambda m, x: m.node("RESIZE_NEAREST_NEIGHBOR", [x, m.const([12, 12])], (1, 12, 12, 4),
                                 "ResizeNearestNeighborOptions"), "makes 8x8 positions 12x12; nearest supported"),
    "corners": (lambda m, x: m.node("RESIZE_NEAREST_NEIGHBOR", [x, m.const([16, 16])], (1, 16, 16, 4),
                                    "ResizeNearestNeighborOptions", alignCorners=True), "aligns corners"),
    "mirror": (lambda m, x: m.node("MIRROR_PAD", [x, m.const([[0, 0], [1, 1], [1, 1], [0, 0]])], (1, 10, 10, 4),
                                   "MirrorPadOptions"), "(MIRROR_PAD): is outside the contract"),
    "ones": (lambda m, x: m.node("PADV2", [x, m.const([[0, 0], [1, 1], [1, 1], [0, 0]]), m.const(np.float32(1))],
                                 (1, 10, 10, 4)), "pads other than with zeros"),
    "lowest border": (lambda m, x: m.conv(
        m.node("PADV2", [x, m.const([[0, 0], [1, 1], [1, 1], [0, 0]]), m.const(np.float32(-np.inf))], (1, 10, 10, 4)),
        normal(4, 3, 3, 4), (1, 8, 8, 4), padding=VALID), "reads a map that is padded with the lowest number"),
    "images": (lambda m, x: m.node("RESHAPE", [x, m.const([2, 128])], (2, 128), "ReshapeOptions"),
               "makes [1, 8, 8, 4] [2, 128], across images"),
    "order": (lambda m, x: m.node("TRANSPOSE", [x, m.const([1, 0, 2, 3])], (8, 1, 8, 4), "TransposeOptions"),
              "orders the axes as [1, 0, 2, 3], across images"),
    "over N": (lambda m, x: m.node("MEAN", [x, m.const([0])], (8, 8, 4), "ReducerOptions"), "reduces N, across images"),
    "custom": (lambda m, x: m.node("CUSTOM", [x], (1, 8, 8, 4), custom="TFLite_Detection_PostProcess"),
               "(TFLite_Detection_PostProcess): is outside the contract"),
    "large": (lambda m, x: m.node("RESIZE_NEAREST_NEIGHBOR", [x, m.const([2**20, 2**20])], (1, 2**20, 2**20, 4),
                                  "ResizeNearestNeighborOptions"), "makes a map of 1048576x1048576x4"),
    "computed weights": (lambda m, x: m.conv(x, x, (1, 8, 8, 4)), "has weights that depend on the image"),
    "divided by maps": (lambda m, x: m.node("DIV", [m.const(normal(4)), x], (1, 8, 8, 4), "DivOptions"),
                        "has divisors that depend on the image"),
    "lowest": (lambda m, x: m.node("MAXIMUM", [x, m.const(np.float32(-1))], (1, 8, 8, 4), "MaximumMinimumOptions"),
               "cuts off at another number than zero"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_counterpart_is_refused(name):
    add, text = REFUSED[name]
    problems = refused(add)
    assert text in problems[0], problems


def test_every_problem_is_listed_at_once():
    def several(m, x):
        y = m.node("HARD_SWISH", [x], (1, 8, 8, 4))
        y = m.conv(y, normal(4, 3, 3, 4), (1, 8, 8, 4), normal(4), act=TANH)
        return m.pool("AVERAGE_POOL_2D", y, (3, 3), (1, 1), (1, 8, 8, 4), SAME)

    assert [problem.split(":")[0] for problem in refused(several)] == [
        "hard_swish1 (HARD_SWISH)", "conv_2d2 (CONV_2D)", "average_pool_2d3 (AVERAGE_POOL_2D)"]


def test_models_of_another_kind():
    def built(change=lambda m: None, **known):
        m = Maker()
        x = m.input(1, 8, 8, 3, **known)
        y = head(m, m.conv(x, normal(4, 3, 3, 3), (1, 8, 8, 4), act=NONE), (8, 8, 4))
        change(m)
        return m.content(y)

    for content, text in [
        (built(lambda m: m.inputs.append(m.tensor((1, 2)))), "takes 2 inputs and returns 1 results; it must take one"),
        (built(free=(0, 1, 2)), r"takes images of a size that is not fixed, \[N, \?, \?, 3\]; only N may be"),
        (built(dtype="i4"), "takes images of type INT32; it must take floats or quantized integers"),
        (built(dtype="u1", scale=[1.0, 2.0, 3.0], axis=3), "images of type UINT8 by 3 scales; it must be uint8 or"),
    ]:
        with pytest.raises(InputError, match=text):
            load(content)
    assert load(built(free=(0,))).shape == (3, 8, 8)
