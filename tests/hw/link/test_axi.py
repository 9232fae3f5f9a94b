"""Accesses in any order of the channels, marks of first values, rules proved, ports that Vivado infers."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from amaranth.hdl import Assert, Assume, Cat, Module, Signal
from amaranth.lib import wiring

from hw.link.axi import OKAY, SLVERR, AxiLite, AxiTop
from hw.link.blackbox import core_signature
from hw.link.bus import RESET_CYCLES
from hw.regmap import register
from hw.verilog import AXI, axi_verilog
from tests.kit.proof import claim_stable, prove
from tests.kit.streams import Bench

WHOLE = 0xF


def channel(bus, name, *payload):
    """Return one channel of an AXI bus as a stream."""
    return SimpleNamespace(
        valid=getattr(bus, f"{name}valid"), ready=getattr(bus, f"{name}ready"),
        payload=Cat(getattr(bus, name + part) for part in payload),
    )


@pytest.mark.parametrize("seed, address_stall, data_stall, read_stall", [
    (0, 0, 0, 0), (1, 0.9, 0, 0.5), (2, 0, 0.9, 0.5), (3, 0.5, 0.5, 0.9), (4, 0.7, 0.7, 0),
])
def test_every_access_is_done_and_answered_once(seed, address_stall, data_stall, read_stall):
    """Behind it stand registers that refuse every third address and else hold 5 times their address."""
    rng, count = np.random.default_rng(seed), 60
    writes = [(int(a), int(d), int(rng.choice([WHOLE, WHOLE, rng.integers(15)]))) for a, d in
              zip(rng.integers(0, 1024, count), rng.integers(0, 2**32, count))]
    reads = [int(address) for address in rng.integers(0, 1024, count)]
    dut = AxiLite()
    bench, bus, access = Bench(dut, seed=seed), dut.bus, dut.access
    bench.source(channel(bus, "aw", "addr"), [4 * address for address, _, _ in writes], stall=address_stall)
    words = [word | strobes << 32 for _, word, strobes in writes]
    bench.source(channel(bus, "w", "data", "strb"), words, stall=data_stall)
    bench.source(channel(bus, "ar", "addr"), [4 * address for address in reads], stall=read_stall)
    answers = bench.sink(channel(bus, "b", "resp"), count, stall=read_stall)
    values = bench.sink(channel(bus, "r", "data", "resp"), count, stall=address_stall)
    written, read = [], []

    async def registers(ctx):
        samples = ctx.tick().sample(access.write, access.read, access.address, access.write_data)
        async for _, _, write, seen, address, word in samples:
            assert not (write and seen)
            written.extend([(address, word)] * write)
            read.extend([address] * seen)
            ctx.set(access.data, 5 * address if seen else 0xDEAD)
            ctx.set(access.refused, address % 3 == 0 if write or seen else int(rng.integers(2)))

    bench.add(registers, background=True)
    bench.run()
    assert written == [(address, word) for address, word, strobes in writes if strobes == WHOLE]
    assert read == reads
    assert [answer.payload for answer in answers] == [
        OKAY if strobes == WHOLE and address % 3 else SLVERR for address, _, strobes in writes
    ]
    assert [value.payload for value in values] == [
        5 * address | (OKAY if address % 3 else SLVERR) << 32 for address in reads
    ]


def test_answers_are_proved_stable_and_asked_for():
    dut = AxiLite()
    bus = dut.bus

    def claims(m):
        claim_stable(m, channel(bus, "b", "resp"))
        claim_stable(m, channel(bus, "r", "data", "resp"))
        for answer, asked in {"b": ("aw", "w"), "r": ("ar",)}.items():
            answered = Signal(4, name=f"answered_{answer}")
            m.d.sync += answered.eq(answered + (getattr(bus, f"{answer}valid") & getattr(bus, f"{answer}ready")))
            for name in asked:
                taken = Signal(4, name=f"taken_{name}")
                m.d.sync += taken.eq(taken + (getattr(bus, f"{name}valid") & getattr(bus, f"{name}ready")))
                with m.If(taken == answered):
                    m.d.comb += Assert(~getattr(bus, f"{answer}valid"))
                m.d.comb += Assert((taken - answered)[:4] <= 2)

    prove(dut, claims, steps=14, bounded=True)


class Listener(wiring.Component):
    """A core that takes every value at once."""

    def __init__(self, params):
        super().__init__(core_signature(params))

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [self.idle.eq(1), self.i.ready.eq(1)]
        return m


def heard(sizes, transfers, *, size, beat=1, reset_after=None):
    """Send transfers of input values, ``beat`` of them at a time; return (value, first) of what the core hears."""
    params = sizes(image_tile=4, input_values=beat)
    core = Listener(params)
    dut = AxiTop(params, {"NETWORK": 1, "INPUT_SIZE": size}, core)
    bench, stream = Bench(dut), dut.s_axis_input
    words = bench.collect(core.i.valid, core.i.payload)
    bus, count = dut.s_axi, 0

    async def send(ctx):
        nonlocal count
        await ctx.tick()
        for transfer in transfers:
            beats = [transfer[at : at + beat] for at in range(0, len(transfer), beat)]
            for n, row in enumerate(beats):
                if beat > 1:
                    ctx.set(stream.tkeep, 4 ** len(row) - 1)
                if count == reset_after:
                    ctx.set(bus.awaddr, 4 * register("CONTROL"))
                    ctx.set(bus.wdata, 2)
                    ctx.set(Cat(bus.awvalid, bus.wvalid, bus.wstrb), 0x3F)
                    await ctx.tick()
                    ctx.set(Cat(bus.awvalid, bus.wvalid), 0)
                    await ctx.tick().repeat(RESET_CYCLES + 4)
                count += 1
                ctx.set(stream.tdata, int.from_bytes(np.array(row, "<i2").tobytes(), "little"))
                ctx.set(stream.tlast, n == len(beats) - 1)
                ctx.set(stream.tvalid, 1)
                while not ctx.get(stream.tready):
                    await ctx.tick()
                await ctx.tick()
                ctx.set(stream.tvalid, 0)
        await ctx.tick().repeat(8)

    bench.add(send)
    bench.run()
    return [
        (value, int(n == 0 and word.payload["first"]))
        for word in words for n, value in enumerate(word.payload.get("values") or [word.payload["value"]])
    ]


@pytest.mark.parametrize("size, transfers, firsts", [
    (3, [[1, 2, 3], [4, 5, 6]], {0, 3}),                       # a transfer for each image
    (3, [[1, 2, 3, 4, 5, 6, 7, 8, 9]], {0, 3, 6}),             # one for three
    (3, [[1, 2], [3, 4, 5], [6, 7, 8]], {0, 2, 5}),            # cut short
    (3, [[1, 2, 3, 4], [5, 6, 7]], {0, 3, 4}),                 # too long
    (0, [[1, 2, 3, 4], [5, 6]], {0, 4}),                       # INPUT_SIZE unknown
    (1, [[1], [2, 3]], {0, 1, 2}),
])
def test_the_first_value_of_an_image_is_marked(sizes, size, transfers, firsts):
    values = [value for transfer in transfers for value in transfer]
    assert heard(sizes, transfers, size=size) == [(value, int(n in firsts)) for n, value in enumerate(values)]


@pytest.mark.parametrize("after", [1, 2, 3, 4])
def test_a_reset_lets_the_next_value_begin_an_image(sizes, after):
    words = heard(sizes, [[1, 2, 3], [4, 5, 6]], size=3, reset_after=after)
    assert words == [(value, int(value in (1, 4, after + 1))) for value in range(1, 7)]


@pytest.mark.parametrize("beat", [1, 2, 4])
def test_values_are_signed_and_may_come_several_at_a_time(sizes, beat):
    values = [-256, -1, 0, 255, 4, -5, 6, -7]
    firsts = {0, 8, 16, 20}  # two images in a transfer, one that is cut short, a whole one
    assert heard(sizes, [values * 2, values[:4], values], size=8, beat=beat) == [
        (value, int(n in firsts)) for n, value in enumerate([*values * 2, *values[:4], *values])
    ]


def test_what_is_cut_short_amid_values_of_a_word_is_dropped(sizes):
    words = heard(sizes, [[1, 2, 3, 4, 5, 6, 7], [8, 9, 10, 11, 12, 13, 14, 15]], size=8, beat=4)
    assert words == [(value, int(value in (1, 8))) for value in (*range(1, 5), *range(8, 16))]


def test_the_result_stream_is_proved_stable(sizes):
    params = sizes(outputs=1)
    core = Listener(params)
    dut = AxiTop(params, {}, core)
    stream = dut.m_axis_result

    def claims(m):
        m.d.comb += Assume(~core.reset)
        claim_stable(m, SimpleNamespace(
            valid=stream.tvalid, ready=stream.tready, payload=Cat(stream.tdata, stream.tlast),
        ))

    prove(dut, claims)


def test_the_memory_begins_where_the_register_says(sizes):
    """A page of 4 KB; it outlives a reset."""
    dut = AxiTop(sizes(outside=4096), {})
    bench, bus, seen = Bench(dut), dut.s_axi, []

    async def access(ctx):
        async def write(name, value):
            ctx.set(bus.awaddr, 4 * register(name))
            ctx.set(bus.wdata, value)
            ctx.set(Cat(bus.awvalid, bus.wvalid, bus.wstrb, bus.bready), 0x7F)
            await ctx.tick()
            ctx.set(Cat(bus.awvalid, bus.wvalid), 0)
            *_, response = await ctx.tick().sample(bus.bresp).until(bus.bvalid)
            return response

        seen.extend([await write("MEMORY", 0x1234_5000), await write("MEMORY", 0x1234_5004)])
        seen.append(await write("CONTROL", 2))
        await ctx.tick().repeat(RESET_CYCLES + 4)
        ctx.set(bus.araddr, 4 * register("MEMORY"))
        ctx.set(Cat(bus.arvalid, bus.rready), 3)
        await ctx.tick()
        ctx.set(bus.arvalid, 0)
        *_, word = await ctx.tick().sample(bus.rdata).until(bus.rvalid)
        seen.append(word)

    bench.add(access)
    bench.run()
    assert seen == [OKAY, SLVERR, OKAY, 0x1234_5000]


@pytest.mark.parametrize("beat, outside", [(1, 0), (2, 0), (1, 4096)])
def test_the_verilog_has_the_ports_that_vivado_infers(sizes, beat, outside):
    params = sizes(image_tile=4, input_values=beat, outside=outside)
    text = axi_verilog(params, {"NETWORK": 9})
    ports = set(re.search(rf"module {AXI}\((.*?)\);", text, re.DOTALL)[1].replace("\n", "").split(", "))
    channels = {
        "s_axi": "awaddr awprot awvalid awready wdata wstrb wvalid wready bresp bvalid bready "
                 "araddr arprot arvalid arready rdata rresp rvalid rready",
        "s_axis_load": "tdata tvalid tready", "s_axis_input": "tdata tlast tvalid tready" + " tkeep" * (beat > 1),
        "m_axis_result": "tdata tlast tvalid tready",
        **({"m_axi_memory": "awid awaddr awlen awsize awburst awcache awprot awvalid awready wdata wstrb wlast wvalid "
                            "wready bid bresp bvalid bready arid araddr arlen arsize arburst arcache arprot arvalid "
                            "arready rid rdata rresp rlast rvalid rready"} if outside else {}),
    }
    assert ports == {
        "aclk", "aresetn", "interrupt",
        *(f"{bus}_{name}" for bus, names in channels.items() for name in names.split()),
    }
    interfaces = "s_axi:s_axis_load:s_axis_input:m_axis_result" + ":m_axi_memory" * (outside > 0)
    for said in (
        rf'"ASSOCIATED_BUSIF {interfaces}, ASSOCIATED_RESET aresetn" \*\)\n  input aclk',
        r'"POLARITY ACTIVE_LOW" \*\)\n  input aresetn', r'"SENSITIVITY LEVEL_HIGH" \*\)\n  output interrupt',
    ):
        assert re.search(r"\(\* X_INTERFACE_PARAMETER = " + said, text)
    assert len(re.findall(r"^  adafire_core core \(", text, re.MULTILINE)) == 1
    assert text == axi_verilog(params, {"NETWORK": 9})
