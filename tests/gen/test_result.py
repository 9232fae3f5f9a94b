"""A core's result words become the `Result` that the golden model gives."""

import numpy as np
import pytest

from gen.result import HEADER_WORDS, form_words, result_form, result_words, results_in, results_of
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


TOGETHER = [(images, seed) for images in (2, 3, 5) for seed in range(6)]


@pytest.mark.parametrize("images, seed", TOGETHER)
def test_a_result_of_several_images_has_a_row_for_each(images, seed):
    """One result tells the class of the last image, the counters of all together, then the outputs image by image."""
    network = random_network(seed, contract=SECOND, sources=("direct",), max_timesteps=1)
    form, right = result_form(network, images), Golden(network).run(random_images(network, seed, 2 * images))
    alone = words_of(right, np.array([[7 + n, 3 * n] for n in range(2 * images)])).reshape(2, images, -1)
    header, outputs = alone[:, :, :HEADER_WORDS].sum(axis=1), alone[:, :, HEADER_WORDS:].reshape(2, -1)
    header[:, 0] = alone[:, -1, 0]
    words = np.concatenate([header, outputs], axis=1)
    assert form["images"] == images and words.shape[1] == form_words(form) == result_words(network, images)
    for result in (results_in(form, words), results_of(network, words, images)):
        for name in ("classes", "exit_steps", "logits"):
            np.testing.assert_array_equal(getattr(result, name), getattr(right, name), err_msg=f"seed {seed}, {name}")
        for name, z in right.outputs.items():
            np.testing.assert_array_equal(result.outputs[name], z, err_msg=f"seed {seed}, {name}")
        for place, name in enumerate(("cycles", "busy_cycles", "events", "synaptic_ops"), 2):
            shares = getattr(result, name).reshape(2, images)
            assert shares.sum(axis=1).tolist() == header[:, place].tolist(), f"seed {seed}, {name}"
            assert (np.ptp(shares, axis=1) <= 1).all() and (np.diff(shares) <= 0).all(), f"seed {seed}, {name}"


def test_a_result_of_one_image_says_nothing_of_several():
    network = random_network(0)
    assert result_form(network) == result_form(network, 1) and "images" not in result_form(network)
    assert form_words(result_form(network)) == result_words(network)


def test_counters_of_several_images_are_not_signed():
    network = random_network(0, sources=("direct",), max_timesteps=1)
    words = np.zeros((1, result_words(network, 3)), np.int32)
    words[0, 1], words[0, 2:HEADER_WORDS] = 3, -1
    result = results_of(network, words, 3)
    assert result.exit_steps.tolist() == [1, 1, 1]
    assert result.cycles.tolist() == result.synaptic_ops.tolist() == [(2**32 - 1) // 3] * 3


def test_the_first_images_of_a_result():
    network = random_staged_network(0)
    right = Golden(network).run(random_images(network, 0, 5))
    result = right.first(3)
    for name in (*FIGURES, "stages", "spike_ops"):
        np.testing.assert_array_equal(getattr(result, name), getattr(right, name)[:3], err_msg=name)
    assert result.cycles is result.busy_cycles is None and result.outputs.keys() == right.outputs.keys()
    assert all((result.outputs[name] == z[:3]).all() for name, z in right.outputs.items())
    assert len(right.first(9).classes) == 5 and not len(right.first(0).classes)


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
