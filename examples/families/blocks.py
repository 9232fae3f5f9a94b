"""What several families share: convolution, batch norm, activation in a row, and the usual head."""

from __future__ import annotations

from torch import nn

__all__ = ["head", "norm_act"]


def norm_act(inputs, outputs, kernel=3, stride=1, groups=1, act=nn.ReLU, padding=None):
    """Return convolution without bias, batch norm and ``act``, None for no activation."""
    padding = kernel // 2 if padding is None else padding
    layers = [nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, *([] if act is None else [act()]))


def head(channels, classes=10):
    """Return global average pool and classifier."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))
