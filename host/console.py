"""Where words go: results on standard output, progress and errors on standard error."""

import json
import os
import sys
import warnings
from contextlib import contextmanager, nullcontext, redirect_stdout

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

__all__ = ["Report", "reporting", "show", "show_error"]

PLAIN_WIDTH = 120


class Report:
    """Progress of one command; ``report(text, fraction)`` or, within a step, ``report(done, total)``.

    On a terminal it draws a bar that vanishes at the end; elsewhere only `stage` says something.
    """

    def __init__(self, bar=None, stages=None):
        self._bar, self._stages, self._stage = bar, stages, ""
        self._task = bar.add_task("", total=1.0) if bar else None

    def stage(self, text):
        """Begin a step of a long command that has several."""
        self._stage = text
        if self._bar:
            self._bar.reset(self._task, description=text, total=1.0)
        elif self._stages:
            typer.echo(f"{text} ...", file=self._stages)

    def __call__(self, step, amount):
        if not self._bar:
            return
        text, fraction = (step, amount) if isinstance(step, str) else ("", step / max(amount, 1))
        description = ": ".join(part for part in (self._stage, text) if part)
        self._bar.update(self._task, description=description, completed=fraction)


@contextmanager
def _standard_output_to_error():
    """Send what anyone writes to standard output, child processes included, to standard error."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


@contextmanager
def reporting(as_json):
    """Yield the `Report` for one command; nothing but `show` reaches standard output meanwhile."""
    terminal = sys.stderr.isatty()
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    bar = Progress(*columns, console=Console(file=sys.stderr), transient=True) if terminal and not as_json else None
    with _standard_output_to_error(), warnings.catch_warnings(), bar or nullcontext():
        warnings.simplefilter("ignore", FutureWarning)  # libraries talking to their developers, not to our user
        yield Report(bar, stages=None if as_json else sys.stderr)


def show(payload, renderables, as_json):
    """Write a command's result: ``payload`` as one JSON object, or ``renderables`` for a reader."""
    if as_json:
        typer.echo(json.dumps(payload, indent=2, default=_plain))
        return
    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)
    for renderable in renderables:
        console.print(renderable)


def show_error(text, exit_code, as_json):
    """Write an error, as a paragraph on standard error or as JSON on standard output; return ``exit_code``."""
    if as_json:
        typer.echo(json.dumps({"error": text, "exit_code": exit_code}, indent=2))
    else:
        typer.echo(text, err=True)
    return exit_code


def _plain(value):
    """Turn numpy's numbers and arrays, paths and dataclass leaves into what JSON knows."""
    return value.tolist() if hasattr(value, "tolist") else str(value)
