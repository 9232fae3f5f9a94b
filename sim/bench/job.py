"""What `sim.verify` tells the simulator's Python, and what comes back: a file of one JSON object a line."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["JOB_VARIABLE", "WAVES", "Job", "Told", "planned_runs"]

JOB_VARIABLE = "ADAFIRE_JOB"
WAVES = {"verilator": "dump.vcd", "icarus": "dump.fst"}  # as written into the folder of the run
SHUFFLED = 5
ABORTS = 3


def planned_runs(images):
    """Return name of every scenario to the records it writes for ``images`` images."""
    return {
        "in order": images, "twice": 2, "shuffled": min(images, SHUFFLED), "aborted": 1 + 2 * ABORTS, "restarted": 2,
        "loaded": min(images, 2),
    }


class Told:
    """A dataclass that goes to another process as a file of JSON."""

    def write(self, path):
        """Write it."""
        Path(path).write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path=None):
        """Read it, by default from the file that the environment names."""
        return cls(**json.loads(Path(path or os.environ[JOB_VARIABLE]).read_text()))


@dataclass(frozen=True)
class Job(Told):
    """One verification; paths are absolute.

    folder : made by `adafire generate`
    images : .npz with ``x``
    records : where the bench appends one JSON object for every image run
    work : empty folder for builds and simulator output
    """

    folder: str
    images: str
    records: str
    work: str
    simulator: str
    seed: int
    waves: bool
