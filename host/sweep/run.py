"""A sweep as a graph of tasks on Dask, and its table: one row for each combination, failed ones with their reason."""

from __future__ import annotations

import csv
import io
import json
import logging
from contextlib import contextmanager
from itertools import product
from pathlib import Path

from gen.errors import InputError
from gen.folders import whole_files
from host.sweep import steps
from host.sweep.description import Sweep, read_sweep
from host.sweep.options import own_decoder

__all__ = ["run_sweep", "sweep_file"]

KEPT = "kept"
TABLE = "table"
COLUMNS = {  # of the table, to what a step calls them
    "network": "network", "setting": "setting", "board": "board", "lanes": "lanes", "seed": "seed",
    "accuracy": "accuracy", "timesteps": "mean_timesteps", "operations": "synaptic_ops_per_image",
    "cycles (estimated)": "cycles", "images a second (estimated)": "fps",
    "LUT (estimated)": "estimated_lut", "BRAM (estimated)": "estimated_bram",
    "LUT": "lut", "FF": "ff", "BRAM": "bram", "DSP": "dsp", "MHz": "fmax_mhz", "failed": "failed",
}


def sweep_file(description, out, scheduler, workers, progress):
    """Run what the TOML file ``description`` says; return the rows of the table, which is in the folder ``out``."""
    rows = run_sweep(read_sweep(description), out, scheduler, workers, progress)
    table = str(Path(out) / f"{TABLE}.csv")
    return {"out": str(out), "table": table, "rows": rows, "failed": sum(row["failed"] is not None for row in rows)}


def run_sweep(sweep: Sweep, out: str | Path, scheduler: str | None = None, workers: int | None = None, progress=None):
    """Run all tasks of ``sweep`` that are not kept in ``out`` already; write the table there and return its rows.

    Parameters
    ----------
    out : folder, which all workers must see
    scheduler : address of a Dask scheduler; by default processes of this machine, as many as it has cores
    workers : of these, how many
    progress : called with (tasks done, tasks in all), or None

    Returns
    -------
    list of dict, with all figures of a combination; ``failed`` is None or the reason.

    Raises
    ------
    InputError : no scheduler answers at the address, or ``workers`` are given beside one; before anything is made.
    """
    if scheduler and workers is not None:
        raise InputError("A scheduler has workers of its own: leave either --scheduler or --workers out.")
    out = Path(out).absolute()
    out.mkdir(parents=True, exist_ok=True)
    with _client(scheduler, workers) as client:
        graph = _Graph(client, str(out / KEPT))
        combinations = list(graph.combinations(sweep))
        graph.wait(progress)
        rows = [_row(names, tasks) for names, tasks in combinations]
    whole_files({out / f"{TABLE}{suffix}": text for suffix, text in _tables(rows).items()})
    return rows


@contextmanager
def _client(scheduler, workers):
    from distributed import Client, LocalCluster

    if scheduler:
        with _connected(scheduler) as client:
            yield client
    else:
        quiet = {"dashboard_address": None, "silence_logs": logging.CRITICAL}  # failed tasks are rows of the table
        with LocalCluster(n_workers=workers, threads_per_worker=1, **quiet) as cluster, Client(cluster) as client:
            yield client


def _connected(scheduler):
    from distributed import Client

    try:
        return Client(scheduler)
    except (OSError, ValueError) as error:
        raise InputError(
            f"No Dask scheduler answers at {scheduler} ({error}): start one with `dask scheduler`, and give the "
            "address that it shows."
        ) from error


class _Graph:
    """Submits each task once, however many combinations need it."""

    def __init__(self, client, kept):
        self._client, self._kept, self._tasks = client, kept, {}

    def task(self, step, *arguments):
        """Return the future of a step; one whose argument fails, fails as it did."""
        key = step.__name__, *(getattr(argument, "key", repr(argument)) for argument in arguments)
        if key not in self._tasks:
            name = f"{step.__name__}-{len(self._tasks)}"
            self._tasks[key] = self._client.submit(step, self._kept, *arguments, key=name, pure=False)
        return self._tasks[key]

    def combinations(self, sweep):
        """Yield (names, tasks) of every row of the table."""
        for source in sweep.networks:
            for setting, options in sweep.settings.items() if source.converted else [("", {})]:
                network = self._network(sweep, source, options)
                judged = network, sweep.data, sweep.limit, own_decoder(options)
                measured = [self.task(steps.evaluate, *judged)] if sweep.data else []
                names = {"network": source.name, "setting": setting}
                for board, lanes in product(sweep.boards, sweep.lanes):
                    core = self.task(steps.generate, network, board, lanes)
                    for seed in sweep.seeds or [None]:
                        routed = [self.task(steps.build, core, seed)] if seed is not None else []
                        yield names | {"board": board, "lanes": lanes, "seed": seed}, [*measured, core, *routed]
                if not sweep.boards:
                    yield names, measured or [network]

    def _network(self, sweep, source, options):
        if not source.converted:
            return self.task(steps.take, str(source.path))
        return self.task(steps.convert, str(source.path), sweep.calibration, sweep.calibration_images, options)

    def wait(self, progress):
        """Wait for all tasks."""
        from distributed import as_completed

        for number, _ in enumerate(as_completed(self._tasks.values()), 1):
            if progress:
                progress(number, len(self._tasks))


def _row(names, tasks):
    """Return the figures of all tasks of a combination, and why one of them failed."""
    figures, failed = {}, None
    for task in tasks:
        if task.status == "error":
            error = task.exception()
            failed = failed or f"{'' if type(error).__module__ == 'gen.errors' else f'{type(error).__name__}: '}{error}"
        else:
            figures |= task.result()
    return figures | {name: value for name, value in names.items() if value is not None} | {
        **({"lanes": figures["lanes"]} if "lanes" in figures else {}), "failed": failed,
    }


def _tables(rows):
    """Return suffix to text of the same table in three forms."""
    cells = [[_cell(row.get(name)) for name in COLUMNS.values()] for row in rows]
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([list(COLUMNS), *cells])
    lines = [list(COLUMNS), ["---"] * len(COLUMNS), *cells]
    escaped = [[cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines]
    markdown = "".join(f"| {' | '.join(line)} |\n" for line in escaped)
    return {".csv": text.getvalue(), ".md": markdown, ".json": json.dumps(rows, indent=2) + "\n"}


def _cell(value):
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
    return "" if value is None else str(value)
