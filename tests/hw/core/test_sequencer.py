"""`hw.core.sequencer` among stand-ins for the other components: what it asks of them, and in which order."""

import numpy as np
import pytest

from gen.plan.program import header_fields, pack, stage_fields
from hw.core.sequencer import Sequencer
from tests.kit.streams import Bench


class Around:
    """Stand-ins for program, walker, decision, input and result reader; a log of what the sequencer does.

    stages : of each, (passes, rounds, timesteps if one round is all of them, or 0)
    exit_at : (stage, round) in which the rule holds, from 0, or None
    ends : of a batch, the stages with which an image ends
    """

    def __init__(self, params, stages, *, frames=0, exit_at=None, ends=(), seed=0):
        self.dut, self.log, self.stages, self.frames, self.exit_at = Sequencer(params), [], stages, frames, exit_at
        self.ends = ends
        self._rng = np.random.default_rng(seed)
        self.bench, self._params, self._base, self._words = Bench(self.dut, seed=seed, limit=60_000), params, 40, []
        self.load(self._base)
        self.bench.memory(self.dut.program_address, self.dut.program, self._words, latency=2)
        self.bench.add(self._others, background=True)
        self.maps, self.timesteps = 0, None

    def load(self, base):
        """Put a program whose passes lie from address ``base`` on in the place of the one before."""
        self._base, params = base, self._params
        layout = header_fields(params)
        words = pack(layout, dict.fromkeys(layout, 0) | {"stages": len(self.stages) - 1, "frames": self.frames})
        for number, (passes, rounds, whole) in enumerate(self.stages):
            layout = stage_fields(params)
            words += pack(layout, dict.fromkeys(layout, 0) | {
                "first_pass": self.address(number, 0), "passes": passes - 1, "rounds": rounds - 1,
                "whole": int(whole > 0), "timesteps": max(0, whole - 1),
                **({"ends": int(number in self.ends)} if "ends" in layout else {}),
            })
        self._words[:] = words + [0] * (params.program - len(words))

    def address(self, stage, number):
        """Return where a pass lies; those at odd addresses make an output."""
        return self._base + 50 * stage + 3 * number

    async def _others(self, ctx):
        dut, waits = self.dut, {}

        def later(name, action):
            waits[name] = [int(self._rng.integers(1, 7)), action]

        def prepared(address):
            ctx.set(dut.next_pass, address + 3)
            ctx.set(dut.next_readout, address % 2)
            ctx.set(dut.prepared, 1)

        def decided(stage, step):
            ctx.set(dut.exits, int((stage, step) == self.exit_at))
            ctx.set(dut.decided, 1)

        ctx.set(dut.drained, 1)
        stage, going, ahead = 0, None, 0
        watched = [getattr(dut, name) for name in (
            "prepare", "pass_address", "go", "first_step", "running", "decide", "step", "answers", "answering",
            "drained", "release", "ends", "clear", "begins")]
        async for _, _, *seen in ctx.tick().sample(*watched):
            (prepare, address, go, first, running, decide, step, answers, answering, drained, release, ends, clear,
             begins) = seen
            ctx.set(dut.decided, 0)
            if begins:
                self.log.append("begins")
            if going is not None:
                self.log.append(("pass", going, running, first))
                stage, going = (going - self._base) // 50, None
            if go:
                assert drained, "the pass before has come to rest"
                assert not (ahead % 2 and answering), "the result before is still being read"
                going = ahead
                ctx.set(dut.prepared, 0)
                ctx.set(dut.drained, 0)
                later("drained", lambda: ctx.set(dut.drained, 1))
            if prepare:
                ctx.set(dut.prepared, 0)  # what was read ahead for an image given up is not wanted
                later("prepared", lambda address=address: prepared(address))
                ahead = address
            if decide:
                assert drained
                self.log.append(("decide", step))
                later("decided", lambda stage=stage, step=step: decided(stage, step))
            if answers:
                assert not answering
                self.log.append(("answers", ctx.get(dut.timesteps)))
                ctx.set(dut.answering, 1)
                ctx.set(dut.heading, 1)
                later("heading", lambda: ctx.set(dut.heading, 0))
                waits["answering"] = [int(self._rng.integers(10, 60)), lambda: ctx.set(dut.answering, 0)]
            self.maps = 0 if clear or ends else self.maps - release
            assert self.maps >= 0, "no map is given back twice"
            ctx.set(dut.full, int(self.maps > 0))
            for name in list(waits):
                waits[name][0] -= 1
                if waits[name][0] < 0:
                    waits.pop(name)[1]()

    async def boot(self, ctx):
        """Wait until the header is known."""
        while not ctx.get(self.dut.known):
            await ctx.tick()
        await ctx.tick()
        assert ctx.get(self.dut.idle)

    async def image(self, ctx):
        """Bring an image, its frames one after another, until the machine is idle again."""
        self.maps = 1
        await ctx.tick().repeat(3)
        while not ctx.get(self.dut.idle):
            self.another(0.3)
            await ctx.tick()

    def another(self, chance=1.0):
        """Let the next map of the image come, if there is room for it and another one is to come."""
        if (self.frames or self.ends) and not self.maps and self._rng.random() < chance:
            self.maps = 1

    def expected(self):
        """Return the log of one image."""
        log, timesteps = ["begins"], 0
        for number, (passes, rounds, whole) in enumerate(self.stages):
            first = sum(stage[0] for stage in self.stages[:number])
            for step in range(rounds):
                log += [("pass", self.address(number, n), first + n, int(step == 0)) for n in range(passes)]
                if self.ends and number < len(self.stages) - 1:
                    continue
                log.append(("decide", step))
                timesteps += len(self.ends) or whole or 1
                if (number, step) == self.exit_at:
                    return [*log, ("answers", timesteps)]
        return [*log, ("answers", timesteps)]


