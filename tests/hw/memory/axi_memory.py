"""A memory on AXI4 for Amaranth's simulator: it is late, promises no order of reads and writes, knows the rules."""

from types import SimpleNamespace

from amaranth.hdl import Cat

__all__ = ["AxiMemory"]

PAGE = 4096
SLVERR = 2


class AxiMemory:
    """Answers the AXI bus of ``dut``; a write takes effect as it is answered, a word is read as it is sent.

    Parameters
    ----------
    bench : tests.kit.streams.Bench
    axi : the bus, seen from the memory
    stall : of every channel
    errors : numbers of the bursts, as they come, that are answered by an error; reads and writes apart
    word_bytes : of a beat; by default as many as the bus has

    Attributes
    ----------
    words : {byte address: word}
    asked : [(way, byte address, beats, bursts unanswered of the other way)]
    """

    def __init__(self, bench, axi, *, stall=0.5, errors=(), word_bytes=None):
        self.words, self.asked, self._errors = {}, [], set(errors)
        self._axi, self._bytes = axi, word_bytes or len(axi.wstrb)
        self._lanes = len(axi.wstrb) // self._bytes
        self._open = {"aw": 0, "ar": 0}
        self._queued = {"aw": [], "ar": []}
        self._written = bench.sink(channel(axi, "w", "data", "strb", "last"), stall=stall)
        self._pauses = {name: bench.pauses(stall) for name in ("b", "r", "aw", "ar")}
        self._late = bench.pauses(0.9 if stall else 0)
        for name in ("aw", "ar"):
            bench.watch(channel(axi, name, "addr", "len"))
            bench.add(self._takes(name), background=True)
        bench.watch(channel(axi, "w", "data", "last", "strb"))
        bench.add(self._answers_writes, background=True)
        bench.add(self._answers_reads, background=True)

    def _takes(self, name):
        axi = self._axi
        fields = [getattr(axi, name + part) for part in ("addr", "len", "size", "burst", "cache", "prot", "id")]

        async def take(ctx):
            while True:
                for _ in range(self._pauses[name]()):
                    await ctx.tick()
                ctx.set(getattr(axi, f"{name}ready"), 1)
                valid = 0
                while not valid:
                    _, _, valid, *values = await ctx.tick().sample(getattr(axi, f"{name}valid"), *fields)
                ctx.set(getattr(axi, f"{name}ready"), 0)
                address, length, size, burst, cache, protection, identifier = values
                assert (1 << size, burst, cache, protection, identifier) == (self._bytes, 1, 3, 0, 0)
                assert address % self._bytes == 0
                last = address + (length + 1) * self._bytes - 1
                assert address // PAGE == last // PAGE, f"a burst from {address:#x} to {last:#x} crosses 4 KB"
                other = "ar" if name == "aw" else "aw"
                self.asked.append((name, address, length + 1, self._open[other]))
                self._open[name] += 1
                self._queued[name].append((address, length + 1, len([a for a in self.asked if a[0] == name]) - 1))

        return take

    async def _wait(self, ctx, ready):
        while not ready():
            await ctx.tick()
        for _ in range(self._late()):
            await ctx.tick()

    def _error(self, way, number):
        return SLVERR if (way, number) in self._errors else 0

    async def _answers_writes(self, ctx):
        axi, position = self._axi, 0
        while True:
            await self._wait(ctx, lambda: self._queued["aw"])
            address, beats, number = self._queued["aw"].pop(0)
            await self._wait(ctx, lambda end=position + beats: len(self._written) >= end)
            for n in range(beats):
                word, bits = self._written[position + n].payload, 8 * self._bytes
                lane, whole = (address // self._bytes + n) % self._lanes, 1 << self._bytes
                strobes = word >> bits * self._lanes & whole**self._lanes - 1
                last = word >> 9 * self._lanes * self._bytes
                assert last == (n == beats - 1), f"wlast is {last} with beat {n} of {beats}"
                assert strobes == (whole - 1) * whole**lane, f"strobes {strobes:#x} of beat {n}, lane {lane}"
                self.words[address + n * self._bytes] = word >> bits * lane & (1 << bits) - 1
            position += beats
            ctx.set(axi.bresp, self._error("aw", number))
            ctx.set(axi.bvalid, 1)
            ready = 0
            while not ready:
                _, _, ready = await ctx.tick().sample(axi.bready)
            ctx.set(axi.bvalid, 0)
            self._open["aw"] -= 1

    async def _answers_reads(self, ctx):
        axi = self._axi
        while True:
            await self._wait(ctx, lambda: self._queued["ar"])
            address, beats, number = self._queued["ar"].pop(0)
            for n in range(beats):
                for _ in range(self._pauses["r"]()):
                    await ctx.tick()
                lane = (address // self._bytes + n) % self._lanes
                ctx.set(axi.rdata, self.words.get(address + n * self._bytes, 0) << 8 * self._bytes * lane)
                ctx.set(axi.rlast, n == beats - 1)
                ctx.set(axi.rresp, self._error("ar", number))
                ctx.set(axi.rvalid, 1)
                ready = 0
                while not ready:
                    _, _, ready = await ctx.tick().sample(axi.rready)
                ctx.set(axi.rvalid, 0)
            self._open["ar"] -= 1


def channel(axi, name, *payload):
    """Return one channel of an AXI bus as a stream."""
    return SimpleNamespace(
        valid=getattr(axi, f"{name}valid"), ready=getattr(axi, f"{name}ready"),
        payload=Cat(getattr(axi, name + part) for part in payload),
    )
