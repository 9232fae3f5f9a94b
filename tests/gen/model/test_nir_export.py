"""A converted network as NIR: simulated from the graph alone it spikes alike, and it comes back as it was."""

import json
from dataclasses import replace
from functools import cache
from itertools import count, islice

import nir
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from gen.errors import InputError, UnsupportedModel
from gen.layers import INPUT, INVERSE_LEAKY
from gen.method.quantize import quantize
from gen.model.canonical import canonical
from gen.model.load import load
from gen.model.network import FloatPool, FloatSynapse, FloatLayer
from gen.model.nir_export import export_nir, save_nir
from gen.task import Task
from sim.golden import Golden
from tests.kit.random_networks import FIRST, SECOND, random_images, random_network, random_staged_network

pytestmark = pytest.mark.usefixtures("one_thread")


def simulated(graph, image):
    """Run a graph on an image [C, H, W], or frames [T, C, H, W]: in rounds, until every node has seen its sources.

    Return spikes of every IF node, and sums of every Output node after each timestep.
    """
    frames = graph.metadata["frames"]
    inputs = torch.tensor(image / (1.0 if frames else 255.0) - graph.metadata["mean"][:, None, None])
    state = {name: torch.tensor(np.broadcast_to(node.metadata["v_init"].reshape(-1, *(1,) * (node.r.ndim - 1)),
                                                node.r.shape).astype(float))
             for name, node in graph.nodes.items() if isinstance(node, nir.IF)}
    spikes = {name: [] for name in state}
    sums = {name: [0] for name, node in graph.nodes.items() if isinstance(node, nir.Output)}
    for step in range(graph.metadata["timesteps"]):
        values = {"input": inputs[step] if frames else inputs}
        while len(values) < len(graph.nodes):
            for name, node in graph.nodes.items():
                sources = [a for a, b in graph.edges if b == name]
                if name in values or not all(source in values for source in sources):
                    continue
                value = sum(values[source] for source in sources)
                if isinstance(node, nir.Conv2d):
                    value = F.conv2d(value[None], torch.tensor(node.weight), torch.tensor(node.bias), node.stride,
                                     node.padding, node.dilation, node.groups)[0]
                elif isinstance(node, nir.Affine):
                    value = torch.tensor(node.weight) @ value + torch.tensor(node.bias)
                elif isinstance(node, nir.Scale):
                    value = value * torch.tensor(node.scale)
                elif isinstance(node, nir.SumPool2d):
                    window = (tuple(map(int, w)) for w in (node.kernel_size, node.stride, node.padding))
                    value = F.avg_pool2d(value[None], *window, divisor_override=1)[0]
                elif isinstance(node, nir.Flatten):
                    value = value.flatten()
                elif isinstance(node, nir.IF):
                    limit, theta = 2.0 ** (node.metadata["state_bits"] - 1), torch.tensor(node.v_threshold)
                    state[name] += value.round()  # 255 * (pixel / 255) is a whole number but for rounding
                    value = (state[name] / theta).floor().clamp(0, node.metadata["burst"])
                    value = torch.where(value < node.metadata["min_burst"], 0, value)
                    state[name] = (state[name] - value * theta).clamp(-limit, limit - 1)
                    spikes[name].append(value.numpy())
                values[name] = value
        for name in sums:
            sums[name].append(sums[name][-1] + values[name].numpy().round())
    return spikes, {name: np.array(parts[1:]) for name, parts in sums.items()}


@cache
def known(contract):
    """Return a dozen random networks that NIR has nodes for."""
    limits = {"max_layers": 6 if contract == FIRST else 2, "max_neurons": 900, "max_timesteps": 4, "rules": ("off",)}
    sources = ("direct",) if contract == FIRST else ("direct", "frames")
    found = ((seed, random_network(seed, contract=contract, sources=sources, **limits)) for seed in count())
    found = ((seed, network) for seed, network in found if exported(network))
    return [pytest.param(network, id=f"contract {contract}, seed {seed}") for seed, network in islice(found, 12)]


def networks(contract, number):
    """Return the first so many of them."""
    return known(contract)[:number]


def exported(network):
    """Return whether a network with spikes has a graph."""
    try:
        return export_nir(network) is not None and any(layer.fires for layer in network.layers)
    except UnsupportedModel:
        return False


@pytest.mark.parametrize("network", networks(FIRST, 12) + networks(SECOND, 12))
def test_the_graph_spikes_as_the_network(network):
    graph = export_nir(network)
    for image in random_images(network, 3, 2):
        trace = Golden(network).trace(image)
        spikes, sums = simulated(graph, image)
        for layer in network.layers:
            if layer.fires:
                _, height, width = network.shapes[layer.name]
                found = np.array(spikes[layer.name]).reshape(network.timesteps, len(layer.theta), *(
                    (1, 1) if spikes[layer.name][0].ndim == 1 else spikes[layer.name][0].shape[1:]))
                np.testing.assert_array_equal(found[..., :height, :width], trace.counts[layer.name])
        for name, found in zip(network.outputs, sums.values(), strict=True):
            np.testing.assert_array_equal(found, trace.outputs[name].reshape(found.shape))


@pytest.mark.parametrize("network", networks(SECOND, 8))
def test_outputs_and_frames_come_back(network):
    back = load(export_nir(network))
    assert back.frames == (network.source.kind == "frames")
    shapes = [back.shapes[name] for name in back.outputs]
    assert shapes == [network.shapes[name] for name in network.outputs]
    if len(shapes) > 1:
        assert back.outputs == network.outputs
    bursts = {layer.theta.tobytes(): layer for layer in network.layers if layer.fires}
    for layer in back.layers:
        assert not layer.fires or layer.threshold.astype(int).tobytes() in bursts


