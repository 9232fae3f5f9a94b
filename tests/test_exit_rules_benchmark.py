"""The statistics of `benchmarks.exit_rules`, on readouts made up here."""

from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import exit_rules
from gen.method.exit_fit import exit_steps


def readouts(count, seed):
    """Sums that grow surer with time, and their labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, count)
    signal = 240.0 * np.eye(10)[labels] * rng.random((count, 1))
    return (signal[:, None] + rng.normal(scale=60, size=(count, 4, 10))).cumsum(axis=1).astype(np.int64), labels


@pytest.fixture
def results(tmp_path, monkeypatch):
    (train, y), (test, yt) = readouts(4300, 0), readouts(200, 1)
    np.savez(tmp_path / "fashion_4.npz", train=train, test=test, y=y, yt=yt, logit=50.0)
    monkeypatch.setattr(exit_rules, "SAMPLES", (("training images", 200), ("half the test images", 100)))
    monkeypatch.setattr(exit_rules, "REPEATS", 2)
    return {("fashion", 4): exit_rules.measure("fashion", 4, SimpleNamespace(sums=tmp_path))}


def test_every_way_is_judged_on_images_it_was_not_fitted_on(results):
    (found,) = results.values()
    assert len(found) == 3 * (2 * 4 * 2 + 1)
    for key, judged in found.items():
        assert len(judged) == (1 if key[1] == "paper" else 2)
        assert all(1 <= steps <= 4 and lost < 20 for lost, steps in judged)


def test_the_tables_have_a_row_for_each(results):
    assert exit_rules.networks_table(results).row_count == 3
    assert exit_rules.summary_table(results).row_count == 4


def test_a_sample_of_test_images_leaves_the_others_to_judge():
    z = np.arange(10).reshape(10, 1, 1)
    for (chosen, _), (judges, _) in exit_rules.samples("half the test images", 5, None, (z, z)):
        assert sorted([*chosen.ravel(), *judges.ravel()]) == list(range(10))


@pytest.mark.parametrize("kind", exit_rules.RULES)
def test_the_simplest_fit_keeps_one_image_in_hand(kind):
    z, labels = readouts(1000, 2)
    rule = exit_rules.same_for_all(z, 50.0, kind, 2.0, labels)
    steps, right = exit_steps(z, rule), z.argmax(2) == labels[:, None]
    assert (right[:, -1] & ~right[np.arange(1000), steps - 1]).sum() <= 19
    assert 1 < steps.mean() < 4
