"""The program `adafire`: what makes a function a verb of it, and the options that several verbs have."""

from functools import wraps
from importlib.metadata import version
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated

import typer

from host.console import reporting, show

__all__ = [
    "DATA", "Board", "Folder", "Images", "Limit", "NetworkFile", "OwnDecoder", "Simulator", "Split", "Waves", "app",
    "verb",
]

app = typer.Typer(
    help="From a trained network to a burst-spiking FPGA accelerator, equal to its integer model bit for bit.",
    add_completion=False, rich_markup_mode=None,
)

_COMMON = {
    "verbose": (bool, False, typer.Option("--verbose", "-v", help="Tell, on standard error, of every step.")),
    "json": (bool, False, typer.Option("--json", help="One JSON object on standard output, nothing else.")),
    "debug": (bool, False, typer.Option("--debug", help="Show the traceback of an unexpected error.")),
}

NetworkFile = Annotated[Path, typer.Argument(metavar="NET", help="Network file (.safetensors).")]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder made by `adafire generate`.")]
DATA = typer.Option("--data", metavar="D", help="Images: .npz file, folder, or name: `adafire datasets`.")
Images = Annotated[str, DATA]
Split = Annotated[str, typer.Option(metavar="train|test", help="Part of D, where it has parts.")]
Limit = Annotated[int | None, typer.Option(min=1, metavar="N", help="The first N images only.")]
Board = Annotated[str, typer.Option(help="Board, as `adafire boards` lists it.")]
Waves = Annotated[Path | None, typer.Option(metavar="FILE", help="Write a waveform: .vcd (Verilator), .fst (Icarus).")]
OwnDecoder = Annotated[
    str | None, typer.Option("--decode", metavar="FILE.py", help="Your own decoder, if the network has one. It is run.")
]
Simulator = Annotated[str | None, typer.Option(
    metavar="icarus|verilator|compiled", help="compiled: quick, for large networks. Default: one of the others.")]


def _show_version(asked: bool):
    if asked:
        typer.echo(f"adafire {version('adafire')}")
        raise typer.Exit


@app.callback(help=app.info.help)
def _every_verb(
    shown: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and end.")
    ] = False,
):
    """Take the options that stand before a verb."""


def verb(render, failed=lambda payload: False):
    """Make a function that returns a payload a command, with ``--verbose``, ``--json`` and ``--debug``.

    ``render(payload)`` gives what a reader sees; the exit code is 1 where ``failed(payload)``.
    A function that asks for ``progress`` gets a `host.console.Report`.
    """

    def register(function):
        asked = signature(function)
        options = [parameter for name, parameter in asked.parameters.items() if name != "progress"]

        @wraps(function)
        def run(*, verbose, json, debug, **arguments):
            with reporting(json, verbose) as progress:
                if "progress" in asked.parameters:
                    arguments["progress"] = progress
                payload = function(**arguments)
            show(payload, render(payload), json)
            return int(failed(payload))

        common = [
            Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option])
            for name, (kind, default, option) in _COMMON.items()
        ]
        vars(run)["__signature__"] = asked.replace(parameters=[*options, *common])
        return app.command()(run)

    return register
