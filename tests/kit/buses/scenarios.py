"""The cocotb tests of a bus wrapper, run inside the simulator; `tests.kit.buses.job` starts them.

Every scenario begins with a reset of the bus and the first network in the memories. Each result of an image is
compared with the golden model: class, timesteps, events, synaptic operations and logits.
"""

import json
from functools import cached_property, lru_cache
from random import Random

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, SimTimeoutError, with_timeout

from gen.inputs import input_stream
from hw.identity import describe_input, network_id
from hw.regmap import MAGIC, PROTOCOL
from tests.kit.buses.job import BUILD, BusJob
from sim.golden import Golden
from tests.kit.random_networks import random_images

PERIOD = 10  # ns
LIMIT = 100_000  # cycles for one wait
AFTER_RESET = 10  # cycles: the core reads the header of its program, and is not idle meanwhile
RESTS, TAKES_WORD, TAKES_VALUE, UNSOUND = 1, 2, 4, 32


class Loaded:
    """One network of the job: its load stream, its images and their results."""

    def __init__(self, plan, job):
        self.network = plan.network
        self.number = network_id(self.network)
        self.input = describe_input(self.network)
        self.stream = plan.load_stream
        images = random_images(self.network, job.seed, job.images)
        self.words = input_stream(self.network, images)
        r = Golden(self.network).run(images)
        self.results = np.column_stack([r.classes, r.exit_steps, r.events, r.synaptic_ops, r.logits]).tolist()


class Bench:
    """The job, its two networks, and the host of the scenario under way."""

    def __init__(self, dut, name):
        self.job, self.dut = BusJob.read(), dut
        self.networks, self.random = _networks(), Random(f"{self.job.seed} {name}")
        self.clock = dut.aclk if self.job.bus == "axi" else dut.clk
        self.compared, self.current = 0, self.networks[0]
        Clock(self.clock, PERIOD, "ns").start()

    @cached_property
    def host(self):
        """The host, made when the clock runs."""
        if self.job.bus == "axi":
            from tests.kit.buses.axi import AxiHost as Host
        else:
            from tests.kit.buses.wishbone import WishboneHost as Host
        return Host(self.dut, self.random.random())

    async def until(self, what, condition):
        """Wait until ``condition()``, a coroutine, is true."""
        async def poll():
            while not await condition():
                await ClockCycles(self.clock, 3)

        try:
            await with_timeout(poll(), PERIOD * LIMIT, "ns")
        except SimTimeoutError as error:
            raise AssertionError(f"{what} did not come about within {LIMIT} cycles") from error

    async def rests(self):
        """Wait until everything sent is taken and STATUS says that nothing goes on."""
        await with_timeout(self.host.sent(), PERIOD * LIMIT, "ns")

        async def resting():
            return (await self.host.read("STATUS") or 0) & RESTS

        await self.until("rest", resting)

    async def put(self, network):
        """Load a network over the bus and let it run."""
        host = self.host
        await self.begin_load()
        await with_timeout(host.load(network.stream), PERIOD * LIMIT, "ns")
        await self.rests()
        assert await host.read("STATUS") == RESTS | TAKES_WORD and await host.read("LOADED") == network.stream[-1]
        assert await host.write("INPUT_SIZE", network.input["values"])
        assert await host.write("NETWORK", network.number)
        self.current = network

    async def begin_load(self):
        """Wait for the image under way, then say that there is no network."""
        await self.rests()
        assert await self.host.write("NETWORK", 0)

    def send(self, n):
        """Queue image ``n``."""
        self.host.send(self.current.words[n])

    async def compare(self, *images):
        """Wait for the results of these images, in this order, and for none beside."""
        results = []

        async def all_there():
            results.extend(self.host.arrived())
            return len(results) >= len(images)

        await self.until(f"{len(images)} results", all_there)
        assert [_comparable(words) for words in results] == [self.current.results[n] for n in images]
        self.compared += len(images)

    async def run_all(self):
        """Run every image, the next one being sent while one is computed."""
        images = range(len(self.current.words))
        for n in images:
            self.send(n)
        await self.compare(*images)

    async def part_of_an_image(self):
        """Send an image and stop at a random moment of it; return its number."""
        n = self.random.randrange(len(self.current.words))
        self.send(n)
        await ClockCycles(self.clock, self.random.randrange(3 * len(self.current.words[n]) + 300))
        return n


@lru_cache(maxsize=1)
def _networks():
    job = BusJob.read()
    return [Loaded(plan, job) for plan in job.plans()]


def _comparable(words):
    """Return a result without its counters of cycles."""
    class_, steps, _, _, events, ops, *logits = words
    return [class_, steps, events & 0xFFFFFFFF, ops & 0xFFFFFFFF, *logits]


def scenario(function):
    """Make a coroutine function of a `Bench` a cocotb test that begins with a reset and the first network."""
    name = function.__name__

    @cocotb.test(name=name)
    async def test(dut):
        bench = Bench(dut, name)
        await bench.host.reset()
        if await bench.host.read("NETWORK") != bench.current.number:
            await bench.put(bench.current)
        await function(bench)
        with open(bench.job.records, "a") as file:
            file.write(json.dumps({"scenario": name, "images": bench.compared}) + "\n")

    return test


