"""Random models for the tests of the TFLite door, and what their interpreter says to compare with."""

import numpy as np
import torch

from gen.method.simulate import activations
from gen.model.load import load
from tests.gen.model.tflite_maker import RELU, interpreted

__all__ = ["RNG", "base", "check", "head", "normal", "results"]

RNG = np.random.default_rng(7)


def normal(*shape):
    return RNG.normal(size=shape) / np.sqrt(np.prod(shape[1:]) + 1)


def results(network, images):
    """Return what the network returns for ``images`` [N, ...], channels last, in the shape that the model gives it."""
    x = torch.tensor(np.moveaxis(images, -1, 1) if images.ndim > 2 else images, dtype=torch.float32)
    x = x.reshape(len(x), *network.shape)
    if network.mean is not None:
        mean, std = (torch.tensor(v, dtype=torch.float32)[:, None, None] for v in (network.mean, network.std))
        x = (x - mean) / std
    maps = activations(network, x)
    return [output.assemble({name: maps[name].numpy() for name in output.readouts}) for output in network.returns]


def check(content, shape):
    """Assert that network and interpreter agree on random images of ``shape``; return the network."""
    images = RNG.uniform(-1, 1, (3, *shape)).astype("f4")
    network = load(content)
    found, expected = results(network, images), interpreted(content, images)
    assert len(found) == len(expected)
    for ours, theirs, output in zip(found, expected, network.returns):
        ours = {"softmax": softmax, "log_softmax": lambda x: np.log(softmax(x)), "sigmoid": sigmoid,
                "": lambda x: x}[output.decode](ours)
        assert ours.shape == theirs.shape and np.abs(theirs).max() > 0
        assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()
    return network


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def head(m, x, shape, classes=3):
    """Add a linear layer over all of ``x``."""
    size = int(np.prod(shape))
    return m.linear(m.node("RESHAPE", [x, m.const([1, size])], (1, size), "ReshapeOptions"), normal(classes, size),
                    (1, classes), normal(classes))


def base(m, shape=(8, 8, 4), act=RELU):
    """Add an image and a first convolution with a map of ``shape``."""
    x = m.input(1, shape[0], shape[1], 3)
    return m.conv(x, normal(shape[2], 3, 3, 3), (1, *shape), normal(shape[2]), act=act)
