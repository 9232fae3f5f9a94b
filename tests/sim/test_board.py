"""The simulated board around a piece of wire: its terminal, its faults, its life."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import serial

from gen.errors import AdafireError, InputError
from sim.board import FAULTS, SimulatedBoard

# What comes in goes out, a cycle later; like every design it says when it has work, here never.
WIRE = """
module adafire_uart(input clk, input rst, input rx, output reg tx, output active);
    assign active = 0;
    always @(posedge clk) tx <= rst | rx;
endmodule
"""
BYTES = bytes(range(256)) * 8
LIMIT_S = 30


@pytest.fixture
def wire():
    with SimulatedBoard(sources=[WIRE]) as board:
        yield board


def opened(board):
    return serial.Serial(board.port, 1_000_000, timeout=LIMIT_S)


def eventually(condition, what):
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {LIMIT_S} s"
        time.sleep(0.02)


def echo(board, data, size):
    with opened(board) as port:
        port.write(data)
        return port.read(size)


def test_bytes_go_out_and_come_back_again_and_again(wire):
    for _ in range(3):
        assert echo(wire, BYTES, len(BYTES)) == BYTES


def test_time_stands_still_while_there_is_nothing_to_do(wire):
    echo(wire, BYTES, len(BYTES))
    time.sleep(0.2)
    before = wire.cycles
    assert before > 40 * len(BYTES)
    time.sleep(0.3)
    assert wire.cycles == before


@pytest.mark.parametrize("direction", ["rx", "tx"])
def test_faults_of_single_bytes(wire, direction):
    wire.fault(direction, "drop", 3)
    wire.fault(direction, "double", 5)
    wire.fault(direction, "flip", 7, 0x81)
    wire.fault(direction, "delay", 9, 100)
    wire.fault(direction, "reset", 12)
    assert echo(wire, bytes(range(16)), 16) == bytes([0, 1, 2, 4, 5, 5, 6, 7 ^ 0x81, *range(8, 16)])
    assert wire.faults == 5
    assert echo(wire, BYTES, len(BYTES)) == BYTES


@pytest.mark.parametrize("direction", ["rx", "tx"])
def test_a_cable_pulled_at_a_byte_comes_back(wire, direction):
    wire.fault(direction, "unplug", 100, 50)
    with pytest.raises(serial.SerialException):
        echo(wire, BYTES, len(BYTES))
    eventually(lambda: os.path.exists(wire.port), "the cable is put back")
    assert wire.faults == 1
    assert echo(wire, BYTES, len(BYTES)) == BYTES


def test_unplugged_the_port_is_gone_and_plugged_it_has_its_old_name(wire):
    name = wire.port
    with opened(wire) as port:
        wire.unplug()
        with pytest.raises(serial.SerialException):
            port.read(1)
    assert not os.path.lexists(name)
    wire.plug()
    wire.plug()
    assert wire.port == name and echo(wire, BYTES, len(BYTES)) == BYTES


def test_what_nobody_reads_is_dropped_and_hinders_nothing(wire):
    with opened(wire) as port:
        port.write(bytes(400_000))
        port.reset_input_buffer()
    eventually(lambda: wire.cycles > 40 * 400_000, "all bytes are through")
    assert echo(wire, BYTES, len(BYTES))[-1:] != b""


def test_a_wrong_fault_is_refused(wire):
    with pytest.raises(InputError, match=f"no fault rx burn: rx or tx, and one of {', '.join(FAULTS)}"):
        wire.fault("rx", "burn", 1)


def test_closing_ends_the_process_and_the_port(wire):
    wire.close()
    wire.close()
    assert not os.path.lexists(wire.port) and not Path(wire.port).parent.exists()
    with pytest.raises(AdafireError, match="The simulated board is closed: open another one"):
        wire.reset()


def test_a_design_that_breaks_the_uart_stops_with_the_reason(wire):
    wire.fault("rx", "stop", 0)
    with opened(wire) as port, pytest.raises(serial.SerialException):
        port.write(b"x")
        port.read(1)
    with pytest.raises(AdafireError, match="stopped: the design sent a byte without start or stop bit"):
        eventually(lambda: wire.cycles < 0, "the reason is told")


def test_verilog_that_does_not_compile_is_an_error():
    with pytest.raises(AdafireError, match="(?s)verilator failed .*no_such_module"):
        SimulatedBoard(sources=["module adafire_uart; no_such_module x(); endmodule"])


def test_a_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(InputError, match="is not a folder made by `adafire generate`"):
        SimulatedBoard(tmp_path)


def test_the_board_goes_with_its_parent():
    program = f"""
import time
from sim.board import SimulatedBoard
board = SimulatedBoard(sources=[{WIRE!r}])
print(board.port, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True,
                          cwd=Path(__file__).parents[2]) as parent:
        port = parent.stdout.readline().strip()
        assert os.path.exists(port)
        parent.send_signal(signal.SIGKILL)
    eventually(lambda: not os.path.lexists(port) and not Path(port).parent.exists(), "the board is gone")
