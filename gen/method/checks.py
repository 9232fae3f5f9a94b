"""What a conversion refuses before anything slow runs, and what an option means for this network."""

import numpy as np

from gen.errors import InputError
from gen.layers import INVERSE_LEAKY, MAX_BURST, MAX_TIMESTEPS, NEURONS, WEIGHT_BITS

__all__ = [
    "check_neuron", "check_normalisation", "check_settings", "check_weight_bits", "input_scale", "layer_bits",
    "normalisation",
]

OFFSET_MAX = 2**14  # of a pixel, in pixel values
STD_MIN, STD_MAX = 1e-6, 1e6  # of pixels scaled to 0..1


def check_neuron(network, neuron):
    """Raise InputError where ``neuron`` is none, or does not go with a pool of the float ``network``."""
    if neuron not in NEURONS:
        raise InputError(f"neuron must be one of {', '.join(NEURONS)}, not {neuron!r}.")
    pools = [layer.name for layer in network.layers if not layer.weighted and layer.kind == "max"]
    if neuron == INVERSE_LEAKY and pools:
        raise InputError(
            f"Inverse-leaky neurons send codes bit by bit, and the largest code is not made of the largest bits: the "
            f"max pools {', '.join(pools)} cannot be converted. Train the model with average pools "
            f"(torch.nn.AvgPool2d) or strides instead, or choose the neuron adafire, which takes both."
        )
    signed = [network.origins[layer.name] for layer in network.layers if layer.fires and layer.signed]
    if neuron == INVERSE_LEAKY and signed:
        raise InputError(
            f"Inverse-leaky neurons send codes of what is above zero, and {', '.join(signed)} may be below: a layer "
            "without activation, LeakyReLU and PReLU cannot be converted. Put a ReLU behind it and train again, or "
            "choose the neuron adafire."
        )


def check_settings(timesteps, max_burst):
    """Raise InputError unless both are integers in the range of the contract."""
    for name, value, most in (("timesteps", timesteps, MAX_TIMESTEPS), ("max_burst", max_burst, MAX_BURST)):
        if not _whole(value) or not 1 <= value <= most:
            raise InputError(f"{name} must be an integer from 1 to {most}, not {value!r}.")


def check_weight_bits(weight_bits):
    """Raise InputError unless ``weight_bits``, a number or a dict of layer name to one, lies in the contract."""
    for name, bits in weight_bits.items() if isinstance(weight_bits, dict) else [("", weight_bits)]:
        if not _whole(bits) or bits not in WEIGHT_BITS:
            layer = f" (layer {name})" if name else ""
            raise InputError(f"weight_bits must be an integer from 2 to 8, not {bits!r}{layer}.")


def layer_bits(network, weight_bits):
    """Return layer name to weight bits, from an integer or a dict; InputError for a bad width or layer.

    A dict may name a layer as the model does, unless a layer of the network has that name.
    """
    names = [layer.name for layer in network.layers if layer.weighted]
    chosen = weight_bits if isinstance(weight_bits, dict) else dict.fromkeys(names, weight_bits)
    own = {origin: name for name, origin in network.origins.items()} | dict(zip(names, names))
    chosen = {own.get(name, name): bits for name, bits in chosen.items()}
    unknown = sorted(set(chosen) - set(names))
    if unknown:
        origins = network.origins
        known = [name if origins[name] == name else f"{name} ({origins[name]})" for name in names]
        raise InputError(
            f"weight_bits names layers that the network does not have: {', '.join(unknown)}. "
            f"Its layers with weights are {', '.join(known)}."
        )
    check_weight_bits(weight_bits)
    return {name: int(chosen.get(name, 8)) for name in names}


def check_normalisation(mean, std):
    """Raise InputError unless every number of ``mean`` and of ``std``, one or several each, is a possible one."""
    mean, std = (np.atleast_1d(np.asarray(value, float)) for value in (mean, std))
    if not ((mean >= 0) & (mean <= 1)).all():
        raise InputError(f"mean must lie in 0..1, since images are scaled to 0..1; it is {mean.tolist()}.")
    if not ((std >= STD_MIN) & (std <= STD_MAX)).all():
        raise InputError(f"std must lie in {STD_MIN:g}..{STD_MAX:g}; it is {std.tolist()}.")


def normalisation(mean, std, channels):
    """Return [mean, std], each float [C]; InputError for a wrong length or impossible values."""
    values = []
    for name, value in (("mean", mean), ("std", std)):
        value = np.atleast_1d(np.asarray(value, float))
        if value.shape not in ((1,), (channels,)):
            raise InputError(f"{name} must be one number or {channels}, one per channel, not {value.size}.")
        values.append(np.broadcast_to(value, (channels,)).astype(float))
    check_normalisation(*values)
    return values


def input_scale(network, mean, std, frames):
    """Return (mean, std), float [C] each: ``network`` is meant to see (x/255 - mean)/std of the integers x.

    That is ``mean`` and ``std``, then the normalisation in the network itself. Of ``frames`` an integer is a number of
    events and stands for itself: InputError where something else is asked for.
    """
    mean, std = normalisation(mean, std, network.shape[0])
    if frames:
        if mean.any() or (std != 1).any() or network.mean is not None or network.std is not None:
            raise InputError(
                "Frames hold counts of events, which are not normalised, but a mean or std is given, or written into "
                "the model: leave mean and std out, and let the model take the counts as they are."
            )
        return mean, std / 255
    if network.mean is not None:
        mean = mean + std * network.mean
    if network.std is not None:
        std = std * network.std
    if np.abs(255 * mean).max() > OFFSET_MAX:
        raise InputError(
            f"The normalisation takes {mean.tolist()} from images of 0..1, its own mean and the model's together: at "
            f"most {OFFSET_MAX / 255:.0f} can be taken. Check both."
        )
    return mean, std


def _whole(value):
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
