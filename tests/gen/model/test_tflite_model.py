"""A TFLite file as plain data: what is in it, and what becomes of damaged and hostile ones."""

import random
import struct

import numpy as np
import pytest

from gen.errors import InputError
from gen.model.load import load
from gen.model.tflite_model import read_graph
from tests.gen.model.tflite_maker import RELU, SAME, Maker


def small():
    """A model with every kind of table that the door reads."""
    m = Maker()
    rng = np.random.default_rng(1)
    x = m.input(1, 6, 6, 2, dtype="i1", scale=0.02, zero=3)
    weight = m.const(rng.integers(-9, 9, (4, 3, 3, 2)).astype("i1"), scale=[0.1, 0.2, 0.3, 0.4])
    y = m.conv(x, weight, (1, 6, 6, 4), rng.normal(size=4), act=RELU)
    y = m.pool("MAX_POOL_2D", y, (2, 2), (2, 2), (1, 3, 3, 4), SAME)
    y = m.node("RESHAPE", [y, m.const([1, 36])], (1, 36), "ReshapeOptions", newShape=[1, 36])
    return m.content(m.linear(y, rng.normal(size=(3, 36)), (1, 3)))


def test_tensors_and_options_are_read():
    graph = read_graph(small())
    assert [node.op for node in graph.nodes] == ["CONV_2D", "MAX_POOL_2D", "RESHAPE", "FULLY_CONNECTED"]
    assert graph.nodes[0].options["FusedActivationFunction"] == RELU and graph.nodes[1].options["FilterWidth"] == 2
    assert graph.nodes[2].options["NewShape"] == (1, 36)
    image, weight = graph.tensors[graph.inputs[0]], graph.tensors[graph.nodes[0].inputs[1]]
    assert (image.shape, image.type, image.quantized, image.real) == ((1, 6, 6, 2), "INT8", True, None)
    numbers = weight.content.view("i1").reshape(4, 3, 3, 2)
    np.testing.assert_allclose(weight.real, numbers * np.array([0.1, 0.2, 0.3, 0.4])[:, None, None, None], rtol=1e-6)


@pytest.mark.parametrize("content, text", [
    (b"", "it does not begin as one"), (b"\x1c\0\0\0TFL3", "truncated, or of another kind"),
    (b"\xff\xff\xff\xffTFL3" + bytes(64), "truncated, or of another kind"), (bytes(1000), "it does not begin as one"),
    (small()[:300], "truncated, or of another kind"),
])
def test_files_that_are_none(content, text, tmp_path):
    (tmp_path / "m.tflite").write_bytes(content)
    with pytest.raises(InputError, match=rf"m.tflite is not a TFLite model .*{text}"):
        load(tmp_path / "m.tflite")


def changed(change):
    m = Maker()
    x = m.input(1, 4, 4, 1)
    y = m.conv(x, np.ones((1, 3, 3, 1)), (1, 4, 4, 1))
    change(m)
    return m.content(y)


HOSTILE = {
    "inputs beyond its 4 tensors": lambda m: setattr(m.operators[0], "inputs", [0, 99, 1]),
    "outputs beyond its 4 tensors": lambda m: setattr(m.operators[0], "outputs", [10**6]),
    "an operation without a result": lambda m: setattr(m.operators[0], "outputs", []),
    "a tensor in buffer 77 of 3": lambda m: setattr(m.tensors[1], "buffer", 77),
    "36 bytes for FLOAT32 numbers of shape (1000000, 1000000)": lambda m: setattr(m.tensors[1], "shape", [10**6] * 2),
    "a tensor of shape (1, -3)": lambda m: setattr(m.tensors[0], "shape", [1, -3]),
    "a list of 9, the most is 8": lambda m: setattr(m.tensors[0], "shape", [1] * 9),
    "a list of 2000, the most is 1024": lambda m: setattr(m.operators[0], "inputs", [0] * 2000),
    "list index out of range": lambda m: setattr(m.operators[0], "opcodeIndex", 5),
    "3 scales for axis 0 of a tensor of shape (1, 3, 3, 1)": lambda m: _scaled(m.tensors[1], [1.0, 2.0, 3.0]),
    "scales that are no numbers": lambda m: _scaled(m.tensors[1], [float("nan")]),
}


def _scaled(tensor, scale):
    from ai_edge_litert.schema_py_generated import QuantizationParametersT

    tensor.quantization = QuantizationParametersT()
    tensor.quantization.scale, tensor.quantization.zeroPoint = scale, [0] * len(scale)


@pytest.mark.parametrize("text", HOSTILE)
def test_numbers_that_do_not_fit_are_refused(text):
    with pytest.raises(InputError) as caught:
        load(changed(HOSTILE[text]))
    assert text in str(caught.value)


def test_what_is_read_before_it_is_computed_is_refused():
    with pytest.raises(InputError, match="reads t1 before it is computed"):
        load(changed(lambda m: setattr(m.tensors[1], "buffer", 0)))
    with pytest.raises(InputError, match="holds t1 as .*, which cannot be read; it must be one of FLOAT32"):
        load(changed(lambda m: setattr(m.tensors[1], "type", 8)))


def test_damaged_models_are_refused_or_harmless():
    draw, whole, refused = random.Random(1), small(), 0
    for trial in range(500):
        content = bytearray(whole)
        if trial % 4 == 0:
            content = content[: draw.randrange(len(content))]
        elif trial % 4 == 1:  # an offset or a length that leads elsewhere
            place = draw.randrange(0, len(content) - 4, 4)
            number = draw.choice([0, 1, 2**31 - 1, 2**32 - 1, draw.randrange(len(content))])
            struct.pack_into("<I", content, place, number)
        else:
            for _ in range(draw.randrange(1, 12)):
                content[draw.randrange(len(content))] = draw.randrange(256)
        try:
            load(bytes(content))
        except InputError:
            refused += 1
    assert refused >= 250
