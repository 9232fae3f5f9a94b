"""One graph inside: the same network through every door is the same integer network, hash for hash."""

import warnings

import nir
import numpy as np
import onnx
import pytest
import torch
from torch import nn

from gen.errors import InputError
from gen.layers import INPUT
from gen.method.quantize import quantize
from gen.model.load import load
from gen.netfile import network_hash

pytestmark = pytest.mark.usefixtures("one_thread")


def conv(inputs, outputs, kernel=3, **options):
    norm = nn.BatchNorm2d(outputs, eps=1e-3)
    nn.init.uniform_(norm.running_var, 0.5, 2)
    nn.init.normal_(norm.running_mean)
    nn.init.normal_(norm.bias)
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False, **options), norm)


class Branches(nn.Module):
    """What formats list in different orders: two branches, three summands, depthwise, pools, a name called twice."""

    def __init__(self):
        super().__init__()
        self.stem, self.left, self.right = conv(2, 4), conv(4, 4, groups=4), conv(4, 4, 1)
        self.down, self.short = conv(4, 6, stride=2), conv(4, 6, 1, stride=2)
        self.hidden, self.head = nn.Linear(6, 5), nn.Linear(5, 3, bias=False)

    def forward(self, x):
        x = self.stem(x).relu()
        a = self.right(x).relu()
        b = self.left(x).relu()
        x = (x + (self.left(b) + a)).relu()
        x = (self.short(x) + self.down(x)).relu()
        x = nn.functional.avg_pool2d(x, 2).mean((2, 3))
        return self.head(self.hidden(x).relu())


