"""Families of networks through ONNX, by both exporters of PyTorch: equal to PyTorch, and to the module's own door."""

import io
import warnings

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from examples.families import FAMILIES, family
from gen.model.load import load
from tests.gen.model.reference import results

pytestmark = pytest.mark.usefixtures("one_thread")

AS_IT_STANDS = {"do_constant_folding": False, "training": torch.onnx.TrainingMode.PRESERVE}
DECODED = {"": lambda x: x, "sigmoid": torch.sigmoid, "softmax": lambda x: x.softmax(-1),
           "log_softmax": lambda x: x.log_softmax(-1)}


def by_script(module, x, opset=17, **options):
    """Return the model of the exporter that traces, N free."""
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (x[:1],), content, dynamo=False, opset_version=opset, input_names=["x"],
                          dynamic_axes={"x": {0: "n"}}, **options)
    return onnx.load_from_string(content.getvalue())


def by_dynamo(module, x, path, **options):
    """Return the model of the exporter that stands on torch.export, N free."""
    pytest.importorskip("onnxscript")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (x,), path, dynamo=True, verbose=False, input_names=["x"],
                          dynamic_shapes=({0: torch.export.Dim("n")},), **options)
    return onnx.load(path)


def assert_equal(network, module, x):
    """Assert that the float network computes what PyTorch does."""
    with torch.no_grad():
        expected = tree_leaves(module(x))
    for output, found, wanted in zip(network.returns, results(network, x), expected, strict=True):
        found = DECODED[output.decode](torch.as_tensor(found)).numpy()
        assert np.abs(found - wanted.numpy()).max() <= 1e-4 * wanted.abs().max(), output.name


def numbers(network):
    """Return what tells a network from others but for the names of its readouts, which a format may give."""
    return [(layer.role, layer.sources, layer.inputs[0].window,
             [s.weight.tobytes() for s in layer.synapses], layer.bias.tobytes() if layer.weighted else None)
            for layer in network.layers]


def families(*quick):
    """Return all families: an export takes seconds, so only the ``quick`` ones are tried outside of the long run."""
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES]


@pytest.mark.parametrize("name", families(
    "shufflenet_v2", "yolo_tiny", "unet_transposed", "channels_last",
))
def test_a_family_by_the_exporter_that_traces(name):
    module, shape = family(name)
    x = torch.randn(3, *shape)
    network, folded = load(by_script(module, x, **AS_IT_STANDS)), load(by_script(module, x))
    assert_equal(network, module, x)
    assert_equal(folded, module, x)
    wanted = load(module, shape)
    assert len(network.layers) == len(folded.layers) == len(wanted.layers)
    assert numbers(network) == numbers(wanted)
    if wanted.mean is not None:  # in single precision in ONNX
        np.testing.assert_allclose([network.mean, network.std], [wanted.mean, wanted.std], rtol=1e-6)
    elif len(wanted.returns) == 1:
        assert network.digest == wanted.digest


@pytest.mark.parametrize("name", families("yolo_tiny", "resnet_1d"))
def test_a_family_by_the_exporter_of_programs(name, tmp_path):
    module, shape = family(name)
    x = torch.randn(3, *shape)
    assert_equal(load(by_dynamo(module, x, tmp_path / "m.onnx")), module, x)


@pytest.mark.parametrize("opset", [7, 9, 10, 11, 13, 20])
@pytest.mark.parametrize("name", [
    "squeezenet", *(pytest.param(name, marks=pytest.mark.slow) for name in ("resnet18", "densenet")),
])
def test_a_family_in_older_and_newer_opsets(name, opset):
    module, shape = family(name)
    x = torch.randn(2, *shape)
    network = load(by_script(module, x, opset, **AS_IT_STANDS))
    assert_equal(network, module, x)
    assert opset < 10 or network.digest == load(module, shape).digest


@pytest.mark.slow
def test_functions_of_a_program_that_was_not_simplified(tmp_path):
    module, shape = family("mobilenet_v2")
    network = load(by_dynamo(module, torch.randn(2, *shape), tmp_path / "m.onnx", optimize=False))
    assert network.digest == load(module, shape).digest


class Pieces(nn.Module):
    """Splits of equal and of given sizes, which the exporter makes sequences of where it does not optimize."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 3), nn.Conv2d(4, 2, 1)

    def forward(self, x):
        one, other = torch.relu(self.first(x)).chunk(2, 1)
        left, right = one.split([3, 1], 3)
        return self.last(one + other).flatten(1), self.last(left).flatten(1), self.last(right).flatten(1)


def test_pieces_of_a_sequence_are_slices(tmp_path):
    module, x = Pieces().eval(), torch.randn(2, 3, 6, 6)
    model = by_dynamo(module, x, tmp_path / "m.onnx", optimize=False)
    assert "SequenceAt" in {node.op_type for node in model.graph.node}
    assert_equal(load(model), module, x)


def test_normalisation_within_the_model_is_that_of_the_network():
    class Normalised(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, padding=1)
            self.register_buffer("mean", torch.tensor([0.5, 0.4, 0.3])[:, None, None])

        def forward(self, x):
            return self.conv((x - self.mean) / 0.25).relu().mean((2, 3))

    module = Normalised().eval()
    x = torch.rand(2, 3, 8, 8)
    network = load(by_script(module, x, **AS_IT_STANDS))
    np.testing.assert_allclose(network.mean, [0.5, 0.4, 0.3], rtol=1e-6)
    np.testing.assert_allclose(network.std, 0.25, rtol=1e-6)
    assert_equal(network, module, x)
