"""The door for ONNX: files, names, and every refusal with its reason, all at once."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from gen.errors import InputError, UnsupportedModel
from gen.model.load import load
from tests.gen.model.onnx_maker import END, HEAD, PLAIN, STEM, model, weight

INTS = np.array
CONV, RELU = ("Conv", "x,stem.weight,b", "c", {}), ("Relu", "c", "r", {})


def test_layers_are_called_as_the_modules_whose_weights_they_hold():
    nodes = [CONV, RELU, ("Flatten", "r", "f", {}), ("Transpose", "deep.weight", "wt", {}), ("MatMul", "f,wt", "y", {})]
    assert list(load(model(nodes, {**STEM, "deep.weight": weight(3, 144)})).origins.values()) == ["stem", "deep"]
    assert list(load(model(PLAIN, {**STEM, **HEAD})).origins.values()) == ["stem", "/g", "head"]


def test_opsets_out_of_range():
    old, new = model(PLAIN, {**STEM, **HEAD}), model(PLAIN, {**STEM, **HEAD})
    old.opset_import[0].version, new.opset_import[0].version = 6, 999
    with pytest.raises(InputError, match="is written in opset 6: bring it to 7 or later with onnx.version_converter"):
        load(old)
    with pytest.raises(InputError, match="is written in opset 999: the installed onnx .* pip install -U onnx"):
        load(new)


def test_every_problem_of_all_outputs_is_listed_at_once_and_once():
    nodes = [
        CONV, ("Elu", "c", "e", {}), ("Foo", "e", "q", {"domain": "acme"}),
        ("Resize", "e,,two", "u", {"mode": "linear"}), ("Softmax", "u", "s", {"axis": 1}),
        ("Mul", "s,u", "v", {}), ("Conv", "v,w", "d", {}),
        ("LSTM", "q,k,k", "h", {}), ("MaxPool", "e", "p,at", {"kernel_shape": [2, 2]}), ("Mul", "p,at", "m", {}),
        ("GlobalAveragePool", "p", "g", {}), ("Flatten", "g", "f", {}),
        ("Gemm", "f,head.weight", "l", {"transB": 1}),
        ("ArgMax", "l", "y", {"axis": 1}),
    ]
    made = model(nodes, {**STEM, **HEAD, "two": np.float32([1, 1, 2, 2]), "k": weight(1), "w": weight(3, 4, 1, 1)},
                 outputs=("y", "d", "h", "q", "m", "s"))
    with pytest.raises(UnsupportedModel) as caught:
        load(made)
    form = "nearest supported form"
    problems = dict(problem.split(": ", 1) for problem in caught.value.problems)
    assert len(problems) == len(caught.value.problems)
    assert set(problems) == {"/e (Elu)", "/q (acme.Foo)", "/u (Resize)", "/s (Softmax)", "/v (Mul)", "/p,at (MaxPool)",
                             "/y (ArgMax)"}
    assert problems["/e (Elu)"].endswith(f"{form}: ReLU, ReLU6 or LeakyReLU")
    assert "weighs neighbours by their distance" in problems["/u (Resize)"]
    assert problems["/p,at (MaxPool)"] == f"its output 2, 'at', is read; {form}: its first output alone"


REFUSED = {
    "'f' of 4 numbers": ("is not valid .*", [CONV, RELU, ("Flatten", "r", "f", {}), (
        "Gemm", "f,head.weight", "y", {"transB": 1})]),
    "flatten": (r"makes \[4, 36\] of 1 image\(s\), across images", [
        CONV, RELU, ("Flatten", "r", "f", {"axis": 2}), ("Relu", "f", "y", {})]),
    "reshape": (r"makes \[36, 4\] of 1 image\(s\), across images", [CONV, RELU, ("Reshape", "r,flat", "y", {})]),
    "transpose": (r"makes \[4, 1, 6, 6\] of 1", [CONV, RELU, ("Transpose", "r", "y", {"perm": [1, 0, 2, 3]})]),
    "transA": ("is not valid", [
        CONV, RELU, *END[:2], ("Gemm", "f,sq", "y", {"transA": 1})]),
    "unsqueeze": ("adds an axis before N", [CONV, RELU, ("Unsqueeze", "r,zero", "y", {})]),
    "concat of images": (r"makes \[2, 4, 6, 6\] of 1", [CONV, RELU, ("Concat", "r,r", "y", {"axis": -4})]),
    "concat of a constant": ("joins a constant to a map", [CONV, RELU, ("Concat", "r,some", "y", {"axis": 1})]),
    "reflect": ("pads with reflect; .*zero padding", [CONV, RELU, ("Pad", "r,pads", "y", {"mode": "reflect"})]),
    "pads with ones": ("pads with other numbers than zero", [CONV, RELU, ("Pad", "r,pads,one", "y", {})]),
    "channels": ("takes 2 channels in 1 groups, the map has 4", [CONV, RELU, ("Conv", "r,stem.weight", "y", {})]),
    "weights of the image": ("has weights that depend on the image", [CONV, ("Conv", "x,c", "y", {})]),
    "sizes of the image": ("has shape that depend on the image|is not valid", [CONV, ("Reshape", "c,c", "y", {})]),
    "a gate": ("multiplies two maps", [CONV, RELU, ("Mul", "r,r", "y", {})]),
    "attention": ("multiplies two maps", [CONV, RELU, ("MatMul", "r,r", "y", {})]),
    "divisor": ("divisors that depend on the image", [CONV, RELU, ("Div", "c,r", "y", {})]),
    "the larger of two": ("compares two maps", [CONV, RELU, ("Max", "c,r", "y", {})]),
    "a clip": ("keeps what lies between -1.0 and 1.0", [CONV, ("Clip", "c,minus,one", "y", {})]),
    "a threshold": ("jumps at its threshold", [CONV, ("ThresholdedRelu", "c", "y", {})]),
    "slope": ("has a slope below zero", [CONV, ("LeakyRelu", "c", "y", {"alpha": -0.5})]),
    "slopes": (r"has slopes of shape \(6,\)|not one for each channel", [CONV, ("PRelu", "c,wide", "y", {})]),
    "integers": ("rounds to integers", [CONV, RELU, ("Cast", "r", "y", {"to": TensorProto.INT8})]),
    "like integers": ("rounds to integers", [CONV, RELU, ("CastLike", "r,flat", "y", {})]),
    "training": ("is in training mode|across images", [
        CONV, ("BatchNormalization", "c,b,b,b,b", "y,m,v", {"training_mode": 1})]),
    "dropout": ("is in training mode", [CONV, RELU, ("Dropout", "r,half,yes", "y", {})]),
    "a window": ("is not valid|has a kernel larger than the map", [CONV, RELU, ("Conv", "r,huge", "y", {})]),
    "no size": (r"makes \[1, 4, 0, 6\], no number at all", [CONV, RELU, ("Slice", "r,two,two,two", "y", {})]),
    "two sizes": ("by its weights and .* by its attributes", [
        CONV, RELU, ("Conv", "r,sq1", "y", {"kernel_shape": [2, 2]})]),
    "inside": ("is not the last operation", [CONV, RELU, ("Softmax", "r", "s", {"axis": 1}), ("Relu", "s", "y", {})]),
    "max of the image": ("pools the image itself", [("MaxPool", "x", "y", {"kernel_shape": [2, 2]})]),
    "border": ("divides by another number at the border", [
        CONV, RELU, ("AveragePool", "r", "y", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]})]),
    "dilated": ("has a dilated window", [CONV, RELU, ("AveragePool", "r", "y", {
        "kernel_shape": [2, 2], "dilations": [2, 2]})]),
    "pad of N": ("across images", [CONV, RELU, ("Pad", "r,images", "y", {})]),
    "a constant": (r"is a constant: no path leads to it", [("Identity", "b", "y", {})]),
    "places": (r"takes places of shape \(2, 2\)", [CONV, RELU, ("Gather", "r,pairs", "y", {"axis": 1})]),
    "places beyond": ("one list of places that exist", [CONV, RELU, ("Gather", "r,seven", "y", {"axis": 1})]),
    "not of this opset": (r"y \(HardSwish\): is not made of straight lines", [CONV, ("HardSwish", "c", "y", {})]),
}
MORE = {
    "flat": INTS([-1, 4]), "pads": INTS([0, 0, 1, 1, 0, 0, 1, 1]), "images": INTS([1, 0, 0, 0, 0, 0, 0, 0]),
    "wide": np.float32(range(6)), "huge": weight(4, 4, 9, 9), "sq": weight(4, 4), "sq1": weight(4, 4, 1, 1),
    "zero": INTS([0]), "two": INTS([2]), "some": weight(1, 2, 6, 6), "one": np.float32(1), "minus": np.float32(-1),
    "half": np.float32(0.5), "yes": INTS(True), "pairs": INTS([[0, 1], [2, 3]]), "seven": INTS([7]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_counterpart_is_refused(name):
    reason, nodes = REFUSED[name]
    with pytest.raises(UnsupportedModel, match=reason):
        load(model(nodes, {**STEM, **HEAD, **MORE}, opset=19))


@pytest.mark.parametrize("options, text", [
    ({"kind": TensorProto.UINT8}, "takes images of type uint8; it must take floats"),
    ({"shape": ["N", 2, 3, 8, 8]}, r"an input of shape \[N, 2, 3, 8, 8\]; it must take images \[N, C, H, W\]"),
    ({"shape": ["N", 2, "h", 8]}, r"of a size that is not fixed, \[N, 2, h, 8\]"),
    ({"inputs": 2}, "takes 2 inputs: x, xx; it must take one"),
])
def test_models_of_another_kind(options, text):
    with pytest.raises(InputError, match=text):
        load(model(PLAIN, {**STEM, **HEAD}, **options))


def test_files_that_are_none(tmp_path):
    whole = model(PLAIN, {**STEM, **HEAD}).SerializeToString()
    for name, content in {"cut": whole[: len(whole) // 2], "text": b"not a model", "empty": b""}.items():
        (tmp_path / f"{name}.onnx").write_bytes(content)
        with pytest.raises(InputError, match=rf"{name}.onnx is not an ONNX model \(.*it is truncated, or of another"):
            load(tmp_path / f"{name}.onnx")
    with pytest.raises(InputError, match="names no version, no opset or no graph"):
        load(onnx.ModelProto())


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
    with pytest.raises(InputError, match="'stem.weight' of the ONNX model, .* cannot be read"):
        load(onnx.load(tmp_path / "m.onnx", load_external_data=False))


@pytest.mark.parametrize("place", ["../secret.bin", "/etc/hostname", "link.bin", ".", ""])
def test_weights_outside_the_folder_of_the_model_are_not_read(tmp_path, place):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(4096))
    (folder / "link.bin").symlink_to("../secret.bin")
    made = model(PLAIN, {**STEM, **HEAD})
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=place)
    (folder / "m.onnx").write_bytes(made.SerializeToString())
    with pytest.raises(InputError, match=r"m.onnx keeps its weights in .*, which cannot be read"):
        load(folder / "m.onnx")
