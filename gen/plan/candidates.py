"""The cores among which one is chosen: every number of lanes, with the neurons and the form of the input that pay."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import inf

from gen.errors import InputError, UnsupportedNetwork
from gen.intnet import Network
from gen.plan.candidate import Candidate, make_candidate
from gen.plan.fusing import fan_ins_apart
from gen.plan.lanes import LANES, check_neurons, neurons_of, shape_of_lanes
from gen.plan.strips import FORMS, NO_STRIPS, Cut, find_strips
from gen.plan.target import Target

__all__ = ["candidates"]

WALKED = 4  # lanes that one neuron fires while the walk makes a tile: a group of so few gains nothing from a second one
PAYS = 0.97  # share of the cycles that strips, or more neurons, may leave, at most, to be a candidate
HOPE = 0.999  # that so many neurons may leave of those of half as many, at most, for twice as many to be looked at
MOST_NEURONS = 16  # of a core: nextpnr routes 64 lanes with 8 for 95 MHz, with 32 for 63
APART_PAYS = 0.98  # that pools by themselves may: they take little logic


def candidates(
    network: Network, target: Target, also: Sequence[Network] = (), lanes: int | None = None,
    neurons: int | None = None, batch: int = 1, strips: str | None = None,
) -> list[Candidate]:
    """Return a `Candidate` for every number of lanes and of neurons in a group, by rising lanes.

    Parameters
    ----------
    also : networks that the core shall be large enough for
    lanes : the only number of lanes; by default each of `LANES` whose groups may have ``neurons``
    neurons : the only number of neurons of a group; by default 1, and any larger number that pays,
        up to `MOST_NEURONS` in all
    batch : images that are run together (`gen.plan.batch`)
    strips : what the input is cut into, one of `gen.plan.strips.FORMS` or "no"; by default what pays

    Pools that leave groups idle run by themselves (`gen.plan.fusing`), of as many layers as that pays for.

    Raises
    ------
    UnsupportedNetwork
        Where no core runs them.
    InputError
        For neurons that groups of ``lanes`` lanes, or any groups, do not have, for ``strips`` that the input cannot be
        cut into, and for a ``batch`` that no core takes.
    """
    if strips not in (None, NO_STRIPS, *FORMS):
        raise InputError(f"The strips must be {NO_STRIPS}, {' or '.join(FORMS)}, not {strips!r}.")
    found, refused = [], None
    choices = LANES if lanes is None else (lanes,)
    if lanes is None and neurons is not None:
        choices = [n for n in LANES if neurons in neurons_of(shape_of_lanes(n)[0])] or [max(LANES)]
    for choice in choices:
        try:
            found += _of_lanes(network, target, also, choice, neurons, batch, strips)
        except UnsupportedNetwork as error:
            refused = error
    if not found and refused:
        raise refused
    if not found:
        raise InputError(
            f"No core here has an input in strips of {strips}: it must have one or two channels and lie on the chip, "
            "all layers that read it must move over it alike, and what a kernel covers must find room in a word of as "
            "many values as a group has lanes, 8 of a row at most. Whole windows must be of one size in all networks, "
            "of one image at a time, and not of frames that are looked at again. Leave --strips out."
        )
    return found


def _of_lanes(network, target, also, lanes, neurons, batch, strips):
    """Return the candidates of one number of lanes."""
    width, groups = shape_of_lanes(lanes)
    counts = [n for n in neurons_of(width) if n == 1 or width > WALKED and n * groups <= MOST_NEURONS]
    if neurons is not None:
        check_neurons(width, neurons)
        counts = [neurons]
    candidate = partial(make_candidate, network, target, also, lanes, batch=batch)
    kept: list[Candidate] = []
    before = inf
    for count in counts:
        tried = _of_forms(candidate, network, count, width, strips)
        for each in tried:
            kept += [each] if not kept or _pays(each, kept[-1]) else []
        if kept and kept[-1] in tried:
            kept += _with_pools_apart(candidate, kept[-1], groups)
        least = min((each.estimate.interval for each in tried), default=inf)
        if least > HOPE * before:
            break
        before = least
    return kept


def _of_forms(candidate, network, neurons, width, strips):
    """Return the candidates of so many neurons with every form of the input, or the one that ``strips`` asks for."""
    if strips is not None:
        form = strips if strips in FORMS else ""
        asked = candidate(neurons=neurons, strips=form)
        return [asked] if asked.plan.params.strip_form == form else []
    plain = candidate(neurons=neurons)
    cut = find_strips(plain.plan.passes, network.stages[0].source.shape, Cut(width))
    return [plain, *(candidate(neurons=neurons, strips=form) for form in FORMS if cut)]


def _with_pools_apart(candidate, fused, groups):
    """Return the candidates that run pools by themselves, of more and more layers as long as that pays."""
    found, plan = [], fused.plan
    # A map outside the chip moves twice more if it is not pooled before: there all pools stay fused.
    for unfused in () if plan.params.outside else fan_ins_apart(plan.passes, groups):
        apart = candidate(neurons=fused.neurons, strips=plan.params.strip_form, unfused=unfused)
        if not _pays(apart, [fused, *found][-1], APART_PAYS):
            break
        found.append(apart)
    return found


def _pays(other, before, share=PAYS):
    """Return whether a candidate leaves less than this ``share`` of the cycles of the one ``before``."""
    return other.estimate.interval < share * before.estimate.interval
