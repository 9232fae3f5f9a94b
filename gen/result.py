"""What every device returns: golden model, compiled RTL, simulated board and real board alike."""

from dataclasses import dataclass, field

import numpy as np

__all__ = ["Result"]


@dataclass(frozen=True, eq=False)
class Result:
    """Outcome of `run` for N images of a network whose deciding output has C channels; every array has N rows.

    classes : int64 [N]            argmax of the logits, lowest index on a tie; [N, H, W] where that output is a map
    exit_steps : int64 [N]         timesteps executed, 1..T; in a network of stages those of all stages that ran
    logits : int64 [N, C]          the deciding output at the exit step; [N, C, H, W] where it is a map
    events : int64 [N]             nonzero counts of the maps that synapses read, all timesteps, input excluded
    synaptic_ops : int64 [N]       one weight applied to one event for one neuron; a burst counts once
    cycles : int64 [N] or None     clock cycles from the first input word taken to the result given
    busy_cycles : int64 [N] or None   cycles in which the lanes took an event
    spike_ops : int64 [N] or None  synaptic operations, a burst of k spikes counting |k| times
    outputs : name of every output to int64 [N, C, H, W]; empty of a device that returns the deciding one alone
    stages : int64 [N] or None     stage that answered, from 0; None of a network without stages
    """

    classes: np.ndarray
    exit_steps: np.ndarray
    logits: np.ndarray
    events: np.ndarray
    synaptic_ops: np.ndarray
    cycles: np.ndarray | None = None
    busy_cycles: np.ndarray | None = None
    spike_ops: np.ndarray | None = None
    outputs: dict[str, np.ndarray] = field(default_factory=dict)
    stages: np.ndarray | None = None

    def lane_utilization(self, lanes: int) -> float | None:
        """Return synaptic operations / (lanes x cycles), over all images; None without cycle counts."""
        if self.cycles is None:
            return None
        return float(self.synaptic_ops.sum() / (lanes * self.cycles.sum()))
