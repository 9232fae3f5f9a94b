"""The map as text: Markdown tables for the documentation, a C header for every generated folder.

``python -m hw.link.regmap_text --markdown`` prints the tables, ``--c`` the header; both say what `hw.regmap` says.
"""

import sys

from gen.result import HEADER_WORDS, form_words
from gen.task import CLASSIFY, DETECT, SEGMENT, VALUES
from hw import regmap
from hw.regmap import REGISTERS, Command, Fault

__all__ = ["c_header", "main", "markdown_tables"]

C_ACCESS = {"ro": "read", "rw": "read, write", "wo": "write"}
TASKS = {
    CLASSIFY: "The output that decides has a score for each class.",
    SEGMENT: "The same at each of its positions.",
    DETECT: "The outputs hold boxes; docs/tasks.md says who makes them.",
    VALUES: "The outputs are numbers.",
}
CONSTANTS = (
    ("MAGIC", regmap.MAGIC, "Register MAGIC: \"ADAF\"."),
    ("PROTOCOL", regmap.PROTOCOL, "Register VERSION."),
    ("FLAG", regmap.FLAG, "Begins and ends a frame."),
    ("ESCAPE", regmap.ESCAPE, "Stands before a stuffed byte."),
    ("STUFF", regmap.STUFF, "A stuffed byte is sent xor this."),
    ("REPLY", regmap.REPLY, "Set in the command of a reply."),
    ("ERROR_REPLY", regmap.ERROR_REPLY, "Command of an error reply."),
    ("HEADER_BYTES", regmap.HEADER.size, "Command, sequence number, bytes of payload (2)."),
    ("POSITION_BYTES", regmap.POSITION.size, "Before the data of LOAD, INPUT and RUN."),
    ("COMMIT_BYTES", regmap.COMMIT.size, "Words of the load stream, NETWORK, INPUT_SIZE, INPUT_LOW, INPUT_BYTES."),
    ("ERROR_BYTES", regmap.ERROR.size, "Fault, command, 0 (2), what was expected (4)."),
    ("CRC_BYTES", regmap.FRAME_OVERHEAD - regmap.HEADER.size, "CRC-32 of header and payload."),
    ("IDENTITY_WORDS", len(regmap.IDENTITY), "In the reply to IDENTIFY."),
    ("COUNTER_WORDS", len(regmap.COUNTERS), "In the reply to COUNTERS."),
    ("PIECE_HEAD_BYTES", regmap.PIECE.size, "NETWORK, POSITION: before the words of PART and RESULT."),
    ("PIECE_WORDS", regmap.PIECE_WORDS, "Words of a result in one PART or RESULT, at most."),
    ("RESULT_WORDS", len(regmap.RESULT_WORDS), "Of a result before its values."),
)


def markdown_tables():
    """Return name to Markdown table, of ``commands``, ``faults`` and ``registers``."""
    return {
        "commands": _table(
            ("command", "code", "payload", "payload of the reply", "meaning"),
            ((f"`{c.name}`", f"0x{c:02X}", c.payload, c.reply, c.meaning) for c in Command),
        ),
        "faults": _table(
            ("fault", "code", "meaning", "`expected`"),
            ((f"`{fault.name}`", fault, fault.meaning, fault.expected) for fault in Fault),
        ),
        "registers": _table(
            ("register", "offset", "access", "meaning"),
            ((f"`{r.name}`", f"0x{r.offset:02X}", r.access, r.meaning) for r in REGISTERS.values()),
        ),
    }


def c_header(design=None):
    """Return the text of ``adafire_registers.h``, C99.

    With ``design``, the manifest of a generated folder or what it will hold of ``build_id``, ``network_id``,
    ``image_digest``, ``outputs``, ``task``, ``baud``, ``estimated_cycles_per_image`` and ``input``, its constants
    follow: what `host/c` compares a board with, how long to wait for it, and what the values of a result mean.
    """
    sections = [
        "/* Registers, commands and frames of the adafire link. Generated; docs/protocol.md explains them. */",
        "#ifndef ADAFIRE_REGISTERS_H\n#define ADAFIRE_REGISTERS_H",
        "/* Frames: FLAG, stuffed(header, payload, CRC-32), FLAG; numbers are little-endian. */\n"
        + _defines((f"ADAFIRE_{name}", _c_number(value), text) for name, value, text in CONSTANTS),
        _enum("task", ((f"ADAFIRE_TASK_{kind.upper()}", list(TASKS).index(kind), TASKS[kind]) for kind in TASKS)),
        _enum("command", ((f"ADAFIRE_{c.name}", f"0x{c:02X}", c.meaning) for c in Command)),
        _enum("fault", (
            (f"ADAFIRE_FAULT_{fault.name}", int(fault), f"{fault.meaning} Expected: {fault.expected}.")
            for fault in Fault
        )),
        "/* Registers of 32 bits: offsets in bytes on a bus; IDENTIFY and COUNTERS send them in this order. */\n"
        + _defines(
            (f"ADAFIRE_REG_{r.name}", f"0x{r.offset:02X}u", f"{r.meaning} ({C_ACCESS[r.access]})")
            for r in REGISTERS.values()
        ),
        "/* Words of a result; the values are signed. */\n" + _defines(
            (f"ADAFIRE_WORD_{name.upper()}", i, "") for i, name in enumerate((*regmap.RESULT_WORDS, "values"))
        ),
    ]
    if design is not None:
        sections += [_design(design), _results(design["outputs"], design["task"])]
    return "\n\n".join([*sections, "#endif"]) + "\n"


