"""The cocotb tests of one generated folder, run inside the simulator; `sim.bench.simulate` starts them.

Every scenario compares every count, state, output, class, exit step and counter of every image it runs with the
golden model, computed here from the folder's network, and appends one record for each. The core begins with the
memories of its Verilog, or, where these hold no weights, with what the load port brings before anything else; the
last scenario fills them again. A memory outside the chip holds its words from the beginning.
"""

import json
from functools import lru_cache
from pathlib import Path
from random import Random

import cocotb
import numpy as np
from cocotb.clock import Clock

from gen.inputs import input_stream
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
        self.images, self.words = dict(zip(numbers, images)), dict(zip(numbers, words))
        self.limit = cycle_limit(self.plan, STALL)
        golden = Golden(self.plan.network)
        self.traces = lru_cache(maxsize=64)(lambda n: golden.traces(self.images[n]))
        self.stuck = False

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
        """Return how many images this scenario is to run."""
        return self.session.job.planned[self.name]

    def image(self):
        """Draw an image."""
        return self.random.randrange(self.session.job.count)

    def send(self, driver, n, **options):
        """Queue image ``n``."""
        driver.send(self.session.words[n], **options)

    def whole(self, n, run, full_speed=False):
        """Compare an image that ran to its end."""
        self._compare(n, run, self.probe(run), full_speed)

    def part(self, n, probe):
        """Compare the neurons of an image that was given up."""
        self._write(n, first_difference(self.plan, self._expected(n), probe, complete=False))

    def behind(self, n, after, run):
        """Compare a run that holds the neurons of an image given up, ``n``, before those of the image ``after``."""
        probe = self.probe(run)
        early = np.zeros(len(probe.group), bool)
        for group, right in enumerate(self._expected(after)):
            own = np.flatnonzero(probe.group == group)
            early[own[: max(0, len(own) - len(right))]] = True
        self.part(n, probe.chosen(early))
        self._compare(after, run, probe.chosen(~early))

    def same(self, n, first, second):
        """Compare two runs of one image with each other: every group, and all but the cycles of the answer."""
        one, other = ((self.probe(run).by_group(), run.words[:2] + run.words[3:]) for run in (first, second))
        if not (all(map(np.array_equal, one[0], other[0])) and one[1] == other[1]):
            self._write(n, "the same image gave other bits the second time")

    def probe(self, run):
        """Return the `Probe` of a run."""
        return probe_of(run.fired, self.plan.params)

    def failed(self, error):
        """Record what ended the scenario early."""
        self._write(None, str(error))

    def _expected(self, n):
        return expected_probe(self.plan, self.session.traces(n))

    def _compare(self, n, run, probe, full_speed=False):
        words = result_words(self.plan.network)
        if len(run.words) != words:
            self._write(n, Difference("words of the result", words, len(run.words)))
            return
        result = results_of(self.plan.network, np.array([run.words]))
        difference = compare_image(self.plan, self.session.traces(n), probe, result)
        assert result.cycles is not None  # a core counts them
        timed = {"cycles": int(result.cycles[0]), "synaptic_ops": int(result.synaptic_ops[0])} if full_speed else {}
        self._write(n, difference, compared=compared_values(self.plan, self._expected(n)), **timed)

    def _write(self, n, difference, **fields):
        self.differences += difference is not None
        text = None if difference is None else str(difference)
        self.session.record(scenario=self.name, image=n, difference=text, **fields)


def scenario(function):
    """Make a coroutine function of (check, driver) a cocotb test that begins with a reset."""
    name = function.__name__.replace("_", " ")

    @cocotb.test(name=function.__name__)
    async def test(dut):
        session = _session()
        check = Check(session, name)
        Clock(dut.clk, 10, "ns").start()
        plan = session.plan
        driver = Driver(dut, plan.params, result_words(plan.network), f"{session.job.seed} {name}")
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
        assert not check.differences, f"{name}, seed {session.job.seed}: {check.differences} images differ"

    return test


@scenario
async def in_order(check, driver):
    """All images, one behind the other; every second one without pauses, and these give the cycle counts."""
    images = range(check.wanted())
    for n in images:
        check.send(driver, n, stall=0.0 if n % 2 == 0 else STALL)
    for n in images:
        run, = await driver.results(1, check.limit)
        check.whole(n, run, full_speed=n % 2 == 0)


@scenario
async def twice(check, driver):
    """One image twice, with other pauses."""
    n = check.image()
    check.send(driver, n)
    check.send(driver, n)
    first, second = await driver.results(2, check.limit)
    check.whole(n, first)
    check.whole(n, second)
    check.same(n, first, second)


@scenario
async def shuffled(check, driver):
    """Some images in random order."""
    images = check.random.sample(range(check.session.job.count), check.wanted())
    for n in images:
        check.send(driver, n)
    for n, run in zip(images, await driver.results(len(images), check.limit)):
        check.whole(n, run)


@scenario
async def aborted(check, driver):
    """Images given up in a random cycle, each followed by one that runs to its end."""
    n = check.image()
    check.send(driver, n)
    run, = await driver.results(1, check.limit)
    check.whole(n, run)
    for _ in range(ABORTS):
        before, cycles = driver.sent, check.random.randrange(max(1, run.words[2]))
        check.send(driver, n)
        await driver.until(lambda before=before: driver.sent > before, check.limit)
        last = driver.cycle + cycles
        await driver.until(lambda last=last: driver.cycle > last, check.limit)
        finished = len(driver.runs)
        cut = await driver.abort(check.limit)
        if len(driver.runs) > finished:
            check.whole(n, driver.runs[-1])
        else:
            check.part(n, check.probe(cut))
        n = check.image()
        check.send(driver, n)
        run, = await driver.results(1, check.limit)
        check.whole(n, run)


@scenario
async def restarted(check, driver):
    """An image whose words end early: the next image's first word gives it up."""
    n, after = check.image(), check.image()
    words, network = check.session.words[n], check.plan.network
    maps = network.frames if network.source.kind == "frames" else 1
    most = len(words) // maps * min(maps, sum(trace.exit_step for trace in check.session.traces(n)))
    taken = check.random.randrange(1, most) if most > 1 else 0
    taken -= taken % check.plan.params.input_values
    driver.send(words[:taken])
    check.send(driver, after)
    run, = await driver.results(1, check.limit)
    check.behind(n, after, run)


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
    for n in range(check.wanted()):
        check.send(driver, n)
        run, = await driver.results(1, check.limit)
        check.whole(n, run)
