"""A network in plain values, for `adafire info`: layers, shapes, widths, memory, provenance."""

import math

from gen.layers import ADAFIRE, INVERSE_LEAKY, signed_bits
from gen.layout.weights import stored_bits, word_bits
from gen.netfile import network_hash

__all__ = ["describe"]


def describe(network):
    """Return a JSON object about ``network``; memory in bits as stored, ranges as [least, greatest]."""
    width = word_bits(network)
    layers = [_layer(network, layer, width) for layer in network.layers]
    return {
        "hash": network_hash(network),
        "input": {
            "shape": list(network.source.shape), "kind": network.source.kind,
            "range": [int(value) for value in network.source.range],
        },
        "classes": network.classes,
        "neuron": INVERSE_LEAKY if network.two_phase else ADAFIRE,
        "timesteps": network.timesteps,
        "exit": network.exit_rule.kind,
        "weights": sum(layer["weights"] for layer in layers),
        "weight_memory_bits": sum(layer["weight_memory_bits"] for layer in layers),
        "state_memory_bits": sum(layer["state_memory_bits"] for layer in layers),
        "layers": layers,
        "provenance": network.provenance,
    }


def _layer(network, layer, width):
    shape = network.shapes[layer.name]
    entry = {
        "name": layer.name, "shape": list(shape), "weights": 0, "weight_memory_bits": 0, "state_memory_bits": 0,
    }
    if not layer.weighted:
        return entry | {
            "kind": f"{layer.kind} pool", "reads": [layer.source], "kernel": list(layer.kernel),
            "stride": list(layer.stride),
        }
    low, high = network.membrane_range(layer)
    accumulator = signed_bits(low.min(), high.max())
    state = accumulator if not layer.emits else layer.state_bits
    weights = [synapse.weight for synapse in layer.synapses]
    stored = stored_bits(int(layer.weight_bits.max()), width)
    entry |= {
        "kind": "readout" if not layer.emits else "spiking",
        "reads": [synapse.source for synapse in layer.synapses],
        "synapses": [_synapse(synapse) for synapse in layer.synapses],
        "weights": sum(weight.size for weight in weights),
        "weight_bits": [int(layer.weight_bits.min()), int(layer.weight_bits.max())],
        "weight_memory_bits": stored * sum(weight.size for weight in weights),
        "state_memory_bits": math.prod(shape) * state,
        "accumulator_bits": accumulator,
        "state_bits": state,
    }
    if layer.emits:
        entry |= {"burst": layer.burst, "least_burst": layer.min_burst}
        entry |= {"theta": [int(layer.theta.min()), int(layer.theta.max())]}
    return entry


def _synapse(synapse):
    return {
        "source": synapse.source, "kernel": list(synapse.kernel), "stride": list(synapse.stride),
        "padding": list(synapse.padding), "dilation": list(synapse.dilation), "groups": synapse.groups,
    }


def bursts(layer):
    """Return the bursts that a described layer may send, from the least to the cap; nothing where it does not fire."""
    return f"{layer['least_burst']} to {layer['burst']}" if "burst" in layer else ""
