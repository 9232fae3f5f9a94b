"""The golden model, twice: `sim.golden.plain` to be checked by eye, and `Golden`, fast, which equals it."""

from sim.golden.device import Golden
from sim.golden.exits import exits, scores
from sim.golden.plain import Trace

__all__ = ["Golden", "Trace", "exits", "scores"]
