"""Random bursts on a `MemoryBus` beside a model of the memory: every word, in order, whatever waits."""

import numpy as np

from tests.kit.streams import Bench

__all__ = ["check", "moved_words", "random_bursts"]

LEFT = 100  # cycles after the last transfer in which what a memory holds back is done


def random_bursts(seed, count, *, address_bits, width, longest=256, local=0.5, reads=0.6):
    """Return [(address, words, values or None for a read)].

    ``local`` is how often a burst begins where an earlier one was; whatever is read was written or is 0.
    """
    rng = np.random.default_rng([seed, 0xB025])
    bursts, starts, size = [], [0], 2**address_bits
    for _ in range(count):
        length = int(rng.choice([1, 2, rng.integers(1, 20), rng.integers(1, longest + 1)]))
        length = min(length, longest, size)
        address = int(rng.choice(starts) if rng.random() < local else rng.integers(size))
        address = min(address, size - length)
        starts.append(address)
        if rng.random() < reads:
            bursts.append((address, length, None))
        else:
            words = [int.from_bytes(rng.bytes(width // 8), "little") for _ in range(length)]
            bursts.append((address, length, words))
    return bursts


def moved_words(bursts, memory, unwritten=0):
    """Return (words that are read, words that are written), in order; ``memory`` {address: word} is as after them."""
    read, written = [], []
    for address, length, words in bursts:
        if words is None:
            read += [memory.get(address + n, unwritten) for n in range(length)]
        else:
            memory.update({address + n: word for n, word in enumerate(words)})
            written += words
    return read, written


def check(
    dut, bus, bursts, *, seed, stall, contents=None, values=True, flip=0, before=None, after=None, tasks=(),
    limit=200_000, stalls=None, around=None, clocks=None,
):
    """Run the bursts through a bus and compare what is read; return the words read as `Taken`.

    Parameters
    ----------
    dut : component to simulate
    bus : its `MemoryBus`, seen from the memory
    stall : of requests, of words written, of the taker of words read; ``stalls`` names them one by one
    contents : {address: word} of the memory before; elsewhere it holds 0
    values : whether the words that are read are compared
    flip : bits that are inverted in every word read
    before, after : called with the simulator's context, at the beginning, when all is done
    tasks : more coroutine functions
    around : called with the bench before anything else: what answers the component
    clocks : of further domains, as of `tests.kit.streams.Bench`
    """
    bench = Bench(dut, seed=seed, limit=limit, clocks=clocks)
    if around is not None:
        around(bench)
    wanted, written = moved_words(bursts, dict(contents or {}))
    wanted = [word ^ flip for word in wanted]
    asks, gives, takes = stalls or (stall, stall, stall)
    bench.source(bus.request, [
        {"address": address, "length": length - 1, "write": int(words is not None)} for address, length, words in bursts
    ], stall=asks)
    bench.source(bus.write, written, stall=gives)
    taken = bench.sink(bus.read, len(wanted), stall=takes)
    if before is not None:
        async def begin(ctx):
            before(ctx)

        bench.add(begin)
    for task in tasks:
        bench.add(task)
    if after is not None:
        done = [(bench.collect(s.valid & s.ready, s.valid), count) for s, count in (
            (bus.request, len(bursts)), (bus.write, len(written)), (bus.read, len(wanted)))]

        async def end(ctx):
            while any(len(seen) < count for seen, count in done):
                await ctx.tick()
            for _ in range(LEFT):
                await ctx.tick()
            after(ctx)

        bench.add(end)
    bench.run()
    if values:
        got = [word.payload for word in taken]
        first = next((n for n, (a, b) in enumerate(zip(got, wanted)) if a != b), None)
        assert first is None, f"seed {seed}: word {first} read is {got[first]:#x}, not {wanted[first]:#x}"
    assert len(taken) == len(wanted), f"seed {seed}: {len(taken)} words came, not {len(wanted)}"
    return taken
