"""Verbs of cores: they are generated, compared, built and reported on."""

from pathlib import Path
from typing import Annotated

import typer

from host import commands, tables
from host.verbs.app import DATA, Board, Folder, Images, NetworkFile, OwnDecoder, Simulator, Split, Waves, verb

__all__ = ["generate", "verify", "build", "report", "sweep"]


@verb(tables.generated)
def generate(
    progress,
    network: NetworkFile,
    board: Board,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write.")],
    lanes: Annotated[
        int | None, typer.Option(metavar="4|8|16|32|64", help="Default: those of the fastest core that fits.")
    ] = None,
    target_fps: Annotated[
        float | None, typer.Option(min=0.0, metavar="F", help="Instead: the smallest core of F images a second.")
    ] = None,
    neurons: Annotated[
        int | None, typer.Option(metavar="1|2|4|8", help="Of each group of lanes. Default: as many as pay.")
    ] = None,
    batch: Annotated[
        int, typer.Option(metavar="N", help="Images run together: weights of dense layers outside come once for all.")
    ] = 1,
    strips: Annotated[
        str | None, typer.Option(metavar="no|rows|windows", help="What the input is cut into. Default: what pays.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace another build in DIR.")] = False,
    also: Annotated[
        list[Path] | None, typer.Option(metavar="NET", help="Make the core large enough for this network too.")
    ] = None,
    baud: Annotated[int, typer.Option(help="Bits per second of the UART link.")] = 1_000_000,
):
    """Write Verilog, memory image and manifest for a board."""
    return commands.generate(
        network, board, lanes, target_fps, neurons, batch, strips, out, force, also or (), baud, progress)


@verb(tables.verification, failed=lambda payload: payload["mismatches"] > 0)
def verify(
    progress,
    folder: Folder,
    data: Images,
    split: Split = "test",
    images: Annotated[int, typer.Option(min=1, metavar="N")] = 20,
    simulator: Simulator = None,
    seed: Annotated[int, typer.Option(help="Of the random back-pressure.")] = 0,
    waves: Waves = None,
    image: Annotated[int | None, typer.Option(metavar="N", help="The one in FILE, from 0; default: the first.")] = None,
    step: Annotated[int | None, typer.Option(metavar="T", help="Its timestep, from 1; default: all.")] = None,
    once: Annotated[bool, typer.Option("--once", help="No image again: for networks of many cycles.")] = False,
):
    """Compare the simulated Verilog with the golden model, bit for bit.

    Every burst count, state, logit, class and exit step: under cocotb, with random back-pressure, or compiled.
    """
    return commands.verify(folder, data, split, images, simulator, seed, waves, image, step, once, progress)


@verb(tables.build)
def build(
    progress,
    folder: Folder,
    clock: Annotated[float | None, typer.Option(metavar="MHZ", help="Default: the board's own.")] = None,
    core_only: Annotated[bool, typer.Option("--core-only", help="The core's figures alone, no bitstream.")] = False,
    seed: Annotated[int | None, typer.Option(help="Of the placer; default: up to three are tried.")] = None,
):
    """Make the board's bitstream, or the project of the vendor's tool that makes it: size and clock."""
    return commands.build(folder, clock, core_only, seed, progress)


@verb(tables.report)
def report(
    progress,
    folder: Folder,
    data: Annotated[str | None, DATA] = None,
    split: Split = "test",
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="The first N images only.")] = None,
    image: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Whose spikes to show; default: one that ran longest.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE.html", help="Default: report.html in DIR.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is no report.")] = False,
    decode: OwnDecoder = None,
):
    """Write one HTML page, and JSON, of all that is known of a core.

    Network, accuracy against timesteps, exits, events, cycles and where they go, memory, resources, energy, spikes.
    """
    return commands.report(folder, data, split, limit, image, out, force, decode, progress)


@verb(tables.sweep, failed=lambda payload: payload["failed"] > 0)
def sweep(
    progress,
    description: Annotated[Path, typer.Argument(metavar="FILE.toml", help="What to try: docs/sweep.md describes it.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the table, and of results for the next run.")],
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Of a Dask scheduler; default: processes of this machine.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Processes of this machine; default: one for each core.")
    ] = None,
):
    """Try many networks, settings, boards, lanes and seeds: one table."""
    from host.sweep.run import sweep_file

    return sweep_file(description, out, scheduler, workers, progress)
