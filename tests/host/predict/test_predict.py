"""`adafire predict` on every task: what is written, that it is right, and that nothing is where something was wrong."""

import json
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from gen.exit_rule import ExitRule
from gen.intnet import StagedNetwork
from gen.netfile import load_network, save_network
from gen.task import BGR, CLASSIFY, DETECT, SEGMENT, VALUES, Decoder, Task
from host.predict import run
from host.predict.fit import UNSEEN
from sim.golden import Golden
from tests.kit.task_networks import NETWORKS, UNITS

@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a network of each task and pictures of one red square, at rows 40..79 and columns 80..119."""
    monkeypatch.chdir(tmp_path)
    for kind, net in NETWORKS.items():
        save_network(net, f"{kind}.safetensors")
    pixels = np.zeros((240, 320, 3), np.uint8)
    pixels[40:80, 80:120, 0] = 255
    Image.fromarray(pixels).save("square.png")
    Image.fromarray(np.full((24, 32, 3), 255, np.uint8)).save("white.png")
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "cut.png").write_bytes((tmp_path / "white.png").read_bytes()[:-30])
    return tmp_path


def predicted(adafire, *words):
    outcome = adafire("predict", *words, "--json")
    assert outcome.code == 0, outcome.out
    return outcome.json


def test_classes(adafire, place):
    told = predicted(adafire, "classify.safetensors", "square.png", "white.png")
    square, white = told["pictures"]
    assert (square["label"], white["label"], white["class"]) == ("dark", "red", 1)
    z = (255 * 24 * 32 - 20_000) / 1000
    assert white["best"][0]["probability"] == pytest.approx(1 / (1 + np.exp(-z)))
    assert {path.name for path in (place / "predictions").iterdir()} == {"square.png", "white.png", "predictions.json"}
    stored = json.loads((place / "predictions" / "predictions.json").read_text())
    assert told == {"out": "predictions", **stored, "seconds": told["seconds"]}


def test_a_network_of_stages(adafire, place):
    last = NETWORKS[CLASSIFY]
    first = replace(last, exit_rule=ExitRule("margin", limits=(100_000,)), provenance={})
    staged = StagedNetwork((first, replace(last, provenance={})), {"stages": [UNITS, UNITS]})
    save_network(staged, "both.safetensors")
    square, white = predicted(adafire, "both.safetensors", "square.png", "white.png")["pictures"]
    alone = predicted(adafire, "classify.safetensors", "square.png", "white.png")["pictures"]
    assert (square["stage"], white["stage"], white["exit_step"]) == (1, 0, 1)
    assert [square["best"], white["best"]] == [picture["best"] for picture in alone]


def test_a_mask(adafire, place):
    (square,) = predicted(adafire, "segment.safetensors", "square.png", "--out", "masks")["pictures"]
    assert square["shares"] == {"background": pytest.approx(1 - 1600 / 76800), "red": pytest.approx(1600 / 76800)}
    mask = np.asarray(Image.open(place / "masks" / square["files"]["mask"]))
    wanted = np.zeros((240, 320))
    wanted[40:80, 80:120] = 1
    np.testing.assert_array_equal(mask, wanted)
    drawn = np.asarray(Image.open(place / "masks" / square["files"]["drawing"])).astype(int)
    assert (drawn[60, 100] != [255, 0, 0]).any() and (drawn[10, 10] == 0).all()


def test_what_a_crop_does_not_see(adafire, place):
    net = load_network("segment.safetensors")
    save_network(replace(net, stated_task=replace(net.task, fit="crop")), "crop.safetensors")
    Image.new("RGB", (100, 24)).save("wide.png")
    told = predicted(adafire, "crop.safetensors", "wide.png")["pictures"][0]
    mask = np.asarray(Image.open(place / "predictions" / told["files"]["mask"]))
    assert (mask[:, :34] == UNSEEN).all() and (mask[:, 34:66] == 0).all() and (mask[:, 66:] == UNSEEN).all()


def test_boxes(adafire, place):
    told = predicted(adafire, "detect.safetensors", "square.png", "white.png")
    square, white = told["pictures"]
    (box,) = square["boxes"]
    assert box["box"] == [80, 40, 120, 80] and box["label"] == "spot" and box["score"] > 0.8
    assert len(white["boxes"]) == 48
    drawn = np.asarray(Image.open(place / "predictions" / "square.png"))
    assert tuple(drawn[60, 80]) == (230, 159, 0) and tuple(drawn[60, 100]) == (255, 0, 0)


def test_blue_first(adafire, place):
    net = load_network("detect.safetensors")
    save_network(replace(net, stated_task=replace(net.task, colors=BGR)), "bgr.safetensors")
    assert predicted(adafire, "bgr.safetensors", "square.png")["pictures"][0]["boxes"] == []


def test_numbers(adafire, place):
    (white,) = predicted(adafire, "values.safetensors", "white.png")["pictures"]
    assert white["values"]["a"]["most"] == pytest.approx(2 * 16 * 255 / 1000 + 0.5)
    with np.load(place / "predictions" / white["files"]["values"]) as values:
        assert values["a"].shape == (2, 6, 8) and values["a"][0, 0, 0] == pytest.approx(16 * 255 / 1000)


def test_a_decoder_of_ones_own(adafire, place):
    (place / "mine.py").write_text(
        "def decode(outputs, size, options):\n"
        "    return [([[0, 0, *options['end']]], [0.5], [0]) for _ in outputs['a']]\n"
    )
    net = replace(NETWORKS[DETECT], stated_task=Task(DETECT, decoder=Decoder("mine.py", options={"end": [16, 12]})))
    save_network(net, "own.safetensors")
    refused = adafire("predict", "own.safetensors", "square.png")
    assert refused.code == 2 and "name it with --decode mine.py" in refused.err
    told = predicted(adafire, "own.safetensors", "square.png", "--decode", "mine.py")
    assert told["pictures"][0]["boxes"][0]["box"] == [0, 0, 160, 120]


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_table(adafire, place, kind):
    outcome = adafire("predict", f"{kind}.safetensors", "square.png", "--out", kind)
    words = {CLASSIFY: "dark 10", SEGMENT: "background 97.9 %, red 2.1 %", DETECT: "spot 8", VALUES: "a 0 to "}[kind]
    assert outcome.code == 0 and words in outcome.out and f" {kind} " in outcome.out


def test_what_is_predicted_again_takes_the_place_of_the_old(adafire, place):
    predicted(adafire, "classify.safetensors", "square.png", "white.png")
    predicted(adafire, "classify.safetensors", "white.png")
    assert not (place / "predictions" / "square.png").exists()
    (place / "predictions" / "notes.txt").write_text("mine")
    refused = adafire("predict", "classify.safetensors", "white.png")
    assert refused.code == 2 and "notes.txt" in refused.err


@pytest.mark.parametrize("name", ["holiday.png", "white.mask.png", "white.npz", "walk.gif"])
def test_what_predictions_do_not_name_stays(adafire, place, name):
    predicted(adafire, "classify.safetensors", "white.png")
    mine = place / "predictions" / name
    mine.write_text("mine")
    refused = adafire("predict", "classify.safetensors", "white.png")
    assert refused.code == 2 and f"would delete: {name}. Move it elsewhere" in refused.err
    assert mine.read_text() == "mine"


def test_a_folder_in_the_place_of_a_drawing_stays(adafire, place):
    predicted(adafire, "classify.safetensors", "white.png")
    drawing = place / "predictions" / "white.png"
    drawing.unlink()
    drawing.mkdir()
    assert "would delete: white.png" in adafire("predict", "classify.safetensors", "white.png").err


@pytest.mark.parametrize("text", [
    "mine", "[]", '{"pictures": []}', '{"predictions": "predictions.json", "pictures": [{"files": [1]}]}',
    "[" * 100_000,
])
def test_a_file_that_does_not_say_what_may_be_replaced(adafire, place, text):
    marker = place / "predictions" / "predictions.json"
    marker.parent.mkdir()
    marker.write_text(text)
    refused = adafire("predict", "classify.safetensors", "white.png")
    assert refused.code == 2 and "so it is not known what in predictions may be replaced" in refused.err
    assert marker.read_text() == text


def test_names_that_look_like_patterns_are_names(adafire, place):
    (place / "white.png").rename("[ab]*.png")
    for _ in range(2):
        predicted(adafire, "classify.safetensors", "[ab]*.png")
    (place / "predictions" / "a.png").write_text("mine")
    assert "would delete: a.png." in adafire("predict", "classify.safetensors", "[ab]*.png").err


@pytest.mark.parametrize("order", [("x.png", "x.mask.png"), ("x.mask.png", "x.png")])
def test_no_picture_writes_over_the_files_of_another(adafire, place, order):
    (place / "white.png").rename("x.png")
    (place / "square.png").rename("x.mask.png")
    told = predicted(adafire, "segment.safetensors", *order)["pictures"]
    files = [name for picture in told for name in picture["files"].values()]
    assert len(files) == len(set(files)) == 4
    assert sorted(path.name for path in (place / "predictions").iterdir()) == sorted([*files, "predictions.json"])
    for picture in told:
        with Image.open(place / "predictions" / picture["files"]["mask"]) as mask:
            assert (mask.mode, list(mask.size)) == ("L", picture["size"])


@pytest.mark.parametrize(("words", "told"), [
    (("classify.safetensors", "text.png"), "text.png cannot be read as a picture"),
    (("classify.safetensors", "white.png", "cut.png"), "cut.png cannot be read as a picture"),
    (("classify.safetensors", "nowhere.png"), "does not exist: name a picture"),
    (("nowhere.safetensors", "white.png"), "nowhere.safetensors does not exist"),
    (("square.png", "white.png"), "cannot be read as a network file"),
    (("classify.safetensors", "white.png", "--device", "sim"), "'sim' no network file runs: golden and rtl take one"),
    (("classify.safetensors", "white.png", "--device", "/dev/ttyUSB9"), "want the folder that `adafire generate` made"),
    (("classify.safetensors", "white.png", "--decode", "mine.py"), "task is classify: there are no boxes"),
    (("detect.safetensors", "white.png", "--decode", "mine.py"), "brings its decoder, ssd"),
    (("classify.safetensors", "camera:x"), "camera:x is no camera"),
    (("classify.safetensors", "white.png", "--out", "square.png"), "is not an earlier folder of predictions"),
    ((".", "white.png"), "is not a folder made by `adafire generate`"),
])
def test_what_will_not_do_leaves_nothing(adafire, place, words, told):
    before = sorted(path.name for path in place.iterdir())
    outcome = adafire("predict", *words)
    assert outcome.code == 2 and told in outcome.err and outcome.out == ""
    assert outcome.err.strip().count("\n") == 0
    assert sorted(path.name for path in place.iterdir()) == before


def test_units_that_nobody_knows(adafire, place):
    save_network(replace(NETWORKS[DETECT], provenance={}), "units.safetensors")
    outcome = adafire("predict", "units.safetensors", "white.png")
    assert outcome.code == 2 and "output_scales in its provenance" in outcome.err
    save_network(replace(NETWORKS[CLASSIFY], provenance={}), "units.safetensors")
    told = predicted(adafire, "units.safetensors", "white.png")["pictures"][0]
    assert told["label"] == "red" and told["best"][0]["probability"] is None


@pytest.mark.parametrize(("device", "folder", "wanted"), [
    ("golden", True, ("golden", NETWORKS[CLASSIFY])), ("golden", False, ("golden", NETWORKS[CLASSIFY])),
    ("rtl", False, ("rtl", NETWORKS[CLASSIFY])), ("rtl", True, ("core",)), ("sim", True, ("sim",)),
    ("/dev/ttyUSB0", True, ("/dev/ttyUSB0",)),
])
def test_what_computes_it(monkeypatch, place, device, folder, wanted):
    seen = []

    @contextmanager
    def opened(*where, **options):
        seen.append((*map(str, where[:1]), *where[1:], options.get("folder")))
        yield Golden(NETWORKS[CLASSIFY])

    monkeypatch.setattr(run, "opened", opened)
    monkeypatch.setattr(run, "_network", lambda where: (NETWORKS[CLASSIFY], where if folder else None))
    found = run.predict("core" if folder else "net", ["white.png"], device=device)
    needs = place.joinpath("core").name if device not in ("golden", "rtl") else None
    assert seen[0][:-1] == wanted and (seen[0][-1] and str(seen[0][-1])) == needs
    assert found["pictures"][0]["label"] == "red"
