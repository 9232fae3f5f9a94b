"""The network as a report tells of it: all layers of all stages, each under a name of its own."""

from gen.layers import INPUT
from host.describe import describe
from sim.energy import is_identity

__all__ = ["described", "title"]


def title(network, stage, name):
    """Return what a report calls the layer ``name`` of a stage, from 0: in a network of stages ``2/conv1``."""
    return name if len(network.stages) == 1 or name == INPUT else f"{stage + 1}/{name}"


def described(network):
    """Return `host.describe.describe` of a network, the edges between its maps, and its exit rules.

    graph : [source, layer, identity] of every edge; the last says that nothing is multiplied
    rule : that of the first stage, with the limits of all stages
    """
    found = describe(network)
    for layer in found["layers"]:
        stage = layer.get("stage", 0)
        layer["name"] = title(network, stage, layer["name"])
        layer["reads"] = [title(network, stage, source) for source in layer["reads"]]
    graph = [
        [title(network, number, source), title(network, number, layer.name), identity]
        for number, stage in enumerate(network.stages) for layer in stage.layers for source, identity in _reads(layer)
    ]
    return found | {"graph": graph, "rule": _rule(network)}


def _reads(layer):
    """Return (map, whether it is taken as it is) of everything that a layer reads."""
    if not layer.weighted:
        return [(layer.source, False)]
    return [(synapse.source, is_identity(synapse)) for synapse in layer.synapses]


def _rule(network):
    rule = network.stages[0].exit_rule
    limits = [limit for stage in network.stages for limit in stage.exit_rule.limits]
    return {"kind": rule.kind, "limits": limits, "shift": rule.shift, "scale": rule.scale}
