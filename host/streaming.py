"""`adafire run --stream`: recordings of events go to a board frame by frame; how long after the first event it decides.

A frame is complete when its step is over (`gen.data.events.Cut.ends`), and only then can be sent. On a board the host
keeps that pace by the clock, and the time until the decision is measured. A simulated board is slower than its clock,
so there the time is reckoned for each recording::

    there[k]    = max(complete[k], there[k-1]) + bytes of the frame over the line
    computed[k] = max(there[k], computed[k-1]) + estimated cycles of a timestep
    decision    = computed[exit step] + bytes of the first piece of the result over the line
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from gen.data.recordings import EventSet
from gen.errors import InputError
from gen.intnet import Network
from gen.result import Result, results_in
from host.board import SLOWEST_CLOCK_HZ, Board
from hw.regmap import PIECE, PIECE_WORDS

__all__ = ["Streamed", "check_recordings"]

BINS = 12


def check_recordings(network: Network, images) -> EventSet:
    """Return ``images`` if they are recordings that the ``network`` looks at frame by frame; else `InputError`."""
    if network.source.kind != "frames":
        raise InputError("--stream sends frames as they come, and this network looks at one still image: leave it out.")
    if not isinstance(images, EventSet):
        raise InputError(
            f"--stream needs recordings of events, whose times say when a frame is complete; {images.name} holds "
            "images without times."
        )
    return images


class Streamed:
    """A board as a device that is given the frames of recordings one by one; `run` takes them in order.

    Parameters
    ----------
    board : open
    recordings : those that `run` will be given, from the first on
    paced : whether the frames keep the recordings' pace; otherwise they come at once and times are reckoned
    """

    def __init__(self, board: Board, recordings: EventSet, paced: bool):
        self._board, self._recordings, self._paced = board, recordings, paced
        self.network, self._seconds = board.network, []

    def run(self, x: np.ndarray, progress: Callable | None = None) -> Result:
        """Return the `Result` of recordings uint8 [N, T, C, H, W]; the cycles, which hold waits, are left out."""
        rows = []
        for number, recording in enumerate(x):
            rows.append(self._decide(recording, self._recordings.ends(len(self._seconds)) / 1e6))
            if progress:
                progress(number + 1, len(x))
        result = results_in(self._board.content.outputs, np.stack(rows))
        return replace(result, cycles=None, busy_cycles=None)

    def _decide(self, recording, ends):
        """Return the words of the result of one recording, whose frames are complete at ``ends`` seconds."""
        clock = self._board.clock
        start = clock()
        row, answered = self._board.watch(recording, (lambda frame: clock() >= start + ends[frame]) if self._paced else
                                          (lambda frame: True))
        self._seconds.append(answered - start if self._paced else self._reckoned(ends, int(row[1])))
        return row

    def _reckoned(self, ends, exit_step):
        board, content, frames = self._board, self._board.content, len(ends)
        frame_s = board.line_seconds(content.input["values"] * content.input["bytes"] // frames)
        step_s = content.cycles / frames / (board.identity["CLOCK_HZ"] or SLOWEST_CLOCK_HZ)
        there = computed = 0.0
        for complete in ends[:exit_step]:
            there = max(complete, there) + frame_s
            computed = max(there, computed) + step_s
        return computed + board.line_seconds(4 * min(content.words, PIECE_WORDS), PIECE.size)

    def latency(self) -> dict:
        """Return the times from the first event to the decision as JSON can hold them, in milliseconds."""
        found = 1e3 * np.array(self._seconds)
        counts, edges = np.histogram(found, BINS, (0.0, float(found.max())))
        return {
            "how": "measured" if self._paced else "reckoned", "mean": float(found.mean()),
            "median": float(np.median(found)), "least": float(found.min()), "most": float(found.max()),
            "histogram": {"edges": edges.tolist(), "recordings": counts.tolist()},
        }
