"""One way to name images: an ``.npz`` file, a folder, or a data set that the world knows; events, points, sounds."""

from pathlib import Path

from gen.data import named
from gen.data.folder import open_folder
from gen.data.forms import Form, form_of, kind_of, open_form
from gen.data.images import ImageSet
from gen.data.npz import NpzSet
from gen.device import Progress
from gen.errors import InputError
from gen.intnet import Network

__all__ = ["datasets", "open_dataset", "open_for"]


def open_dataset(
    spec: str | Path,
    split: str = "test",
    classes: int | None = None,
    need_labels: bool = False,
    progress: Progress | None = None,
    form: Form | None = None,
    frames: int | None = None,
) -> ImageSet:
    """Open images, and labels if there are any, for reading batch by batch.

    Parameters
    ----------
    spec : str or path
        ``mnist``, ``fashion_mnist`` (or ``fashion``), ``cifar10``: taken from ``NAME.npz`` or a folder NAME in the
        working directory, ``./data`` or the folder ADAFIRE_DATA, otherwise from the cache, into which it is
        downloaded when it is not there. Anything else is a path: an ``.npz`` file (`gen.data.npz.NpzSet`) or a folder
        (`gen.data.folder.open_folder`).
    split : ``train`` or ``test``, or another one that the file has; images without splits serve for every one
    classes : number of classes, where it is known; a label of ``classes`` or more is an error then
    need_labels : whether images without labels are an error
    progress : called with (text, fraction) while downloading
    form : how recordings of events, point sets or sounds become maps (`gen.data.forms`); of images it says nothing
    frames : of a recording of events; by default as many as the longest one needs

    Returns
    -------
    gen.data.images.ImageSet

    Raises
    ------
    InputError : what there is cannot be used; says what must be there.
    AdafireError : a download failed.
    """
    name = named.canonical(str(spec))
    path = named.fetch(name, progress) if name else Path(spec)
    if not path.exists():
        raise InputError(
            f"{path} does not exist: check the name of the file or folder with the images. "
            f"Data sets known by name: {named.names()}."
        )
    if kind := kind_of(path, split):
        images = open_form(path, kind, form, split, classes, frames)
    else:
        images = open_folder(path, split, classes) if path.is_dir() else NpzSet(path, split, classes)
    if need_labels and images.labels is None:
        raise InputError(f"{path} holds no labels: save them as y, {len(images)} integers, beside x.")
    if name:
        images.name = name
    return images


def open_for(network: Network, spec: str | Path, split: str = "test", progress: Progress | None = None) -> ImageSet:
    """Open data for ``network``: labels are its classes, raw data become its maps by the form in its file."""
    frames = network.frames if network.source.kind == "frames" else None
    return open_dataset(spec, split, network.label_classes, progress=progress, form=form_of(network), frames=frames)


def datasets():
    """Return what is known by name and where it is, as values for JSON; downloads nothing."""
    return {"datasets": [_described(name, known) for name, known in named.NAMED.items()]}


def _described(name, known):
    local, cached = named.found(name), named.cached(name)
    path = local or (cached if cached.exists() else None)
    return {
        "name": name, "aliases": list(known.aliases), "title": known.title, "shape": list(known.shape),
        "images": known.images, "classes": len(known.class_names), "class_names": list(known.class_names),
        "where": "local" if local else "cache" if path else "download", "path": path and str(path),
        "bytes": path.stat().st_size if path and path.is_file() else None, "urls": list(known.urls),
    }
