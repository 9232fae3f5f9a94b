"""What the tests of the front share: random memories and requests, and what they come to in plain Python."""

import numpy as np

from gen.plan.memories import MemorySpec


def packed(values, bits):
    """Return lanes side by side as a number."""
    return sum((int(value) & (1 << bits) - 1) << (bits * lane) for lane, value in enumerate(values))


class Memories:
    """Random maps, input and weights of a core, the weights those of a narrow layer or not.

    ``empty`` is the chance that a word has no count, ``zeros`` that a lane of another has none.
    """

    def __init__(self, rng, p, *, empty=0.3, zeros=0.5, ones=False, narrow=False):
        self._p, self._narrow = p, narrow
        low = -(1 << p.count_bits - 1) if p.signed else 0
        self.maps = self._sparse(rng, low, (1 << p.count_bits - p.signed), (p.map_words, p.width), empty, zeros)
        half = 1 << p.value_bits - 1
        self.image = self._sparse(rng, -half, half, (p.image_depth, p.image_tile), empty, zeros)
        half = 1 << (p.weight_bits >> narrow) - 1
        self.weights = rng.integers(-half, half, (p.weights << narrow, p.width))
        if ones:
            self.weights[:] = 1

    @staticmethod
    def _sparse(rng, low, high, shape, empty, zeros):
        words = rng.integers(low, high, shape) * (rng.random(shape) >= zeros)
        return words * (rng.random((shape[0], 1)) >= empty)

    def contents(self):
        """Return {name: (spec, words as numbers)} of group 0."""
        p = self._p
        return {
            "maps": (MemorySpec("maps", p.width * p.count_bits, len(self.maps)),
                     [packed(word, p.count_bits) for word in self.maps]),
            "image": (MemorySpec("image", p.image_tile * p.value_bits, len(self.image)),
                      [packed(word, p.value_bits) for word in self.image]),
            "weights": (MemorySpec("weights", p.width * p.weight_bits, p.weights, latency=2 - p.narrow), self._rows()),
        }

    def _rows(self):
        p = self._p
        if not self._narrow:
            return [packed(row, p.weight_bits) for row in self.weights]
        half = p.weight_bits // 2
        rows = self.weights & (1 << half) - 1
        return [packed(row, p.weight_bits) for row in rows[0::2] | rows[1::2] << half]


def draw_tile(rng, p, memories, words, *, image=0.2, dense=0.3, on=0.9, joined=0.7):
    """Return the requests of a tile of so many words, its end with the last one or behind it."""
    requests = []
    for _ in range(words):
        from_image = rng.random() < image
        depth, lanes = (p.image_words, p.image_tile) if from_image else (p.map_words, p.width)
        whole = bool(p.dense and not from_image and rng.random() < dense)
        columns = int(rng.integers(1, 20))
        requests.append({
            "word": 1, "end": 0, "image": int(from_image), "dense": int(whole), "hit": int(rng.random() < on),
            "address": int(rng.integers(0, depth // (2 if p.groups > 1 else 1))),
            "column": int(rng.integers(-2, columns + 2) if on < 1 else rng.integers(columns)), "columns": columns,
            "weight": int(rng.integers(0, len(memories.weights) - (0 if whole else lanes))),
            "active": int(rng.integers(0, p.width + 1)),
            **({"position_step": int(rng.integers(0, 5)), "position_columns": int(rng.integers(0, 3)),
                "part_step": int(rng.integers(0, 5))} if p.groups > 1 else {}),
        })
    if requests and rng.random() < joined:
        requests[-1]["end"] = 1
        return requests
    return [*requests, {**(requests[-1] if requests else {}), "word": 0, "end": 1, "dense": 0}]


def group_takes(layer, number, tile):
    """Return (the group takes part in the tile, its position, its part)."""
    part_bits = layer.get("part_bits", 0)
    position, part = number >> part_bits, number % (1 << part_bits)
    takes = position <= layer.get("positions", 0) \
        and not (tile["last_column"] and position > layer.get("last_positions", 0)) \
        and not (tile["last_tile"] and part > layer.get("last_parts", 0))
    return takes, position, part


def words_of(p, memories, requests, *, slot=0, layer=(), position=0, part=0):
    """Return the words on the map that a group reads: (request, lanes, mask of lanes that are looked at)."""
    layer, read = dict(layer), []
    for request in requests:
        if not request["word"]:
            continue
        column = request["column"] + position * request.get("position_columns", 0)
        if not request["hit"] or not 0 <= column < request["columns"]:
            continue
        address = request["address"] + position * request.get("position_step", 0) + part * request.get("part_step", 0)
        if request["image"]:
            lanes = memories.image[(address << p.slot_bits) + slot]
        else:
            lanes = memories.maps[address]
        full = request["dense"] and layer.get("maximum") and p.signed
        read.append((request, lanes, [lane for lane, value in enumerate(lanes) if value or full]))
    return read


def lanes_of(p, layer, part, tile):
    """Return how many lanes do work for a tile of a group at most."""
    short = p.groups > 1 and tile["last_tile"] and part == layer.get("last_parts", 0)
    return layer.get("lanes_last", 0) + 1 if short else p.width


def events_of(words, lanes_at_work):
    """Return the events of a tile: (value or lanes, weight address, lanes that do work)."""
    events = []
    for request, lanes, mask in words:
        if not mask:
            continue
        active = min(request["active"], lanes_at_work)
        if request["dense"]:
            work = sum(value != 0 for value in lanes) if active else 0
            events.append((lanes, request["weight"], work))
        else:
            events += [(int(lanes[lane]), request["weight"] + lane, active) for lane in mask]
    return events


def sums_of(p, events, weights, *, maximum=False):
    """Return the sums of the lanes, or the largest products."""
    if not events:
        return [0] * p.width
    products = [np.asarray(value) * weights[at] for value, at, _ in events]
    return (np.max(products, axis=0) if maximum else np.sum(products, axis=0)).tolist()
