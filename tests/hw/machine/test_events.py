"""`hw.machine.events` against a dictionary."""

import numpy as np
import pytest

from hw.machine.events import EventStore
from tests.kit.streams import play


@pytest.mark.parametrize("seed", range(3))
def test_events_and_pointers_are_read_back(sizes, seed):
    rng = np.random.default_rng(seed)
    params = sizes()
    events, pointers = {}, {}
    rows, wanted = [], []
    for _ in range(400):
        event = {"index": int(rng.integers(0, 256)), "value": int(rng.integers(-256, 256))}
        write = {
            "event_enable": int(rng.random() < 0.6), "pointer_enable": int(rng.random() < 0.6),
            "event_address": int(rng.integers(0, params.events)), "event": event,
            "pointer_address": int(rng.integers(0, params.pointers)),
            "pointer": int(rng.integers(0, params.events + 1)),
        }
        at = int(rng.integers(0, params.events))
        first, end = (int(n) for n in rng.integers(0, params.pointers, 2))
        rows.append({"write": write, "event_address": at, "first_pointer": first, "end_pointer": end})
        wanted.append((events.get(at), pointers.get(first), pointers.get(end)))
        if write["event_enable"]:
            events[write["event_address"]] = event
        if write["pointer_enable"]:
            pointers[write["pointer_address"]] = write["pointer"]
    seen = play(EventStore(params), rows + [{}] * 2, "event", "first_event", "end_event")
    for n, (event, first, end) in enumerate(wanted):
        for got, expected in ((seen[n + 1][0], event), (seen[n + 2][1], first), (seen[n + 2][2], end)):
            assert expected is None or got == expected, f"seed {seed}, cycle {n}"
