# amaranth: UnusedElaboratable=no
"""`hw.core.memory` against a list, over kinds, latencies and the widths of its columns; `hw.core.single_port`."""

import numpy as np
import pytest
from amaranth.back import rtlil

from gen.plan.memories import BLOCK, SINGLE_PORT, MemorySpec, memory_table
from hw.core.memory import CoreMemory
from hw.core.single_port import CELL
from tests.kit.streams import play


def draw(rng, bits):
    return int.from_bytes(rng.bytes(-(-bits // 8)), "little") & ((1 << bits) - 1)


@pytest.mark.parametrize("latency", [1, 2])
@pytest.mark.parametrize("depth, width", [
    (1, 5), (7, 100), (16, 40), (33, 40), (600, 40), (1100, 20), (2100, 36), (4100, 40), (5000, 48),
    *(pytest.param(*large, marks=pytest.mark.slow) for large in ((17078, 48), (33000, 40))),
])
def test_words_are_kept_and_read_after_the_latency(depth, width, latency):
    rng = np.random.default_rng(depth)
    words = [draw(rng, width) for _ in range(depth)]
    memory = CoreMemory(MemorySpec("maps_0", width, depth, BLOCK, latency), list(words))
    rows, expected = [], []
    for _ in range(120):
        where, at = (int(a) for a in rng.choice([rng.integers(depth), max(0, depth - 1 - rng.integers(5))], 2))
        value, enable = draw(rng, width), int(rng.random() < 0.5)
        rows.append({"write.enable": enable, "write.address": where, "write.data": value, "address": at})
        expected.append(words[at])
        if enable:
            words[where] = value
    seen = play(memory, [*rows, *[{"write.enable": 0}] * latency], "data")
    assert [data for data, in seen[latency:]] == expected[: len(seen) - latency], f"seed {depth}"


@pytest.mark.parametrize("name", ["limits", "parameters_1"])
def test_the_load_port_fills_the_memory_of_its_bit(sizes, name):
    params = sizes(groups=2, parameters=40)
    spec, rng = memory_table(params)[name], np.random.default_rng(3)
    code = [other.name for other in memory_table(params).values() if other.loadable].index(name)
    words = [draw(rng, spec.width) for _ in range(spec.depth)]
    rows = [{"load.write": 1 << code, "load.address": i, "load.data": word} for i, word in enumerate(words)]
    rows.append({"load.write": (1 << 6) - 1 - (1 << code), "load.address": 0, "load.data": words[0] ^ 1})
    rows += [{"load.write": 0, "address": i} for i in range(spec.depth)] + [{}] * spec.latency
    seen = play(CoreMemory(spec, params=params), rows, "data")
    assert [data for data, in seen[len(words) + 1 + spec.latency :]] == words


def test_a_latency_that_no_memory_has():
    with pytest.raises(ValueError, match="latency of memory maps_0 must be 1 or 2, not 3"):
        CoreMemory(MemorySpec("maps_0", 8, 8, BLOCK, 3))


@pytest.mark.parametrize("depth, width, columns", [
    (512, 36, 1), (512, 64, 2), (2048, 128, 15), (8, 128, 1), (2000, 32, 1), (5000, 32, 10), (6400, 128, 64),
    pytest.param(17078, 128, 136, marks=pytest.mark.slow),
])
def test_columns_fill_one_block_each(depth, width, columns):
    text = rtlil.convert(CoreMemory(MemorySpec("maps_0", width, depth)), name="memory", emit_src=False)
    assert text.count("  memory width ") == columns


@pytest.mark.parametrize("width, depth, blocks", [
    (8, 100, 1), (16, 16384, 1), (32, 3000, 2), (16, 16385, 2), (24, 20000, 4),
])
def test_single_port_blocks_side_by_side_and_in_banks(width, depth, blocks):
    memory = CoreMemory(MemorySpec("weights_0", width, depth, SINGLE_PORT))
    assert rtlil.convert(memory, name="memory", emit_src=False).count(f"cell \\{CELL} ") == blocks


def test_a_loadable_memory_in_single_port_ram(sizes):
    params = sizes(spram=1)
    memory = CoreMemory(memory_table(params)["weights_0"], params=params)
    assert rtlil.convert(memory, name="memory", emit_src=False).count(f"cell \\{CELL} ") == 2
