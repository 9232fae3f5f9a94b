# amaranth: UnusedElaboratable=no
"""`hw.link.commands` by itself: a COMMIT cut short anywhere, frames given up anywhere, its outputs proved."""

import pytest
from amaranth.hdl import Assume, Module, Signal

from hw.link.commands import Commands
from hw.link.register_file import RegisterFile
from hw.regmap import COMMIT, HEADER, POSITION, REGISTERS, Command
from tests.kit.streams import ticks
from tests.kit.proof import assume_constant, claim_stable, prove
from tests.kit.streams import Bench

MAX_PAYLOAD = 32


def frame(command, payload=b""):
    """Return what the ring gives of a frame."""
    return HEADER.pack(command, 5, len(payload)) + payload


LOAD = frame(Command.LOAD, POSITION.pack(0) + b"one!" + b"two!")
RUN = frame(Command.RUN, POSITION.pack(0) + b"abc")


class Desk:
    """The commands and their registers; ``words``, ``values``, ``tags``, ``answers`` taken from them."""

    def __init__(self, params, *, stall=0):
        m = Module()
        m.submodules.commands = self.dut = dut = Commands(params, MAX_PAYLOAD)
        m.submodules.registers = self.registers = registers = RegisterFile({})
        count = Signal(3)
        m.d.sync += count.eq(dut.restart * (count + 1))
        m.d.comb += [
            registers.write_address.eq(dut.address), registers.write.eq(dut.write),
            registers.write_data.eq(dut.write_data), dut.restarted.eq(count == 7),
        ]
        for name in ("loaded", "input_size", "input_low", "wide"):
            m.d.comb += getattr(dut, name).eq(getattr(registers, name))
        self.bench = Bench(m, limit=40_000)
        self.words, self.values, self.tags, self.answers = (
            self.bench.sink(port, stall=stall) for port in (dut.load, dut.values, dut.tags, dut.o)
        )

    async def give(self, ctx, data):
        """Send the bytes of a frame, until ``stop``; return once they are taken."""
        for byte in data:
            ctx.set(self.dut.i.payload, byte)
            ctx.set(self.dut.i.valid, 1)
            ready = 0
            while not ready:
                _, _, ready = await ctx.tick().sample(self.dut.i.ready)
            ctx.set(self.dut.i.valid, 0)

    async def ask(self, ctx, data):
        """Send a frame and return the fault of its answer."""
        before = len(self.answers)
        await self.give(ctx, data)
        while len(self.answers) == before:
            await ctx.tick()
        return self.answers[-1].payload["fault"]

    async def commit(self, ctx, size=3, network=0x900):
        """Load and commit a network."""
        assert await self.ask(ctx, LOAD) == 0
        assert await self.ask(ctx, frame(Command.COMMIT, COMMIT.pack(2, network, size, -7, 1))) == 0

    async def stop(self, ctx, *, reset):
        """Stop until the frame in hand is given up."""
        ctx.set(self.dut.i.valid, 0)
        ctx.set(self.dut.stop, 1)
        ctx.set(self.dut.reset, reset)
        await ticks(ctx, 3)
        while not ctx.get(self.dut.stopped):
            await ctx.tick()
        await ctx.tick()
        ctx.set(self.dut.stop, 0)

    async def network(self, ctx):
        """Return the register NETWORK."""
        registers, data = self.registers, b""
        ctx.set(registers.reading, 1)
        for place in range(4):
            ctx.set(registers.address, REGISTERS["NETWORK"].offset + place)
            granted = 0
            while not granted:
                _, _, granted = await ctx.tick().sample(registers.granted)
            data += bytes([ctx.get(registers.data)])
            await ctx.tick()
        ctx.set(registers.reading, 0)
        assert any(data) or not ctx.get(registers.loaded)
        return int.from_bytes(data, "little")

    def run(self, testbench):
        self.bench.add(testbench)
        self.bench.run()


@pytest.mark.parametrize("reset", [0, 1])
def test_a_commit_cut_short_leaves_no_network(sizes, reset):
    desk = Desk(sizes())
    whole = frame(Command.COMMIT, COMMIT.pack(2, 0xFEDCBA98, 784, -7, 2))

    async def drive(ctx):
        for cut in range(1, len(whole)):
            assert await desk.ask(ctx, LOAD) == 0
            await desk.give(ctx, whole[:cut])
            await ticks(ctx, cut % 3)
            await desk.stop(ctx, reset=reset)
            assert await desk.network(ctx) == 0, f"cut after {cut} bytes"
            assert await desk.ask(ctx, frame(Command.INPUT, POSITION.pack(0) + b"12")) != 0
        await desk.ask(ctx, LOAD)
        await desk.give(ctx, whole)
        await ticks(ctx, 2)
        await desk.stop(ctx, reset=reset)
        ports = desk.registers.input_size, desk.registers.input_low, desk.registers.wide
        assert await desk.network(ctx) == 0xFEDCBA98 and ctx.get(desk.registers.loaded)
        assert [ctx.get(port) for port in ports] == [784, -7, 1]

    desk.run(drive)


@pytest.mark.parametrize("taken", [0, 0.6])
def test_an_image_given_up_anywhere_leaves_the_next_one_whole(sizes, taken):
    desk = Desk(sizes(), stall=taken)

    async def drive(ctx):
        await desk.commit(ctx)
        for cut in range(1, len(RUN) + 1):
            await desk.give(ctx, RUN[:cut])
            await desk.stop(ctx, reset=0)
            before = len(desk.values), len(desk.tags)
            await desk.give(ctx, RUN)
            while len(desk.tags) == before[1]:
                await ctx.tick()
            values = [value.payload for value in desk.values[before[0]:]]
            assert values == [{"value": byte - 7, "first": int(n == 0)} for n, byte in enumerate(b"abc")], cut

    desk.run(drive)
    assert {tag.payload for tag in desk.tags} == {5}


@pytest.mark.parametrize("reset", [0, 1])
def test_a_load_given_up_keeps_its_place_unless_it_is_reset(sizes, reset):
    desk = Desk(sizes())

    async def drive(ctx):
        for cut in range(len(LOAD) + 1):
            before = len(desk.words)
            assert await desk.ask(ctx, frame(Command.LOAD, POSITION.pack(0) + b"zero")) == 0
            await desk.give(ctx, frame(Command.LOAD, POSITION.pack(1) + b"one!" + b"two!")[:cut])
            await ticks(ctx, 2)
            await desk.stop(ctx, reset=reset)
            place = 0 if reset else len(desk.words) - before
            assert await desk.ask(ctx, frame(Command.LOAD, POSITION.pack(99))) != 0
            assert desk.answers[-1].payload["position"] == place, f"cut after {cut} bytes"

    desk.run(drive)


def test_the_outputs_are_proved_stable(sizes):
    dut = Commands(sizes(), MAX_PAYLOAD)

    def claims(m):
        m.d.comb += Assume(~dut.stop)
        assume_constant(m, dut.loaded, dut.wide)
        for port in (dut.load, dut.values, dut.tags, dut.o):
            claim_stable(m, port)

    prove(dut, claims)
