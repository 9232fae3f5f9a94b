"""The front end in numpy equals librosa's; WAV files of every width are read, others refused."""

import wave
from importlib import import_module
from unittest import mock

import numpy as np
import pytest

from gen.data.sound import FrontEnd, SoundSet, read_wav
from gen.errors import InputError

TOLERANCE_DB = 1e-3
FRONT_ENDS = [
    FrontEnd(), FrontEnd(hop=128, frames=40), FrontEnd(16000, 512, 320, 40, 49, 20.0, 7600.0),
    FrontEnd(8000, 250, 80, 20, 30, 0.0, 3999.0),
]


def sound(samples, seed):
    rng = np.random.default_rng(seed)
    t = np.arange(samples) / 8000
    swept = np.sin(2 * np.pi * (300 + 900 * t) * t) * np.exp(-3 * t)
    return 0.6 * swept + 0.01 * rng.standard_normal(samples)


@pytest.fixture(scope="module")
def librosa():
    """Without what it would compile for half a minute when it is imported: parts that are not called here."""
    whole = pytest.importorskip("librosa")
    with mock.patch("numba.guvectorize", lambda *_, **__: lambda function: function):
        import_module("librosa.feature.spectral")
    return whole


@pytest.mark.parametrize("number", range(len(FRONT_ENDS)))
def test_the_features_are_those_of_librosa(number, librosa):
    f = FRONT_ENDS[number]
    heard = sound(f.samples, number)
    power = librosa.feature.melspectrogram(
        y=heard, sr=f.rate, n_fft=f.window, hop_length=f.hop, center=False, n_mels=f.bands, fmin=f.low, fmax=f.high,
        htk=True, norm=None,
    )
    level = librosa.power_to_db(power, ref=np.max, amin=1e-10, top_db=80)
    found = f.decibels(heard)
    assert found.shape == (f.bands, f.frames) == level.shape
    assert np.abs(found - level).max() < TOLERANCE_DB, f"front end {number}"
    values = np.rint(255 * (1 + level / 80)).astype(int)
    assert np.abs(f.features(heard) - values).max() <= 1 and (f.features(heard) != values).mean() < 1e-3
    assert f.features(heard).max() == 255


def test_what_is_missing_is_silence_and_what_is_longer_is_left_out():
    f = FrontEnd()
    heard = sound(f.samples, 9)
    assert (f.features(np.append(heard, heard)) == f.features(heard)).all()
    short = f.features(heard[:4000])
    assert (short[:, 20:] == 0).all() and short[:, :10].any()
    assert (f.features(np.zeros(5)) == 255).all()  # silence is as loud as its loudest


@pytest.mark.parametrize("numbers, text", [
    ({"high": 4001.0}, "low < high <= rate / 2"), ({"hop": 0}, "from 1 up"), ({"low": 4000.0}, "low < high"),
    ({"bands": 100}, "too short for 100 mel bands"),
])
def test_a_front_end_that_is_none_is_refused(numbers, text):
    with pytest.raises(InputError, match=text):
        FrontEnd(**numbers)


def write(path, values, width=2, channels=1, rate=8000):
    full = 256**width // 2
    integers = np.clip(np.rint(np.asarray(values) * full), -full, full - 1).astype(np.int64)
    data = integers + 128 if width == 1 else integers
    rows = np.stack([data >> 8 * byte & 255 for byte in range(width)], axis=-1).astype(np.uint8)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(rows.tobytes())
    return path


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_a_file_of_every_width(width, tmp_path):
    values = np.array([0, 0.5, -0.5, 0.25, -1, 0.9921875])
    assert np.allclose(read_wav(write(tmp_path / "a.wav", values, width), 8000), values)
    stereo = read_wav(write(tmp_path / "a.wav", values, width, channels=2), 8000)
    assert np.allclose(stereo, values.reshape(-1, 2).mean(axis=1))


def test_files_that_are_none_are_refused(tmp_path):
    path = write(tmp_path / "a.wav", sound(4000, 1), rate=16000)
    with pytest.raises(InputError, match="a.wav has 16000 samples a second, the network hears 8000: resample it"):
        read_wav(path, 8000)
    data = write(path, sound(4000, 1)).read_bytes()
    for content, text in (
        (data[:-100], "holds 7900 bytes of sound, its header says 8000"), (data[:20], "cannot be read as a WAV file"),
        (b"", "cannot be read"), (b"x" * 100, "cannot be read"), (data[:44], "holds 0 bytes"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=text):
            read_wav(path, 8000)
    with pytest.raises(InputError, match="nothing.wav cannot be read"):
        read_wav(tmp_path / "nothing.wav", 8000)


def test_a_folder_of_words(tmp_path):
    for number, name in enumerate(("no", "yes")):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "1.wav", sound(5000, number))
    images = SoundSet(tmp_path, FrontEnd())
    x, y = images.load()
    assert images.class_names == ["no", "yes"] and y.tolist() == [0, 1] and x.shape == (2, 32, 32)
    assert (x[1] == FrontEnd().features(read_wav(tmp_path / "yes/1.wav", 8000))).all()
