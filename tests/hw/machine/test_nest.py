# amaranth: UnusedElaboratable=no
"""`hw.machine.nest` against the sum of steps times turns, over random loops."""

from itertools import product

import numpy as np
import pytest

from hw.machine.nest import Nest
from tests.kit.streams import play

LOOPS = ("a", "b", "c", "d")


def turns(counts):
    """Yield (turn of each loop, loop that advances next or None) over the whole nest."""
    every = list(product(*map(range, counts)))
    for now, then in zip(every, every[1:] + [None]):
        advances = then and next(i for i in range(len(counts)) if then[i] != now[i])
        yield now, None if then is None else LOOPS[advances]


def strobes(advances=None, **inputs):
    """Return the inputs of a cycle in which ``advances`` advances, or that ``inputs`` begin the nest."""
    return {"begin": 0, "advance": {advances: 1} if advances else {}, **inputs}


@pytest.mark.parametrize("seed", range(12))
def test_the_address_is_start_plus_steps_times_turns(seed):
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 5, len(LOOPS)).tolist()
    moves = [loop for loop in LOOPS if rng.random() < 0.6] or ["c"]
    steps, start = {loop: int(rng.integers(-20, 20)) for loop in moves}, int(rng.integers(-50, 50))
    rows, expected = [strobes(begin=1, start=start, steps=steps)], [None]
    for now, advances in turns(counts):
        place = start + sum(steps[loop] * turn for loop, turn in zip(LOOPS, now) if loop in moves)
        waits = int(rng.integers(0, 3))
        rows += [strobes()] * waits + [strobes(advances)]
        expected += [place] * (waits + 1)
    seen = play(Nest(width=14, loops=LOOPS, moves=moves), [*rows, strobes()], "o")
    assert [o for o, in seen[2:]] == expected[1:], f"seed {seed}"


def test_it_begins_anew_in_the_middle():
    nest = Nest(width=8, loops=LOOPS, moves=("b",))
    rows = [strobes(begin=1, start=5, steps={"b": 3}), strobes("b"), strobes("b"),
            strobes(begin=1, start=-7), strobes("b"), strobes(), strobes()]
    assert [o for o, in play(nest, rows, "o")[2:]] == [5, 8, 11, -7, -4]


@pytest.mark.parametrize("moves", [(), ("a", "x")])
def test_moves_must_be_loops(moves):
    with pytest.raises(ValueError, match="Nest moves must be some of its loops"):
        Nest(width=8, loops=LOOPS, moves=moves)
