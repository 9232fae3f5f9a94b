"""Pictures of scattered digits and what their pixels are, and the network that finds them."""

import numpy as np
import torch

from gen.data.digits import load_digits
from gen.data.scattered import CLASSES, SIZE, Segmenter, scatter


def test_every_inked_pixel_has_its_digits_class_and_no_two_digits_touch_one_place():
    digits = np.zeros((10, 1, 8, 8), np.uint8)
    digits[:, 0, 1:7, 2:6] = 200
    x, y = scatter(digits, np.arange(10), 40, seed=3)
    assert x.shape == (40, 1, *SIZE) and x.dtype == np.uint8 and y.shape == (40, *SIZE) and len(CLASSES) == 11
    assert ((x[:, 0] == 200) == (y > 0)).all()
    numbers = (y > 0).sum(axis=(1, 2)) / 24  # pixels of a digit: none hides another
    assert numbers.min() >= 3 and numbers.max() <= 8 and (numbers % 1 == 0).all()
    assert set(np.unique(y)) == set(range(11))


def test_a_seed_gives_the_same_pictures():
    digits, labels, _, _ = load_digits()
    one, again, other = (scatter(digits, labels, 3, seed)[0] for seed in (1, 1, 2))
    assert (one == again).all() and (one != other).any()


def test_the_network_answers_at_every_pixel():
    with torch.no_grad():
        assert Segmenter().eval()(torch.zeros(2, 1, *SIZE)).shape == (2, len(CLASSES), *SIZE)
