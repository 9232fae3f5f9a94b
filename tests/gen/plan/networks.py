"""Small networks for the tests of the plan."""

import numpy as np

from gen.intnet import IntegerNetwork
from gen.layers import ADAFIRE, INPUT, Pool, Readout, Source, Spiking, Synapse

__all__ = ["SHAPE", "chained", "layered", "readout", "residual", "spiking"]

SHAPE = (4, 6, 6)


def spiking(name, synapses, *, bits=4, neuron=ADAFIRE, burst=1, **fields):
    """Return a layer of neurons over ``synapses``."""
    outputs = synapses[0].weight.shape[0]
    ones = np.ones(outputs, int)
    return Spiking(name, synapses, ones, ones, 0 * ones, burst, 8, bits * ones, neuron, **fields)


def readout(name, *synapses, bits=4):
    """Return an output over ``synapses``."""
    outputs = synapses[0].weight.shape[0]
    return Readout(name, synapses, np.zeros(outputs, int), np.full(outputs, bits))


def chained(wiring, timesteps=4, neuron=ADAFIRE, **fields):
    """Return a network of maps of one size, ``wiring`` naming every layer's sources; the readout reads the last."""
    layers = []
    for name, sources in wiring.items():
        layers.append(spiking(name, [
            Synapse(source, np.ones((SHAPE[0], 1 if source == INPUT else SHAPE[0], 1, 1), int)) for source in sources
        ], neuron=neuron))
    layers.append(readout("out", Synapse(layers[-1].name, np.ones((2, *SHAPE), int))))
    return IntegerNetwork(Source((1, *SHAPE[1:])), layers, timesteps, **fields)


def layered(*bits, channels=8, side=1):
    """Return a network of a layer for each of ``bits``, its weights as large as they allow; maps are ``side`` wide."""
    layers, source, inputs = [], INPUT, 1
    for number, b in enumerate(bits):
        last = number == len(bits) - 1
        outputs = 2 if last else channels
        synapse = Synapse(source, np.full((outputs, inputs, 1, 1), 2 ** (b - 1) - 1))
        layers.append(readout("out", synapse, bits=b) if last else spiking(f"layer{number}", [synapse], bits=b))
        source, inputs = f"layer{number}", outputs
    return IntegerNetwork(Source((1, side, side)), layers, 1)


def residual(blocks, channels=(16, 32, 64), side=32):
    """Return a network as CIFAR-10's ResNets are: 6 ``blocks`` + 2 layers, maps of three sizes, a pool at the end."""
    def synapse(source, inputs, outputs, stride=1, size=3):
        weight = np.full((outputs, inputs, size, size), 100)
        return Synapse(source, weight, (stride, stride), padding=(size // 2, size // 2))

    source, inputs = "first", channels[0]
    layers = [spiking(source, [synapse(INPUT, 3, inputs)], bits=8, burst=63)]
    for stage, outputs in enumerate(channels):
        for block in range(blocks):
            stride, name = 2 if stage and not block else 1, f"{stage}_{block}"
            layers.append(spiking(f"{name}a", [synapse(source, inputs, outputs, stride)], bits=8, burst=63))
            both = [synapse(f"{name}a", outputs, outputs), synapse(source, inputs, outputs, stride, 1)]
            layers.append(spiking(f"{name}b", both, bits=8, burst=63))
            source, inputs = f"{name}b", outputs
    left = side >> len(channels) - 1
    layers.append(Pool("pool", source, "sum", (left, left), (left, left)))
    layers.append(readout("out", Synapse("pool", np.full((10, inputs, 1, 1), 100)), bits=8))
    return IntegerNetwork(Source((3, side, side)), layers, 1)
