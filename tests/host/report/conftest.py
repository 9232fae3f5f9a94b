"""The core that the reports are of, images for it, and a report."""

import shutil

import numpy as np
import pytest

from hw.emit import generate
from sim.golden import Golden
from tests.host.report.core import IMAGES, LANES, OTHERS, SEED, report_of
from tests.kit.random_networks import random_images, random_network


@pytest.fixture(scope="session")
def network():
    return random_network(SEED)


@pytest.fixture(scope="session")
def core(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "core"
    generate(network, board="ulx3s_85f", lanes=LANES, out=folder, also=map(random_network, OTHERS))
    return folder


@pytest.fixture(scope="session")
def images(network, tmp_path_factory):
    """Twelve images, three of which the network gets wrong."""
    folder = tmp_path_factory.mktemp("images")
    x = random_images(network, SEED, IMAGES)
    y = Golden(network).run(x).classes
    y[:3] = (y[:3] + 1) % network.classes
    np.savez(folder / "data.npz", x=x, y=y)
    np.savez(folder / "unlabelled.npz", x=x)
    np.savez(folder / "parts.npz", x_train=x[:4], y_train=y[:4], x_test=x[:0])
    np.savez(folder / "wrong_shape.npz", x=x[..., :-1], y=y)
    return folder


@pytest.fixture
def folder(core, tmp_path):
    """A copy of the core's folder, to write into."""
    return shutil.copytree(core, tmp_path / "core")


@pytest.fixture(scope="session")
def report(core, images, tmp_path_factory):
    from host.cli import main

    out = tmp_path_factory.mktemp("out") / "report.html"
    assert main(["report", core, "--data", images / "data.npz", "--out", out]) == 0
    return report_of(out.parent)
