"""The page of `adafire evaluate --page`: where images stop, how many are right there, and what they look like."""

from collections import defaultdict
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from gen.errors import InputError
from gen.exit_rule import EXP_ONE, FRACTION
from gen.folders import check_output_file, whole_files
from host.report.pictures import image_picture
from host.report.rows import number, percent
from host.report.svg import bar, drawing, element

__all__ = ["MARKER", "Examples", "check_page", "write_page"]

MARKER = "adafire exits"
HERE = Path(__file__).parent
RIGHT, WRONG = 8, 4  # examples of each exit step
SIDE = 56           # pixels on the page, about; every pixel of an image becomes a square of whole ones
WIDTH, TOP, PANEL, GAP, LEFT = 372, 16, 110, 34, 40


class Examples:
    """The first images of each exit step, right and wrong ones; one to ``watch`` an evaluation (`sim.metrics`).

    Parameters
    ----------
    network : gen.intnet.IntegerNetwork or StagedNetwork; where its output is a map, no image is right or wrong
    """

    def __init__(self, network):
        self._network, self._nats = network, [_nats(stage) for stage in network.stages]
        self._seen, self._found = 0, defaultdict(lambda: ([], []))

    def __call__(self, x, y, result):
        labels = None if self._network.dense else y
        wrong = np.zeros(len(x), bool) if labels is None else result.classes != labels
        for step in np.unique(result.exit_steps):
            for kind, most, kept in zip((~wrong, wrong), (RIGHT, WRONG), self._found[int(step)]):
                for n in np.flatnonzero(kind & (result.exit_steps == step))[: most - len(kept)]:
                    kept.append(self._example(x[n], self._seen + n, None if labels is None else labels[n], result, n))
        self._seen += len(x)

    def of(self, step):
        """Return the right and the wrong examples of one exit step, dicts of number, class, label, and so on."""
        return self._found[step]

    def _example(self, image, index, label, result, n):
        z, nats = result.logits[n], self._nats[0 if result.stages is None else result.stages[n]]
        dense = self._network.dense
        return {
            "image": int(index), "class": None if dense else int(result.classes[n]),
            "label": None if label is None else int(label),
            "confidence": None if dense or not nats else float(1 / np.exp((z - z.max()) * nats).sum()),
            "picture": image_picture(image, self._network.source),
        }


def _nats(network):
    """Return what one unit of z is in nats of the float network's softmax, or None where nothing tells."""
    rule, logit = network.exit_rule, network.provenance.get("logit_scale")
    if rule.kind in ("entropy", "confidence"):
        return rule.scale * 2.0 ** -(rule.shift + 16) * np.log(2)
    return 1 / logit if logit else None


def check_page(path):
    """Raise InputError, before any slow work, unless a page can be written at ``path``."""
    if path.suffix != ".html":
        raise InputError(f"The page is HTML: name it {path.with_suffix('.html')}, not {path}.")
    check_output_file(path, MARKER, "page of exits")


def write_page(path, network, name, data, device, figures, examples):
    """Write the page at ``path``, whole or not at all.

    Parameters
    ----------
    name, data, device : what was evaluated, on what and by what, in words
    figures : dict of `sim.metrics.evaluate`
    examples : `Examples` that watched
    """
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "percent": percent, "named": network.task.label}
    environment.globals |= {"bar": bar}
    source, steps = network.source.shape, _steps(network, figures, examples)
    page = environment.get_template("exits.html.jinja2").render(
        marker=MARKER, css=Markup((HERE / "page.css").read_text() + (HERE / "exits.css").read_text()),
        name=name, data=data, device=DEVICES.get(device, device), figures=figures, timesteps=network.timesteps,
        stages=len(network.stages), rule=network.stages[0].exit_rule.kind, dense=network.dense,
        asks=ASKS[network.stages[0].exit_rule.kind], fitted=_fitted(network),
        steps=steps, chart=_chart(steps), shown=(RIGHT, WRONG), source=source,
        sure=any(_nats(stage) is not None for stage in network.stages),
        zoom=max(1, round(SIDE / max(source[1:]))),
    )
    whole_files({path: page})


