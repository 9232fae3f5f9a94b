"""Every operation of the door for ONNX, in the spellings of all opsets, against onnxruntime."""

import numpy as np
import onnx
import pytest

from gen.errors import UnsupportedModel
from gen.model.load import load
from gen.model.onnx_file import OLDEST_OPSET
from gen.model.onnx_nodes import OPERATIONS
from tests.gen.model.onnx_maker import END, HEAD, PLAIN, STEM, assert_computes, model, run, weight

pytestmark = pytest.mark.usefixtures("one_thread")

INTS = np.array
CONV, RELU = ("Conv", "x,stem.weight,b", "c", {}), ("Relu", "c", "r", {})
LINE, FIRST, LAST = ["N", 2, 12], [0, 3, 1, 2], [0, 2, 3, 1]

# name: nodes from x; what they read; options of the model
MODELS = {
    "plain": (PLAIN, {}, {}),
    "conv: auto_pad, dilation, group": (
        [("Conv", "x,w,b", "c", {"auto_pad": "SAME_UPPER", "group": 2}), RELU,
         ("Conv", "r,v", "d", {"auto_pad": "SAME_LOWER", "kernel_shape": [2, 2], "strides": [2, 2]}),
         ("Conv", "d,u", "y", {"auto_pad": "VALID", "dilations": [2, 1]})],
        {"w": weight(4, 1, 3, 3), "v": weight(3, 4, 2, 2), "u": weight(2, 3, 2, 2)}, {}),
    "conv: asymmetric padding": ([("Conv", "x,stem.weight,b", "y", {"pads": [0, 1, 2, 0], "strides": [2, 1]})], {}, {}),
    "conv: 1-D": ([("Conv", "x,w,b", "c", {"pads": [2, 1], "strides": [2], "dilations": [2]}), RELU,
                   ("MaxPool", "r", "p", {"kernel_shape": [2], "strides": [1], "pads": [0, 1]}),
                   ("AveragePool", "p", "a", {"kernel_shape": [2], "strides": [2]}),
                   ("GlobalAveragePool", "a", "y", {})], {"w": weight(4, 2, 3)}, {"shape": LINE}),
    "transposed": ([CONV, RELU, ("ConvTranspose", "r,w,k", "y", {
        "strides": [2, 2], "pads": [1, 1, 0, 1], "output_padding": [1, 0]})],
                   {"w": weight(4, 3, 3, 3), "k": weight(3)}, {}),
    "transposed: groups, dilation": ([CONV, RELU, ("ConvTranspose", "r,w", "y", {"group": 2, "dilations": [2, 1]})],
                                     {"w": weight(4, 3, 2, 2)}, {}),
    "transposed: output_shape": ([CONV, RELU, ("ConvTranspose", "r,w", "y", {
        "strides": [2, 2], "output_shape": [12, 13], "auto_pad": "SAME_UPPER"})], {"w": weight(4, 3, 3, 3)}, {}),
    "transposed: 1-D, auto_pad": ([("Conv", "x,w,b", "c", {}), RELU, ("ConvTranspose", "r,v", "y", {
        "strides": [2], "auto_pad": "SAME_LOWER"})], {"w": weight(4, 2, 3), "v": weight(4, 3, 4)}, {"shape": LINE}),
    "pools": ([CONV, RELU, ("MaxPool", "r", "p", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
               ("MaxPool", "p", "q", {"kernel_shape": [2, 2], "dilations": [2, 2], "pads": [1, 1, 1, 1]}),
               ("AveragePool", "q", "a", {"kernel_shape": [2, 2], "auto_pad": "VALID"}),
               ("GlobalMaxPool", "a", "y", {})], {}, {}),
    "average with its padding": ([CONV, RELU, ("AveragePool", "r", "y", {
        "kernel_shape": [2, 3], "pads": [1, 1, 0, 1], "count_include_pad": 1, "strides": [2, 2]})], {}, {}),
    "average of the image": ([("AveragePool", "x", "y", {"kernel_shape": [2, 2], "strides": [2, 2]})], {}, {}),
    "max before the ReLU": ([CONV, ("MaxPool", "c", "m", {"kernel_shape": [2, 2]}), ("Relu", "m", "y", {})], {}, {}),
    "one axis after the other": ([CONV, RELU, ("ReduceMean", "r", "m", {"axes": [-1], "keepdims": 0}),
                                  ("ReduceMean", "m", "n", {"axes": [2], "keepdims": 0}),
                                  ("Gemm", "n,head.weight", "y", {"transB": 1})], {}, {}),
    "sum of rows and columns": ([CONV, RELU, ("ReduceSum", "r,axes", "y", {})], {"axes": INTS([-1, 2])}, {}),
    "largest of all": ([CONV, RELU, ("ReduceMax", "r", "y", {"axes": [2, 3], "keepdims": 0})], {}, {}),
    "no axes": ([CONV, RELU, ("ReduceSum", "r,axes", "y", {"noop_with_empty_axes": 1})], {"axes": INTS([], int)}, {}),
    "batch norm, residual": (
        [("Conv", "x,stem.weight,b", "c", {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
         ("BatchNormalization", "c,s,b,m,v", "n", {"epsilon": 1e-3}), ("Relu", "n", "a", {}),
         ("Conv", "a,w", "d", {}), ("Add", "d,t", "u", {}), ("Add", "a,u", "e", {}), ("Relu", "e", "r", {}), *END],
        {"w": weight(4, 4, 1, 1), "s": weight(4), "m": weight(4), "v": weight(4) ** 2 + 1,
         "t": weight(1, 4, 1, 1)}, {}),
    "batch norm before a convolution": (
        [CONV, RELU, ("BatchNormalization", "r,s,b,m,v", "n", {}), ("Conv", "n,w", "y", {})],
        {"w": weight(3, 4, 2, 2), "s": weight(4), "m": weight(4), "v": weight(4) ** 2 + 1}, {}),
    "normalisation in the graph": ([("Mul", "two,x", "d", {}), ("Sub", "d,one", "e", {}), ("Div", "e,std", "n", {}),
                                    ("Conv", "n,stem.weight,b", "y", {"pads": [1, 1, 1, 1]})],
                                   {"two": np.float32(2), "one": np.float32(1),
                                    "std": np.float32([0.2, 0.4]).reshape(1, 2, 1, 1)}, {}),
    "Gemm: alpha, beta": ([CONV, RELU, ("GlobalMaxPool", "r", "g", {}), ("Flatten", "g", "f", {"axis": -3}),
                           ("Gemm", "f,head.weight,k", "y", {"transB": 1, "alpha": 0.5, "beta": 2.0})],
                          {"k": weight(1, 3)}, {}),
    "Gemm: a map as bias": ([CONV, RELU, ("ReduceMean", "r", "m", {"axes": [2, 3], "keepdims": 0}),
                             ("Gemm", "m,sq,m", "y", {"beta": 0.5})], {"sq": weight(4, 4)}, {}),
    "MatMul on the last axis": (
        [CONV, RELU, ("Reshape", "r,flat", "f", {}), ("Transpose", "f", "t", {"perm": [0, 2, 1]}),
         ("MatMul", "t,w", "h", {}), ("Add", "h,k", "y", {})],
        {"flat": INTS([0, 4, -1]), "w": weight(4, 3), "k": weight(3)}, {}),
    "MatMul by a vector": ([CONV, RELU, *END[:2], ("MatMul", "f,w", "y", {})], {"w": weight(4)}, {}),
    "MatMul, the constant first": ([CONV, RELU, ("Reshape", "r,flat", "f", {}), ("MatMul", "w,f", "y", {})],
                                   {"flat": INTS([0, 4, -1]), "w": weight(1, 3, 4)}, {}),
    "two linear layers in a row": ([CONV, RELU, *END[:2], ("MatMul", "f,w", "h", {}), ("MatMul", "h,v", "y", {})],
                                   {"w": weight(4, 5), "v": weight(5, 3)}, {}),
    "arithmetic": (
        [CONV, RELU, ("Sub", "one,r", "s", {}), ("Neg", "s", "n", {}), ("Mul", "n,c4", "m", {}),
         ("Div", "m,two", "d", {}),
         ("Relu", "d", "e", {}), ("Sum", "e,r,c4", "t", {}), ("Sub", "t,d", "u", {}), ("Mean", "u,r", "v", {}),
         ("Relu", "v", "y", {})],
        {"one": np.float32(1), "two": np.float32(2), "c4": weight(4, 1, 1)}, {}),
    "activations": (
        [CONV, ("LeakyRelu", "c", "l", {}), ("Conv", "l,w", "d", {}), ("PRelu", "d,p", "e", {}),
         ("Conv", "e,w", "f", {}), ("Clip", "f,zero,six", "g", {}), ("Conv", "g,w", "h", {}),
         ("Clip", "h,zero,", "i", {}), ("Conv", "i,w", "j", {}), ("Max", "j,zero", "k", {}),
         ("Min", "k,six", "l2", {}), ("ThresholdedRelu", "l2", "y", {"alpha": 0.0})],
        {"w": weight(4, 4, 1, 1), "p": np.float32([0.1, 0.5, 1, 0]).reshape(4, 1, 1), "zero": np.float32(0),
         "six": np.float32(2)}, {}),
    "bounds that are none": ([CONV, ("Clip", "c,low,high", "y", {})],
                             {"low": -np.finfo(np.float32).max, "high": np.finfo(np.float32).max}, {}),
    "concat, zeros among it, split, slice": (
        [("Slice", "x,lo,hi", "x0", {}), CONV, RELU, ("Concat", "nought,r,nought,x0,nought", "j", {"axis": -3}),
         ("Split", "j,parts", "a,e", {"axis": 1}), ("Slice", "a,from,to,axes,steps", "s", {}),
         ("Conv", "s,w", "u", {}), ("Conv", "e,v", "o", {"strides": [2, 2]}), ("Add", "u,o", "y", {})],
        {"nought": np.zeros((1, 1, 6, 6), "float32"), "parts": INTS([4, 5]), "from": INTS([0, -6]),
         "to": INTS([2**62, 6]),
         "axes": INTS([-1, 2]), "steps": INTS([2, 2]), "w": weight(3, 4, 1, 1), "v": weight(3, 5, 1, 1),
         "lo": INTS([0, 0, 1, 1]), "hi": INTS([2**40, 2, 7, 7])}, {"shape": [1, 2, 8, 8]}),
    "gather, tile, expand": (
        [CONV, RELU, ("Gather", "r,order", "o", {"axis": 1}), ("Conv", "o,w", "d", {}), ("Relu", "d", "e", {}),
         ("GlobalAveragePool", "e", "m", {}), ("Expand", "m,whole", "n", {}), ("Tile", "e,twice", "t", {}),
         ("Concat", "n,t", "q", {"axis": 1}), ("Conv", "q,v", "y", {})],
        {"order": INTS([3, -3, 0]), "w": weight(2, 3, 1, 1), "whole": INTS([1, 1, 6, 6]),
         "twice": INTS([1, 2, 1, 1]), "v": weight(3, 6, 3, 3)}, {}),
    "gather one row": ([CONV, RELU, ("Gather", "r,row", "g", {"axis": -2}), ("Conv", "g,w", "y", {})],
                       {"row": INTS(2), "w": weight(3, 4, 2)}, {}),
    "shuffle": ([CONV, RELU, ("Reshape", "r,two", "s", {}), ("Transpose", "s", "t", {"perm": [0, 2, 1, 3, 4]}),
                 ("Reshape", "t,back", "u", {}), ("Conv", "u,w", "y", {"group": 2})],
                {"two": INTS([0, 2, 2, 6, 6]), "back": INTS([-1, 4, 6, 6]), "w": weight(4, 2, 3, 3)}, {}),
    "pad anywhere": ([("Pad", "x,pads,,some", "o", {}), ("Conv", "o,w", "c", {}), ("Relu", "c", "r", {}),
                      ("Pad", "r,cut", "p", {}), ("Conv", "p,v", "y", {})],
                     {"pads": INTS([1, 0, 2, 1, 0, 2]), "some": INTS([-1, -3, 2]), "w": weight(4, 2, 3, 3),
                      "cut": INTS([0, 1, -1, 0, 0, 0, 0, -2]), "v": weight(3, 5, 2, 2)}, {"opset": 18}),
    "pad that pads nothing": ([CONV, ("Pad", "c,pads", "y", {"mode": "reflect"})], {"pads": INTS([0] * 8)}, {}),
    "depth to space": ([CONV, RELU, ("DepthToSpace", "r", "y", {"blocksize": 2, "mode": "CRD"})], {}, {}),
    "depth to space and back": ([CONV, RELU, ("SpaceToDepth", "r", "s", {"blocksize": 2}), ("Conv", "s,w", "d", {}),
                                 ("DepthToSpace", "d", "y", {"blocksize": 2})], {"w": weight(8, 16, 1, 1)}, {}),
    "shapes as constants": (
        [("Identity", "x", "i", {}), ("Cast", "i", "j", {"to": 1}),
         ("Conv", "j,stem.weight,b", "c", {"strides": [3, 3]}), RELU,
         ("Dropout", "r,", "p,mask", {}), ("Shape", "p", "s", {}), ("Gather", "s,first", "n", {"axis": 0}),
         ("Constant", "", "rest", {"value_ints": [-1]}), ("Concat", "n,rest", "to", {"axis": 0}),
         ("Reshape", "p,to", "f", {}), ("Transpose", "deep.weight", "wt", {"perm": [1, 0]}),
         ("MatMul", "f,wt", "h", {}), ("Add", "h,k", "y", {})],
        {"first": INTS([0]), "deep.weight": weight(3, 16), "k": weight(3)}, {}),
    "squeeze and unsqueeze": (
        [CONV, RELU, ("ReduceMean", "r", "m", {"axes": [-1, -2]}), ("Squeeze", "m,last", "s", {}),
         ("Squeeze", "s,last", "t", {}), ("Unsqueeze", "t,both", "u", {}), ("Conv", "u,one", "d", {}),
         ("Flatten", "d", "f", {}), ("LogSoftmax", "f", "y", {})],
        {"last": INTS([-1]), "both": INTS([2, -1]), "one": weight(3, 4, 1, 1)}, {}),
    "sigmoid, then another order": ([CONV, ("Sigmoid", "c", "s", {}), ("Transpose", "s", "t", {"perm": LAST}),
                                     ("Reshape", "t,flat", "y", {})], {"flat": INTS([0, -1, 4])}, {}),
    "channels last": (
        [("Sub", "x,mid", "z", {}), ("Transpose", "z", "t", {"perm": FIRST}),
         ("Conv", "t,stem.weight,b", "c", {}), RELU, ("Transpose", "r", "l", {"perm": LAST}), ("Mul", "l,s", "m", {}),
         ("Transpose", "m", "n", {"perm": FIRST}), ("Conv", "n,w", "d", {}), ("Relu", "d", "e", {}),
         ("Transpose", "e", "o", {"perm": LAST}),
         ("Reshape", "o,flat", "f", {}), ("MatMul", "f,v", "y", {})],
        {"mid": np.float32([0.5, 0.25]), "s": weight(4), "w": weight(3, 4, 3, 3), "flat": INTS([0, -1]),
         "v": weight(48, 2)}, {"shape": ["N", 8, 8, 2]}),
    "a vector": ([("Gemm", "x,w", "h", {}), ("Relu", "h", "r", {}), ("Gemm", "r,v", "z", {}),
                  ("Softmax", "z", "y", {})],
                 {"w": weight(6, 5), "v": weight(5, 3)}, {"shape": ["N", 6]}),
    "a batch of fixed size": ([*PLAIN[:2], ("Reshape", "r,flat", "y", {})], {"flat": INTS([3, 256])},
                              {"shape": [3, 2, 8, 8]}),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_float_network_is_the_model(name):
    nodes, more, options = MODELS[name]
    assert_computes(model(nodes, {**STEM, **HEAD, **more}, **options))


RESIZES = [
    (coordinates, nearest) for coordinates in
    ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "tf_half_pixel_for_nn", "asymmetric", "align_corners")
    for nearest in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
]


@pytest.mark.parametrize("factors", [(2, 2), (3, 1), (4, 5)])
def test_nearest_resize_is_taken_exactly_where_it_is_a_repetition(factors):
    taken, x = [], np.random.default_rng(0).normal(size=(1, 2, 8, 8)).astype("float32")
    repeated = run(model([CONV, ("Relu", "c", "y", {})], STEM), x)[0].repeat(factors[0], 2).repeat(factors[1], 3)
    for coordinates, nearest in RESIZES:
        made = model([CONV, RELU, ("Resize", "r,none,scales", "y", {
            "coordinate_transformation_mode": coordinates, "nearest_mode": nearest})],
            {**STEM, "none": np.zeros(0, "float32"), "scales": np.float32([1, 1, *factors])},
            opset=19 if coordinates == "half_pixel_symmetric" else 11)
        if np.array_equal(run(made, x)[0], repeated):
            assert_computes(made)
            taken.append((coordinates, nearest))
        else:
            with pytest.raises(UnsupportedModel, match="Resize.*nearest Upsample by an integer"):
                load(made)
    assert ("half_pixel", "round_prefer_floor") in taken and ("asymmetric", "floor") in taken


@pytest.mark.parametrize("attributes, feeds", [
    ({}, "r,,,sizes"), ({"mode": "linear"}, "m,,,sizes"),
    ({"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}, "r,,half"),
])
def test_resize_to_sizes_of_one_position_and_downwards(attributes, feeds):
    assert_computes(model([CONV, RELU, ("GlobalAveragePool", "r", "m", {}), ("Resize", feeds, "y", attributes)], {
        **STEM, "sizes": INTS([3, 4, 12, 18]), "half": np.float32([1, 1, 0.5, 0.5])}, shape=[3, 2, 8, 8]))


def spelled(opset):
    """Return one network in the spelling of ``opset``: what became inputs later, attributes earlier."""
    weights = {**STEM, **HEAD, "k": np.zeros(3, "float32")}

    def stored(op, read, written, since, **lists):
        if opset < since:
            return op, read, written, lists
        weights.update({f"{written}.{name}": np.array(numbers) for name, numbers in lists.items()})
        return op, ",".join([read, *(f"{written}.{name}" for name in lists)]), written, {}

    enlarged = "Upsample" if opset < 10 else "Resize"
    if opset < 9:
        larger = (enlarged, "r", "e", {"scales": [1.0, 1.0, 2.0, 2.0]})
    else:
        weights["scales"] = np.float32([1, 1, 2, 2])
        read = "r,scales" if opset < 11 else "r,,scales" if opset > 12 else "r,none,scales"
        larger = (enlarged, read, "e", {} if opset < 11 else {
            "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"})
    weights |= {"none": np.zeros(0, "float32")} if opset in (11, 12) else {}
    made = model([
        stored("Pad", "x", "o", 11, pads=[0, 0, 1, 1, 0, 0, 1, 1]), ("Conv", "o,stem.weight,b", "c", {}),
        ("Clip", "c", "r", {"min": 0.0, "max": 6.0}) if opset < 11 else ("Clip", "c,zero,six", "r", {}), larger,
        stored("Slice", "e", "q", 10, starts=[1, -8], ends=[9, 2**40], axes=[2, 3]),
        stored("Split", "q", "q1,q2", 13, split=[3, 1]) if opset < 13 else ("Split", "q,parts", "q1,q2", {"axis": 1}),
        ("Concat", "q2,q1", "j", {"axis": 1}),
        stored("ReduceMean", "j", "m", 18, axes=[2, -1] if opset >= 11 else [2, 3]),
        stored("Squeeze", "m", "s", 13, axes=[2, 3]), stored("Unsqueeze", "s", "u", 13, axes=[2, 3]),
        stored("Squeeze", "u", "t", 13, axes=[2, 3]),
        ("Dropout", "t", "d", {} if opset >= 12 else {"ratio": 0.5}),
        ("Gemm", "d,head.weight,k", "l", {"transB": 1}), ("Softmax", "l", "y", {}),
    ], weights | ({"zero": np.float32(0), "six": np.float32(6)} if opset >= 11 else {})
       | ({"parts": np.array([3, 1])} if opset >= 13 else {}), opset)
    if opset < 13:
        made.graph.node[5].attribute.append(onnx.helper.make_attribute("axis", 1))
    onnx.checker.check_model(onnx.shape_inference.infer_shapes(made))
    return made


def test_every_opset_says_the_same():
    opsets = [*range(OLDEST_OPSET, onnx.defs.onnx_opset_version() + 1)]
    assert len({load(spelled(opset)).digest for opset in opsets}) == 1 and {9, 11, 12, 13, 18} < set(opsets)
    assert_computes(spelled(17))


def test_every_operation_has_a_test():
    tested = {parts[0] for nodes, *_ in MODELS.values() for parts in nodes} | {"CastLike", "Resize", "Upsample"}
    assert set(OPERATIONS) <= tested


def test_constants_of_16_bits_and_models_of_64():
    half = {name: array.astype("float16") for name, array in STEM.items()}
    nodes = [("CastLike", "stem.weight,x", "w", {}), ("CastLike", "b,x", "k", {}), ("Conv", "x,w,k", "y", {})]
    assert_computes(model(nodes, half))
    double = model(nodes, half, kind=onnx.TensorProto.DOUBLE)
    assert load(double).digest == load(model(nodes, half)).digest


def test_a_sum_that_two_layers_read_is_a_layer_and_one_that_is_measured_is_not():
    nodes = [CONV, RELU, ("Shape", "c", "s", {}), ("Reshape", "r,s", "q", {}), ("Conv", "q,w", "y", {})]
    more = {**STEM, "w": weight(3, 4, 1, 1)}
    assert len(load(model(nodes, more)).layers) == 2
    twice = [CONV, RELU, ("Conv", "c,w", "d", {}), ("Conv", "r,w", "e", {}), ("Add", "d,e", "y", {})]
    network = assert_computes(model(twice, more))
    assert [layer.signed for layer in network.layers if layer.role == "spiking"] == [True, False]


def test_several_outputs_keep_their_names_and_order():
    nodes = [CONV, RELU, ("Conv", "r,w", "map", {}), *END[:2], ("Gemm", "f,head.weight", "scores", {"transB": 1})]
    network = assert_computes(model(nodes, {**STEM, **HEAD, "w": weight(2, 4, 1, 1)}, outputs=("scores", "map", "r")))
    assert [output.name for output in network.returns] == ["scores", "map", "r"]
