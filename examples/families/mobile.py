"""Networks for small machines: MobileNets, MNASNet, ShuffleNets, and DS-CNN for keywords."""

from __future__ import annotations

import torch
from torch import nn

from examples.families.blocks import head, norm_act

__all__ = ["FAMILIES"]


def separable(inputs, outputs, stride=1, act=nn.ReLU):
    """Return depthwise 3x3 and pointwise 1x1, each with batch norm and activation."""
    return nn.Sequential(norm_act(inputs, inputs, 3, stride, inputs, act), norm_act(inputs, outputs, 1, act=act))


def mobilenet_v1():
    """Howard et al. 2017."""
    return nn.Sequential(norm_act(3, 16, 3, 2), separable(16, 24), separable(24, 32, 2), separable(32, 32),
                         separable(32, 48, 2), separable(48, 64), head(64))


class Inverted(nn.Module):
    """Expand, depthwise, project to a linear bottleneck; the shortcut joins bottlenecks."""

    def __init__(self, inputs, outputs, stride, expand, kernel=3, act=nn.ReLU6):
        super().__init__()
        middle = inputs * expand
        first = [] if expand == 1 else [norm_act(inputs, middle, 1, act=act)]
        self.conv = nn.Sequential(*first, norm_act(middle, middle, kernel, stride, middle, act),
                                  norm_act(middle, outputs, 1, act=None))
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.conv(x) if self.shortcut else self.conv(x)


SMALL = (1, 8, 1, 1), (4, 12, 2, 2), (4, 16, 2, 2), (4, 24, 1, 1)
FULL = (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)


class MobileNetV2(nn.Module):
    """Sandler et al. 2018, as in torchvision: ReLU6, linear bottlenecks.

    ``settings``: expansion, channels, blocks, stride of the first, as of their table 2, which `FULL` has.
    """

    def __init__(self, settings=SMALL, stem=16, last=64, classes=10):
        super().__init__()
        features, inputs = [norm_act(3, stem, 3, 2, act=nn.ReLU6)], stem
        for expand, width, count, stride in settings:
            for i in range(count):
                features.append(Inverted(inputs, width, 1 if i else stride, expand))
                inputs = width
        self.features = nn.Sequential(*features, norm_act(inputs, last, 1, act=nn.ReLU6))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, classes))

    def forward(self, x):
        x = nn.functional.adaptive_avg_pool2d(self.features(x), (1, 1))
        return self.classifier(torch.flatten(x, 1))


class MNASNet(nn.Module):
    """Tan et al. 2018, B1 as in torchvision: ReLU, kernels of 3 and 5."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            norm_act(3, 16, 3, 2), norm_act(16, 16, 3, 1, 16), norm_act(16, 8, 1, act=None),
            Inverted(8, 12, 2, 3, act=nn.ReLU), Inverted(12, 12, 1, 3, act=nn.ReLU),
            Inverted(12, 20, 2, 3, 5, nn.ReLU), Inverted(20, 20, 1, 3, 5, nn.ReLU), norm_act(20, 64, 1),
        )
        self.classifier = nn.Linear(64, 10)

    def forward(self, x):
        return self.classifier(self.layers(x).mean([2, 3]))


def shuffled(x, groups):
    """Return the channels of ``x`` dealt out to ``groups`` in turn, as the authors write it."""
    batch, channels, height, width = x.size()
    x = x.view(batch, groups, channels // groups, height, width)
    return torch.transpose(x, 1, 2).contiguous().view(batch, -1, height, width)


class ShuffleV1(nn.Module):
    """Pointwise convolutions in groups, a shuffle between; stride 2 joins an average pool of the input."""

    def __init__(self, inputs, outputs, stride, groups=2):
        super().__init__()
        self.stride, self.groups = stride, groups
        middle = outputs // 4
        outputs = outputs - inputs if stride == 2 else outputs
        self.compress = norm_act(inputs, middle, 1, groups=groups)
        self.depth = norm_act(middle, middle, 3, stride, middle, act=None)
        self.expand = norm_act(middle, outputs, 1, groups=groups, act=None)

    def forward(self, x):
        out = self.expand(self.depth(shuffled(self.compress(x), self.groups)))
        if self.stride == 2:
            return torch.relu(torch.cat([nn.functional.avg_pool2d(x, 3, 2, 1), out], 1))
        return torch.relu(x + out)


def shufflenet_v1():
    """Zhang et al. 2017."""
    return nn.Sequential(norm_act(3, 16, 3, 2), nn.MaxPool2d(3, 2, 1), ShuffleV1(16, 32, 2), ShuffleV1(32, 32, 1),
                         ShuffleV1(32, 64, 2), ShuffleV1(64, 64, 1), head(64))


class ShuffleV2(nn.Module):
    """Half of the channels pass by; both halves are joined and shuffled."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.stride, half = stride, outputs // 2
        if stride > 1:
            self.branch1 = nn.Sequential(norm_act(inputs, inputs, 3, stride, inputs, act=None),
                                         norm_act(inputs, half, 1))
        self.branch2 = nn.Sequential(
            norm_act(inputs if stride > 1 else half, half, 1), norm_act(half, half, 3, stride, half, act=None),
            norm_act(half, half, 1),
        )

    def forward(self, x):
        if self.stride == 1:
            passed, x = x.chunk(2, dim=1)
            return shuffled(torch.cat((passed, self.branch2(x)), dim=1), 2)
        return shuffled(torch.cat((self.branch1(x), self.branch2(x)), dim=1), 2)


class ShuffleNetV2(nn.Module):
    """Ma et al. 2018, as in torchvision."""

    def __init__(self):
        super().__init__()
        self.conv1, self.maxpool = norm_act(3, 12, 3, 2), nn.MaxPool2d(3, 2, 1)
        self.stages = nn.Sequential(ShuffleV2(12, 24, 2), ShuffleV2(24, 24, 1), ShuffleV2(24, 48, 2),
                                    ShuffleV2(48, 48, 1))
        self.conv5, self.fc = norm_act(48, 64, 1), nn.Linear(64, 10)

    def forward(self, x):
        x = self.conv5(self.stages(self.maxpool(self.conv1(x))))
        return self.fc(x.mean([2, 3]))


def ds_cnn():
    """Zhang et al. 2017, keywords: a 10x4 convolution over 49 frames of 10 coefficients, padded as TensorFlow does."""
    return nn.Sequential(
        nn.ZeroPad2d((1, 1, 4, 5)), norm_act(1, 16, (10, 4), (2, 2), padding=0), nn.Dropout(0.2),
        separable(16, 16), separable(16, 16), separable(16, 16), nn.Dropout(0.4), nn.AvgPool2d((25, 5)), nn.Flatten(),
        nn.Linear(16, 12), nn.Softmax(dim=1),
    )


FAMILIES = {
    "mobilenet_v1": (mobilenet_v1, (3, 32, 32)), "mobilenet_v2": (MobileNetV2, (3, 32, 32)),
    "mnasnet": (MNASNet, (3, 32, 32)), "shufflenet_v1": (shufflenet_v1, (3, 32, 32)),
    "shufflenet_v2": (ShuffleNetV2, (3, 32, 32)), "ds_cnn": (ds_cnn, (1, 49, 10)),
}
