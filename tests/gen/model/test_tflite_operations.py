"""The door for TFLite, one operation at a time: the float network computes what LiteRT's interpreter computes."""

import numpy as np
import pytest

from tests.gen.model.tflite_maker import RELU, RELU6, SAME, VALID, Maker
from tests.gen.model.tflite_models import base, check, head, normal

pytestmark = pytest.mark.usefixtures("one_thread", "same_numbers")

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
