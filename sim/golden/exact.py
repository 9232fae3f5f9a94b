"""Types that hold the integers of a network exactly.

Why floating point is exact here. Every number is an integer, and every operation is a product, a sum, a comparison
or ``floor(u / theta)``. A float of p mantissa bits holds every integer up to 2**p, so products and sums are exact
while no partial sum passes 2**p; `IntegerNetwork.current_range` bounds every subset of the terms, since padding or
silence makes any term 0, and so every order of adding them. If u / theta is no integer it is at least
1/theta from one, that is |u/theta| / |u|, more than the division's rounding error 2**-p |u/theta| while
|u| < 2**p: floor of the rounded quotient is the true floor. That of (|u| + theta // 2) / theta is so as well, since
`IntegerNetwork.membrane_range` holds that sum. One bit is left spare: `exact_dtype` takes float32 below 2**23 and
float64 above; the contract keeps maps, sums and thresholds within 32 bits and a sign.

Maps are [N, H, W, C] inside, so that a window's channels lie side by side; they are [C, H, W] outside.
"""

import numpy as np

__all__ = ["channels_last", "exact_dtype", "magnitude", "map_dtype"]


def magnitude(layer, low_high):
    """Return the largest magnitude on the way to a sum in that range, with or without the bias."""
    low, high = low_high
    return int(max(-low.min(), high.max()) + np.abs(layer.bias).max())


def channels_last(values, dtype):
    """Return the maps [N, C, H, W] as [N, H, W, C] of that type."""
    return np.ascontiguousarray(np.moveaxis(values, -3, -1), dtype)


def map_dtype(network, name):
    """Return the type of a map's values, one of a few: the compiled loops are compiled anew for each."""
    low, high = network.value_ranges[name]
    for dtype in (np.uint8, np.int16):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return dtype
    return np.float64


def exact_dtype(bound):
    """Return the narrowest float type that is exact for integers of magnitude up to ``bound``, within float64."""
    return np.float32 if bound < 2**23 else np.float64
