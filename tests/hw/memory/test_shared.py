"""`hw.memory.shared`: every client's words are its own and in order, whoever waits; none is left out."""

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring

from hw.memory.shared import SharedBus
from sim.memory import BusModel
from tests.hw.memory.traffic import moved_words, random_bursts
from tests.kit.streams import Bench

OWN = 8  # bits of an address within the words of a client


class Sharing(wiring.Component):
    """A `SharedBus` before a memory in which each client has words of its own."""

    def __init__(self, clients, seed, stall, latency):
        self.dut = SharedBus(OWN + 3, 32, clients)
        self.memory = BusModel(OWN + 3, 32, latency=latency, stall=stall, seed=seed + 1)
        super().__init__({"fail": wiring.In(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut, m.submodules.memory = self.dut, self.memory
        wiring.connect(m, self.dut.bus, self.memory.bus)
        m.d.comb += self.memory.fail.eq(self.fail)
        return m


def add_client(bench, bus, bursts, stall):
    """Let a client ask for bursts; return (what it takes, what it must be)."""
    wanted, written = moved_words(bursts, {})
    bench.source(bus.request, [{"address": address, "length": length - 1, "write": words is not None}
                               for address, length, words in bursts], stall=stall)
    bench.source(bus.write, written, stall=stall)
    return bench.sink(bus.read, len(wanted), stall=stall), wanted


@pytest.mark.parametrize("seed, clients, stall, latency", [
    (0, 2, 0, (0, 0)), (1, 2, 0.5, (0, 25)), (2, 3, 0.2, (0, 9)), (3, 5, 0.5, (0, 25)), (4, 5, 0, (3, 3)),
])
def test_every_client_reads_what_it_has_written(seed, clients, stall, latency):
    sharing = Sharing(clients, seed, stall, latency)
    bench = Bench(sharing, seed=seed, limit=60_000)
    bench.watch(sharing.dut.bus.request)
    bench.watch(sharing.dut.bus.write)
    found = []
    for number in range(clients):
        own = random_bursts(10 * seed + number, 25, address_bits=OWN, width=32, longest=30, local=0.7)
        own = [(number << OWN | address, length, words) for address, length, words in own]
        found.append(add_client(bench, getattr(sharing.dut, f"i_{number}"), own, stall))
    bench.run()
    for number, (taken, wanted) in enumerate(found):
        assert [word.payload for word in taken] == wanted, f"seed {seed}, client {number}"


def test_clients_take_turns_and_the_last_one_waits_for_all_others():
    sharing = Sharing(3, 0, 0, (0, 0))
    bench = Bench(sharing)
    for number in range(3):
        add_client(bench, getattr(sharing.dut, f"i_{number}"), [(number << OWN, 4, None)] * 6, 0)
    request = sharing.dut.bus.request
    asked = bench.collect(request.valid & request.ready, request.payload)
    bench.run()
    assert [word.payload["address"] >> OWN for word in asked] == [0, 1] * 6 + [2] * 6


def test_a_fault_is_told_to_all():
    sharing = Sharing(2, 0, 0, (0, 0))
    bench = Bench(sharing)

    async def drive(ctx):
        ctx.set(sharing.fail, 1)
        await ctx.tick().repeat(2)
        assert ctx.get(sharing.dut.i_0.fault) and ctx.get(sharing.dut.i_1.fault)

    bench.add(drive)
    bench.run()
