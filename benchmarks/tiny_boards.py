"""MLPerf Tiny on boards of some 20 to 100 euros: accuracy, latency and size, beside published rows.

    python -m benchmarks.tiny_boards --models DIR --cifar cifar10.npz --keywords kws01.npz
        [--burst 63] [--weight-bits 8] [--out tiny]

The files are those of `benchmarks.tiny`. For every task and board: the fastest core that fits by the estimate, as
`generate` chooses it, the link included. Accuracy is the golden model's; cycles are means over the first inputs on the
compiled core, which must equal the golden model; latency is that at the clock that `generate` sets for the board. LUT
and block RAM are estimated. A board that is too small for a network is left out. ``--out`` keeps the networks and the
images, to be routed with `benchmarks.bitstreams --network`.

The published rows are those of the open division of MLPerf Tiny v0.7, of the hls4ml and FINN teams: accuracy and
throughput, measured on the board, from their result files (github.com/mlcommons/tiny_results_v0.7, open/hls4ml-finn).
Latency is the throughput's inverse. Size does not stand in those files. Their networks are not the reference ones.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.tables import report
from benchmarks.tiny import TASKS, Task, add_options, converted
from gen.errors import AdafireError, DoesNotFit
from gen.netfile import save_network
from gen.plan.candidates import candidates
from gen.plan.choice import choose
from gen.plan.target import find_target
from sim.compiled_core import CompiledCore
from sim.golden import Golden

BOARDS = ("tang_nano_9k", "tang_nano_20k", "icebreaker", "colorlight_i5")
SIMULATED = 20
COMPARED = ("classes", "logits", "events", "synaptic_ops")
COLUMNS = {
    "accuracy": "{:.1%}", "lanes": "{}", "MHz": "{:g}", "cycles": "{:,.0f}", "latency, ms": "{:.3g}", "LUT": "{:,}",
    "block RAM": "{}",
}
PUBLISHED = {
    "CIFAR-10, FINN CNV-W1A1 on a Pynq-Z2": (0.845, 661.473),
    "CIFAR-10, hls4ml RN07 on a Pynq-Z2": (0.835, 36.596),
    "keywords, FINN KWS-W3A3 on a Pynq-Z2": (0.825, 57268.135),
    "keywords, FINN KWS-W3A3 on an Arty A7-100T": (0.825, 30151.770),
}


def measured(task: Task, options: argparse.Namespace) -> Iterator[tuple[str, dict]]:
    """Yield board and figures of a task, board by board."""
    network, (x, labels) = converted(task, options), task.measured
    golden = Golden(network).run(x)
    accuracy = None if labels is None else float((golden.classes == labels).mean())
    options.out.mkdir(parents=True, exist_ok=True)
    save_network(network, options.out / f"{Path(task.file).stem}.safetensors")
    np.savez_compressed(options.out / f"{Path(task.file).stem}.npz", x=x[:SIMULATED])
    for board in options.boards:
        target = find_target(board)
        try:
            chosen = choose(candidates(network, target))
        except DoesNotFit:
            continue
        run = CompiledCore.for_plan(chosen.plan, board=chosen.target.name).run(x[:SIMULATED])
        for name in COMPARED:
            if not np.array_equal(getattr(run, name), getattr(golden, name)[:SIMULATED]):
                raise AdafireError(f"{target.title}: {name} of the compiled core are not the golden model's.")
        cycles = float(run.cycles.mean())
        yield target.title, {
            "accuracy": accuracy, "lanes": chosen.lanes, "MHz": target.core_mhz, "cycles": cycles,
            "latency, ms": cycles / target.core_mhz / 1e3, "LUT": chosen.used["lut"], "block RAM": chosen.used["bram"],
        }


def rows(options: argparse.Namespace) -> Iterator[tuple[str, dict]]:
    """Yield the rows of all tasks, then the published ones."""
    for name in options.tasks:
        for board, figures in measured(TASKS[name](options), options):
            yield f"{name}, {board}", figures
    for name, (accuracy, throughput) in PUBLISHED.items():
        yield name, {"accuracy": accuracy, "latency, ms": 1e3 / throughput}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_options(parser)
    parser.add_argument("--boards", nargs="+", default=BOARDS)
    parser.add_argument("--out", type=Path, default=Path("tiny"), help="folder that keeps networks and images")
    options = parser.parse_args()
    report(rows(options), COLUMNS, options)


if __name__ == "__main__":
    main()
