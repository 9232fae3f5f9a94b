"""What is inside a ``.pt2`` file, looked through before PyTorch reads it: a model file is data and runs no code.

`torch.export.load` unpickles sample inputs and some constants without bounds, loads compiled libraries, and evaluates
text (sizes as SymPy expressions, names of operations, enumerations of other modules). So it never sees the file itself
but a copy in memory, `plain_archive`, that holds what a convolutional network consists of: tensors as raw bytes and a
graph of operations of PyTorch's own. What a file holds beyond that is refused by name where it could run, and left out
where it is only of no use (sample inputs, extra files, guards, traces of the source).

The archive is a zip file of records that are not compressed::

    models/model.json                               the graph
    data/weights/model_weights_config.json          name of a weight to its record, type, sizes and strides
    data/weights/weight_0 ...                       raw bytes
    data/constants/...                              the same for constants: tensor_0 ...
    data/sample_inputs/model.pt                     pickled tensors
"""

from __future__ import annotations

import io
import json
import pickle
import pickletools
import re
import zipfile
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

from gen.errors import InputError
from gen.model.pt2_graph import PLAIN, NotPlain, check_graph, on_cpu

__all__ = ["plain_archive"]

GRAPH = "models/model.json"
SAMPLES = "data/sample_inputs/model.pt"
TABLES = {
    "data/weights/": "data/weights/model_weights_config.json",
    "data/constants/": "data/constants/model_constants_config.json",
}
KEPT = ("archive_format", "archive_version", "version", ".data/version", "byteorder")
UNREAD = ("extra/", "data/extra/", ".data/")
MAX_GRAPH = 2**26  # bytes
MAX_TENSOR = 2**28  # numbers
MAX_AXES = 64

PLAIN_GLOBALS = re.compile(
    r"collections OrderedDict|torch\._utils _rebuild_(tensor_v2|parameter)|torch (\w+Storage|Size|device|b?float\d+|"
    r"u?int\d+|bool)|torch\.storage \w+Storage|torch\.serialization _get_layout"
)
CALLING = {"STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"}  # ways to name a function that GLOBAL does not show
PLAIN_NAME = re.compile(r"\w[\w.-]*")


