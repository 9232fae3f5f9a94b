"""`adafire predict`: pictures in; what a network says of them out, drawn and as JSON, in one folder."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from glob import escape
from itertools import islice
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
from PIL import Image

from gen.device import Device, Progress
from gen.errors import AdafireError, InputError
from gen.folders import real_path, refuse_foreign, whole_folder
from gen.generated import GeneratedFolder
from gen.intnet import Network
from gen.netfile import load_network, network_hash
from host.device import opened
from host.predict.animation import animated
from host.predict.answers import Answer, Answers
from host.predict.fit import Placement, fitted
from host.predict.overlay import overlay
from host.predict.sources import DRAWN, MASK, MOVING, VALUES, Picture, Sources

__all__ = ["MARKER", "SCHEMA", "predict"]

MARKER = "predictions.json"
SCHEMA = 1
BATCH = 16  # pictures that a device is given at a time


def predict(
    where: str | Path,
    inputs: Sequence[str],
    out: str | Path = "predictions",
    device: str = "golden",
    decode: str | None = None,
    limit: int | None = None,
    every: int = 1,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Run pictures through a network and write what it says of them into the folder ``out``.

    ``out`` holds ``predictions.json``, for every picture a drawing ``NAME.png``, of a task segment ``NAME.mask.png``
    (the class of every pixel, 255 where the network did not look), of outputs that are maps of values ``NAME.npz``, and
    of a recording ``NAME.gif``, what was known when.

    Parameters
    ----------
    where : a network file, or a folder that `generate` made
    inputs : as `host.predict.sources.Sources` takes them
    out : a new or empty folder, or one of earlier predictions, whose files, as ``predictions.json`` names them, are
        replaced
    device : golden, rtl; of a folder also the port of its board, or sim for a simulated one
    decode : the user's own decoder, where the task has one: a Python file, which is run
    limit, every : of pictures, and of a video's frames
    progress : callable(done, of all, or 1 where that is not known) or None

    Returns
    -------
    dict : what ``predictions.json`` holds, ``out`` and seconds.

    Raises
    ------
    InputError : before anything is compiled or opened: an input, a network, a decoder or an ``out`` that will not do.
        Nothing is written then, nor where a picture turns out to be damaged on the way.
    """
    start = time.perf_counter()
    network, folder = _network(Path(where))
    _check_replaceable(Path(out))
    if not inputs:
        raise InputError("There is nothing to predict from: name pictures, a folder of them, a video or an .npz file.")
    answers = Answers(network, decode)
    with Sources(inputs, network, limit, every) as pictures:
        with _opened(device, network, folder, progress) as machine, whole_folder(out) as work:
            told = list(_predicted(machine, network, answers, pictures, work, device, progress))
            if not told:
                raise InputError("There was no picture in what was named: nothing is written.")
            found = {
                "predictions": MARKER, "schema": SCHEMA, "network": str(where), "network_hash": network_hash(network),
                "task": network.task.as_dict(), "device": device, "pictures": told,
            }
            (work / MARKER).write_text(json.dumps(found, indent=1) + "\n")
    return {"out": str(out), **found, "seconds": time.perf_counter() - start}


def _network(where):
    """Return the network of a file or folder, and the folder or None."""
    if where.is_dir():
        return GeneratedFolder.open(where).network, where
    return load_network(where), None


def _opened(
    device: str, network: Network, folder: Path | None, progress: Progress | None
) -> AbstractContextManager[Device]:
    """Return what opens the device, as `host.device.open_device` knows it."""
    if device == "golden" or (device == "rtl" and folder is None):
        return opened(device, network, progress=progress)
    if folder is None:
        raise InputError(
            f"On the device {device!r} no network file runs: golden and rtl take one. A board, by its port, and the "
            "simulated one, sim, want the folder that `adafire generate` made in place of the network file."
        )
    if device == "rtl":
        return opened(folder, progress=progress)
    return opened(device, folder=folder, progress=progress)


