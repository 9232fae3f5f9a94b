"""A network in plain values, for `adafire info`: layers, shapes, widths, memory, provenance."""

import math

from gen.intnet import IntegerNetwork, StagedNetwork
from gen.layers import ADAFIRE, INVERSE_LEAKY, POOL, READOUT, SPIKING, signed_bits
from gen.plan.weights import stored_bits, word_bits
from gen.netfile import network_hash
from gen.task import VALUES

__all__ = ["BY_ROLE", "bursts", "describe"]


def describe(network: IntegerNetwork | StagedNetwork) -> dict:
    """Return a JSON object about ``network``; memory in bits as stored, ranges as [smallest, largest].

    Of a network of stages the totals are those of all stages, ``layers`` lists them all, each with its ``stage`` from
    0, and ``stages`` has timesteps, exit rule and sizes of each.
    """
    stages = [_stage(stage) for stage in network.stages]
    layers = [
        layer | ({"stage": number} if len(stages) > 1 else {})
        for number, stage in enumerate(stages) for layer in stage.pop("layers")
    ]
    first = network.stages[0]
    return {
        "hash": network_hash(network),
        "input": {
            "shape": list(first.source.shape), "kind": first.source.kind,
            "range": [int(value) for value in first.source.range],
        },
        "classes": _classes(network),
        "outputs": [
            {"name": name, "shape": list(first.shapes[name]), "decides": name == first.readout.name}
            for name in first.outputs
        ],
        "task": network.task.as_dict(),
        "neuron": INVERSE_LEAKY if network.two_phase else ADAFIRE,
        "timesteps": network.timesteps,
        "exit": first.exit_rule.kind,
        "order": first.order,
        **{total: sum(stage[total] for stage in stages) for total in _TOTALS},
        "layers": layers,
        **({"stages": stages} if len(stages) > 1 else {}),
        "provenance": network.provenance,
    }


def _classes(network):
    """Return how many classes the outputs tell apart; None where they are numbers, or only a user's decoder knows."""
    first = network.stages[0]
    shapes = {name: first.shapes[name] for name in first.outputs}
    return None if network.task.kind == VALUES else network.task.classes(shapes, first.readout.name)


_TOTALS = ("weights", "weight_memory_bits", "state_memory_bits")


def _stage(network):
    width = word_bits(network)
    layers = [_layer(network, layer, width) for layer in network.layers]
    return {
        "timesteps": network.timesteps, "exit": network.exit_rule.kind,
        **{total: sum(layer[total] for layer in layers) for total in _TOTALS},
        "layers": layers,
    }


def _layer(network, layer, width):
    entry = {
        "name": layer.name, "kind": layer.role, "shape": list(network.shapes[layer.name]),
        "reads": list(layer.sources), "weights": 0, "weight_memory_bits": 0, "state_memory_bits": 0,
    }
    return entry | BY_ROLE[layer.role](network, layer, width)


def _pool(network, layer, width):
    return {
        "kind": f"{layer.kind} pool", "kernel": list(layer.window.kernel), "stride": list(layer.window.stride),
        "padding": list(layer.window.padding), **_upsampling(layer.window),
    }


def _readout(network, layer, width):
    return _sums(network, layer, width, _accumulator_bits(network, layer))


def _spiking(network, layer, width):
    entry = _sums(network, layer, width, layer.state_bits) | {
        "burst": layer.burst, "min_burst": layer.min_burst,
        "least_burst": layer.min_burst,  # what the first edition called it
        "theta": [int(layer.theta.min()), int(layer.theta.max())],
    }
    if layer.signed:
        entry |= {
            "burst_low": layer.burst_low, "theta_low": [int(layer.theta_low.min()), int(layer.theta_low.max())],
        }
    return entry


BY_ROLE = {SPIKING: _spiking, POOL: _pool, READOUT: _readout}


def _sums(network, layer, width, state_bits):
    """Return what is told of every layer with weights, whose state takes ``state_bits`` a neuron."""
    weights = sum(synapse.weight.size for synapse in layer.synapses)
    return {
        "synapses": [_synapse(synapse) for synapse in layer.synapses],
        "weights": weights,
        "weight_bits": [int(layer.weight_bits.min()), int(layer.weight_bits.max())],
        "weight_memory_bits": stored_bits(int(layer.weight_bits.max()), width) * weights,
        "state_memory_bits": math.prod(network.shapes[layer.name]) * state_bits,
        "accumulator_bits": _accumulator_bits(network, layer),
        "state_bits": state_bits,
    }


def _accumulator_bits(network, layer):
    low, high = network.membrane_range(layer)
    return signed_bits(low.min(), high.max())


def _synapse(synapse):
    window = synapse.window
    return {
        "source": synapse.source, "kernel": list(window.kernel), "stride": list(window.stride),
        "padding": list(window.padding), "dilation": list(window.dilation), "groups": synapse.groups,
        **_upsampling(window),
    }


def _upsampling(window):
    return {"upsample": list(window.upsample), "fill": window.fill} if window.upsample != (1, 1) else {}


def bursts(layer: dict) -> str:
    """Return the bursts that a described layer may send, the smallest to the cap; nothing where it does not fire."""
    if "burst" not in layer:
        return ""
    if "burst_low" in layer:
        return f"-{layer['burst_low']} to {layer['burst']}"
    return f"{layer['min_burst']} to {layer['burst']}"
