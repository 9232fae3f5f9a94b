from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from gen.errors import InputError
from gen.exit_rule import ExitRule
from gen.inputs import input_beats, input_stream, input_values, together
from gen.intnet import IntegerNetwork, StagedNetwork
from gen.layers import INPUT, Readout, Source, Synapse

X = np.arange(48, dtype=np.uint8).reshape(3, 1, 4, 4)


def network(shape=(1, 4, 4), timesteps=3, **source):
    weight = np.ones((2, *shape), int)
    readout = Readout("fc", [Synapse(INPUT, weight)], np.zeros(2, int), np.full(2, 8))
    return IntegerNetwork(Source(shape, **source), [readout], timesteps)


def test_values_are_pixels_less_the_offset():
    values = input_values(network(offset=np.array([10])), X)
    assert values.dtype == np.int64
    np.testing.assert_array_equal(values, X.astype(int) - 10)
    two = input_values(network((2, 4, 4), offset=np.array([1, 200])), np.zeros((5, 2, 4, 4), np.uint8))
    assert (two[:, 0] == -1).all() and (two[:, 1] == -200).all()


def test_stages_of_frames_see_the_frames_of_one():
    first = network(kind="frames")
    both = StagedNetwork([replace(first, exit_rule=ExitRule("margin", limits=(1, 1, 1))), first])
    assert both.timesteps == 6 and input_values(both, np.zeros((5, 3, 1, 4, 4), np.uint8)).shape == (5, 3, 1, 4, 4)


def test_one_channel_may_be_left_out():
    np.testing.assert_array_equal(input_values(network(), X[:, 0]), X)
    frames = network((1, 4, 4), kind="frames")
    assert input_values(frames, np.zeros((5, 3, 4, 4), np.uint8)).shape == (5, 3, 1, 4, 4)
    assert input_values(frames, np.zeros((5, 3, 1, 4, 4), np.uint8)).shape == (5, 3, 1, 4, 4)


@pytest.mark.parametrize(
    ("net", "x", "text"),
    [
        (network(), X[:, :, :3], r"of shape \(1, 4, 4\) \(channels, height, width\), these have shape \(1, 3, 4\)"),
        (network((2, 4, 4)), X[:, 0], r"of shape \(2, 4, 4\) .*, these have shape \(4, 4\): give the images"),
        (network(), X[0, 0], r"these have shape \(4,\)"),
        (network(kind="frames"), X, r"of shape \(3, 1, 4, 4\) \(timesteps, channels, height, width\), these have"),
        (network(), X / 255, r"must hold integers \(uint8 pixels\), not float64"),
        (network(high=15), X, "takes pixels in 0..15, these lie in 0..47: scale them as those it was converted for"),
        (network(low=1), X, "takes pixels in 1..255, these lie in 0..47"),
    ],
)
def test_images_of_another_network(net, x, text):
    with pytest.raises(InputError, match=text):
        input_values(net, x)


def test_no_images_have_no_values():
    assert input_values(network(), X[:0]).shape == (0, 1, 4, 4)


@pytest.mark.parametrize("kind", ["direct", "frames"])
def test_values_travel_map_by_map_with_channels_innermost(kind):
    shape, maps = (2, 3, 5), 3 if kind == "frames" else 1
    seen = network(shape, timesteps=3, kind=kind, offset=[4, 7])
    x = np.random.default_rng(0).integers(0, 256, (2, *([3] if kind == "frames" else []), *shape))
    values, stream = input_values(seen, x).reshape(2, maps, *shape), input_stream(seen, x)
    assert stream.dtype == np.int32 and stream.shape == (2, values[0].size)
    for n, m, channel, row, column in np.ndindex(values.shape):
        assert stream[n, ((m * 3 + row) * 5 + column) * 2 + channel] == values[n, m, channel, row, column]


@pytest.mark.parametrize("count, images", [(6, 3), (7, 3), (1, 4), (5, 1), (0, 3)])
def test_images_of_a_run_lie_side_by_side_and_the_last_one_stands_for_those_missing(count, images):
    x = np.arange(count * 8).reshape(count, 2, 4)
    runs, numbers = together(x, images), np.minimum(np.arange(-(-count // images) * images), count - 1)
    np.testing.assert_array_equal(runs, x[numbers].reshape(-1, images, 2, 4))
    assert len(runs) == -(-count // images)


def test_images_of_a_run_travel_one_behind_the_other():
    seen, x = network((2, 3, 5), timesteps=1, offset=[4, 7]), np.random.default_rng(0).integers(0, 256, (5, 2, 3, 5))
    alone, stream = input_stream(seen, x), input_stream(seen, x, 3)
    assert stream.dtype == np.int32
    np.testing.assert_array_equal(stream, alone[[[0, 1, 2], [3, 4, 4]]].reshape(2, -1))
    assert input_stream(seen, x[:0], 3).shape == (0, 90)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_beats_hold_values_from_the_lowest_bits_up_and_the_first_is_marked(size):
    values = np.array([-256, 255, 0, -1, 7, 8, -9, 10])
    beats = input_beats(values, SimpleNamespace(value_bits=9, input_values=size))
    fields = [[beat >> 9 * n & 511 for n in range(size)] for beat in beats]
    assert sum(fields, []) == (values & 511).tolist()
    assert [beat >> 9 * size for beat in beats] == [1] + [0] * (8 // size - 1)
