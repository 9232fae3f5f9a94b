"""Weight calibration: what it sees is the convolution, what it chooses is nearer to the float network."""

import numpy as np
import pytest
import torch

from gen.layers import ADAFIRE, INPUT, INVERSE_LEAKY
from gen.method.calibrate import correct
from gen.method.least_squares import LeastSquares
from gen.method.quantize import quantize_with_scales
from gen.method.rounding import calibrate_weights, choose, columns
from gen.method.simulate import activations, readout_sums
from gen.method.thresholds import thresholds
from gen.model.network import FloatNetwork, FloatPool, FloatSynapse, FloatLayer

pytestmark = pytest.mark.usefixtures("one_thread")


def network(seed):
    """Stem, depthwise, pointwise, residual block behind a pool, readout; channel 2 of the stem is dead."""
    rng = np.random.default_rng(seed)

    def synapse(source, *shape, **geometry):
        return FloatSynapse(source, rng.normal(size=shape) / np.sqrt(np.prod(shape[1:])), **geometry)

    bias = rng.random(6) / 2
    bias[2] = -100.0
    return FloatNetwork((2, 9, 9), (
        FloatLayer("stem", (synapse(INPUT, 6, 2, 3, 3, padding=(1, 1)),), bias),
        FloatLayer("depth", (synapse("stem", 6, 1, 3, 3, padding=(1, 1), stride=(2, 2), groups=6),), rng.random(6) / 2),
        FloatLayer("point", (synapse("depth", 8, 6, 1, 1),), rng.random(8) / 4),
        FloatPool("mean", "point", "sum", (2, 2), (2, 2), divisor=4.0),
        FloatLayer("inner", (synapse("mean", 8, 4, 2, 2, padding=(1, 1), groups=2),), rng.random(8) / 4),
        FloatLayer("outer", (synapse("inner", 8, 8, 2, 2), FloatSynapse("mean", np.ones((8, 1, 1, 1)), groups=8),
                        synapse("mean", 8, 8, 1, 1)), rng.random(8) / 4),
        FloatLayer("z", (synapse("outer", 5, 8, 2, 2),), rng.normal(size=5), fires=False),
    ))


