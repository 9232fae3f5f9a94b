"""Plain stacks and branches that are joined: VGG, SqueezeNet, GoogLeNet, an Inception of later kind."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from examples.families.blocks import head, norm_act

__all__ = ["FAMILIES"]


def vgg(widths=(16, 32, 64)):
    """Simonyan and Zisserman 2014: 3x3 convolutions with bias, max pools, three linear layers with dropout."""
    layers, inputs = [], 3
    for width in widths:
        layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(inplace=True),
                   nn.Conv2d(width, width, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2, 2)]
        inputs = width
    hidden = 64
    classifier = [nn.Linear(inputs * 4, hidden), nn.ReLU(True), nn.Dropout(), nn.Linear(hidden, hidden), nn.ReLU(True),
                  nn.Dropout(), nn.Linear(hidden, 10)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), *classifier)


class Fire(nn.Module):
    """Squeeze by 1x1, expand by 1x1 and 3x3 side by side."""

    def __init__(self, inputs, squeeze, expand):
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x):
        x = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.expand1x1(x)), F.relu(self.expand3x3(x))], 1)


def squeezenet():
    """Iandola et al. 2016, as in torchvision's 1.1: max pools with ceil_mode, a head of 1x1 convolution and ReLU."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True), Fire(16, 8, 16), Fire(32, 8, 16),
        nn.MaxPool2d(3, 2, ceil_mode=True), Fire(32, 12, 24), Fire(48, 12, 24), nn.Dropout(),
        nn.Conv2d(48, 10, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )


class Inception(nn.Module):
    """1x1, 1x1 then 3x3, 1x1 then 5x5, max pool then 1x1, joined."""

    def __init__(self, inputs, one, three, five, pool):
        super().__init__()
        self.one = norm_act(inputs, one, 1)
        self.three = nn.Sequential(norm_act(inputs, three[0], 1), norm_act(three[0], three[1]))
        self.five = nn.Sequential(norm_act(inputs, five[0], 1), norm_act(five[0], five[1], 5))
        self.pool = nn.Sequential(nn.MaxPool2d(3, 1, padding=1, ceil_mode=True), norm_act(inputs, pool, 1))

    def forward(self, x):
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pool(x)], 1)


def googlenet():
    """Szegedy et al. 2014, with batch norm as in torchvision."""
    return nn.Sequential(
        norm_act(3, 16, 7, 2), nn.MaxPool2d(3, 2, ceil_mode=True), norm_act(16, 16, 1), norm_act(16, 24),
        Inception(24, 8, (8, 12), (4, 8), 8), Inception(36, 12, (12, 16), (4, 8), 8),
        nn.MaxPool2d(3, 2, ceil_mode=True), Inception(44, 16, (8, 16), (4, 8), 8), head(48),
    )


class Factorized(nn.Module):
    """Szegedy et al. 2015: 1xn and nx1 convolutions, an average pool branch, a grid reduction by concatenation."""

    def __init__(self, inputs, width):
        super().__init__()
        self.one = norm_act(inputs, width, 1)
        self.wide = nn.Sequential(
            norm_act(inputs, width, 1), norm_act(width, width, (1, 5), padding=(0, 2)),
            norm_act(width, width, (5, 1), padding=(2, 0)),
        )
        self.pool = norm_act(inputs, width, 1)
        self.down = norm_act(3 * width, 2 * width, 3, 2, padding=0)

    def forward(self, x):
        pooled = self.pool(F.avg_pool2d(x, kernel_size=3, stride=1, padding=1))
        x = torch.cat([self.one(x), self.wide(x), pooled], 1)
        return torch.cat([self.down(x), F.max_pool2d(x, kernel_size=3, stride=2)], 1)


class InceptionLike(nn.Module):
    """The stem of Inception-v3, with its transform of the input written into forward."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(norm_act(3, 12, 3, 2, padding=0), norm_act(12, 16))
        self.first, self.second = Factorized(16, 8), Factorized(40, 12)
        self.head = head(60)

    def forward(self, x):
        x = x * 0.458 + 0.03
        return self.head(self.second(self.first(self.stem(x))))


FAMILIES = {
    "vgg": (vgg, (3, 32, 32)), "squeezenet": (squeezenet, (3, 32, 32)), "googlenet": (googlenet, (3, 32, 32)),
    "inception": (InceptionLike, (3, 32, 32)),
}
