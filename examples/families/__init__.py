"""The families of convolutional networks, small, written as their authors describe them, with random weights.

    from examples.families import FAMILIES, family
    module, shape = family("mobilenet_v2")

Nothing in them knows that it will fire bursts. Widths are small and images of 16 to 32 pixels, so that each computes in
milliseconds; the structure is that of the paper. Weights follow He, batch norms have the statistics of random images.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from examples.families import branches, dense, mobile, residual, shapes

__all__ = ["FAMILIES", "family", "settled"]

FAMILIES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    **branches.FAMILIES, **residual.FAMILIES, **mobile.FAMILIES, **dense.FAMILIES, **shapes.FAMILIES,
}


def family(name: str, seed: int = 0) -> tuple[nn.Module, tuple[int, ...]]:
    """Return the network called ``name``, ready to convert, and the shape of its input without N."""
    make, shape = FAMILIES[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return settled(make(), shape), shape


def settled(module: nn.Module, shape: tuple[int, ...], images: int = 32) -> nn.Module:
    """Give ``module`` weights by He, batch norms the statistics of random images of ``shape``; return it in eval.

    A batch norm that ends the branch of a residual block, ``ends_branch``, starts small, as it does in training (Goyal
    et al. 2017): a deep sum of large random branches would be chaos.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.normal_(layer.bias, std=0.1)
        elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            layer.weight.data *= 0.3 if getattr(layer, "ends_branch", False) else 1
            nn.init.normal_(layer.bias, std=0.2)
            layer.momentum = None  # the mean of all batches
    with torch.no_grad():
        module.train()(torch.randn(images, *shape))
    return module.eval()
