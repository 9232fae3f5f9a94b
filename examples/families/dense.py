"""Networks whose results are maps: U-Nets, FCN, a small YOLO, an SSD."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from examples.families.blocks import norm_act

__all__ = ["FAMILIES"]


def double(inputs, outputs):
    """Return two 3x3 convolutions with batch norm and ReLU."""
    return nn.Sequential(norm_act(inputs, outputs), norm_act(outputs, outputs))


class UNet(nn.Module):
    """Ronneberger et al. 2015: the way up by nearest upsampling and convolution, or by transposed convolution."""

    def __init__(self, transposed, classes=3, widths=(8, 12, 16)):
        super().__init__()
        one, two, three = widths
        self.down1, self.down2, self.bottom = double(3, one), double(one, two), double(two, three)
        self.up2, self.up1 = self._up(three, two, transposed), self._up(two, one, transposed)
        self.join2, self.join1 = double(2 * two, two), double(2 * one, one)
        self.out = nn.Conv2d(one, classes, 1)

    @staticmethod
    def _up(inputs, outputs, transposed):
        if transposed:
            return nn.ConvTranspose2d(inputs, outputs, 2, stride=2)
        return nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(inputs, outputs, 3, padding=1))

    def forward(self, x):
        first = self.down1(x)
        second = self.down2(F.max_pool2d(first, 2))
        x = self.bottom(F.max_pool2d(second, 2))
        x = self.join2(torch.cat([second, self.up2(x)], 1))
        return self.out(self.join1(torch.cat([first, self.up1(x)], 1)))


class FCN(nn.Module):
    """Long et al. 2014: scores at three depths, enlarged by transposed convolutions and added."""

    def __init__(self, classes=4):
        super().__init__()
        self.pool3 = nn.Sequential(double(3, 8), nn.MaxPool2d(2), double(8, 12), nn.MaxPool2d(2))
        self.pool4 = nn.Sequential(double(12, 16), nn.MaxPool2d(2))
        self.fc = nn.Sequential(nn.Conv2d(16, 24, 1), nn.ReLU(), nn.Dropout2d(), nn.Conv2d(24, classes, 1))
        self.score3 = nn.Conv2d(12, classes, 1)
        self.up2 = nn.ConvTranspose2d(classes, classes, 4, 2, 1, bias=False)
        self.up4 = nn.ConvTranspose2d(classes, classes, 8, 4, 2, bias=False)

    def forward(self, x):
        pool3 = self.pool3(x)
        x = self.up2(self.fc(self.pool4(pool3)))
        return self.up4(x + self.score3(pool3))


def leaky(inputs, outputs, kernel=3):
    """Return convolution, batch norm and LeakyReLU of Darknet."""
    return norm_act(inputs, outputs, kernel, act=lambda: nn.LeakyReLU(0.1))


class TinyYOLO(nn.Module):
    """Redmon and Farhadi 2018, tiny: LeakyReLU, a route back, nearest upsampling, two scales."""

    def __init__(self, anchors=3, classes=2):
        super().__init__()
        self.stem = nn.Sequential(leaky(3, 8), nn.MaxPool2d(2, 2), leaky(8, 12), nn.MaxPool2d(2, 2), leaky(12, 16))
        self.deep = nn.Sequential(nn.MaxPool2d(2, 2), leaky(16, 24), nn.ZeroPad2d((0, 1, 0, 1)), nn.MaxPool2d(2, 1),
                                  leaky(24, 16, 1))
        self.coarse = nn.Sequential(leaky(16, 24), nn.Conv2d(24, anchors * (5 + classes), 1))
        self.route = nn.Sequential(leaky(16, 8, 1), nn.Upsample(scale_factor=2))
        self.fine = nn.Sequential(leaky(24, 24), nn.Conv2d(24, anchors * (5 + classes), 1))

    def forward(self, x):
        early = self.stem(x)
        deep = self.deep(early)
        return self.coarse(deep), self.fine(torch.cat([self.route(deep), early], 1))


class SSD(nn.Module):
    """Liu et al. 2015: scores and boxes at three scales, all scores in one tensor as in the authors' code."""

    def __init__(self, anchors=2, classes=4):
        super().__init__()
        self.classes = classes
        self.backbone = nn.Sequential(double(3, 12), nn.MaxPool2d(2), double(12, 16), nn.MaxPool2d(2, ceil_mode=True))
        self.extra = nn.ModuleList([norm_act(16, 16, 3, 2), norm_act(16, 16, 3, 2)])
        self.scores = nn.ModuleList(nn.Conv2d(16, anchors * classes, 3, padding=1) for _ in range(3))
        self.boxes = nn.ModuleList(nn.Conv2d(16, anchors * 4, 3, padding=1) for _ in range(3))

    def forward(self, x):
        maps = [self.backbone(x)]
        for layer in self.extra:
            maps.append(layer(maps[-1]))
        scores = [head(x).permute(0, 2, 3, 1).contiguous() for head, x in zip(self.scores, maps)]
        scores = torch.cat([s.view(s.size(0), -1, self.classes) for s in scores], 1)
        return {"scores": F.softmax(scores, -1), "boxes": [head(x) for head, x in zip(self.boxes, maps)]}


FAMILIES = {
    "unet_nearest": (lambda: UNet(False), (3, 32, 32)), "unet_transposed": (lambda: UNet(True), (3, 32, 32)),
    "fcn": (FCN, (3, 32, 32)), "yolo_tiny": (TinyYOLO, (3, 32, 32)), "ssd": (SSD, (3, 30, 30)),
}
