"""Verbs that make networks, and look at what one is."""

from pathlib import Path
from typing import Annotated

import typer

from host import commands, tables
from host.verbs.app import Board, NetworkFile, Simulator, verb

__all__ = ["demo", "convert", "cascade", "info", "export"]


@verb(tables.demo, failed=lambda payload: payload["mismatches"] > 0)
def demo(
    progress,
    board: Board = "ulx3s_85f",
    lanes: Annotated[int, typer.Option(metavar="4|8|16|32|64")] = 16,
    out: Annotated[Path, typer.Option(metavar="DIR")] = Path("adafire-demo"),
    simulator: Simulator = None,
    images: Annotated[int, typer.Option(min=1, help="Images for the cocotb comparison.")] = 20,
):
    """Go the whole path, from training to simulation, on digits."""
    from host.demo import run_demo

    return run_demo(board=board, lanes=lanes, out=out, simulator=simulator, images=images, progress=progress)


@verb(tables.network)
def convert(
    progress,
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Trained model: a .pt2, .onnx, .tflite or .nir file.")],
    calibration: Annotated[
        str, typer.Option(metavar="X", help="Images as --data elsewhere, labels if any; x_train of a file with parts.")
    ],
    out: Annotated[Path, typer.Option(metavar="NET.safetensors", help="Network file to write.")],
    timesteps: Annotated[int | None, typer.Option(help="T, 1..512; default: 4, or as many as X has frames.")] = None,
    max_burst: Annotated[int, typer.Option(help="phi, spikes a neuron may fire in one timestep, 1..255.")] = 7,
    weight_bits: Annotated[int, typer.Option(help="2..8.")] = 8,
    neuron: Annotated[
        str, typer.Option(metavar="adafire|inverse_leaky", help="Bursts, or layers two-phase: T-bit codes.")
    ] = "adafire",
    search_burst: Annotated[
        float | None, typer.Option(metavar="FRACTION", help="A burst cap for each layer: cost allowed, of the uniform.")
    ] = None,
    compress: Annotated[
        float | None, typer.Option(metavar="POINTS", help="Raise thresholds, layer by layer: accuracy points to spend.")
    ] = None,
    weight_memory: Annotated[
        int | None, typer.Option(metavar="BITS", help="Weight bits for each layer: the memory allowed for weights.")
    ] = None,
    search_lanes: Annotated[
        int | None, typer.Option(metavar="P", help="Searches count cycles of P lanes, not synaptic operations.")
    ] = None,
    calibrate_weights: Annotated[bool, typer.Option(help="Fit the integer weights layer by layer.")] = False,
    exit: Annotated[
        str | None, typer.Option(metavar="entropy|confidence|margin|off", help="Rule to stop by; entropy for adafire.")
    ] = None,
    exit_loss: Annotated[float, typer.Option(help="Accuracy points an early exit may cost.")] = 0.2,
    exit_fit: Annotated[
        str, typer.Option(metavar="loss|paper", help="Limits for --exit-loss, or by the paper's formula.")
    ] = "loss",
    exit_output: Annotated[
        str | None, typer.Option(metavar="NAME", help="Output that decides; default: the model's first.")
    ] = None,
    exit_share: Annotated[float, typer.Option(help="Share of that output's positions that must be sure, 0..1.")] = 1.0,
    mean: Annotated[str, typer.Option(help="The model sees (x/255 - mean)/std; commas between channels.")] = "0",
    std: Annotated[str, typer.Option(help="See --mean.")] = "1",
    form: Annotated[
        str | None, typer.Option("--input", metavar="FORM", help="How X becomes maps: events:step=10ms, "
                                 "points:scale=1, sound:rate=8000 (docs/events.md); images need none.")
    ] = None,
    order: Annotated[
        str, typer.Option(metavar="steps|tiles", help="All layers at a timestep, or all timesteps of a tile, first.")
    ] = "steps",
    calibration_images: Annotated[int, typer.Option(min=1, metavar="N", help="The first N images of X.")] = 2000,
    task: Annotated[
        str | None, typer.Option(metavar="classify|segment|detect|values", help="What the outputs mean.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Names of the classes, one a line.")
    ] = None,
    decode: Annotated[
        str | None, typer.Option(metavar="ssd|yunet|yolo|FILE.py", help="What makes boxes of a detector's outputs.")
    ] = None,
    decode_option: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Of the decoder; VALUE in JSON, or a text.")
    ] = None,
    fit: Annotated[
        str | None, typer.Option(metavar="letterbox|stretch|crop", help="How pictures of other sizes are taken.")
    ] = None,
    colors: Annotated[str | None, typer.Option(metavar="rgb|bgr", help="Order of the model's three channels.")] = None,
):
    """Convert a trained model into an integer spiking network."""
    return commands.convert(
        model, calibration, calibration_images, out, mean, std, progress, labels, decode_option or (), form,
        task=task, decode=decode, fit=fit, colors=colors, timesteps=timesteps, max_burst=max_burst,
        weight_bits=weight_bits, neuron=neuron, search_burst=search_burst, compress=compress,
        weight_memory=weight_memory, search_lanes=search_lanes, calibrate_weights=calibrate_weights,
        exit=exit, exit_loss=exit_loss, exit_fit=exit_fit, exit_output=exit_output, exit_share=exit_share, order=order,
    )


@verb(tables.cascade)
def cascade(
    progress,
    small: Annotated[Path, typer.Argument(metavar="SMALL", help="Network file of the first stage.")],
    large: Annotated[Path, typer.Argument(metavar="LARGE", help="Network file of the second stage.")],
    calibration: Annotated[
        str, typer.Option(metavar="X", help="Images as --data elsewhere, labels if any; x_train of a file with parts.")
    ],
    out: Annotated[Path, typer.Option(metavar="NET.safetensors", help="Network file to write.")],
    exit_loss: Annotated[float, typer.Option(metavar="POINTS", help="Accuracy it may lose against LARGE alone.")] = 0.2,
    exit: Annotated[
        str | None, typer.Option(metavar="entropy|confidence|margin", help="Default: SMALL's rule, or entropy.")
    ] = None,
    calibration_images: Annotated[int, typer.Option(min=1, metavar="N", help="The first N images of X.")] = 2000,
):
    """Join two networks in one: LARGE looks at what SMALL is in doubt of."""
    return commands.cascade(small, large, calibration, calibration_images, out, exit_loss, exit, progress)


@verb(tables.network)
def info(
    network: NetworkFile,
    board: Annotated[
        list[str] | None, typer.Option(metavar="BOARD", help="Also what bounds each layer there. May be repeated.")
    ] = None,
):
    """Show layers, shapes, widths, memory and provenance."""
    return commands.info(network, board or ())


@verb(tables.exported)
def export(
    network: NetworkFile,
    out: Annotated[Path, typer.Option(metavar="FILE.nir", help="NIR graph to write.")],
):
    """Write a network as a NIR graph, for other simulators and chips."""
    return commands.export(network, out)
