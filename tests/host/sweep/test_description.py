"""The TOML file of a sweep: what it says, and what is refused before anything runs."""

import re

import numpy as np
import pytest

from gen.errors import InputError
from host.sweep.description import read_sweep

NETWORK = "[[network]]\nfile = 'one.safetensors'\n"
MODEL = "calibration = 'images.npz'\n[[network]]\nmodel = 'model.pt2'\n"
EVENTS = "calibration = 'events.npz'\n[[network]]\nmodel = 'model.pt2'\n"


@pytest.fixture
def folder(tmp_path):
    """A folder with a network, a model, images, recordings and a decoder: nothing of it is opened here."""
    for name in ("one.safetensors", "model.pt2", "boxes.py"):
        (tmp_path / name).write_bytes(b"")
    np.savez(tmp_path / "images.npz", x=np.zeros((4, 1, 8, 8), np.uint8))
    np.savez(tmp_path / "events.npz", **dict.fromkeys("txyp", np.zeros(4, np.int64)), offsets=np.array([0, 4]))
    return tmp_path


def described(folder, text):
    (folder / "sweep.toml").write_text(text)
    return read_sweep(folder / "sweep.toml")


@pytest.mark.parametrize("text, problem", [
    ("data = 'images.npz'", "there is no [[network]]"),
    ("[[network]]\nfile = 'none.safetensors'", "does not exist"),
    ("[[network]]\nfile = 'one.safetensors'\nmodel = 'one.safetensors'", "one of `model`"),
    (f"lane = [4]\n{NETWORK}", "did you mean 'lanes'"),
    (f"lanes = [5]\n{NETWORK}", "not 5"),
    (f"boards = ['ulx3']\n{NETWORK}", "no board 'ulx3'"),
    (f"limit = 0\n{NETWORK}", "a number of 1 or more"),
    (f"seeds = 3\n{NETWORK}", "seeds is a list"),
    ("[[network]]\nmodel = 'one.safetensors'", "converted with images"),
    (f"{NETWORK}[[setting]]\ntimestep = 4", "did you mean 'timesteps'"),
    ("network = [", "is no TOML file"),
])
def test_a_wrong_description_is_refused_before_anything_runs(folder, text, problem):
    with pytest.raises(InputError, match=re.escape(problem)):
        described(folder, text)


@pytest.mark.parametrize("settings, names", [
    ("[[setting]]\nname = 'a'\ntimesteps = 2\n[[setting]]\nname = 'a'\ntimesteps = 8", "a, a"),
    ("[[setting]]\ntimesteps = 2\n[[setting]]\ntimesteps = 2", "timesteps 2, timesteps 2"),
])
def test_two_settings_of_one_name_are_refused(folder, settings, names):
    with pytest.raises(InputError, match=f"two settings have one name: {names}"):
        described(folder, MODEL + settings)


@pytest.mark.parametrize("line, problem", [
    ("seeds = [3, 1, 3]", "seeds names one twice: 3, 1, 3"),
    ("seeds = [-5]", "a seed of the placer is 1 to 2147483647, not -5"),
    ("seeds = [2147483648]", "a seed of the placer is 1 to 2147483647, not 2147483648"),
    ("boards = ['ulx3s_85f', 'ulx3s_85f']", "boards names one twice: ulx3s_85f, ulx3s_85f"),
    ("lanes = [4, 'fit', 4]", "lanes names one twice: 4, fit, 4"),
    ("data = 'nosuchdata'", "data is 'nosuchdata': there is no such file or folder, and data sets known by name are"),
    ("calibration = 'none.npz'", "calibration is 'none.npz': there is no such file or folder"),
])
def test_what_no_task_could_do_is_refused_at_reading_time(folder, line, problem):
    with pytest.raises(InputError, match=re.escape(f"sweep.toml describes no sweep: {problem}")):
        described(folder, f"{line}\n{NETWORK}")


