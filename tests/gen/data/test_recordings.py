"""Sets of recordings, in an .npz file, in files and in folders; what is none is refused."""

import numpy as np
import pytest

from gen.data.event_files import read_recording
from gen.data.events import Cut, frames
from gen.data.recordings import EventFiles, NpzEvents
from gen.errors import InputError
from tests.gen.data.test_events import SIZE, recording

faery = pytest.importorskip("faery")
WRITTEN = {  # name to what `to_file` of the library needs
    "r.aedat4": {}, "r.dat": {}, "evt3.raw": {"version": "evt3"}, "evt2.raw": {"version": "evt2"},
}


@pytest.fixture
def arrays():
    parts = [recording(events, 10_000 * (i + 1), seed=i) for i, events in enumerate((40, 0, 90))]
    joined = {f"{name}_train": np.concatenate([getattr(part, name) for part in parts]) for name in "txyp"}
    return parts, joined | {"offsets_train": np.array([0, 40, 40, 130]), "label_train": np.array([3, 1, 2], np.uint8)}


def test_a_file_is_read_recording_by_recording(arrays, tmp_path):
    parts, held = arrays
    np.savez(tmp_path / "r.npz", **held)
    events = NpzEvents(tmp_path / "r.npz", Cut(1000), split="train", size=SIZE)
    longest = int(max(part.t.max() for part in parts if len(part.t)))
    assert len(events) == 3 and events.shape == (longest // 1000 + 1, 2, *SIZE) and events.labels.tolist() == [3, 1, 2]
    x, labels = events.load()
    assert labels.tolist() == [3, 1, 2]
    for number, (found, part) in enumerate(zip(x, parts)):
        assert (found == frames(part, Cut(1000), events.shape[0], SIZE)).all()
        assert (events.ends(number) == Cut(1000).ends(part.t, events.shape[0])).all()
    assert [len(batch) for batch, _ in events.batches(2)] == [2, 1]
    assert NpzEvents(tmp_path / "r.npz", Cut(1000), 4, "train").load(2)[0].shape == (2, 4, 2, *SIZE)


def test_a_file_of_one_set_needs_no_split_and_no_labels(arrays, tmp_path):
    held = {name.removesuffix("_train"): value for name, value in arrays[1].items() if "label" not in name}
    np.savez(tmp_path / "r.npz", **held)
    assert NpzEvents(tmp_path / "r.npz", Cut(1000), split="test").labels is None


@pytest.mark.parametrize("change, text", [
    ({"t_train": None}, "lacks t_train; it holds x_train"),
    ({"p_train": np.zeros(7, int)}, "130 y, 7 p, not as many of each"),
    ({"x_train": np.zeros(130)}, "not integers in a row"),
    ({"offsets_train": np.array([0, 50, 40, 130])}, "offsets_train that do not rise from 0 to 130"),
    ({"offsets_train": np.array([0, 40])}, "do not rise"),
    ({"label_train": np.zeros(2, int)}, r"labels of shape \(2,\) for 3 recordings"),
    ({"label_train": np.full(3, 10)}, r"a label 10, the network has classes 0..9"),
])
def test_a_file_that_is_none_is_refused(arrays, tmp_path, change, text):
    held = {name: value for name, value in (arrays[1] | change).items() if value is not None}
    np.savez(tmp_path / "r.npz", **held)
    with pytest.raises(InputError, match=text):
        NpzEvents(tmp_path / "r.npz", Cut(1000), split="train", classes=10)


def test_another_kind_of_file_is_refused(tmp_path):
    (tmp_path / "r.npz").write_text("no")
    with pytest.raises(InputError, match="cannot be read as an .npz file of events"):
        NpzEvents(tmp_path / "r.npz", Cut(1000))


def write(path, made, **options):
    """Write a recording with the library, its first event at 1,000,000 us."""
    events = np.zeros(len(made.t), faery.EVENTS_DTYPE)
    for name in "txyp":
        events[name] = getattr(made, name)
    events["t"] += 1_000_000
    faery.events_stream_from_array(events, dimensions=made.size[::-1]).to_file(path, **options)
    return path


@pytest.mark.parametrize("name", WRITTEN)
def test_every_format_has_the_same_events(name, tmp_path):
    made = recording(300)
    found = read_recording(write(tmp_path / name, made, **WRITTEN[name]))
    assert found.size == SIZE and (found.t == made.t.astype(int) - int(made.t[0])).all()
    assert all((getattr(found, axis) == getattr(made, axis)).all() for axis in "xyp")


def nmnist_bytes(made):
    t = made.t.astype(int)
    columns = made.x, made.y, made.p.astype(int) << 7 | t >> 16, t >> 8 & 255, t & 255
    return np.stack([np.asarray(column, np.uint8) for column in columns], axis=1).tobytes()


def test_a_file_of_nmnist(tmp_path):
    made = recording(300, duration=300_000)
    (tmp_path / "r.bin").write_bytes(nmnist_bytes(made))
    found = read_recording(tmp_path / "r.bin")
    assert found.size == (34, 34) and all((getattr(found, axis) == getattr(made, axis)).all() for axis in "txyp")


@pytest.mark.parametrize("name", [*WRITTEN, "r.bin"])
def test_what_is_cut_off_or_something_else_is_refused(name, tmp_path):
    path, made = tmp_path / name, recording(300)
    data = nmnist_bytes(made) if name == "r.bin" else write(path, made, **WRITTEN[name]).read_bytes()
    part = len(data) // 2 if name == "r.aedat4" else len(data) - 1  # its end is a table, which nothing needs
    for content in (b"", data[:13], data[:part], np.random.default_rng(1).bytes(1000)):
        path.write_bytes(content)
        with pytest.raises(InputError, match=rf"^{path}.*\.$"):
            read_recording(path)
    with pytest.raises(InputError, match="nothing.raw is no file"):
        read_recording(tmp_path / "nothing.raw")


def test_a_file_at_which_the_library_panics_is_refused_and_nothing_else_is_said(tmp_path, capfd):
    path = tmp_path / "r.aedat4"
    path.write_bytes(b"#!AER-DAT4.0\r\n" + bytes(10))
    with pytest.raises(InputError, match=rf"^{path} is damaged, cut off, or no recording of events .*\.$"):
        read_recording(path)
    assert capfd.readouterr().err == ""


def test_a_folder_of_recordings_by_class(tmp_path):
    made = {(digit, number): recording(50 + digit, seed=10 * digit + number) for digit in (3, 7) for number in (0, 1)}
    for (digit, number), one in made.items():
        (tmp_path / str(digit)).mkdir(exist_ok=True)
        (tmp_path / str(digit) / f"{number}.bin").write_bytes(nmnist_bytes(one))
    events = EventFiles(tmp_path, Cut(count=20), 2, (34, 34))
    x, labels = events.load()
    assert labels.tolist() == [3, 7, 3, 7] and x.shape == (4, 2, 2, 34, 34)
    assert (x[1, :, :, :5, :6] == frames(made[7, 0], Cut(count=20), 2, SIZE)).all()
    assert EventFiles(tmp_path / "3/0.bin", Cut(10_000)).load()[0].shape[1:] == (5, 2, 34, 34)
    with pytest.raises(InputError, match="classes up to number 7"):
        EventFiles(tmp_path, Cut(10), classes=5)