def plain_archive(path: str | Path) -> io.BytesIO:
    """Return a copy of the ``.pt2`` file ``path`` that is safe to load: tensors and a graph.

    Raises `InputError` for a file that is no archive of this kind, or that holds what could run code.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _copied(_Records(archive, Path(path).stat().st_size))
    except NotPlain as refused:
        raise InputError(f"{path} {refused}") from refused
    except (zipfile.BadZipFile, OSError, EOFError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        text = str(error).rstrip(".") or type(error).__name__
        raise InputError(
            f"{path} is not an exported PyTorch program ({text}). Write one with "
            "torch.export.save(torch.export.export(model.eval(), (images,)), 'model.pt2')."
        ) from error


class _Records:
    """The records of an archive by name, without the folder that all of them are in."""

    def __init__(self, archive, size):
        self.archive, self.infos = archive, {}
        for info in archive.infolist():
            self.infos[info.filename.partition("/")[2] or info.filename] = info
        whole = sum(info.file_size for info in archive.infolist())
        if whole > size or any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
            raise NotPlain(
                f"says that it holds {whole} bytes in {size}: PyTorch compresses nothing. Write it anew with "
                "torch.export.save."
            )

    def __contains__(self, name):
        return name in self.infos

    def read(self, name):
        """Return the bytes of the record ``name``."""
        if name not in self.infos:
            raise NotPlain(f"has no record {name}: it is cut short, or of another kind. Write it anew.")
        return self.archive.read(self.infos[name])

    def table(self, name):
        """Return the JSON object in the record ``name``."""
        info = self.infos.get(name)
        if info and info.file_size > MAX_GRAPH:
            raise NotPlain(f"has {info.file_size} bytes of text in {name}; the most is {MAX_GRAPH}.")
        try:
            value = json.loads(self.read(name), parse_int=_whole)
        except (ValueError, RecursionError) as error:
            raise NotPlain(f"has no readable text in {name} ({error}). Copy it again, or write it anew.") from error
        if not isinstance(value, dict):
            raise NotPlain(f"has something else than a JSON object in {name}. Write it anew.")
        return value


def _whole(digits):
    if len(digits) > 20:  # a sign and what fits 64 bits
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _copied(records):
    """Return the copy of the archive ``records``; `NotPlain` for what could run code."""
    if "serialized_exported_program.json" in records:
        raise NotPlain(
            "is in the layout of PyTorch 2.7 and older, which keeps tensors as pickles that may run code. Load it "
            "with the PyTorch that wrote it, if you trust it, and save it again with a newer one."
        )
    _check_names(records)
    _check_samples(records)
    graph = records.table(GRAPH)
    check_graph(graph)
    copy = io.BytesIO()
    with zipfile.ZipFile(copy, "w") as written:
        for name in KEPT:
            if name in records:
                written.writestr(f"model/{name}", records.read(name))
        written.writestr(f"model/{GRAPH}", json.dumps(graph))
        written.writestr(f"model/{SAMPLES}", b"")
        for folder, name in TABLES.items():
            table = records.table(name)
            on_cpu(table)
            for record in _tensors(records, folder, table):
                written.writestr(f"model/{folder}{record}", records.read(folder + record))
            written.writestr(f"model/{name}", json.dumps(table))
    copy.seek(0)
    return copy


def _check_names(records):
    """Refuse records that would run, and those that belong to no exported program."""
    for name in records.infos:
        if name.startswith("data/aotinductor/") or name.endswith((".so", ".dll", ".dylib", ".pyd")):
            raise NotPlain(f"holds compiled code, {name}, which would run. Save the exported program without it.")
        if name.startswith(("data/constants/custom_obj", "data/constants/opaque_obj")):
            raise NotPlain(f"holds a pickled object, {name}, which may run code. {PLAIN}")
    if GRAPH not in records:
        raise LookupError(f"it has no record {GRAPH}")
    for name in set(records.infos) - {GRAPH, SAMPLES, *KEPT, *TABLES.values()}:
        if not name.startswith(UNREAD) and not re.fullmatch(r".*/|data/(weights|constants)/[a-z]+_\d+", name):
            raise NotPlain(
                f"holds {name}: it is of an older layout, or holds more than the one program 'model'. Write it anew "
                "with torch.export.save."
            )


def _check_samples(records):
    """Refuse sample inputs, pickled as they are, that name anything but what tensors consist of.

    They are not needed and never loaded, but who hides code in them means harm.
    """
    content = records.read(SAMPLES) if SAMPLES in records else b""
    if not content:
        return
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            inner = _Records(archive, len(content))
            found = [name for info in inner.infos if info.endswith(".pkl") for name in _globals(inner.read(info))]
    except (zipfile.BadZipFile, ValueError, pickle.UnpicklingError, EOFError, RuntimeError) as error:
        raise NotPlain(f"has sample inputs that are no tensors ({error}). Write it anew.") from error
    strange = sorted({name for name in found if not PLAIN_GLOBALS.fullmatch(name)})
    if strange:
        raise NotPlain(
            f"has sample inputs with more than tensors in them: {', '.join(strange)}. They are a pickle, which may run "
            "code. Export the model with plain tensors as inputs."
        )


def _globals(pickled) -> Iterator[str]:
    """Yield "module name" of whatever a pickle would call, without loading it."""
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name == "GLOBAL":
            yield str(argument)
        elif opcode.name in CALLING:
            yield f"a name by {opcode.name} (pickle protocol 4 and up; the default of torch.export.save is 2)"


def _tensors(records, folder, table):
    """Yield the records of the raw tensors in ``table``, each once; `NotPlain` for whatever is none."""
    config, done = table.get("config"), set()
    if not isinstance(config, dict):
        raise NotPlain(f"has no table of tensors in {folder}. Write it anew.")
    for name, entry in config.items():
        record = entry.get("path_name") if isinstance(entry, dict) else None
        if not isinstance(record, str) or not PLAIN_NAME.fullmatch(record) or folder + record not in records:
            raise NotPlain(f"says that {name} is in {record!r} of {folder}, which it does not hold. Write it anew.")
        if entry.get("use_pickle") is not False:
            raise NotPlain(f"keeps {name} as a pickle, which may run code. {PLAIN}")
        sizes = _sizes(entry.get("tensor_meta"), name)
        size = records.infos[folder + record].file_size
        if prod(sizes) > MAX_TENSOR or (size == 0 and prod(sizes)):
            raise NotPlain(f"says that {name} has sizes {sizes}, and holds {size} bytes of it. Write it anew.")
        if record not in done:
            done.add(record)
            yield record


def _sizes(meta, name) -> list[int]:
    sizes = meta.get("sizes") if isinstance(meta, dict) else None
    whole: list[Any] = [size.get("as_int") if isinstance(size, dict) else None for size in sizes or ()]
    if sizes is None or len(whole) > MAX_AXES or not all(type(n) is int and n >= 0 for n in whole):
        raise NotPlain(f"does not say in whole numbers what sizes {name} has. Write it anew.")
    return whole
