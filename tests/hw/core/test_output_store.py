"""`hw.core.output_store`: each reader reads when it is its turn, what was written before."""

import pytest

from hw.core.output_store import OutputStore
from tests.kit.streams import play


@pytest.mark.parametrize("groups, number", [(1, 0), (2, 1)])
def test_every_reader_reads_in_its_turn(sizes, groups, number):
    store = OutputStore(sizes(outputs=16, acc_bits=24, groups=groups, shared=groups - 1), number)
    rows = [{"write": {"enable": 1, "address": n, "data": 100 + n}} for n in range(16)]
    rows.append({"write": {}, "firing_address": 3, "decision_address": 7, "result_address": 12})
    turns = [{}, {"answers": 1}, {"decides": 1}, {"decides": 1, "answers": 0}, {"decides": 0}]
    seen = play(store, [*rows, *turns, {}, {}], "data")
    assert [value for value, in seen[len(rows) + 2:]] == [103, 112, 107, 107, 103]
