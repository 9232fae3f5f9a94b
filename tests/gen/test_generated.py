"""A generated folder is opened whole or refused, in one paragraph that names the file."""

import json
from dataclasses import asdict

import pytest

from gen.errors import InputError
from gen.generated import IMAGE, NETWORK, VERILOG, GeneratedFolder, seal
from gen.manifest import MANIFEST, read_manifest, write_manifest
from gen.netfile import save_network
from gen.plan.image import write_image
from gen.plan.plan import make_plan
from tests.kit.random_networks import random_network

HELD = {
    "board": "ulx3s_85f", "build_id": "0" * 32, "network": "1" * 64, "network_id": 7, "classes": 10, "lanes": 16,
    "baud": 1_000_000, "estimated_cycles_per_image": 100, "initialised": True, "parameters": {"lanes": 16},
    "image_digest": 0xC0FFEE, "outputs": {"shapes": {"fc": [10, 1, 1]}, "decides": "fc"},
    "input": {"kind": "direct", "bytes": 1, "values": 64, "timesteps": 4, "shape": [1, 8, 8], "offset": [128],
              "low": 0, "high": 255, "lowest": -128},
}


@pytest.fixture
def folder(tmp_path):
    for name in (VERILOG, IMAGE, NETWORK, "weights_0.hex"):
        (tmp_path / name).write_text(f"what is in {name}")
    seal(tmp_path, HELD)
    return tmp_path


def test_what_was_sealed_is_opened(folder):
    found = GeneratedFolder.open(folder, VERILOG)
    assert found.image == b"what is in image.bin" and found.verilog == "what is in core.v"
    assert found.manifest["baud"] == 1_000_000
    assert sorted(found.manifest["files"]) == sorted([VERILOG, IMAGE, NETWORK, "weights_0.hex", MANIFEST])


@pytest.mark.parametrize("name", [VERILOG, IMAGE, NETWORK, "weights_0.hex"])
@pytest.mark.parametrize("damage", [
    lambda data: data[:-1], lambda data: data + b"\0", lambda data: bytes([data[0] ^ 1]) + data[1:],
], ids=["cut", "longer", "a bit"])
def test_a_damaged_file_is_refused(folder, name, damage):
    (folder / name).write_bytes(damage((folder / name).read_bytes()))
    with pytest.raises(InputError, match=rf"{name} is not the file that manifest\.json describes, it was altered or"):
        GeneratedFolder.open(folder)


@pytest.mark.parametrize("name, lacks", [(IMAGE, True), (NETWORK, True), (VERILOG, False)])
def test_a_host_needs_image_and_network_only(folder, name, lacks):
    (folder / name).unlink()
    if not lacks:
        GeneratedFolder.open(folder)
    with pytest.raises(InputError, match=f"it lacks the file {name}"):
        GeneratedFolder.open(folder, VERILOG)


def test_verilog_needs_the_files_of_its_contents(folder):
    (folder / "weights_0.hex").unlink()
    GeneratedFolder.open(folder)
    with pytest.raises(InputError, match=r"it lacks the file weights_0\.hex"):
        GeneratedFolder.open(folder, VERILOG)


def test_a_file_without_a_hash_counts_as_missing(folder):
    manifest = read_manifest(folder)
    del manifest["hashes"][IMAGE], manifest["sha256"]
    write_manifest(folder, manifest)
    with pytest.raises(InputError, match=r"it lacks the file image\.bin"):
        GeneratedFolder.open(folder)


@pytest.mark.parametrize("change, text", [
    ({"schema": 1}, "is of schema 1, this adafire's is 3"), ({"schema": None}, "is of schema None"),
    ({"baud": 0}, "baud must be a whole number, 9600 to 12000000, not 0"), ({"baud": None}, "baud must be"),
    ({"lanes": 65}, "lanes must be a whole number, 1 to 64"), ({"lanes": True}, "lanes must be"),
    ({"network_id": 2**32}, "network_id must be"), ({"build_id": "xyz"}, "build_id must be 32 hexadecimal digits"),
    ({"input": {**HELD["input"], "bytes": 3}}, "input must be the description of an input"),
    ({"input": []}, "input must be"), ({"parameters": {"lanes": "16"}}, "parameters must be a table of numbers"),
    ({"hashes": {IMAGE: "12"}}, "hashes must be a table of SHA-256 hashes"), ({"initialised": 1}, "true or false"),
    *(({"input": {**HELD["input"], "images": images}}, "input must be the description") for images in (0, 1, 2.0, "3")),
    *(({"outputs": {**HELD["outputs"], "images": images}}, "outputs must be the shapes") for images in (1, True, None)),
    ({"parameters": {"batch": 3}}, "parameters, input and outputs must be of as many images that are run together"),
    ({"parameters": {"batch": 0}}, "images that are run together, not of 0, 1 and 1: generate the folder again"),
    ({"input": {**HELD["input"], "images": 2}}, "images that are run together, not of 1, 2 and 1"),
    ({"outputs": {**HELD["outputs"], "images": 2}, "parameters": {"batch": 2}}, "run together, not of 2, 1 and 2"),
])
def test_a_field_that_cannot_be_is_refused_although_the_digest_is_right(folder, change, text):
    manifest = {name: value for name, value in read_manifest(folder).items() if name != "sha256"}
    write_manifest(folder, manifest | change)
    with pytest.raises(InputError) as caught:
        GeneratedFolder.open(folder)
    assert text in str(caught.value) and len(str(caught.value)) < 400


def test_several_images_that_are_run_together(folder):
    manifest = {name: value for name, value in read_manifest(folder).items() if name != "sha256"}
    several = {name: {**HELD[name], "images": 2} for name in ("input", "outputs")}
    write_manifest(folder, manifest | several | {"parameters": {"batch": 2}})
    assert GeneratedFolder.open(folder).manifest["input"]["images"] == 2


@pytest.mark.parametrize("name", sorted(HELD))
def test_a_field_that_lacks_is_named(folder, name):
    manifest = {key: value for key, value in read_manifest(folder).items() if key not in ("sha256", name)}
    write_manifest(folder, manifest)
    with pytest.raises(InputError, match=f"does not say {name}:"):
        GeneratedFolder.open(folder)


def test_an_altered_manifest_is_refused(folder):
    (folder / MANIFEST).write_text(json.dumps(read_manifest(folder) | {"lanes": 8}))
    with pytest.raises(InputError, match="was altered since"):
        GeneratedFolder.open(folder)
    with pytest.raises(InputError, match="is not a folder made by `adafire generate`"):
        GeneratedFolder.open(folder / "none")


def test_a_network_comes_back_laid_out_for_its_core(tmp_path):
    network, made = random_network(3), make_plan(random_network(3), 4)
    save_network(network, tmp_path / NETWORK)
    write_image(tmp_path / IMAGE, made.load_stream)
    seal(tmp_path, HELD | {"parameters": asdict(made.params)})
    plan = GeneratedFolder.open(tmp_path).plan
    assert plan.params == made.params and plan.contents == made.contents


def test_parameters_of_another_core_are_refused(tmp_path):
    save_network(random_network(3), tmp_path / NETWORK)
    (tmp_path / IMAGE).write_bytes(b"")
    seal(tmp_path, HELD | {"parameters": {"threads": 3}})
    with pytest.raises(InputError, match=r"its parameters are not those of a core of this one .*threads"):
        assert GeneratedFolder.open(tmp_path).plan
