"""The cocotb tests of one generated folder, run inside the simulator; `sim.bench.simulate` starts them.

Every scenario compares every count, state, output, class, exit step and counter of every image it runs with the
golden model, computed here from the folder's network, and appends one record for each run. A *run* is a list of the
numbers of images: of one, or of a batch those that the core takes together. The core begins with the memories of its
Verilog, or, where these hold no weights, with what the load port brings before anything else; the last scenario fills
them again. A memory outside the chip holds its words from the beginning.
"""

import json
from functools import lru_cache
from pathlib import Path
from random import Random

import cocotb
import numpy as np
from cocotb.clock import Clock

from gen.inputs import input_stream, together
from gen.plan.image import read_image
from gen.result import result_words, results_of
from sim.bench.driver import STALL, Driver, Stuck, Violation, probe_of
from sim.bench.outside import OutsideMemory
from sim.bench.job import ABORTS, Job
from sim.compare import Difference, compare_image, compared_values, expected_probe, first_difference
from sim.bench.folder import IMAGE, read_folder
from sim.golden import Golden
from sim.loading import inverted, port_stream
from sim.patience import cycle_limit


class Session:
    """The job: its network, images and golden traces; writes the records."""

    def __init__(self, job):
        self.job = job
        self.plan, self.stream = read_folder(job.folder), read_image(Path(job.folder) / IMAGE)
        numbers, images = job.read_images()
        words = input_stream(self.plan.network, images)
        self.images, self.batch = dict(zip(numbers, images)), self.plan.layout.images
        self.result_words = result_words(self.plan.network, self.batch)
        self.limit = cycle_limit(self.plan, STALL)
        golden = Golden(self.plan.network)
        self._words = dict(zip(numbers, words))
        self._traces = lru_cache(maxsize=64)(lambda n: golden.traces(self.images[n]))
        self.stuck = False

    def runs(self, numbers):
        """Return the runs of images of these numbers, in the last one the last again where some are missing."""
        return together(numbers, self.batch).tolist()

    def words(self, run):
        """Return the words that the core takes of a run."""
        return np.concatenate([self._words[n] for n in run])

    def traces(self, run):
        """Return the golden model's traces of a run."""
        return [trace for n in run for trace in self._traces(n)]

    def record(self, **fields):
        """Append one record."""
        with open(self.job.records, "a") as file:
            file.write(json.dumps(fields) + "\n")


@lru_cache(maxsize=1)
def _session():
    return Session(Job.read())


class Check:
    """One scenario under way: compares runs with the golden model, one record each."""

    def __init__(self, session, name):
        self.name, self.session, self.differences = name, session, 0
        self.plan, self.limit = session.plan, session.limit
        self.random = Random(f"{session.job.seed} {name}")

    def wanted(self):
        """Return how many runs this scenario is to make."""
        return self.session.job.planned[self.name]

    def run(self):
        """Draw a run."""
        return [self.random.randrange(self.session.job.count) for _ in range(self.session.batch)]

    def send(self, driver, run, **options):
        """Queue the images of a run."""
        driver.send(self.session.words(run), **options)

    def whole(self, run, shown, full_speed=False):
        """Compare with a run that went to its end what the core has ``shown`` (`sim.bench.driver.Run`)."""
        self._compare(run, shown, self.probe(shown), full_speed)

    def part(self, run, probe):
        """Compare the neurons of a run that was given up."""
        self._write(run, first_difference(self.plan, self._expected(run), probe, complete=False))

    def behind(self, run, after, shown):
        """Compare what holds the neurons of a run given up before those of the run ``after`` it."""
        probe = self.probe(shown)
        early = np.zeros(len(probe.group), bool)
        for group, right in enumerate(self._expected(after)):
            own = np.flatnonzero(probe.group == group)
            early[own[: max(0, len(own) - len(right))]] = True
        self.part(run, probe.chosen(early))
        self._compare(after, shown, probe.chosen(~early))

    def same(self, run, first, second):
        """Compare what was shown of a run twice: every group, and all but the cycles of the answer."""
        one, other = ((self.probe(shown).by_group(), shown.words[:2] + shown.words[3:]) for shown in (first, second))
        if not (all(map(np.array_equal, one[0], other[0])) and one[1] == other[1]):
            self._write(run, "the same image gave other bits the second time")

    def probe(self, shown):
        """Return the `Probe` of what was shown."""
        return probe_of(shown.fired, self.plan.params)

    def failed(self, error):
        """Record what ended the scenario early."""
        self._write([], str(error))

    def _expected(self, run):
        return expected_probe(self.plan, self.session.traces(run))

    def _compare(self, run, shown, probe, full_speed=False):
        words = self.session.result_words
        if len(shown.words) != words:
            self._write(run, Difference("words of the result", words, len(shown.words)))
            return
        result = results_of(self.plan.network, np.array([shown.words]), self.session.batch)
        difference = compare_image(self.plan, self.session.traces(run), probe, result)
        assert result.cycles is not None  # a core counts them
        timed = {
            "cycles": int(result.cycles.sum()), "synaptic_ops": int(result.synaptic_ops.sum()),
        } if full_speed else {}
        self._write(run, difference, compared=compared_values(self.plan, self._expected(run)), **timed)

    def _write(self, run, difference, **fields):
        self.differences += difference is not None
        text = None if difference is None else str(difference)
        self.session.record(scenario=self.name, images=run, difference=text, **fields)


