"""Pieces: their sizes and times on the line, how runs, recordings and loads are cut, how a result is put together."""

import numpy as np
import pytest

from host.errors import LinkFault
from host.pieces import (
    bytes_on_line, frame_requests, line_seconds, load_requests, piece_bytes, run_requests, take_piece, take_result,
)
from hw.regmap import PIECE, POSITION, Command

IDENTITY = 0xADAF


@pytest.mark.parametrize("rx_bytes, max_payload, piece", [
    (2048, 1024, 1012), (512, 256, 244), (64, 32, 20), (70, 41, 20), (64, 1024, 20), (8192, 16, 12),
])
def test_two_pieces_of_whole_words_fit_the_window(rx_bytes, max_payload, piece):
    assert piece_bytes(rx_bytes, max_payload) == piece
    if max_payload >= rx_bytes // 2:
        assert piece_bytes(rx_bytes) == piece


def test_a_byte_on_the_line_is_ten_bits_and_a_piece_a_frame():
    assert bytes_on_line(2024, 1012, 4) == 2024 + 2 * (4 + 8 + 2)
    assert bytes_on_line(2025, 1012, 4) == 2025 + 3 * (4 + 8 + 2)
    assert line_seconds(2048, 1_000_000) == 0.02048


def test_runs_are_cut_and_the_last_piece_of_each_is_the_run():
    runs = np.arange(20, dtype=np.uint8).reshape(2, 10)
    assert list(run_requests(runs, [1, 0], 4)) == [
        (key, command, POSITION.pack(4 * i) + data[4 * i : 4 * i + 4])
        for number, data in ((1, bytes(range(10, 20))), (0, bytes(range(10))))
        for i, (key, command) in enumerate([(None, Command.INPUT), (None, Command.INPUT), (number, Command.RUN)])
    ]


def test_a_frame_is_cut_for_itself_and_not_before_it_is_due():
    asked = []

    def due(frame):
        asked.append(frame)
        return asked.count(frame) > frame

    data = bytes(range(12))
    assert list(frame_requests(data, 2, 4, due)) == [
        (Command.INPUT, POSITION.pack(0) + data[:4]), (Command.INPUT, POSITION.pack(4) + data[4:6]),
        None, (Command.INPUT, POSITION.pack(6) + data[6:10]), (Command.INPUT, POSITION.pack(10) + data[10:]),
    ]
    assert asked == [0, 1, 1]


def test_a_load_goes_on_at_the_word_that_is_not_taken_yet():
    stream = bytes(range(40))
    assert list(load_requests(stream, 3, 12)) == [
        (3, Command.LOAD, POSITION.pack(3) + stream[12:24]), (6, Command.LOAD, POSITION.pack(6) + stream[24:36]),
        (9, Command.LOAD, POSITION.pack(9) + stream[36:]),
    ]


def part(position, words, identity=IDENTITY):
    return PIECE.pack(identity, position) + np.array(words, "<i4").tobytes()


def test_pieces_of_a_result_fill_a_row():
    row = np.zeros(5, np.int64)
    assert take_piece(part(0, [1, -2]), IDENTITY, row, 0, False) == 2
    assert take_piece(part(2, [3, 4, 5]), IDENTITY, row, 2, True) == 5
    assert row.tolist() == [1, -2, 3, 4, 5]
    take_result([part(0, [7, 8, 9]), part(3, [0, 1])], IDENTITY, row)
    assert row.tolist() == [7, 8, 9, 0, 1]


@pytest.mark.parametrize("reply, filled, last, message", [
    (part(0, [1, 2, 3]), 0, True, "a piece of a result came with 20 bytes, 0 of 5 words were there"),
    (part(2, [1, 2, 3]), 2, False, "a piece of a result came with 20 bytes, 2 of 5 words were there"),
    (part(3, [1, 2, 3]), 3, True, "a piece of a result came with 20 bytes, 3 of 5 words were there"),
    (part(0, [1])[:-1], 0, True, "a piece of a result came with 11 bytes, 0 of 5 words were there"),
    (part(0, []), 0, False, "a piece of a result came with 8 bytes, 0 of 5 words were there"),
    (part(0, [1], 3), 0, False, "the board lost its network on the way"),
    (part(1, [1]), 0, False, "the piece of a result at word 1 came, not that at 0"),
])
def test_a_piece_that_is_not_the_next_one_is_a_fault(reply, filled, last, message):
    with pytest.raises(LinkFault) as raised:
        take_piece(reply, IDENTITY, np.zeros(5, np.int64), filled, last)
    assert str(raised.value) == message
