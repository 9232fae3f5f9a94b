"""Networks that do not fit a chip on every board with a memory beside it: how fast, what moves, what bounds it.

    python -m benchmarks.boards NETWORK [NETWORK ...] [--boards BOARD ...]

For every network file and board the core is the one that `generate` chooses; all figures are estimated from what the
network file tells of its calibration images, none is simulated (`benchmarks.cycles` says how far estimates are off).
MB are those that move to and from the board's memory for an image. A layer is bound by the larger of two, its work and
what its weights, maps or states take of the memory's rate (`gen.plan.roofline`): the shares are those of the cycles of
such layers.
"""

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.tables import add_files, report
from gen.intnet import Network
from gen.netfile import load_network
from gen.plan.target import TARGETS
from host.bounds import on_board

COLUMNS = {"lanes": "{}", "images a second": "{:,.1f}", "MB moved": "{:,.2f}", "what bounds it": "{}"}
KINDS = ("lanes", "weights", "maps", "states")


def bounds(layers: list[dict]) -> str:
    """Return what bounds the layers, with the share of their cycles, the largest first."""
    cycles = Counter()
    for layer in layers:
        moved = sum(layer[f"{kind}_cycles"] for kind in KINDS[1:])
        cycles[layer["bound"]] += max(layer["lanes_cycles"], moved)
    total = max(1, cycles.total())
    return ", ".join(f"{kind} {count / total:.0%}" for kind, count in cycles.most_common() if count / total >= 0.005)


def figures(network: Network, board: str) -> dict:
    """Return those of a network on a board; of one that it does not fit nothing but that."""
    found = on_board(network, board)
    if not found["fits"]:
        return {"what bounds it": "does not fit"}
    return {
        "lanes": found["lanes"], "images a second": found["estimated_fps"], "MB moved": found["bytes_moved"] / 1e6,
        "what bounds it": bounds(found["layers"]),
    }


def rows(options: argparse.Namespace) -> Iterator[tuple[str, dict]]:
    """Yield network and board, and the figures."""
    for file in options.networks:
        network = load_network(file)
        for board in options.boards:
            yield f"{file.stem}, `{board}`", figures(network, board)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("networks", type=Path, nargs="+", metavar="NETWORK")
    parser.add_argument("--boards", nargs="+", default=[name for name, target in TARGETS.items() if target.dram])
    add_files(parser)
    options = parser.parse_args()
    report(rows(options), COLUMNS, options)


if __name__ == "__main__":
    main()
