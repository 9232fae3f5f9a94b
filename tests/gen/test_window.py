"""`gen.window`: one geometry, against PyTorch and against counting by hand."""

from itertools import product

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from gen.errors import NetworkError
from gen.layers import Pool
from gen.window import NEAREST, ZEROS, Window


def drawn(seed):
    """Return a random window, a map size that it fits, and the size of the result."""
    rng = np.random.default_rng(seed)
    while True:
        kernel, stride, dilation, upsample = (tuple(map(int, rng.integers(1, n, 2))) for n in (4, 4, 3, 4))
        padding = tuple(map(int, rng.integers(0, 4, 4)))
        window = Window(kernel, stride, padding, dilation, upsample, str(rng.choice([NEAREST, ZEROS])))
        size = tuple(map(int, rng.integers(1, 9, 2)))
        if min(window.size(size)) > 0:
            return window, size, window.size(size)


def seen(window, x):
    """Return the map ``x`` [H, W] as the window sees it, upsampled and padded."""
    if window.fill == ZEROS:
        large = np.zeros(window.seen(x.shape), x.dtype)
        large[:: window.upsample[0], :: window.upsample[1]] = x
    else:
        large = x.repeat(window.upsample[0], 0).repeat(window.upsample[1], 1)
    top, left, bottom, right = window.padding
    return np.pad(large, ((top, bottom), (left, right)))


@pytest.mark.parametrize("seed", range(100))
def test_places_are_what_a_convolution_reads(seed):
    window, size, outputs = drawn(seed)
    x = np.random.default_rng(seed).integers(1, 99, size)
    large = torch.as_tensor(seen(window, x)).double()[None, None]
    weight = torch.as_tensor(np.random.default_rng(seed + 1).integers(1, 9, window.kernel)).double()[None, None]
    expected = F.conv2d(large, weight, None, window.stride, 0, window.dilation)[0, 0].numpy()
    assert expected.shape == outputs
    rows, columns = (window.places(axis, size[axis], outputs[axis]) for axis in (0, 1))
    found = np.zeros(outputs)
    for y, x_, dy, dx in product(*map(range, (*outputs, *window.kernel))):
        if rows[y, dy] >= 0 and columns[x_, dx] >= 0:
            found[y, x_] += weight[0, 0, dy, dx].item() * x[rows[y, dy], columns[x_, dx]]
    np.testing.assert_array_equal(found, expected, err_msg=f"seed {seed}, {window}")


@pytest.mark.parametrize("seed", range(50))
def test_reads_and_covered_count_the_places(seed):
    window, size, outputs = drawn(seed)
    count = np.zeros(size, int)
    rows, columns = (window.places(axis, size[axis], outputs[axis]) for axis in (0, 1))
    for row, column in product(rows.ravel(), columns.ravel()):
        if row >= 0 and column >= 0:
            count[row, column] += 1
    np.testing.assert_array_equal(window.reads(size, outputs), count)
    covered = window.covered(size)
    assert max(1, rows.max() + 1) <= covered[0] <= size[0] and max(1, columns.max() + 1) <= covered[1] <= size[1]
    assert window.size(covered) == outputs, "a map cut to what is covered gives the same result"
    for axis in (0, 1):  # and no smaller one does
        cut = tuple(n - (i == axis) for i, n in enumerate(covered))
        if window.fill == NEAREST and min(cut) > 0 and covered[axis] < size[axis]:
            assert window.places(axis, size[axis], outputs[axis]).max() >= 0 and window.size(cut) != outputs


def test_a_transposed_convolution_is_a_window_over_zeros():
    """As PyTorch's, kernel 4 and stride 2: each output phase meets its own two taps of each axis."""
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(1, 1, 3, 5)), rng.normal(size=(1, 1, 4, 4))
    expected = F.conv_transpose2d(torch.as_tensor(x), torch.as_tensor(weight), stride=2, padding=1)[0, 0].numpy()
    window = Window((4, 4), padding=(2, 2), upsample=(2, 2), fill=ZEROS)
    assert window.size((3, 5)) == expected.shape == (6, 10)
    flipped = weight[0, 0, ::-1, ::-1]
    found = F.conv2d(torch.as_tensor(seen(window, x[0, 0]))[None, None], torch.as_tensor(flipped.copy())[None, None])
    np.testing.assert_allclose(found[0, 0].numpy(), expected)
    places = window.places(0, 3, 6)
    assert [[tap for tap in range(4) if row[tap] >= 0] for row in places[2:4]] == [[0, 2], [1, 3]]


def test_padding_of_two_numbers_is_that_of_both_sides():
    assert Window((3, 3), padding=(1, 2)).padding == (1, 2, 1, 2) and Window((3, 3), padding=(1, 2)).symmetric
    assert not Window((3, 3), padding=(0, 0, 1, 1)).symmetric
    assert Window((2, 3)).area == 6


@pytest.mark.parametrize(("fields", "text"), [
    ({"kernel": (0, 1)}, r"kernel must be two integers of 1\.\.65536, not \(0, 1\)"),
    ({"kernel": (1.5, 1)}, r"kernel must be two integers .*, not \(1\.5, 1\)"),
    ({"stride": (1, 4097)}, r"stride must be two integers of 1\.\.4096, not \(1, 4097\)"),
    ({"padding": (1, 1, 1)}, r"padding must be two or four integers of 0\.\.4096, not \(1, 1, 1\)"),
    ({"dilation": 2}, r"dilation must be two integers of 1\.\.4096, not 2"),
    ({"upsample": (65, 1)}, r"upsample must be two integers of 1\.\.64, not \(65, 1\)"),
    ({"fill": "linear"}, r"fill must be one of nearest, zeros, not 'linear'"),
])
def test_bad_windows(fields, text):
    with pytest.raises(NetworkError, match=f"^{text}$"):
        Window(**{"kernel": (3, 3)} | fields)


def test_tables_that_would_not_fit_in_memory():
    pool = Pool("p", "a", "max", (2**16, 1), (1, 1), (2**12, 0))
    with pytest.raises(NetworkError, match="of the map 'a' has 536936448 taps along an axis, the most is 16777216"):
        pool.output_shape((1, 2**16, 1))
    assert Pool("p", "a", "max", (2**16, 1), (1, 1)).output_shape((1, 2**16, 1)) == (1, 1, 1)
