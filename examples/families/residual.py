"""Networks with shortcuts: ResNets of several kinds, ResNeXt, RegNet, DenseNet."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from examples.families.blocks import head, norm_act

__all__ = ["FAMILIES"]


class Basic(nn.Module):
    """Two 3x3 convolutions; the shortcut is the map itself or a 1x1 convolution."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.bn2.ends_branch = True
        self.relu = nn.ReLU(inplace=True)
        same = stride == 1 and inputs == outputs
        self.downsample = None if same else norm_act(inputs, outputs, 1, stride, act=None)

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        return self.relu(out)


def resnet18(widths=(24, 32, 48, 64), classes=10):
    """He et al. 2015: a 7x7 stem, a padded max pool, two blocks of each width; ImageNet's has 64 to 512 and 1000."""
    blocks, inputs = [], widths[0]
    for i, width in enumerate(widths):
        blocks += [Basic(inputs, width, 2 if i else 1), Basic(width, width, 1)]
        inputs = width
    return nn.Sequential(norm_act(3, widths[0], 7, 2), nn.MaxPool2d(3, 2, 1), *blocks, head(inputs, classes))


class Padded(nn.Module):
    """The block of CIFAR: where the shape changes the shortcut takes every other pixel and pads channels by zeros."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.stride, self.more = stride, outputs - inputs

    def forward(self, x):
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.stride != 1 or self.more:
            x = F.pad(x[:, :, ::self.stride, ::self.stride], (0, 0, 0, 0, self.more // 2, self.more // 2))
        return F.relu(out + x)


class ResNet20(nn.Module):
    """He et al. 2015, section 4.2, option A."""

    def __init__(self, widths=(8, 16, 32)):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, widths[0], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[0])
        blocks, inputs = [], widths[0]
        for i, width in enumerate(widths):
            blocks += [Padded(inputs, width, 2 if i else 1), Padded(width, width, 1), Padded(width, width, 1)]
            inputs = width
        self.layers, self.linear = nn.Sequential(*blocks), nn.Linear(inputs, 10)

    def forward(self, x):
        out = self.layers(F.relu(self.bn1(self.conv1(x))))
        out = F.avg_pool2d(out, out.size()[3])
        return self.linear(out.view(out.size(0), -1))


class Bottleneck(nn.Module):
    """1x1, 3x3 in groups, 1x1."""

    def __init__(self, inputs, middle, outputs, stride, groups):
        super().__init__()
        self.body = nn.Sequential(norm_act(inputs, middle, 1), norm_act(middle, middle, 3, stride, groups),
                                  norm_act(middle, outputs, 1, act=None))
        self.body[-1][1].ends_branch = True
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else norm_act(inputs, outputs, 1, stride, act=None)

    def forward(self, x):
        return F.relu(self.body(x) + self.shortcut(x))


def resnext():
    """Xie et al. 2016: bottlenecks with cardinality 4."""
    blocks = [Bottleneck(16, 16, 32, 1, 4), Bottleneck(32, 16, 32, 1, 4), Bottleneck(32, 32, 64, 2, 4)]
    return nn.Sequential(norm_act(3, 16, 3), *blocks, head(64))


def regnet_x():
    """Radosavovic et al. 2020, X without squeeze-and-excitation: bottleneck ratio 1, group width 8."""
    widths, blocks, inputs = (16, 24, 40), [], 16
    for width in widths:
        blocks += [Bottleneck(inputs, width, width, 2, width // 8), Bottleneck(width, width, width, 1, width // 8)]
        inputs = width
    return nn.Sequential(norm_act(3, 16, 3, 2), *blocks, head(inputs))


class PreActivation(nn.Module):
    """He et al. 2016: batch norm and ReLU before each convolution; sums stay as they are."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(inputs), nn.BatchNorm2d(outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.shortcut = None
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x):
        out = F.relu(self.bn1(x))
        shortcut = x if self.shortcut is None else self.shortcut(out)
        out = self.conv1(out)
        return self.conv2(F.relu(self.bn2(out))) + shortcut


def preact_resnet(widths=(8, 16, 24)):
    """A pre-activation ResNet for small images."""
    blocks, inputs = [], widths[0]
    for i, width in enumerate(widths):
        blocks += [PreActivation(inputs, width, 2 if i else 1), PreActivation(width, width, 1)]
        inputs = width
    stem = nn.Conv2d(3, widths[0], 3, 1, 1, bias=False)
    return nn.Sequential(stem, *blocks, nn.BatchNorm2d(inputs), nn.ReLU(), head(inputs))


class DenseLayer(nn.Module):
    """Batch norm, ReLU, 1x1, batch norm, ReLU, 3x3: its result joins all before it."""

    def __init__(self, inputs, growth):
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, 4 * growth, 1, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm2d(4 * growth), nn.Conv2d(4 * growth, growth, 3, 1, 1, bias=False)

    def forward(self, features):
        x = self.conv1(F.relu(self.norm1(torch.cat(features, 1))))
        return self.conv2(F.relu(self.norm2(x)))


class DenseBlock(nn.Module):
    """Layers of which each reads all before it."""

    def __init__(self, inputs, growth, layers):
        super().__init__()
        self.layers = nn.ModuleList(DenseLayer(inputs + i * growth, growth) for i in range(layers))

    def forward(self, x):
        features = [x]
        for layer in self.layers:
            features.append(layer(features))
        return torch.cat(features, 1)


def densenet(growth=6):
    """Huang et al. 2016, BC: transitions halve the channels."""
    def transition(inputs):
        return nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, inputs // 2, 1, bias=False),
                             nn.AvgPool2d(2, 2))

    return nn.Sequential(
        norm_act(3, 12, 7, 2), nn.MaxPool2d(3, 2, 1), DenseBlock(12, growth, 3), transition(30),
        DenseBlock(15, growth, 3), nn.BatchNorm2d(33), nn.ReLU(), head(33),
    )


FAMILIES = {
    "resnet18": (resnet18, (3, 64, 64)), "resnet20": (ResNet20, (3, 32, 32)), "resnext": (resnext, (3, 16, 16)),
    "regnet_x": (regnet_x, (3, 32, 32)), "preact_resnet": (preact_resnet, (3, 16, 16)),
    "densenet": (densenet, (3, 32, 32)),
}
