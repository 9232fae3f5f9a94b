"""The door for TFLite: what it refuses, and with what reason."""

import numpy as np
import pytest

from gen.errors import InputError, UnsupportedModel
from gen.model.load import load
from tests.gen.model.tflite_maker import NONE, RELU, RELU_N1, SAME, TANH, VALID, Maker
from tests.gen.model.tflite_models import base, head, normal

pytestmark = pytest.mark.usefixtures("one_thread", "same_numbers")


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
