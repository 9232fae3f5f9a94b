"""A compiled core beside the golden model: every count, state and output of every image compared.

`checked` is one image, as `benchmarks.tasks` runs them; `check_folder` is all that `adafire verify` does with the
compiled core of a generated folder. A million cycles take a second or two, where cocotb takes twenty and more.
"""

from pathlib import Path
from random import Random

import numpy as np

from gen.errors import AdafireError
from gen.inputs import together
from gen.plan.image import read_image
from sim.bench.folder import IMAGE, board_of, core_text
from sim.compare import compare_image, compared_values, expected_probe, first_difference
from sim.compiled_core import CompiledCore, compile_core
from sim.golden import Golden
from sim.loading import inverted, port_stream
from sim.outside import RuleBroken

__all__ = ["check_folder", "checked", "planned_checks"]

SHUFFLED = 5
LOADED = 1
LOADED_WORDS = 300_000  # outside the chip, at most, that go through the load port: 35 cycles each, ten million in all
STALLS = 0.3  # chance that a stream pauses in a cycle


def planned_checks(runs, once=False):
    """Return name of every scenario to the records it makes, of so many ``runs`` in order, each ``once`` or more.

    A run is an image, or those of a batch that a core takes together.
    """
    again = {"aborted": 1, "shuffled": min(runs, SHUFFLED), "loaded": min(runs, LOADED)}
    return {"in order": runs, **({} if once else again)}


def checked(core, golden, images, progress=None):
    """Run images on a `CompiledCore`, each behind the other; return a record of each, or of each run of a batch.

    Returns
    -------
    list of dict
        difference : text of the first value that is not the golden model's, or None
        compared : values compared, by kind
        cycles, busy, synaptic_ops : of the core
    """
    runs = together(images, core.plan.layout.images)
    result, probe = core.probe(lambda: core.run(np.concatenate(runs), progress))
    return [_record(core.plan, golden.traces_of(run), probe.of_image(n), result, n) for n, run in enumerate(runs)]


def _record(plan, traces, probe, result, n):
    difference, images = compare_image(plan, traces, probe, result, n), plan.layout.images
    rows = slice(n * images, (n + 1) * images)
    return {
        "difference": None if difference is None else str(difference),
        "compared": compared_values(plan, expected_probe(plan, traces)), "cycles": int(result.cycles[rows].sum()),
        "busy": int(result.busy_cycles[rows].sum()), "synaptic_ops": int(result.synaptic_ops[rows].sum()),
    }


def check_folder(folder, plan, x, seed=0, progress=None, once=False):
    """Run the images ``x`` on the core in ``folder``, some again unless ``once``; return the records of all runs.

    In order, alone and without pauses; one given up in a random cycle; behind it, some in random order with pauses in
    every stream; and some after the memory image came through the load port, which refused a damaged one before.
    Of an image with more than `LOADED_WORDS` for outside the chip these are put into the memory there at once.

    Records are those of `checked`, with ``scenario`` and ``images``, their numbers in ``x``, of a batch those of all
    that are run together; only those of runs without pauses have ``cycles``. A core that gives no result ends them.

    Raises
    ------
    RuleBroken : the controller of the memory outside did not keep the times of the part.
    """
    progress = progress or (lambda text, fraction: None)
    board = board_of(folder)
    core = CompiledCore(compile_core(core_text(folder), plan.params, progress, board), plan, seed=seed)
    return _Checks(core, x, read_image(Path(folder) / IMAGE), seed, progress, once).records


class _Checks:
    """The scenarios of one folder, and the records of what was run."""

    def __init__(self, core, x, stream, seed, progress, once):
        self.records = []
        self._core, self._x, self._golden, self._stream = core, x, Golden(core.network), stream
        self._random, self._progress = Random(seed), progress
        self._batch = core.plan.layout.images
        self._runs = self._of(range(len(x)))
        self._planned = planned_checks(len(self._runs), once)
        for name in self._planned:
            try:
                getattr(self, f"_{name.replace(' ', '_')}")(name)
            except RuleBroken:
                raise
            except AdafireError as error:  # one that hangs says it all, and takes long enough
                self.records.append({"scenario": name, "images": [], "difference": str(error)})
                break

    def _of(self, numbers):
        """Return the runs of images of these numbers, lists of numbers."""
        return together(numbers, self._batch).tolist()

    def _in_order(self, name):
        for run in self._runs:
            self._run(name, [run])

    def _aborted(self, name):
        n, core = self._random.randrange(len(self._runs)), self._core
        cycle, images = self._random.randrange(max(1, self.records[n]["cycles"])), self._x[self._runs[n]]
        results, probe = core.probe(lambda: core.abort(images, cycle))
        expected = expected_probe(core.plan, self._golden.traces_of(images))
        difference = first_difference(core.plan, expected, probe, complete=False)
        if results and difference is None:
            difference = f"a result came although the image had been given up after {cycle} cycles"
        self._write(name, self._runs[n], {"difference": None if difference is None else str(difference)})

    def _shuffled(self, name):
        self._core.stalls = STALLS
        count = len(self._x)
        numbers = self._random.sample(range(count), min(count, self._planned[name] * self._batch))
        self._run(name, self._of(numbers), timed=False)
        self._core.stalls = 0.0

    def _loaded(self, name):
        plan = self._core.plan
        inside, _ = port_stream(self._stream, plan, most=0)
        through, outside = port_stream(self._stream, plan, most=LOADED_WORDS)
        try:
            self._core.load_stream(inverted(inside, plan))
        except RuleBroken:
            raise
        except AdafireError:
            self._core.load_stream(through)
        else:
            raise AdafireError("the core took a damaged load for a good one")
        if outside is not None:
            self._core.fill(outside)
        for _ in range(self._planned[name]):
            self._run(name, [[self._random.randrange(len(self._x)) for _ in range(self._batch)]])

    def _run(self, name, runs, timed=True):
        """Make runs of images of these numbers, each behind the other."""
        before = len(self.records)

        def heard(done, _):
            self._progress("simulating", (before + done / self._batch) / sum(self._planned.values()))

        heard(0, 1)
        for run, record in zip(runs, checked(self._core, self._golden, self._x[np.concatenate(runs)], heard)):
            self._write(name, run, record if timed else {**record, "cycles": None})

    def _write(self, name, run, record):
        record = {key: value for key, value in record.items() if value is not None or key == "difference"}
        self.records.append({"scenario": name, "images": run, **record})
