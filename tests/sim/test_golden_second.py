"""The fast golden model against the plain one on random networks of the second contract."""

from dataclasses import replace

import numpy as np
import pytest

from gen.errors import InputError, NetworkError
from gen.exit_rule import SHARE_ONE, ExitRule
from gen.intnet import IntegerNetwork, StagedNetwork
from gen.layers import ADAFIRE, INPUT, INVERSE_LEAKY, Pool, Readout, Source, Spiking, Synapse
from sim.golden import Golden
from tests.kit.random_networks import SECOND, random_images, random_network, random_staged_network
from tests.sim.golden_checks import assert_equal_models

SMALL = {"max_neurons": 200, "max_weights": 800, "max_size": 6, "contract": SECOND}
EACH = 50  # networks of one test


def check(seeds):
    for seed in seeds:
        network = random_network(seed, neuron=INVERSE_LEAKY if seed % 6 == 0 else ADAFIRE, **SMALL)
        assert_equal_models(network, random_images(network, seed, 2))


@pytest.mark.parametrize("first", [
    first if first < 200 else pytest.param(first, marks=pytest.mark.slow) for first in range(0, 500, EACH)
])
def test_fast_equals_plain_on_random_networks(first):
    check(range(first, first + EACH))


@pytest.mark.slow
@pytest.mark.parametrize("first", range(10_000, 15_000, EACH))
def test_fast_equals_plain_on_thousands_of_random_networks(first):
    check(range(first, first + EACH))


@pytest.mark.parametrize("seed", range(40))
def test_fast_equals_plain_on_random_stages(seed):
    network = random_staged_network(seed, **{k: v for k, v in SMALL.items() if k != "contract"})
    seen = []
    images = random_images(network, seed, 4)
    assert_equal_models(network, images)
    Golden(network).run(images, progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen) and seen[-1] == (4, 4)


def neuron(theta, theta_low, burst=255, burst_low=255, min_burst=1, weight=1, timesteps=2):
    """Return a network of one signed neuron that reads ``weight`` times (pixel - 128), and a readout of its count."""
    one = np.ones(1, int)
    layer = Spiking(
        "a", [Synapse(INPUT, np.full((1, 1, 1, 1), weight))], 0 * one, theta * one, 0 * one, burst, 16, 8 * one,
        min_burst=min_burst, theta_low=theta_low * one, burst_low=burst_low,
    )
    last = Readout("z", [Synapse("a", np.ones((1, 1, 1, 1), int))], 0 * one, 8 * one)
    return IntegerNetwork(Source((1, 1, 1), offset=np.array([128])), [layer, last], timesteps)


@pytest.mark.parametrize(
    ("pixel", "counts", "states"),
    [
        (128 + 5, [1, 0], [-5, 0]),        # 5 of 10 is rounded up; 0 is left
        (128 + 4, [0, 1], [4, -2]),        # 4, then 8
        (128 - 2, [-1, 0], [2, 0]),        # -2 of 4 below
        (128 - 1, [0, -1], [-1, 2]),
        (128 + 100, [3, 3], [70, 140]),    # the cap above
        (128 - 100, [-2, -2], [-92, -184]),
    ],
)
def test_a_neuron_with_two_thresholds_by_hand(pixel, counts, states):
    network = neuron(10, 4, burst=3, burst_low=2)
    image = np.full((1, 1, 1), pixel, np.uint8)
    trace = Golden(network).trace(image)
    assert trace.counts["a"].ravel().tolist() == counts and trace.states["a"].ravel().tolist() == states
    assert_equal_models(network, image[None])


def test_a_small_burst_below_zero_is_kept():
    network = neuron(10, 10, min_burst=4, timesteps=4)
    trace = Golden(network).trace(np.full((1, 1, 1), 128 - 13, np.uint8))
    assert trace.counts["a"].ravel().tolist() == [0, 0, -4, 0]
    assert trace.states["a"].ravel().tolist() == [-13, -26, 1, -12]


def test_the_maximum_of_what_lies_on_the_map():
    """Taps beside the map are no zeros: the maximum of negative counts is negative; a window of none has 0."""
    network = neuron(1, 1)
    pool = Pool("p", "a", "max", (2, 2), (1, 1), (2, 2, 0, 0))
    last = Readout("z", [Synapse("p", np.ones((1, 1, 2, 2), int))], np.zeros(1, int), np.full(1, 8))
    network = replace(network, layers=[network.layers[0], pool, last])
    image = np.full((1, 1, 1), 128 - 7, np.uint8)
    assert Golden(network).trace(image).counts["p"][0].tolist() == [[[0, 0], [0, -7]]]
    assert_equal_models(network, image[None])


def test_a_share_of_the_positions_must_pass():
    one = np.ones((1, 1, 1, 1), int)
    weight = np.concatenate([one, -one])
    readout = Readout("map", [Synapse(INPUT, weight)], np.zeros(2, int), np.full(2, 8))
    network = IntegerNetwork(Source((1, 1, 4)), [readout], 3)
    image = np.array([[[0, 1, 5, 9]]], np.uint8)  # margins of 0, 2, 10, 18 at every timestep
    for share, steps in ((SHARE_ONE // 4, 1), (SHARE_ONE // 4 + 1, 1), (SHARE_ONE // 2 + 1, 3), (SHARE_ONE, 3)):
        rule = ExitRule("margin", limits=(9, 9, 9), output="map", share=share)
        result = assert_equal_models(replace(network, exit_rule=rule), image[None])
        assert result.exit_steps.tolist() == [steps]
    assert result.classes.tolist() == [[[0, 0, 0, 0]]] and result.logits.shape == (1, 2, 1, 4)
    assert Golden(network).all_logits(image[None]).shape == (1, 3, 2, 1, 4)


def test_a_stage_answers_for_what_the_one_before_doubts():
    one = np.ones(1, int)

    def stage(weight, timesteps, rule):
        readout = Readout("z", [Synapse(INPUT, np.array(weight).reshape(2, 1, 1, 1))], np.zeros(2, int), np.full(2, 8))
        return IntegerNetwork(Source((1, 1, 1), offset=0 * one), [readout], timesteps, rule)

    network = StagedNetwork([stage([1, -1], 2, ExitRule("margin", limits=(100, 100))), stage([-3, 3], 1, ExitRule())])
    result = assert_equal_models(network, np.array([60, 20, 10]).astype(np.uint8).reshape(3, 1, 1, 1))
    assert result.stages.tolist() == [0, 1, 1] and result.exit_steps.tolist() == [1, 3, 3]
    assert result.classes.tolist() == [0, 1, 1] and result.synaptic_ops.tolist() == [2, 4, 4]
    assert Golden(network).trace(np.full((1, 1, 1), 20, np.uint8)).class_ == 1


def test_the_logits_and_fan_outs_of_stages_are_those_of_each():
    golden = Golden(random_staged_network(3))
    with pytest.raises(InputError, match="The network has . stages, each with fan-outs and logits of its own"):
        golden.all_logits(random_images(golden.network, 3, 1))
    with pytest.raises(InputError, match="make a golden model of one of network.stages"):
        golden.fanout.keys()


def test_stages_of_frames_have_the_same_frames():
    readout = Readout("z", [Synapse(INPUT, np.ones((2, 1, 1, 1), int))], np.zeros(2, int), np.full(2, 8))
    first, second = (
        IntegerNetwork(Source((1, 1, 1), "frames"), [readout], t, ExitRule("margin", limits=(1,) * t)) for t in (2, 3)
    )
    with pytest.raises(NetworkError, match="stage 2 has 3 timesteps, stage 1 has 2"):
        StagedNetwork([first, second])
