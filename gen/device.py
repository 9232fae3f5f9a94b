"""What every device offers: golden model, compiled RTL, simulated board and real board alike."""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np

from gen.intnet import Network
from gen.result import Result

__all__ = ["Device", "Progress"]

# Called with (what, fraction done) or, of images, (done, in all).
Progress = Callable[[Any, float], object]


@runtime_checkable
class Device(Protocol):
    """Whatever computes an integer network: the same bits from each.

    A device may also have ``lanes``, how many a core has, and ``close()``, which frees what it holds.
    """

    @property
    def network(self) -> Network:
        """The network that it computes."""
        ...

    def run(self, x: np.ndarray, progress: Progress | None = None) -> Result:
        """Run images, uint8 [N, C, H, W], or [N, H, W] for one channel; [N, T, C, H, W] for a network of frames."""
        ...
