"""A disturbed line, a board that forgets or dies: the right results, or an error in bounded time."""

import threading
import zlib

import pytest

from host.board import RETRIES, Board
from host.content import read_content
from host.device import open_device
from host.errors import LinkError, LinkFault
from tests.host.fake_board import FakeBoard
from tests.host.fake_line import KINDS, Faults, PtyBoard
from tests.host.fake_world import FIRST, OTHER, TWIN, World


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("boards"))


@pytest.mark.parametrize("direction", ["rx", "tx"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_anywhere_from_opening_to_the_last_result(world, kind, direction):
    images, number = world.images[FIRST][:3], 3
    for at in range(0, 260, 7):
        faults = Faults({(direction, at): (kind, 1 + at % 255)})
        line = world.line(faults)
        board = Board(line, world.folder)
        world.check(board.run(images), number=number)
        assert faults.happened or faults.passed[direction] <= at, (kind, direction, at)
        assert line.now < 40


@pytest.mark.parametrize("seed", range(4))
def test_none_of_200_faults_is_lost_in_silence(world, seed):
    faults = Faults.random(seed, 200, 60_000)
    board = Board(world.line(faults), world.folder)
    for _ in range(100):
        world.check(board.run(world.images[FIRST]))
        if faults.happened == 200:
            break
    assert faults.happened == 200, f"seed {seed}"
    assert board.statistics.retries > 20, f"seed {seed}"


@pytest.mark.parametrize("seed", range(3))
def test_faults_while_another_network_is_loaded_and_runs(world, seed):
    faults = Faults.random(seed, 60, 30_000)
    line = world.line(faults, rx_bytes=256, max_payload=64)
    board = Board(line, world.folder)
    for _ in range(100):
        board.load(world.networks[OTHER])
        world.check(board.run(world.images[OTHER]), OTHER)
        board.load(world.folder)
        world.check(board.run(world.images[FIRST]))
        if faults.happened == 60:
            break
    assert faults.happened == 60, f"seed {seed}"


@pytest.mark.parametrize("seed", [OTHER, TWIN])
def test_a_board_that_falls_back_on_its_bitstream_is_noticed(world, seed):
    folder, line = world.make(seed, world.params, name=f"loaded{seed}"), world.line()
    board = Board(line, world.folder)
    board.load(folder)

    def power_cut(done, total):
        if done in (5, 6, 31):
            line.board.power_on()

    world.check(board.run(world.images[seed], progress=power_cut), seed)
    assert line.board.powered == 4 and board.statistics.retries == 3
    line.board.power_on()  # between two runs there is nothing that could be cut
    world.check(board.run(world.images[seed]), seed)
    assert board.statistics.retries == 4
    assert board.identify()["NETWORK"] == read_content(folder).identity


def test_a_board_that_holds_another_image_of_the_same_network_is_loaded_again(world):
    """Its NETWORK is ours: only the digest of what was loaded tells the images apart."""
    line = world.line()
    stream = bytearray(line.board.memory)
    stream[40] ^= 1  # a damaged image that somebody loaded by other means, with a digest of its own
    stream[-4:] = zlib.crc32(stream[:-12]).to_bytes(4, "little")
    line.board.memory = bytes(stream)
    board = Board(line, world.folder)
    assert line.board.memory == line.board.first
    world.check(board.run(world.images[FIRST]))


def test_a_load_that_arrives_otherwise_than_it_was_sent_is_done_again(world):
    """A word changes on the board's side of the check of frames: the board refuses to run it."""
    folder = world.make(FIRST, name="changed", initialised=False)
    line = world.line(folder=folder)
    inner, spoilt = line.board._load, []

    def load(payload):
        if len(payload) > 100 and not spoilt:
            spoilt.append(payload)
            payload = payload[:50] + bytes([payload[50] ^ 1]) + payload[51:]
        return inner(payload)

    line.board._load = load
    board = Board(line, folder)
    world.check(board.run(world.images[FIRST]))
    assert spoilt and board.statistics.refused >= 1 and line.board.memory == line.board.first


def test_a_long_load_is_taken_up_where_it_was_cut(world):
    folder = world.make(FIRST, name="cut", initialised=False)
    words = len(read_content(folder).stream) // 4
    faults = Faults({("rx", at): ("drop", 0) for at in range(200, 2200, 120)})
    line = world.line(faults, folder=folder, rx_bytes=128, max_payload=24)
    Board(line, folder)
    assert words > 140 and faults.happened == 17
    assert faults.passed["rx"] < 6000  # from the beginning each time it would never have got through


def test_a_dead_board_is_an_error_in_bounded_time(world):
    line = world.line()
    line.board.mute = True
    with pytest.raises(LinkError, match="^The board at memory does not answer: 5 requests to reset") as caught:
        Board(line, world.folder)
    assert not isinstance(caught.value, LinkFault) and not line.is_open and line.now < 10


def test_a_board_that_dies_in_the_middle_is_an_error_in_bounded_time(world):
    line = world.line()
    board = Board(line, world.folder)

    def die(done, total):
        line.board.mute = done >= 10

    with pytest.raises(LinkError, match="does not answer"):
        board.run(world.images[FIRST], progress=die)
    assert line.now < 20
    line.board.mute = False
    world.check(board.run(world.images[FIRST]))


def test_a_core_that_never_gives_a_result_is_an_error_in_bounded_time(world):
    line = world.line()
    board = Board(line, world.folder)
    line.board.compute_s = 1e9
    text = (
        r"was reset 8 times in a row without getting on, the last time because no reply came within 1\.\d s\. "
        r"Check cable, power and baud rate \(1000000\); if these are right, build the bitstream of .* again\.$"
    )
    with pytest.raises(LinkError, match=text):
        board.run(world.images[FIRST])
    assert board.statistics.retries == RETRIES and line.now < 20
    line.board.compute_s = 0.0
    world.check(board.run(world.images[FIRST]))


def test_a_cable_that_stays_out_is_an_error_in_bounded_time(world):
    line = world.line(Faults({("rx", 500): ("unplug", 256 * 60)}))
    board = Board(line, world.folder)
    with pytest.raises(LinkError, match="did not come back within 15 s"):
        board.run(world.images[FIRST])
    assert line.now < 20


def test_an_interrupt_leaves_a_board_that_runs_on_and_closes(world):
    line = world.line()

    def control_c(done, total):
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Board(line, world.folder) as board:
        with pytest.raises(KeyboardInterrupt):
            board.run(world.images[FIRST], progress=control_c)
        world.check(board.run(world.images[FIRST]))
        board.run(world.images[FIRST], progress=control_c)
    assert not line.is_open
    with pytest.raises(LinkError, match="^The board at memory has been closed: open it again.$"):
        board.run(world.images[FIRST])
    board.close()


def test_through_a_pseudo_terminal_with_faults_of_its_cable(world, tmp_path):
    faults = Faults({
        ("rx", 300): ("flip", 1), ("tx", 900): ("drop", 0),
        ("rx", 2000): ("reset", 0), ("tx", 2500): ("double", 0),
    })
    with PtyBoard(FakeBoard(world.folder, world.library), tmp_path / "port", faults) as fake:
        with open_device(fake.port, folder=world.folder) as board:
            world.check(board.run(world.images[FIRST]))
            assert faults.happened == 4 and board.port == fake.port
            pulled = threading.Event()

            def pull_the_cable(done, total):
                if done == 20 and not pulled.is_set():
                    pulled.set()
                    fake.unplug()
                    threading.Timer(0.3, fake.plug).start()

            world.check(board.run(world.images[FIRST], progress=pull_the_cable))
            assert board.statistics.reconnects == 1
        with open_device(fake.port, world.networks[OTHER], folder=world.folder) as board:
            world.check(board.run(world.images[OTHER]), OTHER)
