"""The cocotb tests of one generated folder, run inside the simulator; `sim.bench.simulate` starts them.

Every scenario compares every count, state, logit, class, exit step and counter of every image it runs with the
golden model, computed here from the folder's network, and appends one record for each. The core begins with the
memories of its Verilog, or, where these hold no weights, with what the load port brings before anything else; the
last scenario fills them again.
"""

import json
from functools import lru_cache
from pathlib import Path
from random import Random

import cocotb
import numpy as np
from cocotb.clock import Clock

from gen.layout.image import read_image
from gen.inputs import input_stream
from gen.layout.program import WORD_BITS, memory_shapes
from sim.bench.driver import COUNTERS, STALL, Driver, Stuck, Violation, unpack
from sim.bench.folder import IMAGE, read_folder
from sim.bench.job import ABORTS, Job, planned_runs
from sim.compare import Answer, Difference, compare_image, compared_values, expected_probe, first_difference
from sim.golden import Golden


class Session:
    """The job: its network, images and golden traces; writes the records."""

    def __init__(self, job):
        self.job = job
        self.schedule = read_folder(job.folder)
        numbers, images = job.read_images()
        words = input_stream(self.schedule.network, images)
        self.images, self.words = dict(zip(numbers, images)), dict(zip(numbers, words))
        self.limit = _cycle_limit(self.schedule, words.shape[1])
        golden = Golden(self.schedule.network)
        self.trace = lru_cache(maxsize=64)(lambda n: golden.trace(self.images[n]))
        self.stuck = False

    def record(self, **fields):
        """Append one record."""
        with open(self.job.records, "a") as file:
            file.write(json.dumps(fields) + "\n")


@lru_cache(maxsize=1)
def _session():
    return Session(Job.read())


def _cycle_limit(schedule, words):
    """Return cycles that no image can need, however dense it is and whatever pauses there are."""
    taps = sum(
        p.runs * (2 + p.tile_channels + sum(s.weight[0].size * s.groups for s in p.synapses)) for p in schedule.passes
    )
    work = 4 * taps * schedule.rounds + 4 * words + 8 * schedule.network.classes
    return int((10_000 + work) / (1 - STALL))


class Check:
    """One scenario under way: compares runs with the golden model, one record each."""

    def __init__(self, session, name):
        self.name, self.session, self.differences = name, session, 0
        self.schedule, self.limit = session.schedule, session.limit
        self.random = Random(f"{session.job.seed} {name}")

    def plan(self):
        """Return how many images this scenario is to run."""
        return planned_runs(self.session.job.count)[self.name]

    def image(self):
        """Draw an image."""
        return self.random.randrange(self.session.job.count)

    def send(self, driver, n, **options):
        """Queue image ``n``."""
        driver.send(self.session.words[n], **options)

    def whole(self, n, run, full_speed=False):
        """Compare an image that ran to its end."""
        trace, schedule = self.session.trace(n), self.schedule
        words = COUNTERS + schedule.network.classes
        if len(run.words) != words:
            self._write(n, Difference("words of the result", words, len(run.words)))
            return
        answer, cycles = _answer(run.words)
        difference = compare_image(schedule, trace, self._probe(run.tiles), answer)
        timed = {"cycles": cycles, "synaptic_ops": answer.synaptic_ops} if full_speed else {}
        self._write(n, difference, compared=compared_values(schedule, expected_probe(schedule, trace)), **timed)

    def part(self, n, tiles):
        """Compare the tiles of an image that was given up."""
        expected = expected_probe(self.schedule, self.session.trace(n))
        difference = first_difference(self.schedule, expected, *self._probe(tiles), complete=False)
        self._write(n, difference)

    def same(self, n, first, second):
        """Compare two runs of one image with each other: every lane, and all but the cycles of the answer."""
        one, other = ((run.tiles, run.words[:2] + run.words[3:]) for run in (first, second))
        if one != other:
            self._write(n, "the same image gave other bits the second time")

    def failed(self, error):
        """Record what ended the scenario early."""
        self._write(None, str(error))

    def _probe(self, tiles):
        p = self.schedule.params
        passes, counts, states = zip(*tiles) if tiles else ((), (), ())
        return (
            np.array(passes, np.int64), unpack(counts, p.lanes, p.value_bits), unpack(states, p.lanes, p.acc_bits),
        )

    def _write(self, n, difference, **fields):
        self.differences += difference is not None
        text = None if difference is None else str(difference)
        self.session.record(scenario=self.name, image=n, difference=text, **fields)


def _answer(words):
    """Return (`Answer`, cycles) of the words of a result."""
    cycles, _, events, ops = (word & 0xFFFFFFFF for word in words[2:COUNTERS])
    return Answer(words[0], words[1], events, ops, np.array(words[COUNTERS:])), cycles


def scenario(function):
    """Make a coroutine function of (check, driver) a cocotb test that begins with a reset."""
    name = function.__name__.replace("_", " ")

    @cocotb.test(name=function.__name__)
    async def test(dut):
        session = _session()
        check = Check(session, name)
        Clock(dut.clk, 10, "ns").start()
        driver = Driver(dut, session.schedule.params, f"{session.job.seed} {name}")
        await driver.reset()
        try:
            if session.schedule.params.spram and not session.stuck:
                await driver.load(read_image(Path(session.job.folder) / IMAGE), session.limit, stall=0.0)
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
    images = range(check.plan())
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
    images = check.random.sample(range(check.session.job.count), check.plan())
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
        tiles = (await driver.abort(check.limit)).tiles
        if len(driver.runs) > finished:
            check.whole(n, driver.runs[-1])
        else:
            check.part(n, tiles)
        n = check.image()
        check.send(driver, n)
        run, = await driver.results(1, check.limit)
        check.whole(n, run)


@scenario
async def restarted(check, driver):
    """An image whose words end early: the next image's first word gives it up."""
    n, after = check.image(), check.image()
    words, network = check.session.words[n], check.schedule.network
    maps = network.timesteps if network.source.kind == "frames" else 1
    a_map = len(words) // maps
    most = a_map * min(maps, check.session.trace(n).exit_step)
    taken = check.random.randrange(1, most) if most > 1 else 0
    driver.send(words[:taken])
    check.send(driver, after)
    run, = await driver.results(1, check.limit)
    given_up = taken // a_map * sum(p.runs for p in check.schedule.passes)
    check.part(n, run.tiles[:given_up])
    run.tiles = run.tiles[given_up:]
    check.whole(after, run)


@scenario
async def loaded(check, driver):
    """Every memory overwritten, then filled with the image file, both through the load port."""
    stream = read_image(Path(check.session.job.folder) / IMAGE)
    await driver.load(_inverted(stream, check.schedule.params), check.limit, stall=0.0)
    await driver.load(stream, check.limit)
    for n in range(check.plan()):
        check.send(driver, n)
        run, = await driver.results(1, check.limit)
        check.whole(n, run)


def _inverted(stream, params):
    """Return a load stream with the bits of every memory word turned over, addresses and lengths as they are."""
    beats = [-(-bits // WORD_BITS) for _, bits in memory_shapes(params).values()]
    result, position = stream.copy(), 0
    while position < len(stream):
        start = position + 2
        position = start + int(stream[position + 1]) * beats[int(stream[position]) >> 24]
        result[start:position] ^= np.uint32(0xFFFFFFFF)
    return result
