"""`adafire run --stream`: recordings of events go to a board frame by frame; how long after the first event it decides.

A frame is complete when its step is over (`gen.data.events.Cut.ends`), and only then can be sent. On a board the host
keeps that pace by the clock, and the time until the decision is measured. A simulated board is slower than its clock,
so there the time is reckoned for each recording, at the baud rate of the folder and the clock of the board's core::

    there[k]    = max(complete[k], there[k-1]) + bytes of the frame over the line
    computed[k] = max(there[k], computed[k-1]) + estimated cycles of a timestep
    decision    = computed[exit step] + bytes of the first piece of the result over the line
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from gen.data.recordings import EventSet
from gen.errors import InputError
from gen.intnet import Network
from gen.plan.target import find_target
from gen.result import Result, results_in
from host.board import Board
from host.content import Content
from host.pieces import bytes_on_line, line_seconds, piece_bytes
from hw.regmap import PIECE, PIECE_WORDS, POSITION

__all__ = ["Reckoning", "Streamed", "check_recordings", "latency"]

BINS = 12


@dataclass(frozen=True)
class Reckoning:
    """Seconds that a frame takes on the line, a timestep in the core, and the first piece of a result on the line."""

    frame_s: float
    step_s: float
    answer_s: float

    @classmethod
    def of(cls, manifest: dict, content: Content) -> "Reckoning":
        """Return that of a generated folder's design, ``content`` in its memories."""
        target, frames = find_target(manifest["board"]), content.input["timesteps"]
        piece = piece_bytes(target.rx_bytes)

        def line_s(count, head):
            return line_seconds(bytes_on_line(count, piece, head), manifest["baud"])

        return cls(
            line_s(content.input["values"] * content.input["bytes"] // frames, POSITION.size),
            content.cycles / frames / (1e6 * target.core_mhz), line_s(4 * min(content.words, PIECE_WORDS), PIECE.size),
        )

    def decision(self, ends: np.ndarray, exit_step: int) -> float:
        """Return seconds until the decision after ``exit_step`` timesteps; frames are complete at ``ends`` seconds.

        Timesteps beyond the frames are those of later stages, which look at them again.
        """
        there = computed = 0.0
        for complete in ends[:exit_step]:
            there = max(complete, there) + self.frame_s
            computed = max(there, computed) + self.step_s
        return computed + max(0, exit_step - len(ends)) * self.step_s + self.answer_s


def latency(seconds: list[float], how: str) -> dict:
    """Return the times from the first event to the decision, ``measured`` or ``reckoned``, in ms as JSON holds them."""
    found = 1e3 * np.array(seconds)
    counts, edges = np.histogram(found, BINS, (0.0, float(found.max())))
    return {
        "how": how, "mean": float(found.mean()), "median": float(np.median(found)), "least": float(found.min()),
        "most": float(found.max()), "histogram": {"edges": edges.tolist(), "recordings": counts.tolist()},
    }


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
    reckoning : None keeps the recordings' pace; otherwise frames are sent at once and times reckoned by it
    """

    def __init__(self, board: Board, recordings: EventSet, reckoning: Reckoning | None):
        self._board, self._recordings, self._reckoning = board, recordings, reckoning
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
        if self._reckoning:
            row, _ = self._board.watch(recording)
            self._seconds.append(self._reckoning.decision(ends, int(row[1])))
            return row
        clock = self._board.clock
        start = clock()
        row, answered = self._board.watch(recording, lambda frame: clock() >= start + ends[frame])
        self._seconds.append(answered - start)
        return row

    def latency(self) -> dict:
        """Return `latency` of the recordings so far."""
        return latency(self._seconds, "reckoned" if self._reckoning else "measured")
