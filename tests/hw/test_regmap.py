"""`hw.regmap`: frames survive the wire, damaged ones are never taken; `hw.link.regmap_text` says the same in C."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hw import regmap

from hw.link import regmap_text
from hw.regmap import ESCAPE, FLAG, REGISTERS, REPLY, Command, Fault, Register, decode, encode, frames, register

ROOT = Path(__file__).parents[2]
BUSY = st.sampled_from([FLAG, ESCAPE, FLAG ^ 0x20, ESCAPE ^ 0x20, 0])  # bytes that the stuffing looks at
PAYLOADS = st.lists(st.one_of(BUSY, st.integers(0, 255)), max_size=64).map(bytes)
BYTES = st.integers(0, 255)
FRAMES = st.lists(st.tuples(BYTES, BYTES, PAYLOADS), max_size=5)

fixed = settings(deadline=None, derandomize=True)


@fixed
@given(BYTES, BYTES, PAYLOADS)
@example(FLAG, ESCAPE, bytes([FLAG, ESCAPE, FLAG ^ 0x20]))
def test_a_frame_comes_back(command, sequence, payload):
    wire = encode(command, sequence, payload)
    assert wire[0] == wire[-1] == FLAG and FLAG not in wire[1:-1]
    assert len(wire) - 2 >= regmap.FRAME_OVERHEAD + len(payload)
    buffer = bytearray(wire)
    body, = frames(buffer)
    assert decode(body) == (command, sequence, payload) and buffer == b""


def test_a_frame_by_hand():
    assert regmap.crc(b"123456789") == 0xCBF43926  # the check value of this CRC
    plain = bytes([0x06, 0x7E, 0x00, 0x00])
    crc = regmap.crc(plain).to_bytes(4, "little")
    assert ESCAPE not in crc and FLAG not in crc
    assert encode(Command.ABORT, 0x7E) == bytes([FLAG, 0x06, ESCAPE, 0x5E, 0, 0]) + crc + bytes([FLAG])
    assert decode(bytes([0x06, ESCAPE, 0x5E, 0, 0]) + crc) == (Command.ABORT, 0x7E, b"")


@fixed
@given(FRAMES, st.lists(st.integers(1, 40), max_size=20), st.booleans())
def test_frames_come_whole_whatever_the_pieces(sent, sizes, share_flags):
    wire = b"".join(encode(*frame) for frame in sent)
    if share_flags:
        wire = wire.replace(bytes([FLAG, FLAG]), bytes([FLAG]))
    buffer, received = bytearray(), []
    for size in [*sizes, len(wire)]:
        buffer += wire[:size]
        wire = wire[size:]
        received += [decode(body) for body in frames(buffer)]
    assert received == sent


@fixed
@given(FRAMES, st.binary(max_size=40), FRAMES)
def test_noise_costs_no_more_than_itself(before, noise, after):
    buffer = bytearray(b"".join(encode(*frame) for frame in before) + noise + bytes([FLAG]))
    buffer += b"".join(encode(*frame) for frame in after)
    received = [decode(body) for body in frames(buffer)]
    assert received[: len(before)] == before
    assert received[len(received) - len(after) :] == after
    assert set(received[len(before) : len(received) - len(after)]) <= {None}


@fixed
@given(BYTES, BYTES, PAYLOADS, st.data())
def test_three_wrong_bits_are_always_seen(command, sequence, payload, data):
    body = bytearray(encode(command, sequence, payload)[1:-1])
    flips = data.draw(st.lists(st.integers(0, 8 * len(body) - 1), min_size=1, max_size=3, unique=True))
    for flip in flips:
        body[flip // 8] ^= 1 << flip % 8
    received = [decode(part) for part in frames(body + bytes([FLAG]))]
    assert set(received) <= {None}


@fixed
@given(BYTES, BYTES, PAYLOADS, st.data())
def test_a_cut_frame_is_damaged(command, sequence, payload, data):
    body = encode(command, sequence, payload)[1:-1]
    assert decode(body[: data.draw(st.integers(0, len(body) - 1))]) is None


@pytest.mark.parametrize("length", [0, 2, 65535])
def test_the_length_of_the_header_counts(length):
    plain = regmap.HEADER.pack(Command.RUN, 1, length) + b"a"
    assert decode(plain + regmap.crc(plain).to_bytes(4, "little")) is None
    assert decode(encode(Command.RUN, 1, b"a")[1:-1]) == (Command.RUN, 1, b"a")


def test_commands_and_faults_are_numbers_with_words():
    assert [int(c) for c in Command] == list(range(1, 12)) and [int(f) for f in Fault] == list(range(1, 9))
    assert Command(5) is Command.RUN and Command.RUN == 5 and Command.RUN | REPLY == 0x85
    assert Fault["OVERRUN"].expected == "RX_BYTES"
    for member in (*Command, *Fault):
        assert member.meaning.endswith(".") and len(member.meaning) > 10
    assert not {int(c) & REPLY or c | REPLY for c in Command} & {regmap.ERROR_REPLY}


def test_the_registers_lie_side_by_side():
    assert all(isinstance(entry, Register) and REGISTERS[name] is entry for name, entry in REGISTERS.items())
    offsets = [*range(0, 0x44, 4), *range(0x60, 0x7C, 4), *range(0x80, 0x98, 4)]
    assert [entry.offset for entry in REGISTERS.values()] == offsets
    assert len(regmap.IDENTITY) == 17 and register("RESULTS") == 24 and register("CONTROL") == 32
    assert [entry.name for entry in regmap.WRITABLE] == ["NETWORK", "INPUT_SIZE", "INPUT_LOW", "INPUT_BYTES"]
    assert {entry.access for entry in REGISTERS.values()} == {"ro", "rw", "wo"}
    assert regmap.MAGIC.to_bytes(4, "little") == b"ADAF"


def test_the_sizes_of_the_payloads():
    assert (regmap.HEADER.size, regmap.POSITION.size, regmap.COMMIT.size, regmap.ERROR.size) == (4, 4, 20, 8)
    assert regmap.FRAME_OVERHEAD == 8
    assert regmap.COMMIT.unpack(regmap.COMMIT.pack(9, 2**32 - 1, 784, -128, 1)) == (9, 2**32 - 1, 784, -128, 1)


DESIGN = {
    "build_id": "0123456789abcdeffedcba9876543210", "network_id": 7, "image_digest": 0x89ABCDEF, "baud": 115200,
    "estimated_cycles_per_image": 2**40,
    "outputs": {"shapes": {"first": [10, 1, 1], "map": [2, 3, 4]}, "decides": "map", "timesteps": [4]},
    "task": {"kind": "segment", "labels": ["sky", 'K\u00e4se "?\\']},
    "input": {"shape": [3, 8, 9], "kind": "frames", "low": 0, "high": 255, "offset": [1, -2, 3], "timesteps": 4,
              "values": 864, "lowest": -3, "bytes": 2},
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Compile the header as C99; return every macro and member of an enumeration with its number."""
    folder = tmp_path_factory.mktemp("header")
    text = regmap_text.c_header(DESIGN)
    (folder / "adafire_registers.h").write_text(text)
    names = re.findall(r"#define (ADAFIRE_\w+) +\S", text) + re.findall(r"^  (ADAFIRE_\w+) =", text, re.MULTILINE)
    lists = {f"ADAFIRE_DESIGN_{name}" for name in ("BUILD", "OFFSETS", "SHAPES", "NAMES", "LABEL")}
    numbers = [name for name in names if name not in lists]
    lines = "".join(f'printf("{name} %lld\\n", (long long)({name}));\n' for name in numbers)
    (folder / "print.c").write_text(
        '#include <stdio.h>\n#include "adafire_registers.h"\n#include "adafire_registers.h"\nint main(void) {\n'
        f"{lines}static const unsigned build[] = ADAFIRE_DESIGN_BUILD; static const int offsets[] = "
        'ADAFIRE_DESIGN_OFFSETS;\nprintf("build %u\\noffset %d\\n", build[3], offsets[1]);\n'
        "static const int shapes[][3] = ADAFIRE_DESIGN_SHAPES;\n"
        "static const char *const names[] = ADAFIRE_DESIGN_NAMES, *const labels[] = ADAFIRE_DESIGN_LABEL;\n"
        'printf("height %d\\n%s %s\\n", shapes[1][1], names[1], labels[1]);\nreturn 0;\n}\n'
    )
    strict = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")
    subprocess.run(["gcc", *strict, "print.c", "-o", "print"], cwd=folder, check=True, timeout=60)
    said = subprocess.run([folder / "print"], capture_output=True, check=True, timeout=10).stdout.decode()
    *numbers, named = said.splitlines()
    return {name: int(value) for name, value in map(str.split, numbers)} | {"named": named}


