"""The steps of a sweep: how models are converted, and that what is kept is what would be made."""

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest

from gen.data.forms import form_of
from gen.errors import AdafireError
from gen.folders import whole_folder
from gen.netfile import load_network, save_network
from hw.board import order
from hw.emit import generate
from host.sweep import steps
from tests.gen.model.onnx_maker import HEAD, PLAIN, STEM, model
from tests.kit.random_networks import random_network


@pytest.fixture
def made(monkeypatch):
    """The folders of what was made, and not read."""
    made = []
    monkeypatch.setattr(
        steps, "whole_folder", lambda place, **options: made.append(place) or whole_folder(place, **options))
    return made


@pytest.fixture
def converted(monkeypatch):
    """The (images, options) of every conversion, which makes a network of nothing."""
    calls = []

    def convert(model, x, **options):
        calls.append((x, options))
        return random_network(8)

    monkeypatch.setattr("gen.method.convert.convert", convert)
    return calls


@pytest.fixture
def images(tmp_path):
    path = tmp_path / "images.npz"
    np.savez(path, x=np.zeros((4, 1, 8, 8), np.uint8), y=np.arange(4))
    return path


def test_weights_beside_an_onnx_model_are_part_of_it(tmp_path, images, converted, made):
    file, weights = tmp_path / "m.onnx", tmp_path / "m.onnx.data"
    whole = model(PLAIN, {**STEM, **HEAD})
    onnx.save(whole, file, save_as_external_data=True, location=weights.name, size_threshold=0)
    for _ in range(2):
        steps.convert(tmp_path / "kept", str(file), str(images), 4, {})
    assert len(made) == 1
    weights.write_bytes(bytes(weights.stat().st_size))
    steps.convert(tmp_path / "kept", str(file), str(images), 4, {})
    assert len(made) == 2


def test_a_data_set_by_name_is_what_lies_there(tmp_path, monkeypatch, converted, made):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.pt2").write_bytes(b"a model")
    for value in (0, 0, 1):
        x = np.full((4, 28, 28), value, np.uint8)
        np.savez("mnist.npz", x_train=x, y_train=np.arange(4), x_test=x, y_test=np.arange(4))
        steps.convert(tmp_path / "kept", "m.pt2", "mnist", 4, {})
    assert len(made) == 2 and [x.max() for x, _ in converted] == [0, 1]


@pytest.mark.parametrize("floor", ["gen", "hw", "sim", "host"])
def test_other_sources_make_anew(tmp_path, images, converted, made, monkeypatch, floor):
    (tmp_path / "m.pt2").write_bytes(b"a model")
    for code in ("x", "x", "y"):
        monkeypatch.setattr(steps, "sources_digest", lambda *floors, code=code: code if floor in floors else "none")
        steps.convert(tmp_path / "kept", str(tmp_path / "m.pt2"), str(images), 4, {})
    assert len(made) == 2


def test_a_build_is_known_by_the_key_of_its_order(tmp_path, made, monkeypatch):
    """That holds the versions of the tools as well."""
    save_network(random_network(8), tmp_path / "n.safetensors")
    generate(load_network(tmp_path / "n.safetensors"), "ulx3s_85f", 4, tmp_path / "core")
    monkeypatch.setattr("hw.board.build.build", lambda folder, core_only, seed: {"lut": seed})
    for version in ("1", "1", "2"):
        monkeypatch.setattr(order, "tool_version", lambda name, version=version: version)
        assert steps.build(tmp_path / "kept", {"core": str(tmp_path / "core")}, 3)["lut"] == 3
    steps.build(tmp_path / "kept", {"core": str(tmp_path / "core")}, 4)
    assert len(made) == 3


def test_files_are_hashed_without_being_held(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    for name in ("a", "b"):
        (tmp_path / "data" / name).write_bytes(name.encode())
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} is read at once"))
    whole = steps.digest(tmp_path / "data")
    assert whole != steps.digest(tmp_path / "data" / "a") and len(whole) == len(hashlib.sha256().hexdigest())
    (tmp_path / "data" / "b").rename(tmp_path / "data" / "c")
    assert steps.digest(tmp_path / "data") != whole
    with pytest.raises(FileNotFoundError):
        steps.digest(tmp_path / "none")


def test_recordings_are_converted_by_their_form(tmp_path, converted):
    """The frames are as many as the timesteps asked for; the network carries the form."""
    t = np.arange(0, 40_000, 1000)
    np.savez(tmp_path / "events.npz", t=t, x=t % 5, y=t % 3, p=t % 2, offsets=np.array([0, 20, 40]), label=np.arange(2))
    (tmp_path / "m.pt2").write_bytes(b"a model")
    options = {"form": "events:step=5ms,size=3x5", "timesteps": 3, "task": "classify", "fit": "crop"}
    made = steps.convert(tmp_path / "kept", str(tmp_path / "m.pt2"), str(tmp_path / "events.npz"), 2, options)
    ((x, given),) = converted
    assert x.shape == (2, 3, 2, 3, 5)
    assert given.pop("labels").tolist() == [0, 1] and given.pop("progress") is None
    assert given == {"timesteps": 3, "task": "classify", "fit": "crop"}
    assert form_of(load_network(made["network"])).text == "events:step=5ms,size=3x5"


def test_what_goes_wrong_with_a_key_is_told_in_words(tmp_path, images):
    (tmp_path / "m.onnx").write_bytes(b"no model")
    with pytest.raises(AdafireError, match="m.onnx is not an ONNX model") as error:
        steps.convert(tmp_path / "kept", str(tmp_path / "m.onnx"), str(images), 4, {})
    assert type(error.value) is AdafireError
