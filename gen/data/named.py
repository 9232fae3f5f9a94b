"""Data sets by name: found in a local folder, found in the cache, or downloaded once and checked."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gen.cache import cache_folder
from gen.data import parse
from gen.data.folder import holds_images
from gen.errors import AdafireError, ToolMissing

__all__ = ["NAMED", "Named", "cached", "canonical", "fetch", "found", "names"]

TIMEOUT_S = 20
VARIABLE = "ADAFIRE_DATA"


@dataclass(frozen=True)
class Named:
    """A published data set.

    files : name of each published file to its MD5
    urls : where they are, tried in turn; a file's name goes behind it
    parse : function from the folder of these files to the arrays x_train, y_train, x_test, y_test
    images : split to number of images
    """

    title: str
    aliases: tuple
    shape: tuple
    images: dict
    class_names: tuple
    files: dict
    urls: tuple
    parse: Callable


_DIGITS = tuple("0123456789")
_CLOTHES = (
    "T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)
_OBJECTS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

NAMED = {
    "mnist": Named(
        "handwritten digits", (), (28, 28), {"train": 60000, "test": 10000}, _DIGITS,
        {
            "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
            "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
            "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
        },
        (
            "https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "http://yann.lecun.com/exdb/mnist/",
        ),
        parse.mnist,
    ),
    "fashion_mnist": Named(
        "articles of clothing", ("fashion", "fashion-mnist"), (28, 28), {"train": 60000, "test": 10000}, _CLOTHES,
        {
            "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
        },
        (
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ),
        parse.mnist,
    ),
    "cifar10": Named(
        "objects in color", ("cifar-10",), (3, 32, 32), {"train": 50000, "test": 10000}, _OBJECTS,
        {"cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530"},
        ("https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/"),
        parse.cifar10,
    ),
}


def canonical(name):
    """Return the name under which `NAMED` has ``name``, or None."""
    return next((known for known, named in NAMED.items() if name in (known, *named.aliases)), None)


def names():
    """Return all names in words: ``mnist, fashion_mnist (or fashion, ...), ...``."""
    return ", ".join(
        f"{name} (or {', '.join(named.aliases)})" if named.aliases else name for name, named in NAMED.items()
    )


def found(name):
    """Return NAME.npz, or the folder NAME with images, in the working directory, ./data or ADAFIRE_DATA; or None."""
    for place in _places():
        if (place / f"{name}.npz").is_file():
            return place / f"{name}.npz"
        if (place / name).is_dir() and holds_images(place / name):
            return place / name
    return None


def cached(name):
    """Return where the cache has, or would have, the data set: the path of an ``.npz`` file."""
    return cache_folder() / "datasets" / f"{name}.npz"


def fetch(name, progress=None):
    """Return the path of the data set ``name`` (one of `NAMED`), after a download if it is nowhere on this machine.

    The original files may lie in a folder NAME in one of the places that `found` looks at. Whoever asks at the same
    time gets a whole file; an interruption leaves nothing.

    Parameters
    ----------
    progress : called with (what is being done, fraction), or None

    Raises
    ------
    AdafireError : no place has the right files; says what was tried and what to do by hand.
    """
    path = found(name) or cached(name)
    if path.exists():
        return path
    named = NAMED[name]
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=path.parent) as work:
        work = Path(work)
        if not _copied(name, work):
            for file in named.files:
                _download(name, file, work, progress)
        if progress:
            progress(f"unpacking {name}", 1.0)
        np.savez_compressed(work / path.name, **named.parse(work))
        os.replace(work / path.name, path)
    return path


def _places():
    return [Path(), Path("data"), *([Path(os.environ[VARIABLE])] if os.environ.get(VARIABLE) else [])]


def _copied(name, work):
    """Copy the original files from a local folder, if one has all of them, unaltered."""
    files = NAMED[name].files
    for folder in (place / name for place in _places()):
        if all((folder / file).is_file() for file in files):
            for file, md5 in files.items():
                shutil.copyfile(folder / file, work / file)
                if hashlib.md5((work / file).read_bytes(), usedforsecurity=False).hexdigest() != md5:
                    raise AdafireError(f"{folder / file} is not the published file, its MD5 is not {md5}: replace it.")
            return True
    return False


def _download(name, file, work, progress):
    """Get one published file into ``work`` from the first place that has it as it should be."""
    pooch = _pooch(name)
    pooch.get_logger().setLevel("WARNING")
    named, tried = NAMED[name], []
    for url in named.urls:
        downloader = pooch.HTTPDownloader(
            timeout=TIMEOUT_S, headers={"Accept-Encoding": "identity"},
            progressbar=_Bar(f"downloading {name}, {file}", progress) if progress else False,
        )
        try:
            pooch.retrieve(url + file, f"md5:{named.files[file]}", fname=file, path=work, downloader=downloader)
            return
        except (OSError, ValueError) as error:  # requests' errors are OSErrors, a wrong checksum is a ValueError
            tried.append(f"{url}{file} ({_reason(error)})")
    raise AdafireError(
        f"The data set {name} is not on this machine and could not be downloaded; tried: {', '.join(tried)}. Without "
        f"a network, {_by_hand(name)}, or name an .npz file or a folder of your own instead. Names that adafire knows: "
        f"{names()}."
    )


def _by_hand(name):
    return (
        f"put {name}.npz (x_train and x_test uint8, y_train and y_test integers), or a folder {name} with the "
        f"published files ({', '.join(NAMED[name].files)}), into the working directory, ./data or the folder that "
        f"the variable {VARIABLE} names"
    )


def _pooch(name) -> Any:
    try:
        import pooch
    except ModuleNotFoundError as error:
        raise ToolMissing(
            f"Downloading the data set {name} needs the library pooch: pip install pooch; or {_by_hand(name)}."
        ) from error
    return pooch


def _reason(error):
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"{error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return f"no answer within {TIMEOUT_S} s"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the download broke off"
    if isinstance(error, requests.exceptions.SSLError):
        return "no secure connection"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return "not the published file, the checksum is wrong" if isinstance(error, ValueError) else str(error)


class _Bar:
    """What pooch takes for a progress bar."""

    def __init__(self, text, progress):
        self._text, self._progress, self.total, self._done = text, progress, 0, 0

    def update(self, count):
        self._done += count
        self._progress(self._text, min(self._done / max(self.total, 1), 1.0))

    def reset(self):
        self._done = 0

    def close(self):
        """Nothing to close."""
