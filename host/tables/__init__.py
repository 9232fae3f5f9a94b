"""Payloads as a person reads them: each function takes a verb's payload and yields rich renderables."""

from host.tables.designs import build, generated, report
from host.tables.networks import cascade, exported, network
from host.tables.predictions import predictions
from host.tables.results import demo, evaluation, run, verification
from host.tables.surroundings import boards, datasets, doctor
from host.tables.sweeps import sweep

__all__ = [
    "boards", "build", "cascade", "datasets", "demo", "doctor", "evaluation", "exported", "generated", "network",
    "predictions", "report", "run", "sweep", "verification",
]
