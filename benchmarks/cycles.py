"""Cycles of networks on the compiled core, lanes by lanes, beside what the estimate says of the same images.

    python -m benchmarks.cycles NETWORK --data DATA [--lanes 16 32 64] [--neurons N] [--strips windows] [--images 100]
        [--board BOARD [--batch N]]

NETWORK is a network file, DATA as `adafire evaluate` takes it. For each number of lanes the core is the fastest that
`generate` weighs, whether or not it fits a board: so many neurons a group as pay. Simulated, means over the first
images: cycles of an image; busy, the share of the cycles in which a group's lanes take an event; lanes, the share of
lanes and cycles that do a synaptic operation. "cycles a second" is how fast the compiled core ran, in seconds of the
processor: on a machine that does nothing else those of the clock. The estimate is made from the golden model's counts
of the same images.
With ``--board`` the cores are those that `generate` makes for it, beside its memory, and words of 32 bits that moved
between the two are told, an image's, simulated and estimated; with ``--batch`` these run so many images together.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.compiled import fastest_plan
from benchmarks.tables import add_files, report
from gen.data.datasets import open_for
from gen.inputs import input_values, together
from gen.intnet import Network
from gen.layers import INPUT
from gen.netfile import load_network
from gen.plan.candidates import candidates
from gen.plan.choice import choose
from gen.plan.estimate import PACE, estimate_cycles
from gen.plan.plan import Plan
from gen.plan.roofline import roofline
from gen.plan.target import find_target
from sim.compiled_core import CompiledCore
from sim.golden import Golden

COLUMNS = {
    "neurons": "{}", "cycles": "{:,.0f}", "busy": "{:.1%}", "lanes": "{:.1%}", "estimate": "{:,.0f}",
    "too high by": "{:+.2%}", "cycles a second": "{:,.0f}", "words moved": "{:,.0f}", "words estimated": "{:,.0f}",
}


def estimated(plan: Plan, images: np.ndarray, pace: float = PACE) -> float:
    """Return the mean estimate of images in a row, each from its own counts; ``pace`` as of `estimate_cycles`."""
    golden, estimates = Golden(plan.network), []
    for run in together(images, plan.layout.images):
        own = [(values, trace) for image, values in zip(run, input_values(plan.network, run))
               for trace in golden.traces(image)]
        counts = [{INPUT: values[None], **trace.counts} for values, trace in own]
        estimates.append(estimate_cycles(plan, counts, [trace.exit_step for _, trace in own], pace))
    return float(np.mean([estimate.followed for estimate in estimates[:-1]] + [estimates[-1].cycles]))


def measure(
    network: Network, images: np.ndarray, lanes: int, neurons: int | None, strips: str | None = None,
    board: str | None = None, batch: int = 1,
) -> dict:
    """Return the figures of one core."""
    outside = {}
    if board is None:
        plan, pace = fastest_plan(network, lanes, neurons, strips), PACE
    else:
        target = find_target(board)
        plan, pace = choose(candidates(network, target, (), lanes, batch=batch)).plan, target.pace
    core = CompiledCore.for_plan(plan, board=board)
    begun = time.process_time()
    result = core.run(images)
    seconds = time.process_time() - begun
    assert core.cycles is not None  # a run counts them
    if plan.params.outside:
        words = sum(of.words for of in roofline(plan, pace))
        outside = {"words moved": core.moved / len(images), "words estimated": words}
    cycles, guess = float(result.cycles.mean()), estimated(plan, images, pace)
    return {
        **outside,
        "neurons": plan.params.neurons, "cycles": cycles,
        "busy": float(result.busy_cycles.sum() / (plan.params.groups * result.cycles.sum())),
        "lanes": result.lane_utilization(lanes), "estimate": guess, "too high by": guess / cycles - 1,
        "cycles a second": core.cycles / seconds,
    }


def rows(options: argparse.Namespace) -> Iterator[tuple[str, dict]]:
    """Yield name and figures of every core."""
    network = load_network(options.network)
    images, _ = open_for(network, options.data).load(options.images)
    for lanes in options.lanes:
        name = f"{options.network.stem}, {lanes} lanes" + (f", {options.batch} together" if options.batch > 1 else "")
        yield name, measure(network, images, lanes, options.neurons, options.strips, options.board, options.batch)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("network", type=Path, help="a network file")
    parser.add_argument("--data", required=True, help="images, as `adafire evaluate` takes them")
    parser.add_argument("--lanes", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--neurons", type=int, help="of a group, by default as many as pay")
    parser.add_argument("--strips", help="what the input is cut into, as `adafire generate` takes it")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--board", help="for which the cores are, as `adafire boards` lists it")
    parser.add_argument("--batch", type=int, default=1, help="images that are run together, with --board")
    add_files(parser)
    options = parser.parse_args()
    if options.batch > 1 and options.board is None:
        parser.error("--batch needs --board: only what is fetched from a board's memory can be fetched once")
    report(rows(options), COLUMNS, options)


if __name__ == "__main__":
    main()
