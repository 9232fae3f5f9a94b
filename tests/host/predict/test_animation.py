"""Recordings in `adafire predict`: an animation with the answer after each timestep, and the same as JSON."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from gen.data.events import Cut
from gen.data.forms import Events, Points, with_form
from gen.errors import AdafireError
from gen.exit_rule import ExitRule
from gen.intnet import IntegerNetwork, StagedNetwork
from gen.layers import INPUT, Readout, Source, Synapse
from gen.netfile import save_network
from gen.task import CLASSIFY, SEGMENT, Task
from host.predict import animation, run
from host.predict.animation import partial_results, when
from sim.golden import Golden
from tests.kit.task_networks import UNITS

SIZE = (6, 8)


def recorded(task, kernel, limit, channels=2):
    """Return a network of 4 frames whose class is the channel, or polarity, of which there are more events."""
    weight = np.zeros((channels, channels, *kernel), int)
    weight[range(channels), range(channels)] = 1
    readout = Readout("a", [Synapse(INPUT, weight, kernel)], np.zeros(channels, int), np.full(channels, 2))
    return IntegerNetwork(
        Source((channels, *SIZE), kind="frames"), [readout], 4, ExitRule("margin", limits=(limit,) * 4),
        provenance=UNITS, stated_task=task,
    )


NET = recorded(Task(CLASSIFY, ("darker", "brighter")), SIZE, 12)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with the network and two recordings: one turns from darker to brighter, one is brighter from the start.

    The first one is decided after the third frame, the second after the first.
    """
    monkeypatch.chdir(tmp_path)
    save_network(NET, "net.safetensors")
    x = np.zeros((2, 4, 2, *SIZE), np.uint8)
    x[0, 0, 0, 0, :3] = 1
    x[0, 1:3, 1, 2, :] = 1
    x[1, 0, 1, :2] = 4
    np.savez("recordings.npz", x=x)
    return tmp_path


def test_what_was_known_when(adafire, place):
    outcome = adafire("predict", "net.safetensors", "recordings.npz", "--json")
    assert outcome.code == 0, outcome.err
    first, second = outcome.json["pictures"]
    assert [(known["timestep"], known["label"], known["known_after"]) for known in first["known"]] == [
        (1, "darker", "timestep 1"), (2, "brighter", "timestep 2"), (3, "brighter", "timestep 3"),
    ]
    assert first["exit_step"] == 3 and first["known"][-1]["probability"] == first["best"][0]["probability"]
    assert len(second["known"]) == 1 and second["label"] == "brighter"
    with Image.open(place / "predictions" / first["files"]["animation"]) as moving:
        assert moving.n_frames == 3
        lasting = []
        for number in range(3):
            moving.seek(number)
            lasting.append(moving.info["duration"])
            pixels = np.asarray(moving.convert("RGB")).astype(int)
            now, before = pixels[100, 20], pixels[20, 20]  # rows 2 and 0 of 6, 40 pixels each
            assert (now[0] > 80) == (number > 0) and before[2] > 60
    assert lasting == [300, 300, 2000]


def test_recordings_again_take_the_place_of_the_old(adafire, place):
    for _ in range(2):
        assert adafire("predict", "net.safetensors", "recordings.npz").code == 0
    assert len(list((place / "predictions").glob("*.gif"))) == 2


def test_a_network_of_stages_tells_every_stage(place):
    first = replace(NET, exit_rule=ExitRule("margin", limits=(100,) * 4), provenance={})
    staged = StagedNetwork((first, replace(NET, provenance={})), {"stages": [UNITS, UNITS]})
    with np.load("recordings.npz") as file:
        image = file["x"][0]
    found = partial_results(staged, image)
    assert [step for step, _ in found] == [1, 2, 3, 4, 1, 2, 3]
    assert [int(result.stages[0]) for _, result in found] == [0, 0, 0, 0, 1, 1, 1]
    assert (found[-1][1].logits == Golden(staged).run(image[None]).logits).all()


def test_masks_move_too(adafire, place):
    save_network(recorded(Task(SEGMENT, ("darker", "brighter")), (2, 2), 10_000), "map.safetensors")
    told = adafire("predict", "map.safetensors", "recordings.npz", "--limit", "1", "--json").json["pictures"][0]
    assert [known["shares"].get("brighter", 0) for known in told["known"]] == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3])


def test_every_frame_has_the_legend_of_all_classes(place, monkeypatch, adafire):
    save_network(recorded(Task(SEGMENT), (2, 2), 10_000, channels=8), "map.safetensors")
    x = np.zeros((1, 4, 8, *SIZE), np.uint8)
    for number in range(1, 7):  # each has a square of its own, from the second frame on
        x[0, 1, number, number // 4 * 2, number % 4 * 2] = 1
    x[0, 2, 7, 0, 2] = 2  # and the square of class 1 is of class 7 from the third on
    np.savez("recordings.npz", x=x)
    drawn = []

    def overlay(*words):
        picture = animation_overlay(*words)
        drawn.append(([number for number, _ in words[1].classes], picture.size))
        return picture

    animation_overlay = animation.overlay
    monkeypatch.setattr(animation, "overlay", overlay)
    told = adafire("predict", "map.safetensors", "recordings.npz", "--json").json["pictures"][0]
    assert [len(known["shares"]) for known in told["known"]] == [1, 7, 7, 7] and "1" not in told["shares"]
    high = 12 + 8 * 42 + 26
    assert drawn == [([0, 2, 3, 4, 5, 6, 7, 1], (580, high))] * 4
    with Image.open(place / "predictions" / told["files"]["animation"]) as moving:
        assert (moving.size, moving.n_frames) == ((580, high), 4)


@pytest.mark.parametrize(("most", "shown"), [(1, [4]), (2, [2, 4]), (3, [2, 4]), (4, [1, 2, 3, 4])])
def test_long_recordings_have_a_frame_of_some_timesteps(place, monkeypatch, adafire, most, shown):
    save_network(recorded(NET.task, SIZE, 10_000), "net.safetensors")
    steps = []
    monkeypatch.setattr(animation, "_picture", lambda image, step: steps.append(step) or np.zeros((6, 8, 3), np.uint8))
    monkeypatch.setattr(animation, "FRAMES", most)
    told = adafire("predict", "net.safetensors", "recordings.npz", "--limit", "1", "--json").json["pictures"][0]
    with Image.open(place / "predictions" / told["files"]["animation"]) as moving:
        assert moving.n_frames == len(shown) and steps == shown and len(told["known"]) == 4


def test_when_a_frame_is_complete():
    assert when(with_form(NET, Events(Cut(30_000))), 2) == "60 ms"
    assert when(with_form(NET, Events(Cut(500))), 1) == "0.5 ms"
    assert when(with_form(NET, Events(Cut(None, 500))), 3) == "1,500 events"
    assert when(with_form(NET, Points(1.0)), 3) == when(NET, 3) == "timestep 3"


def test_a_device_that_stops_elsewhere_is_told(place, monkeypatch):
    monkeypatch.setattr(run, "_network", lambda where: (NET, None))

    class Other(Golden):
        def run(self, x, progress=None):
            return replace(super().run(x), exit_steps=np.full(len(x), 4))

    monkeypatch.setattr("sim.golden.Golden", Other)
    with pytest.raises(AdafireError, match="took 4 timesteps, the golden model 3"):
        run.predict("net", ["recordings.npz"])
    assert not (place / "predictions").exists()
