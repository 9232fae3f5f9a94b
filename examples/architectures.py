"""Architectures, small, for 28x28 grey images and 10 classes.

Ordinary networks with batch norm: nothing in them knows that it will fire bursts. `vgg` is a plain stack, `resnet` the
20-layer residual network of CIFAR behind a stem of stride 2, `mobilenet` depthwise separable; these three, of the
method's table, have ReLUs alone. `mobilenet_v2` has ReLU6, and linear layers between which its residuals run.
"""

from torch import nn

__all__ = ["mobilenet", "mobilenet_v2", "resnet", "vgg"]


def conv(inputs, outputs, kernel=3, stride=1, groups=1):
    """Return convolution and batch norm; a 3x3 kernel keeps the map's size."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs))


class Residual(nn.Module):
    """Two convolutions and a shortcut: the map itself, or a 1x1 convolution where the shape changes."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.first = conv(inputs, outputs, stride=stride)
        self.second = conv(outputs, outputs)
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else conv(inputs, outputs, 1, stride)
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.relu(self.second(self.relu(self.first(x))) + self.shortcut(x))


def head(channels):
    """Return global average pool and classifier."""
    return nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10)


def vgg(widths=(16, 32, 64)):
    """Return two convolutions and a 2x2 average pool for each of ``widths``, the last pool over the whole map."""
    layers, inputs = [], 1
    for i, width in enumerate(widths):
        pool = [nn.AvgPool2d(2)] if i < len(widths) - 1 else []
        layers += [conv(inputs, width), nn.ReLU(), conv(width, width), nn.ReLU(), *pool]
        inputs = width
    return nn.Sequential(*layers, *head(inputs))


def resnet(widths=(16, 32, 64), blocks=3):
    """Return the residual network: a stem of stride 2, then ``blocks`` of each width; 20 layers as it stands."""
    layers, inputs = [conv(1, widths[0], stride=2), nn.ReLU()], widths[0]
    for i, width in enumerate(widths):
        for block in range(blocks):
            layers.append(Residual(inputs, width, stride=2 if i and not block else 1))
            inputs = width
    return nn.Sequential(*layers, *head(inputs))


def mobilenet(widths=(16, 32, 64, 64, 128), strides=(2, 1, 2, 1)):
    """Return depthwise separable blocks, one for each of ``strides``: depthwise 3x3, pointwise 1x1."""
    layers = [conv(1, widths[0]), nn.ReLU()]
    for inputs, outputs, stride in zip(widths, widths[1:], strides):
        layers += [conv(inputs, inputs, stride=stride, groups=inputs), nn.ReLU()]
        layers += [conv(inputs, outputs, 1), nn.ReLU()]
    return nn.Sequential(*layers, *head(widths[-1]))


class Inverted(nn.Module):
    """Three convolutions, 1x1 to ``expand`` times the channels, 3x3 depthwise, 1x1 without activation; a residual."""

    def __init__(self, inputs, outputs, stride, expand=4):
        super().__init__()
        wide = expand * inputs
        self.layers = nn.Sequential(
            conv(inputs, wide, 1), nn.ReLU6(), conv(wide, wide, stride=stride, groups=wide), nn.ReLU6(),
            conv(wide, outputs, 1),
        )
        self.residual = inputs == outputs and stride == 1

    def forward(self, x):
        return x + self.layers(x) if self.residual else self.layers(x)


def mobilenet_v2(widths=(8, 12, 12, 24, 24), strides=(2, 1, 2, 1), last=96):
    """Return a stem of stride 2, an inverted residual block for each of ``strides``, a 1x1 convolution to ``last``."""
    layers = [conv(1, widths[0], stride=2), nn.ReLU6()]
    layers += [Inverted(*shape) for shape in zip(widths, widths[1:], strides)]
    return nn.Sequential(*layers, conv(widths[-1], last, 1), nn.ReLU6(), *head(last))
