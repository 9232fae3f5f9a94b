"""`hw.core.core` whole, in the simulator: golden results under stalls, after aborts, restarts and loads."""

import numpy as np
import pytest

from gen.exit_rule import ExitRule
from gen.intnet import IntegerNetwork
from gen.layers import INPUT, INVERSE_LEAKY, Readout, Source, Spiking, Synapse
from gen.plan.plan import covering, make_plan, plan_on
from gen.result import result_words, results_of
from hw.core.core import Core
from sim.golden import Golden
from tests.kit.beats import beats, image_beats
from tests.kit.random_networks import FIRST, SECOND, random_images, random_network, random_staged_network
from tests.kit.streams import Bench

TINY = dict(max_neurons=30, max_weights=150, max_size=3, max_layers=2)
AGAIN = {"staged": True, "sources": ["frames"]}  # stages that look at frames
STAGED = 29  # seed of one whose second stage runs too
LINEAR = {"linear": True, "contract": FIRST}  # dense layers alone: a core without windows
FIGURES = ("classes", "exit_steps", "events", "synaptic_ops", "logits")


def network(seed, staged=False, **options):
    """Return a random network that the simulator runs in a few thousand cycles."""
    sizes = dict(max_neurons=90, max_weights=500, max_size=5, max_channels=6)
    sizes |= dict(max_timesteps=3, max_classes=6, max_layers=3) | options
    return random_staged_network(seed, **sizes) if staged else random_network(seed, **{"contract": SECOND} | sizes)


def figures(result):
    """Return what two results must have in common."""
    return {name: getattr(result, name).tolist() for name in FIGURES} | {
        name: values.tolist() for name, values in result.outputs.items()}


class Run:
    """A core and its results."""

    def __init__(self, plan, *, seed=0, stall=0.3, limit=20_000):
        self.core = Core(plan.params, plan.contents)
        self.bench = Bench(self.core, seed=seed, limit=limit)
        self._stall, self._pause = stall, self.bench.pauses(stall)
        self.words, self.reads = [], True  # whether results are taken
        self.bench.add(self._take, background=True)
        self.bench.watch(self.core.o)

    async def _take(self, ctx):
        pause, o = self.bench.pauses(self._stall), self.core.o
        while True:
            ctx.set(o.ready, 0)
            for _ in range(pause()):
                await ctx.tick()
            ctx.set(o.ready, int(self.reads))
            _, _, valid, ready, word = await ctx.tick().sample(o.valid, o.ready, o.payload)
            if valid and ready:
                self.words.append((word.data, word.last))

    @property
    def results(self):
        """Results sent so far, each a list of words."""
        ends = [n + 1 for n, (_, last) in enumerate(self.words) if last]
        return [[word for word, _ in self.words[start:end]] for start, end in zip([0, *ends], ends)]

    def beats(self, net, image):
        """Return what the input takes of one image."""
        return image_beats(self.core.params, net, image)

    async def send(self, ctx, stream, words, *, until=lambda: False):
        """Send words into one of the core's streams, with pauses, until a moment has come."""
        for word in words:
            for _ in range(self._pause()):
                if until():
                    return
                await ctx.tick()
            ctx.set(stream.payload, word)
            ctx.set(stream.valid, 1)
            ready = 0
            while not ready:
                if until():
                    return
                _, _, ready = await ctx.tick().sample(stream.ready)
            ctx.set(stream.valid, 0)

    async def rest(self, ctx):
        while not ctx.get(self.core.idle):
            await ctx.tick()

    async def infer(self, ctx, net, image):
        """Send an image, wait for its result and compare it."""
        before = len(self.results)
        await self.send(ctx, self.core.i, self.beats(net, image))
        while len(self.results) == before or not ctx.get(self.core.idle):
            await ctx.tick()
        self.compare(net, [image], before)

    def compare(self, net, images, before=0, note=""):
        """Compare the results from number ``before`` on with the golden model's of these images."""
        got = self.results[before:]
        assert len(got) == len(images), note
        assert {len(words) for words in got} == {result_words(net)}, note
        got = results_of(net, np.array(got, np.int64))
        assert figures(got) == figures(Golden(net).run(np.stack(images))), note

    async def abort(self, ctx, cycles=1):
        ctx.set(self.core.abort, 1)
        await ctx.tick().repeat(cycles)
        ctx.set(self.core.abort, 0)
        ctx.set(self.core.i.valid, 0)
        await self.rest(ctx)

    def run(self, testbench):
        self.bench.add(testbench)
        self.bench.run()


