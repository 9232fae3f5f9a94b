import numpy as np
import pytest

from gen.data.images import ArraySet
from gen.errors import InputError

X = np.arange(40, dtype=np.uint8).reshape(10, 2, 2)


@pytest.mark.parametrize("size, limit, lengths", [(4, None, [4, 4, 2]), (4, 8, [4, 4]), (4, 3, [3]), (99, 99, [10])])
def test_batches_of_a_limit_in_order(size, limit, lengths):
    images = ArraySet(X, np.arange(10))
    batches = list(images.batches(size, limit))
    assert [len(x) for x, _ in batches] == lengths and images.count(limit) == sum(lengths)
    np.testing.assert_array_equal(np.concatenate([x for x, _ in batches]), X[:limit])
    np.testing.assert_array_equal(np.concatenate([y for _, y in batches]), np.arange(10)[:limit])


def test_load_is_all_batches():
    x, y = ArraySet(X).load(7)
    np.testing.assert_array_equal(x, X[:7])
    assert y is None and ArraySet(X, np.arange(10)).load()[1].tolist() == list(range(10))


@pytest.mark.parametrize("size, limit, text", [
    (0, None, "A batch must have at least one image, not 0"), (1, 0, "The limit must be at least one image, not 0"),
    (1, -2, "The limit must be at least one image, not -2"),
])
def test_bad_sizes(size, limit, text):
    with pytest.raises(InputError, match=text):
        next(ArraySet(X).batches(size, limit))
