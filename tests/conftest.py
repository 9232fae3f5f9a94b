"""What several test files share: the command line in this process, a small network and images for it, one thread."""

import gc
import json
import random
import signal
from types import SimpleNamespace

import pytest

# The files that take longest, the longest first: begun last, one of them would have a core for itself at the end.
LONGEST = (
    "sim/test_compiled_core.py", "sim/test_verify.py", "host/test_simulated_board.py", "sim/test_estimate.py",
    "hw/core/test_core.py", "sim/test_waves.py", "sim/test_buses.py", "sim/test_checked.py", "hw/test_verilog.py",
    "hw/link/test_endpoint.py", "sim/test_collisions.py", "host/test_generate.py", "host/test_convert.py",
    "hw/link/test_endpoint_faults.py", "host/test_board_faults.py", "sim/test_cells.py", "sim/test_board_design.py",
    "hw/board/test_build.py", "hw/core/test_tile_loops.py", "hw/link/test_power_up.py", "hw/link/test_uart_top.py",
    "host/test_microcontroller.py", "host/test_demo.py", "hw/core/test_firing.py", "sim/test_traffic.py",
    "gen/plan/test_outside.py", "host/test_bounds.py", "host/report/test_report.py", "sim/test_strips.py",
    "gen/data/test_digits.py", "sim/test_batches.py", "host/test_batch.py", "hw/board/test_projects.py",
    "test_tasks_benchmark.py", "sim/test_profile.py",
)


def pytest_collection_modifyitems(config, items):
    """Begin with the longest files; `make test` keeps this order."""
    place = {config.rootpath / "tests" / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path, len(place)))


def pytest_collection_finish():
    """What is imported and collected stays to the end: the search for garbage leaves it out, and comes less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(scope="session", autouse=True)
def interrupts_are_heard():
    """A script's `make test &` starts with Ctrl-C ignored, and so would every program that the tests interrupt."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def the_same_chance():
    """The host begins with a sequence number by chance; in a test it is the same one from run to run."""
    random.seed(0)


@pytest.fixture
def adafire(capfd):
    """Run the command line here: ``adafire("info", file)`` gives code, out and err; ``.json`` is parsed on use."""
    from host.cli import main

    class Outcome(SimpleNamespace):
        @property
        def json(self):
            return json.loads(self.out)

    def run(*words):
        capfd.readouterr()
        code = main(words)
        return Outcome(code=code, **capfd.readouterr()._asdict())

    return run


@pytest.fixture
def one_thread():
    """Seed torch and keep it to one thread: small tensors only lose time to more."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)
