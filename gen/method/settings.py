"""What the user asks of a conversion, checked before anything slow runs."""

from dataclasses import dataclass
from numbers import Real

import numpy as np

from gen.errors import InputError
from gen.exit_rule import KINDS
from gen.layers import ADAFIRE, INVERSE_LEAKY, NEURONS
from gen.method.exit_fit import FITS
from gen.method.quantize import check_settings, check_weight_bits

__all__ = ["Settings", "check_images", "check_labels"]

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
    search_burst: float | None = None
    compress: float | None = None
    weight_memory: int | None = None
    search_lanes: int | None = None
    weight_calibration: bool = False
    mean: float | tuple = 0.0
    std: float | tuple = 1.0

    def __post_init__(self):
        check_settings(self.timesteps, self.max_burst)
        check_weight_bits(self.weight_bits)
        _one_of("neuron", self.neuron, NEURONS)
        _one_of("exit", self.exit_rule, KINDS)
        _one_of("exit_fit", self.exit_fit, FITS)
        if self.two_phase:
            self._check_two_phase()
        _within("exit_loss", self.exit_loss, "accuracy points", 0, 100)
        if self.compress is not None:
            _within("compress", self.compress, "accuracy points", 0, 100)
        if self.search_burst is not None:
            _within("search_burst", self.search_burst, "a fraction of the uniform network's cost", 0.01, 10)
        for name, value in (("weight_memory", self.weight_memory), ("search_lanes", self.search_lanes)):
            if value is not None and (not isinstance(value, int | np.integer) or value < 1):
                raise InputError(f"{name} must be a positive integer, not {value!r}.")
        if self.weight_memory is not None and (isinstance(self.weight_bits, dict) or self.weight_bits != 8):
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
        """The exit rule's kind: entropy by default, off for inverse-leaky neurons."""
        return self.exit or ("off" if self.two_phase else "entropy")

    @property
    def searches(self):
        """Whether some images are kept out of calibration, to measure candidates with."""
        return not (self.search_burst is None and self.compress is None and self.weight_memory is None)


def _one_of(name, value, known):
    if value not in known:
        raise InputError(f"{name} must be one of {', '.join(known)}, not {value!r}.")


def _within(name, value, unit, low, high):
    if not isinstance(value, Real) or isinstance(value, bool) or not low <= value <= high:
        raise InputError(f"{name} is in {unit}, {low} to {high}, not {value!r}.")


def check_images(x):
    """Return ``x`` as uint8 [N, C, H, W]; InputError for another type, shape or no image at all."""
    x = np.asarray(x)
    if x.dtype != np.uint8:
        hint = "(255 * x).round().astype('uint8')" if x.dtype.kind == "f" else "x.astype('uint8')"
        raise InputError(
            f"The calibration images must be uint8 pixels, 0 to 255, not {x.dtype}. Convert them with {hint} "
            "and give the normalisation as mean and std."
        )
    if x.ndim not in (3, 4):
        shape = list(x.shape)
        raise InputError(f"The calibration images must be [N, C, H, W] or [N, H, W], not of shape {shape}.")
    if not x.size:
        raise InputError(f"The calibration set is empty, of shape {list(x.shape)}. Give some hundred images.")
    return x if x.ndim == 4 else x[:, None]


def check_labels(labels, images, classes):
    """Return ``labels`` as int64 [images] or None; InputError for a wrong type, length or class."""
    if labels is None:
        return None
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu":
        raise InputError(f"The labels must be integers, the class of each image, not {labels.dtype}.")
    if labels.shape != (images,):
        raise InputError(f"There are {images} calibration images but labels of shape {list(labels.shape)}.")
    if labels.min() < 0 or labels.max() >= classes:
        raise InputError(
            f"The labels must lie in 0..{classes - 1}, the classes of the model; they run from "
            f"{labels.min()} to {labels.max()}."
        )
    return labels.astype(np.int64)
