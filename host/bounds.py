"""What bounds each layer of a network on the core that `adafire generate` would make for a board, in plain values."""

from gen.errors import DoesNotFit
from gen.plan.candidates import candidates
from gen.plan.choice import choose
from gen.plan.roofline import roofline
from gen.plan.target import find_target

__all__ = ["describe_bounds", "on_board"]


def on_board(network, name) -> dict:
    """Return a JSON object: the core for the board ``name`` and what bounds its layers, or why none fits.

    Cycles are those of a mean image, estimated. Raises `InputError` for an unknown board.
    """
    target = find_target(name)
    try:
        chosen = choose(candidates(network, target))
    except DoesNotFit as error:
        return {"board": target.name, "title": target.title, "fits": False, "why": str(error)}
    layers = describe_bounds(chosen.plan, target)
    return {
        "board": target.name, "title": target.title, "fits": True, "lanes": chosen.lanes, "neurons": chosen.neurons,
        "estimated_cycles_per_image": round(chosen.estimate.cycles), "estimated_fps": chosen.fps,
        "clock_mhz": target.core_mhz, "bytes_moved": 4 * round(sum(layer["words_moved"] for layer in layers)),
        "layers": layers,
    }


def describe_bounds(plan, target) -> list[dict]:
    """Return one JSON object for each layer of a plan: cycles of a mean image, words moved, what bounds it."""
    return [
        {
            "layer": of.layer, "stage": of.stage,
            "lanes_cycles": round(of.compute), "weights_cycles": round(of.weights),
            "maps_cycles": round(of.maps), "states_cycles": round(of.states), "words_moved": round(of.words),
            "bound": of.bound,
        }
        for of in roofline(plan, target.pace)
    ]
