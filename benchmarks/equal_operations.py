"""The line against the quantized ANN: what accuracy early exits give at the operations of one timestep.

An exit rule fitted for a larger loss stops more images early. Fitted again for `LOSSES`, on training images that the
conversion did not see, one network gives a curve of accuracy against operations, judged on test images by the golden
model; between its points it is taken to be straight.
"""

from dataclasses import replace

import numpy as np

from gen.method.exit_fit import fit_exit
from sim.golden import Golden

__all__ = ["accuracy_at", "exit_curve"]

LOSSES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0)  # points


def exit_curve(network, fitted_on, test):
    """Return [(synaptic operations per image, accuracy)] of a network with exits, by rising operations.

    Parameters
    ----------
    network : gen.intnet.IntegerNetwork whose exit rule is not off
    fitted_on, test : (uint8 [N, ...], integers [N]), images and their classes
    """
    (x, labels), points = fitted_on, set()
    z = Golden(network).all_logits(x)
    for loss in LOSSES:
        rule = fit_exit(z, network.provenance["logit_scale"], network.exit_rule.kind, loss, labels)
        result = Golden(replace(network, exit_rule=rule)).run(test[0])
        points.add((float(result.synaptic_ops.mean()), float((result.classes == test[1]).mean())))
    return sorted(points)


def accuracy_at(operations, curve):
    """Return the accuracy of an `exit_curve` at so many operations, or None beyond its ends."""
    ops, accuracy = np.transpose(curve)
    return float(np.interp(operations, ops, accuracy)) if ops[0] <= operations <= ops[-1] else None
