"""The figures of a device on a set of images: what ``adafire evaluate`` and ``adafire run`` report."""

from time import perf_counter

import numpy as np

from gen.errors import InputError

__all__ = ["evaluate"]


def evaluate(device, x, y=None, limit=None, progress=None):
    """Run ``device`` on images and return the figures as a dict that JSON can hold.

    Parameters
    ----------
    device : whatever has ``run(x, progress=None)``, returning a `gen.result.Result`, and ``lanes`` if it counts cycles
    x : uint8 images [N, ...]
    y : integer labels [N], or None: accuracy is None then
    limit : use the first ``limit`` images only
    progress : called with (images done, images in all)

    Returns
    -------
    images : int
    accuracy : 0..1, or None
    mean_timesteps, events_per_image, synaptic_ops_per_image : float
    exit_histogram : list, how many images stopped after timestep 1, 2, ... up to the latest
    seconds : float, wall time
    cycles_per_image : float; lane_utilization : 0..1; both only of a device that counts cycles

    Raises
    ------
    InputError : no images, or labels that do not go with the images or the classes.
    """
    if limit is not None and limit < 1:
        raise InputError(f"The limit must be at least one image, not {limit}.")
    if y is not None and len(y) != len(x):
        raise InputError(f"There are {len(y)} labels for {len(x)} images: give one label for each image.")
    x, y = x[:limit], None if y is None else np.asarray(y[:limit])
    if not len(x):
        raise InputError("There are no images to evaluate: give at least one.")
    start = perf_counter()
    result = device.run(x, progress=progress)
    seconds = perf_counter() - start
    classes = result.logits.shape[1]
    if y is not None and not (0 <= y.min() and y.max() < classes):
        raise InputError(f"The labels lie in {y.min()}..{y.max()}, the network has classes 0..{classes - 1}.")
    figures = {
        "images": len(x),
        "accuracy": None if y is None else float((result.classes == y).mean()),
        "mean_timesteps": float(result.exit_steps.mean()),
        "exit_histogram": np.bincount(result.exit_steps)[1:].tolist(),
        "events_per_image": float(result.events.mean()),
        "synaptic_ops_per_image": float(result.synaptic_ops.mean()),
        "seconds": seconds,
    }
    if result.cycles is not None:
        figures["cycles_per_image"] = float(result.cycles.mean())
        figures["lane_utilization"] = result.lane_utilization(device.lanes)
    return figures
