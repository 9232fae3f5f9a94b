"""Every operation of PyTorch that converts computes the same as a float network, however it is spelled."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._pytree import tree_leaves

from examples.families import settled
from gen.model.load import load
from tests.gen.model.graph import Graph
from tests.gen.model.reference import results

pytestmark = pytest.mark.usefixtures("one_thread")

DECODED = {"": lambda x: x, "sigmoid": torch.sigmoid, "softmax": lambda x: x.softmax(1)}


def conv(inputs, outputs, kernel=3, **options):
    return nn.Conv2d(inputs, outputs, kernel, **{"padding": kernel // 2, **options})


def body(f, *more, channels=4):
    """Return ReLU(convolution of the images), then ``f`` of the module and the result, then a linear layer of all."""
    layers = {f"m{i}": layer for i, layer in enumerate(more)}
    inner = Graph(lambda m, x: f(m, F.relu(m.stem(x))), stem=conv(3, channels), **layers)
    with torch.no_grad():
        size = inner(torch.zeros(2, 3, 8, 8)).flatten(1).shape[1]
    return Graph(lambda m, x: m.fc(m.inner(x).flatten(1)), inner=inner, fc=nn.Linear(size, 3))


def column(*numbers):
    return torch.tensor(numbers)[:, None, None]


EQUAL = {
    # views
    "concat of two scales": lambda: body(
        lambda m, x: m.m0(torch.cat([F.interpolate(F.max_pool2d(x, 2), scale_factor=2), x], 1)), conv(8, 2)
    ),
    "grouped convolution of a concat": lambda: body(
        lambda m, x: m.m0(torch.cat([x, F.relu(m.m1(x))], 1)), conv(8, 4, groups=2), conv(4, 4)
    ),
    "depthwise after a shuffle": lambda: body(lambda m, x: m.m0(F.channel_shuffle(x, 2)), conv(4, 8, groups=4)),
    "depthwise of a slice": lambda: body(lambda m, x: m.m0(x[:, 1:3]), conv(2, 2, groups=2)),
    "chunks, one passed by": lambda: body(
        lambda m, x: torch.cat([x.chunk(2, 1)[0], F.relu(m.m0(x.chunk(2, 1)[1]))], 1), conv(2, 3)
    ),
    "split, stack, unbind, flip": lambda: body(
        lambda m, x: torch.stack([*x.split([1, 3], 1)[1].unbind(1), x[:, 0].flip(-1)], 1)
    ),
    "channels padded by a concat with zeros": lambda: body(
        lambda m, x: m.m0(torch.cat([x, torch.zeros(2, 2, 8, 8)], 1)) + F.pad(x[:, :, ::2, ::2], (0, 4, 4, 0)),
        conv(6, 4),
    ),
    "index, tile, select": lambda: body(
        lambda m, x: m.m0(x[:, [3, 0]].repeat(1, 2, 1, 1)) + x.select(1, 2).unsqueeze(1), conv(4, 4)
    ),
    "strided slices of the image": lambda: Graph(
        lambda m, x: m.c(torch.cat([x[..., ::2, ::2], x[..., 1::2, 1::2]], 1)), c=conv(6, 4)
    ),
    "crop, then a padded convolution": lambda: body(lambda m, x: m.m0(x[:, :, 1:-2, 2:]), conv(4, 2)),
    "nearest to a size, down and up": lambda: body(lambda m, x: m.m0(F.interpolate(x, (4, 16))), conv(4, 2)),
    "pixel shuffle at the end": lambda: Graph(lambda m, x: F.pixel_shuffle(m.c(x), 2), c=conv(3, 4)),
    "pixel unshuffle": lambda: Graph(lambda m, x: m.c(F.pixel_unshuffle(x, 2)), c=conv(12, 4)),
    "broadcast add of a global average": lambda: body(
        lambda m, x: F.relu(m.m0(x) + x.mean((2, 3), keepdim=True)), conv(4, 4)
    ),
    # activations
    "ReLU6, twice": lambda: body(lambda m, x: F.relu6(F.hardtanh(m.m0(x), 0, 6)), conv(4, 4)),
    "clips of several kinds": lambda: body(lambda m, x: m.m0(x).clamp(min=0).clamp(0, 0.5).clamp_max(0.4), conv(4, 4)),
    "a clip from above alone": lambda: body(lambda m, x: m.m0(x).clamp(max=0.1), conv(4, 4)),
    "threshold, maximum with 0": lambda: body(
        lambda m, x: torch.maximum(F.threshold(m.m0(x), 0, 0) - 0.1, torch.zeros(1)), conv(4, 4)
    ),
    "LeakyReLU of PReLU": lambda: body(lambda m, x: F.leaky_relu(m.m1(m.m0(x)), 0.1), conv(4, 4), nn.PReLU(4)),
    # sums, constants
    "a constant added to a convolution": lambda: body(lambda m, x: F.relu(m.m0(x) + 0.25), conv(4, 4)),
    "scale, shift, subtract, divide, negate": lambda: body(
        lambda m, x: F.relu(2 - (-m.m0(x) * column(1.0, 2.0, 3.0, 4.0) - x / 4)), conv(4, 4)
    ),
    "normalisation of colours of a grey image": lambda: Graph(
        lambda m, x: m.c((x[:, :1].expand(-1, 3, -1, -1) - column(0.4, 0.5, 0.6)) / column(0.2, 0.3, 0.2)), c=conv(3, 4)
    ),
    "the image less a convolution of it": lambda: Graph(lambda m, x: x - m.c((x - 0.5) / 0.2), c=conv(3, 3)),
    # batch norm
    "batch norm on the image": lambda: Graph(lambda m, x: m.c(m.n(x)), n=nn.BatchNorm2d(3), c=conv(3, 4)),
    "batch norm before an unpadded convolution": lambda: body(
        lambda m, x: m.m1(m.m0(x)), nn.BatchNorm2d(4), conv(4, 2, padding=0)
    ),
    "batch norm before a padded convolution": lambda: body(lambda m, x: m.m1(m.m0(x)), nn.BatchNorm2d(4), conv(4, 2)),
    "batch norm before a padded depthwise one": lambda: body(
        lambda m, x: m.m1(F.pad(m.m0(x), (1, 1, 1, 1))), nn.BatchNorm2d(4), conv(4, 4, groups=4, padding=0)
    ),
    "batch norm after flatten": lambda: body(lambda m, x: m.m0(x.flatten(1)), nn.BatchNorm1d(256)),
    "batch norm between max pool and ReLU": lambda: body(
        lambda m, x: F.relu(m.m1(F.max_pool2d(m.m0(x), 3, 2, 1, ceil_mode=True))), conv(4, 4), nn.BatchNorm2d(4)
    ),
    "batch norm of a concat of sums": lambda: body(
        lambda m, x: F.relu(m.m2(torch.cat([m.m0(x), m.m1(x)], 1))), conv(4, 2), conv(4, 2), nn.BatchNorm2d(4)
    ),
    # pools
    "max pools with ceil_mode": lambda: body(
        lambda m, x: F.max_pool2d(F.max_pool2d(x, 3, 2, ceil_mode=True), 3, 2, 1, ceil_mode=True)
    ),
    "a max pool padded by zeros, of negative numbers": lambda: body(
        lambda m, x: F.max_pool2d(F.pad(m.m0(x) - 3, (1, 0, 0, 1)), 2), conv(4, 4)
    ),
    "a dilated max pool": lambda: body(lambda m, x: F.max_pool2d(x, 2, 1, dilation=2)),
    "an average of the image": lambda: Graph(lambda m, x: m.c(F.avg_pool2d(x, 2)), c=conv(3, 4)),
    "an average of a sum": lambda: body(lambda m, x: F.relu(F.avg_pool2d(m.m0(x), 2)), conv(4, 4)),
    "1x1, global average, flatten": lambda: Graph(
        lambda m, x: F.adaptive_avg_pool2d(m.d(F.relu(m.c(x))), 1).flatten(1), c=conv(3, 4), d=conv(4, 3, 1)
    ),
    "mean(3).mean(2)": lambda: body(lambda m, x: x.mean(3).mean(2)),
    "flatten(2).mean(2)": lambda: body(lambda m, x: x.flatten(2).mean(2)),
    "amax, max of rows, sum": lambda: body(lambda m, x: x.amax((2, 3)) + x.max(3)[0].max(2)[0] + x.sum((2, 3))),
    "adaptive pool to a larger map": lambda: body(lambda m, x: F.adaptive_avg_pool2d(F.max_pool2d(x, 8), 4)),
    # weights
    "two convolutions, two linear layers": lambda: body(
        lambda m, x: m.m2(m.m1(m.m0(x)).flatten(1)), conv(4, 4), conv(4, 2), nn.Linear(128, 5)
    ),
    "same padding of an even kernel": lambda: body(lambda m, x: m.m0(x), conv(4, 2, 4, padding="same")),
    "transposed convolutions": lambda: body(
        lambda m, x: m.m1(F.relu(m.m0(x))),
        nn.ConvTranspose2d(4, 6, 2, 2),
        nn.ConvTranspose2d(6, 4, 3, 2, 1, 1, groups=2),
    ),
    "a transposed convolution of a concat": lambda: body(
        lambda m, x: m.m0(torch.cat([x, x.flip(1)], 1)), nn.ConvTranspose2d(8, 2, 3, (2, 1), dilation=(1, 2))
    ),
    "linear on the last axis of [N, H, W, C]": lambda: body(lambda m, x: m.m0(x.permute(0, 2, 3, 1)), nn.Linear(4, 5)),
    "sums read twice": lambda: body(lambda m, x: (lambda y: F.relu(y) + m.m1(y))(m.m0(x)), conv(4, 4), conv(4, 4)),
    # casts
    "casts and formats": lambda: body(
        lambda m, x: m.m0(x.float().to("cpu").to(memory_format=torch.channels_last).contiguous()), conv(4, 2)
    ),
}


def compared(module, shape, x):
    """Load ``module`` and hold what its float network computes of ``x`` against it; return the network."""
    network = load(module, shape)
    with torch.no_grad():
        expected = tree_leaves(module(x))
    for output, values, wanted in zip(network.returns, results(network, x), expected, strict=True):
        values, wanted = DECODED[output.decode](torch.as_tensor(values)).numpy(), wanted.double().numpy()
        assert values.shape == wanted.shape
        assert np.abs(values - wanted).max() <= 1e-5 * np.abs(wanted).max(), output.name
    return network


@pytest.mark.parametrize("name", EQUAL)
def test_the_float_network_computes_what_pytorch_computes(name):
    compared(settled(EQUAL[name](), (3, 8, 8), 2), (3, 8, 8), torch.randn(2, 3, 8, 8))


ONE_AXIS = {
    "convolution, norm, pools": (
        nn.Sequential(
            nn.Conv1d(3, 4, 3, 2, 1),
            nn.BatchNorm1d(4),
            nn.ReLU(),
            nn.MaxPool1d(2),
            nn.Conv1d(4, 4, 3, padding="same"),
            nn.LeakyReLU(),
            nn.AvgPool1d(2),
            nn.AdaptiveAvgPool1d(1),
            nn.Flatten(),
            nn.Linear(4, 2),
        ),
        (3, 16),
    ),
    "upsampling, transposed": (
        nn.Sequential(nn.Conv1d(3, 4, 3), nn.ReLU(), nn.Upsample(scale_factor=2), nn.ConvTranspose1d(4, 2, 4, 2, 1)),
        (3, 16),
    ),
    "points, the channels last": (nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2)), (10, 3)),
    "a vector": (nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2)), (5,)),
}


@pytest.mark.parametrize("name", ONE_AXIS)
def test_sequences_and_vectors(name):
    module, shape = ONE_AXIS[name]
    compared(settled(module, shape), shape, torch.randn(3, *shape))


def test_a_module_is_given_images_as_it_takes_them():
    x = torch.randn(2, 4, 1, 6)
    sequence, last = nn.Conv1d(4, 2, 3), Graph(lambda m, x: m.c(x.permute(0, 3, 1, 2)), c=conv(4, 2))
    expected = sequence(x[:, :, 0]).detach().numpy()
    np.testing.assert_allclose(results(load(sequence, (4, 1, 6)), x[:, :, 0])[0], expected, atol=1e-6)
    network = load(last, (4, 5, 6))
    assert network.channels_last and network.shape == (4, 5, 6)
    assert load(nn.Linear(4, 2), (4, 1, 6)).shape == (4, 1, 6)


def test_a_normalisation_in_forward_becomes_mean_and_std():
    mean, std = column(0.4, 0.5, 0.6), column(0.2, 0.3, 0.4)
    module = Graph(lambda m, x: m.c((x - mean) / std) + m.d((x - mean) / std), c=conv(3, 2), d=conv(3, 2))
    network = compared(module, (3, 8, 8), torch.rand(2, 3, 8, 8))
    np.testing.assert_allclose(network.mean, mean.flatten(), rtol=1e-6)
    np.testing.assert_allclose(network.std, std.flatten(), rtol=1e-6)
    assert len(network.layers) == 1
    twice = Graph(lambda m, x: m.c(2 * x - 1), c=conv(3, 2))
    network = compared(twice, (3, 8, 8), torch.rand(2, 3, 8, 8))
    assert network.mean.tolist() == [0.5] * 3 and network.std.tolist() == [0.5] * 3


def test_a_sum_that_two_read_is_one_layer_and_a_fired_map_is_never_made_again():
    module = Graph(
        lambda m, x: (lambda y: m.d(F.relu(m.n(y))) + y)(m.c(x)), c=conv(3, 4), n=nn.BatchNorm2d(4), d=conv(4, 4)
    )
    network = compared(settled(module, (3, 8, 8)), (3, 8, 8), torch.randn(2, 3, 8, 8))
    assert [(layer.name, layer.sources) for layer in network.layers] == [
        ("conv1", ("input",)),
        ("dw2", ("conv1",)),
        ("conv3", ("dw2", "conv1")),
    ]
    assert network.layers[0].slope.tolist() == [1.0] * 4 and network.layers[1].slope is None


def test_names_of_outputs_are_those_of_a_dictionary():
    module = Graph(
        lambda m, x: {"mask": m.c(x), "more": [F.relu(m.d(x)), torch.sigmoid(m.c(x))]}, c=conv(3, 1), d=conv(3, 2)
    )
    network = compared(module, (3, 8, 8), torch.randn(2, 3, 8, 8))
    assert network.outputs == ("mask", "more.0", "more.1") == tuple(output.name for output in network.returns)
    assert network.decode == {"more.1": "sigmoid"}
    both = Graph(lambda m, x: (lambda y: (y, y.softmax(1)))(m.c(x).flatten(1)), c=conv(3, 2, 8, padding=0))
    network = compared(both, (3, 8, 8), torch.randn(2, 3, 8, 8))
    assert network.outputs == ("fc1",) and [output.readouts for output in network.returns] == [("fc1",)] * 2


def test_one_number_through_a_sigmoid_is_two_classes():
    module = nn.Sequential(nn.Flatten(), nn.Linear(12, 1), nn.Sigmoid())
    network = compared(module, (3, 2, 2), torch.randn(5, 3, 2, 2))
    (readout,) = network.layers
    assert readout.bias[0] == 0 and not readout.synapses[0].weight[0].any() and len(readout.bias) == 2
    assert len(load(module[:2], (3, 2, 2)).layers[0].bias) == 1


def test_what_no_output_depends_on_is_not_looked_at():
    module = Graph(lambda m, x: (F.gelu(m.c(x)), m.c(x))[1], c=conv(3, 2))
    assert len(load(module, (3, 8, 8)).layers) == 1