@pytest.mark.parametrize("network", networks(FIRST, 6))
def test_it_comes_back_with_its_thresholds_and_the_weights_up_to_their_scale(network, tmp_path):
    save_nir(network, tmp_path / "n.nir")
    back = load(tmp_path / "n.nir")
    units = {INPUT: np.full(network.source.shape[0], 1 / 255)}
    for layer in back.layers:
        if not layer.weighted:
            units[layer.name] = units[layer.source]
            continue
        units[layer.name] = layer.threshold
        whole = [s.input_scaled(units[s.source]) for s in layer.synapses]
        name = layer.origin if layer.fires else network.readout.name
        ours = network.layer(name)
        assert layer.threshold is None or layer.threshold.tolist() == ours.theta.tolist()
        np.testing.assert_array_equal(np.rint(layer.bias), ours.bias)
        found = sorted(np.rint(weight).ravel().tolist() for weight in whole)
        assert found == sorted(s.weight.ravel().tolist() for s in ours.synapses)
        assert all(np.abs(np.rint(weight) - weight).max() < 1e-9 for weight in whole)


def test_converted_again_it_is_the_same_integers():
    rng = np.random.default_rng(0)
    layers = [
        FloatLayer("a", (FloatSynapse(INPUT, rng.normal(size=(4, 2, 3, 3)), padding=(1, 1)),), rng.normal(size=4)),
        FloatPool("p", "a", "sum", (2, 2), (2, 2), divisor=4.0),
        FloatLayer("b", (FloatSynapse("p", rng.normal(size=(5, 4, 3, 3))),), rng.normal(size=5)),
        FloatLayer("c", (FloatSynapse("b", rng.normal(size=(3, 5))[:, :, None, None]),), np.ones(3), fires=False),
    ]
    network = quantize(canonical((2, 6, 6), layers), {"conv1": np.full(4, 0.7), "fc1": np.full(5, 0.3)}, mean=0.2)
    back = load(export_nir(network))
    thresholds = {layer.name: layer.threshold for layer in back.layers if getattr(layer, "threshold", None) is not None}
    again = quantize(back, thresholds, mean=network.source.offset[0] / 255)
    assert [layer.name for layer in again.layers] == [layer.name for layer in network.layers]
    for ours, theirs in zip(network.layers, again.layers):
        for name in ("bias", "theta", "weight_bits") if ours.fires else ():
            assert getattr(ours, name).tolist() == getattr(theirs, name).tolist()
        for a, b in zip(ours.synapses, theirs.synapses):
            np.testing.assert_array_equal(a.weight, b.weight)


def test_what_nir_cannot_say_is_refused_at_once():
    network = random_network(1, neuron=INVERSE_LEAKY)
    with pytest.raises(UnsupportedModel, match=r"every layer \(inverse-leaky\): NIR has no such neuron"):
        export_nir(network)
    frames = next(n for n in (random_network(seed, sources=("frames",)) for seed in range(99))
                  if any(not layer.weighted and layer.kind == "max" for layer in n.layers))
    with pytest.raises(UnsupportedModel) as caught:
        export_nir(frames)
    assert caught.value.problems[0].endswith(
        "(maximum pool): NIR has no such node; nearest supported form: average pools")
    assert all("maximum pool" in problem for problem in caught.value.problems)
    signed = [random_network(seed, contract=SECOND) for seed in range(40)]
    found = " ".join(problem for network in signed for problem in refused(network))
    for text in ("(counts below zero): NIR has no such node; nearest supported form: ReLU", "(upsampling of ",
                 "(pool with dilation, or padded on one side): NIR has no such node"):
        assert text in found
    with pytest.raises(UnsupportedModel, match=r"network \(stages\): NIR has one network"):
        export_nir(random_staged_network(1))


def refused(network):
    """Return the problems of a network that has no graph, none where it has."""
    try:
        export_nir(network)
        return []
    except UnsupportedModel as error:
        return error.problems


def test_the_file_appears_whole_or_not_at_all(tmp_path):
    network = networks(FIRST, 1)[0].values[0]
    with pytest.raises(InputError, match="cannot be written .*name a file in a folder you may write to"):
        save_nir(network, tmp_path / "absent" / "n.nir")
    assert not list(tmp_path.iterdir())
    graph = save_nir(network, tmp_path / "n.nir")
    read = nir.read(tmp_path / "n.nir", type_check=False)
    assert read.nodes.keys() == graph.nodes.keys() and read.metadata["timesteps"] == network.timesteps
    assert [path.name for path in tmp_path.iterdir()] == ["n.nir"]


def test_the_metadata_carry_what_a_network_is_for(tmp_path):
    network = networks(FIRST, 1)[0].values[0]
    names = tuple(f"class {number}" for number in range(network.classes))
    plain = export_nir(network).metadata
    assert json.loads(plain["task"]) == network.task.as_dict() and "input_form" not in plain
    held = replace(network, stated_task=Task("classify", names), provenance={"input_form": "points:scale=1"})
    save_nir(held, tmp_path / "n.nir")
    read = nir.read(tmp_path / "n.nir", type_check=False).metadata
    assert Task.from_dict(json.loads(read["task"])) == held.task and read["input_form"] == "points:scale=1"
