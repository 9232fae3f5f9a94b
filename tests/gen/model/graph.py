"""A module that is one function, for tests of what a forward may hold."""

from torch import nn

__all__ = ["Graph"]


class Graph(nn.Module):
    """A module whose forward is the function ``f`` of itself and the images."""

    def __init__(self, f, **layers):
        super().__init__()
        self.f = f
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x):
        return self.f(self, x)
