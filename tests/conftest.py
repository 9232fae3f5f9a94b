"""What several test files share: the command line in this process, a small network, images for it."""

import json
from types import SimpleNamespace

import pytest


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
