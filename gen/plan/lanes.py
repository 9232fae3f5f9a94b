"""How many lanes a core may have, in how many groups, and how many neurons serve those of a group."""

from __future__ import annotations

from gen.errors import InputError

__all__ = ["GROUPS", "LANES", "LEAST_BEATS", "NEURONS", "WIDTHS", "check_neurons", "neurons_of", "shape_of_lanes"]

WIDTHS = (4, 8, 16)  # lanes of a group
GROUPS = (1, 2, 4)
NEURONS = (1, 2, 4, 8)  # of a group
LEAST_BEATS = 2  # lanes that a neuron serves, at least
LANES = {4: (4, 1), 8: (8, 1), 16: (16, 1), 32: (16, 2), 64: (16, 4)}  # lanes of a core: width and groups


def neurons_of(width):
    """Return how many neurons a group of ``width`` lanes may have, one number for each choice."""
    return [n for n in NEURONS if width // n >= LEAST_BEATS]


def check_neurons(width, neurons):
    """Raise InputError unless a group of ``width`` lanes can have so many neurons."""
    fitting = neurons_of(width)
    if neurons not in fitting:
        raise InputError(
            f"A group of {width} lanes has one of {', '.join(map(str, fitting))} neurons, not {neurons!r}."
        )


def shape_of_lanes(lanes):
    """Return (lanes of a group, groups) of a core of ``lanes`` lanes.

    Raises
    ------
    InputError
        For a number of lanes that no core has.
    """
    if lanes not in LANES:
        raise InputError(f"The number of lanes must be {', '.join(map(str, LANES))}, not {lanes!r}.")
    return LANES[lanes]
