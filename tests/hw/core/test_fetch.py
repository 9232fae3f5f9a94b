"""`hw.core.fetch` alone: what vanishes, when an entry comes, how masks and bit planes are made."""

import numpy as np
import pytest

from hw.core.fetch import LATENCY, Fetch
from tests.kit.streams import play

QUIET = {"request_valid": 0, "tile_valid": 0}
REQUEST = {"word": 1, "end": 0, "image": 0, "dense": 0, "hit": 1, "address": 3, "column": 2, "columns": 4, "weight": 9,
           "active": 2}


def ask(fetch, request, *, layer=None, tile=None, **held):
    """Send one request and return (cycles until the entry, entry), or None if it vanished."""
    rows = [{"tile_valid": 1, "tile": tile or {}, "layer": layer or {}, **held},
            {**QUIET, "request_valid": 1, "request": request}, *[QUIET] * 8]
    seen = play(fetch, rows, "o_valid", "o")
    come = [(cycle - 1, entry) for cycle, (valid, entry) in enumerate(seen) if valid]
    assert len(come) <= 1, "one request, more than one entry"
    return come[0] if come else None


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("column, hit, comes", [(0, 1, 1), (3, 1, 1), (4, 1, 0), (-1, 1, 0), (-128, 1, 0), (2, 0, 0)])
def test_words_off_the_map_vanish_and_others_come_in_time(sizes, groups, column, hit, comes):
    came = ask(Fetch(sizes(groups=groups), 0), {**REQUEST, "column": column, "hit": hit}, map_word=[1, 0, 5, 0])
    assert (came is not None) == comes
    if comes:
        cycles, entry = came
        assert cycles == LATENCY - (groups == 1)
        assert (entry["mask"], entry["weight"], entry["active"], entry["last"]) == (0b0101, 9, 2, 0)
        assert entry["word"] & 0xFFFF == 0b0000_0100_0000_0101, "bit planes: the lowest bits of all lanes come first"


@pytest.mark.parametrize("word, column, hit", [(0, 99, 0), (0, 2, 1), (1, 99, 1), (1, 2, 0)])
def test_an_end_alone_or_with_a_word_off_the_map_is_no_word(sizes, word, column, hit):
    request = {**REQUEST, "word": word, "end": 1, "column": column, "hit": hit, "dense": 1}
    _, entry = ask(Fetch(sizes(), 0), request, map_word=[7, 7, 7, 7])
    assert (entry["mask"], entry["dense"], entry["last"]) == (0, 0, 1)


def test_an_end_comes_with_its_word(sizes):
    _, entry = ask(Fetch(sizes(), 0), {**REQUEST, "end": 1, "dense": 1}, map_word=[7, 0, 7, 7])
    assert (entry["mask"], entry["dense"], entry["last"]) == (0b1101, 1, 1)


def test_the_input_is_read_in_its_slot(sizes):
    p = sizes(image_tile=3, image_words=24, image_slots=2)
    fetch = Fetch(p, 0)
    rows = [{"slot": 1, "image_word": [0, -256, 3], "map_word": [1, 1, 1, 1], "request_valid": 1,
             "request": {**REQUEST, "image": 1, "address": 21}}, *[QUIET] * 6]
    seen = play(fetch, rows, "image_address", "o_valid", "o")
    assert seen[1][0] == 2 * 21 + 1, "the slots of a word lie side by side"
    assert [entry["mask"] for _, valid, entry in seen if valid] == [0b110]


@pytest.mark.parametrize("signed, maximum, dense, mask", [(1, 1, 1, 15), (1, 1, 0, 2), (1, 0, 1, 2), (0, 1, 1, 2)])
def test_zeros_take_part_in_a_maximum_of_both_signs(sizes, signed, maximum, dense, mask):
    _, entry = ask(Fetch(sizes(signed=signed), 0), {**REQUEST, "dense": dense}, layer={"maximum": maximum},
                   map_word=[0, 3, 0, 0])
    assert entry["mask"] == mask


@pytest.mark.parametrize("number, part_bits, address, column", [
    (0, 1, 3, 2), (1, 0, 13, 3), (1, 1, 103, 2), (2, 0, 23, 4), (2, 1, 13, 3), (2, 2, 203, 2),
    (3, 0, 33, 5), (3, 1, 113, 3), (3, 2, 303, 2),
])
def test_every_group_moves_to_its_position_and_part(sizes, number, part_bits, address, column):
    request = {**REQUEST, "position_step": 10, "position_columns": 1, "part_step": 100}
    layer = {"part_bits": part_bits, "positions": 3, "last_positions": 3, "last_parts": 3}
    for columns, comes in ((column + 1, True), (column, False)):
        rows = [{"tile_valid": 1, "layer": layer},
                {**QUIET, "request_valid": 1, "request": {**request, "columns": columns}}, *[QUIET] * 8]
        seen = play(Fetch(sizes(groups=4, map_words=512), number), rows, "map_address", "o_valid")
        assert seen[3][0] == address
        assert any(valid for _, valid in seen) == comes


@pytest.mark.parametrize("number, part_bits, address", [(0, 2, 3), (1, 1, 103), (2, 1, 3), (3, 2, 303)])
def test_a_group_without_windows_moves_to_its_part(sizes, number, part_bits, address):
    """However far: of grouped channels a step may be many words."""
    request = {name: value for name, value in REQUEST.items() if name not in ("column", "columns", "hit")}
    rows = [{"tile_valid": 1, "layer": {"part_bits": part_bits, "last_parts": 3}},
            {**QUIET, "request_valid": 1, "request": {**request, "part_step": 100}}, *[QUIET] * 8]
    seen = play(Fetch(sizes(groups=4, map_words=512, windows=0), number), rows, "map_address")
    assert seen[3][0] == address


