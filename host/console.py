"""Where words go: results on standard output, progress and errors on standard error."""

import json
import logging
import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, redirect_stdout
from typing import Any

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from gen.errors import AdafireError

__all__ = ["Report", "open_streams", "reporting", "show", "show_error"]

PLAIN_WIDTH = 120
LOGGER = "adafire"  # those of the floors are below: adafire.gen, adafire.hw, adafire.sim, adafire.host


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
def _logging_to_error(console: Console, verbose: bool) -> Iterator[None]:
    """Write what the logger ``adafire`` is told to standard error: all that is done if ``verbose``, else warnings."""
    if console.is_terminal:
        handler: logging.Handler = RichHandler(console=console, show_time=False, show_level=False, show_path=False)
    else:
        handler = logging.StreamHandler(console.file)
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    logger = logging.getLogger(LOGGER)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO if verbose else logging.WARNING)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


@contextmanager
def reporting(as_json: bool, verbose: bool = False) -> Iterator[Report]:
    """Yield the `Report` for one command; nothing but `show` reaches standard output meanwhile."""
    console = Console(file=sys.stderr)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    bar = Progress(*columns, console=console, transient=True) if sys.stderr.isatty() and not as_json else None
    with ExitStack() as stack:
        stack.enter_context(_standard_output_to_error())
        stack.enter_context(_logging_to_error(console, verbose))
        stack.enter_context(warnings.catch_warnings())
        stack.enter_context(bar or nullcontext())
        warnings.simplefilter("ignore", FutureWarning)  # libraries talking to their developers, not to our user
        yield Report(bar, stages=None if as_json else sys.stderr)


def open_streams() -> bool:
    """Make up for a standard error that is closed; return whether standard output is open, and say if it is not."""
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")
    if sys.stdout is None:
        typer.echo("Standard output is closed, so a result could not be written: redirect it to a file.", err=True)
        return False
    return True


def show(payload: dict[str, Any], renderables: Iterable[Any], as_json: bool) -> None:
    """Write a command's result: ``payload`` as one JSON object, or ``renderables`` for a reader.

    Raises
    ------
    AdafireError : standard output takes no more; a reader that has gone away (as ``head``) is a BrokenPipeError.
    """
    try:
        if as_json:
            typer.echo(json.dumps(payload, indent=2, default=_plain))
            return
        console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)
        for renderable in renderables:
            console.print(renderable)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise AdafireError(
            f"The command ended well, and its result could not be written to standard output ({error.strerror}); the "
            "files it made are whole. Make room, or redirect standard output elsewhere."
        ) from error


def show_error(text: str, exit_code: int, as_json: bool) -> int:
    """Write an error, as a paragraph on standard error or as JSON on standard output; return ``exit_code``.

    Where standard output takes no more, standard error has the paragraph.
    """
    try:
        if as_json:
            typer.echo(json.dumps({"error": text, "exit_code": exit_code}, indent=2))
            return exit_code
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)  # else the rest in the buffer is a second error when Python ends
        os.close(nowhere)
    typer.echo(text, err=True)
    return exit_code


def _plain(value):
    """Turn numpy's numbers and arrays, paths and dataclass leaves into what JSON knows."""
    return value.tolist() if hasattr(value, "tolist") else str(value)