def around(sizes, seed, **options):
    rng = np.random.default_rng(seed)
    stages = [(int(rng.integers(1, 4)), *((1, int(rng.integers(2, 9))) if rng.random() < 0.3 else
                                          (int(rng.integers(1, 5)), 0))) for _ in range(int(rng.integers(1, 3)))]
    exit_at = None
    if rng.random() < 0.6:
        stage = int(rng.integers(len(stages)))
        exit_at = stage, int(rng.integers(stages[stage][1]))
    return Around(sizes(passes=8, stages=len(stages)), stages, exit_at=exit_at, seed=seed, **options)


@pytest.mark.parametrize("frames", [0, 1])
@pytest.mark.parametrize("seed", range(6))
def test_the_program_runs_in_order(sizes, seed, frames):
    """Every pass, the decision; again each round, stage by stage, until the exit; the result; the next image."""
    run = around(sizes, seed, frames=frames)

    async def drive(ctx):
        await run.boot(ctx)
        for _ in range(3):
            await run.image(ctx)

    run.bench.add(drive)
    run.bench.run()
    assert run.log == 3 * run.expected(), f"seed {seed}"


def of_batch(sizes, images, seed=0):
    """Return stand-ins for a batch: stages of two for each image, and the last one, which needs no input."""
    stages = [(1 + n % 2, 1, 0) for n in range(2 * images)] + [(3, 1, 0)]
    return Around(sizes(passes=12, stages=len(stages), batch=images), stages, ends=range(1, 2 * images, 2), seed=seed)


@pytest.mark.parametrize("images", [2, 3])
def test_a_batch_gives_an_input_back_with_each_image_and_decides_once(sizes, images):
    """The images of the next one may be there before."""
    run = of_batch(sizes, images, images)

    async def drive(ctx):
        await run.boot(ctx)
        for _ in range(3):
            await run.image(ctx)
            run.maps = 0

    run.bench.add(drive)
    run.bench.run()
    assert run.log == 3 * run.expected() and run.log[-1] == ("answers", images)


