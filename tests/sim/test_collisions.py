"""No word read in the cycle of its write is ever used: synthesis may leave it undefined (`hw.board.netlist`)."""

import importlib
import pkgutil
from types import SimpleNamespace

import amaranth.lib.fifo
import pytest
from amaranth.back import verilog
from amaranth.hdl import Elaboratable, Module, Mux, Signal, Value
from amaranth.lib.memory import Memory

import hw.core
import hw.link.frame_ring
import hw.link.register_file
import hw.link.result_buffer
from gen.plan.memories import MemorySpec
from gen.plan.plan import covering, make_plan, plan_on
from hw.board.netlist import LOOSE, STRICT, netlist
from hw.core.core import Core
from hw.core.memory import CoreMemory
from hw.names import plain_names
from hw.regmap import Command
from hw.verilog import TOP
from sim.compiled_core import CompiledCore, compile_core
from sim.golden import Golden
from tests.kit.random_networks import SECOND, random_images, random_network
from tests.kit.stand_in import RX_BYTES, Far
from tests.kit.streams import play

CORE = [importlib.import_module(f"hw.core.{found.name}") for found in pkgutil.iter_modules(hw.core.__path__)]
MODULES = [amaranth.lib.fifo, *(module for module in CORE if hasattr(module, "Memory"))]
LINK = hw.link.frame_ring, hw.link.register_file, hw.link.result_buffer


class InvertedOnCollision(Elaboratable):
    """A `Memory` whose read ports give the inverted word when it is being written."""

    def __init__(self, *, shape, depth, init, attrs=None):
        self._memory, self._writes, self._reads = Memory(shape=shape, depth=depth, init=init, attrs=attrs), [], []
        self._free = "no_rw_check" in (attrs or ())  # its reads without a clock have registers behind them

    def write_port(self):
        self._writes.append(self._memory.write_port())
        return self._writes[-1]

    def read_port(self, domain="sync"):
        port = self._memory.read_port(domain=domain)
        if domain == "comb" and not self._free:  # always what is stored before the write
            return port
        shown = SimpleNamespace(en=Signal(init=1), addr=Signal.like(port.addr), data=Signal.like(port.data))
        self._reads.append((port, shown, domain))
        return shown

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = self._memory
        for port, shown, domain in self._reads:
            collides, word = Signal(), Value.cast(port.data)
            m.d.comb += port.addr.eq(shown.addr)
            m.d.comb += Value.cast(shown.data).eq(Mux(collides, ~word, word))
            meets = sum(w.en & (w.addr == shown.addr) for w in self._writes) != 0
            if domain == "comb":
                m.d.comb += collides.eq(meets)
                continue
            m.d.comb += port.en.eq(shown.en)
            with m.If(shown.en):
                m.d.sync += collides.eq(meets)
        return m


@pytest.fixture
def inverting(monkeypatch):
    """Replace every memory of the core."""
    for module in MODULES:
        monkeypatch.setattr(module, "Memory", InvertedOnCollision)


@pytest.mark.parametrize("lanes, seeds", [(4, range(2000, 2040)), (8, range(2040, 2080))])
def test_no_word_read_in_the_cycle_of_its_write_is_used(inverting, lanes, seeds):
    networks = {seed: random_network(seed, contract=SECOND) for seed in seeds}
    params = covering([make_plan(network, lanes) for network in networks.values()])
    text = plain_names(verilog.convert(Core(params, {}), name=TOP, emit_src=False))  # its RAMs as memories
    core = CompiledCore(compile_core(text, params), plan_on(networks[seeds[0]], params), stalls=0.3, seed=lanes)
    for seed, network in networks.items():
        core.load(plan_on(network, params))
        x = random_images(network, seed, 3)
        core.abort(x[:1], 40 * (seed % 50))
        found, wanted = core.run(x), Golden(network).run(x)
        for name in ("classes", "exit_steps", "logits", "events", "synaptic_ops"):
            same = (getattr(found, name) == getattr(wanted, name)).all()
            assert same, f"random_network({seed}), {lanes} lanes: {name}"


@pytest.mark.parametrize("seed", range(2))
def test_the_link_uses_none_either(inverting, monkeypatch, seed):
    """Images, counters read while they count, a ring that runs full and is dropped."""
    for module in LINK:
        monkeypatch.setattr(module, "Memory", InvertedOnCollision)
    far = Far(make_plan(random_network(3), 4).params, seed=seed, stall=0.2 * seed)
    fitting = RX_BYTES // len(far.frame(bytes(6), 0))

    async def drive(ctx):
        await far.load(ctx)
        for number in range(fitting):
            await far.cable.send(ctx, far.frame([seed, number, 2, 3, 4, 5], number))
        for number in range(fitting):
            far.expect(await far.cable.answer(ctx), [seed, number, 2, 3, 4, 5], number)
        counted = await far.count(ctx)
        assert counted["RESULTS"] == counted["FRAMES"] - 3 == fitting, f"seed {seed}"
        far.core.hung = True
        for number in range(2 * fitting):
            await far.cable.send(ctx, far.frame(bytes(6), number))
        await far.urgently(ctx, Command.RESET, 200)
        await far.load(ctx)
        await far.infer(ctx, [5, 4, 3, 2, 1, 0], 1)

    far.run(drive)


def test_the_memories_of_this_test_do_invert(inverting):
    write = {"enable": 1, "address": 3, "data": 5}
    rows = [{"write": write, "address": 3}, {"write": write | {"enable": 0}}, {}, {}]
    assert [data for data, in play(CoreMemory(MemorySpec("example", 8, 40), [7] * 40), rows, "data")[2:]] == [0xF8, 5]


def test_what_is_synthesized_promises_nothing_about_collisions():
    text = netlist(CoreMemory(MemorySpec("example", 40, 600)), "memory")
    assert STRICT not in text and text.count(LOOSE) == 3