def _predicted(machine, network, answers, pictures: Sources, work, device, progress) -> Iterator[dict[str, Any]]:
    """Yield what is told of every picture, its files written into ``work``."""
    done, remaining = 0, iter(pictures)
    while batch := list(islice(remaining, BATCH)):
        given = [_given(picture, network) for picture in batch]
        result = machine.run(np.stack([image for image, _ in given]))
        placements = [placement for _, placement in given]
        for picture, placement, answer in zip(batch, placements, answers.of(result, placements)):
            told = _written(work, picture, placement, answer, network, device)
            if picture.image is not None and network.source.kind == "frames":
                told |= _animated(work, picture, placement, answers, answer, network, device, told["files"])
            yield told
        done += len(batch)
        if progress:
            progress(done, pictures.total or done + 1)


def _given(picture: Picture, network: Network) -> tuple[np.ndarray, Placement]:
    """Return the image that the network is given of a picture, and where that lies in it."""
    if picture.image is None:
        return fitted(picture.pixels, network.source, network.task)
    size = picture.pixels.shape[1], picture.pixels.shape[0]
    return picture.image, Placement(size, size, (1.0, 1.0), (0.0, 0.0))


def _written(work: Path, picture: Picture, placement: Placement, answer: Answer, network: Network, device: str):
    """Write the files of one picture; return what is told of it."""
    task, step = network.task, answer.told["exit_step"]
    caption = f"{picture.where}: {device}, {step} of {network.timesteps} timesteps"
    if network.timesteps == 1:
        caption = f"{picture.where}: {device}"
    files = {"drawing": f"{picture.name}{DRAWN}"}
    overlay(picture.pixels, answer, task, placement, caption).save(work / files["drawing"])
    if answer.mask is not None:
        files["mask"] = f"{picture.name}{MASK}"
        Image.fromarray(answer.mask).save(work / files["mask"])
    if any(values.shape[1:] != (1, 1) for values in answer.values.values()):
        files["values"] = f"{picture.name}{VALUES}"
        _save_arrays(work / files["values"], answer.values)
    return {"input": picture.where, "size": list(placement.picture), "files": files, **answer.told}


def _animated(work, picture, placement, answers, answer, network, device, files):
    """Write the animation of a recording; return what more is told of it. Every device does the golden model's bits."""
    files |= {"animation": f"{picture.name}{MOVING}"}
    last, known = animated(
        work / files["animation"], network, picture.image, answers, placement, picture.where
    )
    if answers.of(last, [placement])[0].told["exit_step"] != answer.told["exit_step"]:
        raise AdafireError(
            f"{picture.where}: the device {device} took {answer.told['exit_step']} timesteps, the golden model "
            f"{int(last.exit_steps[0])}: see with `adafire verify` where they part."
        )
    return {"files": files, "known": known}


def _save_arrays(path, arrays):
    """Write an ``.npz`` file as `numpy.savez_compressed` does, for arrays of any name."""
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)


def _check_replaceable(out):
    place = real_path(out)
    if not place.exists() or (place.is_dir() and not any(place.iterdir())):
        return
    if not (place / MARKER).is_file():
        raise InputError(
            f"{out} exists and is not an earlier folder of predictions (it holds no {MARKER}): move it away, or choose "
            "another folder with --out."
        )
    refuse_foreign(out, _listed(out), "earlier predictions", "new ones", ", or choose another folder with --out")


def _listed(folder):
    """Return patterns of the files that the predictions in ``folder`` say are their own."""
    try:
        found = json.loads((folder / MARKER).read_bytes())
        if found["predictions"] != MARKER:
            raise ValueError("they are not adafire's")
        names = [name for picture in found["pictures"] for name in picture["files"].values()]
        return [MARKER, *(escape(name) for name in names if not (folder / name).is_dir())]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{folder / MARKER} cannot be read as predictions ({type(error).__name__}: {error}), so it is not known "
            f"what in {folder} may be replaced: move the folder away, or choose another one with --out."
        ) from error