@pytest.mark.parametrize("frames", [0, 1, "batch"])
@pytest.mark.parametrize("seed", range(3))
def test_an_abort_in_any_cycle_ends_the_image_and_the_next_is_whole(sizes, seed, frames):
    run = of_batch(sizes, 2, seed) if frames == "batch" else around(sizes, seed, frames=frames)

    async def drive(ctx):
        await run.boot(ctx)
        for wait in range(100):
            run.log.clear()
            run.maps = 1
            for _ in range(wait):
                run.another()
                await ctx.tick()
            ctx.set(run.dut.abort, 1)
            _, _, clear = await ctx.tick().sample(run.dut.clear)
            ctx.set(run.dut.abort, 0)
            assert clear, f"aborted after {wait} cycles: the input is dropped at once"
            await ctx.tick()
            while not ctx.get(run.dut.idle):
                await ctx.tick()
            answered = [entry for entry in run.log if entry[0] == "answers"]
            whole = [entry for entry in run.expected() if entry[0] == "answers"]
            assert answered == len(answered) * whole, f"aborted after {wait} cycles"
            run.log.clear()
            await run.image(ctx)
            assert run.log == run.expected(), f"seed {seed}: behind an abort after {wait} cycles"

    run.bench.add(drive)
    run.bench.run()


def test_another_image_in_place_of_a_frame_gives_the_one_before_up(sizes):
    run = Around(sizes(passes=8, stages=2), [(2, 4, 0)], frames=1)
    dut = run.dut

    async def drive(ctx):
        await run.boot(ctx)
        run.maps = 1
        while ("decide", 0) not in run.log:
            await ctx.tick()
        ctx.set(dut.restart, 1)
        await ctx.tick().until(dut.ends)
        ctx.set(dut.restart, 0)
        while not ctx.get(dut.idle):
            await ctx.tick()
        assert all(entry[0] != "answers" for entry in run.log)
        run.log.clear()
        await run.image(ctx)
        assert run.log == run.expected()

    run.bench.add(drive)
    run.bench.run()


@pytest.mark.parametrize("stages", [1, 2])
def test_a_load_is_awaited_and_the_program_read_anew(sizes, stages):
    run = Around(sizes(passes=8, stages=stages), [(1, 1, 0)])
    dut = run.dut

    async def drive(ctx):
        await run.boot(ctx)
        for base in (43, 46):
            assert ctx.get(dut.loadable)
            ctx.set(dut.loading, 1)
            run.load(base)
            await ctx.tick().repeat(3)
            run.maps = 1
            await ctx.tick().repeat(40)
            assert not ctx.get(dut.known) and ctx.get(dut.idle) and ctx.get(dut.loadable) and not run.log
            ctx.set(dut.loading, 0)
            while not run.log or run.log[-1][0] != "answers" or not ctx.get(dut.idle):
                await ctx.tick()
            assert run.log == run.expected()
            run.log.clear()

    run.bench.add(drive)
    run.bench.run()


@pytest.mark.parametrize("changes, again", [
    ({"stages": 1}, False), ({"stages": 2}, True), ({"stages": 1, "replay": 1}, True),
    ({"stages": 1, "outside": 64}, True),
])
def test_a_single_stage_is_read_for_the_first_image_alone(sizes, changes, again):
    run = Around(sizes(passes=8, **changes), [(2, 3, 0)])
    reads = run.bench.collect(run.dut.reads, run.dut.program_address)
    seen = []

    async def drive(ctx):
        await run.boot(ctx)
        for _ in range(3):
            before = len(reads)
            await run.image(ctx)
            seen.append(len(reads) > before)

    run.bench.add(drive)
    run.bench.run()
    assert run.log == 3 * run.expected() and seen == [True, again, again]
