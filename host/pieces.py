"""Pieces of what travels to a board and back: their sizes and times, how images are cut, how a result is put together.

A piece is what one request or reply carries of an image, a load stream or a result (`hw.regmap`). Needs numpy alone.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from host.errors import LinkFault
from hw.regmap import FRAME_OVERHEAD, LONGEST_PAYLOAD, PIECE, POSITION, Command

__all__ = [
    "bytes_on_line", "frame_requests", "line_seconds", "load_requests", "piece_bytes", "run_requests", "take_piece",
    "take_result",
]

BITS_A_BYTE = 10
FLAGS = 2  # around a frame


def piece_bytes(rx_bytes: int, max_payload: int = LONGEST_PAYLOAD) -> int:
    """Return bytes of data in a whole piece, of whole words: two pieces fit the window, one computes while one comes.

    ``rx_bytes``, the window, and ``max_payload`` are the registers RX_BYTES and MAX_PAYLOAD.
    """
    return (min(max_payload, rx_bytes // 2 - FRAME_OVERHEAD) - POSITION.size) // 4 * 4


def bytes_on_line(count: int, piece: int, head: int) -> int:
    """Return bytes of the frames, unstuffed, of ``count`` bytes in pieces of ``piece``, each behind ``head`` bytes."""
    return count + -(-count // piece) * (head + FRAME_OVERHEAD + FLAGS)


def line_seconds(count: int, baud: int) -> float:
    """Return seconds that ``count`` bytes take on the UART's line, start and stop bits included."""
    return count * BITS_A_BYTE / baud


def run_requests(runs: np.ndarray, numbers: Iterable[int], piece: int) -> Iterator[tuple[int | None, Command, bytes]]:
    """Yield (key, command, payload) of ``runs`` uint8 [runs, bytes]; a run's number is the key of its last piece."""
    for number in numbers:
        data = runs[number].tobytes()
        for position in range(0, len(data), piece):
            payload = POSITION.pack(position) + data[position : position + piece]
            last = position + piece >= len(data)
            yield (number, Command.RUN, payload) if last else (None, Command.INPUT, payload)


def frame_requests(
    data: bytes, frames: int, piece: int, due: Callable[[int], bool]
) -> Iterator[tuple[Command, bytes] | None]:
    """Yield (command, payload) of a recording of ``frames`` as each frame is ``due``, None while the next is not."""
    size = len(data) // frames
    for frame, begin in enumerate(range(0, len(data), size)):
        while not due(frame):
            yield None
        for position in range(begin, begin + size, piece):
            end = min(position + piece, begin + size)
            yield Command.INPUT, POSITION.pack(position) + data[position:end]


def load_requests(stream: bytes, taken: int, piece: int) -> Iterator[tuple[int, Command, bytes]]:
    """Yield (position in words, command, payload) of a load ``stream`` of which so many words are taken already."""
    for position in range(taken, len(stream) // 4, piece // 4):
        yield position, Command.LOAD, POSITION.pack(position) + stream[4 * position : 4 * position + piece]


def take_piece(reply: bytes, identity: int, row: np.ndarray, filled: int, last: bool) -> int:
    """Put the words of a piece of a result into ``row``, of which so many are filled; return how many are now.

    Raises `LinkFault` where the piece is not the next one, nor of the network ``identity``.
    """
    words = np.frombuffer(reply[PIECE.size :], "<i4") if len(reply) % 4 == 0 else np.empty(0)
    if len(reply) <= PIECE.size or len(words) > len(row) - filled or (filled + len(words) == len(row)) != last:
        raise LinkFault(
            f"a piece of a result came with {len(reply)} bytes, {filled} of {len(row)} words were there"
        )
    number, position = PIECE.unpack_from(reply)
    if number != identity:
        raise LinkFault("the board lost its network on the way")
    if position != filled:
        raise LinkFault(f"the piece of a result at word {position} came, not that at {filled}")
    row[filled : filled + len(words)] = words
    return filled + len(words)


def take_result(parts: Sequence[bytes], identity: int, row: np.ndarray) -> None:
    """Put all pieces of one result into ``row``, as `take_piece`."""
    filled = 0
    for number, part in enumerate(parts):
        filled = take_piece(part, identity, row, filled, number == len(parts) - 1)
