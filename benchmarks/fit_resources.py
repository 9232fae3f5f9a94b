"""Fit the table `LOGIC` of `gen.plan.resources` to synthesized cores, flat, on an ECP5.

    python -m benchmarks.fit_resources ROWS.jsonl [NETWORK:LANES[:NEURONS] ...]

Of every NETWORK (a network file) the core that `generate --lanes LANES`, or with NEURONS a group, makes for a ULX3S is
synthesized, without what drives its memory, and added to ROWS.jsonl, a row for each core; then the table is fitted to
all rows there: the least squares of relative errors, held near the table in force where cores do not tell.
Prints how far the table in force is off, the new one, and how far that is off.
"""

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from amaranth.back import rtlil
from scipy.optimize import nnls

from benchmarks.area import TOP, figures, synthesized
from gen.netfile import load_network
from gen.plan.candidates import candidates
from gen.plan.choice import choose
from gen.plan.params import CoreParams
from gen.plan.resources import LOGIC, core_resources, grows_with
from gen.plan.target import find_target
from hw.core.core import Core
from hw.names import plain_names

TARGET = find_target("ulx3s_85f")
BARE = replace(TARGET, dram=None, flash=None)  # of which a core is all there is
KINDS = {"lut": "comb", "ff": "FF", "bram": "DP16KD", "dsp": "MULT18"}
HELD = 0.05  # how much a table entry wants to stay, against the relative error of a core


def synthesized_core(case):
    """Return the row of a core: its parameters and its figures."""
    file, lanes, *neurons = case.split(":")
    found = candidates(load_network(file), TARGET, lanes=int(lanes), neurons=int(neurons[0]) if neurons else None)
    plan = choose(found).plan
    text = plain_names(rtlil.convert(Core(plan.params, {}), name=TOP, emit_src=False))
    return {"case": case, "params": asdict(plan.params), "flat": figures(synthesized(text), TOP)}


def fitted(rows):
    """Return the table `LOGIC` for these rows."""
    columns = []
    for number, kind in enumerate(("lut", "ff")):
        before = np.array([LOGIC[name][number] for name in LOGIC], float)
        sizes, rest, found = [], [], []
        for row in rows:
            params = CoreParams(**row["params"])
            sizes.append([grows_with(params)[name] for name in LOGIC])
            rest.append(core_resources(params, BARE)[kind] - np.dot(sizes[-1], before))
            found.append(row["flat"][KINDS[kind]])
        matrix, wanted = np.array(sizes) * before / np.array(found)[:, None], 1 - np.array(rest) / found
        held = HELD * np.eye(len(before))
        factors, _ = nnls(np.vstack([matrix, held]), np.concatenate([wanted, HELD * np.ones(len(before))]))
        columns.append(before * factors)
    return {name: (float(f"{lut:.3g}"), float(f"{ff:.3g}")) for name, lut, ff in zip(LOGIC, *columns)}


def show_errors(rows):
    """Print estimate over synthesis, less one, of every core."""
    for row in rows:
        found = core_resources(CoreParams(**row["params"]), BARE)
        errors = "  ".join(f"{kind} {found[kind]:,} ({found[kind] / row['flat'][name] - 1:+.1%})" for kind, name in
                           KINDS.items() if row["flat"][name])
        print(f"{row['case']:40} {errors}")


def main(argv=None):
    """Synthesize, fit, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("rows", type=Path)
    parser.add_argument("cases", nargs="*", metavar="NETWORK:LANES[:NEURONS]")
    options = parser.parse_args(argv)
    for case in options.cases:
        with options.rows.open("a") as file:
            file.write(json.dumps(synthesized_core(case)) + "\n")
    rows = [json.loads(line) for line in options.rows.read_text().splitlines()]
    show_errors(rows)
    table = fitted(rows)
    print(f"\nLOGIC = {json.dumps(table)}\n")
    LOGIC.update(table)
    show_errors(rows)


if __name__ == "__main__":
    main()
