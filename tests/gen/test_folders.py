"""Folders and files appear whole or not at all, through links, and what a killed run left is cleared away."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from gen.errors import InputError
from gen.folders import _lock, refuse_foreign, whole_files, whole_folder

HOLD = """
import sys, time
from gen.folders import whole_folder
with whole_folder(sys.argv[1]) as work:
    (work / "half").write_text("half")
    print(work, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holding(tmp_path):
    """Start a program that makes ``out`` and never ends; gives it and its work folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "out"], stdout=subprocess.PIPE, text=True)
    yield process, process.stdout.readline().strip()
    process.kill()
    process.wait()
    process.stdout.close()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_of_two_that_make_the_same_the_first_stays(tmp_path):
    out = tmp_path / "out"
    with whole_folder(out, keep=True) as second:
        (second / "file").write_text("second")
        with whole_folder(out, keep=True) as first:
            (first / "file").write_text("first")
    assert (out / "file").read_text() == "first" and names(tmp_path) == ["out"]


def test_what_a_killed_run_left_is_cleared(tmp_path, holding):
    process, work = holding
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert names(tmp_path) == [work.rpartition("/")[2]]
    with whole_folder(tmp_path / "out") as folder:
        (folder / "whole").write_text("whole")
    assert names(tmp_path) == ["out"] and names(tmp_path / "out") == ["whole"]


def test_a_folder_that_another_run_clears_as_it_is_made_is_made_again(tmp_path, monkeypatch):
    """Between making and locking it another run may take it for one that was left: is clearing it, or has done so."""
    make, made, locks = tempfile.mkdtemp, [], []

    def taken(**options):
        work = Path(make(**options))
        made.append(work)
        if len(made) == 1:
            work.rmdir()
        elif len(made) == 2:
            locks.append(_lock(work))
        elif len(made) == 3:
            monkeypatch.setattr("gen.folders._lock", lambda folder: (_lock(folder), folder.rmdir())[0])
        else:
            monkeypatch.setattr("gen.folders._lock", _lock)
        return str(work)

    monkeypatch.setattr(tempfile, "mkdtemp", taken)
    with whole_folder(tmp_path / "out") as folder:
        assert folder == made[3] and folder.is_dir()
    assert (tmp_path / "out").is_dir()
    os.close(locks[0])


def test_what_a_living_run_holds_stays(tmp_path, holding):
    _, work = holding
    with whole_folder(tmp_path / "out"):
        pass
    assert names(tmp_path) == [work.rpartition("/")[2], "out"]


def test_hidden_files_of_a_user_stay(tmp_path):
    (tmp_path / ".out-adafire").mkdir()
    (tmp_path / ".out-backup").mkdir()
    with whole_folder(tmp_path / "out"):
        pass
    assert names(tmp_path) == [".out-adafire", ".out-backup", "out"]


@pytest.mark.parametrize("number", [0, 1])
def test_an_interrupt_as_it_is_replaced_leaves_what_was_there(tmp_path, monkeypatch, number):
    """Of two renames, the old folder's and the new one's, either is struck."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("old")
    renames, rename = [], Path.rename

    def struck(path, target):
        renames.append(path)
        if len(renames) == number + 1:
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", struck)
    with pytest.raises(KeyboardInterrupt), whole_folder(tmp_path / "out") as work:
        (work / "new").write_text("new")
    assert names(tmp_path) == ["out"] and names(tmp_path / "out") == ["old"]


def test_an_interrupt_as_the_old_one_is_removed_leaves_the_new_one_whole(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("old")

    def struck(folder, **options):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), whole_folder(tmp_path / "out") as work:
        (work / "new").write_text("new")
        monkeypatch.setattr("shutil.rmtree", struck)
    assert names(tmp_path / "out") == ["new"]


def test_an_error_leaves_what_was_there(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("old")
    with pytest.raises(KeyError), whole_folder(tmp_path / "out"):
        raise KeyError
    assert names(tmp_path) == ["out"] and names(tmp_path / "out") == ["old"]


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_is_written_through_a_link(tmp_path, there):
    (tmp_path / "place").mkdir()
    if there:
        (tmp_path / "place" / "real").mkdir()
    (tmp_path / "link").symlink_to("place/real")
    with whole_folder(tmp_path / "link") as work:
        (work / "file").write_text("new")
    assert (tmp_path / "link").is_symlink() and names(tmp_path) == ["link", "place"]
    assert names(tmp_path / "place") == ["real"] and (tmp_path / "place" / "real" / "file").read_text() == "new"


def test_a_file_is_written_through_a_link(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    whole_files({tmp_path / "link": "new", tmp_path / "other": b"\xff"})
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_text() == "new"
    assert (tmp_path / "other").read_bytes() == b"\xff" and names(tmp_path) == ["link", "other", "real"]


def test_all_files_or_none(tmp_path):
    (tmp_path / "first").write_text("old")
    with pytest.raises(FileNotFoundError):
        whole_files({tmp_path / "first": "new", tmp_path / "none" / "second": "new"})
    assert names(tmp_path) == ["first"] and (tmp_path / "first").read_text() == "old"


def test_a_link_to_itself(tmp_path):
    (tmp_path / "link").symlink_to("link")
    with pytest.raises(InputError, match="link is a symbolic link that leads in a circle"), whole_folder(
        tmp_path / "link"
    ):
        pass


def test_foreign_files(tmp_path):
    for name in ("core.v", "notes.txt", "[a].v", ".out-adafire-x"):
        (tmp_path / name).write_text("")
    (tmp_path / "mine").mkdir()
    with pytest.raises(InputError) as error:
        refuse_foreign(tmp_path, ["core.*", "[[]a].v"], "a core", "a new one")
    assert str(error.value) == (
        f"{tmp_path} holds, beside a core, what adafire did not make and a new one would delete: mine, notes.txt. "
        "Move it elsewhere."
    )
    refuse_foreign(tmp_path, ["core.*", "[[]a].v", "mine", "*.txt"], "a core", "a new one")
