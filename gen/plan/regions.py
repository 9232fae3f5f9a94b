"""Where maps, states and currents lie: what never lives at the same time shares memory."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gen.intnet import IntegerNetwork
from gen.layers import INPUT, signed_bits
from gen.plan.passes import Pass
from gen.plan.spilling import Ring, ring_words, rows_ahead, spillable
from gen.plan.tiles import Tiling

__all__ = [
    "WHOLE", "Region", "Room", "count_bits", "map_depth", "place_maps", "place_states", "ring_depth", "wide_depth",
]


@dataclass(frozen=True)
class Room:
    """Words that a group may have on the chip: of weights, of maps, of input maps. None: as many as there are.

    ``map_bits``: of a count in a map's word; maps of wider counts are ``wide``. None: all counts have their bits.
    ``signed``: counts are in two's complement.
    """

    weights: int | None = None
    maps: int | None = None
    image: int | None = None
    map_bits: int | None = None
    signed: bool = False


WHOLE = Room()


@dataclass(frozen=True)
class Region:
    """Where a map lies in its memory: ``base``, words of a position, channels of a word, its size in positions.

    The input has a memory of its own, and begins at 0 of a slot. ``line``: it is stored as one position; ``same``: it
    is the same at all timesteps. In tile order the ``versions`` of any other map, one a timestep, lie in a row, and so
    do frames that are kept together. ``outside``: first word in the memory outside the chip, counted in words of maps
    from the first map there on; its ``base`` is 0 then. ``wide``: its counts have more bits than those of other maps.
    """

    base: int
    words_per_position: int
    tile_channels: int
    rows: int
    columns: int
    line: bool = False
    same: bool = False
    versions: int = 1
    outside: int | None = None
    wide: bool = False

    @property
    def words(self) -> int:
        """Words of one timestep's map."""
        return self.rows * self.columns * self.words_per_position


def place_maps(
    network: IntegerNetwork, passes: list[Pass], tiling: Tiling, room: Room
) -> tuple[dict[tuple[str, int], Region], list[Pass]]:
    """Return {(name, timestep): region} of the input and of every stored map of a stage, and the passes with rings.

    Timestep 0 stands for a map that is overwritten at each timestep, and for the input. In tile order there is a region
    for every timestep, that of timestep 1 tells how many there are. Where the ``room`` does not hold all maps, the
    largest lie outside the chip (`gen.plan.spilling`).
    """
    image, may_spill = _input(network, tiling), spillable(passes) - _wide(network, room)
    spilled = set()
    if room.image is not None and image.words * image.versions > room.image:
        spilled |= {INPUT} & may_spill if not image.line and image.versions == 1 else set()
    made = {p.writes: (i, _own_region(network, p, p.stored in _wide(network, room))) for i, p in enumerate(passes)
            if p.writes and not p.first_channel}
    sizes = {name: region.words for (name, _), (_, region) in made.items() if name in may_spill}
    while True:
        placed = _placed(passes, image, made, spilled)
        largest = max(sizes, key=sizes.__getitem__, default=None)
        if largest is None or room.maps is None or map_depth(*placed) <= room.maps:
            return placed
        del sizes[largest]
        spilled.add(largest)


def count_bits(network: IntegerNetwork, name: str, signed: bool) -> int:
    """Return the bits of the counts of a map, in two's complement if ``signed``."""
    low, high = network.value_ranges[name]
    return signed_bits(low, high) if signed else max(1, high.bit_length())


def _wide(network, room):
    """Return the names of the maps whose counts have more bits than ``room`` has for them."""
    if room.map_bits is None:
        return set()
    return {layer.name for layer in network.layers if layer.emits
            and count_bits(network, layer.name, room.signed) > room.map_bits}


