import numpy as np
import pytest

from gen.errors import InputError
from gen.inputs import input_stream, input_values, load_images
from gen.intnet import INPUT, IntegerNetwork, Readout, Source, Synapse

X = np.arange(48, dtype=np.uint8).reshape(3, 1, 4, 4)
Y = np.array([2, 0, 1])


def save(tmp_path, **arrays):
    np.savez(tmp_path / "data.npz", **arrays)
    return tmp_path / "data.npz"


def network(shape=(1, 4, 4), timesteps=3, **source):
    weight = np.ones((2, *shape), int)
    readout = Readout("fc", [Synapse(INPUT, weight)], np.zeros(2, int), np.full(2, 8))
    return IntegerNetwork(Source(shape, **source), [readout], timesteps)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.int32, np.uint16])
def test_images_and_labels(tmp_path, dtype):
    path = save(tmp_path, x=X, y=Y.astype(dtype), names=np.array(["a"], object))
    x, y = load_images(path, need_labels=True, classes=3)
    np.testing.assert_array_equal(x, X)
    assert x.dtype == np.uint8 and y.dtype == np.int64 and y.tolist() == Y.tolist()


@pytest.mark.parametrize("x", [X, X[:, 0], X[:, None], np.zeros((2, 3, 5, 7), np.uint8)])
def test_labels_are_optional(tmp_path, x):
    back, y = load_images(str(save(tmp_path, x=x)))
    assert back.shape == x.shape and y is None


@pytest.mark.parametrize(
    ("arrays", "text"),
    [
        ({"images": X, "y": Y}, r"holds no array 'x' \(it holds: images, y\): save images as x, uint8 \[N"),
        ({}, r"holds no array 'x' \(it holds: nothing\)"),
        ({"x": X.astype(np.float32)}, "x must be uint8, not float32: save the pixels unscaled, 0..255"),
        ({"x": X.astype(np.int64)}, "x must be uint8, not int64"),
        ({"x": X[0, 0]}, r"x must be \[N, C, H, W\] or \[N, H, W\], not 2-dimensional with shape \(4, 4\)"),
        ({"x": X[:0]}, r"x holds no images, its shape is \(0, 1, 4, 4\): give at least one"),
        ({"x": X[:, :, :, :0]}, "x holds no images"),
        ({"x": X, "y": Y[:2]}, r"y must be one label for each of 3 images, not of shape \(2,\)"),
        ({"x": X, "y": Y[:, None]}, r"y must be one label for each of 3 images, not of shape \(3, 1\)"),
        ({"x": X, "y": Y.astype(float)}, "y must hold integers, not float64: save the class numbers as they are"),
        ({"x": X, "y": Y > 0}, "y must hold integers, not bool"),
        ({"x": X, "y": Y - 1}, "y must hold labels from 0 up, its smallest is -1"),
        ({"x": X, "y": Y + 8}, r"y must hold labels in 0\.\.9, its largest is 10"),
        ({"x": np.array([X, None], object)}, r"cannot be read as an .npz file \(.*\): save the arrays"),
    ],
)
def test_bad_arrays(tmp_path, arrays, text):
    path = save(tmp_path, **arrays)
    with pytest.raises(InputError, match=text) as caught:
        load_images(path, classes=10)
    assert str(caught.value).startswith(str(path))


def test_labels_that_are_needed(tmp_path):
    with pytest.raises(InputError, match="holds no labels: save them as y, 3 integers, beside x"):
        load_images(save(tmp_path, x=X), need_labels=True)


def test_files_that_are_none(tmp_path):
    with pytest.raises(InputError, match="nothing.npz does not exist: check the name of the file with the images"):
        load_images(tmp_path / "nothing.npz")
    with pytest.raises(InputError, match="is a folder, not an .npz file with images: name the file in it"):
        load_images(tmp_path)
    np.save(tmp_path / "x.npy", X)
    (tmp_path / "text.npz").write_text("images")
    (tmp_path / "empty.npz").write_bytes(b"")
    for name in ("x.npy", "text.npz", "empty.npz"):
        with pytest.raises(InputError, match=f"{name} is not an .npz file, or a truncated one: save the arrays with"):
            load_images(tmp_path / name)


def test_every_truncated_or_altered_file_is_noticed(tmp_path):
    path = tmp_path / "data.npz"
    np.savez_compressed(path, x=X, y=Y)
    good = path.read_bytes()
    for length in range(0, len(good) - 1, 5):
        path.write_bytes(good[:length])
        with pytest.raises(InputError, match="is not an .npz file, or a truncated one|cannot be read as an .npz file"):
            load_images(path)
    start = good.index(b"x.npy") + 30
    for position in range(start, start + 60, 3):
        path.write_bytes(good[:position] + bytes([good[position] ^ 0x55]) + good[position + 1 :])
        with pytest.raises(InputError, match="cannot be read as an .npz file"):
            load_images(path)


def test_values_are_pixels_less_the_offset():
    values = input_values(network(offset=np.array([10])), X)
    assert values.dtype == np.int64
    np.testing.assert_array_equal(values, X.astype(int) - 10)
    two = input_values(network((2, 4, 4), offset=np.array([1, 200])), np.zeros((5, 2, 4, 4), np.uint8))
    assert (two[:, 0] == -1).all() and (two[:, 1] == -200).all()


def test_one_channel_may_be_left_out():
    np.testing.assert_array_equal(input_values(network(), X[:, 0]), X)
    frames = network((1, 4, 4), kind="frames")
    assert input_values(frames, np.zeros((5, 3, 4, 4), np.uint8)).shape == (5, 3, 1, 4, 4)
    assert input_values(frames, np.zeros((5, 3, 1, 4, 4), np.uint8)).shape == (5, 3, 1, 4, 4)


@pytest.mark.parametrize(
    ("net", "x", "text"),
    [
        (network(), X[:, :, :3], r"of shape \(1, 4, 4\) \(channels, height, width\), these have shape \(1, 3, 4\)"),
        (network((2, 4, 4)), X[:, 0], r"of shape \(2, 4, 4\) .*, these have shape \(4, 4\): give the images"),
        (network(), X[0, 0], r"these have shape \(4,\)"),
        (network(kind="frames"), X, r"of shape \(3, 1, 4, 4\) \(timesteps, channels, height, width\), these have"),
        (network(), X / 255, r"must hold integers \(uint8 pixels\), not float64"),
        (network(high=15), X, "takes pixels in 0..15, these lie in 0..47: scale them as those it was converted for"),
        (network(low=1), X, "takes pixels in 1..255, these lie in 0..47"),
    ],
)
def test_images_of_another_network(net, x, text):
    with pytest.raises(InputError, match=text):
        input_values(net, x)


def test_no_images_have_no_values():
    assert input_values(network(), X[:0]).shape == (0, 1, 4, 4)


@pytest.mark.parametrize("kind", ["direct", "frames"])
def test_values_travel_map_by_map_with_channels_innermost(kind):
    shape, maps = (2, 3, 5), 3 if kind == "frames" else 1
    seen = network(shape, timesteps=3, kind=kind, offset=[4, 7])
    x = np.random.default_rng(0).integers(0, 256, (2, *([3] if kind == "frames" else []), *shape))
    values, stream = input_values(seen, x).reshape(2, maps, *shape), input_stream(seen, x)
    assert stream.dtype == np.int32 and stream.shape == (2, values[0].size)
    for n, m, channel, row, column in np.ndindex(values.shape):
        assert stream[n, ((m * 3 + row) * 5 + column) * 2 + channel] == values[n, m, channel, row, column]
