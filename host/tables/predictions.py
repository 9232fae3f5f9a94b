"""The table of what a network says of pictures."""

from gen.task import CLASSIFY, DETECT, SEGMENT
from host.tables.cells import columns, number, pairs

__all__ = ["predictions"]

SHOWN = 40  # pictures; all of them are in JSON


def predictions(payload):
    """Yield a line for each picture, then where the drawings are."""
    task, pictures = payload["task"]["kind"], payload["pictures"]
    words = {CLASSIFY: _classified, SEGMENT: _segmented, DETECT: _detected}.get(task, _valued)
    yield columns(f"{payload['network']}: {task}, {payload['device']}", ("picture", "what is there"), ("timesteps",), [
        (picture["input"], words(picture), picture["exit_step"]) for picture in pictures[:SHOWN]
    ])
    yield pairs(None, [
        ("pictures", f"{len(pictures):,}" + (f", the first {SHOWN} above" if len(pictures) > SHOWN else "")),
        ("drawings and JSON", payload["out"]),
        ("seconds", number(payload["seconds"], 1)),
    ])


def _classified(picture):
    first = picture["best"][0]
    share = "" if first["probability"] is None else f" {100 * first['probability']:.1f} %"
    return f"{first['label']}{share}"


def _segmented(picture):
    shares = sorted(picture["shares"].items(), key=lambda share: -share[1])
    return ", ".join(f"{label} {100 * share:.1f} %" for label, share in shares)


def _detected(picture):
    return ", ".join(f"{box['label']} {100 * box['score']:.0f} %" for box in picture["boxes"]) or "nothing"


def _valued(picture):
    return ", ".join(
        f"{name} {values['least']:.3g} to {values['most']:.3g}" if isinstance(values, dict)
        else f"{name} {', '.join(f'{value:.3g}' for value in values[:8])}"
        for name, values in picture["values"].items()
    )
