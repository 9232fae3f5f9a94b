"""The door for NIR: what a graph computes, what its neurons keep, and every refusal."""

import random

import h5py
import nir
import numpy as np
import pytest

from gen.errors import InputError, UnsupportedModel
from gen.layers import INPUT
from gen.model import nir_archive, nir_file
from gen.model.builder import SUPPORTED
from gen.model.load import load

RNG = np.random.default_rng(2)


def fire(shape, threshold=1.0, r=1.0, reset=None):
    ones = np.ones(shape)
    return nir.IF(r=ones * r, v_threshold=ones * threshold, v_reset=None if reset is None else ones * reset)


def conv(shape, outputs, inputs, kernel=3, padding=1, stride=1, dilation=1, groups=1):
    weight = RNG.normal(size=(outputs, inputs // groups, kernel, kernel))
    return nir.Conv2d(shape, weight, stride, padding, dilation, groups, RNG.normal(size=outputs))


def pool(kind, size=2):
    return kind(np.array([size, size]), np.array([size, size]), np.array([0, 0]))


def chain(*nodes, shape=(1, 8, 8), classes=3):
    """Return the graph of ``nodes`` in a row; their names are their kind and place."""
    nodes = [nir.Input(np.array(shape)), *nodes, nir.Output(np.array([classes]))]
    names = [f"{type(node).__name__.lower()}{i}" for i, node in enumerate(nodes)]
    return nir.NIRGraph(dict(zip(names, nodes)), list(zip(names, names[1:])), type_check=False)


def flatten(*shape, **options):
    return nir.Flatten(np.array(shape), **{"start_dim": 0, **options})


PER_CHANNEL = np.array([0.5, 2.0, 4.0, 0.25])[:, None, None]


def test_thresholds_are_kept_and_weights_read_activations():
    first, last = conv((8, 8), 4, 1), nir.Affine(RNG.normal(size=(3, 64)), RNG.normal(size=3))
    network = load(chain(first, fire((4, 8, 8), PER_CHANNEL), pool(nir.SumPool2d), flatten(4, 4, 4), last))
    conv1, pool1, fc1 = network.layers
    assert conv1.threshold.tolist() == PER_CHANNEL.ravel().tolist() and fc1.threshold is None
    np.testing.assert_array_equal(conv1.synapses[0].weight, first.weight)
    expected = last.weight.reshape(3, 4, 4, 4) / PER_CHANNEL
    np.testing.assert_allclose(fc1.synapses[0].weight, expected, rtol=1e-15)
    assert (pool1.kind, pool1.divisor) == ("sum", 1.0)
    assert network.origins == {"conv1": "if2", "pool1": "sumpool2d3", "fc1": "affine5"}


def test_an_average_pool_divides_and_r_scales():
    last = nir.Linear(np.ones((3, 4)))
    graphs = [chain(conv((8, 8), 4, 1), fire((4, 8, 8), r=r), pool(nir.AvgPool2d, 8), flatten(4, 1, 1), last)
              for r in (1.0, 2.0)]
    graphs[1].nodes["conv2d1"] = graphs[0].nodes["conv2d1"]
    plain, doubled = map(load, graphs)
    assert plain.layers[1].divisor == 64
    np.testing.assert_array_equal(doubled.layers[0].synapses[0].weight, 2 * plain.layers[0].synapses[0].weight)
    np.testing.assert_array_equal(doubled.layers[0].bias, 2 * plain.layers[0].bias)


def test_edges_that_meet_are_summed_and_scales_folded():
    shape = (4, 8, 8)
    nodes = {"in": nir.Input(np.array([1, 8, 8])), "a": conv((8, 8), 4, 1), "b": fire(shape), "c": conv((8, 8), 4, 4),
             "s": nir.Scale(np.full(shape, 3.0)), "d": fire(shape, 0.5), "e": pool(nir.SumPool2d, 8),
             "f": flatten(4, 1, 1), "g": nir.Linear(np.ones((2, 4))), "h": nir.I(r=np.ones(2)),
             "out": nir.Output(np.array([2]))}
    edges = [("in", "a"), ("a", "b"), ("b", "s"), ("b", "c"), ("c", "d"), ("s", "d"), ("b", "d"), ("d", "e"),
             ("e", "f"), ("f", "g"), ("g", "h"), ("h", "out")]
    network = load(nir.NIRGraph(nodes, edges, type_check=False))
    layer = network.layers[1]
    assert layer.sources == ("conv1",) * 3 and layer.threshold.tolist() == [0.5] * 4
    assert sorted(s.weight[0, 0, 0, 0] for s in layer.synapses if s.groups == 4) == [1.0, 3.0]


def test_a_vector_of_pixels_and_a_subgraph():
    inner = nir.NIRGraph({"i": nir.Input(np.array([5])), "n": fire((5,), 0.5), "o": nir.Output(np.array([5]))},
                         [("i", "n"), ("n", "o")])
    nodes = {"x": nir.Input(np.array([64])), "w": nir.Linear(RNG.normal(size=(5, 64))), "block": inner,
             "v": nir.Affine(RNG.normal(size=(2, 5)), np.zeros(2)), "y": nir.Output(np.array([2]))}
    graph = nir.NIRGraph(nodes, [("x", "w"), ("w", "block"), ("block", "v"), ("v", "y")], type_check=False)
    network = load(graph, (1, 8, 8))
    assert network.origins == {"fc1": "block.n", "fc2": "v"} and network.layers[0].sources == (INPUT,)
    assert network.layers[0].threshold.tolist() == [0.5] * 5
    assert load(graph).shape == (64, 1, 1)


def test_every_problem_is_listed_at_once():
    ones = np.ones((4, 8, 8))
    graph = chain(
        conv((8, 8), 4, 1, stride=2, padding="same"), nir.LIF(ones, ones, ones, ones), conv((8, 8), 4, 4),
        fire((4, 8, 8), reset=0.5), nir.Delay(ones), pool(nir.SumPool2d), flatten(4, 4, 4, start_dim=1),
        nir.Linear(np.ones((3, 64))), fire((3,)),
    )
    with pytest.raises(UnsupportedModel) as caught:
        load(graph)
    assert caught.value.problems == [
        "conv2d1 (Conv2d): has 'same' padding and a stride; nearest supported form: explicit padding",
        "lif2 (LIF): is outside the contract; nearest supported form: IF",
        "if4 (IF): resets to a v_reset that is not 0; nearest supported form: v_reset = 0, which is taken as "
        "subtracting the threshold",
        f"delay5 (Delay): is outside the contract; {SUPPORTED}",
        "linear8 (Linear): takes 64 inputs, the map of shape (4, 16) has 16; nearest supported form: Flatten before it",
    ]


LAST = (flatten(4, 8, 8), nir.Linear(np.ones((3, 256))))
RAMP = 1 + np.arange(256.0).reshape(4, 8, 8)
REFUSED = {
    "has a slope or threshold that is not one for each channel": [conv((8, 8), 4, 1), fire((4, 8, 8), RAMP), *LAST],
    "has a v_threshold of shape (4, 4, 4) for neurons of shape (4, 8, 8)": [conv((8, 8), 4, 1), fire((4, 4, 4)), *LAST],
    "has a threshold that is not positive": [conv((8, 8), 4, 1), fire((4, 8, 8), 0.0), *LAST],
    "has a complex weight, whose imaginary part has no counterpart": [
        nir.Conv2d((8, 8), np.full((4, 1, 3, 3), 1 + 1j), 1, 1, 1, 1, np.zeros(4)), fire((4, 8, 8)), *LAST],
    "has a complex bias": [nir.Affine(np.ones((3, 64)), np.full(3, 1j))],
    "has a complex v_threshold": [conv((8, 8), 4, 1), fire((4, 8, 8), 1 + 0j), *LAST],
    "has a stride of [1.5, 1.5]": [conv((8, 8), 4, 1, stride=np.array([1.5, 1.5])), fire((4, 8, 8)), *LAST],
    "has a weight that is no number": [nir.Linear(np.full((3, 64), "x"))],
    "has a r that is no number": [conv((8, 8), 4, 1), fire((4, 8, 8), r=np.nan), *LAST],
    "takes 2 channels in 1 groups, the map has 1": [conv((8, 8), 4, 2), fire((4, 8, 8)), *LAST],
    "is not the accumulator of a readout": [conv((8, 8), 4, 1), fire((4, 8, 8)), nir.I(np.ones((4, 8, 8))), *LAST],
    "takes 256 inputs, the map of shape (64,) has 64": [*LAST],
    "flattens dimensions 5 to -1": [flatten(1, 8, 8), nir.Linear(np.ones((3, 64)))],
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_has_no_counterpart_is_refused(reason):
    graph = chain(*REFUSED[reason])
    if "dimensions 5" in reason:
        graph.nodes["flatten1"].start_dim = 5
    with pytest.raises(UnsupportedModel) as caught:
        load(graph)
    assert any(reason in problem for problem in caught.value.problems), caught.value.problems


def test_graphs_that_are_no_network():
    whole = chain(conv((8, 8), 4, 1), fire((4, 8, 8)), *LAST)

    def changed(edges=(), **nodes):
        return nir.NIRGraph({**whole.nodes, **nodes}, [*whole.edges, *edges], type_check=False)

    for graph, text in [
        (changed(more=nir.Input(np.array([1, 8, 8]))), "has 2 inputs and 1 results .Input and Output nodes.; it must"),
        (nir.NIRGraph({"x": nir.Input(np.array([1, 8, 8]))}, [], type_check=False), "has 1 inputs and 0 results"),
        (changed(more=nir.Output(np.array([3]))), "has nodes that nothing leads to: more"),
        (changed([("if2", "flatten3")]), "has the edge from if2 to flatten3 twice"),
        (changed(more=fire((4, 8, 8))), "has nodes that nothing leads to: more. Connect or drop them"),
        (changed([("if2", "lost")]), "has edges of nodes that it does not have: lost"),
        (changed([("if2", "conv2d1")]), "has a cycle through conv2d1, .* cut the edge that leads back"),
        (changed(input0=nir.Input(np.array([1, 1, 8, 8]))), r"takes an input of shape \[N, 1, 1, 8, 8\]; it must take"),
    ]:
        with pytest.raises(InputError, match=text):
            load(graph)


def test_files_that_are_none(tmp_path):
    nir.write(tmp_path / "whole.nir", chain(conv((8, 8), 4, 1), fire((4, 8, 8)), *LAST))
    whole = (tmp_path / "whole.nir").read_bytes()
    assert load(tmp_path / "whole.nir").shape == (1, 8, 8)
    (tmp_path / "cut.nir").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.nir").write_text("not a graph")
    with h5py.File(tmp_path / "foreign.nir", "w") as file:
        file["weights"] = np.ones(3)
    with h5py.File(tmp_path / "strange.nir", "w") as file:
        file["node/type"] = "Nonsense"
    nir.write(tmp_path / "single.nir", fire((3,)))
    for name in ("cut", "text", "foreign", "strange", "single"):
        with pytest.raises(InputError, match=rf"{name}.nir is not a NIR graph \(.+\): it is truncated, or of another"):
            load(tmp_path / f"{name}.nir")


def test_a_graph_that_ends_in_neurons_is_read_out_by_their_spikes():
    last = nir.Affine(RNG.normal(size=(3, 64)), RNG.normal(size=3))
    network = load(chain(flatten(1, 8, 8), last, fire((3,), np.array([0.5, 1.0, 2.0]))))
    fc1, readout = network.layers
    assert fc1.threshold.tolist() == [0.5, 1.0, 2.0] and fc1.fires and fc1.origin == "if3"
    assert not readout.fires and readout.sources == ("fc1",) and not readout.bias.any()
    assert readout.synapses[0].weight.ravel().tolist() == [2.0, 1.0, 0.5]  # an activation is spikes times threshold
    integrated = load(chain(flatten(1, 8, 8), last, fire((3,), np.array([0.5, 1.0, 2.0])), nir.I(np.full(3, 4.0))))
    assert integrated.layers[1].synapses[0].weight.ravel().tolist() == [8.0, 4.0, 2.0]


def test_layers_without_neurons_between_them_are_linear():
    weights = [RNG.normal(size=(5, 64)), RNG.normal(size=(3, 5))]
    network = load(chain(flatten(1, 8, 8), nir.Linear(weights[0]), nir.Affine(weights[1], np.ones(3))))
    assert network.layers[0].signed and network.layers[0].threshold is None
    found = network.layers[1].synapses[0].weight.reshape(3, 5) @ network.layers[0].synapses[0].weight.reshape(5, 64)
    np.testing.assert_allclose(found, weights[1] @ weights[0])


def test_several_outputs_and_frames():
    whole = chain(conv((8, 8), 4, 1), fire((4, 8, 8)), *LAST)
    nodes = {**whole.nodes, "map": conv((8, 8), 2, 4), "mask": nir.Output(np.array([2, 8, 8]))}
    edges = [*whole.edges, ("if2", "map"), ("map", "mask")]
    network = load(nir.NIRGraph(nodes, edges, type_check=False, metadata={"frames": True}))
    assert network.frames and not load(whole).frames
    assert network.outputs == ("output5", "mask") and network.shapes["mask"] == (2, 8, 8)
    assert sum(layer.fires for layer in network.layers) == 1


def test_convolutions_of_one_dimension():
    weight = RNG.normal(size=(4, 2, 3))
    last = nir.Linear(np.ones((3, 32)))
    first = nir.Conv1d(16, weight, 2, 1, 1, 1, np.zeros(4))
    network = load(chain(first, fire((4, 8)), flatten(4, 8), last, shape=(2, 16)))
    assert network.shape == (2, 1, 16) and network.layers[0].synapses[0].stride == (1, 2)
    np.testing.assert_array_equal(network.layers[0].synapses[0].weight[:, :, 0], weight)


def hdf5(path, change):
    """Write a whole graph, changed; return the path."""
    nir.write(path, chain(conv((8, 8), 4, 1), fire((4, 8, 8)), *LAST))
    with h5py.File(path, "r+") as file:
        change(file["node/nodes"])
    return path


def replaced(nodes, *arguments, **known):
    del nodes["conv2d1/weight"]
    nodes["conv2d1"].create_dataset("weight", *arguments, **known)


def linked(nodes):
    nodes["conv2d1/weight2"] = h5py.ExternalLink("other.h5", "/weight")


def circular(nodes):
    nodes["again"] = nodes


def elsewhere(nodes):
    replaced(nodes, (9,), "f4", external=[("raw.bin", 0, 36)])


def virtual(nodes):
    layout = h5py.VirtualLayout((9,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "weight", (9,))
    del nodes["conv2d1/weight"]
    nodes["conv2d1"].create_virtual_dataset("weight", layout)


HOSTILE = {
    r"says that .*weight has shape \(1000000, 1000000\), and holds 0 bytes of it":
        lambda nodes: replaced(nodes, (10**6, 10**6), "f4", chunks=(1000, 1000)),
    r"holds complex numbers, .*weight. Weights and parameters must be real":
        lambda nodes: replaced(nodes, data=np.full((4, 1, 3, 3), 1j)),
    r"weight2 lies elsewhere; it must hold all it has": linked,
    r"holds /node/nodes/again in two places, or inside itself": circular,
    r"says that .*weight lies in other files": elsewhere,
    r"weight lies in other files; it must hold all it has": virtual,
    r"holds .*weight of type \[\('a', '<f4'\)\]; it must be text or real numbers":
        lambda nodes: replaced(nodes, data=np.zeros(3, [("a", "f4")])),
}


@pytest.mark.parametrize("text", HOSTILE)
def test_files_that_hold_other_than_their_own_real_numbers_are_refused(text, tmp_path):
    with pytest.raises(InputError, match=text):
        load(hdf5(tmp_path / "model.nir", HOSTILE[text]))


def test_a_file_that_leads_its_library_in_circles_is_refused(tmp_path, monkeypatch):
    path = hdf5(tmp_path / "model.nir", lambda nodes: None)
    content = bytearray(path.read_bytes())
    text = content.index(b"input0", content.index(b"GCOL"))
    content[text - 8:text] = (1798).to_bytes(8, "little")  # its size: whatever follows is not found
    path.write_bytes(content)
    monkeypatch.setattr(nir_archive, "SECONDS", 2.0)
    with pytest.raises(InputError, match=r"is not a NIR graph \(reading it takes longer than 2 s\)"):
        load(path)


@pytest.fixture
def in_process(monkeypatch):
    """Read without the process of its own, whose start takes most of the time."""
    monkeypatch.setattr(nir_file, "read_tree", lambda path: nir_archive.nested(nir_archive.tree(path)))


def test_damaged_files_are_refused_or_harmless(tmp_path, in_process):
    draw, refused = random.Random(4), 0
    whole = hdf5(tmp_path / "whole.nir", lambda nodes: None).read_bytes()
    for trial in range(90):
        content = bytearray(whole)
        if trial % 3 == 0:
            content = content[: draw.randrange(len(content))]
        for _ in range(draw.randrange(1, 20)) if content else ():
            content[draw.randrange(len(content))] = draw.randrange(256)
        (tmp_path / "damaged.nir").write_bytes(content)
        try:
            load(tmp_path / "damaged.nir")
        except InputError:
            refused += 1
    assert refused >= 40


def test_nodes_with_their_parts_exchanged_are_refused_or_harmless(tmp_path, in_process):
    draw, refused = random.Random(6), 0
    values = [3, np.zeros((2, 2)), b"same", np.array([-1, 10**9]), np.full(4, np.nan), b"Conv2d", np.array([])]
    for _ in range(50):
        def exchanged(nodes):
            node = nodes[draw.choice(sorted(nodes))]
            key = draw.choice(sorted(node))
            del node[key]
            if draw.random() < 0.9:
                node[key] = draw.choice(values)

        path = hdf5(tmp_path / "model.nir", exchanged)
        try:
            load(path)
        except InputError:
            refused += 1
    assert refused >= 30
