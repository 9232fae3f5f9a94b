"""The command line: options in, exit codes out (0 ran, 1 failed, 2 bad input, 130 interrupted)."""

import signal
import sys
import warnings
from typing import Any

import typer
from typer.main import get_command

from gen.errors import AdafireError
from host.console import open_streams, show_error
from host.verbs import networks, devices, cores, lists
from host.verbs.app import app

__all__ = ["app", "main"]

# click's class for a wrong command line, wherever this typer keeps its click.
UsageError: Any = typer.BadParameter.__base__

INTERRUPTED = 130
OURS = ("gen", "hw", "sim", "host")
PACKAGES = {"PIL": "pillow", "sklearn": "scikit-learn", "distributed": "dask"}  # what a module's package is called
VERBS = networks, devices, cores, lists  # imported in this order, in which help lists what they define


class Interrupted(KeyboardInterrupt):
    """A request to end. Python ends a ``-m`` program by SIGINT, whatever that returns, once a KeyboardInterrupt has
    left an ``exec`` of text, as making a dataclass is; not so a class of its own.
    """


def interrupt(number, frame):
    """Handle the signal ``number`` by ending what runs."""
    raise Interrupted


def explain(error):
    """Return what to tell a user about ``error``, and the exit code."""
    if isinstance(error, AdafireError):
        return str(error), error.exit_code
    if isinstance(error, UsageError):
        path = error.ctx.command_path if error.ctx else "adafire"
        text = error.format_message()
        return f"{text if text.endswith(('.', '?')) else f'{text}.'} `{path} --help` shows the options.", 2
    if isinstance(error, ModuleNotFoundError) and error.name and error.name.partition(".")[0] not in OURS:
        library = PACKAGES.get(error.name.partition(".")[0], error.name)
        return (
            f"This command needs the library {library!r}, which is not installed: pip install 'adafire[all]', or, "
            "in a copy of the repository, use the environment that `make demo` makes. `adafire doctor` shows what is "
            "there."
        ), 1
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}. Nothing half-written remains.", 1
    if isinstance(error, RecursionError):
        return "What was given is nested deeper than can be read: it is damaged, or no such file.", 2
    if isinstance(error, MemoryError):
        detail = f" ({error})" if str(error) else ""
        return f"The memory of this machine does not suffice{detail}: give fewer images, or a smaller network.", 1
    return (
        f"Unexpected {type(error).__name__}: {error}. This is a fault in adafire or its surroundings, not a known bad "
        "input; run the same command with --debug to see the traceback."
    ), 1


def main(argv=None):
    """Run the command line ``argv``, by default the program's own, and return its exit code."""
    if not open_streams():
        return 1
    if argv is None:  # the program itself: being told to end is like Ctrl-C, it tidies up
        argv = sys.argv[1:]
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, interrupt)
        warnings.filterwarnings("ignore", ".* created but never used$")  # Amaranth's, of what an end leaves half-made
    argv = [str(word) for word in argv] or ["--help"]
    as_json, debug = "--json" in argv, "--debug" in argv
    try:
        code = get_command(app).main(args=argv, prog_name="adafire", standalone_mode=False)
    except KeyboardInterrupt:  # before typer knows of it
        code = INTERRUPTED
    except Exception as error:
        if isinstance(error.__cause__, KeyboardInterrupt):  # a library made an error of it while it was imported
            code = INTERRUPTED
        elif debug and not isinstance(error, (AdafireError, UsageError)):
            raise
        else:
            return show_error(*explain(error), as_json)
    if code == INTERRUPTED:  # what typer makes of one, too
        return show_error("Interrupted; nothing half-written remains.", INTERRUPTED, as_json)
    return code or 0


if __name__ == "__main__":
    sys.exit(main())
