"""A core's result words become the `Result` that the golden model gives."""

import numpy as np
import pytest

from gen.result import HEADER_WORDS, result_words, results_of
from sim.golden import Golden
from tests.kit.random_networks import SECOND, random_images, random_network, random_staged_network

FIGURES = ("classes", "exit_steps", "logits", "events", "synaptic_ops")
DRAWN = [(random_network, seed) for seed in range(12)] + [(random_staged_network, seed) for seed in range(6)]


def words_of(result, counters):
    """Return the words that a core sends: a header, then every output position by position, channels innermost."""
    first = result.classes.reshape(len(result.classes), -1)[:, 0]
    head = np.column_stack([first, result.exit_steps, counters, result.events, result.synaptic_ops])
    outputs = [np.moveaxis(z, 1, -1).reshape(len(z), -1) for z in result.outputs.values()]
    return np.concatenate([head, *outputs], axis=1).astype(np.int32)


@pytest.mark.parametrize("draw, seed", DRAWN)
def test_every_figure_and_output_comes_back(draw, seed):
    network = draw(seed) if draw is random_staged_network else draw(seed, contract=SECOND)
    right = Golden(network).run(random_images(network, seed, 5))
    counters = np.array([[7 + n, 3 * n] for n in range(5)])
    words = words_of(right, counters)
    assert words.shape[1] == result_words(network)
    result = results_of(network, words)
    for name in FIGURES:
        assert (getattr(result, name) == getattr(right, name)).all(), name
    assert result.outputs.keys() == right.outputs.keys()
    assert all((result.outputs[name] == z).all() for name, z in right.outputs.items())
    assert (result.cycles == counters[:, 0]).all() and (result.busy_cycles == counters[:, 1]).all()
    assert (result.stages is None) == (right.stages is None)
    assert right.stages is None or (result.stages == right.stages).all()


def test_the_networks_have_maps_and_several_outputs():
    networks = [random_network(seed, contract=SECOND) for _, seed in DRAWN[:12]]
    assert any(network.dense for network in networks) and any(len(network.outputs) > 1 for network in networks)


def test_counters_are_not_signed_and_the_class_is_the_cores_own():
    network = random_network(next(seed for seed in range(50) if random_network(seed).classes > 2))
    words = np.zeros((1, result_words(network)), np.int32)
    words[0, 0], words[0, 2:HEADER_WORDS] = 2, -1
    result = results_of(network, words)
    assert result.classes.tolist() == [2]
    assert result.cycles.tolist() == result.synaptic_ops.tolist() == [2**32 - 1]
