"""Images on their way in: check them, subtract the source's offset."""

import math

import numpy as np

from gen.errors import InputError

__all__ = ["input_beats", "input_stream", "input_values", "together"]


def input_values(network, x):
    """Return the integers that ``network`` sees for the images ``x``.

    Parameters
    ----------
    network : gen.intnet.IntegerNetwork or StagedNetwork
    x : integers [N, C, H, W]; [N, T, C, H, W] for a network of frames. One channel may be left out.

    Returns
    -------
    int64 of the same shape with the channel in place: pixel minus the channel's offset.

    Raises
    ------
    InputError : the images are of another shape or range than the network's source.
    """
    source, x = network.source, np.asarray(x)
    expected = source.shape if source.kind == "direct" else (network.frames, *source.shape)
    if x.dtype.kind not in "iu":
        raise InputError(f"The images must hold integers (uint8 pixels), not {x.dtype}.")
    if source.shape[0] == 1 and x.ndim == len(expected) and x.shape[1:] == expected[:-3] + expected[-2:]:
        x = np.expand_dims(x, -3)
    if x.ndim != len(expected) + 1 or x.shape[1:] != expected:
        what = "channels, height, width" if source.kind == "direct" else "timesteps, channels, height, width"
        raise InputError(
            f"The network takes images of shape {expected} ({what}), these have shape {x.shape[1:]}: "
            "give the images the network was converted for."
        )
    if x.size and not (source.low <= x.min() and x.max() <= source.high):
        raise InputError(
            f"The network takes pixels in {source.low}..{source.high}, these lie in {x.min()}..{x.max()}: "
            "scale them as those it was converted for."
        )
    return x.astype(np.int64) - source.offset[:, None, None]


def input_stream(network, x, images=1):
    """Return `input_values` as they travel, int32 [N, words]: map by map in raster order, channels innermost.

    For a core that takes several ``images`` together a row has so many, the last one the last image again and again.
    """
    values = together(np.moveaxis(input_values(network, x), -3, -1), images)
    return np.ascontiguousarray(values.reshape(len(values), math.prod(values.shape[1:])), np.int32)


def together(x, images):
    """Return [N, ...] as [runs, images, ...], those of each run of a core that takes several images together.

    In the last run the last image stands again for those that are missing.
    """
    x = np.asarray(x)
    if missing := -len(x) % images:
        x = np.concatenate([x, np.repeat(x[-1:], missing, axis=0)])
    return x.reshape(-1, images, *x.shape[1:])


def input_beats(words, params):
    """Return what a core's input port takes of one image, integers: ``params.input_values`` values in each.

    ``words`` : int [words], a row of `input_stream`. The first value of a beat is the lowest; above the last one lies
    the bit that marks the first beat of the image.
    """
    mask, size = (1 << params.value_bits) - 1, params.input_values
    beats = [
        sum((int(value) & mask) << n * params.value_bits for n, value in enumerate(words[at : at + size]))
        for at in range(0, len(words), size)
    ]
    return [beat | (at == 0) << size * params.value_bits for at, beat in enumerate(beats)]
