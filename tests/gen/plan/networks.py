"""Small networks for the tests of the plan."""

import numpy as np

from gen.intnet import IntegerNetwork
from gen.layers import ADAFIRE, INPUT, Readout, Source, Spiking, Synapse

__all__ = ["SHAPE", "chained", "layered", "readout", "spiking"]

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
