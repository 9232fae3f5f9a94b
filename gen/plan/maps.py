"""Where the maps of a stage lie: on the chip, where what never lives at the same time shares memory, or outside it."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace

from gen.intnet import IntegerNetwork
from gen.layers import INPUT, signed_bits
from gen.plan.passes import Pass
from gen.plan.regions import Region, Room, share_memory
from gen.plan.spilling import ring_words, rows_ahead, spillable
from gen.plan.tiles import Tiling
from gen.plan.walk import Ring

__all__ = ["count_bits", "map_depth", "place_maps", "ring_depth", "wide_depth"]


def place_maps(
    network: IntegerNetwork, passes: list[Pass], tiling: Tiling, room: Room, images: int = 1
) -> tuple[dict[tuple[str, int], Region], list[Pass]]:
    """Return {(name, timestep): region} of the input and of every stored map of a stage, and the passes with rings.

    Timestep 0 stands for a map that is overwritten at each timestep, and for the input. In tile order there is a region
    for every timestep, that of timestep 1 tells how many there are. In a batch of ``images`` a map of which each has
    its own has a region for every one, counted from 0. Where the ``room`` does not hold all maps, the largest lie
    outside the chip (`gen.plan.spilling`).
    """
    wide, image = _wide(network, room), _input(network, tiling)
    own = frozenset().union(*(p.per_image for p in passes))
    may_spill, first = spillable(passes) - wide - own, []
    if room.image is not None and image.words * image.versions > room.image and INPUT in may_spill:
        first = [INPUT] if not image.line and image.versions == 1 else []
    maps = _Maps(network, passes, image, wide, images)
    names = sorted((name for name, _ in maps.made if name in may_spill), key=maps.words, reverse=True)
    number = 0
    if (most := room.maps) is not None:
        number = bisect_left(range(len(names)), True, key=lambda n: maps.placed({*first, *names[:n]})[1] <= most)
    regions, _, rings = maps.placed({*first, *names[:number]})
    return regions, [_with_rings(p, i, rings, regions) for i, p in enumerate(passes)]


def count_bits(network: IntegerNetwork, name: str, signed: bool) -> int:
    """Return the bits of the counts of a map, in two's complement if ``signed``."""
    low, high = network.value_ranges[name]
    return signed_bits(low, high) if signed else max(1, high.bit_length())


def map_depth(regions, passes) -> int:
    """Return the words of the memory of maps, of ``regions`` by keys that end with (name, timestep)."""
    maps = [r.base + r.words for (*_, name, _), r in regions.items() if name != INPUT and r.outside is None]
    return max([1, *maps, ring_depth(passes, of_input=False)])


def wide_depth(regions) -> int:
    """Return the words of the memory of maps up to the end of the last wide one."""
    return max([0, *(r.base + r.words for r in regions.values() if r.wide)])


def ring_depth(passes, of_input: bool) -> int:
    """Return the words that the rings of the input, or of the maps, take at most."""
    return max([0, *(ring.base + ring.words for p in passes for s, ring in zip(p.synapses, p.rings)
                     if ring and (s.source == INPUT) == of_input)])


def _wide(network, room):
    """Return the names of the maps whose counts have more bits than ``room`` has for them."""
    if room.map_bits is None:
        return set()
    return {layer.name for layer in network.layers if layer.emits
            and count_bits(network, layer.name, room.signed) > room.map_bits}


def _input(network, tiling):
    channels, rows, columns = network.source.shape
    if tiling.line:
        channels, rows, columns = channels * rows * columns, 1, 1
    same = network.source.kind == "direct"
    if tiling.strips:
        channels, rows, columns = tiling.strips.values, tiling.strips.stored_rows, tiling.strips.columns
    words = -(-channels // tiling.image_tile)
    return Region(0, words, tiling.image_tile, rows, columns, tiling.line, tiling.strips, same, tiling.kept)


class _Maps:
    """The maps of a stage: how large they are, from which pass to which they live, and their rings if they spill."""

    def __init__(self, network, passes, image, wide, images):
        self._image, self.made, self._lives = image, {}, {}
        last_read = {}
        for i, p in enumerate(passes):
            last_read |= dict.fromkeys((p.writes, *p.reads), i)
        for i, p in enumerate(passes):
            if p.writes and not p.first_channel:
                words = -(-network.shapes[p.stored][0] // p.tile_channels)
                own = p.stored in p.per_image
                region = Region(
                    0, words, p.tile_channels, p.rows, p.columns, versions=images if own else p.steps,
                    wide=p.stored in wide)
                self.made[p.writes] = region
                life = (0, len(passes)) if own else (i, max(last_read[p.writes], i))  # until the last image's tail
                self._lives[p.writes] = *life, region.words * region.versions, 1
        regions = {(INPUT, 0): image, **self.made}
        may_spill = spillable(passes)
        self._rings = [(i, n, s.source, ring_words(p, s, regions[key])) for i, p in enumerate(passes)
                       for n, (s, key) in enumerate(zip(p.synapses, p.reads)) if s.source in may_spill]

    def words(self, name):
        """Return the words of a map that may spill."""
        return self.made[name, 0].words

    def placed(self, spilled):
        """Return (regions, words of the memory of maps, {(pass, synapse): ring}) where those in ``spilled`` do so."""
        kept, out = ([key for key in self.made if (key[0] in spilled) == outside] for outside in (False, True))
        kept.sort(key=lambda key: not self.made[key].wide)  # those come first, so that few words have more bits
        wide = sum(self.made[key].wide for key in kept)
        of_maps, of_input = (
            [ring for ring in self._rings if ring[2] in spilled and (ring[2] == INPUT) == own] for own in (False, True))
        ring_lives, map_lives = [_life(ring) for ring in of_maps], [self._lives[key] for key in kept]
        lives = [*map_lives[:wide], *ring_lives, *map_lives[wide:]]
        bases = share_memory(lives)
        depth = max([1, *(base + words for base, (*_, words, _) in zip(bases, lives))])
        of_rings = bases[wide : wide + len(of_maps)] + share_memory([_life(ring) for ring in of_input])
        rings = {(i, n): Ring(base, words) for (i, n, _, words), base in zip([*of_maps, *of_input], of_rings)}
        regions = {(INPUT, 0): replace(self._image, outside=0 if INPUT in spilled else None)}
        for (name, first), base in zip(kept, [*bases[:wide], *bases[wide + len(of_maps) :]]):
            region = self.made[name, first]
            regions |= {
                (name, first + n): replace(region, base=base + n * region.words) for n in range(region.versions)}
        bases = share_memory([self._lives[key] for key in out])
        regions |= {key: replace(self.made[key], outside=base) for key, base in zip(out, bases)}
        return regions, depth, rings


def _life(ring):
    """Return that of a ring, whose place is a multiple of its size, for `gen.plan.regions.share_memory`."""
    number, _, _, words = ring
    return number, number, words, words


def _with_rings(p, number, rings, regions):
    own = tuple(rings.get((number, n)) for n in range(len(p.synapses)))
    if not any(own):
        return p
    sources = [(s, regions[key], ring) for s, key, ring in zip(p.synapses, p.reads, own) if ring]
    return replace(p, rings=own, ahead=rows_ahead(p, sources))