DEVICES = {"golden": "the golden model", "rtl": "the compiled core", "sim": "the simulated board"}
ASKS = {
    "off": "No rule stops an image early: every one runs all timesteps.",
    "entropy": "An image stops when the entropy of its softmax is under the limit of the timestep.",
    "confidence": "An image stops when its largest probability is over the limit of the timestep.",
    "margin": "An image stops when its best class is ahead of the next by more than the limit of the timestep.",
}


def _steps(network, figures, examples):
    """Return one dict per timestep, those of a network's stages in a row."""
    never = network.timesteps - len(figures["exit_histogram"])
    right = (figures["exit_accuracy"] or []) + [None] * network.timesteps
    places = [(number, stage, t) for number, stage in enumerate(network.stages) for t in range(1, stage.timesteps + 1)]
    return [
        {
            "step": step, "stage": number + 1, "images": images, "share": images / figures["images"], "right": accuracy,
            "stops": _stops(stage.exit_rule, t, step == network.timesteps), "examples": examples.of(step),
        }
        for step, ((number, stage, t), images, accuracy) in enumerate(
            zip(places, figures["exit_histogram"] + [0] * never, right), 1
        )
    ]


def _fitted(network):
    """Return where the limits come from, in words, or None."""
    settings = network.provenance.get("settings", {})
    if network.stages[0].exit_rule.kind == "off" or "exit_loss" not in settings:
        return None
    if settings.get("exit_fit") == "paper":
        return "The limits follow the paper's formula."
    images = network.provenance["calibration"]["exit_images"]
    return f"The limits were fitted on {number(images)} images, to lose at most {settings['exit_loss']:g} points."


def _stops(rule, step, last):
    """Return when the rule stops an image after ``step``, in words; the ``last`` of all stops it in any case."""
    if last or rule.kind == "off":
        return "always" if last else "never"
    limit = rule.limits[step - 1]
    if rule.kind == "entropy":
        return f"under {limit / 2**FRACTION:.3f} bits" if limit else "never"
    if rule.kind == "confidence":
        return f"over {percent(EXP_ONE / limit, 1)}" if limit > EXP_ONE else "never"
    return f"over {number(limit)}" if limit < 2**31 - 1 else "never"


def _chart(steps):
    """Return two panels over the timesteps: the share of images that stop, and the share of these that are right."""
    panels = [("images that stop", [step["share"] for step in steps], "k-plain")]
    if any(step["right"] is not None for step in steps):
        panels.append(("of these right", [step["right"] for step in steps], "k-accent"))
    pitch = (WIDTH - LEFT) / len(steps)
    width, every = min(44.0, 0.7 * pitch), -(-len(steps) // 8)
    drawn = []
    for i, (name, shares, kind) in enumerate(panels):
        floor = TOP + PANEL + i * (PANEL + GAP)
        drawn.append(element("text", name, class_="small", x=0, y=floor - PANEL - 4))
        for share in (0, 0.5, 1):
            y = floor - share * (PANEL - 14)
            drawn.append(element("line", class_="grid", x1=LEFT, x2=WIDTH, y1=y, y2=y))
            drawn.append(element("text", f"{share:.0%}", class_="small", x=LEFT - 6, y=y + 3.5, text_anchor="end"))
        for t, share in enumerate(shares, 1):
            middle = LEFT + (t - 0.5) * pitch
            if share is not None:
                tall = share * (PANEL - 14)
                text = element("title", f"timestep {t}: {percent(share, 2)}")
                drawn.append(element("rect", text, class_=kind, x=middle - width / 2, y=floor - tall, width=width,
                                     height=tall))
                if len(steps) <= 8:
                    drawn.append(element("text", f"{100 * share:.1f}", class_="small", x=middle, y=floor - tall - 4,
                                         text_anchor="middle"))
            if i == len(panels) - 1 and (t - 1) % every == 0:
                drawn.append(element("text", t, class_="small", x=middle, y=floor + 15, text_anchor="middle"))
    high = TOP + len(panels) * PANEL + (len(panels) - 1) * GAP + 34
    drawn.append(element("text", "timestep", class_="small", x=(LEFT + WIDTH) / 2, y=high - 4, text_anchor="middle"))
    title = "; ".join(
        f"{name}: " + ", ".join("none" if share is None else percent(share, 1) for share in shares)
        for name, shares, _ in panels
    )
    return drawing(WIDTH, high, title, *drawn, class_="chart")
