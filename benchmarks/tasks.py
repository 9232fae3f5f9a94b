"""Networks of every task on the core for a board: whether it is the golden model bit for bit, how fast, what bounds it.

    python -m benchmarks.tasks NETWORK=DATA ... [--boards ulx3s_85f ...] [--images 20] [--cocotb 1] [--once]
        [--out tasks]

NETWORK is a network file, DATA as `adafire evaluate` takes it. Each board gets the core that `generate` chooses for it,
compiled by Verilator, which runs the first inputs; every count, state and output that it shows is compared with the
golden model (`sim.checked`). ``--cocotb`` images then run under cocotb as `adafire verify`, or `adafire verify --once`,
runs them. A board that `generate` refuses has its words in the row; where every board does, a core of 16 lanes for none
of them is compared. Boards behind the first one that takes a network are left out.

cycles: of an image, mean of those compared; images a second: at the clock that `generate` sets for the board. What
bounds a core: the share of the cycles in which the lanes take events, the share of lanes and cycles that do a synaptic
operation, that of waiting for what lies outside the chip (estimated, and so are the MB that move for an image), and
what the board lacks for more lanes. ``--out`` keeps what was compared: a run that is ended goes on.
"""

import argparse
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tables import add_files, report
from gen.data.datasets import open_for
from gen.errors import DoesNotFit, InputError
from gen.folders import whole_files
from gen.netfile import load_network, network_hash
from gen.plan.candidate import Candidate
from gen.plan.candidates import candidates
from gen.plan.choice import choose
from gen.plan.estimate import PACE, expected_cycles
from gen.plan.pass_cycles import CYCLES
from gen.plan.plan import Plan, make_plan
from gen.plan.roofline import roofline
from gen.plan.target import find_target
from hw.emit import generate
from sim.checked import checked
from sim.compiled_core import CompiledCore
from sim.golden import Golden
from sim.verify import verify

LANES = 16  # of a core for no board
COLUMNS = {
    "lanes": "{}", "MB moved": "{:.2f}", "cycles": "{:,.0f}", "images a second": "{:,.1f}", "what bounds it": "{}",
    "inputs equal": "{}",
    "values compared": "{:,}", "cocotb, runs": "{}",
}
FULL = 0.7  # a share that is most of something
WAITS = 0.3  # a share of waiting that says what bounds a core


@dataclass(frozen=True)
class Row:
    """A network on the core for a board, or on one for none.

    name : of the row, and of the file that keeps what was compared; chosen : None for no board
    """

    name: str
    plan: Plan
    chosen: Candidate | None
    found: tuple[Candidate, ...] = ()


def offers(network, title: str, boards: list[str]) -> Iterator[Row | tuple[str, str]]:
    """Yield (name, words of refusal) of boards that refuse ``network``, and the `Row` of the first that does not."""
    for board in boards:
        target = find_target(board)
        found = candidates(network, target)
        try:
            chosen = choose(found)
        except DoesNotFit as error:
            yield f"{title}, {target.title}", str(error)
            continue
        yield Row(f"{title}, {target.title}", chosen.plan, chosen, tuple(found))
        return
    yield Row(f"{title}, core for no board", make_plan(network, LANES), None)


def compared(plan: Plan, images: np.ndarray, log: Path, board: str | None = None) -> list[dict]:
    """Compare the compiled core with the golden model, image by image; return a record of each.

    What lies outside the chip is in the memory of ``board``.

    Records of ``log`` that are of the same network and core stand; every new one is added to it.
    """
    network = plan.network
    head = {"network": network_hash(network), "core": asdict(plan.params), "digest": plan.digest, "board": board}
    lines = log.read_text().splitlines(keepends=True) if log.exists() else []
    kept = [json.loads(line) for line in lines if line.endswith("\n")]
    records = kept[1:] if kept[:1] == [json.loads(json.dumps(head))] else []
    whole_files({log: "".join(json.dumps(each) + "\n" for each in [head, *records])})
    if len(records) < len(images):
        core, golden = CompiledCore.for_plan(plan, board=board), Golden(network)
        for n in range(len(records), len(images)):
            record, = checked(core, golden, images[n : n + 1])
            values = sum(record.pop("compared").values())
            records.append({**record, "values": values})
            with log.open("a") as file:
                file.write(json.dumps(records[-1]) + "\n")
    return records[: len(images)]