@scenario
async def registers(bench):
    """What identifies the design, what may be written, and what is refused."""
    host, described = bench.host, bench.current.input
    expected = {
        "MAGIC": MAGIC, "VERSION": PROTOCOL, "NETWORK": bench.current.number, "INPUT_SIZE": described["values"],
        "INPUT_LOW": described["lowest"] & 0xFFFFFFFF, "INPUT_BYTES": described["bytes"], "LANES": bench.job.lanes,
        **{f"BUILD_{i}": BUILD >> 32 * i & 0xFFFFFFFF for i in range(4)}, "BAUD": 0, "STATUS": RESTS | TAKES_VALUE,
    }
    assert {name: await host.read(name) for name in expected} == expected
    assert not await host.write("LANES", 1) and not await host.write("STATUS", 0)
    assert not await host.write("LOAD", 0), "there is a network"
    assert not await host.write("INPUT_SIZE", 0, offset=1, size=2), "only whole words can be written"
    assert await host.read("INPUT_SIZE") == described["values"]
    await bench.begin_load()
    assert await host.read("STATUS") == RESTS | TAKES_WORD and await host.read("NETWORK") == 0
    assert await host.write("NETWORK", bench.current.number)
    await bench.run_all()
    assert await host.read("RESULTS") == bench.compared
    assert await host.read("BUSY") > 100
    await host.write("CONTROL", 2)
    await bench.rests()
    assert await host.read("RESULTS") == 0
    assert await host.read("BUSY") < AFTER_RESET


@scenario
async def images_in_a_row(bench):
    """All images sent at once; then the line that says that a result waits."""
    await bench.run_all()
    await bench.rests()
    assert not bench.host.interrupt.value


@scenario
async def another_network(bench):
    """The second network is loaded, runs, and the first one again."""
    for network in (*bench.networks[1:], bench.networks[0]):
        await bench.put(network)
        await bench.run_all()


@scenario
async def aborted(bench):
    """Images given up, one before half of it is sent, others at random moments; what follows is right."""
    for early in (True, False, False, False):
        if early:
            victim = 0
            bench.send(victim)
            await ClockCycles(bench.clock, len(bench.current.words[victim]) // 2)
        else:
            victim = await bench.part_of_an_image()
        assert await bench.host.write("CONTROL", 1)
        await bench.rests()
        results = [_comparable(words) for words in bench.host.arrived()]
        assert results in ([], [] if early else [bench.current.results[victim]])
        after = bench.random.randrange(bench.job.images)
        bench.send(after)
        await bench.compare(after)


@scenario
async def core_reset(bench):
    """The core is reset at random moments of an image, then of a load; the network stays, the load begins anew."""
    for _ in range(4):
        await bench.part_of_an_image()
        await bench.host.forget()
        bench.host.arrived()
        assert await bench.host.read("NETWORK") == bench.current.number
        await bench.run_all()
    network = bench.networks[1]
    await bench.begin_load()
    await bench.host.load(network.stream[: bench.random.randrange(1, len(network.stream))])
    await bench.host.forget()
    assert await bench.host.read("STATUS") == RESTS | TAKES_WORD | UNSOUND
    assert not await bench.host.write("NETWORK", network.number), "half a network is none"
    await bench.put(network)
    await bench.run_all()


@scenario
async def damaged_load(bench):
    """One bit of a load is wrong: no network can be named and nothing runs until a whole one is loaded."""
    network = bench.networks[1]
    stream = network.stream.copy()
    stream[bench.random.randrange(2, len(stream) - 3)] ^= 1 << bench.random.randrange(32)
    await bench.begin_load()
    await bench.host.load(stream)
    await bench.rests()
    assert await bench.host.read("STATUS") == RESTS | TAKES_WORD | UNSOUND
    assert not await bench.host.write("NETWORK", network.number) and await bench.host.read("NETWORK") == 0
    await bench.put(network)
    await bench.run_all()


@scenario
async def bus_reset(bench):
    """The reset of the bus in the middle of an image, with another network than at power-up in the memories."""
    await bench.put(bench.networks[1])
    for _ in range(2):
        await bench.part_of_an_image()
        await bench.host.reset()
        bench.host.arrived()
        assert await bench.host.read("NETWORK") == bench.current.number, "the register says what the memories hold"
        await bench.run_all()


async def lost_places(bench):
    """Transfers that are no images: several in one, cut short, too long. Whatever they leave, the next is right.

    A part of an image gives no result, as the first network takes a single map.
    """
    words = bench.current.words
    bench.host.send(np.concatenate(words))
    await bench.compare(*range(len(words)))
    for cut in (1, len(words[0]) - 1, bench.random.randrange(1, len(words[0]))):
        bench.host.send(words[0][:cut])
        bench.send(1)
        await bench.compare(1)
        bench.host.send(np.concatenate([words[1], words[0][:cut]]))
        bench.send(2)
        await bench.compare(1, 2)


if BusJob.read().bus == "axi":
    lost_places = scenario(lost_places)  # pyright: ignore[reportAssignmentType] - as a decorator does
