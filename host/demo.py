"""`adafire demo`: the whole path on scikit-learn's digits, in one folder that appears when all of it is done.

First digits alone, down to the simulated Verilog; then several of them on a larger picture (`host.demo_segment`).
"""

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from gen.errors import InputError
from gen.folders import real_path, refuse_foreign, whole_folder
from host.demo_segment import FILES as SEGMENT_FILES
from host.demo_segment import segment

__all__ = ["run_demo"]

MARKER = "demo.json"
FILES = {
    "digits.pt2": "the trained network",
    "calibration.npz": "training images, to convert with",
    "heldout.npz": "held-out images, to evaluate and verify with",
    "digits.safetensors": "the integer network",
    "core": "Verilog, memory image, manifest.json",
    **SEGMENT_FILES,
    MARKER: "these figures",
}


def run_demo(*, board, lanes, out, simulator, images, progress):
    """Train, convert, generate, evaluate, verify, segment; return the figures, which are also in ``out``/demo.json.

    Parameters
    ----------
    board : str
    lanes : 4, 8, 16, 32 or 64
    out : path of the folder to make; an earlier demo there is replaced
    simulator : ``icarus``, ``verilator`` or None for the one that is installed
    images : how many held-out images the simulated Verilog computes
    progress : host.console.Report

    Raises
    ------
    InputError
        Before anything slow: an unknown board, lanes that no core has, or an ``out`` that is something else than an
        earlier demo.
    ToolMissing
        Before anything slow: no simulator.
    """
    from gen.plan.lanes import shape_of_lanes
    from gen.plan.target import find_target
    from sim.toolchain import choose_simulator

    start = time.perf_counter()
    board, simulator = find_target(board).name, choose_simulator(simulator)
    shape_of_lanes(lanes)
    _check_replaceable(Path(out))
    with whole_folder(out) as folder:
        payload = _whole_path(folder, board, lanes, simulator, images, progress)
        payload |= {
            "segment": segment(folder, progress),
            "files": {str(Path(out) / name): what for name, what in FILES.items()},
            "seconds": time.perf_counter() - start,
        }
        (folder / MARKER).write_text(json.dumps(payload, indent=2, default=lambda value: value.tolist()) + "\n")
    return payload


def _whole_path(folder, board, lanes, simulator, images, progress):
    from gen.method.convert import convert
    from gen.data.digits import load_digits, train
    from gen.exit_rule import ExitRule
    from gen.netfile import load_network, save_network
    from gen.data.train import accuracy, save
    from hw.emit import generate
    from sim.golden import Golden
    from sim.metrics import evaluate
    from sim.verify import verify

    progress.stage("Training a small network on the digits")
    x_train, y_train, x_test, y_test = load_digits()
    module = train(seed=0, progress=progress)
    save(module, x_train, folder / "digits.pt2")
    np.savez_compressed(folder / "calibration.npz", x=x_train, y=y_train)
    np.savez_compressed(folder / "heldout.npz", x=x_test, y=y_test)

    progress.stage("Converting it to an integer network")
    converted = convert(folder / "digits.pt2", x_train, labels=y_train, progress=progress)
    save_network(converted, folder / "digits.safetensors")
    network = load_network(folder / "digits.safetensors")

    progress.stage(f"Generating the hardware for {board}, {lanes} lanes")
    manifest = generate(network, board=board, lanes=lanes, out=folder / "core", progress=progress)

    progress.stage(f"Evaluating the integer network on {len(x_test)} held-out images")
    every_step = replace(network, exit_rule=ExitRule())
    full = evaluate(Golden(every_step), x_test, y_test, progress=progress)
    exited = evaluate(Golden(network), x_test, y_test, progress=progress)

    progress.stage(f"Simulating the Verilog on {images} images beside the golden model")
    verification = verify(folder / "core", x_test, images=images, simulator=simulator, progress=progress)
    return {
        "board": board, "lanes": manifest["lanes"], "timesteps": network.timesteps,
        "ann_accuracy": accuracy(module, x_test, y_test), "all_timesteps": full, "early_exit": exited,
        "verification": verification, "mismatches": verification["mismatches"],
    }


def _check_replaceable(out):
    if not real_path(out).exists():
        return
    if out.is_dir() and not any(out.iterdir()):
        return
    if out.is_dir() and (out / MARKER).is_file():
        refuse_foreign(out, FILES, "an earlier demo", "a new one", ", or choose another folder with --out")
        return
    raise InputError(
        f"{out} exists and is not an earlier demo (it holds no {MARKER}): move it away, or choose another "
        "folder with --out."
    )
