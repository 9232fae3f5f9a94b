"""Pictures in .npz files as the examples store them: as they are, or as the differences that pack well.

    python examples/pictures.py cifar10.npz --out plain.npz

Differences: the red and the blue channel lose the green one, then every row the row above, all modulo 256. The command
writes the pictures themselves, whole, for `adafire evaluate --data`: x_train, x_test and their labels.
"""

import argparse
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gen.errors import InputError
from gen.folders import whole_files

__all__ = ["stored_pictures", "unfiltered"]


def stored_pictures(path: Path, part: str, others: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the arrays ``others`` of a file and its pictures of a ``part``, uint8 [N, 3, H, W], as ``x``.

    The pictures are called x_part or x_part_filtered, x or x_filtered without a part. Raises InputError for a file
    that lacks them or one of the others.
    """
    name = f"x_{part}" if part else "x"
    wanted = {name, f"{name}_filtered", *others}
    try:
        with np.load(path) as file:
            stored, held = file.files, {array: file[array] for array in file.files if array in wanted}
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as an .npz file ({error}).") from error
    if not set(others) <= held.keys() or not {name, f"{name}_filtered"} & held.keys():
        raise InputError(
            f"{path} lacks {' or '.join(others)}, or {name} or {name}_filtered: it holds {', '.join(stored)}."
        )
    x = held[name] if name in held else unfiltered(held[f"{name}_filtered"])
    return {other: held[other] for other in others} | {"x": x}


def unfiltered(differences: np.ndarray) -> np.ndarray:
    """Return images uint8 [N, 3, H, W] of their ``differences``."""
    x = np.cumsum(differences, axis=-2, dtype=np.uint8)
    x[:, [0, 2]] += x[:, [1]]
    return x


def main():
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, help="an .npz file with x and y of train and test, x as differences")
    parser.add_argument("--out", type=Path, required=True, help=".npz file to write")
    options = parser.parse_args()
    arrays = {}
    for part in ("train", "test"):
        held = stored_pictures(options.data, part, (f"y_{part}",))
        arrays |= {f"x_{part}": held["x"], f"y_{part}": held[f"y_{part}"].astype(np.int64)}
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    whole_files({options.out: content.getvalue()})


if __name__ == "__main__":
    from kit import script  # beside this script

    script(main)
