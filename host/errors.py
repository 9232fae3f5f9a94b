"""What can go wrong between the host and a board. Standard library only."""

from gen.errors import AdafireError, InputError

__all__ = ["Disconnected", "LinkError", "LinkFault", "NoSuchPort", "PortUnavailable", "Refused", "WrongBoard"]


class LinkError(AdafireError):
    """The board did not do what it was asked, whatever was tried."""


class PortUnavailable(LinkError):
    """The port is there and cannot be opened: no permission, in use, no serial port."""


class NoSuchPort(InputError):
    """There is no port of that name; the text lists those that exist."""


class WrongBoard(LinkError):
    """What answers is no board, speaks another protocol, or was built from another folder."""


class LinkFault(LinkError):
    """One thing that went wrong on the way; a reset of the board and another try may mend it.

    The text is a clause that reads on after "because".
    """


class Disconnected(LinkFault):
    """The port has vanished under an open connection."""


class Refused(LinkFault):
    """An error reply: ``fault`` (`hw.regmap.Fault`) and what the board ``expected``."""

    def __init__(self, text, fault, expected):
        super().__init__(text)
        self.fault, self.expected = fault, expected
