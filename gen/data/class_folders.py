"""Files in one subfolder for each class: which they are, in what order, with which labels."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np

from gen.errors import InputError

__all__ = ["ClassFiles", "by_class", "class_files", "files_of", "split_folder"]


@dataclass(frozen=True, eq=False)
class ClassFiles:
    """files in order; labels int64 [N], or None; names of the classes, sorted."""

    files: list[Path]
    labels: np.ndarray | None
    names: list[str]


def split_folder(path: Path, split: str) -> Path:
    """Return ``path``, or its subfolder ``split`` where it has subfolders train or test; InputError without that."""
    splits = sorted(name for name in {"train", "test", split} if (path / name).is_dir())
    if splits and split not in splits:
        raise InputError(f"{path} holds no split {split!r}: choose one of {', '.join(splits)}.")
    return path / split if splits else path


def files_of(folder: Path, suffixes: set[str]) -> list[Path]:
    """Return the files in ``folder`` whose name ends so, sorted."""
    return sorted(
        file for file in folder.iterdir()
        if file.suffix.lower() in suffixes and file.is_file() and not file.name.startswith(".")
    ) if folder.is_dir() else []


def by_class(folder: Path, suffixes: set[str]) -> dict[str | None, list[Path]]:
    """Return {class's name, or None for those in the folder itself: files}, without empty ones."""
    held: dict[str | None, list[Path]] = {None: files_of(folder, suffixes)}
    for sub in sorted(folder.iterdir()) if folder.is_dir() else ():
        if sub.is_dir() and not sub.name.startswith("."):
            held[sub.name] = files_of(sub, suffixes)
    return {name: files for name, files in held.items() if files}


def class_files(folder: Path, held: dict[str | None, list[Path]], classes: int | None, what: str) -> ClassFiles:
    """Return the files of `by_class`, the first of every class, then the second, and so on.

    The labels are the names of the classes' folders if these are numbers, otherwise the folders' places in the sorted
    list. Files outside class folders have no labels.

    Raises
    ------
    InputError : files beside class folders, or a class of ``classes`` or more; ``what`` names the files.
    """
    names = [name for name in held if name is not None]
    if None in held and names:
        raise InputError(f"{folder} holds {what} beside the folders of classes: move them into their classes.")
    number: Callable[[int, str], int] = (
        (lambda place, name: int(name)) if all(name.isdecimal() for name in names) else (lambda place, name: place)
    )
    numbers = {name: number(place, name) for place, name in enumerate(names)}
    columns = [[(file, numbers.get(name or "")) for file in files] for name, files in held.items()]
    in_turn = [entry for entries in zip_longest(*columns) for entry in entries if entry is not None]
    labels = np.array([label for _, label in in_turn], np.int64) if names else None
    if classes is not None and labels is not None and labels.max() >= classes:
        raise InputError(
            f"{folder} has classes up to number {labels.max()}, counted from 0; there must be none above "
            f"{classes - 1}: keep only the folders of classes that the network knows."
        )
    return ClassFiles([file for file, _ in in_turn], labels, names)
