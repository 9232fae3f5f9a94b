"""What a float network computes, written down a second time in PyTorch, double precision, one number at a time.

Nothing here is shared with the product: a window is applied by building the enlarged, padded map that it slides over.
"""

import numpy as np
import torch
from torch.nn import functional as F

from gen.layers import INPUT

__all__ = ["maps", "results"]


def results(network, x):
    """Return what the model returns for the input ``x`` that it takes, [N, ...] torch: a list of float64 arrays."""
    x = x.double().movedim(-1, 1) if network.channels_last else x.double()
    images = x.reshape(len(x), *network.shape)
    if network.mean is not None:
        images = (images - _column(network.mean)) / _column(network.std)
    values = {name: value.numpy() for name, value in maps(network, images).items()}
    return [output.assemble(values) for output in network.returns]


def maps(network, images):
    """Return name of every map to its values, double [N, C, H, W], for what the layers see of images."""
    values = {INPUT: images.double()}
    for layer in network.layers:
        if layer.weighted:
            x = sum(_convolved(values[s.source], s) for s in layer.synapses) + _column(layer.bias)
            values[layer.name] = _activated(layer, x) if layer.fires else x
        elif layer.kind == "max":
            x = _surrounded(values[layer.source], layer, -torch.inf)
            values[layer.name] = F.max_pool2d(x, layer.kernel, layer.stride, dilation=layer.dilation)
        else:
            x = _surrounded(values[layer.source], layer, 0.0)
            ones = torch.ones(x.shape[1], 1, *layer.kernel, dtype=x.dtype)
            values[layer.name] = F.conv2d(x, ones, None, layer.stride, 0, layer.dilation, x.shape[1]) / layer.divisor
        assert values[layer.name].shape[1:] == network.shapes[layer.name], layer.name
    return values


def _convolved(x, synapse):
    weight = torch.as_tensor(np.ascontiguousarray(synapse.weight))
    return F.conv2d(_surrounded(x, synapse, 0.0), weight, None, synapse.stride, 0, synapse.dilation, synapse.groups)


def _surrounded(x, part, empty):
    """Return the map that a window slides over: enlarged, then padded."""
    rows, columns = part.upsample
    if part.fill == "zeros":
        large = x.new_zeros(*x.shape[:2], (x.shape[2] - 1) * rows + 1, (x.shape[3] - 1) * columns + 1)
        large[:, :, ::rows, ::columns] = x
    else:
        large = x.repeat_interleave(rows, 2).repeat_interleave(columns, 3)
    top, left, bottom, right = part.padding
    return F.pad(large, (left, right, top, bottom), value=empty)


def _activated(layer, x):
    slope = 0 if layer.slope is None else _column(layer.slope)
    x = torch.where(x > 0, x, slope * x)
    return x if layer.ceiling is None else x.clamp(max=layer.ceiling)


def _column(array):
    return torch.as_tensor(np.array(array)).double()[:, None, None]
