"""Networks over other shapes than [N, C, H, W]: points, sequences, and images with channels last."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from examples.families.blocks import norm_act

__all__ = ["FAMILIES"]


class PointNet(nn.Module):
    """Qi et al. 2016, vanilla, without transform nets: the same layers for every point [N, 3, points], the maximum."""

    def __init__(self, classes=10):
        super().__init__()
        sizes = (3, 16, 16, 32, 64)
        self.convs = nn.ModuleList(nn.Conv1d(a, b, 1) for a, b in zip(sizes, sizes[1:]))
        self.norms = nn.ModuleList(nn.BatchNorm1d(n) for n in sizes[1:])
        self.fc1, self.bn1 = nn.Linear(64, 32), nn.BatchNorm1d(32)
        self.fc2, self.dropout = nn.Linear(32, classes), nn.Dropout(0.3)

    def forward(self, x):
        for conv, norm in zip(self.convs, self.norms):
            x = F.relu(norm(conv(x)))
        x = torch.max(x, 2, keepdim=True)[0].view(-1, 64)
        x = F.relu(self.bn1(self.dropout(self.fc1(x))))
        return F.log_softmax(self.fc2(x), dim=1)


class Block1d(nn.Module):
    """A residual block over a sequence."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv1d(inputs, outputs, 7, stride, 3, bias=False), nn.BatchNorm1d(outputs)
        self.conv2, self.bn2 = nn.Conv1d(outputs, outputs, 7, 1, 3, bias=False), nn.BatchNorm1d(outputs)
        self.down = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.down = nn.Sequential(nn.Conv1d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm1d(outputs))

    def forward(self, x):
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(out + self.down(x))


class ResNet1d(nn.Module):
    """A ResNet over sequences of several leads, as for electrocardiograms."""

    def __init__(self, leads=4, classes=5):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv1d(leads, 12, 15, 2, 7, bias=False), nn.BatchNorm1d(12), nn.ReLU(),
                                  nn.MaxPool1d(3, 2, 1))
        self.blocks = nn.Sequential(Block1d(12, 12, 1), Block1d(12, 24, 2), Block1d(24, 32, 2))
        self.fc = nn.Linear(32, classes)

    def forward(self, x):
        x = F.adaptive_avg_pool1d(self.blocks(self.stem(x)), 1)
        return self.fc(x.squeeze(-1))


class Last(nn.Module):
    """``layer`` over maps with channels last."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class ChannelsLast(nn.Module):
    """What a Keras network is once its layers run channels first: [N, H, W, C] between all of them."""

    def __init__(self, classes=10):
        super().__init__()
        self.first = Last(nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), norm_act(3, 12, 3, 2, padding=0)))
        self.left, self.right = Last(norm_act(12, 12, 3, groups=12)), Last(norm_act(12, 8, 1))
        self.pool, self.mix = Last(nn.MaxPool2d(2)), nn.Linear(20, 16)
        self.scale, self.shift = nn.Parameter(torch.rand(20) + 0.5), nn.Parameter(torch.randn(20))
        self.head = nn.Linear(16 * 16, classes)

    def forward(self, x):
        x = self.first(x / 127.5 - 1)
        x = torch.cat([self.left(x), self.right(x)], -1)
        x = self.pool(F.relu(x * self.scale + self.shift))
        x = F.relu(self.mix(x))
        return self.head(x.flatten(1)).softmax(-1)


FAMILIES = {
    "pointnet": (PointNet, (3, 64)), "resnet_1d": (ResNet1d, (4, 256)), "channels_last": (ChannelsLast, (16, 16, 3)),
}
