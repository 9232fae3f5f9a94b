"""Tables of what networks did: accuracy, exits, events, energy, equality."""

from rich.bar import Bar
from rich.markup import escape
from rich.table import Table

from gen.task import DETECT
from host.tables.cells import columns, number, pairs, percent

__all__ = ["demo", "evaluation", "run", "verification"]

BAR = 24  # characters


def evaluation(payload):
    """Yield what `evaluate` measured."""
    yield pairs(f"On {payload['device']}", [
        *_measured(payload), ("seconds", number(payload["seconds"], 1)), ("page of the exits", payload.get("page")),
    ])
    yield _exits(payload)
    yield from _memory_words(payload)


def run(payload):
    """Yield what `run` measured on a board; a simulated one counts cycles as well, its seconds mean nothing."""
    yield pairs("On a board", [
        ("port", payload["port"]),
        *_measured(payload, "simulated" if payload["port"] == "sim" else "measured"),
        ("seconds", number(payload["seconds"], 2)),
        ("images per second, link included", number(payload["images_per_second"], 1)),
        ("times that work was taken up again", payload["retries"]),
    ])
    yield _exits(payload)
    if "latency_ms" in payload:
        yield _latency(payload["latency_ms"])
    yield from _memory_words(payload)


def _measured(payload, kind="simulated"):
    return [
        ("images", payload["images"]),
        *_judged(payload),
        ("mean timesteps", number(payload["mean_timesteps"], 3)),
        ("events per image", number(payload["events_per_image"])),
        ("synaptic operations per image", number(payload["synaptic_ops_per_image"])),
        (f"cycles per image ({kind})", number(payload.get("cycles_per_image"))),
        (f"lane utilization ({kind})", percent(payload.get("lane_utilization"))),
        *_energy(payload["energy"]),
    ]


def _judged(payload):
    """Return the rows of what the task is measured by."""
    if payload.get("task") == DETECT:
        found = payload.get("map50")
        return [
            ("mean average precision at 0.5", percent(found) or "unknown: there are no boxes"),
            ("mean average precision at 0.5..0.95", percent(payload.get("map50_95"))),
        ]
    if "mean_squared_error" in payload:
        return [("mean squared error", f"{payload['mean_squared_error']:.4g}")]
    rows = [("accuracy", percent(payload["accuracy"]) or "unknown: there are no labels")]
    if "mean_iou" in payload:
        each = ", ".join(f"{label} {percent(share)}" for label, share in payload["iou"].items())
        rows += [("mean intersection over union", percent(payload["mean_iou"])), ("  of each class", each)]
    return rows


def _energy(energy):
    """Return the rows of the energy of a mean image, each named for what it is; no power is measured."""
    rows = [
        (f"energy, {what}", f"{energy[name]:.3g} uJ") for name, what in {
            "convention_ann_uJ": "convention: without spikes, in MACs",
            "convention_uJ": "convention: a burst is one AC",
            "convention_spikes_uJ": "convention: every spike is one AC",
            "hardware_estimated_uJ": "estimated from counters",
        }.items() if name in energy
    ]
    if "memory_words" in energy:
        rows[-1] = (rows[-1][0], f"{rows[-1][1]} (memory {energy['memory_estimated_uJ']:.3g})")
    return rows


def _memory_words(payload):
    """Yield the words that the memories of a core moved."""
    words = payload["energy"].get("memory_words")
    if words:
        yield columns("Memory words per image", ("memory",), ("read", "written"), [
            (name, number(read), number(written)) for name, (read, written) in words.items()
        ])


def _latency(latency):
    """Return the times from the first event of a recording to the decision, as bars."""
    title = f"From the first event to the decision ({latency['how']}): median {latency['median']:.1f} ms"
    table = Table(title=title, title_justify="left", min_width=50)
    for name in ("ms", "recordings"):
        table.add_column(name, justify="right")
    table.add_column("", min_width=BAR, max_width=BAR)
    counts, edges = latency["histogram"]["recordings"], latency["histogram"]["edges"]
    for count, low, high in zip(counts, edges, edges[1:]):
        table.add_row(f"{low:.1f} to {high:.1f}", f"{count:,}", Bar(1, 0, count / max(counts), width=BAR))
    return table


def _exits(payload):
    """Return how many images stop after each timestep, as bars, and how many of these are right."""
    counts = payload["exit_histogram"]
    right = payload["exit_accuracy"]
    table = Table(title="Where images stop", title_justify="left", min_width=50)
    for name in ("timestep", "images", "share"):
        table.add_column(name, justify="right")
    table.add_column("", min_width=BAR, max_width=BAR)
    if right:
        table.add_column("right", justify="right")
    for t, count in enumerate(counts):
        share = count / payload["images"]
        cells = str(t + 1), f"{count:,}", percent(share), Bar(1, 0, share, width=BAR)
        table.add_row(*cells, *([percent(right[t]) or ""] if right else []))
    return table


def verification(payload):
    """Yield what was compared, and the first difference if there is one."""
    yield pairs(f"Verilog against golden model, {payload['simulator']}", _verification_rows(payload))
    if payload.get("first_difference"):
        yield f"First difference: {escape(str(payload['first_difference']))}"
    if payload.get("save_file"):
        yield f"Look at the waves: gtkwave {escape(payload['save_file'])}"


def _verification_rows(payload):
    compared = payload["compared"]
    return [
        ("images", payload["images"]),
        ("values compared", f"{sum(compared.values()):,} (" + ", ".join(
            f"{count:,} {kind}" for kind, count in compared.items()) + ")"),
        ("mismatches", payload["mismatches"]),
        ("cycles per image without pauses (simulated)", number(payload["cycles_per_image"])),
        ("lane utilization of these (simulated)", percent(payload["lane_utilization"])),
        ("seconds", number(payload.get("seconds"), 1)),
    ]


def demo(payload):
    """Yield the one table of the demo, then where the files are."""
    exited, full = payload["early_exit"], payload["all_timesteps"]
    yield pairs(f"adafire demo: digits on {payload['board']}, {payload['lanes']} lanes", [
        ("accuracy of the trained network", percent(payload["ann_accuracy"])),
        (f"accuracy, integer, {payload['timesteps']} timesteps", percent(full["accuracy"])),
        ("accuracy, integer, early exit", percent(exited["accuracy"])),
        ("mean timesteps with early exit", number(exited["mean_timesteps"], 3)),
        ("held-out images for these", exited["images"]),
        ("events per image", number(exited["events_per_image"])),
        ("synaptic operations per image", number(exited["synaptic_ops_per_image"])),
        ("Verilog against golden, simulator", payload["verification"]["simulator"]),
        *((f"  {name}", value) for name, value in _verification_rows(payload["verification"])),
    ])
    found = payload["segment"]
    full, exited = found["all_timesteps"], found["early_exit"]
    yield pairs("Digits scattered on larger pictures, found pixel by pixel", [
        ("accuracy of the trained network, pixels", percent(found["float_accuracy"])),
        (f"accuracy, integer, {found['timesteps']} timesteps", percent(full["pixel_accuracy"])),
        ("accuracy, integer, early exit", percent(exited["pixel_accuracy"])),
        ("mean overlap with what is there (IoU), early exit", percent(exited["mean_iou"])),
        ("mean timesteps with early exit", number(exited["mean_timesteps"], 3)),
        ("held-out pictures for these", exited["images"]),
        ("seconds in all, with the above", number(payload["seconds"], 1)),
    ])
    yield pairs("Files", [(what, path) for path, what in payload["files"].items()])