@pytest.mark.parametrize("option, problem", [
    ("timesteps = 'four'", "timesteps must be an integer from 1 to 512, not 'four'."),
    ("exit_loss = 101", "exit_loss is in accuracy points, 0 to 100, not 101."),
    ("mean = 'dark'", "a value is of a kind that no option takes: could not convert string to float: 'dark'."),
    ("search_lanes = [4]", "a value is of a kind that no option takes: "),
    ("calibrate_weights = 'no'", "calibrate_weights is true or false, not 'no'."),
    ("task = 'detec'", "the task must be one of classify, segment, detect, values, not 'detec'."),
    ("fit = 'wide'", "the fit must be one of letterbox, stretch, crop, not 'wide'."),
    ("class_names = 'names.txt'", "class_names is a list of names, not 'names.txt'."),
    ("decode = 'ydlo'", "the decoder must be one of ssd, yunet, yolo, or a file NAME.py of your own, not 'ydlo'."),
    ("decode = 'none.py'", "none.py does not exist."),
    ("decode_options = {iou = 0.5}", "decode_options are those of a decoder: name it as decode."),
    ("form = 'event:step=1ms'", "The form of input 'event:step=1ms' is none"),
    ("form = 3", "form is a text such as 'events:step=10ms', not 3."),
    ("labels = [1]", "labels are those of the calibration images; names of classes are class_names."),
    ("calibration = 'images.npz'", "calibration stands before all tables, one for all models."),
    ("model = 'model.pt2'", "model stands in [[network]]."),
    ("progress = true", "progress is told of all tasks together."),
])
def test_an_option_that_cannot_be_is_refused_at_reading_time(folder, option, problem):
    told = re.escape("describes no sweep: [[setting]] bad: ") + ".*" + re.escape(problem)
    with pytest.raises(InputError, match=told):
        described(folder, f"{MODEL}[[setting]]\nname = 'bad'\n{option}")


def test_options_are_those_of_the_conversion(folder):
    """Those of the outputs' meaning too; paths are from the folder of the file."""
    sweep = described(folder, MODEL + """
[[setting]]
name = "all"
task = "detect"
decode = "boxes.py"
decode_options = {iou = 0.5}
class_names = ["face"]
fit = "crop"
colors = "bgr"
mean = [0.5]
""")
    assert sweep.settings == {"all": {
        "task": "detect", "decode": str(folder / "boxes.py"), "decode_options": {"iou": 0.5}, "class_names": ["face"],
        "fit": "crop", "colors": "bgr", "mean": [0.5],
    }}


@pytest.mark.parametrize("setting", ["", "[[setting]]\nform = 'points:scale=1'"])
def test_recordings_need_a_form_in_every_setting(folder, setting):
    with pytest.raises(InputError) as error:
        described(folder, EVENTS + setting)
    assert str(error.value).endswith(
        "events.npz holds recordings of events: say in every [[setting]] how they become the maps of a network, as in "
        "form = 'events:step=10ms'."
    )
    form = "events:step=5ms"
    assert described(folder, f"{EVENTS}[[setting]]\nname = 'a'\nform = '{form}'").settings == {"a": {"form": form}}


def test_data_by_name_are_those_of_this_machine_if_it_has_them(folder, tmp_path_factory, monkeypatch):
    here = tmp_path_factory.mktemp("here")
    monkeypatch.chdir(here)
    monkeypatch.delenv("ADAFIRE_DATA", raising=False)
    assert described(folder, f"data = 'fashion'\n{NETWORK}").data == "fashion_mnist"
    (here / "fashion_mnist.npz").write_bytes(b"")
    assert described(folder, f"data = 'fashion'\n{NETWORK}").data == str(here / "fashion_mnist.npz")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="does not exist: name the TOML file"):
        read_sweep(tmp_path / "none.toml")


def test_a_folder_is_no_description(tmp_path):
    with pytest.raises(InputError, match=r"cannot be read \(Is a directory\): name the TOML file"):
        read_sweep(tmp_path)
