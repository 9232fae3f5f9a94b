"""Which core the reports are of, and how one is read."""

import json

SEED, OTHERS, LANES, IMAGES = 0, (8, 9, 11, 14, 21), 4, 12  # the core of tests/sim/test_profile.py


def report_of(folder, name="report.json"):
    """Return the report in ``folder`` as JSON says it."""
    return json.loads((folder / name).read_text())
