"""Bytes to and from a port: a serial port by name, a pseudo-terminal by path, or ``socket://host:port``."""

import errno
import time

import serial
from serial.tools.list_ports import comports

from gen.errors import InputError
from host.errors import Disconnected, LinkError, NoSuchPort, PortUnavailable

try:
    from termios import error as TerminalError
except ImportError:  # Windows
    TerminalError = OSError

__all__ = ["Transport", "ports"]

POLL_S = 0.05        # how long one read waits
NAP_S = 0.0005       # between looks where a deadline is nearer than that
WRITE_S = 10.0       # a port that takes no byte for so long is as good as unplugged
REOPEN_S = 0.1       # between two attempts to open a port that has vanished

_LOST = (OSError, TerminalError)  # pyserial's own exceptions are OSErrors
_HELD = (errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK)


def ports():
    """Return the serial ports of this machine, one text each: its name and what it says it is."""
    return [
        port.device if port.description in (None, "", "n/a") else f"{port.device} ({port.description})"
        for port in sorted(comports(), key=lambda port: port.device)
    ]


class Transport:
    """An open port, 8 bits, no parity, one stop bit, no flow control; nobody else may open it meanwhile.

    Parameters
    ----------
    port : str
        ``/dev/ttyUSB0``, ``COM3``, the path of a pseudo-terminal, or a URL that pyserial knows.
    baud : int
        Bits per second; a pseudo-terminal and a socket do not care.

    Raises
    ------
    NoSuchPort, PortUnavailable, InputError
        No such port; no permission, or in use; a name or a rate that cannot be.
    """

    clock = staticmethod(time.monotonic)

    def __init__(self, port, baud):
        self.port, self.baud, self._serial = str(port), baud, None
        self._open()

    @property
    def is_open(self):
        """Whether the port is open; it is not after `close`, nor after a `Disconnected`."""
        return self._serial is not None

    def write(self, data):
        """Send ``data``; raises `Disconnected`."""
        self._guarded(lambda port: port.write(data))

    def read(self, deadline):
        """Return what has come, waiting for the first byte until ``deadline`` (`clock`); b"" if none came."""
        while True:
            soon = deadline - self.clock() < POLL_S
            data = self._guarded(lambda port, waits=not soon: port.read(max(waits, port.in_waiting)) + port.read(
                port.in_waiting))
            if data or self.clock() >= deadline:
                return data
            if soon:
                time.sleep(NAP_S)

    def close(self):
        """Close the port; closing twice is no error."""
        port, self._serial = self._serial, None
        if port is not None:
            port.close()

    def reopen(self, seconds):
        """Open a port that has vanished as soon as it is back; `LinkError` if it is not within ``seconds``."""
        self.close()
        deadline = self.clock() + seconds
        while True:
            try:
                return self._open()
            except (LinkError, InputError) as error:
                if self.clock() >= deadline:
                    raise LinkError(
                        f"The port {self.port} vanished and did not come back within {seconds:g} s ({error}) "
                        "Plug the cable in again, look at the board's power, and run the command again."
                    ) from error
            time.sleep(REOPEN_S)

    def _guarded(self, action):
        if self._serial is None:
            raise Disconnected(f"the port {self.port} is closed")
        try:
            return action(self._serial)
        except _LOST as error:
            self.close()
            raise Disconnected(f"the port {self.port} vanished ({error})") from error

    def _open(self):
        try:
            self._serial = serial.serial_for_url(
                self.port, baudrate=self.baud, timeout=POLL_S, write_timeout=WRITE_S, exclusive=True
            )
        except (*_LOST, ValueError) as error:
            raise _explained(self.port, self.baud, error) from error


def _explained(port, baud, error):
    """Return what to raise for an exception of pyserial's ``open``; on Windows only its text says what it is."""
    number, text = getattr(error, "errno", None), str(error)
    if isinstance(error, ValueError):
        return InputError(f"{port!r} at {baud} baud cannot be opened: {error}. Name a port as {_example()}.")
    if number == errno.ENOENT or "FileNotFoundError" in text:
        here = ports()
        known = "The ports here: " + ", ".join(here) if here else "None is here at all: plug the board in"
        return NoSuchPort(f"There is no port {port!r}. {known}.")
    if number in (errno.EACCES, errno.EPERM):
        return PortUnavailable(
            f"There is no permission to open {port}: put yourself into the group that owns it (most often by "
            "`sudo usermod -aG dialout $USER`) and log in again."
        )
    if number in _HELD or "PermissionError" in text:
        return PortUnavailable(f"{port} is in use by another program: end that one (a terminal, another run).")
    return PortUnavailable(f"{port} cannot be opened as a serial port: {text}. Name a port as {_example()}.")


def _example():
    return "'/dev/ttyUSB0', 'COM3' or 'socket://host:port'"
