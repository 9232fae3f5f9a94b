"""What `benchmarks.published` reads, the networks of `examples.published`, and the tables of `benchmarks.tables`."""

from argparse import Namespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from benchmarks.published import read_cifar
from benchmarks.tables import markdown, report
from examples import pictures
from examples.pictures import unfiltered
from examples.published import ResNet, resnet
from gen.data.datasets import open_dataset
from gen.errors import InputError
from gen.method.simulate import activations
from gen.model.load import load

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 3, 6, 5), dtype=np.uint8)


def differences(x):
    """The filter itself, step by step."""
    y = x.astype(int)
    y[:, 0] -= y[:, 1]
    y[:, 2] -= y[:, 1]
    return np.diff(y, axis=2, prepend=0).astype(np.uint8)


def test_filtered_images_come_back(tmp_path):
    assert (unfiltered(differences(IMAGES)) == IMAGES).all()
    labels = np.arange(4, dtype=np.uint8)
    np.savez(tmp_path / "f.npz", x_test_filtered=differences(IMAGES), y_test=labels, x_train=IMAGES, y_train=labels)
    for part in ("test", "train"):
        x, labels = read_cifar(tmp_path / "f.npz", part)
        assert (x == IMAGES).all() and labels.dtype == np.int64 and labels.tolist() == [0, 1, 2, 3]


def test_a_file_without_images_or_labels_is_refused(tmp_path):
    np.savez(tmp_path / "f.npz", x_test=IMAGES)
    with pytest.raises(InputError, match="lacks y_test, or x_test or x_test_filtered: it holds x_test"):
        read_cifar(tmp_path / "f.npz", "test")
    with pytest.raises(InputError, match="cannot be read as an .npz file"):
        read_cifar(tmp_path / "nothing.npz", "test")


def test_differences_are_written_as_plain_pictures(tmp_path, monkeypatch):
    y = np.arange(4, dtype=np.uint8)
    np.savez(tmp_path / "f.npz", x_test_filtered=differences(IMAGES), y_test=y, x_train=IMAGES[:2], y_train=y[:2])
    monkeypatch.setattr("sys.argv", ["pictures", str(tmp_path / "f.npz"), "--out", str(tmp_path / "plain.npz")])
    pictures.main()
    x, labels = open_dataset(tmp_path / "plain.npz", "test").load()
    assert (x == IMAGES).all() and labels is not None and labels.tolist() == [0, 1, 2, 3]
    assert len(open_dataset(tmp_path / "plain.npz", "train")) == 2


def test_the_door_takes_the_padded_shortcut_as_it_is(tmp_path):
    torch.manual_seed(0)
    model = ResNet(8)
    for name, buffer in model.named_buffers():
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 2)
    state = {name: tensor for name, tensor in model.state_dict().items() if "num_batches" not in name}
    save_file(state, tmp_path / "resnet8.safetensors")
    model = resnet(8, tmp_path / "resnet8.safetensors")
    network, x = load(model, (3, 32, 32)), torch.randn(3, 3, 32, 32)
    assert len(network.layers) == 9 and not model.training
    with torch.no_grad():
        found, wanted = activations(network, x)[network.outputs[0]].flatten(1), model(x)
    assert (found - wanted).abs().max() < 1e-5 * wanted.abs().max()


def test_a_depth_that_is_none_is_refused():
    with pytest.raises(ValueError, match="6n \\+ 2"):
        ResNet(18)


COLUMNS = {"accuracy": "{:.1%}", "steps": "{:,.0f}"}


def test_a_table_in_markdown_leaves_out_what_is_missing():
    text = markdown(COLUMNS, {"one": {"accuracy": 0.5, "steps": 1234}, "two": {"accuracy": None}})
    assert text.splitlines() == ["| | accuracy | steps |", "|---|--:|--:|", "| one | 50.0 % | 1,234 |", "| two |  |  |"]


def test_a_report_writes_its_files_and_ends_with_an_error(tmp_path, capsys):
    options = Namespace(json=tmp_path / "r.json", markdown=tmp_path / "r.md")
    report(iter([("one", {"accuracy": 0.25})]), COLUMNS, options)
    assert options.json.read_text() == '{\n "one": {\n  "accuracy": 0.25\n }\n}\n'
    assert options.markdown.read_text() == capsys.readouterr().out

    def failing():
        yield "one", {}
        raise InputError("no file")

    with pytest.raises(SystemExit, match="error: no file"):
        report(failing(), COLUMNS, Namespace(json=None, markdown=None))
