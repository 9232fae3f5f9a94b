"""Which core to make for a network and a board: the fastest that fits, or the smallest that is fast enough.

Every number of lanes and of neurons is planned, its size and its clock cycles estimated; what comes of it is a list
for a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from math import inf

from gen.errors import DoesNotFit, InputError, UnsupportedNetwork
from gen.intnet import Network
from gen.plan.batch import fetches_less
from gen.plan.estimate import Estimate, expected_cycles
from gen.plan.fusing import fan_ins_apart
from gen.plan.lanes import LANES, check_neurons, neurons_of, shape_of_lanes
from gen.plan.plan import Plan, covering, make_plan, plan_on
from gen.plan.placement import placed_plan, with_spares
from gen.plan.program import tile_words
from gen.plan.resources import core_resources, link_resources, single_port_blocks
from gen.plan.strips import FORMS, NO_STRIPS, Cut, find_strips
from gen.plan.target import TARGETS, Target

__all__ = ["Candidate", "candidates", "choose", "pareto_rows"]

OFFERED = 4  # boards named where a network does not fit
WALKED = 4  # lanes that one neuron fires while the walk makes a tile: a group of so few gains nothing from a second one
PAYS = 0.97  # share of the cycles that strips, or more neurons, may leave, at most, to be a candidate
HOPE = 0.999  # that so many neurons may leave of those of half as many, at most, for twice as many to be looked at
APART_PAYS = 0.98  # that pools by themselves may: they take little logic


@dataclass(frozen=True, eq=False)
class Candidate:
    """A core that a network may get on a board.

    also : further networks that the core is large enough for
    resources, used : {lut, ff, bram, dsp} of the core, and of the design with the link
    short : what the part lacks, a sentence for each; none: it fits
    estimate : of a mean image
    """

    plan: Plan
    target: Target
    also: tuple[Network, ...]
    resources: dict[str, int]
    used: dict[str, int]
    short: tuple[str, ...]
    estimate: Estimate

    @property
    def lanes(self) -> int:
        """Lanes of the core."""
        return self.plan.params.lanes

    @property
    def neurons(self) -> int:
        """Neurons of each group of lanes."""
        return self.plan.params.neurons

    @property
    def fits(self) -> bool:
        """Whether the part has room, by the estimate."""
        return not self.short

    @property
    def fps(self) -> float:
        """Images a second at the board's clock."""
        return self.estimate.fps(self.target.core_mhz)

    @property
    def size(self) -> float:
        """The largest share that the design takes of anything that the part has."""
        return max(self.used[kind] / have for kind, have in self.target.budget.items() if have)


