"""`benchmarks.face_pictures`: what calibrates shows the other person alone, and every cut of a face holds it."""

import numpy as np
import pytest

from benchmarks.face_pictures import FACES, OTHERS, calibration, faces

SIZE = 64, 48
RED, GREEN, BLUE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)


def pictures(person):
    """Return pictures with a blue face each, red around that of ``person``, black around the other; the rest green."""
    found = {name: np.full((200, 300, 3), GREEN, np.uint8) for name in OTHERS}
    for name, (left, top, right, bottom) in FACES.items():
        found[name] = np.full((512, 512, 3), RED if name == person else BLACK, np.uint8)
        found[name][top:bottom, left:right] = BLUE
    return found


@pytest.mark.parametrize("person", FACES)
def test_the_other_person_calibrates(person):
    x = calibration(pictures(person), person, SIZE, 12)
    assert x.shape == (12, 3, 48, 64) and x.dtype == np.uint8
    assert not x[:, 0].any() and (x[:, 2].max((1, 2)) == [255, 0, 255, 0, 255, 0] + 6 * [255]).all()
    green = x[6:, 1].reshape(6, 2, 24, 2, 32).all((2, 4))  # of four in one those without a face
    assert (green.sum((1, 2)) == 2).all() and green[0].tolist() == [[False, True], [False, True]]


def test_every_cut_holds_the_face_small_to_large():
    x = faces(pictures("astronaut"), "astronaut", SIZE, 5)
    shares = (x[:, 2] > 127).any(2).sum(1) / SIZE[1]
    assert x.shape == (5, 3, 48, 64) and not x[:, 1].any()
    least = 134 / 384  # the face of the picture at its whole width
    assert shares == pytest.approx(np.linspace(0.27, 0.75, 5).clip(least), abs=0.03)
