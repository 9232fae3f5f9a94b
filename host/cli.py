"""The command line: options in, exit codes out (0 ran, 1 failed, 2 bad input, 130 interrupted)."""

import signal
import sys
from functools import wraps
from importlib.metadata import version
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.main import get_command

from gen.errors import AdafireError
from host import commands, tables
from host.console import open_streams, reporting, show, show_error

__all__ = ["app", "main"]

# click's class for a wrong command line, wherever this typer keeps its click.
UsageError: Any = typer.BadParameter.__base__

INTERRUPTED = 130
OURS = ("gen", "hw", "sim", "host")

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
_DATA = typer.Option("--data", metavar="D", help="Images: .npz file, folder, or name: `adafire datasets`.")
Images = Annotated[str, _DATA]
Split = Annotated[str, typer.Option(metavar="train|test", help="Part of D, where it has parts.")]
Limit = Annotated[int | None, typer.Option(min=1, metavar="N", help="The first N images only.")]
Board = Annotated[str, typer.Option(help="Board, as `adafire boards` lists it.")]
Waves = Annotated[Path | None, typer.Option(metavar="FILE", help="Write a waveform: .vcd (Verilator), .fst (Icarus).")]
OwnDecoder = Annotated[
    str | None, typer.Option("--decode", metavar="FILE.py", help="Your own decoder, if the network has one. It is run.")
]
Simulator = Annotated[str | None, typer.Option(metavar="icarus|verilator", help="Default: what is installed.")]


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
def info(network: NetworkFile):
    """Show layers, shapes, widths, memory and provenance."""
    return commands.info(network)


@verb(tables.exported)
def export(
    network: NetworkFile,
    out: Annotated[Path, typer.Option(metavar="FILE.nir", help="NIR graph to write.")],
):
    """Write a network as a NIR graph, for other simulators and chips."""
    return commands.export(network, out)


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
        int | None, typer.Option(metavar="1|2|4", help="Of each group of lanes. Default: as many as pay.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace another build in DIR.")] = False,
    also: Annotated[
        list[Path] | None, typer.Option(metavar="NET", help="Make the core large enough for this network too.")
    ] = None,
    baud: Annotated[int, typer.Option(help="Bits per second of the UART link.")] = 1_000_000,
):
    """Write Verilog, memory image and manifest for a board."""
    return commands.generate(network, board, lanes, target_fps, neurons, out, force, also or (), baud, progress)


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
):
    """Compare the simulated Verilog with the golden model, bit for bit.

    Under cocotb, with random back-pressure: every burst count, state, logit, class and exit step.
    """
    return commands.verify(folder, data, split, images, simulator, seed, waves, image, step, progress)


@verb(tables.build)
def build(
    progress,
    folder: Folder,
    clock: Annotated[float | None, typer.Option(min=0.1, metavar="MHZ", help="Default: the board's own.")] = None,
    core_only: Annotated[bool, typer.Option("--core-only", help="The core's figures alone, no bitstream.")] = False,
    seed: Annotated[int | None, typer.Option(min=1, help="Of the placer; default: up to three are tried.")] = None,
):
    """Make the board's bitstream, or the project of the vendor's tool that makes it: size and clock."""
    return commands.build(folder, clock, core_only, seed, progress)


@verb(tables.report)
def report(
    progress,
    folder: Folder,
    data: Annotated[str | None, _DATA] = None,
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
    workers: Annotated[int | None, typer.Option(min=1, metavar="N", help="How many; default: a core each.")] = None,
):
    """Try many networks, settings, boards, lanes and seeds: one table."""
    from host.sweep.run import sweep_file

    return sweep_file(description, out, scheduler, workers, progress)


@verb(tables.datasets)
def datasets():
    """List the data sets known by name, and where they are."""
    return commands.datasets()


@verb(tables.boards)
def boards():
    """List the boards and what their parts offer."""
    return commands.boards()


@verb(tables.doctor, failed=lambda payload: bool(payload["missing"]))
def doctor():
    """Check the tools and libraries on this machine."""
    from host.doctor import diagnose

    return diagnose()


def explain(error):
    """Return what to tell a user about ``error``, and the exit code."""
    if isinstance(error, AdafireError):
        return str(error), error.exit_code
    if isinstance(error, UsageError):
        path = error.ctx.command_path if error.ctx else "adafire"
        text = error.format_message()
        return f"{text if text.endswith(('.', '?')) else f'{text}.'} `{path} --help` shows the options.", 2
    if isinstance(error, ModuleNotFoundError) and error.name and error.name.partition(".")[0] not in OURS:
        return (
            f"This command needs the library {error.name!r}, which is not installed: pip install 'adafire[all]', or, "
            "in a copy of the repository, use the environment that `make test` makes. `adafire doctor` shows what is "
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
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    argv = [str(word) for word in argv] or ["--help"]
    as_json, debug = "--json" in argv, "--debug" in argv
    try:
        code = get_command(app).main(args=argv, prog_name="adafire", standalone_mode=False)
    except Exception as error:
        if debug and not isinstance(error, (AdafireError, UsageError)):
            raise
        return show_error(*explain(error), as_json)
    if code == INTERRUPTED:  # what typer makes of KeyboardInterrupt
        return show_error("Interrupted; nothing half-written remains.", INTERRUPTED, as_json)
    return code or 0


if __name__ == "__main__":
    sys.exit(main())
