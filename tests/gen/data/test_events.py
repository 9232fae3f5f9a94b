"""Recordings become frames: every event counted once, where and when it was."""

import numpy as np
import pytest

from gen.data.events import Cut, Recording, frames
from gen.errors import InputError

SIZE = 5, 6


def recording(events, duration=50_000, seed=0):
    rng = np.random.default_rng(seed)
    t = np.sort(rng.integers(0, duration, events)).astype(np.uint32)
    return Recording(t, *(rng.integers(0, most, events, np.uint8) for most in (6, 5, 2)), SIZE)


def rows(made):
    return zip(*(getattr(made, name).tolist() for name in "txyp"))


@pytest.mark.parametrize("step, steps", [(10_000, 5), (7_000, 8), (1, 3), (50_000, 1), (10_000, 2)])
def test_every_event_is_counted_where_and_when_it_was(step, steps):
    made = recording(400)
    found = frames(made, Cut(step), steps, SIZE)
    wanted = np.zeros((steps, 2, *SIZE), int)
    for t, x, y, p in rows(made):
        if t // step < steps:
            wanted[t // step, p, y, x] += 1
    assert found.dtype == np.uint8 and (found == wanted).all()


@pytest.mark.parametrize("count, steps", [(100, 4), (70, 6), (500, 1), (30, 2)])
def test_steps_of_so_many_events(count, steps):
    made = recording(400, seed=count)
    found = frames(made, Cut(count=count), steps, SIZE)
    assert found.sum(axis=(1, 2, 3)).tolist() == [max(0, min(count, 400 - count * i)) for i in range(steps)]
    x, y, p = (values[:count] for values in (made.x, made.y, made.p))
    assert found[0, 1, 2, 3] == ((x == 3) & (y == 2) & (p == 1)).sum()
    assert Cut(count=count).steps(made.t) == -(-400 // count)


def test_a_step_is_over_when_its_time_is_or_its_last_event_comes():
    t = np.array([3, 10, 11, 25])
    assert Cut(10).ends(t, 4).tolist() == [7, 17, 27, 37] and Cut(10).steps(t) == 3
    assert Cut(count=2).ends(t, 3).tolist() == [7, 22, 22]
    assert Cut(2).ends(t, 2).tolist() == [0, 1]  # nothing had come yet
    assert Cut(10).ends(t[:0], 2).tolist() == [0, 0] and Cut(10).steps(t[:0]) == 1


def test_another_sensor_is_scaled_to_the_frames():
    x, y = np.array([0, 1, 2, 3, 3]), np.array([0, 0, 1, 3, 2])
    made = Recording(np.arange(5), x, y, np.ones(5, int), (4, 4))
    assert frames(made, Cut(10), 1, (2, 2))[0, 1].tolist() == [[2, 1], [0, 2]]


def test_more_than_255_events_are_255():
    one = np.ones(300, int)
    found = frames(Recording(0 * one, one, one, one, (2, 2)), Cut(10), 1, (2, 2))
    assert found.ravel().tolist() == [0] * 7 + [255]


@pytest.mark.parametrize("cut", [Cut(10), Cut(count=3)])
def test_no_event_is_an_empty_picture(cut):
    nothing = np.zeros(0, int)
    assert not frames(Recording(nothing, nothing, nothing, nothing, (3, 3)), cut, 2, (3, 3)).any()


@pytest.mark.parametrize("event, text", [
    ((0, 2, 0, 0), "column 2..2, its pictures have 0..1"), ((0, 0, 3, 0), "row 3..3"), ((0, 0, 0, 2), "polarity 2..2"),
    ((-1, 0, 0, 0), "an event at -1 us"),
])
def test_events_beside_the_picture_are_refused(event, text):
    with pytest.raises(InputError, match=text):
        frames(Recording(*(np.array([value]) for value in event), (3, 2)), Cut(10), 1, (3, 2))


@pytest.mark.parametrize("step, count", [(None, None), (1, 1), (0, None), (None, 0)])
def test_a_cut_is_of_time_or_of_events(step, count):
    with pytest.raises(InputError, match="cut into steps of 1 us or more, or of 1 event or more"):
        Cut(step, count)