class Case:
    """A float network, images, and what conversion knows before weights are calibrated; codes are of five bits."""

    def __init__(self, seed, bits, neuron=ADAFIRE):
        self.float, self.steps = network(seed), 4 if neuron == ADAFIRE else 1
        self.x = np.random.default_rng(seed).integers(0, 256, (200, 2, 9, 9), dtype=np.uint8)
        self.maps = activations(self.float, torch.as_tensor(self.x).float() / 255)
        chosen = thresholds(self.float, self.maps, self.steps, 28 // self.steps)
        self.plain = quantize_with_scales(self.float, chosen, weight_bits=bits, neuron=neuron,
                                          timesteps=4 if neuron == ADAFIRE else 5)
        shapes = self.plain.network.shapes
        self.means = {
            layer.name: self.maps[layer.name][..., : shapes[layer.name][1], : shapes[layer.name][2]]
            .double().mean((0, 2, 3)).numpy()
            for layer in self.float.layers if layer.weighted
        }

    def calibrated(self, progress=None):
        return calibrate_weights(self.plain, self.float, self.maps, self.x, self.means, progress=progress)

    def error(self, net, logit):
        """Mean square of what the logits are off, over that of the logits."""
        wanted = self.maps["z"].flatten(1).double().numpy()
        found = readout_sums(net, self.x)[:, -1] / (self.steps * logit)
        return ((found - wanted) ** 2).mean() / wanted.var(0).mean()


@pytest.mark.parametrize("seed, bits, neuron", [(0, 4, ADAFIRE), (1, 3, ADAFIRE), (2, 4, INVERSE_LEAKY)])
def test_the_logits_come_closer_to_those_of_the_float_network(seed, bits, neuron):
    case = Case(seed, bits, neuron)
    found = case.calibrated()
    corrected = case.error(correct(case.plain, case.x, case.means), case.plain.logit)
    assert case.error(found.network, found.logit) < 0.7 * corrected, f"seed {seed}"


def test_the_same_network_twice_and_dead_channels_stay_silent():
    case, fractions = Case(0, {"stem": 8, "depth": 3, "point": 4, "inner": 5, "outer": 2, "z": 6}), []
    one, two = case.calibrated(fractions.append), case.calibrated()
    for a, b in zip(one.network.layers, two.network.layers):
        if a.weighted:
            assert all(np.array_equal(s.weight, t.weight) for s, t in zip(a.synapses, b.synapses))
            assert np.array_equal(a.bias, b.bias)
            assert np.array_equal(a.weight_bits, case.plain.network.layer(a.name).weight_bits)
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    stem = one.network.layer("stem")
    assert one.amplitudes["stem"][2] == 0 and not stem.synapses[0].weight[2].any()
    assert not one.network.layer("depth").synapses[0].weight[2].any(), "reads a channel that is never active"


def test_amplitudes_and_logit_say_what_the_new_integers_mean():
    case = Case(1, 8)
    found = case.calibrated()
    pool = case.float.layers[3]
    assert found.amplitudes["mean"] == pytest.approx(found.amplitudes["point"] / pool.divisor)
    for layer in found.network.layers[:3]:
        moved = found.amplitudes[layer.name] / case.plain.amplitudes[layer.name].clip(1e-9)
        assert (np.abs(moved[moved > 0] - 1) < 0.02).all(), "the threshold stays, but for the rounding of theta"
    assert case.error(found.network, found.logit) < 0.05


def test_every_output_does_at_least_as_well_as_with_plain_rounding():
    rng = np.random.default_rng(2)
    for groups, n, common in ((1, 9, False), (4, 9, False), (2, 1, False), (1, 12, True)):
        x = rng.random((groups, 300, n)) @ rng.normal(size=(groups, n, n))
        problem = LeastSquares([x], [rng.normal(size=(4, 1, n))])
        y = problem.predict(problem.start)
        limit = np.full(4, 7)
        for stretch in (1.0, 1.3):
            given = stretch * limit / np.abs(problem.start[0]).max((1, 2))
            given = np.full(4, given.min()) if common else given
            w, scale = choose(problem, y, limit, given, common)
            plain = np.rint(problem.start[0] * given[:, None, None]).clip(-7, 7) / given[:, None, None]
            mine = problem.loss([w[0] / scale[:, None, None]], problem.start)
            theirs = problem.loss([plain], problem.start)
            if common:
                assert mine.sum() <= theirs.sum() and np.ptp(scale) == 0
            else:
                assert (mine <= theirs + 1e-12).all(), (groups, n, stretch)
            assert np.abs(w[0]).max() <= 7


@pytest.mark.parametrize("groups, stride, padding, dilation", [
    (1, (1, 1), (0, 0), (1, 1)), (2, (2, 1), (1, 2), (1, 2)), (4, (1, 3), (2, 0), (2, 1)),
])
def test_columns_are_what_the_convolution_sees(groups, stride, padding, dilation):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(5, 4, 8, 7))
    weight = rng.normal(size=(4, 4 // groups, 3, 2))
    synapse = FloatSynapse("x", weight, stride, padding, dilation, groups)
    geometry = (None, stride, padding, dilation, groups)
    wanted = torch.nn.functional.conv2d(torch.as_tensor(x), torch.as_tensor(weight), *geometry).numpy()
    places = np.unravel_index(np.arange(wanted[:, 0].size), wanted[:, 0].shape)
    seen = columns(synapse, x, places)
    found = (seen @ weight.reshape(groups, -1, seen.shape[2]).transpose(0, 2, 1)).transpose(1, 0, 2)
    assert found.reshape(-1, 4) == pytest.approx(wanted.transpose(0, 2, 3, 1).reshape(-1, 4))
