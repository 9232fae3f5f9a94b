"""A network of each task, made by hand, so that what it says of a picture is known: it looks at how red that is."""

import numpy as np

from gen.intnet import IntegerNetwork
from gen.layers import INPUT, Readout, Source, Synapse
from gen.task import CLASSIFY, DETECT, SEGMENT, VALUES, Decoder, Task

SIZE = (24, 32)  # of every network here; it looks through windows of 4 x 4
UNITS = {"output_scales": {"a": 1000.0, "b": 1000.0}}


def readout(name, reds, kernel, bias):
    """Return a readout of which channel c weighs the red of a window by ``reds[c]``."""
    weight = np.zeros((len(reds), 3, *kernel), int)
    weight[:, 0] = np.array(reds)[:, None, None]
    return Readout(name, [Synapse(INPUT, weight, kernel)], np.array(bias), np.full(len(reds), 8))


def network(task, *readouts):
    return IntegerNetwork(Source((3, *SIZE)), readouts, 1, provenance=UNITS, stated_task=task)


NETWORKS = {
    CLASSIFY: network(Task(CLASSIFY, ("dark", "red")), readout("a", [0, 1], SIZE, [20_000, 0])),
    SEGMENT: network(Task(SEGMENT, ("background", "red")), readout("a", [0, 3], (4, 4), [6000, 0])),
    DETECT: network(
        Task(DETECT, ("spot",), Decoder("ssd", {"boxes": ("a",), "scores": ("b",)}, {"sizes": [[4]], "iou": 0.2})),
        readout("a", [0, 0, 0, 0], (4, 4), [0, 0, 0, 0]), readout("b", [0, 3], (4, 4), [9000, 0]),
    ),
    VALUES: network(Task(VALUES), readout("a", [1, 2], (4, 4), [0, 500])),
}
