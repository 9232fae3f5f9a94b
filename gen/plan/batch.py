"""Several images together: dense layers behind all others run for each of them while their weights are on the chip.

A dense layer of one position uses a weight once an image, and nothing hides its fetching. A core of a *batch* runs the
layers before, its *head*, for one image after the other. What the dense layers read of them is kept for every image.
Then the *tail*, pass after pass of the dense layers, each for all images: the first one fetches its weights, the others
find them there.

Each head is two stages of the program: all images share the passes of the first one, which ends before the first pass
that stores what is kept, or makes an output. The last stage is the tail.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from gen.errors import InputError
from gen.intnet import Network
from gen.layers import INPUT
from gen.plan.passes import Pass

__all__ = ["MOST_IMAGES", "Part", "batch_parts", "check_batch", "fetches_less", "head_and_tail"]

MOST_IMAGES = 16


def check_batch(network: Network, images: int) -> None:
    """Raise `InputError` unless a core can take so many images of ``network`` together."""
    if type(images) is not int or not 1 <= images <= MOST_IMAGES:
        raise InputError(f"A core takes 1 to {MOST_IMAGES} images together, not {images!r}.")
    if images == 1:
        return
    if len(network.stages) > 1 or network.source.kind != "direct":
        raise InputError(
            "A core takes several images together only of a network of one stage that looks at still images: leave "
            "--batch out."
        )
    if network.timesteps > 1:
        raise InputError(
            f"A core takes several images together only where each is one timestep, and this network has "
            f"{network.timesteps}: convert it with --timesteps 1, or leave --batch out."
        )


def head_and_tail(passes: list[Pass]) -> tuple[list[Pass], list[Pass]]:
    """Return the passes of an image as those of the head and of the tail.

    The tail are the dense layers of one position behind all others, from the first one on whose weights or parameters
    lie outside the chip; it has at least the last pass. Raises `InputError` where that is no such layer.
    """
    first = len(passes)
    while first > 1 and _single(passes[first - 1]):
        first -= 1
    if first == len(passes):
        raise InputError(
            "A core takes several images together where the last layer is dense, of one position, behind others, and "
            f"{passes[-1].layer.name!r} is not: leave --batch out."
        )
    first = next((n for n in range(first, len(passes)) if passes[n].fetched), len(passes) - 1)
    tail = passes[first:]
    own = frozenset(s.source for p in tail for s in p.synapses) | frozenset(p.stored for p in tail if p.stored)
    head, tail = ([replace(p, per_image=own) for p in part] for part in (passes[:first], tail))
    return head, tail


class Part(NamedTuple):
    """A stage of the program of a batch.

    program_of, blocks_of : an earlier one, whose records, or blocks outside the chip, it uses; None: its own
    ends : the input of an image is not needed any more behind it
    """

    passes: list[Pass]
    program_of: int | None = None
    blocks_of: int | None = None
    ends: bool = False


def batch_parts(head: list[Pass], tail: list[Pass], images: int) -> list[Part]:
    """Return the stages of a batch in their order."""
    cut = next(n for n, p in enumerate(head) if p.stored in p.per_image or not p.layer.emits)
    parts: list[Part] = []
    for image in range(images):
        own = [replace(p, image=image) for p in head]
        shared, storing = (0, 1) if image else (None, None)
        if cut:
            parts.append(Part(own[:cut], shared, shared))
        parts.append(Part(own[cut:], None, storing if cut else shared, ends=True))
    return [*parts, Part([replace(p, image=image, again=image > 0) for p in tail for image in range(images)])]


def fetches_less(passes: tuple[Pass, ...]) -> bool:
    """Return whether a batch saves anything: some pass finds what another one has fetched."""
    return any(p.again and (p.streamed or p.supplied) for p in passes)


def _single(p):
    """Return whether a pass is of a dense layer of one position that does not read the input."""
    own = p.layer.weighted and p.pool is None and p.rows == p.columns == 1
    return own and all(s.source != INPUT for s in p.synapses)
