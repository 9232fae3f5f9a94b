"""The door for NIR: what a graph computes, what its neurons keep, and every refusal."""

import h5py
import nir
import numpy as np
import pytest

from gen.errors import InputError, UnsupportedModel
from gen.layers import INPUT
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
    with pytest.raises(InputError, match=r"takes an input of shape \[N, 64\]; .* Give its Input node the shape"):
        load(graph)


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
        "linear8 (Linear): acts on the last axis of a map; nearest supported form: Flatten before it",
        "if9 (output): the last layer fires or pools; nearest supported form: Linear at the end",
    ]


LAST = (flatten(4, 8, 8), nir.Linear(np.ones((3, 256))))
RAMP = 1 + np.arange(256.0).reshape(4, 8, 8)
REFUSED = {
    "has a v_threshold that differs within a channel": [conv((8, 8), 4, 1), fire((4, 8, 8), RAMP), *LAST],
    "has a v_threshold of shape (4, 4, 4) for neurons of shape (4, 8, 8)": [conv((8, 8), 4, 1), fire((4, 4, 4)), *LAST],
    "has a threshold that is not positive": [conv((8, 8), 4, 1), fire((4, 8, 8), 0.0), *LAST],
    "the last layer fires or pools": [conv((8, 8), 4, 1), fire((4, 8, 8)), *LAST, fire((3,))],
    "reads a sum that no ReLU follows": [conv((8, 8), 4, 1), conv((8, 8), 4, 4), fire((4, 8, 8)), *LAST],
    "takes 2 channels in 1 groups, the map has 1": [conv((8, 8), 4, 2), fire((4, 8, 8)), *LAST],
    "is not the accumulator of a readout": [conv((8, 8), 4, 1), fire((4, 8, 8)), nir.I(np.ones((4, 8, 8))), *LAST],
    "takes 256 inputs, the map of shape (1, 8, 8) has 64": [*LAST],
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
        (changed(more=nir.Input(np.array([1, 8, 8]))), "has 2 inputs .Input nodes.; it must have one"),
        (changed(more=nir.Output(np.array([3]))), "has 2 results .Output nodes.; it must have one"),
        (changed(more=fire((4, 8, 8))), "has nodes that nothing leads to: more. Connect or drop them"),
        (changed([("if2", "lost")]), "has edges of nodes that it does not have: lost"),
        (changed([("if2", "conv2d1")]), "has a cycle through conv2d1, .* cut the edge that leads back"),
        (changed(input0=nir.Input(np.array([8, 8]))), r"takes an input of shape \[N, 8, 8\]; it must take images"),
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
