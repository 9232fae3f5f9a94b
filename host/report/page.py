"""A report's numbers as one HTML page that needs nothing else: no script, no font, no request."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from host.report import rows
from host.report.charts import accuracy_chart, block_map, choice_chart, core_name
from host.report.drawing import network_drawing
from host.report.rows import LOSSES, kibit, number, percent, times
from host.report.svg import bar, columns, drawing, element, stack

__all__ = ["MARKER", "render"]

MARKER = "adafire report"
HERE = Path(__file__).parent
MOST_STEPS = 16  # timesteps of the raster on the page; the JSON has all
SHORT_WORD = 24
SECTIONS = {
    "network": "Network", "accuracy": "Accuracy and exits", "cycles": "Events and cycles", "image": "One image",
    "memory": "Memory", "resources": "Resources and clock", "energy": "Energy, by convention and by estimate",
    "provenance": "Provenance",
}


def render(report, json_name):
    """Return the HTML of a report (`host.report.make`); ``json_name`` is the file with the same in JSON."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number, "percent": percent, "kibit": kibit, "times": times,
        "brief": lambda value: f"{value:.3g}", "command": _command,
        "core": core_name,
    }
    environment.globals |= {"bar": bar, "columns": columns, "swatch": _swatch}
    names = report["network"]["task"].get("labels", [])
    environment.filters["named"] = lambda number: names[number] if number < len(names) else number
    layers, memories, energy = report["network"]["layers"], rows.memories(report), rows.energy(report["energy"])
    return environment.get_template("page.html.jinja2").render(
        r=report, marker=MARKER, css=Markup((HERE / "page.css").read_text()), json_name=json_name,
        sections=SECTIONS.items(), lede=rows.lede(report), keys=rows.keys(report),
        charts=_charts(report, memories), task=rows.task(report["network"]), dense=rows.dense(report["network"]),
        layers=rows.layers(report["network"]),
        branched=rows.has_branches(report["network"]),
        most_weights=max(layer["weights"] for layer in layers),
        most_state=max(layer["state_memory_bits"] for layer in layers),
        losses=rows.losses(report["cycles"]), kinds=rows.kinds(report), most_steps=MOST_STEPS,
        logits=rows.logits(report["image"]), shown_logits=rows.shown_steps(report["image"]),
        memories=memories, memory_bits=sum(memory["bits"] for memory in memories),
        memory_blocks=sum(memory["blocks"] for memory in memories),
        energy_rows=energy, energy_most=max(row["uj"] for row in energy) or 1.0,
        most_fps=max((row["fps"] for row in report["choices"]), default=1.0) or 1.0,
        provenance=rows.provenance(report), meanings=rows.MEANINGS,
    )


def _charts(report, memories):
    charts = {
        "network": network_drawing(report["network"], rows.beside_blocks(report["network"])),
        "blocks": block_map(memories, report["block"]["board"]),
    }
    if len(report["choices"]) > 1:
        charts["choices"] = choice_chart(report["choices"], {
            resource["name"]: resource["board"] for resource in report["resources"]
            if resource["name"] in report["choices"][0]
        })
    if report["accuracy"]:
        charts["accuracy"] = accuracy_chart(report["accuracy"])
    if report["cycles"]:
        most = max(p["cycles"] for p in report["passes"])
        charts |= {
            "losses": _losses(report["cycles"]),
            "passes": [_spent(p["name"], p["kinds"], most, p["cycles"] * p["lane_utilization"])
                       for p in report["passes"]],
            "machine": _spent("between layers", report["cycles"]["machine"], most),
        }
    if report["image"]:
        charts["scale"] = drawing(90, 10, "Opacity grows with the burst", *(
            element("rect", class_="spike", x=15 * i, width=14, height=10, fill_opacity=0.07 + 0.93 * i / 5)
            for i in range(6)
        ), width=90, height=10)
    return charts


def _losses(cycles):
    parts = [(kind, share, f"{what}: {percent(share, 1)}") for kind, share, (what, _) in rows.losses(cycles)]
    title = "Where the lanes' cycles go: " + ", ".join(text for _, _, text in parts)
    return stack(title, parts, 1.0, thick=30)


def _spent(name, kinds, most, useful=0.0):
    """Return the bar of one layer: its cycles by kind, the busy ones by what the lanes did in them."""
    kinds = kinds | {"useful": useful, "idle": kinds.get("busy", 0.0) - useful}
    parts = [
        (kind, kinds[kind], f"{what}: {number(kinds[kind])}")
        for kind, (what, _) in LOSSES.items() if kinds.get(kind, 0.0) > 0
    ]
    return stack(f"{name}: " + ", ".join(text for _, _, text in parts), parts, most)


def _command(text):
    """Return a command whose short words stay whole where the line breaks."""
    words = text.split(" ")
    kept = [element("span", word, class_="word") if len(word) <= SHORT_WORD else escape(word) for word in words]
    return element("code", Markup(" ").join(kept))


def _swatch(kind):
    box = element("rect", class_=kind, width=10, height=10)
    return element("svg", box, class_="swatch", viewBox="0 0 10 10", aria_hidden="true")
