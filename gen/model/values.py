"""What flows along the edges of a model's graph while a door walks it: constants and views.

A constant is a float64 array. Everything else is a `View`: numbers picked from one or several parts, in any shape and
order. A part is a `Map`, which a layer emits (or the image), or a `Current`, a sum of synapses that still waits for
what follows it. Reshape, transpose, slice, concatenation, zero padding and nearest upsampling change the ``index`` of
a view alone (`gen.model.views`); what computes reads it back as windows over maps (`gen.model.planes`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from gen.model.network import FloatPool, FloatSynapse
from gen.model.refusal import Refused

__all__ = ["Current", "Map", "View", "is_constant"]


def is_constant(value: object) -> bool:
    """Return whether ``value`` is a weight or another constant array."""
    return isinstance(value, np.ndarray | np.generic)


@dataclass(frozen=True)
class Map:
    """What the layer ``name`` emits: ``shape`` (C, H, W), whether it may be below zero, its ceiling if it has one."""

    name: str
    shape: tuple[int, int, int]
    signed: bool = False
    ceiling: float | None = None


@dataclass(frozen=True, eq=False)
class Current:
    """A sum of synapses of shape ``summed`` (C, H, W) before its activation.

    ``pools`` are max pools between the two: they commute with any activation that never falls. ``biases`` are summed
    at the end, rounded once: the order of additions leaves no trace. ``name`` is the site that the layer is called by.
    """

    name: str
    summed: tuple[int, int, int]
    synapses: tuple[FloatSynapse, ...]
    biases: tuple[np.ndarray, ...]
    pools: tuple[FloatPool, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape behind the pools."""
        shape = self.summed
        for pool in self.pools:
            shape = pool.output_shape(shape)
        return shape

    @property
    def bias(self) -> np.ndarray:
        """The bias, float64 [C]."""
        return np.array([math.fsum(parts) for parts in zip(*self.biases)])


@dataclass(frozen=True, eq=False)
class View:
    """Numbers of shape ``seen``, the shape that the model gives them, without N.

    parts : the flattened parts, one after another, are what ``index`` counts; empty for a stand-in of unknown shape
    index : int32 of shape ``seen``, -1 for the constant zero; None for a single part, all of it in its own order
    factor, shift : float64 that broadcast to ``seen``: the numbers are picked * factor + shift; None for 1 and 0
    decode : what the host applies to these numbers, which are an output: sigmoid, softmax or log_softmax
    origin : the site that the layer of factor and shift is called by, should they need one
    """

    parts: tuple[Map | Current, ...]
    seen: tuple[int, ...]
    index: np.ndarray | None = None
    factor: np.ndarray | None = None
    shift: np.ndarray | None = None
    decode: str = ""
    origin: str = ""

    @classmethod
    def whole(cls, part: Map | Current, seen: tuple[int, ...] | None = None) -> View:
        """Return all of ``part``, in ``seen`` or in its own shape."""
        return cls((part,), part.shape if seen is None else tuple(seen))

    @classmethod
    def picked(cls, parts: tuple[Map | Current, ...], index: np.ndarray, **known) -> View:
        """Return what ``index`` picks, in its simplest form: parts once each, those that nothing reads dropped."""
        starts = np.cumsum([0, *(prod(part.shape) for part in parts)])
        firsts: dict[object, int] = {}
        kept, moves, end = [], [], 0
        flat = index.ravel()
        for part, start, stop in zip(parts, starts, starts[1:]):
            key = part if isinstance(part, Map) else id(part)
            inside = (flat >= start) & (flat < stop) if len(parts) > 1 else flat >= 0
            if key not in firsts and inside.any():
                firsts[key] = end
                kept.append(part)
                end += stop - start
            moves.append((inside, firsts.get(key, 0) - start))
        result = np.full(flat.shape, -1, np.int32)
        for inside, move in moves:
            result[inside] = flat[inside] + move
        if not kept:
            raise Refused("picks nothing but zeros", "parts of the map itself")
        whole = len(kept) == 1 and result.size == end and (result == np.arange(end)).all()
        return cls(tuple(kept), index.shape, None if whole else result.reshape(index.shape), **known)

    @property
    def starts(self) -> np.ndarray:
        """Where each part begins in what ``index`` counts."""
        return np.cumsum([0, *(prod(part.shape) for part in self.parts)])[:-1]

    @property
    def flat(self) -> np.ndarray:
        """The index, of shape ``seen``, also where it is None."""
        if self.index is not None:
            return self.index
        return np.arange(prod(self.seen), dtype=np.int32).reshape(self.seen)

    @property
    def current(self) -> Current | None:
        """The only part, if it is a current and each of its numbers is seen once; else None."""
        only = self.parts[0] if len(self.parts) == 1 and self.factor is None and self.shift is None else None
        if not isinstance(only, Current):
            return None
        if self.index is None or np.array_equal(np.sort(self.index, axis=None), np.arange(prod(only.shape))):
            return only
        return None

    @property
    def pending(self) -> bool:
        """Whether some part is a current."""
        return any(isinstance(part, Current) for part in self.parts)

    def moved(self, move: Callable[[np.ndarray, float], np.ndarray]) -> View:
        """Return the numbers that ``move`` picks; it takes an array of shape ``seen`` and what an empty place holds."""
        known = {name: None if value is None else move(np.broadcast_to(value, self.seen), empty)
                 for name, value, empty in (("factor", self.factor, 1.0), ("shift", self.shift, 0.0))}
        return View.picked(self.parts, move(self.flat, -1), **known, decode=self.decode, origin=self.origin)

    def with_parts(self, parts: Iterable[Map | Current]) -> View:
        """Return the same picks from ``parts`` of the same shapes in place of its own."""
        return replace(self, parts=tuple(parts))
