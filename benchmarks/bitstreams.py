"""Bitstreams of the reference networks for every board, and what they do: one table.

    python -m benchmarks.bitstreams --data DIR [--models DIR] [--out DIR] [--network NAME] [--board NAME]
                                    [--lanes N] [--clock MHZ] [--images 100] [--json FILE] [--markdown FILE]

DIR holds fashion_mnist.npz and mnist.npz, the models' folder what examples/train.py saved; the digits' networks are
trained in seconds, the small one for the smallest parts; NAME may be any other network as NETWORK=DATA, a network file
and one of images x. Each design is the fastest core that fits by estimate, one of fewer lanes where the tools find no
place for it; or the core of ``--lanes``. A finished design is not made again, so an interrupted run goes on
where it was.

LUT, BRAM, DSP and Fmax are post-route figures of the whole design, PLL and link included; for parts that need the
vendor's tools they are estimates of Yosys, without Fmax. Images per second are simulated cycles of the first images
at the clock of the bitstream, and what the UART lets through, the slower way counting.
"""

import argparse
import json
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.link import digits
from benchmarks.reference import TASKS, reference_network
from gen.method.convert import convert
from gen.data.digits import load_digits, small_module, train
from gen.errors import AdafireError, DoesNotFit
from gen.inputs import input_stream
from gen.netfile import load_network, save_network
from gen.plan.lanes import LANES
from gen.plan.target import TARGETS
from gen.result import result_words
from gen.data.datasets import open_dataset
from hw.board.boards import BOARDS
from hw.board.build import build
from hw.emit import MANIFEST, generate
from hw.regmap import PIECE, PIECE_WORDS, POSITION, Command, encode
from sim.compiled_core import CompiledCore

NETWORKS = ("digits", "digits_small", "mnist_cnn", "fashion")
BITS_PER_BYTE = 10  # start, eight, stop
FIGURES = ("lanes", "lut", "bram", "dsp", "spram", "fmax_mhz", "clock_mhz", "kind", "bitstream", "project", "seconds")
COLUMNS = {
    "network": "network", "board": "board", "lanes": "lanes", "lut": "LUT", "bram": "BRAM", "dsp": "DSP",
    "fmax_mhz": "Fmax", "clock_mhz": "clock MHz", "cycles": "cycles", "core_images": "images/s core",
    "uart_images": "images/s UART", "bitstream": "file",
}


def load_network_and_images(name, options):
    """Return a reference network and the images to simulate."""
    if "=" in name:
        network, data = name.split("=", 1)
        network, x = load_network(network), open_dataset(Path(data)).load(options.images)[0]
    elif name == "digits":
        network, x = digits(options.models)
    elif name == "digits_small":
        network, x = small_digits(options.models)
    else:
        task = TASKS[name]
        network = reference_network(task, options.models, options.data)
        x, _ = open_dataset(options.data / task.data).load(options.images)
    return network, x[: options.images]


def small_digits(models):
    """Return the small network of the digits (`gen.data.digits.small_module`) and the held-out images."""
    x_train, y_train, x, _ = load_digits()
    file = models / "digits_small.safetensors"
    if not file.exists():
        module = train(seed=0, make=small_module)
        save_network(convert(module, x_train, labels=y_train, exit="margin"), file)  # no softmax in the core
    return load_network(file), x


def make(network, board, folder, report, lanes=None, clock_mhz=None):
    """Generate and build the fastest core that fits, or that of ``lanes``; return the build's report, or raise what
    stands in the way."""
    short = None
    for number in (lanes,) if lanes else (None, *sorted(LANES, reverse=True)):
        if short and number >= json.loads((folder / MANIFEST).read_text())["lanes"]:
            continue
        try:
            generate(network, board=board, lanes=number, out=folder, force=True)
        except DoesNotFit as error:
            raise short or error from None
        try:
            return build(folder, clock_mhz, progress=lambda step, fraction: report(step))
        except DoesNotFit as error:  # the estimate was too hopeful
            short = error
    raise short