def scenario(function):
    """Make a coroutine function of (check, driver) a cocotb test that begins with a reset."""
    name = function.__name__.replace("_", " ")

    @cocotb.test(name=function.__name__)
    async def test(dut):
        session = _session()
        check = Check(session, name)
        Clock(dut.clk, 10, "ns").start()
        plan = session.plan
        driver = Driver(dut, plan.params, session.result_words, f"{session.job.seed} {name}")
        if plan.params.outside:
            memory = OutsideMemory(dut, plan.params.outside_bits, plan.contents["outside"], session.job.seed)
            cocotb.start_soon(memory.serve())
        await driver.reset()
        try:
            if not plan.params.initialised and not session.stuck:
                inside, _ = port_stream(session.stream, plan, most=0)
                await driver.load(inside, session.limit, stall=0.0)
            if not session.stuck:  # one hang says it all, and takes long enough
                await function(check, driver)
        except (Stuck, Violation) as error:
            session.stuck = isinstance(error, Stuck)
            check.failed(error)
        session.record(scenario=name, done=True)
        assert not check.differences, f"{name}, seed {session.job.seed}: {check.differences} runs differ"

    return test


@scenario
async def in_order(check, driver):
    """All images, run behind run; every second one without pauses, and these give the cycle counts."""
    runs = check.session.runs(range(check.session.job.count))
    for n, run in enumerate(runs):
        check.send(driver, run, stall=0.0 if n % 2 == 0 else STALL)
    for n, run in enumerate(runs):
        shown, = await driver.results(1, check.limit)
        check.whole(run, shown, full_speed=n % 2 == 0)


@scenario
async def twice(check, driver):
    """One run twice, with other pauses."""
    run = check.run()
    check.send(driver, run)
    check.send(driver, run)
    first, second = await driver.results(2, check.limit)
    check.whole(run, first)
    check.whole(run, second)
    check.same(run, first, second)


@scenario
async def shuffled(check, driver):
    """Some images in random order."""
    count = check.session.job.count
    runs = check.session.runs(check.random.sample(range(count), min(count, check.wanted() * check.session.batch)))
    for run in runs:
        check.send(driver, run)
    for run, shown in zip(runs, await driver.results(len(runs), check.limit)):
        check.whole(run, shown)


@scenario
async def aborted(check, driver):
    """Runs given up in a random cycle, each followed by one that goes to its end."""
    run = check.run()
    check.send(driver, run)
    shown, = await driver.results(1, check.limit)
    check.whole(run, shown)
    for _ in range(ABORTS):
        before, cycles = driver.sent, check.random.randrange(max(1, shown.words[2]))
        check.send(driver, run)
        await driver.until(lambda before=before: driver.sent > before, check.limit)
        last = driver.cycle + cycles
        await driver.until(lambda last=last: driver.cycle > last, check.limit)
        finished = len(driver.runs)
        cut = await driver.abort(check.limit)
        if len(driver.runs) > finished:
            check.whole(run, driver.runs[-1])
        else:
            check.part(run, check.probe(cut))
        run = check.run()
        check.send(driver, run)
        shown, = await driver.results(1, check.limit)
        check.whole(run, shown)


@scenario
async def restarted(check, driver):
    """A run whose words end early: the next one's first word gives it up. Of a batch one more ends behind an image."""
    batch, beat = check.session.batch, check.plan.params.input_values
    for between in range(check.wanted() // 2):
        run, after = check.run(), check.run()
        words, network = check.session.words(run), check.plan.network
        maps = network.frames if network.source.kind == "frames" else 1
        most = len(words) // maps * min(maps, sum(trace.exit_step for trace in check.session.traces(run)))
        taken = check.random.randrange(1, most) if most > 1 else 0
        if between:
            taken = len(words) // batch * check.random.randrange(1, batch)
        driver.send(words[: taken - taken % beat])
        check.send(driver, after)
        shown, = await driver.results(1, check.limit)
        check.behind(run, after, shown)


@scenario
async def loaded(check, driver):
    """Every memory overwritten, then filled with the image file, both through the load port."""
    stream, _ = port_stream(check.session.stream, check.plan)
    await driver.load(inverted(stream, check.plan), check.limit, stall=0.0)
    if not driver.fault:
        raise Violation("the core took a damaged load for a good one")
    await driver.load(stream, check.limit)
    if driver.fault:
        raise Violation("the core took a good load for a damaged one")
    for run in check.session.runs(range(check.session.job.count))[: check.wanted()]:
        check.send(driver, run)
        shown, = await driver.results(1, check.limit)
        check.whole(run, shown)
