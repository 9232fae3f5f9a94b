"""`hw.machine.core` whole, in the simulator: golden results under stalls, after aborts, restarts and reloads."""

import numpy as np
import pytest

from gen.exit_rule import ExitRule
from gen.inputs import input_values
from gen.intnet import IntegerNetwork
from gen.layers import INPUT, INVERSE_LEAKY, Readout, Source, Spiking, Synapse
from gen.layout.image import load_stream, memory_image
from gen.layout.schedule import build_schedule, schedule_on
from hw.machine.core import Core
from hw.machine.sequencer import COUNTERS
from sim.golden import Golden
from tests.kit.random_networks import random_images, random_network
from tests.kit.streams import Bench


def network(seed, **options):
    """Return a random network that the simulator runs in a few thousand cycles."""
    sizes = dict(max_neurons=90, max_weights=500, max_size=5, max_channels=6)
    return random_network(seed, **(sizes | dict(max_timesteps=3, max_classes=6, max_layers=3) | options))


def input_words(net, image):
    """Return the words of one image: raster order, channels innermost, frame after frame."""
    values = np.moveaxis(input_values(net, image[None])[0], -3, -1).ravel()
    return [{"value": int(v), "first": int(n == 0)} for n, v in enumerate(values)]


def golden(net, image):
    """Return the result's words, counters of cycles left out."""
    r = Golden(net).run(image[None])
    return np.concatenate([r.classes, r.exit_steps, r.events, r.synaptic_ops, r.logits[0]]).tolist()


class Run:
    """A core and its results, each the list that `golden` returns."""

    def __init__(self, schedule, *, seed=0, stall=0.3, limit=12_000, image=None):
        self.core = Core(schedule.params, image or memory_image(schedule))
        self.bench = Bench(self.core, seed=seed, limit=limit)
        self._words, self._stall = self.bench.sink(self.core.o, stall=stall), stall
        self._pause = self.bench.pauses(stall)

    @property
    def results(self):
        """Results sent so far, without the counters of cycles."""
        results, words = [], []
        for word in self._words:
            words.append(word.payload["data"])
            if word.payload["last"]:
                counters = dict(zip(COUNTERS, words[2:]))
                kept = [counters["events"], counters["synaptic_ops"]]
                results.append([*words[:2], *kept, *words[2 + len(COUNTERS):]])
                words = []
        return results

    async def send(self, ctx, stream, words, *, until=lambda: False):
        """Send words into one of the core's streams, with pauses; return whether all were taken."""
        for word in words:
            for _ in range(self._pause()):
                if until():
                    return False
                await ctx.tick()
            ctx.set(stream.payload, word)
            ctx.set(stream.valid, 1)
            ready = 0
            while not ready:
                if until():
                    ctx.set(stream.valid, 0)
                    return False
                _, _, ready = await ctx.tick().sample(stream.ready)
            ctx.set(stream.valid, 0)
        return True

    async def infer(self, ctx, net, image):
        """Send an image, wait for its result and compare it."""
        before = len(self.results)
        await self.send(ctx, self.core.i, input_words(net, image))
        while len(self.results) == before or not ctx.get(self.core.idle):
            await ctx.tick()
        assert self.results[before:] == [golden(net, image)]

    def run(self, testbench):
        self.bench.add(testbench)
        self.bench.run()


@pytest.mark.parametrize("seed, lanes, stall", [
    (0, 2, 0.5), (1, 3, 0), (2, 1, 0.4), (3, 4, 0.2), (5, 3, 0.6),
])
def test_random_networks_give_golden_results(seed, lanes, stall):
    net = network(seed)
    run = Run(build_schedule(net, lanes), seed=seed, stall=stall)

    async def drive(ctx):
        for image in random_images(net, seed, 3):
            await run.infer(ctx, net, image)

    run.run(drive)


@pytest.mark.parametrize("seed, lanes, stall", [(1, 3, 0.4), (3, 5, 0)])
def test_separated_networks_give_golden_results(seed, lanes, stall):
    net = network(seed, neuron=INVERSE_LEAKY)
    run = Run(build_schedule(net, lanes), seed=seed, stall=stall)

    async def drive(ctx):
        for image in random_images(net, seed, 3):
            await run.infer(ctx, net, image)

    run.run(drive)


def pixels(shape, classes=1):
    """Return a network of one readout over the whole input."""
    weight = np.arange(1, 1 + classes * int(np.prod(shape))).reshape(classes, *shape) % 7 - 3
    readout = Readout("out", [Synapse(INPUT, weight)], np.arange(classes), np.full(classes, 4))
    return IntegerNetwork(Source(shape), [readout], 2, ExitRule("margin", limits=(5, 5)))


def unread():
    """Return a network with a wide layer that nothing reads."""
    ones = np.ones(9, int)
    synapse = Synapse(INPUT, np.ones((9, 1, 1, 1), int))
    wide = Spiking("wide", [synapse], ones, ones, ones, 3, 4, np.full(9, 4))
    return IntegerNetwork(Source((1, 1, 1)), [wide, *pixels((1, 1, 1)).layers], 1)


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("net", [pixels((1, 1, 1)), pixels((1, 1, 1), 11), pixels((3, 1, 2), 2), unread()],
                         ids=["one pixel", "more classes than pixels", "no hidden layer", "unread layer"])