def uart_rate(network, x, folder):
    """Return images per second that the UART lets through: whole frames, bytes stuffed, both ways at once."""
    manifest = json.loads((folder / MANIFEST).read_text())
    entry = manifest["input"]
    words = input_stream(network, x) - entry["lowest"]
    sent = sum(_wire_bytes(row.astype(f"<u{entry['bytes']}").tobytes(), TARGETS[manifest["board"]]) for row in words)
    return manifest["baud"] / BITS_PER_BYTE / max(sent / len(words), _result_bytes(result_words(network)))


def _result_bytes(words):
    pieces = [min(PIECE_WORDS, words - at) for at in range(0, words, PIECE_WORDS)]
    return sum(len(encode(Command.RESULT, 0, bytes(PIECE.size + 4 * piece))) for piece in pieces)


def _wire_bytes(data, target):
    piece = target.rx_bytes // 2 - POSITION.size
    pieces = [POSITION.pack(at) + data[at : at + piece] for at in range(0, len(data), piece)]
    return sum(len(encode(Command.RUN, 0, payload)) for payload in pieces)


def row(name, board, network, x, folder, report, **options):
    """Return one row of the table as a dict; where the network does not fit, ``reason`` says why."""
    try:
        figures = make(network, board, folder, report, **options)
    except AdafireError as error:
        return {"network": name, "board": board, "reason": str(error)}
    report("cycles")
    cycles = float(np.mean(CompiledCore.from_folder(folder).run(x).cycles))
    uart = uart_rate(network, x, folder) if BOARDS[board].uart else None
    core = 1e6 * figures["clock_mhz"] / cycles
    return {
        "network": name, "board": board, **{key: figures.get(key) for key in FIGURES}, "cycles": round(cycles),
        "core_images": round(core, 1), "uart_images": uart and round(uart, 1),
        "images_per_second": round(min(core, uart or core), 1),
    }


def cells(line):
    """Return a row's texts under COLUMNS."""
    def text(key):
        value = line.get(key)
        if key == "bitstream":
            file = value or line.get("project")
            return Path(file).name if file else line["reason"].partition(". ")[0].partition("\n")[0]
        if key == "lut" and line.get("kind") == "synthesis estimate":
            return f"{value:,} (estimate)"
        if value is None:
            return "-"
        return value if isinstance(value, str) else f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"

    return [text(key) for key in COLUMNS]


def markdown(lines):
    """Return the table as Markdown."""
    rows = [list(COLUMNS.values()), ["---"] * len(COLUMNS), *map(cells, lines)]
    return "".join(f"| {' | '.join(columns)} |\n" for columns in rows)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the .npz files")
    parser.add_argument("--models", type=Path, default=Path("."), help="folder of the trained .pt2 files")
    parser.add_argument("--out", type=Path, default=Path("bitstreams"), help="folder for the designs")
    parser.add_argument(
        "--network", metavar="NAME", action="append", help=f"{', '.join(NETWORKS)} (the default), or NETWORK=DATA")
    parser.add_argument("--board", choices=list(BOARDS), action="append", help="default: all")
    parser.add_argument("--lanes", type=int, help="of every core; default: the fastest that fits")
    parser.add_argument("--clock", type=float, help="MHz; default: that of the board")
    parser.add_argument("--images", type=int, default=100, help="simulated for the cycles")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--markdown", type=Path, help="write the table to this file")
    options = parser.parse_args(argv)
    for name in options.network or ():
        if "=" not in name and name not in NETWORKS:
            parser.error(f"--network {name}: it must be one of {', '.join(NETWORKS)}, or NETWORK=DATA")
    progress, lines = Console(stderr=True), []
    for name in options.network or NETWORKS:
        network, x = load_network_and_images(name, options)
        name = Path(name.partition("=")[0]).stem
        for board in options.board or BOARDS:
            folder = options.out / name / board
            folder.parent.mkdir(parents=True, exist_ok=True)
            said = partial(progress.print, f"{name} on {board}:")
            lines.append(row(
                name, board, network, x, folder, said, lanes=options.lanes, clock_mhz=options.clock))
            if options.json:
                options.json.write_text(json.dumps(lines, indent=2) + "\n")
            if options.markdown:
                options.markdown.write_text(markdown(lines))
    table = Table(*COLUMNS.values())
    for line in lines:
        table.add_row(*cells(line))
    Console(width=200).print(table)


if __name__ == "__main__":
    main()
