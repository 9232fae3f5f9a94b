"""Networks on the compiled core, beside the golden model."""

import numpy as np

from gen.intnet import Network
from gen.plan.candidates import candidates
from gen.plan.plan import Plan
from gen.plan.target import find_target
from gen.result import Result
from sim.compiled_core import CompiledCore
from sim.golden import Golden

__all__ = ["differences", "fastest_plan", "on_core"]

TARGET = find_target("ulx3s_85f")
COMPARED = ("classes", "exit_steps", "logits", "events", "synaptic_ops")


def differences(found: Result, expected: Result, rows: slice | np.ndarray | list[int] = slice(None)) -> int:
    """Return how many values of ``found`` differ from those rows of ``expected``, cycles left out."""
    return int(sum((getattr(found, name) != getattr(expected, name)[rows]).sum() for name in COMPARED))


def fastest_plan(network: Network, lanes: int, neurons: int | None = None, strips: str | None = None) -> Plan:
    """Return the plan of the fastest core of ``lanes`` that `generate` weighs, whether or not it fits a board."""
    found = candidates(network, TARGET, (), lanes, neurons, strips=strips)
    return min(found, key=lambda each: each.estimate.interval).plan


def on_core(network: Network, x: np.ndarray, lanes: int) -> dict:
    """Return {rtl_images, rtl_differences, rtl_cycles_per_image}: images ``x`` on that core and on the golden model."""
    core = CompiledCore.for_plan(fastest_plan(network, lanes)).run(x)
    return {
        "rtl_images": len(x), "rtl_differences": differences(core, Golden(network).run(x)),
        "rtl_cycles_per_image": float(core.cycles.mean()),
    }
