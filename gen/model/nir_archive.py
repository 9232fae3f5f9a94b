"""What is inside a ``.nir`` file: names, real numbers and text, read in a process of its own.

The file is in HDF5, whose data sets may be declared without being stored, lie in other files, or lead in circles:
`tree` looks at names and sizes first, so that a small file never becomes a large memory. Damaged bytes may also lead
the HDF5 library itself astray, where no exception reaches: `read_tree` therefore reads in another process, which may
end or be ended without harm. Nothing in such a file is code.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np

from gen.errors import InputError

__all__ = ["nested", "read_tree", "tree"]

MAX_NUMBERS = 2**28  # of all data sets
MAX_ITEMS = 2**15  # groups and data sets
FREE_BYTES = 2**20  # a data set up to this size may be declared without being stored
MOST_PACKED = 1100  # gzip makes 1030 zeros one byte
SECONDS, BYTES_A_SECOND = 30.0, 2**20  # that reading may take


def read_tree(path: str | Path) -> dict:
    """Return what the file ``path`` holds under ``node``, group by group; ValueError where it cannot be read."""
    seconds = SECONDS + Path(path).stat().st_size / BYTES_A_SECOND
    command = [sys.executable, "-m", __name__, str(path)]
    known = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(command, capture_output=True, env=known, timeout=seconds)
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"reading it takes longer than {seconds:.0f} s") from error
    if done.returncode == InputError.exit_code:
        raise InputError(done.stderr.decode("utf-8", "replace").strip())
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise ValueError(lines[-1] if lines else f"the HDF5 library ends with {done.returncode}")
    with np.load(io.BytesIO(done.stdout), allow_pickle=False) as found:
        return nested({name: found[f"value{i}"] for i, name in enumerate(found["names"].tolist())})


def tree(path: str | Path) -> dict[str, np.ndarray]:
    """Return name of every data set under ``node`` to its numbers or text.

    Raises `InputError` for data that should not be read, and whatever h5py raises where there is none.
    """
    with h5py.File(path, "r") as file:
        sets = _checked(path, file)
        return {name.removeprefix("/node/"): _value(data) for name, data in sets.items() if name.startswith("/node/")}


def _value(data):
    return np.asarray(data.asstr(errors="replace")[()], "U") if _is_text(data.dtype) else np.asarray(data[()])


def nested(values: dict[str, np.ndarray]) -> dict:
    """Return ``values`` as dictionaries in dictionaries, by the parts of their names; single numbers as such."""
    result: dict = {}
    for name, value in values.items():
        place = result
        *groups, last = name.split("/")
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = value[()]
    return result


def _checked(path, file):
    """Return name of every data set to it, none of them read yet."""
    waiting, seen, sets, numbers = [file], {_address(file)}, {}, 0
    for group in waiting:
        for name in group:
            place = f"{group.name.rstrip('/')}/{name}"
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise InputError(f"{path} says that {place} lies elsewhere; it must hold all it has.")
            item = group[name]
            if len(waiting) + len(sets) > MAX_ITEMS:
                raise InputError(f"{path} holds more than {MAX_ITEMS} groups and data sets.")
            if isinstance(item, h5py.Dataset):
                numbers += _count(path, item)
                sets[place] = item
            elif _address(item) in seen:
                raise InputError(f"{path} holds {place} in two places, or inside itself.")
            else:
                waiting.append(item)
                seen.add(_address(item))
    if numbers > MAX_NUMBERS:
        raise InputError(f"{path} holds {numbers} numbers, the most is {MAX_NUMBERS}.")
    return sets


def _address(item):
    return h5py.h5o.get_info(item.id).addr  # pyright: ignore[reportAttributeAccessIssue] - compiled


def _count(path, data):
    """Return how many numbers a data set holds; InputError for one that should not be read."""
    if data.is_virtual or data.external:
        raise InputError(f"{path} says that {data.name} lies in other files; it must hold all it has.")
    if data.dtype.kind == "c":
        raise InputError(
            f"{path} holds complex numbers, {data.name}. Weights and parameters must be real; nothing is dropped in "
            "silence."
        )
    if data.shape is None or data.dtype.kind not in "biuf" and not _is_text(data.dtype):
        raise InputError(f"{path} holds {data.name} of type {data.dtype}; it must be text or real numbers.")
    size = int(np.prod(data.shape, dtype=object))
    declared, stored = size * data.dtype.itemsize, data.id.get_storage_size()
    if declared > max(FREE_BYTES, MOST_PACKED * stored):
        raise InputError(f"{path} says that {data.name} has shape {data.shape}, and holds {stored} bytes of it.")
    return size


def _is_text(dtype):
    return dtype.kind == "S" or h5py.check_string_dtype(dtype) is not None


def main(path: str) -> None:
    """Write what `tree` reads to the standard output; the child's side of `read_tree`."""
    try:
        found = tree(path)
    except InputError as error:
        sys.stderr.write(str(error))
        sys.exit(error.exit_code)
    content = io.BytesIO()
    values = {f"value{i}": value for i, value in enumerate(found.values())}
    np.savez(content, allow_pickle=False, names=np.array(list(found), "U"), **values)
    sys.stdout.buffer.write(content.getbuffer())


if __name__ == "__main__":
    main(sys.argv[1])
