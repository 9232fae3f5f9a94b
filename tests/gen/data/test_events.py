"""Recordings become frames: every event counted once, where and when it was; files that are none are refused."""

import numpy as np
import pytest

from gen.data.events import EventSet, frames
from gen.errors import InputError



def recording(events, duration=50_000, seed=0):
    rng = np.random.default_rng(seed)
    t = np.sort(rng.integers(0, duration, events)).astype(np.uint32)
    return t, *(rng.integers(0, most, events, np.uint8) for most in (6, 5, 2))


@pytest.mark.parametrize("step, steps", [(10_000, 5), (7_000, 8), (1, 3), (50_000, 1), (10_000, 2)])
def test_every_event_is_counted_where_and_when_it_was(step, steps):
    events = recording(400)
    found = frames(*events, step, steps, (5, 6))
    wanted = np.zeros((steps, 2, 5, 6), int)
    for t, x, y, p in zip(*map(np.ndarray.tolist, events)):
        if t // step < steps:
            wanted[t // step, p, y, x] += 1
    assert found.dtype == np.uint8 and (found == wanted).all()


def test_more_than_255_events_are_255():
    one = np.ones(300, int)
    assert frames(0 * one, one, one, one, 10, 1, (2, 2)).ravel().tolist() == [0] * 7 + [255]


def test_no_event_is_an_empty_picture():
    nothing = np.zeros(0, int)
    assert frames(nothing, nothing, nothing, nothing, 10, 2, (3, 3)).tolist() == np.zeros((2, 2, 3, 3), int).tolist()


@pytest.mark.parametrize("event, text", [
    ((0, 2, 0, 0), "column 2..2, its pictures have 0..1"), ((0, 0, 3, 0), "row 3..3"), ((0, 0, 0, 2), "polarity 2..2"),
    ((-1, 0, 0, 0), "an event at -1 us"),
])
def test_events_beside_the_picture_are_refused(event, text):
    with pytest.raises(InputError, match=text):
        frames(*([value] for value in event), 10, 1, (3, 2))


@pytest.fixture
def arrays():
    parts = [recording(events, 10_000 * (i + 1), seed=i) for i, events in enumerate((40, 0, 90))]
    joined = {f"{name}_train": np.concatenate(values) for name, values in zip("txyp", zip(*parts))}
    return parts, joined | {"offsets_train": np.array([0, 40, 40, 130]), "label_train": np.array([3, 1, 2], np.uint8)}


def test_a_file_is_read_recording_by_recording(arrays, tmp_path):
    parts, held = arrays
    np.savez(tmp_path / "r.npz", **held)
    events = EventSet(tmp_path / "r.npz", 1000, split="train", size=(5, 6))
    longest = int(max(part[0].max() for part in parts if len(part[0])))
    assert len(events) == 3 and events.shape == (longest // 1000 + 1, 2, 5, 6) and events.labels.tolist() == [3, 1, 2]
    x, labels = events.load()
    assert labels.tolist() == [3, 1, 2]
    for found, part in zip(x, parts):
        assert (found == frames(*part, 1000, events.shape[0], (5, 6))).all()
    assert [len(batch) for batch, _ in events.batches(2)] == [2, 1]
    assert EventSet(tmp_path / "r.npz", 1000, 4, "train").load(2)[0].shape == (2, 4, 2, 5, 6)


def test_a_file_of_one_set_needs_no_split_and_no_labels(arrays, tmp_path):
    held = {name.removesuffix("_train"): value for name, value in arrays[1].items() if "label" not in name}
    np.savez(tmp_path / "r.npz", **held)
    assert EventSet(tmp_path / "r.npz", 1000).labels is None


@pytest.mark.parametrize("change, text", [
    ({"t_train": None}, "lacks t_train; it holds x_train"),
    ({"p_train": np.zeros(7, int)}, "130 y, 7 p, not as many of each"),
    ({"x_train": np.zeros(130)}, "not integers in a row"),
    ({"offsets_train": np.array([0, 50, 40, 130])}, "offsets_train that do not rise from 0 to 130"),
    ({"offsets_train": np.array([0, 40])}, "do not rise"),
    ({"label_train": np.zeros(2, int)}, r"labels of shape \(2,\) for 3 recordings"),
])
def test_a_file_that_is_none_is_refused(arrays, tmp_path, change, text):
    held = {name: value for name, value in (arrays[1] | change).items() if value is not None}
    np.savez(tmp_path / "r.npz", **held)
    with pytest.raises(InputError, match=text):
        EventSet(tmp_path / "r.npz", 1000, split="train")


def test_another_kind_of_file_is_refused(tmp_path):
    (tmp_path / "r.npz").write_text("no")
    with pytest.raises(InputError, match="cannot be read as an .npz file of events"):
        EventSet(tmp_path / "r.npz", 1000)
