"""Random integer networks and images: everything a contract allows, small enough for RTL simulation.

A seed names a network of the first contract, which every machine runs (`tests.kit.random_draft`), or one of the second
(`tests.kit.random_second`).
"""

from __future__ import annotations

import numpy as np

from gen.errors import InputError
from gen.exit_rule import KINDS
from gen.intnet import IntegerNetwork, StagedNetwork
from gen.layers import ADAFIRE, INVERSE_LEAKY, NetworkError
from gen.plan.batch import head_and_tail
from gen.plan.passes import layer_passes
from tests.kit.random_draft import Draft
from tests.kit.random_images import random_images
from tests.kit.random_second import SecondDraft

__all__ = [
    "FIRST", "SECOND", "random_batch_network", "random_images", "random_network", "random_staged_network",
]

FIRST, SECOND = 1, 2
_DRAFTS = {FIRST: Draft, SECOND: SecondDraft}
_ATTEMPTS = 1000


def random_network(
    seed: int, *, max_layers: int = 6, max_neurons: int = 4000, max_weights: int = 12000, max_channels: int = 24,
    max_size: int = 10, max_timesteps: int = 8, max_classes: int = 20, sources=("direct", "frames"), rules=KINDS,
    neuron: str = ADAFIRE, layer_bits=(), contract: int = FIRST, like: IntegerNetwork | None = None,
    linear: bool = False,
) -> IntegerNetwork:
    """Return the random `IntegerNetwork` number ``seed``.

    Parameters
    ----------
    max_layers : hidden layers, pools included
    max_neurons, max_weights : in the whole network, readouts included
    max_channels, max_size : channels, and rows or columns, of one map
    max_timesteps, max_classes : at most
    sources, rules : kinds of source and of exit rule to draw from; the first source is the usual one
    neuron : of every spiking layer; a two-phase network has at least one, a direct source and no exit rule
    layer_bits : weight widths to draw one from for each layer; by default channels may have widths of their own
    contract : `FIRST` or `SECOND`
    linear : all layers are dense ones; first contract
    like : a network whose source and outputs to have, and whose timesteps if it looks at frames; second contract
    """
    if neuron == INVERSE_LEAKY:
        sources, rules = ("direct",), ("off",)
    rng = np.random.default_rng([seed, 0xADAF])
    for _ in range(_ATTEMPTS):
        draft = _DRAFTS[contract](rng, max_layers, max_channels, max_size, neuron, layer_bits)
        draft.linear = linear
        if like:
            draft.like = like
        try:
            network = draft.network(sources, max_timesteps, max_classes)
        except NetworkError:  # a sum of over 32 bits, the one rule that the draft does not foresee
            continue
        if network.two_phase != (neuron == INVERSE_LEAKY):
            continue
        neurons = sum(int(np.prod(network.shapes[layer.name])) for layer in network.layers)
        weights = sum(s.weight.size for layer in network.layers for s in layer.synapses)
        if neurons <= max_neurons and weights <= max_weights:
            return draft.ruled(network, str(rng.choice(rules)), seed)
    raise InputError(
        f"None of {_ATTEMPTS} random networks has at most {max_neurons} neurons and {max_weights} weights: "
        "allow more, or fewer channels and smaller maps."
    )


def random_staged_network(seed: int, **limits) -> StagedNetwork:
    """Return the random `StagedNetwork` number ``seed``, of two or three stages; ``limits`` as of `random_network`."""
    rng = np.random.default_rng([seed, 0x57A6])
    believed = [kind for kind in KINDS if kind != "off"]
    stages = [random_network(seed, rules=believed, contract=SECOND, **limits)]
    for last in (True,) if rng.random() < 0.6 else (False, True):
        two_phase = last and stages[0].source.kind == "direct" and rng.random() < 0.2
        stages.append(random_network(
            int(rng.integers(2**31)), rules=KINDS if last else believed, neuron=INVERSE_LEAKY if two_phase else ADAFIRE,
            contract=SECOND, like=stages[0], **limits,
        ))
    return StagedNetwork(stages, {"source": "tests.kit.random_networks"})


def random_batch_network(seed: int, contract: int = SECOND, **limits) -> IntegerNetwork:
    """Return a random network of one timestep of whose images a core takes several together (`gen.plan.batch`)."""
    for number in range(100 * seed, 100 * seed + 100):
        network = random_network(number, contract=contract, sources=("direct",), **limits | {"max_timesteps": 1})
        try:
            head_and_tail(layer_passes(network))
        except InputError:
            continue
        return network
    raise InputError(f"None of the networks from {100 * seed} on ends with a dense layer behind others.")
