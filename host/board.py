"""A board on a port: the same ``run(x)`` as every device. Needs numpy and pyserial, nothing else."""

from collections.abc import Callable
from contextlib import ExitStack

import numpy as np

from gen.device import Progress
from gen.intnet import Network
from gen.result import Result, results_in
from host.content import Content, content_of, read_manifest
from host.errors import LinkError, LinkFault, Refused
from host.link import Link
from host.pieces import frame_requests, line_seconds, load_requests, piece_bytes, run_requests, take_piece, take_result
from host.replies import next_position, refuse_another_build, refuse_another_protocol, registers
from host.transport import Transport
from hw.regmap import COMMIT, COUNTERS, IDENTITY, Command, Fault

__all__ = ["Board"]

RETRIES = 8              # faults in a row without one more result, or one more piece loaded
SLACK_S = 1.0            # what operating system and adapter may add to a reply
FIRST_WINDOW = 2048      # bytes that may still be on their way when a port is opened
SLOWEST_CLOCK_HZ = 1e7   # where the board does not say


class Board:
    """A generated accelerator behind a port.

    Every call gets through a disturbed line: what is lost or broken is noticed, the board is reset, and what is
    not answered yet is sent again. Use it in a ``with``, or `close` it.

    Parameters
    ----------
    port : str or open transport
        A name that `host.transport.Transport` knows, or an object like it.
    folder : path
        What the board's bitstream was made from (`adafire generate`).
    network : as `load` takes it, or None
        What the memories shall hold; by default the folder's network.
    baud : int or None
        Default: the folder's.
    timeout : float or None
        Seconds without a reply that count as lost; by default reckoned from clock, baud rate and network.
    pace : float
        How many times slower than its clock the board runs: more than 1 for a simulated one.
    progress : callable(step, fraction) or None
        Told of loading a network.
    resources : ExitStack or None
        Closed with the board, and if it cannot be opened.

    Raises
    ------
    InputError, DoesNotFit : ``folder`` is no generated folder, or ``network`` does not fit; the port was not opened.
    NoSuchPort, PortUnavailable : the port cannot be opened.
    WrongBoard : what answers is no such board, or was built from another folder.
    LinkError : nothing answers.

    Attributes
    ----------
    identity : dict, the registers IDENTITY as last read
    statistics : host.link.Statistics
    """

    def __init__(
        self, port, folder, network=None, *, baud=None, timeout=None, pace=1.0, progress=None, resources=None
    ):
        with resources or ExitStack() as self._resources:
            self.folder = folder
            self._manifest, content = read_manifest(folder)
            self._content = content if network is None else content_of(network, self._manifest["parameters"])
            self._baud = baud or self._manifest["baud"]
            self._timeout, self._pace, self._report = timeout, pace, progress or (lambda step, fraction: None)
            transport = Transport(port, self._baud) if isinstance(port, str) else port
            self._resources.callback(transport.close)
            self._link = Link(transport, timeout or self._reckoned(FIRST_WINDOW, 0.0))
            self._ready, self._sound, self._taken, self._furthest, self._advances = False, True, 0, 0, 0
            self.identity = {}
            self._steadily(lambda: None)
            self._resources = self._resources.pop_all()

    @property
    def port(self):
        """The name of the port."""
        return self._link.transport.port

    @property
    def content(self) -> Content:
        """What the memories hold."""
        return self._content

    @property
    def clock(self) -> Callable[[], float]:
        """The clock of `watch`, in seconds."""
        return self._link.transport.clock

    @property
    def statistics(self):
        """What the link has been through, a `host.link.Statistics`."""
        return self._link.statistics

    @property
    def lanes(self) -> int:
        """Lanes of the core."""
        return self._manifest["lanes"]

    @property
    def network(self) -> Network:
        """The network in the memories; reading it from the folder needs safetensors."""
        return self._content.network

    @property
    def plan(self):
        """The `gen.plan.plan.Plan` of that network on the board's core."""
        from gen.plan.params import CoreParams
        from gen.plan.plan import plan_on

        return plan_on(self.network, CoreParams(**self._manifest["parameters"]))

    def run(self, x: np.ndarray, progress: Progress | None = None) -> Result:
        """Run images uint8 [N, C, H, W] or [N, H, W]; return a `Result` with the cycles that the board counted.

        Parameters
        ----------
        x : as `gen.inputs.input_values` says
        progress : callable(images done, images in all) or None

        Raises
        ------
        InputError : the images are not the network's; nothing has been sent.
        LinkError : the board, or the line to it, stays disturbed.
        """
        x, content = np.atleast_1d(x), self._content
        runs = content.encode(x)
        rows = np.zeros((len(runs), content.words), np.int64)
        waiting = dict.fromkeys(range(len(runs)))

        def answer_those_waiting():
            filled = dict.fromkeys(waiting, 0)
            for run, last, reply in self._link.stream(run_requests(runs, list(waiting), self._piece)):
                if run is not None:
                    filled[run] = take_piece(reply, self._content.identity, rows[run], filled[run], last)
                if run is not None and last:
                    del waiting[run]
                    self._advance()
                    if progress:
                        progress(min(len(x), content.images * (len(runs) - len(waiting))), len(x))

        self._steadily(answer_those_waiting)
        return results_in(content.outputs, rows).first(len(x))

    def watch(self, x: np.ndarray, due: Callable[[int], bool] = lambda frame: True) -> tuple[np.ndarray, float]:
        """Run one recording whose frames come one by one, until the board has decided; it holds its state meanwhile.

        Parameters
        ----------
        x : uint8 [T, C, H, W]
        due : called with a frame's number, from 0, again and again until it says that this frame has come

        Returns
        -------
        (int64 [words], the result as `gen.result.results_in` takes it; the ``clock`` when it was there). Its cycles
        count the waits too.

        Raises
        ------
        InputError, LinkError : as `run`. After a fault the whole recording is sent again.
        """
        data, row = self._content.encode(np.asarray(x)[None])[0].tobytes(), np.zeros(self._content.words, np.int64)

        def decide():
            parts = self._link.follow(frame_requests(data, len(x), self._piece, due))
            answered = self._link.transport.clock()
            take_result(parts, self._content.identity, row)
            self._advance()
            self._link.synchronise(Command.ABORT)  # frames that were not sent, or not taken, are not waited for
            return answered

        return row, self._steadily(decide)

    def load(self, network):
        """Put another network into the memories; the bitstream stays.

        Parameters
        ----------
        network : IntegerNetwork, the path of a network file, or of a generated folder

        Raises
        ------
        DoesNotFit : the core is too small; says what is short. Nothing has been sent.
        """
        self._content = content_of(network, self._manifest["parameters"])
        self.reset()

    def identify(self):
        """Return the registers IDENTITY, name to value."""
        self._steadily(self._identify)
        return dict(self.identity)

    def counters(self):
        """Return the registers COUNTERS, name to value; a fault on the way resets them."""
        return self._steadily(lambda: registers(COUNTERS, self._link.ask(Command.COUNTERS)))

    def abort(self):
        """Give up whatever the board is doing; its network and counters stay."""
        self._link.synchronise(Command.ABORT)

    def reset(self):
        """Bring the board to its beginning, counters 0, the network in its memories."""
        self._ready, self._taken = False, 0
        self._steadily(lambda: None)

    def close(self):
        """Close the port; closing twice is no error."""
        resources, self._resources = self._resources, None
        if resources:
            resources.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _steadily(self, work):
        """Return ``work()``, prepared and repeated after a fault, as long as there is progress between faults."""
        if not self._resources:
            raise LinkError(f"The board at {self.port} has been closed: open it again.")
        faults, advances = 0, self._advances
        while True:
            try:
                if not self._ready:
                    self._prepare()
                self._ready = False
                result = work()
                self._ready = True
                return result
            except LinkFault as fault:
                if isinstance(fault, Refused) and fault.fault == Fault.DIGEST:
                    self._sound, self._taken = False, 0  # what the board holds is damaged, whatever it calls it
                faults, advances = 1 + faults * (self._advances == advances), self._advances
                if faults > RETRIES // 2:
                    self._taken = 0  # a load that cannot be resumed begins anew
                if faults > RETRIES:
                    raise LinkError(
                        f"The board at {self.port} was reset {RETRIES} times in a row without getting on, the "
                        f"last time because {fault}. Check cable, power and baud rate ({self._baud}); if these "
                        f"are right, build the bitstream of {self.folder} again."
                    ) from fault
                self.statistics.retries += 1

    def _advance(self, furthest=0):
        """Note progress: a run answered, or a load that is ``furthest`` since the last one."""
        self._advances += 1
        self._furthest = furthest

    def _prepare(self):
        """Bring the board, whatever it is doing, to where it waits for images of our network."""
        self._link.synchronise(Command.ABORT if self._taken else Command.RESET)
        self._identify()
        if not self._sound or not self._holds_ours():
            self._load()
            self._sound = True
            self._identify()
            if not self._holds_ours():
                raise LinkFault("the board took a network and does not hold it")
        self._ready, self._taken = True, 0

    def _holds_ours(self):
        held = {**self._content.registers(), "LOADED": self._content.digest}
        return held.items() <= self.identity.items()

    def _identify(self):
        reply = self._link.ask(Command.IDENTIFY)
        refuse_another_protocol(reply, self.port, self.folder)
        found = self.identity = registers(IDENTITY, reply)
        refuse_another_build(found, self._manifest["build_id"], self.port, self.folder)
        cycles = self._content.cycles / (found["CLOCK_HZ"] or SLOWEST_CLOCK_HZ)
        self._link.window = found["RX_BYTES"]
        self._link.timeout = self._timeout or self._reckoned(found["RX_BYTES"], cycles)
        self._piece = piece_bytes(found["RX_BYTES"], found["MAX_PAYLOAD"])

    def _reckoned(self, window, compute_s):
        return SLACK_S + self._pace * (2 * line_seconds(window, self._baud) + 4 * compute_s)

    def _load(self):
        """Send the load stream, from where an interrupted load is known to have got to, and commit it."""
        content, total = self._content, len(self._content.stream) // 4
        try:
            for position, _, reply in self._link.stream(load_requests(content.stream, self._taken, self._piece)):
                self._taken = min(next_position(reply), position + self._piece // 4)
                if self._taken > self._furthest:
                    self._advance(self._taken)
                self._report("loading the network", min(1.0, self._taken / total))
            self._link.ask(Command.COMMIT, COMMIT.pack(total, *content.registers().values()))
        except Refused as refused:
            if refused.fault == Fault.SEQUENCE:
                self._taken = refused.expected
            raise