def to_onnx(module, shape, path):
    """Export as it stands: the other settings fold batch norm, in single precision."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(module, (torch.zeros(1, *shape),), path, dynamo=False, do_constant_folding=False,
                          training=torch.onnx.TrainingMode.PRESERVE, input_names=["x"], dynamic_axes={"x": {0: "n"}})
    return path


def to_nir(network, thresholds):
    """Return the NIR graph of a float network: IF for ReLU, weights for spikes in place of activations."""
    nodes, edges = {}, []
    unit = {INPUT: np.ones(network.shape[0])}

    def node(name, what, *sources):
        nodes[name] = what
        edges.extend((source, name) for source in sources)
        return name

    node(INPUT, nir.Input(np.array(network.shape)))
    for layer in network.layers:
        shape = network.shapes[layer.name]
        if not layer.weighted:
            kernel, stride, padding = map(np.array, (layer.kernel, layer.stride, layer.padding))
            node(layer.name, nir.AvgPool2d(kernel, stride, padding), layer.source)
            unit[layer.name] = unit[layer.source]
            continue
        ends, flat, bias = [], shape[1:] == (1, 1), layer.bias
        for i, s in enumerate(layer.synapses):
            name, weight = f"z{9 - i} of {layer.name}", s.input_scaled(unit[s.source])
            size = network.shapes[s.source]
            if flat:
                source = s.source
                if source not in thresholds or nodes[source].v_threshold.ndim == 3:
                    source = node(f"flat {name}", nir.Flatten(np.array(size), start_dim=0), source)
                ends.append(node(name, nir.Affine(weight.reshape(len(weight), -1), bias), source))
            else:
                geometry = s.stride, s.padding, s.dilation, s.groups
                ends.append(node(name, nir.Conv2d(size[1:], weight, *geometry, bias), s.source))
            bias = np.zeros_like(bias)
        if layer.fires:
            unit[layer.name] = thresholds[layer.name]
            at = np.ones(shape[:1] if flat else shape)
            theta = at * thresholds[layer.name].reshape(-1, *(1,) * (at.ndim - 1))
            node(layer.name, nir.IF(r=at, v_threshold=theta), *reversed(ends))
        else:
            node("out", nir.Output(np.array(shape[:1])), *ends)
    return nir.NIRGraph(dict(sorted(nodes.items())), edges[::-1], type_check=False)


def test_the_same_network_through_every_door_hash_for_hash(tmp_path):
    module, shape = Branches().eval(), (2, 8, 8)
    torch.export.save(torch.export.export(module, (torch.zeros(2, *shape),)), tmp_path / "m.pt2")
    float_network = load(module, shape)
    thresholds = {layer.name: np.full(len(layer.bias), 0.25 * 2.0 ** (i % 3))
                  for i, layer in enumerate(float_network.layers[:-1]) if layer.weighted}
    nir.write(tmp_path / "m.nir", to_nir(float_network, thresholds))
    doors = {
        "module": float_network, "pt2": load(tmp_path / "m.pt2"),
        "onnx": load(to_onnx(module, shape, tmp_path / "m.onnx")),
        "onnx model": load(onnx.load(tmp_path / "m.onnx")), "nir": load(tmp_path / "m.nir"),
    }
    assert [layer.name for layer in float_network.layers] == [
        "conv1", "dw2", "conv3", "dw4", "conv5", "pool1", "pool2", "fc1", "fc2",
    ]
    kept = {layer.name: layer.threshold for layer in doors["nir"].layers
            if layer.weighted and layer.threshold is not None}
    assert kept.keys() == thresholds.keys() and all((kept[name] == thresholds[name]).all() for name in kept)
    hashes = {door: network_hash(quantize(network, thresholds)) for door, network in doors.items()}
    assert len(set(hashes.values())) == 1, hashes
    assert len({doors[door].digest for door in ("module", "pt2", "onnx", "onnx model")}) == 1
    assert doors["onnx"].origins == {**float_network.origins, "pool1": "/AveragePool", "pool2": "/ReduceMean"}
    with torch.no_grad():
        module.left[0].weight[0, 0, 0, 0] += 0.5
    assert network_hash(quantize(load(module, shape), thresholds)) not in hashes.values()


def test_a_layer_may_be_called_what_the_model_calls_it():
    network = load(nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2)), (1, 2, 2))
    thresholds = {"conv1": np.ones(2)}
    bits = [layer.weight_bits.max() for layer in quantize(network, thresholds, weight_bits={"0": 3, "fc1": 5}).layers]
    assert bits == [3, 5]
    with pytest.raises(InputError, match=r"does not have: 1. Its layers with weights are conv1 \(0\), fc1 \(3\)"):
        quantize(network, thresholds, weight_bits={"1": 3})


def test_thresholds_that_are_kept_are_part_of_the_digest():
    network = load(nn.Sequential(nn.Flatten(), nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 2)), (1, 2, 2))
    digests = {load(to_nir(network, {"fc1": np.full(2, value)})).digest for value in (0.5, 0.25)}
    assert len(digests | {network.digest}) == 3


@pytest.mark.parametrize("name", ["model.h5", "model", "model.pt", "model.safetensors"])
def test_a_suffix_of_another_kind(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InputError, match=r"has no suffix that names a kind of model: .pt2 .*\.onnx .*\.nir "):
        load(tmp_path / name)


@pytest.mark.parametrize("suffix", [".pt2", ".onnx", ".nir"])
def test_a_file_that_is_not_there(tmp_path, suffix):
    with pytest.raises(InputError, match=f"There is no model file .*absent{suffix}"):
        load(tmp_path / f"absent{suffix}")


@pytest.mark.parametrize("package, suffix, modules", [
    ("onnx", ".onnx", ("gen.model.onnx_file",)), ("nir", ".nir", ("gen.model.nir_file", "gen.model.nir_export")),
])
def test_a_package_that_is_missing(tmp_path, monkeypatch, package, suffix, modules):
    import sys
    from importlib import import_module

    (tmp_path / f"m{suffix}").write_bytes(b"")
    monkeypatch.setitem(sys.modules, package, None)
    for module in modules:
        monkeypatch.delitem(sys.modules, module, raising=False)
        with pytest.raises(InputError, match=f"needs the Python package '{package}', .* pip install {package}"):
            import_module(module)
    with pytest.raises(InputError, match=f"pip install {package}"):
        load(tmp_path / f"m{suffix}")
