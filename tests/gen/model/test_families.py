"""Every family of examples/ computes as a float network what it computes in PyTorch; its file holds that network."""

import numpy as np
import pytest
import torch
from torch.utils._pytree import tree_leaves

from examples.families import FAMILIES, family
from gen.model.exported import trace
from gen.model.load import load
from tests.gen.model.reference import results

pytestmark = pytest.mark.usefixtures("one_thread")

DECODED = {
    "": lambda x: x, "sigmoid": torch.sigmoid, "softmax": lambda x: x.softmax(-1),
    "log_softmax": lambda x: x.log_softmax(-1),
}


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[] if number % 2 == 0 else pytest.mark.slow) for number, name in enumerate(FAMILIES)
])
def test_the_float_network_of_a_family_is_the_model(name):
    module, shape = family(name)
    x = torch.randn(4, *shape)
    with torch.no_grad():
        expected = tree_leaves(module(x))
    network = load(trace(module, shape))
    found = results(network, x)
    assert len(found) == len(expected) == len(network.returns)
    for output, values, wanted in zip(network.returns, found, expected):
        values, wanted = DECODED[output.decode](torch.as_tensor(values)).numpy(), wanted.double().numpy()
        assert values.shape == wanted.shape
        assert np.abs(values - wanted).max() <= 1e-4 * np.abs(wanted).max(), output.name


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[] if number % 8 == 0 else pytest.mark.slow) for number, name in enumerate(FAMILIES)
])
def test_a_file_holds_the_network_of_a_family(name, tmp_path):
    program = trace(*family(name))
    torch.export.save(program, tmp_path / "model.pt2")
    assert load(tmp_path / "model.pt2").digest == load(program).digest
