"""Forms of raw data: their texts, and what is opened by them."""

from types import SimpleNamespace

import numpy as np
import pytest

from gen.data.datasets import open_dataset, open_for
from gen.data.events import Cut
from gen.data.forms import Events, Points, Sound, check_form, form_of, parse_form
from gen.data.points import maps_of_points
from gen.data.sound import FrontEnd
from gen.errors import InputError
from tests.gen.data.test_recordings import nmnist_bytes
from tests.gen.data.test_events import recording
from tests.gen.data.test_sound import sound, write

FORMS = {
    "events:step=10ms": Events(Cut(10_000)), "events:step=500us,size=34x30": Events(Cut(500), (34, 30)),
    "events:count=500": Events(Cut(count=500)), "events:step=1.5ms": Events(Cut(1500)),
    "points": Points(1.0), "points:scale=2.5": Points(2.5),
    "sound": Sound(FrontEnd()), "sound:rate=16000,window=512,hop=320,high=7600":
        Sound(FrontEnd(16000, 512, 320, high=7600.0)),
}


@pytest.mark.parametrize("text", FORMS)
def test_a_text_is_a_form_and_a_form_a_text(text):
    form = parse_form(text)
    assert form == FORMS[text] and parse_form(form.text) == form


@pytest.mark.parametrize("text, said", [
    ("images", "'images' is none: events:step=10ms, points:scale=1, sound:rate=8000 are some"),
    ("events", "steps of 1 us or more"), ("events:step=10", "'10' is no time such as 10ms"),
    ("events:step=10ms,count=3", "steps of"), ("events:step=10ms,size=34", "a value that is none"),
    ("events:step=10ms,width=3", "has width, which events do not know"), ("points:scale=one", "a value that is none"),
    ("sound:rate=8000,window=2", "too short"), ("sound:rate=loud", "a value that is none"),
])
def test_a_text_that_is_none_is_refused(text, said):
    with pytest.raises(InputError, match=said):
        parse_form(text)


def network(text, frames=4, classes=10):
    kind = "frames" if text.startswith("events") else "direct"
    return SimpleNamespace(
        provenance={"input_form": text}, source=SimpleNamespace(kind=kind), frames=frames,
        label_classes=classes,
    )


def test_a_network_opens_recordings_as_it_was_calibrated(tmp_path):
    made = recording(200)
    (tmp_path / "r.bin").write_bytes(nmnist_bytes(made))
    x = open_for(network("events:count=50,size=34x34"), tmp_path / "r.bin").load()[0]
    assert x.shape == (1, 4, 2, 34, 34) and x.sum() == 200
    held = {name: getattr(made, name) for name in "txyp"} | {"offsets": [0, 120, 200], "label": [1, 3]}
    np.savez(tmp_path / "r.npz", **held)
    images = open_for(network("events:count=50,size=5x6"), tmp_path / "r.npz")
    assert images.shape == (4, 2, 5, 6) and images.labels.tolist() == [1, 3]
    with pytest.raises(InputError, match="label 3, the network has classes 0..2"):
        open_for(network("events:count=50", classes=3), tmp_path / "r.npz")


def test_a_network_opens_points_and_sounds(tmp_path):
    points = np.random.default_rng(0).uniform(-2, 2, (3, 7, 3))
    np.savez(tmp_path / "p.npz", points=points, y=[0, 1, 2])
    assert (open_for(network("points:scale=2"), tmp_path / "p.npz").load()[0] == maps_of_points(points, 2)).all()
    write(tmp_path / "s.wav", sound(3000, 1))
    assert open_for(network("sound:bands=20"), tmp_path / "s.wav").shape == (20, 32)


def test_prepared_images_need_no_form(tmp_path):
    x = np.zeros((2, 4, 2, 5, 6), np.uint8)
    np.savez(tmp_path / "x.npz", x=x)
    assert open_for(network("events:count=50"), tmp_path / "x.npz").shape == x.shape[1:]
    assert form_of(SimpleNamespace(provenance={})) is None
    assert form_of(SimpleNamespace(provenance={"stages": [{"input_form": "points:scale=3"}]})) == Points(3.0)


def test_raw_data_without_its_form_is_refused(tmp_path):
    np.savez(tmp_path / "p.npz", points=np.zeros((3, 7, 3)))
    with pytest.raises(InputError, match="p.npz holds sets of points: say how .* with --input points:scale=1.$"):
        open_dataset(tmp_path / "p.npz")
    with pytest.raises(InputError, match="--input points:scale=1; this network's input is sound:rate=8000"):
        open_for(network("sound:rate=8000"), tmp_path / "p.npz")


@pytest.mark.parametrize("text, shape", [
    ("events:step=10ms", (5, 4, 2, 8, 8)), ("points:scale=1", (5, 3, 96, 1)),
    ("sound:rate=8000", (5, 32, 32)), ("sound:rate=8000,bands=20,frames=9", (5, 1, 20, 9)),
])
def test_prepared_maps_are_those_of_the_form(text, shape):
    check_form(parse_form(text), shape)
    check_form(None, (5, 3, 24, 32))
    with pytest.raises(InputError, match=r"makes maps .*, the calibration data are \[5, 3, 24, 32\]: give raw data"):
        check_form(parse_form(text), (5, 3, 24, 32))