def _design(design):
    """The constants of one generated folder."""
    build, source = int(design["build_id"], 16), design["input"]
    channels, height, width = source["shape"]
    images = source.get("images", 1)
    cycles = images * design["estimated_cycles_per_image"]
    offsets = ", ".join(map(str, source["offset"]))
    return "/* The design of this folder and the network it was generated for. */\n" + _defines((
        ("ADAFIRE_DESIGN_BUILD", "{" + ", ".join(f"0x{build >> 32 * i & 0xFFFFFFFF:08X}u" for i in range(4)) + "}",
         "BUILD_0 to BUILD_3."),
        ("ADAFIRE_DESIGN_NETWORK", f"0x{design['network_id']:08X}u", "Register NETWORK."),
        ("ADAFIRE_DESIGN_DIGEST", f"0x{design['image_digest']:08X}u", "Register LOADED."),
        ("ADAFIRE_DESIGN_OUTPUTS", form_words(design["outputs"]) - HEADER_WORDS, "Values of a result."),
        ("ADAFIRE_DESIGN_BAUD", design["baud"], ""),
        ("ADAFIRE_DESIGN_IMAGES", images, "Images that are run together."),
        ("ADAFIRE_DESIGN_MAPS", source["timesteps"] if source["kind"] == "frames" else 1, "Maps of one image."),
        ("ADAFIRE_DESIGN_CHANNELS", channels, ""),
        ("ADAFIRE_DESIGN_HEIGHT", height, ""),
        ("ADAFIRE_DESIGN_WIDTH", width, ""),
        ("ADAFIRE_DESIGN_OFFSETS", f"{{{offsets}}}", "Of each channel: value = pixel - offset."),
        ("ADAFIRE_DESIGN_INPUT_SIZE", source["values"], "Register INPUT_SIZE."),
        ("ADAFIRE_DESIGN_INPUT_LOW", f"({source['lowest']})", "Register INPUT_LOW."),
        ("ADAFIRE_DESIGN_INPUT_BYTES", source["bytes"], "Register INPUT_BYTES."),
        ("ADAFIRE_DESIGN_CYCLES", min(cycles, 2**32 - 1), "Of a mean run, estimated."),
    ))


def _results(outputs, task):
    """The constants of what the values of a result mean."""
    shapes, labels = outputs["shapes"], task.get("labels", ())
    return "/* What its outputs are, one behind the other in a result, and what for. */\n" + _defines((
        ("ADAFIRE_DESIGN_TASK", f"ADAFIRE_TASK_{task['kind'].upper()}", ""),
        ("ADAFIRE_DESIGN_RESULTS", len(shapes), "How many outputs there are."),
        ("ADAFIRE_DESIGN_DECIDES", list(shapes).index(outputs["decides"]), "Which of them has the classes, from 0."),
        ("ADAFIRE_DESIGN_SHAPES", _list("{" + ", ".join(map(str, shape)) + "}" for shape in shapes.values()),
         "Channels, height and width of each."),
        ("ADAFIRE_DESIGN_NAMES", _list(map(_c_text, shapes)), ""),
        ("ADAFIRE_DESIGN_LABELS", len(labels), "How many names of classes there are."),
        ("ADAFIRE_DESIGN_LABEL", _list(map(_c_text, labels or [""])), "Of each class, in UTF-8."),
    ))


def _list(items):
    return "{" + ", ".join(items) + "}"


def _c_text(text):
    """Return a string of C that holds ``text`` in UTF-8, whatever the compiler takes its source for."""
    plain = set(range(0x20, 0x7F)) - set(b'"\\?')
    return '"' + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in text.encode()) + '"'


def _c_number(value):
    return f"0x{value:02X}u" if value > 0x1F else f"{value}"


def _defines(rows):
    return "\n".join(f"#define {name:<26} {value}" + f"  /* {text} */" * bool(text) for name, value, text in rows)


def _enum(name, rows):
    members = "".join(f"  {member} = {value},  /* {text} */\n" for member, value, text in rows)
    return f"enum adafire_{name} {{\n{members}}};"


def _table(titles, rows):
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def main(argv):
    """Print the tables or the header; return the exit code."""
    if argv == ["--markdown"]:
        text = "\n\n".join(
            f"<!-- {name} -->\n{table}\n<!-- end of {name} -->" for name, table in markdown_tables().items()
        ) + "\n"
    elif argv == ["--c"]:
        text = c_header()
    else:
        sys.stderr.write("usage: python -m hw.link.regmap_text --markdown | --c\n")
        return 2
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
