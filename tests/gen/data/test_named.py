"""Data sets by name, from a server in this process that publishes tiny ones."""

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from gen.data.datasets import datasets, open_dataset
from gen.data.named import NAMED, canonical
from gen.errors import AdafireError, InputError, ToolMissing
from tests.gen.data.published import publish, serving, tiny


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty machine: nothing in the working directory, the cache or ADAFIRE_DATA, no proxy."""
    for folder in ("work", "cache", "shelf"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("ADAFIRE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ADAFIRE_DATA", str(tmp_path / "shelf"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path


@pytest.fixture
def server():
    with serving() as running:
        yield running


def cache(place):
    return sorted(path.relative_to(place / "cache").as_posix() for path in (place / "cache").rglob("*"))


def agree(name, arrays):
    for split in ("train", "test"):
        images = open_dataset(name, split)
        x, y = images.load()
        np.testing.assert_array_equal(x, arrays[f"x_{split}"])
        assert y.tolist() == arrays[f"y_{split}"].tolist() and y.dtype == np.int64
        assert images.name == canonical(name)


@pytest.mark.parametrize("name", NAMED)
def test_a_download_and_then_the_cache(place, server, monkeypatch, name):
    arrays, server.files = tiny(name)
    publish(monkeypatch, name, server.files, server.url)
    agree(name, arrays)
    assert server.asked == list(server.files) and cache(place) == ["datasets", f"datasets/{name}.npz"]
    server.files = {}
    agree((*NAMED[name].aliases, name)[0], arrays)
    assert len(server.asked) == len(NAMED[name].files)


def test_progress_is_told(place, server, monkeypatch):
    _, server.files = tiny("cifar10")
    publish(monkeypatch, "cifar10", server.files, server.url)
    told = []
    open_dataset("cifar10", progress=lambda *step: told.append(step))
    assert told[0][0] == "downloading cifar10, cifar-10-binary.tar.gz" and told[-1] == ("unpacking cifar10", 1.0)
    assert all(0 < fraction <= 1 for _, fraction in told)


def test_the_next_place_is_tried(place, server, monkeypatch):
    arrays, files = tiny("mnist")
    first, *_ = files
    server.files = {
        **{f"wrong/{file}": data + b"!" for file, data in files.items()},
        **{f"cut/{file}": data for file, data in files.items()}, **{f"good/{file}": files[file] for file in files},
    }
    server.cut = {f"cut/{file}" for file in files}
    publish(monkeypatch, "mnist", files, *(f"{server.url}{place}/" for place in ("none", "wrong", "cut", "good")))
    agree("mnist", arrays)
    assert server.asked[:4] == [f"none/{first}", f"wrong/{first}", f"cut/{first}", f"good/{first}"]


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_no_place_has_it(place, server, monkeypatch):
    _, files = tiny("mnist")
    first, *_ = files
    server.files, server.cut = {f"wrong/{first}": b"?", f"cut/{first}": files[first]}, {f"cut/{first}"}
    nobody = f"http://127.0.0.1:{free_port()}/"
    plain = server.url.replace("http:", "https:")
    urls = [f"{server.url}{place}/" for place in ("none", "wrong", "cut")]
    publish(monkeypatch, "mnist", files, *urls, nobody, plain)
    with pytest.raises(AdafireError) as caught:
        open_dataset("mnist")
    text = str(caught.value)
    assert caught.value.exit_code == 1 and "\n" not in text
    for part in (
        "The data set mnist is not on this machine and could not be downloaded", f"none/{first} (404 Not Found)",
        f"wrong/{first} (not the published file, the checksum is wrong)", f"cut/{first} (the download broke off)",
        f"{nobody}{first} (no connection)", f"{plain}{first} (no secure connection)",
        "put mnist.npz (x_train and x_test uint8", "a folder mnist with the published files (train-images",
        "./data or the folder that the variable ADAFIRE_DATA names", "fashion_mnist (or fashion, fashion-mnist), cif",
    ):
        assert part in text
    assert cache(place) == ["datasets"]


def test_without_pooch(place, server, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ToolMissing, match="set mnist needs the library pooch: pip install pooch; or put mnist.npz"):
        open_dataset("mnist")


def test_an_interrupt_leaves_nothing(place, server, monkeypatch):
    _, server.files = tiny("mnist")
    publish(monkeypatch, "mnist", server.files, server.url)

    def interrupt(_text, _fraction):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_dataset("mnist", progress=interrupt)
    assert cache(place) == ["datasets"]


def test_two_at_once(place, server, monkeypatch):
    arrays, server.files = tiny("mnist")
    publish(monkeypatch, "mnist", server.files, server.url)
    server.before = threading.Barrier(2, timeout=30).wait  # every answer waits until both have asked
    loaded = []
    both = [threading.Thread(target=lambda: loaded.append(open_dataset("mnist").load()[0])) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join(60)
    assert len(loaded) == 2 and cache(place) == ["datasets", "datasets/mnist.npz"]
    for x in loaded:
        np.testing.assert_array_equal(x, arrays["x_test"])


@pytest.mark.parametrize("where", ["mnist.npz", "data/mnist.npz", "../shelf/mnist.npz"])
def test_a_local_file_comes_first(place, server, monkeypatch, where):
    arrays, server.files = tiny("mnist")
    publish(monkeypatch, "mnist", server.files, server.url)
    Path(where).parent.mkdir(exist_ok=True)
    np.savez(where, **arrays)
    agree("mnist", arrays)
    assert server.asked == [] and cache(place) == []


def test_a_local_folder_comes_first(place):
    x = np.zeros((3, 28, 28), np.uint8)
    Path("mnist").mkdir()
    np.savez("mnist/part.npz", x=x, y=np.arange(3))
    assert len(open_dataset("mnist")) == 3
    assert datasets()["datasets"][0]["path"] == "mnist"


def test_published_files_brought_by_hand(place, monkeypatch):
    arrays, files = tiny("mnist")
    publish(monkeypatch, "mnist", files)
    folder = place / "shelf" / "mnist"
    folder.mkdir()
    for file, data in files.items():
        (folder / file).write_bytes(data)
    agree("mnist", arrays)
    (place / "cache/datasets/mnist.npz").unlink()
    (folder / file).write_bytes(data + b"!")
    with pytest.raises(AdafireError, match=f"{file} is not the published file, its MD5 is not [0-9a-f]+: replace it"):
        open_dataset("mnist")
    assert cache(place) == ["datasets"]


def test_a_folder_of_that_name_without_images_is_none(place, server, monkeypatch):
    arrays, server.files = tiny("mnist")
    publish(monkeypatch, "mnist", server.files, server.url)
    Path("mnist").mkdir()
    agree("mnist", arrays)


def test_what_is_no_name_is_a_path(place):
    with pytest.raises(InputError, match=r"imagenet does not exist: check the name .* known by name: mnist, fashion_"):
        open_dataset("imagenet")
    np.savez("mine.npz", x=np.zeros((3, 4, 4), np.uint8))
    assert len(open_dataset(Path("mine.npz"))) == 3 and open_dataset("mine.npz").path == Path("mine.npz")
    Path("shards").mkdir()
    np.savez("shards/a.npz", x=np.zeros((2, 4, 4), np.uint8))
    assert len(open_dataset("shards")) == 2


def test_labels_that_are_needed(place):
    np.savez("mine.npz", x=np.zeros((3, 4, 4), np.uint8))
    with pytest.raises(InputError, match="mine.npz holds no labels: save them as y, 3 integers, beside x"):
        open_dataset("mine.npz", need_labels=True)


def test_where_they_are(place, monkeypatch):
    def listed():
        return {entry["name"]: (entry["where"], entry["path"]) for entry in datasets()["datasets"]}

    assert set(listed().values()) == {("download", None)}
    np.savez("cifar10.npz", x=np.zeros((1, 3, 32, 32), np.uint8))
    (place / "cache/datasets").mkdir()
    kept = place / "cache/datasets/mnist.npz"
    kept.write_bytes(b"12345")
    assert listed() == {
        "mnist": ("cache", str(kept)), "fashion_mnist": ("download", None), "cifar10": ("local", "cifar10.npz"),
    }
    mnist = datasets()["datasets"][0]
    assert mnist["bytes"] == 5 and mnist["images"] == {"train": 60000, "test": 10000} and json.dumps(mnist)


def test_a_local_set_needs_neither_pooch_nor_pillow(place):
    np.savez("mnist.npz", x=np.zeros((1, 28, 28), np.uint8))
    program = (
        "import sys; from gen.data.datasets import open_dataset; open_dataset('mnist').load(); "
        "assert not {'pooch', 'PIL', 'torch', 'requests'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": str(Path(__file__).parents[3])}, capture_output=True,
        text=True, check=False,
    )
    assert done.returncode == 0, done.stderr
