"""`hw.link.uart_top`: a real core behind the link gives golden results, after a garbage program too."""

from struct import Struct
from zlib import crc32

import numpy as np
import pytest

from gen.inputs import input_values
from gen.plan.plan import make_plan
from gen.result import results_of
from hw.core.core import Core
from hw.link.link import Link, LinkParams
from hw.link.uart_top import UartTop
from hw.regmap import COMMIT, PIECE, POSITION, REPLY, Command, encode
from tests.kit.cable import UartCable
from sim.golden import Golden
from tests.kit.random_networks import random_images, random_network
from tests.kit.streams import Bench, ticks

DIVISOR = 4
NETWORK = 0x01020304


def network(seed, **options):
    """Return a random network of few words."""
    sizes = dict(max_neurons=20, max_weights=60, max_size=3, max_channels=3, max_layers=1)
    return random_network(seed, **sizes, max_timesteps=2, max_classes=4, **options)


class Board:
    """A core behind its pins, ``loaded`` by its bitstream or empty, and the host's words for it."""

    def __init__(self, net, *, loaded=False, limit=60_000):
        self.net, plan = net, make_plan(net, 4)
        self.image, low = plan.load_stream, net.source.range[0]
        self.size = self.values(random_images(net, 0, 1)[0]).size
        held = {"NETWORK": NETWORK, "INPUT_SIZE": self.size, "INPUT_LOW": low, "INPUT_BYTES": 2} if loaded else {}
        self.link = LinkParams(clock_hz=DIVISOR * 1_000_000, baud=1_000_000, rx_bytes=256, max_payload=128)
        self.top = UartTop(
            plan.params,
            Core(plan.params, plan.contents if loaded else dict.fromkeys(plan.contents, ())),
            Link(plan.params, self.link, held),
        )
        self.bench = Bench(self.top, limit=limit)
        self.cable = UartCable(self.bench, self.top.rx, self.top.tx, DIVISOR)
        self.sequence = 0

    async def ask(self, ctx, command, payload=b""):
        """Send a request; return the payload of its answer."""
        self.sequence = (self.sequence + 1) % 256
        answer = await self.cable.ask(ctx, command, self.sequence, payload)
        assert answer[:2] == (command | REPLY, self.sequence), answer
        return answer[2]

    async def load(self, ctx, words):
        """Load and commit words of a load stream."""
        step = self.link.max_payload // 4 - 1
        for at in range(0, len(words), step):
            await self.ask(ctx, Command.LOAD, POSITION.pack(at) + words[at : at + step].astype("<u4").tobytes())
        commit = COMMIT.pack(len(words), NETWORK, self.size, self.net.source.range[0], 2)
        await self.ask(ctx, Command.COMMIT, commit)

    def values(self, image):
        """Return the input values of an image in the order of the wire."""
        return np.moveaxis(input_values(self.net, image[None])[0], -3, -1).ravel()

    def run_frame(self, image, sequence):
        """Return the frame that runs an image."""
        above = self.values(image).astype(int) - self.net.source.range[0]
        return encode(Command.RUN, sequence, POSITION.pack(0) + above.astype("<u2").tobytes())

    def check(self, answer, image, sequence):
        """Compare a result with the golden one."""
        assert answer[:2] == (Command.RESULT | REPLY, sequence)
        assert PIECE.unpack_from(answer[2]) == (NETWORK, 0)
        data = answer[2][PIECE.size:]
        found = results_of(self.net, Struct(f"<{len(data) // 4}i").unpack(data))
        golden = Golden(self.net).run(image[None])
        for name in ("classes", "exit_steps", "logits", "events", "synaptic_ops"):
            np.testing.assert_array_equal(getattr(found, name), getattr(golden, name), err_msg=name)

    def run(self, testbench):
        self.bench.add(testbench)
        self.bench.run()


@pytest.mark.parametrize("seed, sources", [(3, ["direct"]), (4, ["frames"])])
def test_the_network_of_the_bitstream_gives_golden_results(seed, sources):
    board = Board(network(seed, sources=sources), loaded=True)
    images = random_images(board.net, seed, 3)
    active = board.bench.collect(board.top.active, board.top.tx)

    async def drive(ctx):
        await ticks(ctx, 20)
        assert all(lit.cycle < 20 for lit in active), "it looks at its program once, then rests"
        active.clear()
        await board.cable.send(ctx, b"".join(board.run_frame(image, n) for n, image in enumerate(images)))
        for n, image in enumerate(images):
            board.check(await board.cable.answer(ctx), image, n)

    board.run(drive)
    assert active


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_garbage_program_is_recovered_from(seed):
    """Whatever it does: RESET is answered, a network is loaded, its results are golden."""
    rng = np.random.default_rng(seed)
    board = Board(network(7))
    image, = random_images(board.net, 7, 1)

    async def drive(ctx):
        garbage = board.image.copy()
        garbage[2 : 2 + int(garbage[1])] = rng.integers(0, 2**32, int(garbage[1]), dtype=np.uint32)
        garbage[-1] = crc32(garbage[:-3].astype("<u4").tobytes())  # it is sound, and means nonsense
        await board.load(ctx, garbage)
        await board.cable.send(ctx, board.run_frame(image, 250))
        await ticks(ctx, 2000)
        await board.cable.send(ctx, encode(Command.RESET, 251))
        while (await board.cable.answer(ctx)) != (Command.RESET | REPLY, 251, b""):
            pass
        await board.load(ctx, board.image)
        await board.cable.send(ctx, board.run_frame(image, 252))
        board.check(await board.cable.answer(ctx), image, 252)

    board.run(drive)
