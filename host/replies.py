"""What a board says of itself, read and compared with the folder that it should have been made from."""

import numpy as np

from host.errors import LinkFault, WrongBoard
from hw.regmap import MAGIC, POSITION, PROTOCOL

__all__ = ["next_position", "refuse_another_build", "refuse_another_protocol", "registers"]

SIGNED = ("INPUT_LOW",)


def registers(bank, reply):
    """Return name to value of the registers of ``bank`` (`hw.regmap`); `LinkFault` if the reply is not these."""
    if len(reply) != 4 * len(bank):
        raise LinkFault(f"a reply with {len(reply)} bytes of registers came, not {4 * len(bank)}")
    values = np.frombuffer(reply, "<u4").tolist()
    return {
        entry.name: value - (value >> 31 << 32) * (entry.name in SIGNED) for entry, value in zip(bank, values)
    }


def next_position(reply):
    """Return the position in the reply to LOAD or INPUT."""
    if len(reply) != POSITION.size:
        raise LinkFault(f"a reply with a position of {len(reply)} bytes came")
    return POSITION.unpack(reply)[0]


def refuse_another_protocol(reply, port, folder):
    """Raise `WrongBoard` unless IDENTITY begins as that of this protocol does; the rest may be of any length."""
    magic, version = (int.from_bytes(reply[i : i + 4], "little") for i in (0, 4))
    if magic != MAGIC:
        raise WrongBoard(
            f"What answers at {port} is no adafire board: name another port, or load the bitstream of {folder}."
        )
    if version != PROTOCOL:
        raise WrongBoard(
            f"The board at {port} speaks version {version} of the protocol, this adafire version {PROTOCOL}: "
            f"generate and build {folder} again with this one."
        )


def refuse_another_build(found, build_id, port, folder):
    """Raise `WrongBoard` unless the registers hold ``build_id``, 32 hexadecimal digits."""
    build = "".join(f"{found[f'BUILD_{i}']:08x}" for i in reversed(range(4)))
    if build != build_id:
        raise WrongBoard(
            f"The board at {port} holds the build {build}, {folder} is the build {build_id}: load the bitstream "
            f"of {folder}, or name the folder that the board's was made from."
        )