def test_the_c_header_says_what_the_map_says(compiled):
    for entry in REGISTERS.values():
        assert compiled[f"ADAFIRE_REG_{entry.name}"] == entry.offset
    for member in Command:
        assert compiled[f"ADAFIRE_{member.name}"] == member
    for member in Fault:
        assert compiled[f"ADAFIRE_FAULT_{member.name}"] == member
    for name in ("MAGIC", "PROTOCOL", "FLAG", "ESCAPE", "STUFF", "REPLY", "ERROR_REPLY"):
        assert compiled[f"ADAFIRE_{name}"] == getattr(regmap, name)
    assert compiled["ADAFIRE_WORD_CLASS"] == 0
    assert compiled["ADAFIRE_WORD_VALUES"] == compiled["ADAFIRE_RESULT_WORDS"]


def test_the_c_header_of_a_design(compiled):
    expected = {
        "NETWORK": 7, "DIGEST": 0x89ABCDEF, "OUTPUTS": 34, "BAUD": 115200, "IMAGES": 1, "MAPS": 4, "CHANNELS": 3,
        "HEIGHT": 8, "WIDTH": 9, "INPUT_SIZE": 864, "INPUT_LOW": -3, "INPUT_BYTES": 2, "CYCLES": 2**32 - 1,
    }
    assert {name: compiled[f"ADAFIRE_DESIGN_{name}"] for name in expected} == expected
    assert compiled["build"] == 0x01234567 and compiled["offset"] == -2
    assert compiled["height"] == 3 and compiled["named"] == 'map K\u00e4se "?\\'
    assert [compiled[f"ADAFIRE_DESIGN_{name}"] for name in ("RESULTS", "DECIDES", "LABELS")] == [2, 1, 2]
    assert compiled["ADAFIRE_DESIGN_TASK"] == compiled["ADAFIRE_TASK_SEGMENT"] == 1
    assert "DESIGN" not in regmap_text.c_header()
    direct = {**DESIGN, "input": {**DESIGN["input"], "kind": "direct"}}
    assert "#define ADAFIRE_DESIGN_MAPS        1" in regmap_text.c_header(direct)


