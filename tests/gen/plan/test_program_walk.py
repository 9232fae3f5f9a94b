"""Planned programs are walked by the plain machine as by the model that the walker of the gateware is held to."""

import pytest

from gen.plan.plan import make_plan
from tests.hw.core.walker_model import expected
from tests.kit.program_walk import Program
from tests.kit.random_networks import SECOND, random_network

SMALL = {"max_neurons": 250, "max_weights": 900, "max_size": 6, "max_timesteps": 4}


def _said(one, first_step):
    """Return what `expected` does of a pass: tiles, words that may be on the map, ends."""
    alone = not one.fields.get("positions", 0)
    for tile, requests in one.tiles(first_step):
        yield "tile", {**{name: int(value) for name, value in tile._asdict().items()}, "lanes": 0}
        for request in requests:
            if not alone or request.hit and 0 <= request.column < one.synapses[request.synapse][0]["columns"]:
                yield "word", (request.address, request.column, request.weight, request.active, int(request.image))
        yield ("end",)


@pytest.mark.parametrize("shape", [(4, 1), (4, 4), (8, 2)], ids=lambda shape: "x".join(map(str, shape)))
def test_two_models_walk_alike(shape):
    for seed in range(6):
        plan = make_plan(random_network(seed, contract=SECOND, **SMALL), width=shape[0], groups=shape[1])
        program, words = Program(plan.params, plan.contents["program"]), 0
        for number, one in enumerate(program.passes(0)):
            whole = {"block": one.fields, "output": one.output, "sources": one.synapses}
            for first_step in (0, 1):
                right = [
                    ("word", tuple(said[1][name] for name in ("address", "column", "weight", "active", "image")))
                    if said[0] == "word" else said for said in expected(plan.params, whole, first_step)
                ]
                assert list(_said(one, first_step)) == right, f"seed {seed}, pass {number}, first step {first_step}"
                words += sum(said[0] == "word" for said in right)
        assert words, f"seed {seed}"