def under_cocotb(row: Row, images: np.ndarray, count: int, once: bool, folder: Path) -> dict[str, Any]:
    """Return how many runs of ``count`` images under cocotb are equal; of a core for no board nothing."""
    if row.chosen is None or not count:
        return {}
    kept, head = folder / "verified.json", {"network": network_hash(row.plan.network), "images": count, "once": once}
    with suppress(OSError, ValueError):
        told = json.loads(kept.read_text())
        if told["of"] == head:
            return told["figures"]
    generate(row.plan.network, row.chosen.target.name, row.plan.params.lanes, folder / "core", force=True,
             neurons=row.plan.params.neurons)
    told = verify(folder / "core", images[:count], count, once=once)
    figures = {"cocotb, runs": f"{told['mismatches']} differ", "first_difference": told["first_difference"]}
    if not told["mismatches"]:
        figures = {"cocotb, runs": f"{sum(told['compared'].values()):,} values equal"}
    whole_files({kept: json.dumps({"of": head, "figures": figures}) + "\n"})
    return figures


def bound(row: Row, busy: float, used: float) -> str:
    """Return in words what bounds a core whose lanes take events ``busy`` and do operations ``used`` of the time."""
    shares = f"events {busy:.0%}, lanes {used:.0%}"
    text = "its lanes" if used >= FULL else "channels that leave lanes empty" if busy >= FULL else (
        "walks and neurons between events")
    if row.plan.params.outside:
        with_waits, without = (expected_cycles(row.plan, pace=pace).cycles for pace in (PACE, 0.0))
        waits = 1 - without / with_waits
        text = "the rate of its memory" if waits >= WAITS else text
        shares += f", waiting for what lies outside {waits:.0%}"
    if row.chosen is None:
        return f"{text} ({shares})"
    more = [each for each in row.found if each.lanes == 2 * row.plan.params.lanes]
    lacking = sorted({kind for each in more for kind, have in each.target.budget.items() if each.used[kind] > have})
    if lacking and not any(each.fits for each in more):
        text += f"; for {more[0].lanes} lanes the part lacks {' and '.join(lacking)}"
    return f"{text} ({shares})"


def figures(row: Row, records: list[dict], interval: float) -> dict[str, Any]:
    """Return the figures of ``records``; ``interval`` are the cycles that input or result take by themselves."""
    lanes, groups = row.plan.params.lanes, row.plan.params.groups
    cycles, busy, work = (sum(record[name] for record in records) for name in ("cycles", "busy", "synaptic_ops"))
    mean, wrong = cycles / len(records), [record["difference"] for record in records if record["difference"]]
    told = {
        "lanes": lanes, "MB moved": 4e-6 * sum(of.words for of in roofline(row.plan, PACE)) or None, "cycles": mean,
        "what bounds it": bound(row, busy / (groups * cycles), work / (lanes * cycles)),
        "inputs equal": f"{len(records) - len(wrong)} of {len(records)}",
        "values compared": sum(record["values"] for record in records),
        **({"first_difference": wrong[0]} if wrong else {}),
    }
    if row.chosen is not None:
        told["images a second"] = 1e6 * row.chosen.target.core_mhz / max(mean + CYCLES["next"], interval)
    return told


def streamed(candidate: Candidate | None) -> float:
    """Return the cycles that the input or the result of an image takes where they are what bounds a core, or 0."""
    if candidate is None:
        return 0.0
    estimate = candidate.estimate
    return estimate.interval if estimate.interval > estimate.cycles + CYCLES["next"] else 0.0


def rows(options: argparse.Namespace) -> Iterator[tuple[str, dict]]:
    """Yield the name of every row and its figures."""
    for pair in options.networks:
        path, _, data = pair.partition("=")
        if not data:
            raise InputError(f"{pair!r} names no data: give NETWORK=DATA, such as digits.safetensors=heldout.npz.")
        network = load_network(path)
        images, _ = open_for(network, data).load(options.images)
        for row in offers(network, Path(path).stem, options.boards):
            if not isinstance(row, Row):
                yield row[0], {"what bounds it": row[1]}
                continue
            folder = options.out / row.name.replace(",", "").replace(" ", "_")
            folder.mkdir(parents=True, exist_ok=True)
            board = row.chosen and row.chosen.target.name
            records = compared(row.plan, images, folder / "compared.jsonl", board)
            yield row.name, {
                **figures(row, records, streamed(row.chosen)),
                **under_cocotb(row, images, options.cocotb, options.once, folder),
            }


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("networks", nargs="+", metavar="NETWORK=DATA")
    parser.add_argument("--boards", nargs="+", default=["ulx3s_85f"])
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--cocotb", type=int, default=1, metavar="N", help="images under cocotb, 0 for none")
    parser.add_argument("--once", action="store_true", help="under cocotb no image again: ten times as quick")
    parser.add_argument("--out", type=Path, default=Path("tasks"), help="folder that keeps what was compared")
    add_files(parser)
    options = parser.parse_args()
    report(rows(options), COLUMNS, options)


if __name__ == "__main__":
    main()