def test_the_c_header_of_a_design_for_several_images():
    together = {
        **DESIGN, "estimated_cycles_per_image": 500, "outputs": {**DESIGN["outputs"], "images": 3},
        "input": {**DESIGN["input"], "kind": "direct", "images": 3, "values": 648},
    }
    expected = {"IMAGES": 3, "MAPS": 1, "OUTPUTS": 102, "INPUT_SIZE": 648, "CYCLES": 1500}
    defined = dict(re.findall(r"#define ADAFIRE_DESIGN_(\w+) +(\d+)", regmap_text.c_header(together)))
    assert {name: int(defined[name]) for name in expected} == expected


def test_the_tables():
    tables = regmap_text.markdown_tables()
    assert [len(table.splitlines()) - 2 for table in tables.values()] == [len(Command), len(Fault), len(REGISTERS)]
    for table in tables.values():
        assert len({line.count("|") for line in table.splitlines()}) == 1
    assert "| `RUN` | 0x05 |" in tables["commands"]


def test_the_program():
    def run(*words):
        words = [sys.executable, "-m", "hw.link.regmap_text", *words]
        return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)

    assert run("--c").stdout == regmap_text.c_header()
    markdown = run("--markdown").stdout
    for name, table in regmap_text.markdown_tables().items():
        assert f"<!-- {name} -->\n{table}\n<!-- end of {name} -->\n" in markdown
    wrong = run("--html")
    assert wrong.returncode == 2 and wrong.stderr.startswith("usage: ")


def test_the_documentation_has_the_tables():
    page = (ROOT / "docs" / "protocol.md").read_text()
    for name, table in regmap_text.markdown_tables().items():
        marked = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- end of {name} -->", page, re.DOTALL)
        assert marked[1] == table, "print it anew: python -m hw.link.regmap_text --markdown"
