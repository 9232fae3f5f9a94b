"""What of the integer network no core runs, by name; it is next to nothing."""

from __future__ import annotations

from gen.errors import UnsupportedNetwork
from gen.plan.params import CORE_TIMESTEPS

__all__ = ["check_core"]


def check_core(network) -> None:
    """Raise `UnsupportedNetwork` with all that a core lacks for ``network``, an integer network or one of stages.

    What depends on the number of lanes is found when the tiles are chosen (`gen.plan.tiles`).
    """
    problems = [
        f"{stage.timesteps} timesteps; the core runs at most {CORE_TIMESTEPS}"
        for stage in network.stages if stage.timesteps > CORE_TIMESTEPS
    ]
    if problems:
        raise UnsupportedNetwork(list(dict.fromkeys(problems)))