@pytest.mark.parametrize("seed, width, groups, stall, options", [
    (0, 4, 1, 0.5, {}), (1, 4, 2, 0, TINY), (4, 4, 2, 0.2, {"neuron": INVERSE_LEAKY}),
    (5, 4, 1, 0.3, {"sources": ("frames",)}), (STAGED, 4, 1, 0.3, AGAIN),
    (0, 4, 1, 0.3, LINEAR), (3, 4, 2, 0.3, LINEAR),
])
def test_random_networks_give_golden_results(seed, width, groups, stall, options):
    """Images one behind the other, the next one sent while one is computed."""
    net = network(seed, **options)
    plan = make_plan(net, width=width, groups=groups, neurons=1 + seed % 2)
    assert plan.params.windows == (options is not LINEAR)
    run, images = Run(plan, seed=seed, stall=stall), random_images(net, seed, 2)

    async def drive(ctx):
        for image in images:
            await run.send(ctx, run.core.i, run.beats(net, image))
        while len(run.results) < len(images) or not ctx.get(run.core.idle):
            await ctx.tick()

    run.run(drive)
    run.compare(net, images, note=f"seed {seed}")


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


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("net", [pixels((1, 1, 1), 11), pixels((3, 1, 2), 2), unread()],
                         ids=["more classes than pixels", "no hidden layer", "unread layer"])
def test_the_smallest_networks(net, groups):
    run = Run(make_plan(net, width=4, groups=groups), stall=0)

    async def drive(ctx):
        for value in (0, 255, 7):
            await run.infer(ctx, net, np.full(net.source.shape, value, np.uint8))

    run.run(drive)


@pytest.mark.parametrize("seed, options, points, cycles", [
    (12, {"sources": ["direct"]}, 6, 1), (30, {"sources": ["frames"]}, 5, 5), (STAGED, AGAIN, 5, 2),
])
def test_an_abort_anywhere_leaves_no_trace(seed, options, points, cycles):
    """Abort at ``points`` moments from the first word to after the result; the next image is golden."""
    net = network(seed, **(dict(max_neurons=30, max_size=3, max_layers=2) | options))
    victim, good = random_images(net, seed, 2)
    run = Run(make_plan(net, width=4, groups=1), seed=seed, stall=0.1, limit=90_000)
    core, answered = run.core, []

    async def drive(ctx):
        await run.infer(ctx, net, victim)
        whole = run.bench.cycle
        for point in np.linspace(0, 1.3 * whole, points).astype(int).tolist():
            at, before = run.bench.cycle + point, len(run.results)
            await run.send(ctx, core.i, run.beats(net, victim) + run.beats(net, good),
                           until=lambda at=at: run.bench.cycle >= at)
            while run.bench.cycle < at:
                await ctx.tick()
            await run.abort(ctx, cycles)
            answered.append(len(run.results) - before)
            if answered[-1]:
                run.compare(net, [victim, good][: answered[-1]], before, f"aborted after {point} cycles")
            await run.infer(ctx, net, good)

    run.run(drive)
    assert answered == sorted(answered) and answered[0] == 0 and answered[-1] >= 1


def test_an_image_behind_an_abort_is_computed_while_the_core_still_drains():
    net = network(22, max_neurons=30, max_size=3, max_layers=2, sources=["direct"])
    victim, good = random_images(net, 22, 2)
    run = Run(make_plan(net, width=4, groups=1), stall=0, limit=60_000)

    async def drive(ctx):
        for wait in (1, 4, 40, 90):
            before = len(run.results)
            await run.send(ctx, run.core.i, run.beats(net, victim))
            await ctx.tick().repeat(wait)
            ctx.set(run.core.abort, 1)
            await ctx.tick()
            ctx.set(run.core.abort, 0)
            await run.send(ctx, run.core.i, run.beats(net, good))
            while len(run.results) == before or not ctx.get(run.core.idle):
                await ctx.tick()
            run.compare(net, [good], before, f"aborted after {wait} cycles")

    run.run(drive)