def candidates(
    network: Network, target: Target, also: Sequence[Network] = (), lanes: int | None = None,
    neurons: int | None = None, batch: int = 1, strips: str | None = None,
) -> list[Candidate]:
    """Return a `Candidate` for every number of lanes and of neurons in a group, by rising lanes.

    Parameters
    ----------
    also : networks that the core shall be large enough for
    lanes : the only number of lanes; by default each of `LANES` whose groups may have ``neurons``
    neurons : the only number of neurons of a group; by default 1, and any larger number that pays
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
            "all layers that read it must move over it alike, and what a kernel covers must find room in a word, 8 "
            "values of a row or 16 of a window. Leave --strips out."
        )
    return found


def _of_lanes(network, target, also, lanes, neurons, batch, strips):
    """Return the candidates of one number of lanes."""
    width, groups = shape_of_lanes(lanes)
    if neurons is not None:
        check_neurons(width, neurons)

    candidate = partial(_candidate, network, target, also, lanes, batch=batch)
    kept: list[Candidate] = []
    before = inf
    for count in (neurons_of(width) if width > WALKED else (1,)) if neurons is None else (neurons,):
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


def _candidate(network, target, also, lanes, **form):
    """Return a candidate whose groups share the inputs of readouts, unless that makes it slower.

    ``form``: what else `make_plan` takes. A map that is read as a line of words may need longer fields, and each tile
    of all layers more words of the program.
    """
    found = _made(network, target, also, lanes, **form)
    if found.plan.layout.shared:
        alone = make_plan(network, lanes, **form, shared=False)
        if tile_words(alone.params) < tile_words(found.plan.params):
            other = _made(network, target, also, lanes, **form, shared=False)
            return min(found, other, key=lambda made: made.estimate.interval)
    return found


def _made(network, target, also, lanes, **form):
    def placed(other):
        return placed_plan(other, lanes, target, **form)

    plan = placed(network)
    if also:
        plan = plan_on(network, covering([plan, *map(placed, also)]))
    plan = with_spares(plan, target)
    core, link = core_resources(plan.params, target), link_resources(target)
    used = {kind: core[kind] + link[kind] for kind in core}
    short = tuple(_shortages(plan, used, target))
    return Candidate(plan, target, tuple(also), core, used, short, expected_cycles(plan, pace=target.pace))


def _shortages(plan, used, target):
    needs = [(kind, used[kind], have) for kind, have in target.budget.items()]
    if plan.params.spram:
        needs.append(("spram", single_port_blocks(plan.params), target.spram_blocks))
    return [
        f"it needs {need:,} {kind} where the part has {have:,}, {need - have:,} too many"
        for kind, need, have in needs if need > have
    ]


def choose(found: list[Candidate], target_fps: float | None = None) -> Candidate:
    """Return the fastest of `candidates` that fits, of equal ones the smallest.

    With ``target_fps`` the smallest one that makes as many images a second.

    Raises
    ------
    DoesNotFit
        None fits, or none that fits is fast enough; says what is short, and what would do.
    InputError
        The one chosen is no faster for running several images together.
    """
    fitting = [candidate for candidate in found if candidate.fits]
    if not fitting:
        raise DoesNotFit(_does_not_fit(found))
    fastest = min(fitting, key=lambda candidate: (candidate.estimate.interval, candidate.size))
    if target_fps is None:
        return _worth_waiting(fastest)
    enough = [candidate for candidate in fitting if candidate.fps >= target_fps]
    if not enough:
        raise DoesNotFit(
            f"No core for {fastest.target.title} makes {target_fps:,g} images a second: the fastest that fits has "
            f"{fastest.lanes} lanes and makes {fastest.fps:,.0f} at {fastest.target.core_mhz:g} MHz (estimated from "
            f"{fastest.estimate.basis}). Ask for fewer, or generate for a larger board."
        )
    return _worth_waiting(min(enough, key=lambda candidate: (candidate.size, candidate.lanes, candidate.neurons)))


def _worth_waiting(chosen):
    """Return a candidate whose images do not wait for one another in vain."""
    plan, target = chosen.plan, chosen.target
    if plan.params.batch == 1:
        return chosen
    alone = _candidate(plan.network, target, chosen.also, chosen.lanes, neurons=chosen.neurons,
                       strips=plan.params.strip_form, unfused=plan.params.unfused)
    if fetches_less(plan.passes) and chosen.estimate.interval < alone.estimate.interval:
        return chosen
    raise InputError(
        f"{plan.params.batch} images together are not faster on {target.title}: with {chosen.lanes} lanes one takes "
        f"{chosen.estimate.interval:,.0f} cycles, and {alone.estimate.interval:,.0f} alone (estimated). It pays where "
        "dense layers behind all others fetch their weights for every image. Leave --batch out."
    )


def _does_not_fit(found):
    least = found[0]
    single = len({candidate.lanes for candidate in found}) == 1
    lanes = f"{least.lanes} lanes" if single else f"any number of lanes, {least.lanes} or more"
    problem = (
        f"The network does not fit {least.target.title} with {lanes}: {'; '.join(least.short)} (estimated, "
        f"{least.lanes} lanes)."
    )
    network, also, batch = least.plan.network, least.also, least.plan.params.batch
    fewer = [n for n in LANES if n < least.lanes and _candidate(network, least.target, also, n, batch=batch).fits]
    if single and fewer:
        return f"{problem} It would fit with --lanes {fewer[-1]}."
    boards = [target for target in TARGETS.values() if target is not least.target]
    others = (
        target.name for target in boards if _candidate(network, target, also, least.lanes, batch=batch).fits)
    if named := ", ".join(islice(others, OFFERED)):  # no more are looked at: a large network takes seconds for each
        return f"{problem} It would fit {named} with {least.lanes} lanes."
    return f"{problem} No board here is large enough: use fewer weight bits, fewer channels or smaller maps."


def pareto_rows(found: list[Candidate], chosen: Candidate | None = None) -> list[dict]:
    """Return plain values for a JSON file, one row for each candidate.

    ``pareto``: it fits, and none that fits is at least as fast with a design no larger.
    """
    return [
        {
            "lanes": candidate.lanes, "neurons": candidate.neurons, "single_port_ram": candidate.plan.params.spram,
            "strips": candidate.plan.params.strip_form, "pools_apart": candidate.plan.params.unfused > 0,
            "cycles": round(candidate.estimate.cycles), "interval": round(candidate.estimate.interval),
            "clock_mhz": candidate.target.core_mhz, "fps": round(candidate.fps, 1), **candidate.used,
            "fits": candidate.fits, "short": list(candidate.short), "basis": candidate.estimate.basis,
            "pareto": candidate.fits and not any(_beats(other, candidate) for other in found),
            "chosen": candidate is chosen,
        }
        for candidate in found
    ]


def _beats(other, candidate):
    """Return whether ``other`` fits, is no slower and no larger, and better in one of the two."""
    better = other.estimate.interval < candidate.estimate.interval or other.size < candidate.size
    return other.fits and better and other.estimate.interval <= candidate.estimate.interval and (
        other.size <= candidate.size)
