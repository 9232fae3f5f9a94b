"""Images and results of more than 65,535 values: through both hosts to a model of the board, and through the core."""

import json

import numpy as np
import pytest

from gen.intnet import IntegerNetwork
from gen.layers import INPUT, Readout, Source, Synapse
from host.board import Board
from host.content import read_manifest
from sim.compiled_core import CompiledCore
from sim.golden import Golden
from tests.host.fake_board import FakeBoard, MemoryTransport, make_folder
from tests.kit.c_host import OK, CHost, compiled_library
from tests.kit.random_images import random_images

SIDE = 150


class Case:
    """A network that weighs the colours of every pixel of a picture, and its folder."""

    def __init__(self, folder):
        weight = np.array([[3, -2, 1], [-1, 0, 5], [2, 2, -2]])[:, :, None, None]
        readout = Readout("map", [Synapse(INPUT, weight)], np.array([7, -9, 0]), np.full(3, 4))
        self.network = IntegerNetwork(Source((3, SIDE, SIDE), offset=np.array([100, 110, 120])), [readout], 1)
        self.folder, _, self.stream = make_folder(folder, self.network)
        self.x = random_images(self.network, 1, 1)
        self.golden = Golden(self.network).run(self.x)

    def line(self):
        return MemoryTransport(FakeBoard(self.folder, {self.stream: self.network}))


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return Case(tmp_path_factory.mktemp("large") / "folder")


@pytest.mark.slow
def test_the_core(case):
    core = CompiledCore.for_network(case.network, 4).run(case.x)
    np.testing.assert_array_equal(core.logits, case.golden.logits)
    assert (core.events, core.synaptic_ops) == (case.golden.events, case.golden.synaptic_ops)


def test_the_host(case):
    assert case.x[0].size > 2**16 and case.golden.logits[0].size > 2**16
    with Board(case.line(), case.folder) as board:
        result = board.run(case.x)
        assert board.statistics.retries == 0
    np.testing.assert_array_equal(result.logits, case.golden.logits)
    np.testing.assert_array_equal(result.classes, case.golden.classes)


def test_the_c_host(case, tmp_path):
    host = CHost(compiled_library(tmp_path), case.line(), json.loads((case.folder / "manifest.json").read_text()))
    assert host.open() == OK
    status, class_, *_, values = host.run(case.x[0])
    assert status == OK and host.board.retries == 0 and class_ == case.golden.classes[0, 0, 0]
    np.testing.assert_array_equal(values, np.moveaxis(case.golden.logits[0], 0, -1).ravel())


def test_as_many_images_at_a_time_as_memory_has_room_for(case, monkeypatch):
    """Images of any number are encoded in parts, and the parts are those of the whole."""
    content, x = read_manifest(case.folder)[1], np.concatenate([case.x] * 5)
    parts, encoded = [], content.encode(x)
    monkeypatch.setattr("host.content.input_stream", lambda view, images, _: parts.append(len(images)) or np.zeros(
        (len(images), images[0].size), np.int32))
    monkeypatch.setattr("host.content._VALUES_AT_ONCE", 2 * x[0].size)
    content.encode(x)
    assert parts == [2, 2, 1] and encoded.shape == (5, x[0].size * content.input["bytes"])
