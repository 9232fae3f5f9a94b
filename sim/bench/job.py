"""What `sim.verify` tells the simulator's Python, and what comes back: a file of one JSON object a line."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

__all__ = ["JOB_VARIABLE", "WAVES", "Job", "Told", "planned_runs"]

JOB_VARIABLE = "ADAFIRE_JOB"
WAVES = {"verilator": "dump.vcd", "icarus": "dump.fst"}  # as written into the folder of the run
SHUFFLED = 5
ABORTS = 3


def planned_runs(runs, waves=False, once=False, batch=1):
    """Return name of every scenario to the records it writes, of so many ``runs`` in order, each ``once`` or more.

    A run is an image, or those of a ``batch`` that a core takes together.
    """
    again = {
        "twice": 2, "shuffled": min(runs, SHUFFLED), "aborted": 1 + 2 * ABORTS, "restarted": 2 if batch == 1 else 4,
        "loaded": min(runs, 2),
    }
    return {**({"waved": 1} if waves else {}), "in order": runs, **({} if once else again)}


@dataclass(frozen=True)
class Told:
    """What goes to another process as a file of JSON."""

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
    count : images to verify
    batch : of them the core takes together
    records : where the bench appends one JSON object for every run
    work : folder for builds and simulator output
    waves : whether a waveform is written: of image ``wave_image``, of a batch of the run that begins with it, and of
        its timestep ``wave_step`` unless None
    once : whether no image is run again
    """

    folder: str
    count: int
    records: str
    work: str
    simulator: str
    seed: int
    waves: bool = False
    wave_image: int = 0
    wave_step: int | None = None
    once: bool = False
    batch: int = 1

    @property
    def planned(self):
        """The scenarios and their records, as of `planned_runs`."""
        return planned_runs(-(-self.count // self.batch), self.waves, self.once, self.batch)

    def write_images(self, x):
        """Choose from all images ``x`` what the simulation needs."""
        waved = x[self.wave_image : self.wave_image + self.batch]
        np.savez(Path(self.work) / "images.npz", x=x[: self.count], waved=waved)

    def read_images(self):
        """Return the numbers of images and the images."""
        images = np.load(Path(self.work) / "images.npz")
        waved = images["waved"] if self.waves else images["waved"][:0]
        numbers = [*range(self.count), *range(self.wave_image, self.wave_image + len(waved))]
        return numbers, np.concatenate([images["x"], waved])
