"""The residual networks of CIFAR-10 as their published weights need them.

Class and names follow akamaster/pytorch_resnet_cifar10 (BSD-2-Clause), whose ResNet-20, 32, 44 and 56 are the networks
of He et al. with shortcuts of option A: every second pixel, the new channels filled with zeros, half of them on each
side. A model sees images scaled to 0..1, less `MEAN`, over `STD`, one of each for a channel.
"""

from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["MEAN", "STD", "ResNet", "resnet"]

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class Block(nn.Module):
    """Two 3x3 convolutions, and a shortcut that has no weights."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.grows = inputs != outputs
        self.added = (outputs - inputs) // 2

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.grows:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.added, self.added))
        return F.relu(y + x)


class ResNet(nn.Module):
    """The network of ``depth`` 6n + 2: three groups of n blocks, of 16, 32 and 64 channels."""

    def __init__(self, depth: int, classes: int = 10):
        super().__init__()
        blocks = (depth - 2) // 6
        if depth != 6 * blocks + 2 or blocks < 1:
            raise ValueError(f"the depth must be 6n + 2, as in 20, 32, 44 or 56, not {depth}")
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = self._group(16, 16, blocks)
        self.layer2 = self._group(16, 32, blocks)
        self.layer3 = self._group(32, 64, blocks)
        self.linear = nn.Linear(64, classes)

    @staticmethod
    def _group(inputs: int, outputs: int, blocks: int) -> nn.Sequential:
        first = Block(inputs, outputs, 1 if inputs == outputs else 2)
        return nn.Sequential(first, *(Block(outputs, outputs, 1) for _ in range(blocks - 1)))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(F.avg_pool2d(x, x.shape[-1]).flatten(1))


def resnet(depth: int, weights: str | Path) -> ResNet:
    """Return the network of ``depth`` with the published weights in the file ``weights`` (.safetensors), to be run.

    A tensor that is missing, of another shape or left over is torch's RuntimeError, which lists them all.
    """
    model = ResNet(depth)
    counters = {name: tensor for name, tensor in model.state_dict().items() if name.endswith("num_batches_tracked")}
    model.load_state_dict(counters | load_file(weights))
    return model.eval()
