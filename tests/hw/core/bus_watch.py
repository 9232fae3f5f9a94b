"""What the tests of the way outside share: words in pieces of 32 bits, and a watch on what a bus carries."""

from gen.plan.params import WORD_BITS

__all__ = ["BusWatch", "draw_words", "pieces_of"]

MASK = 2**WORD_BITS - 1


def draw_words(rng, count, lanes, bits, signed):
    """Return ``count`` words as lists of lanes."""
    low = -(1 << bits - 1) if signed else 0
    return rng.integers(low, low + (1 << bits), (count, lanes)).tolist()


def pieces_of(word, bits, count):
    """Return the ``count`` words of 32 bits in which a word of lanes lies outside."""
    packed = sum((lane & (1 << bits) - 1) << bits * n for n, lane in enumerate(word))
    return [packed >> WORD_BITS * n & MASK for n in range(count)]


class BusWatch:
    """Follows a memory bus, of which ``requests`` and ``writes`` are the streams, and checks their rule.

    bursts : (address, words, write) of every request taken
    written : {address: word} of all bursts of writes, the last word of each address
    taken : words of writes that the memory has taken
    """

    def __init__(self, bench, requests, writes):
        self.bursts, self.taken, self._words = [], 0, []
        self._requests, self._writes = requests, writes
        bench.add(self._follow, background=True)

    async def _follow(self, ctx):
        asks, gives, waiting = self._requests, self._writes, {}
        shape = asks.payload.shape()
        samples = ctx.tick().sample(
            asks.valid, asks.ready, asks.payload.as_value(), gives.valid, gives.ready, gives.payload)
        async for _, _, asked, takes, request, given, takes_word, word in samples:
            for name, valid, ready, payload in (
                ("request", asked, takes, request), ("word", given, takes_word, word)
            ):
                assert waiting.get(name) in (None, payload if valid else ()), f"a {name} that waited has changed"
                waiting[name] = payload if valid and not ready else None
            if asked and takes:
                burst = shape.from_bits(request)
                self.bursts.append((burst.address, burst.length + 1, burst.write))
            if given and takes_word:
                self._words.append(word)
                self.taken += 1

    @property
    def written(self):
        places = [address + n for address, words, write in self.bursts if write for n in range(words)]
        assert len(places) == len(self._words), f"{len(self._words)} words for bursts of {len(places)}"
        return dict(zip(places, self._words))
