"""Windows in torch: the convolution and the pool of every `gen.window.Window`, on maps [N, C, H, W].

torch pads both sides alike, pools without dilation where it sums, and does not enlarge a map on the way. What it lacks
is done before it: rows and columns are repeated or spread, padding is written out.
"""

from torch.nn import functional as F

from gen.window import ZEROS

__all__ = ["convolve", "pooled"]

NOTHING = -float("inf")  # what a tap that reads nothing adds to a maximum


def convolve(part, x, weight):
    """Return the convolution of ``x`` through the window of ``part``, a synapse with its ``groups``.

    ``weight`` [out, in/groups, height, width] is of the type of ``x``.
    """
    window = part.window
    x = _enlarged(window, x, 0.0)
    if weight.shape[2:] == x.shape[2:] and part.groups == 1 and not any(window.padding):
        return F.linear(x.flatten(1), weight.flatten(1))[:, :, None, None]
    x, padding = _padded(window, x, 0.0, window.symmetric)
    return F.conv2d(x, weight, None, window.stride, padding, window.dilation, part.groups)


def pooled(pool, x):
    """Return the pool of ``x``, floating point: the undivided sum, or the maximum, 0 where a window reads nothing."""
    window, largest = pool.window, pool.kind == "max"
    inside = window.symmetric and window.dilation == (1, 1)
    inside = inside and all(2 * p <= k for p, k in zip(window.padding, window.kernel))
    nothing = NOTHING if largest else 0.0
    x, padding = _padded(window, _enlarged(window, x, nothing), nothing, inside)
    if largest:
        x = F.max_pool2d(x, window.kernel, window.stride, padding, window.dilation)
        return x if inside and window.fill != ZEROS else x.masked_fill(x == NOTHING, 0)
    if window.dilation == (1, 1):
        return F.avg_pool2d(x, window.kernel, window.stride, padding, divisor_override=1)
    ones = x.new_ones(x.shape[1], 1, *window.kernel)
    return F.conv2d(x, ones, None, window.stride, padding, window.dilation, x.shape[1])


def _enlarged(window, x, between):
    """Return the map as the window sees it before padding; ``between`` stands where rows of zeros are put in."""
    if window.upsample == (1, 1):
        return x
    rows, columns = window.upsample
    if window.fill != ZEROS:
        return x.repeat_interleave(rows, 2).repeat_interleave(columns, 3)
    spread = x.new_full((*x.shape[:2], *window.seen(x.shape[2:])), between)
    spread[:, :, ::rows, ::columns] = x
    return spread


def _padded(window, x, value, left_to_torch):
    """Return ``x`` padded with ``value``, and the padding that is left to torch: (vertical, horizontal)."""
    if left_to_torch:
        return x, window.padding[:2]
    top, left, bottom, right = window.padding
    return F.pad(x, (left, right, top, bottom), value=value), (0, 0)