def test_sitting_out_lasts_for_the_tile(sizes):
    rng = np.random.default_rng(4)
    layer = {"part_bits": 1, "positions": 1, "last_positions": 0, "last_parts": 0}
    rows, wanted = [{"layer": layer}], []
    for number in range(60):
        tile = {"last_column": int(rng.random() < 0.3), "last_tile": int(rng.random() < 0.3)}
        rows += [{**QUIET, "tile_valid": 1, "tile": tile}] * int(number % 2)
        begin = {} if number % 2 else {"tile_valid": 1, "tile": tile}
        for end in (0, 1):
            rows.append({**QUIET, **begin, "request_valid": 1, "request": {**REQUEST, "end": end, "weight": number}})
            begin = {}
            wanted += [] if tile["last_column"] or tile["last_tile"] else [(number, end)]
    seen = play(Fetch(sizes(groups=4), 3), [*rows, *[QUIET] * 8], "o_valid", "o")
    assert [(entry["weight"], entry["last"]) for valid, entry in seen if valid] == wanted


@pytest.mark.parametrize("last_parts, last_tile, works", [(1, 1, 2), (1, 0, 4), (2, 1, 4)])
@pytest.mark.parametrize("wanted", [4, 1])
def test_the_last_part_counts_the_lanes_of_its_own_tile(sizes, last_parts, last_tile, works, wanted):
    """Group 1 has part 1: its last tile is short only if that part is the last one there."""
    layer = {"part_bits": 2, "last_parts": last_parts, "lanes": 3, "lanes_last": 1}
    _, entry = ask(Fetch(sizes(groups=4), 1), {**REQUEST, "active": wanted}, layer=layer,
                   tile={"last_tile": last_tile}, map_word=[1, 1, 1, 1])
    assert entry["active"] == min(wanted, works)


@pytest.mark.parametrize("groups, number", [(1, 0), (4, 2)])
@pytest.mark.parametrize("image", [0, 1])
def test_the_words_of_a_ring_lie_one_behind_the_other_again_and_again(sizes, groups, number, image):
    """Of the input too, which has no slots then; addresses above the memory and below 0 come round as well."""
    p = sizes(groups=groups, map_words=64, spilled=500, outside=1000, image_ring=32, image_words=500)
    rng, layer = np.random.default_rng(groups + image), {"part_bits": 2, "last_parts": 3}
    asked = []
    for _ in range(40):
        words = 1 << int(rng.integers(0, 6))
        asked.append((int(rng.integers(-40, 500)), words, words * int(rng.integers(64 // words)),
                      int(rng.integers(-3, 9)) * (groups > 1)))
    asked.append((45, 64, 0, 0))  # what has no ring: every bit counts
    steps = {"position_step": 0, "position_columns": 0} if groups > 1 else {}
    requests = [
        {**REQUEST, "image": image, "address": address, "ring_mask": words - 1, "ring_base": base, **steps,
         **({"part_step": step} if groups > 1 else {})}
        for address, words, base, step in asked]
    rows = [{"tile_valid": 1, "layer": layer if groups > 1 else {}, "slot": 1},
            *({**QUIET, "request_valid": 1, "request": request} for request in requests), *[QUIET] * 8]
    seen = play(Fetch(p, number), rows, "image_address" if image else "map_address")
    late = 2 + (groups > 1)
    for (address, words, base, step), (place,) in zip(asked, seen[late:]):
        wanted = base + (address + number * step) % words
        assert place == wanted % (32 if image else 64), f"{address} in {words} words from {base} on"


@pytest.mark.parametrize("signed", [0, 1])
def test_counts_of_wide_maps_have_their_upper_bits_and_others_their_sign(sizes, signed):
    p = sizes(count_bits=7, map_bits=3, wide=16, signed=signed)
    rng, low = np.random.default_rng(signed), -64 * signed
    words = [rng.integers(low, low + 128, 4).tolist() for _ in range(20)] + [[0, 8, 64 + 2 * low, 1], [0, 0, 0, 0]]
    if signed:
        words.append([-1, -8, -64, -4])
    rows, wanted = [{"tile_valid": 1}], []
    for count in (7, 3):
        for word in words:
            word = [_wrapped(lane, count, signed) for lane in word]
            upper = [lane >> 3 & 15 for lane in word] if count == 7 else rng.integers(16, size=4).tolist()
            narrow = [_wrapped(lane, 3, signed) for lane in word]
            rows += [{**QUIET, "request_valid": 1, "request": {**REQUEST, "wide": int(count == 7)},
                      "map_word": narrow, "wide_word": upper}, *[QUIET] * 7]
            wanted.append((word, sum((lane != 0) << n for n, lane in enumerate(word))))
    entries = [entry for valid, entry in play(Fetch(p, 0), rows, "o_valid", "o") if valid]
    got = [[_wrapped(sum((entry["word"] >> 4 * bit + lane & 1) << bit for bit in range(7)), 7, signed)
            for lane in range(4)] for entry in entries]
    assert list(zip(got, [entry["mask"] for entry in entries])) == wanted


def _wrapped(count, bits, signed):
    count %= 1 << bits
    return count - (1 << bits) if signed and count >> bits - 1 else count
