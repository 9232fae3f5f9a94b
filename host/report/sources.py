"""Where each figure of a report comes from: its kind, in words, and the command that prints it again."""

import shlex

from sim.bench.folder import NETWORK

__all__ = ["sources"]


def sources(report, folder, data=None, split="test", limit=None, image=None):
    """Return {"figures": {section: [{kind, text, command}]}, "command", "build", "with_data"}."""
    core, cycles, built, count = report["core"], report["cycles"], report["built"], report["counted_images"]
    network, some = folder / NETWORK, [] if limit is None else ["--limit", limit]
    given = ["--data", data, *([] if split == "test" else ["--split", split])]
    chosen = [] if image is None else ["--image", image]
    this = _command("report", folder, *([*given, *some, *chosen] if data else []))
    size = ["--lanes", core["lanes"], "--neurons", core["neurons"], "--strips", core["strips"]]
    size += ["--batch", core["batch"]] if core["batch"] > 1 else []
    generate = _command("generate", network, "--board", core["board"], *size, "--out", "DIR")
    figures = {
        "network": [_figure("read", "from the network file.", _command("info", network))],
        "accuracy": [], "cycles": [], "image": [],
        "memory": [_figure("estimated", "blocks; sizes are exact.", generate)],
        "resources": [_figure("estimated", "from sizes, by shares fitted to synthesized cores.", generate)],
        "energy": [_figure("convention", "of operations counted in the network's shapes.", this)],
        "provenance": [_figure("read", "from manifest.json, the network file and build/report.json.")],
    }
    if data:
        images = f"{report['accuracy']['images']:,} images"
        evaluate = _command("evaluate", network, *given, *some)
        figures["accuracy"] = [
            _figure("golden", f"early exit, on {images}.", evaluate),
            _figure("golden", "fixed timesteps, and the examples.", this),
        ]
        figures["image"] = [_figure("golden", "counts and logits, equal to the hardware's bit for bit.", this)]
        figures["cycles"].append(_figure("golden", f"events and operations of the first {count} images.", this))
        figures["energy"].append(_figure("golden", f"operations of the first {count} images.", this))
        figures["memory"].append(_figure(
            "simulated" if cycles else "golden",
            f"words used by a mean of {count} images; block RAM that is clocked reads in other cycles too.", this,
        ))
    if cycles:
        figures["energy"].append(_figure("estimated", "from the words that the memories of the core moved.", this))
        figures["cycles"].append(_figure(
            "simulated", f"cycles of the first {count} images, no pauses at the core's ports. Signals inside the "
            "compiled core say of every cycle what it was spent on; the sum is the core's own counter.",
            _command("evaluate", network, *given, "--device", folder, "--limit", count),
        ))
    else:
        figures["cycles"].append(_figure(
            "estimated", f"cycles, from {report['estimated_cycles']['basis']}.", generate,
        ))
    if built:
        figures["resources"].append(_figure(built["kind"], f"of {built['of']}.", _command("build", folder)))
    return {
        "figures": figures, "command": this, "build": _command("build", folder),
        "with_data": _command("report", folder, "--data", "D"),
    }


def _figure(kind, text, command=None):
    return {"kind": kind, "text": text, "command": command}


def _command(*words):
    return shlex.join(["adafire", *map(str, words)])
