"""Verbs that put a network to work on a device: it is measured on images, run on a board, shown pictures."""

from pathlib import Path
from typing import Annotated

import typer

from host import commands, tables
from host.verbs.app import Folder, Images, Limit, NetworkFile, OwnDecoder, Split, verb

__all__ = ["evaluate", "run", "predict"]


@verb(tables.evaluation)
def evaluate(
    progress,
    network: NetworkFile,
    data: Images,
    device: Annotated[str, typer.Option(metavar="golden|rtl|DIR|PORT", help="What computes it.")] = "golden",
    folder: Annotated[
        Path | None, typer.Option(metavar="DIR", help="What the board on PORT, or `sim`, was made from.")
    ] = None,
    split: Split = "test",
    limit: Limit = None,
    batch: Annotated[int, typer.Option(min=1, metavar="N", help="Images in memory at a time.")] = 256,
    page: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write a page of the exits, with images of each.")
    ] = None,
    decode: OwnDecoder = None,
):
    """Measure accuracy, timesteps, events, synaptic operations."""
    return commands.evaluate(network, data, split, device, folder, limit, batch, page, decode, progress)


@verb(tables.run)
def run(
    progress,
    folder: Folder,
    port: Annotated[str, typer.Option(metavar="PORT|sim", help="/dev/ttyUSB0, COM3, socket://host:port.")],
    data: Images,
    split: Split = "test",
    limit: Limit = None,
    network: Annotated[
        Path | None, typer.Option(metavar="OTHER.safetensors", help="Load this network into the board first.")
    ] = None,
    baud: Annotated[int | None, typer.Option(min=300, help="Default: the one in DIR's manifest.")] = None,
    decode: OwnDecoder = None,
    stream: Annotated[
        bool, typer.Option("--stream", help="Recordings of events: send frames as they come, tell the latency.")
    ] = False,
):
    """Run images on the board made from DIR, or on a simulated one."""
    return commands.run(folder, port, data, split, limit, network, baud, decode, stream, progress)


@verb(tables.predictions)
def predict(
    progress,
    network: Annotated[Path, typer.Argument(metavar="NET|DIR", help="Network file, or folder made by `generate`.")],
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT...", help="Pictures, folders, .npz files, videos, camera:0.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write.")] = Path("predictions"),
    device: Annotated[
        str, typer.Option(metavar="golden|rtl|sim|PORT", help="What computes it; sim and PORT need DIR.")
    ] = "golden",
    decode: OwnDecoder = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="The first N pictures only.")] = None,
    every: Annotated[int, typer.Option(min=1, metavar="N", help="One of N frames of a video or camera.")] = 1,
):
    """Show what a network says of pictures: classes, a mask or boxes, drawn on them and as JSON."""
    return commands.predict(network, inputs, out, device, decode, limit, every, progress)