def test_the_smallest_networks(net, lanes):
    run = Run(build_schedule(net, lanes), stall=0)

    async def drive(ctx):
        for value in (0, 255, 7):
            await run.infer(ctx, net, np.full(net.source.shape, value, np.uint8))

    run.run(drive)


@pytest.mark.parametrize("seed, sources, points", [(22, ["direct"], 24), (23, ["frames"], 14)])
def test_an_abort_anywhere_leaves_no_trace(seed, sources, points):
    """Abort at ``points`` moments from the first word to after the result; the next image is golden."""
    net = network(seed, max_neurons=30, max_size=3, max_layers=2, sources=sources)
    victim, good = random_images(net, seed, 2)
    run = Run(build_schedule(net, 2), seed=seed, stall=0.1, limit=60_000)
    core, answered = run.core, []

    async def drive(ctx):
        await run.infer(ctx, net, victim)
        whole = run.bench.cycle
        for point in np.linspace(0, whole, points).astype(int).tolist():
            at, before = run.bench.cycle + point, len(run.results)
            await run.send(ctx, core.i, input_words(net, victim), until=lambda at=at: run.bench.cycle >= at)
            while run.bench.cycle < at:
                await ctx.tick()
            ctx.set(core.abort, 1)
            await ctx.tick()
            ctx.set(core.abort, 0)
            while not ctx.get(core.idle):
                await ctx.tick()
            await ctx.tick()
            answered.append(len(run.results) - before)
            assert run.results[before:] in ([], [golden(net, victim)]), f"aborted after {point} cycles"
            await run.infer(ctx, net, good)

    run.run(drive)
    assert answered == sorted(answered) and answered[0] == 0 and answered[-1] == 1


@pytest.mark.parametrize("seed, sources", [(13, ["direct"]), (17, ["frames"])])
def test_an_image_that_begins_early_takes_the_place_of_the_one_before(seed, sources):
    net = network(seed, max_neurons=30, max_size=3, max_layers=2, sources=sources)
    first, second = random_images(net, seed, 2)
    words = input_words(net, first)
    frame = int(np.prod(net.source.shape))
    cuts = sorted({1, 2, frame - 1, *(len(words) - frame + d for d in (0, 1, frame - 1))} - {0, len(words)})
    assert net.exit_rule.kind == "off", "every frame is waited for"
    run = Run(build_schedule(net, 2), seed=seed, stall=0.2)

    async def drive(ctx):
        for cut in cuts:
            await run.send(ctx, run.core.i, words[:cut])
            await run.infer(ctx, net, second)

    run.run(drive)


def test_words_that_begin_no_image_are_dropped():
    net = network(3)
    image, = random_images(net, 3, 1)
    run = Run(build_schedule(net, 3), seed=3)

    async def drive(ctx):
        for _ in range(2):
            await run.send(ctx, run.core.i, [{"value": 5, "first": 0}] * 7)
            await run.infer(ctx, net, image)

    run.run(drive)


@pytest.mark.parametrize("seeds, lanes, separated, layer_bits", [
    ((30, 32), 2, (), ()), ((33, 34, 35), 3, (), ()), ((30,), 5, (2, 6), ()), ((36,), 1, (6,), (3, 4, 8)),
    ((39, 40), 6, (), (2, 4, 8)),
])
def test_another_network_is_loaded_into_the_same_core(seeds, lanes, separated, layer_bits):
    nets = [network(seed, layer_bits=layer_bits) for seed in seeds]
    nets += [network(seed, neuron=INVERSE_LEAKY, layer_bits=layer_bits) for seed in separated]
    params = build_schedule(nets[0], lanes).params
    for net in nets[1:]:
        params = params.covering(build_schedule(net, lanes).params)
    images = [memory_image(schedule_on(net, params)) for net in nets]
    run = Run(schedule_on(nets[0], params), seed=seeds[0], stall=0, image=images[0])

    async def drive(ctx):
        for turn, n in enumerate([*range(len(nets)), 0]):
            if turn:
                await run.send(ctx, run.core.load, [int(word) for word in load_stream(images[n], params)])
            await run.infer(ctx, nets[n], random_images(nets[n], turn, 1)[0])

    run.run(drive)


def test_the_probe_shows_every_tile():
    net = network(4, max_timesteps=2)
    schedule = build_schedule(net, 3)
    image, = random_images(net, 4, 1)
    run = Run(schedule, seed=4)
    core = run.core
    fired = run.bench.collect(core.probe_fired, core.probe_layer)
    counts = run.bench.collect(core.probe_fired, core.probe_counts)
    states = run.bench.collect(core.probe_fired, core.probe_states)

    async def drive(ctx):
        await run.infer(ctx, net, image)

    run.run(drive)
    trace, at = Golden(net).trace(image), 0
    for step in range(trace.exit_step):
        for number, p in enumerate(schedule.passes):
            for row, column, first in zip(*p.order()):
                own = slice(0, min(p.tile_channels, p.channels - first))
                channels = slice(first, first + own.stop)
                assert fired[at].payload == number
                name = p.layer.name
                if name in trace.counts:
                    assert counts[at].payload[own] == trace.counts[name][step, channels, row, column].tolist()
                    assert not any(counts[at].payload[own.stop:]), "idle lanes never fire"
                if name in trace.states:
                    assert states[at].payload[own] == trace.states[name][step, channels, row, column].tolist()
                if p.stored is None:
                    assert states[at].payload[own] == trace.logits[step, channels].tolist()
                at += 1
    assert at == len(fired)
