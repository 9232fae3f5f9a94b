"""What an image costs by count, as a report holds it: words of memory, energy by the convention and by estimate."""

import numpy as np

from sim.energy import AC_PJ, CONVENTION, ESTIMATE, MAC_PJ, ann_uJ, convention, estimated, macs
from sim.traffic import memory_traffic

__all__ = ["energy", "traffic"]


def energy(plan, result=None, x=None):
    """Return the energy of a mean image and the operations behind it, as `sim.energy` counts them.

    Without images only the network without spikes is known; the estimate needs a result with cycles.
    """
    multiplied, added = macs(plan.network)
    figures = {
        "convention": CONVENTION, "mac_pj": MAC_PJ, "ac_pj": AC_PJ, "estimate": ESTIMATE,
        "ann_macs": multiplied, "ann_adds": added, "convention_ann_uJ": ann_uJ(plan.network),
    }
    if result is not None:
        figures |= _means(convention(plan.network, result, x))
        if result.busy_cycles is not None:
            figures |= _means(estimated(plan, result))
    return figures


def traffic(plan, result):
    """Return {memory: [words read, words written]} of a mean image; words whose number nothing has counted are None."""
    return {
        name: [None if words is None else float(words.mean()) for words in (read, written)]
        for name, (read, written, _) in memory_traffic(plan, result).items()
    }


def _means(figures):
    """Return the mean of every figure that is a number, or one for each image."""
    return {name: float(np.mean(values)) for name, values in figures.items() if not isinstance(values, dict)}
