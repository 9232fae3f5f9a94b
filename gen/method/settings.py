"""What the user asks of a conversion, checked before anything slow runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real

import numpy as np

from gen.errors import InputError
from gen.exit_rule import KINDS, SHARE_ONE
from gen.intnet import ORDERS, STEPS, TILES
from gen.layers import ADAFIRE, INVERSE_LEAKY, MAX_TIMESTEPS, NEURONS
from gen.method.checks import check_normalisation, check_settings, check_weight_bits
from gen.method.exit_fit import FITS
from gen.plan.lanes import LANES

__all__ = ["Settings", "check_images", "check_labels", "check_timesteps"]

CODE_BITS = 8  # timesteps of inverse-leaky neurons: bits of an activation


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Options of `gen.method.convert.convert`, where they are described; InputError for impossible ones."""

    timesteps: int = 4
    max_burst: int = 7
    weight_bits: int | dict = 8
    neuron: str = ADAFIRE
    exit: str | None = None
    exit_loss: float = 0.2
    exit_fit: str = "loss"
    exit_output: str | None = None
    exit_share: float = 1.0
    search_burst: float | None = None
    compress: float | None = None
    weight_memory: int | None = None
    search_lanes: int | None = None
    calibrate_weights: bool = False
    mean: float | Sequence[float] = 0.0
    std: float | Sequence[float] = 1.0
    order: str = STEPS

    def __post_init__(self):
        check_settings(self.timesteps, self.max_burst)
        check_weight_bits(self.weight_bits)
        check_normalisation(self.mean, self.std)
        _one_of("neuron", self.neuron, NEURONS)
        _one_of("exit", self.exit_rule, KINDS)
        _one_of("exit_fit", self.exit_fit, FITS)
        _one_of("order", self.order, ORDERS)
        _within("exit_share", self.exit_share, "a share of an output's positions", 1 / SHARE_ONE, 1)
        if self.order == TILES and self.timesteps > 1 and self.exit_rule != "off":
            raise InputError(
                f"A network in tile order has no early exit: set exit to off, or leave it out, not {self.exit!r}."
            )
        if self.two_phase:
            self._check_two_phase()
        _within("exit_loss", self.exit_loss, "in accuracy points", 0, 100)
        if self.compress is not None:
            _within("compress", self.compress, "in accuracy points", 0, 100)
        if self.search_burst is not None:
            _within("search_burst", self.search_burst, "a fraction of the uniform network's cost", 0.01, 10)
        if self.search_lanes is not None:
            _one_of("search_lanes", self.search_lanes, LANES)
            if not self.searches:
                raise InputError(
                    "search_lanes says how searches count costs, and none was asked for: give search_burst, compress "
                    "or weight_memory, or leave it out."
                )
        bits = self.weight_memory
        if bits is not None and (not isinstance(bits, int | np.integer) or bits < 1):
            raise InputError(f"weight_memory must be a positive integer, not {bits!r}.")
        if bits is not None and (isinstance(self.weight_bits, dict) or self.weight_bits != 8):
            raise InputError(
                "weight_memory chooses the width of every layer's weights: give either it or weight_bits."
            )

    def _check_two_phase(self):
        for name, value in (("search_burst", self.search_burst), ("compress", self.compress)):
            if value is not None:
                raise InputError(
                    f"{name} is about bursts, inverse-leaky neurons have none: leave it out, or convert with "
                    f"neuron {ADAFIRE}."
                )
        if self.exit_rule != "off":
            raise InputError(
                f"A network of inverse-leaky neurons has no early exit: set exit to off, or leave it out, not "
                f"{self.exit!r}."
            )
        if self.timesteps > CODE_BITS:
            raise InputError(
                f"Inverse-leaky neurons take 1 to {CODE_BITS} timesteps, the bits of an activation, not "
                f"{self.timesteps}."
            )

    @property
    def two_phase(self):
        """Whether the neurons are inverse-leaky, the layers two-phase."""
        return self.neuron == INVERSE_LEAKY

    @property
    def exit_rule(self):
        """The exit rule's kind: entropy by default, off for inverse-leaky neurons and in tile order."""
        return self.exit or ("off" if self.two_phase or (self.order == TILES and self.timesteps > 1) else "entropy")

    @property
    def searches(self):
        """Whether some images are kept out of calibration, to measure candidates with."""
        return not (self.search_burst is None and self.compress is None and self.weight_memory is None)


def _one_of(name, value, known):
    if value not in known:
        raise InputError(f"{name} must be one of {', '.join(map(str, known))}, not {value!r}.")


def _within(name, value, unit, low, high):
    if not isinstance(value, Real) or isinstance(value, bool) or not low <= value <= high:
        raise InputError(f"{name} is {unit}, {low:g} to {high:g}, not {value!r}.")


def check_images(x):
    """Return ``x`` as uint8 [N, C, H, W], or frames [N, T, C, H, W]; InputError for another type, shape or none."""
    x = np.asarray(x)
    if x.dtype != np.uint8:
        hint = "(255 * x).round().astype('uint8')" if x.dtype.kind == "f" else "x.astype('uint8')"
        raise InputError(
            f"The calibration images must be uint8 pixels, 0 to 255, not {x.dtype}. Convert them with {hint} "
            "and give the normalisation as mean and std."
        )
    if x.ndim not in (3, 4, 5):
        raise InputError(
            "The calibration images must be [N, C, H, W] or [N, H, W], or frames [N, T, C, H, W], not of shape "
            f"{list(x.shape)}."
        )
    if not x.size:
        raise InputError(f"The calibration set is empty, of shape {list(x.shape)}. Give some hundred images.")
    if min(x.strides) < 0:  # PyTorch takes no mirrored view of an array, such as channels in another order
        x = x.copy()
    return x[:, None] if x.ndim == 3 else x


def check_timesteps(timesteps, x):
    """Return how many timesteps a network for the images ``x`` has: ``timesteps``, by default 4; of frames theirs."""
    if x.ndim < 5:
        return 4 if timesteps is None else timesteps
    frames = x.shape[1]
    if timesteps not in (None, frames):
        raise InputError(
            f"The recordings have {frames} frames, one for each timestep: leave timesteps out, or cut the recordings "
            f"into {timesteps!r}."
        )
    if frames > MAX_TIMESTEPS:
        raise InputError(f"The recordings have {frames} frames, the most is {MAX_TIMESTEPS}: cut them into fewer.")
    return frames


def check_labels(labels, images, shape):
    """Return ``labels`` as int64 or None; InputError for a wrong type, shape or class.

    ``shape`` (channels, rows, columns) is that of the output that decides: a label for each of ``images``, and where
    it is a map, for each of its positions.
    """
    if labels is None:
        return None
    labels, (classes, *positions) = np.asarray(labels), shape
    expected = (images,) if positions == [1, 1] else (images, *positions)
    if labels.dtype.kind not in "iu":
        raise InputError(f"The labels must be integers, the class of each image, not {labels.dtype}.")
    if labels.shape != expected:
        each = "" if len(expected) == 1 else f" and {positions[0]} x {positions[1]} positions"
        raise InputError(f"There are {images} calibration images{each} but labels of shape {list(labels.shape)}.")
    if labels.min() < 0 or labels.max() >= classes:
        raise InputError(
            f"The labels must lie in 0..{classes - 1}, the classes of the model; they run from "
            f"{labels.min()} to {labels.max()}."
        )
    return labels.astype(np.int64)
