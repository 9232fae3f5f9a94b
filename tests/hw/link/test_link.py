"""`hw.link.link`: sizes and baud rates that cannot be; the protocol over two wires."""

import re

import pytest

from gen.errors import InputError
from hw.link.link import Link, LinkParams
from hw.regmap import ERROR, FLAG, REPLY, Command, Fault, encode
from tests.kit.cable import UartCable
from tests.kit.streams import Bench, ticks

SMALL = dict(rx_bytes=64, max_payload=32)


@pytest.mark.parametrize("clock_hz, baud, divisor", [
    (4_000_000, 1_000_000, 4), (25_000_000, 115_200, 217), (12_000_000, 1_000_000, 12), (27_000_000, 3_000_000, 9),
    (45_500_000, 1_000_000, 46),
])
def test_baud_rates(clock_hz, baud, divisor):
    params = LinkParams(clock_hz=clock_hz, baud=baud)
    assert params.divisor == divisor
    assert params.registers == {"CLOCK_HZ": clock_hz, "BAUD": baud, "RX_BYTES": 2048, "MAX_PAYLOAD": 1024}


@pytest.mark.parametrize("given, text", [
    (dict(clock_hz=12_000_000, baud=4_000_000),
     "4000000 baud cannot be made from a clock of 12000000 Hz, a bit takes at least 4 clock cycles: "
     "choose 1 to 3000000 baud."),
    (dict(clock_hz=12_000_000, baud=0), "0 baud cannot be made"),
    (dict(clock_hz=4_500_000, baud=1_000_000),
     "1000000 baud cannot be made from a clock of 4500000 Hz: the nearest is 1125000, more than 2% off."),
    (dict(clock_hz=12_000_000, baud=9600, rx_bytes=1000), "A receive buffer of 1000 bytes: it must be"),
    (dict(clock_hz=12_000_000, baud=9600, rx_bytes=1024), "the longest payload, 1024 + 8 bytes"),
    (dict(clock_hz=12_000_000, baud=9600, max_payload=16),
     "The longest payload must have 20 to 65535 bytes, not 16."),
    (dict(clock_hz=12_000_000, baud=9600, rx_bytes=2**17, max_payload=2**16),
     "The longest payload must have 20 to 65535 bytes, not 65536."),
])
def test_what_cannot_be_is_refused(given, text):
    with pytest.raises(InputError, match=re.escape(text)):
        LinkParams(**given)


@pytest.mark.parametrize("divisor, off", [(4, 0.02), (4, -0.02), (7, 0)])
def test_requests_damage_and_answers_over_two_wires(sizes, divisor, off):
    link = Link(sizes(), LinkParams(clock_hz=divisor * 1_000_000, baud=1_000_000, **SMALL), {"LANES": 3})
    bench = Bench(link, limit=30_000)
    cable = UartCable(bench, link.rx, link.tx, divisor * (1 + off))

    async def drive(ctx):
        ctx.set(link.core.idle, 1)
        assert ctx.get(link.tx) == 1
        await ticks(ctx, 30)
        assert await cable.ask(ctx, Command.RESET, 200) == (Command.RESET | REPLY, 200, b"")
        await cable.send(ctx, b"noise\0\xff", broken=True)
        await cable.send(ctx, bytes([FLAG]))
        assert ERROR.unpack((await cable.answer(ctx))[2]) == (Fault.DAMAGED, 0, 0, 0)
        await cable.send(ctx, encode(Command.COUNTERS, 1) + encode(Command.COUNTERS, 2))
        for sequence in (1, 2):
            assert (await cable.answer(ctx))[:2] == (Command.COUNTERS | REPLY, sequence)
        assert (await cable.ask(ctx, 0x55, 3))[1] == 3

    bench.add(drive)
    bench.run()
    assert len(cable.answers) == 5
