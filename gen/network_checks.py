"""What a network is refused for as a whole, when it is made: its exit rule, its phases, its size, its words.

Functions of a `gen.intnet.IntegerNetwork`, which calls them; each layer has checked itself (`gen.layers`).
"""

import numpy as np

from gen.layers import INPUT, MAX_SIDE, NetworkError, signed_bits

__all__ = ["MAX_MAP", "check_exit", "check_size", "check_two_phase", "check_words"]

MAX_WORD_BITS = 32
MAX_MAP = 2**26  # values of one map, its padding included
MAX_VALUES = 2**28  # of all maps; and weights
MAX_OPERATIONS = 2**37  # taps of all windows at one timestep


def check_exit(network) -> None:
    """Raise NetworkError where the exit rule does not fit outputs and timesteps."""
    rule = network.exit_rule
    if rule.output is not None and rule.output not in network.outputs:
        raise NetworkError(f"the exit rule looks at {rule.output!r}, the outputs are {', '.join(network.outputs)}")
    if rule.kind != "off" and len(rule.limits) != network.timesteps:
        raise NetworkError(f"the exit rule has {len(rule.limits)} limits for {network.timesteps} timesteps")


def check_two_phase(network) -> None:
    """Raise NetworkError where a network of inverse-leaky neurons has what only one of AdaFire neurons can have."""
    if network.exit_rule.kind != "off":
        raise NetworkError("a network of inverse-leaky neurons knows no early exit: its rule must be 'off'")
    if network.source.kind != "direct":
        raise NetworkError("a network of inverse-leaky neurons looks at one direct input, not at frames")
    for layer in network.layers:
        if not layer.weighted and layer.kind == "max":
            raise NetworkError(
                f"layer {layer.name!r}: the maximum of inverse-leaky spikes is not that of their codes; "
                "pool by sums"
            )
        if layer.fires and int(layer.theta.max()) << network.timesteps > 2**MAX_WORD_BITS:
            raise NetworkError(
                f"layer {layer.name!r}: theta {layer.theta.max()} times 2**{network.timesteps - 1}, the weight of "
                f"the first of {network.timesteps} timesteps, is over {MAX_WORD_BITS - 1} bits"
            )


def check_size(network) -> None:
    """Raise NetworkError where a map, or the work of a timestep, is beyond what can be computed in sane time."""
    for name, shape in network.shapes.items():
        if max(shape) > MAX_SIDE:
            raise NetworkError(f"the map {name!r} has shape {shape}, the most of each is {MAX_SIDE}")
    values = sum(_product(shape) for shape in network.shapes.values())
    weights = operations = 0
    for layer in network.layers:
        shape = network.shapes[layer.name]
        for part in layer.inputs:
            source = network.shapes[part.source]
            seen = source[0] * _product(part.window.padded(source[1:]))
            if max(seen, _product(shape)) > MAX_MAP:
                raise NetworkError(
                    f"layer {layer.name!r} reads or makes a map of {max(seen, _product(shape))} values, padding "
                    f"included; the most is {MAX_MAP}"
                )
            weights += 0 if part.weight is None else part.weight.size
            channels = 1 if part.weight is None else part.weight.shape[1]
            operations += _product(shape) * channels * part.window.area
    for what, count, most in (
        ("values in its maps", values, MAX_VALUES), ("weights", weights, MAX_VALUES),
        ("operations at a timestep", operations, MAX_OPERATIONS),
    ):
        if count > most:
            raise NetworkError(f"the network has {count} {what}, the most is {most}")


def check_words(network) -> None:
    """Raise NetworkError where a map or an accumulator needs longer words, or a pool reads the input."""
    for name, bounds in network.value_ranges.items():
        if signed_bits(*bounds) > MAX_WORD_BITS:
            raise NetworkError(f"the map {name!r} holds values of over {MAX_WORD_BITS} bits")
    for layer in network.layers:
        if INPUT in layer.sources and not layer.weighted:
            raise NetworkError(f"layer {layer.name!r} pools the input; only counts can be pooled")
        for proved in (network.current_range, network.membrane_range) if layer.weighted else ():
            low, high = proved(layer)
            if signed_bits(low.min(), high.max()) > MAX_WORD_BITS:
                raise NetworkError(f"layer {layer.name!r} needs an accumulator of over {MAX_WORD_BITS} bits")


def _product(sizes):
    return int(np.prod(sizes, dtype=np.int64))
