"""The figures of a device on a set of images: what ``adafire evaluate`` and ``adafire run`` report."""

from collections import Counter
from time import perf_counter

from gen.data.images import BATCH, ArraySet, ImageSet, check_limit
from gen.errors import InputError
from gen.result import answered

__all__ = ["Figures", "evaluate"]

_SUMMED = ("exit_steps", "events", "synaptic_ops", "cycles")


class Figures:
    """The figures of all images added so far.

    Parameters
    ----------
    lanes : of the device, if it counts cycles
    """

    def __init__(self, lanes=None):
        self.lanes, self.images, self.seconds = lanes, 0, 0.0
        self._sums, self._exits, self._stages, self._right = Counter(), Counter(), Counter(), None

    def add(self, result, labels=None, seconds=0.0):
        """Add the `gen.result.Result` of some images, their labels (integers, or None) and the time it took.

        Where the deciding output is a map there is a label for each of its positions, [N, H, W].

        Raises
        ------
        InputError : labels that are none of the network's classes, or of another shape than its answers.
        """
        if labels is not None:
            _check_labels(labels, result)
            self._right = self._right or Counter()
            shares = (answered(result) == labels).reshape(len(labels), -1).mean(axis=1)
            for step, share in zip(result.exit_steps.tolist(), shares.tolist()):
                self._right[step] += share
        self.images += len(result.classes)
        self.seconds += seconds
        self._exits.update(result.exit_steps.tolist())
        if result.stages is not None:
            self._stages.update(result.stages.tolist())
        for name in _SUMMED:
            if getattr(result, name) is not None:
                self._sums[name] += int(getattr(result, name).sum())

    @property
    def accuracy(self):
        """The share of images, or of all their positions, that are as their labels say, 0..1; None without labels."""
        return None if self._right is None else self._right.total() / self.images

    def as_dict(self):
        """Return the figures as JSON can hold them; `evaluate` says which."""
        steps = range(1, max(self._exits) + 1)
        figures = {
            "images": self.images,
            "accuracy": self.accuracy,
            "mean_timesteps": self._mean("exit_steps"),
            "exit_histogram": [self._exits[step] for step in steps],
            "exit_accuracy": None if self._right is None else [
                self._right[step] / self._exits[step] if self._exits[step] else None for step in steps
            ],
            "events_per_image": self._mean("events"),
            "synaptic_ops_per_image": self._mean("synaptic_ops"),
            "seconds": self.seconds,
        }
        if self._stages:
            figures["stages"] = [self._stages[stage] for stage in range(max(self._stages) + 1)]
        if "cycles" in self._sums:
            figures["cycles_per_image"] = self._mean("cycles")
            if self.lanes:
                figures["lane_utilization"] = self._sums["synaptic_ops"] / (self.lanes * self._sums["cycles"])
        return figures

    def _mean(self, name):
        return self._sums[name] / self.images


def evaluate(device, data, labels=None, limit=None, progress=None, batch=BATCH, watch=()):
    """Run ``device`` on images, batch by batch, and return the figures as a dict that JSON can hold.

    Parameters
    ----------
    device : whatever has ``run(x, progress=None)``, returning a `gen.result.Result`, and ``lanes`` if it counts cycles
    data : `gen.data.images.ImageSet`, of which ``batch`` images at a time are in memory; or integers [N, ...]
    labels : integers [N], [N, H, W] where the deciding output is a map, or None: accuracy is None then. An image set
        brings its own.
    limit : use the first ``limit`` images only
    progress : called with (how far it is in words, fraction)
    watch : functions to call with (x, labels or None, `Result`) of every batch

    Returns
    -------
    images : int
    accuracy : 0..1, or None; that of positions (pixels) where the deciding output is a map
    mean_timesteps, events_per_image, synaptic_ops_per_image : float
    exit_histogram : list, how many images stopped after timestep 1, 2, ... up to the latest
    exit_accuracy : list, the share of these that are right, None where there are none; or None
    stages : list, how many images stage 1, 2, ... up to the latest answered; only of a network of stages
    seconds : float, wall time of the device; reading the images is not in it
    cycles_per_image : float; lane_utilization : 0..1; both only of a device that counts cycles

    Raises
    ------
    InputError : no images, or labels that do not go with the images or the classes.
    """
    check_limit(limit)
    data = data if isinstance(data, ImageSet) else ArraySet(data, labels)
    if not len(data):
        raise InputError("There are no images to evaluate: give at least one.")
    figures = Figures(getattr(device, "lanes", None))
    tell = _Teller(figures, data.count(limit), progress) if progress else None
    for x, y in data.batches(batch, limit):
        start = perf_counter()
        result = device.run(x, progress=tell)
        figures.add(result, y, perf_counter() - start)
        for see in watch:
            see(x, y, result)
    return figures.as_dict()


def _check_labels(labels, result):
    if labels.shape != result.classes.shape:
        raise InputError(
            f"The labels of a batch have shape {labels.shape}, the answers {result.classes.shape}: give one label for "
            "each image, or for each position where the output that decides is a map."
        )
    channels, dense = result.logits.shape[1], result.logits.ndim > 2
    classes = 2 if dense and channels == 1 else channels
    if labels.size and not (0 <= labels.min() and labels.max() < classes):
        raise InputError(f"The labels lie in {labels.min()}..{labels.max()}, the network has classes 0..{classes - 1}.")


class _Teller:
    """Turn what a device says of one batch into how far the evaluation is."""

    def __init__(self, figures, images, progress):
        self._figures, self._images, self._progress = figures, images, progress
        self._start = perf_counter()

    def __call__(self, done, _of_batch):
        done += self._figures.images
        rate = done / max(perf_counter() - self._start, 1e-9)
        text = f"{done:,} of {self._images:,} images, {rate:,.{0 if rate >= 10 else 1}f}/s"
        accuracy = self._figures.accuracy
        self._progress(text if accuracy is None else f"{text}, {100 * accuracy:.2f} % so far", done / self._images)
