"""The door for ONNX: every operation and every opset's spelling of it, against ONNX's own reference; every refusal."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from gen.errors import InputError, UnsupportedModel
from gen.method.simulate import activations
from gen.model.builder import SUPPORTED
from gen.model.load import load
from gen.model.onnx_file import OLDEST_OPSET

RNG = np.random.default_rng(1)
IMAGE = ["N", 2, 8, 8]


def weight(*shape):
    return RNG.normal(size=shape).astype("float32")


def model(nodes, weights, opset=17, shape=IMAGE, result=("N", 3), kind=TensorProto.FLOAT, inputs=1):
    """Return a model of ``nodes``, (op, inputs, output, attributes), from x to y."""
    made = [helper.make_node(op, read.split(",") if read else [], written.split(","), name=f"/{written}", **attributes)
            for op, read, written, attributes in nodes]
    images = [helper.make_tensor_value_info("x" * (i + 1), kind, shape) for i in range(inputs)]
    graph = helper.make_graph(made, "g", images, [helper.make_tensor_value_info("y", TensorProto.FLOAT, result)],
                              [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()])
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("acme", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


STEM = {"stem.weight": weight(4, 2, 3, 3), "b": weight(4)}
HEAD = {"head.weight": weight(3, 4)}
INTS = np.array
END = [("GlobalAveragePool", "r", "g", {}), ("Flatten", "g", "f", {}),
       ("Gemm", "f,head.weight", "y", {"transB": 1})]
PLAIN = [("Conv", "x,stem.weight,b", "c", {"pads": [1, 1, 1, 1]}), ("Relu", "c", "r", {}), *END]

MODELS = {
    "plain": (PLAIN, {}),
    "auto_pad, dilation, group": (
        [("Conv", "x,w,b", "c", {"auto_pad": "SAME_UPPER", "dilations": [2, 2], "group": 2}), ("Relu", "c", "r", {}),
         ("AveragePool", "r", "p", {"kernel_shape": [3, 3], "strides": [1, 1], "auto_pad": "VALID"}),
         ("MaxPool", "p", "q", {"kernel_shape": [3, 3], "auto_pad": "SAME_LOWER"}),
         ("GlobalMaxPool", "q", "g", {}), ("Flatten", "g", "f", {"axis": -3}),
         ("Gemm", "f,head.weight,k", "y", {"transB": 1, "alpha": 0.5, "beta": 2.0})],
        {"w": weight(4, 1, 3, 3), "k": weight(1, 3)}),
    "batch norm, residual, pad": (
        [("Pad", "x,pads", "o", {}), ("Conv", "o,stem.weight", "c", {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
         ("BatchNormalization", "c,s,b,m,v", "n", {"epsilon": 1e-3}), ("Relu", "n", "a", {}),
         ("Conv", "a,w", "d", {}), ("Add", "d,t", "u", {}), ("Add", "a,u", "e", {}), ("Relu", "e", "r", {}), *END],
        {"pads": INTS([0, 0, 1, 1, 0, 0, 1, 1]), "w": weight(4, 4, 1, 1), "s": weight(4), "m": weight(4),
         "v": weight(4) ** 2 + 1, "t": weight(1, 4, 1, 1)}),
    "constants, sizes, no-ops": (
        [("Identity", "x", "i", {}), ("Cast", "i", "j", {"to": TensorProto.FLOAT}),
         ("Conv", "j,stem.weight,b", "c", {"strides": [3, 3]}), ("Relu", "c", "r", {}),
         ("Dropout", "r,", "p,mask", {}), ("Shape", "p", "s", {}), ("Gather", "s,zero", "n", {"axis": 0}),
         ("Constant", "", "rest", {"value_ints": [-1]}), ("Concat", "n,rest", "to", {"axis": 0}),
         ("Reshape", "p,to", "f", {}), ("Transpose", "deep.weight", "wt", {"perm": [1, 0]}),
         ("MatMul", "f,wt", "h", {}), ("Add", "h,k", "y", {})],
        {"zero": INTS([0]), "deep.weight": weight(3, 16), "k": weight(3)}),
    "pad before a pool, squeeze and unsqueeze": (
        [("Conv", "x,stem.weight,b", "c", {}), ("Relu", "c", "r", {}), ("Pad", "r,pads", "o", {}),
         ("AveragePool", "o", "p", {"kernel_shape": [2, 2], "strides": [2, 2]}), ("ReduceMean", "p", "m", {
             "axes": [-1, -2]}), ("Squeeze", "m,last", "s", {}), ("Squeeze", "s,two", "t", {}),
         ("Unsqueeze", "t,both", "u", {}), ("Conv", "u,one", "d", {}), ("Flatten", "d", "f", {}),
         ("LogSoftmax", "f", "y", {"axis": -1})],
        {"pads": INTS([0, 0, 1, 1, 0, 0, 1, 1]), "last": INTS([3]), "two": INTS([-1]), "both": INTS([2, 3]),
         "one": weight(3, 4, 1, 1)}),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_float_network_is_the_model(name):
    nodes, more = MODELS[name]
    made = model(nodes, {**STEM, **HEAD, **more})
    network, x = load(made), RNG.normal(size=(3, 2, 8, 8)).astype("float32")
    import torch

    found = activations(network, torch.tensor(x))[network.layers[-1].name].flatten(1)
    found = found.log_softmax(1) if nodes[-1][0] == "LogSoftmax" else found
    np.testing.assert_allclose(found, ReferenceEvaluator(made).run(None, {"x": x})[0], rtol=2e-4, atol=2e-4)


def test_layers_are_called_as_the_modules_whose_weights_they_hold():
    nodes, more = MODELS["constants, sizes, no-ops"]
    assert list(load(model(nodes, {**STEM, **more})).origins.values()) == ["stem", "deep"]
    assert list(load(model(PLAIN, {**STEM, **HEAD})).origins.values()) == ["stem", "/g", "head"]


def spelled(opset):
    """Return one network in the spelling of ``opset``: what became inputs later, attributes earlier."""
    weights = {**STEM, **HEAD, "k": np.zeros(3, "float32")}

    def with_axes(op, read, written, axes, since):
        if opset < since:
            return op, read, written, {"axes": axes}
        weights[f"{written}axes"] = INTS(axes)
        return op, f"{read},{written}axes", written, {}

    pad = ("Pad", "x,pads", "o", {}) if opset >= 11 else ("Pad", "x", "o", {"pads": [0, 0, 1, 1, 0, 0, 1, 1]})
    weights |= {"pads": INTS([0, 0, 1, 1, 0, 0, 1, 1])} if opset >= 11 else {}
    made = model([
        pad, ("Conv", "o,stem.weight,b", "c", {}), ("Relu", "c", "r", {}),
        with_axes("ReduceMean", "r", "m", [2, 3], 18), with_axes("Squeeze", "m", "s", [2, 3], 13),
        with_axes("Unsqueeze", "s", "u", [2, 3], 13), with_axes("Squeeze", "u", "t", [2, 3], 13),
        ("Dropout", "t", "d", {} if opset >= 12 else {"ratio": 0.5}), ("Gemm", "d,head.weight,k", "l", {"transB": 1}),
        ("Softmax", "l", "y", {}),
    ], weights, opset)
    onnx.checker.check_model(made)
    return made


def test_every_opset_says_the_same():
    newest = onnx.defs.onnx_opset_version()
    opsets = [*range(OLDEST_OPSET, newest + 1)]
    assert len({load(spelled(opset)).digest for opset in opsets}) == 1 and {9, 11, 12, 13, 18} < set(opsets)


def test_opsets_out_of_range():
    old, new = model(PLAIN, {**STEM, **HEAD}), model(PLAIN, {**STEM, **HEAD})
    old.opset_import[0].version, new.opset_import[0].version = 6, 999
    with pytest.raises(InputError, match="is written in opset 6: bring it to 7 or later with onnx.version_converter"):
        load(old)
    with pytest.raises(InputError, match="is written in opset 999: the installed onnx .* pip install -U onnx"):
        load(new)


def test_every_problem_is_listed_at_once():
    nodes = [
        ("Sub", "x,half", "z", {}), ("Conv", "z,stem.weight,b", "c", {"pads": [0, 0, 1, 1]}),
        ("LeakyRelu", "c", "r", {}), ("Foo", "r", "q", {"domain": "acme"}), ("Resize", "q,,two", "u", {}),
        ("AveragePool", "r", "p", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
        ("MaxPool", "p", "h", {"kernel_shape": [2, 2], "ceil_mode": 1, "strides": [4, 4]}),
        ("Transpose", "h", "v", {"perm": [0, 2, 3, 1]}), ("ReduceMean", "h", "m", {"axes": [1]}),
        ("GlobalAveragePool", "h", "g", {}), ("Flatten", "g", "f", {}),
        ("Gemm", "f,head.weight", "l", {"transB": 1}), ("Sigmoid", "l", "y", {}),
    ]
    with pytest.raises(UnsupportedModel) as caught:
        load(model(nodes, {**STEM, **HEAD, "half": np.float32(0.5), "two": np.array([1, 1, 2, 2], "float32")}))
    assert caught.value.problems == [
        "/z (Sub): is outside the contract; nearest supported form: --mean and --std for the image, a bias elsewhere",
        "stem (Conv): pads the two sides of a map differently; nearest supported form: the same padding on both sides",
        "/r (LeakyRelu): is outside the contract; nearest supported form: ReLU",
        f"/q (acme.Foo): is outside the contract; {SUPPORTED}",
        f"/u (Resize): is outside the contract; {SUPPORTED}",
        "/p (AveragePool): divides by another number at the border; nearest supported form: count_include_pad=True, or "
        "no padding",
        "/h (MaxPool): ceil_mode adds a partial window; nearest supported form: ceil_mode=False",
        "/v (Transpose): is outside the contract; nearest supported form: images and maps as [N, C, H, W] throughout",
        "/m (ReduceMean): reduces the axes [1]; nearest supported form: the mean over height and width, (2, 3)",
        "/y (Sigmoid): is outside the contract; nearest supported form: ReLU (drop it where it is the last operation)",
    ]


CONV, RELU = ("Conv", "x,stem.weight,b", "c", {}), ("Relu", "c", "r", {})
REFUSED = {
    "takes 4 inputs, the map of shape (4, 6, 6) has 144": [
        CONV, RELU, ("Flatten", "r", "f", {}), ("Gemm", "f,head.weight", "y", {"transB": 1})],
    "flattens at axis 2": [CONV, RELU, ("Flatten", "r", "f", {"axis": 2}), *END],
    "transposes the images": [CONV, RELU, *END[:2], ("Gemm", "f,head.weight", "y", {"transA": 1})],
    "across images": [CONV, RELU, ("Reshape", "r,flat", "f", {}), *END],
    "pads other than with zeros": [("Pad", "x,pads", "x1", {"mode": "reflect"}), ("Conv", "x1,stem.weight,b", "c", {}),
                                   RELU, *END],
    "reads a padded map": [CONV, RELU, ("Pad", "r,pads", "p", {}), ("Add", "p,p", "a", {}), *END],
    "takes 2 channels in 1 groups, the map has 4": [CONV, RELU, ("Conv", "r,stem.weight", "d", {}), *END],
    "multiplies a constant with a map": [CONV, RELU, *END[:2], ("MatMul", "head.weight,f", "y", {})],
    "adds a constant that is not one for each channel": [CONV, ("Add", "c,wide", "e", {}), ("Relu", "e", "r", {}),
                                                         *END],
    "rounds to integers": [CONV, RELU, ("Cast", "r", "i", {"to": TensorProto.INT8}), *END],
    "is in training mode": [CONV, ("BatchNormalization", "c,b,b,b,b", "n", {"training_mode": 1}), RELU, *END],
    "has a kernel larger than the map": [("MaxPool", "x", "p", {"kernel_shape": [2, 2]}), CONV, RELU,
                                         ("Conv", "r,huge", "h", {}), *END],
    "is not the last operation": [CONV, RELU, ("Softmax", "r", "s", {"axis": 1}), *END],
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_has_no_counterpart_is_refused(reason):
    more = {"flat": INTS([-1, 4]), "pads": INTS([0, 0, 1, 1, 0, 0, 1, 1]), "wide": weight(6),
            "huge": weight(4, 4, 9, 9)}
    with pytest.raises(UnsupportedModel) as caught:
        load(model(REFUSED[reason], {**STEM, **HEAD, **more}))
    assert any(reason in problem for problem in caught.value.problems), caught.value.problems


@pytest.mark.parametrize("options, text", [
    ({"kind": TensorProto.UINT8}, "takes images of type uint8; it must take floats"),
    ({"shape": ["N", 16]}, r"takes an input of shape \[N, 16\]; it must take images \[N, C, H, W\]"),
    ({"shape": ["N", 2, "h", 8]}, r"of a size that is not fixed, \[N, 2, h, 8\]"),
    ({"inputs": 2}, "takes 2 inputs; it must take one"),
])
def test_models_of_another_kind(options, text):
    with pytest.raises(InputError, match=text):
        load(model(PLAIN, {**STEM, **HEAD}, **options))


def test_results_of_another_kind():
    with pytest.raises(InputError, match=r"returns a tensor of shape \[N, 4, 6, 6\]; it must return one score per"):
        load(model([CONV, ("Identity", "c", "y", {})], STEM))
    with pytest.raises(InputError, match="returns a constant: no path leads from its input"):
        load(model([*PLAIN[:-1], ("Identity", "b", "y", {})], {**STEM, **HEAD}))


def test_a_constant_that_cannot_be_computed():
    nodes = [("Reshape", "b,shape", "w", {}), *PLAIN]
    with pytest.raises(InputError, match=r"A constant of the ONNX model cannot be computed, /w \(Reshape\): .*onnxsim"):
        load(model(nodes, {**STEM, **HEAD, "shape": INTS([7, 7])}))


def test_files_that_are_none(tmp_path):
    whole = model(PLAIN, {**STEM, **HEAD}).SerializeToString()
    for name, content in {"cut": whole[: len(whole) // 2], "text": b"not a model", "empty": b""}.items():
        (tmp_path / f"{name}.onnx").write_bytes(content)
        with pytest.raises(InputError, match=rf"{name}.onnx is not an ONNX model \(.*it is truncated, or of another"):
            load(tmp_path / f"{name}.onnx")


def test_weights_in_a_file_beside_the_model(tmp_path):
    made = model(PLAIN, {**STEM, **HEAD})
    digest = load(made).digest
    onnx.save(made, tmp_path / "m.onnx", save_as_external_data=True, location="m.bin", size_threshold=0)
    assert load(tmp_path / "m.onnx").digest == digest
    whole = (tmp_path / "m.bin").read_bytes()
    (tmp_path / "m.bin").write_bytes(whole[:20])
    with pytest.raises(InputError, match=r"m.onnx keeps its weights in m.bin, which cannot be read"):
        load(tmp_path / "m.onnx")
    (tmp_path / "m.bin").unlink()
    with pytest.raises(InputError, match=r"keeps its weights in m.bin, which cannot be read .* beside the model"):
        load(tmp_path / "m.onnx")