def _own_region(network, p, wide):
    """Return the region of the map that a pass makes, not placed."""
    words = -(-network.shapes[p.stored][0] // p.tile_channels)
    return Region(0, words, p.tile_channels, p.rows, p.columns, versions=p.steps, wide=wide)


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


def _placed(passes, image, made, spilled):
    """Return (regions, passes with rings) where the maps named in ``spilled`` lie outside."""
    last_read = {}
    for i, p in enumerate(passes):
        last_read |= dict.fromkeys((p.writes, *p.reads), i)
    lives = {key: (i, max(last_read[key], i), region.words * region.versions) for key, (i, region) in made.items()}
    regions = {(INPUT, 0): replace(image, outside=0 if INPUT in spilled else None)}
    regions |= {key: region for key, (_, region) in made.items()}
    read = [(i, n, s, regions[key]) for i, p in enumerate(passes) for n, (s, key) in enumerate(zip(p.synapses, p.reads))
            if s.source in spilled]
    kept, out = ([key for key in made if (key[0] in spilled) == outside] for outside in (False, True))
    kept.sort(key=lambda key: not made[key][1].wide)  # those come first, so that few words have more bits
    wide = sum(made[key][1].wide for key in kept)
    of_maps, of_input = (
        [(i, n, ring_words(passes[i], s, region)) for i, n, s, region in read if (s.source == INPUT) == own]
        for own in (False, True)
    )
    ring_lives, map_lives = [(i, i, words, words) for i, _, words in of_maps], [(*lives[key], 1) for key in kept]
    bases = _share([*map_lives[:wide], *ring_lives, *map_lives[wide:]])
    of_rings, of_kept = bases[wide : wide + len(of_maps)], [*bases[:wide], *bases[wide + len(of_maps) :]]
    of_rings += _share([(i, i, words, words) for i, _, words in of_input])  # a memory of its own
    rings = {(i, n): Ring(base, words) for (i, n, words), base in zip([*of_maps, *of_input], of_rings)}
    for (name, first), base in zip(kept, of_kept):
        region = made[name, first][1]
        regions |= {(name, first + n): replace(region, base=base + n * region.words) for n in range(region.versions)}
    bases = _share([(*lives[key], 1) for key in out])
    regions |= {key: replace(made[key][1], outside=base) for key, base in zip(out, bases)}
    return regions, [_with_rings(p, i, rings, regions) for i, p in enumerate(passes)]


def _with_rings(p, number, rings, regions):
    own = tuple(rings.get((number, n)) for n in range(len(p.synapses)))
    if not any(own):
        return p
    sources = [(s, regions[key], ring) for s, key, ring in zip(p.synapses, p.reads, own) if ring]
    return replace(p, rings=own, ahead=rows_ahead(p, sources))


def _input(network, tiling):
    channels, rows, columns = network.source.shape
    if tiling.line:
        channels, rows, columns = channels * rows * columns, 1, 1
    same = network.source.kind == "direct"
    words = -(-channels // tiling.image_tile)
    return Region(0, words, tiling.image_tile, rows, columns, tiling.line, same, tiling.kept)


def place_states(network: IntegerNetwork, passes: list[Pass]) -> tuple[list[Pass], int, int]:
    """Return the passes with a place for states and kept currents, and the words that a neuron has of both.

    Neurons that live for one update have no state. In tile order every tile begins at the first word again. A layer of
    a two-phase network lives from its first pass to its last; in any other network each layer lives all the time.
    """
    if any(p.steps > 1 for p in passes):
        fires = [p.beats for p in passes if p.layer.fires]
        keeps = [p.beats for p in passes if p.keep]
        return passes, max(fires, default=0), max(keeps, default=0)
    lives = _lives(network, passes) if network.timesteps > 1 else {}
    bases, states, currents, placed = dict(zip(lives, _share(lives.values()))), 0, 0, []
    for p in passes:
        base = bases.get((p.layer.name, p.first_channel))
        placed.append(replace(p, state=base or 0, current=currents if p.keep else 0))
        states = max(states, base + p.state_words) if base is not None else states
        currents += p.state_words if p.keep else 0
    return placed, states, currents


def _lives(network, passes):
    """Return {(layer, first channel): (first pass, last pass, words, 1)} of the layers with states."""
    lives = {}
    for i, p in enumerate(passes):
        if p.layer.fires:
            key = p.layer.name, p.first_channel
            first = lives[key][0] if key in lives else i
            life = (first, i) if network.two_phase else (0, len(passes))
            lives[key] = *life, p.state_words, 1
    return lives


def _share(lives):
    """Return the base of every (first pass, last pass, size, alignment), so that what lives together lies apart."""
    placed = []
    for born, died, size, whole in lives:
        base = 0
        for start, end in sorted((base, end) for b, d, base, end in placed if b <= died and born <= d):
            if base + size <= start:
                break
            base = max(base, -(-end // whole) * whole)
        placed.append((born, died, base, base + size))
    return [base for _, _, base, _ in placed]
