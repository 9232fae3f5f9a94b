"""Which core to make for a network and a board: the fastest that fits, or the smallest that is fast enough."""

from __future__ import annotations

from itertools import islice

from gen.errors import DoesNotFit, InputError
from gen.plan.batch import fetches_less
from gen.plan.candidate import Candidate, make_candidate
from gen.plan.lanes import LANES, neurons_of, shape_of_lanes
from gen.plan.target import TARGETS

__all__ = ["choose", "pareto_rows"]

OFFERED = 4  # boards named where a network does not fit


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
    alone = make_candidate(plan.network, target, chosen.also, chosen.lanes, neurons=chosen.neurons,
                       strips=plan.params.strip_form, unfused=plan.params.unfused)
    if not fetches_less(plan.passes):
        why = "nothing is fetched for one of them that another one uses too"
    elif chosen.estimate.interval >= alone.estimate.interval:
        why = (
            f"with {chosen.lanes} lanes one takes {chosen.estimate.interval:,.0f} cycles, and "
            f"{alone.estimate.interval:,.0f} alone (estimated)"
        )
    else:
        return chosen
    raise InputError(
        f"{plan.params.batch} images together are not faster on {target.title}: {why}. It pays where dense layers "
        "behind all others fetch their weights for every image. Leave --batch out."
    )


def _does_not_fit(found):
    least = found[0]
    single = len({candidate.lanes for candidate in found}) == 1
    lanes = f"{least.lanes} lanes" if single else f"any number of lanes, {least.lanes} or more"
    problem = (
        f"The network does not fit {least.target.title} with {lanes}: {'; '.join(least.short)} (estimated, "
        f"{least.lanes} lanes)."
    )
    network, also, params = least.plan.network, least.also, least.plan.params
    form = params.strip_form  # what the user asked for, as are the neurons: the least core has none, and one, by itself

    def fits(target, lanes, strips=form, neurons=least.neurons):
        if neurons not in neurons_of(shape_of_lanes(lanes)[0]):
            return False
        made = make_candidate(network, target, also, lanes, batch=params.batch, strips=strips, neurons=neurons)
        return made.fits and made.plan.params.strip_form == strips

    asked = [n for n in LANES if n == least.lanes or n < least.lanes and not single]
    if form and any(fits(least.target, n, "") for n in asked):
        return f"{problem} It would fit without --strips {form}."
    if least.neurons > 1 and any(fits(least.target, n, neurons=1) for n in asked):
        return f"{problem} It would fit without --neurons {least.neurons}."
    fewer = [n for n in LANES if n < least.lanes and fits(least.target, n)]
    if single and fewer:
        return f"{problem} It would fit with --lanes {fewer[-1]}."
    boards = [target for target in TARGETS.values() if target is not least.target]
    others = (target.name for target in boards if fits(target, least.lanes))
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
