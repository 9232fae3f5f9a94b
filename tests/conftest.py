"""What several test files share: the command line in this process, a small network and images for it, one thread."""

import json
import random
import signal
from types import SimpleNamespace

import pytest


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