@pytest.mark.parametrize("seed, options", [
    (13, {"sources": ["direct"], "rules": ["off"]}), (17, {"sources": ["frames"], "rules": ["off"]}), (STAGED, AGAIN),
])
def test_an_image_that_begins_early_takes_the_place_of_the_one_before(seed, options):
    net = network(seed, **(dict(max_neurons=30, max_size=3, max_layers=2) | options))
    first, second = random_images(net, seed, 2)
    run = Run(make_plan(net, width=4, groups=1), seed=seed, stall=0.2)
    words = run.beats(net, first)
    frame = int(np.prod(net.source.shape)) // run.core.params.input_values
    cuts = sorted({1, 2, frame - 1, *(len(words) - frame + d for d in (0, 1, frame - 1))} - {0, len(words)})

    async def drive(ctx):
        for cut in cuts:
            await run.send(ctx, run.core.i, words[:cut])
            await run.infer(ctx, net, second)

    run.run(drive)


def test_words_that_begin_no_image_are_dropped():
    net = network(3)
    image, = random_images(net, 3, 1)
    run = Run(make_plan(net, width=4, groups=1), seed=3)

    async def drive(ctx):
        for _ in range(2):
            await run.send(ctx, run.core.i, beats(run.core.params, [5] * 28, first=False))
            await run.infer(ctx, net, image)

    run.run(drive)


@pytest.mark.parametrize("seed, sources", [(7, ["direct"]), (8, ["frames"])])
def test_results_that_nobody_takes_stop_the_core_and_change_nothing(seed, sources):
    """Later images, and the frames of a recording that has ended early, are taken as long as there is room."""
    net = network(seed, sources=sources, rules=("margin",), **TINY)
    images = random_images(net, seed, 3)
    run = Run(make_plan(net, width=4, groups=1), seed=seed, stall=0, limit=20_000)

    async def feed(ctx):
        for image in images:
            await run.send(ctx, run.core.i, run.beats(net, image))

    async def drive(ctx):
        for taken in np.linspace(0, len(images) * result_words(net), 5).astype(int).tolist():
            run.reads = False
            await ctx.tick().repeat(400)
            run.reads = True
            while len(run.words) < taken:
                await ctx.tick()

    run.bench.add(feed)
    run.bench.add(drive)
    run.bench.run()
    run.compare(net, images)


@pytest.mark.parametrize("seeds, width, groups, options", [
    ((30, 32), 4, 1, {}), pytest.param((33, 34, 35), 4, 2, {}, marks=pytest.mark.slow),
    ((36, 37), 4, 1, {"layer_bits": (2, 4, 8)}),
    ((38, 39), 4, 1, {"neuron": INVERSE_LEAKY}),
])
def test_another_network_is_loaded_into_the_same_core(seeds, width, groups, options):
    nets = [network(seeds[0], **TINY), *(network(seed, **TINY, **options) for seed in seeds[1:])]
    params = covering([make_plan(net, width=width, groups=groups) for net in nets])
    plans = [plan_on(net, params) for net in nets]
    run = Run(plans[0], seed=seeds[0], stall=0, limit=120_000)

    async def drive(ctx):
        for turn, n in enumerate([*range(len(nets)), 0]):
            if turn:
                await run.send(ctx, run.core.load, [int(word) for word in plans[n].load_stream])
                await run.rest(ctx)
            await run.infer(ctx, nets[n], random_images(nets[n], turn, 1)[0])

    run.run(drive)


def test_no_image_is_computed_on_a_damaged_load():
    net = network(30, max_neurons=30, max_layers=1)
    plan = make_plan(net, width=4, groups=1)
    image, = random_images(net, 30, 1)
    stream = [int(word) for word in plan.load_stream]
    run = Run(plan, stall=0, limit=200_000)
    core = run.core

    async def drive(ctx):
        await run.infer(ctx, net, image)
        await run.send(ctx, core.load, [*stream[:-1], stream[-1] ^ 4])
        await run.rest(ctx)
        assert ctx.get(core.fault)
        ctx.set(core.i.payload, run.beats(net, image)[0])
        ctx.set(core.i.valid, 1)
        await ctx.tick().repeat(50)
        assert not ctx.get(core.i.ready) and ctx.get(core.idle)
        await run.send(ctx, core.load, stream)  # the image waits, and is computed behind it
        assert not ctx.get(core.fault) or not ctx.get(core.idle)
        await run.infer(ctx, net, image)
        assert not ctx.get(core.fault)

    run.run(drive)
