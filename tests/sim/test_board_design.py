"""A whole design on the simulated board: link and core, by the plainest of hosts."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import serial

from gen.errors import InputError
from gen.generated import GeneratedFolder
from gen.plan.plan import plan_on
from hw.emit import generate
from hw.identity import describe_input, network_id
from hw.regmap import COUNTERS, IDENTITY, MAGIC, PROTOCOL, REPLY, Command, decode, encode, frames
from sim.board import CLOCKS_PER_BIT, SimulatedBoard
from tests.kit.fuzz import image_bytes, image_requests, load_requests
from sim.golden import Golden
from tests.kit.random_networks import random_images, random_network

LIMIT_S = 30


def opened(board):
    return serial.Serial(board.port, 1_000_000, timeout=0.1)


def eventually(condition, what):
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {LIMIT_S} s"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def networks():
    """A network and two that can take its place: inputs of two bytes, and one that looks at frames."""
    return [
        random_network(12, max_layers=3, max_neurons=400, max_weights=1500),
        random_network(10, max_layers=3, max_neurons=400, max_weights=1500),
        random_network(11, max_layers=3, max_neurons=400, max_weights=1500, sources=("frames",)),
    ]


@pytest.fixture(scope="module")
def folder(networks, tmp_path_factory):
    folder = tmp_path_factory.mktemp("board") / "core"
    generate(networks[0], lanes=4, also=networks[1:], out=folder)
    return folder


@pytest.fixture
def board(folder):
    with SimulatedBoard(folder) as board:
        yield board


class Host:
    """The plainest host: a request, its reply."""

    def __init__(self, port):
        self.port, self.received, self.sequence = port, bytearray(), 0

    def send(self, command, payload=b""):
        self.sequence = self.sequence % 255 + 1
        self.port.write(encode(command, self.sequence, payload))
        return self.sequence

    def reply(self):
        """Return the next (command, sequence, payload)."""
        deadline = time.monotonic() + LIMIT_S
        while not (bodies := frames(self.received)):
            assert time.monotonic() < deadline, f"no reply within {LIMIT_S} s"
            self.received += self.port.read(max(1, self.port.in_waiting))
        assert len(bodies) == 1 and decode(bodies[0]) is not None
        return decode(bodies[0])

    def ask(self, command, payload=b""):
        """Return the payload of the reply."""
        sequence = self.send(command, payload)
        found = self.reply()
        answer = Command.RESULT if command == Command.RUN else command
        assert found[:2] == (answer | REPLY, sequence), found
        return found[2]

    def registers(self):
        words = np.frombuffer(self.ask(Command.IDENTIFY), "<u4").tolist()
        return dict(zip((register.name for register in IDENTITY), words))

    def load(self, network, folder):
        described = describe_input(network)
        commit = network_id(network), described["values"], described["lowest"], described["bytes"]
        stream = plan_on(network, GeneratedFolder.open(folder).params).load_stream
        for request in load_requests(stream, commit, self.registers()["MAX_PAYLOAD"]):
            self.ask(*request)

    def run(self, network, x):
        """Return rows of result words, NETWORK and POSITION first: results of one piece."""
        longest, rows = self.registers()["MAX_PAYLOAD"], []
        for data in image_bytes(network, x):
            *pieces, last = image_requests(data, longest)
            for piece in pieces:
                self.ask(*piece)
            rows.append(np.frombuffer(self.ask(*last), "<i4"))
        return np.array(rows)


def test_a_design_that_its_bitstream_loads_has_no_flash(folder):
    with pytest.raises(InputError, match="is not loaded from a flash: leave it out"):
        SimulatedBoard(folder, flash=b"")


@pytest.fixture
def host(board):
    with opened(board) as port:
        yield Host(port)


def check_run(host, network, images=6):
    """Run random images: NETWORK, class, exit step, events, synaptic operations and logits must be golden."""
    x = random_images(network, 3, images)
    golden, rows = Golden(network).run(x), host.run(network, x)
    assert (rows[:, 0] == np.uint32(network_id(network)).astype(np.int32)).all()
    for name, column in (("classes", 2), ("exit_steps", 3), ("events", 6), ("synaptic_ops", 7)):
        assert (rows[:, column] == getattr(golden, name)).all(), name
    assert (rows[:, 8:] == golden.logits).all() and (rows[:, 4] >= rows[:, 5]).all()


def test_identity_is_that_of_the_folder(host, folder, networks):
    manifest, registers = json.loads((folder / "manifest.json").read_text()), host.registers()
    build = "".join(f"{registers[f'BUILD_{i}']:08x}" for i in reversed(range(4)))
    assert (registers["MAGIC"], registers["VERSION"], build) == (MAGIC, PROTOCOL, manifest["build_id"])
    assert registers["NETWORK"] == network_id(networks[0]) == manifest["network_id"]
    assert registers["BAUD"] == manifest["baud"] and registers["CLOCK_HZ"] == CLOCKS_PER_BIT * manifest["baud"]
    assert registers["LANES"] == 4 and registers["OUTPUTS"] >= 16


def test_networks_loaded_into_the_running_design_equal_their_golden_models(host, folder, networks):
    check_run(host, networks[0])
    for network in (*networks[1:], networks[0]):
        host.load(network, folder)
        assert host.registers()["NETWORK"] == network_id(network)
        check_run(host, network)


def test_an_abort_gives_up_what_was_sent_and_nothing_else(host, folder, networks):
    host.load(networks[1], folder)
    x = random_images(networks[1], 3, 3)
    (command, payload), = image_requests(image_bytes(networks[1], x)[0], 4000)
    host.ask(Command.INPUT, payload[:24])
    host.ask(Command.ABORT)
    check_run(host, networks[1], 2)
    for _ in range(5):
        host.send(command, payload)
        abort = host.send(Command.ABORT)
        while (found := host.reply())[1] != abort:
            assert found[0] == Command.RESULT | REPLY
        assert found[0] == Command.ABORT | REPLY
    check_run(host, networks[1], 2)


def test_switched_off_and_on_the_board_holds_the_bitstream_s_network_again(host, board, folder, networks):
    host.load(networks[1], folder)
    board.reset()
    assert host.registers()["NETWORK"] == network_id(networks[0])
    check_run(host, networks[0])


def test_the_design_works_on_while_its_cable_is_pulled(host, board, networks):
    (request,) = image_requests(image_bytes(networks[0], random_images(networks[0], 3, 1))[0], 4000)
    board.fault("tx", "unplug", 0, 100)
    host.send(*request)
    eventually(lambda: board.faults == 1 and os.path.exists(board.port), "pulled when the result came, and back")
    with opened(board) as port:
        again = Host(port)
        words = np.frombuffer(again.ask(Command.COUNTERS), "<u4").tolist()
        counters = dict(zip((register.name for register in COUNTERS), words))
        assert counters["RESULTS"] == 1 and counters["DAMAGED"] == 0 and counters["BUSY"] > 100
        check_run(again, networks[0])


def test_served_in_the_foreground_until_interrupted(folder):
    with subprocess.Popen([sys.executable, "-m", "sim.board", str(folder)], stdout=subprocess.PIPE, text=True,
                          cwd=Path(__file__).parents[2]) as process:
        name = process.stdout.readline().strip()
        with serial.Serial(name, 1_000_000, timeout=0.1) as port:
            assert Host(port).registers()["MAGIC"] == MAGIC
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT_S) == 130
    assert not os.path.lexists(name)
