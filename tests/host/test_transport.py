"""Ports: opened by name, lost, found again, and what is said about those that cannot be opened."""

import errno
import os
import socket
import threading
import time
from types import SimpleNamespace

import pytest
import serial

from gen.errors import InputError
from host import transport
from host.errors import Disconnected, LinkError, NoSuchPort, PortUnavailable
from host.transport import Transport, ports

PATIENCE_S = 20


@pytest.fixture
def pair():
    """A pseudo-terminal: (its outer end, name of its port)."""
    outer, inner = os.openpty()
    yield outer, os.ttyname(inner)
    os.close(inner)
    try:
        os.close(outer)
    except OSError as error:  # a test that pulls the cable has closed it
        assert error.errno == errno.EBADF


def patience():
    return Transport.clock() + PATIENCE_S


def refusing(monkeypatch, error):
    def refuse(*_args, **_options):
        raise error

    monkeypatch.setattr(serial, "serial_for_url", refuse)


def test_bytes_go_both_ways_unchanged(pair):
    outer, name = pair
    port, data = Transport(name, 1_000_000), bytes(range(256))
    port.write(data)
    assert os.read(outer, 1000) == data
    os.write(outer, data)
    received = bytearray()
    while len(received) < len(data):
        received += port.read(patience())
    assert bytes(received) == data
    port.close()


def test_a_read_ends_at_its_deadline(pair):
    port = Transport(pair[1], 115200)
    assert port.read(port.clock() - 1) == port.read(port.clock() + 0.01) == b""
    os.write(pair[0], b"late")
    assert port.read(port.clock() + 0.04)[:1] == b"l"
    port.close()


def test_a_port_is_for_one_program(pair):
    port = Transport(pair[1], 115200)
    with pytest.raises(PortUnavailable, match=f"^{pair[1]} is in use by another program: end that one"):
        Transport(pair[1], 115200)
    port.close()
    port.close()
    assert not port.is_open
    Transport(pair[1], 115200).close()


def test_a_port_that_is_not_there_lists_those_that_are(monkeypatch):
    there = [SimpleNamespace(device="/dev/ttyUSB1", description="ULX3S FPGA 85K"),
             SimpleNamespace(device="/dev/ttyS0", description="n/a")]
    monkeypatch.setattr(transport, "comports", lambda: iter(there))
    with pytest.raises(NoSuchPort) as caught:
        Transport("/dev/ttyUSB7", 115200)
    assert str(caught.value) == (
        "There is no port '/dev/ttyUSB7'. The ports here: /dev/ttyS0, /dev/ttyUSB1 (ULX3S FPGA 85K)."
    )
    assert caught.value.exit_code == 2
    monkeypatch.setattr(transport, "comports", lambda: iter([]))
    with pytest.raises(NoSuchPort, match="None is here at all: plug the board in.$"):
        Transport("/dev/ttyUSB7", 115200)


def test_the_ports_of_this_machine_are_texts():
    assert all(isinstance(port, str) and port for port in ports())


@pytest.mark.parametrize("error, text", [
    (serial.SerialException(errno.EACCES, "could not open"),
     r"no permission to open COM3: .* `sudo usermod -aG dialout \$USER`\) and log in again\."),
    (serial.SerialException(errno.EBUSY, "could not open"), "^COM3 is in use by another program"),
    (serial.SerialException("could not open port 'COM3': PermissionError(13, 'Access is denied.')"),
     "^COM3 is in use by another program"),
    (serial.SerialException("could not open port 'COM3': OSError(22, 'odd')"),
     r"^COM3 cannot be opened as a serial port: .*odd.* as '/dev/ttyUSB0', 'COM3' or 'socket://host:port'\.$"),
])
def test_what_is_said_of_a_port_that_does_not_open(monkeypatch, error, text):
    refusing(monkeypatch, error)
    with pytest.raises(PortUnavailable, match=text) as caught:
        Transport("COM3", 115200)
    assert caught.value.exit_code == 1


def test_windows_says_that_there_is_no_port(monkeypatch):
    refusing(monkeypatch, serial.SerialException("could not open port 'COM3': FileNotFoundError(2, 'none')"))
    with pytest.raises(NoSuchPort, match="There is no port 'COM3'"):
        Transport("COM3", 115200)


def test_what_is_no_serial_port(tmp_path):
    with pytest.raises(PortUnavailable, match="^/dev/null cannot be opened as a serial port: "):
        Transport("/dev/null", 115200)
    with pytest.raises(PortUnavailable, match="cannot be opened as a serial port: .*directory"):
        Transport(tmp_path, 115200)


@pytest.mark.parametrize("name, baud, text", [
    ("carrier://pigeon", 115200, "'carrier://pigeon' at 115200 baud cannot be opened: .*'carrier' not known"),
    ("/dev/null", -5, "'/dev/null' at -5 baud cannot be opened: Not a valid baudrate: -5. Name a port as"),
])
def test_names_and_rates_that_cannot_be(name, baud, text):
    with pytest.raises(InputError, match=text):
        Transport(name, baud)


def test_a_pulled_cable_and_its_return(pair, tmp_path):
    outer, name = pair
    link = tmp_path / "port"
    link.symlink_to(name)
    port = Transport(link, 115200)
    link.unlink()
    os.close(outer)
    with pytest.raises(Disconnected, match=f"^the port {link} vanished "):
        for _ in range(100):
            port.read(port.clock() + 1)
    assert not port.is_open
    for action in (lambda: port.read(0), lambda: port.write(b"x")):
        with pytest.raises(Disconnected, match="is closed"):
            action()
    with pytest.raises(LinkError, match=r"vanished and did not come back within 0\.2 s \(There is no port .*Plug"):
        port.reopen(0.2)
    ends = []

    def plug_in():
        time.sleep(0.2)
        ends.extend(os.openpty())
        link.symlink_to(os.ttyname(ends[1]))

    thread = threading.Thread(target=plug_in)
    thread.start()
    port.reopen(PATIENCE_S)
    thread.join()
    port.write(b"again")
    assert os.read(ends[0], 10) == b"again"
    port.close()
    for end in ends:
        os.close(end)


def test_a_socket():
    server = socket.create_server(("127.0.0.1", 0))
    name = "socket://{}:{}".format(*server.getsockname())
    port = Transport(name, 115200)
    other, _ = server.accept()
    port.write(b"ping")
    assert other.recv(10) == b"ping"
    other.sendall(b"pong")
    received = b""
    while len(received) < 4:
        received += port.read(patience())
    assert received == b"pong"
    other.close()
    with pytest.raises(Disconnected, match="disconnected"):
        for _ in range(100):
            port.read(port.clock() + 1)
    server.close()
    with pytest.raises(PortUnavailable, match="cannot be opened as a serial port: .*refused"):
        Transport(name, 115200)
