"""A manifest is what was generated, or is refused: whatever was altered, cut short or nested without end."""

import json

import pytest

from gen.errors import InputError
from gen.manifest import MANIFEST, read_manifest, write_manifest

HELD = {"lanes": 16, "baud": 1_000_000, "input": {"lowest": -128, "offset": [128]}, "hashes": {"image.bin": "ab"}}


def test_what_was_written_is_read(tmp_path):
    written = write_manifest(tmp_path, HELD)
    assert read_manifest(tmp_path) == written and {**HELD, "sha256": written["sha256"]} == written
    assert write_manifest(tmp_path, written | {"lanes": 8})["sha256"] != written["sha256"]


@pytest.mark.parametrize("change", [
    {"baud": 0}, {"lanes": 8}, {"input": {"lowest": -300, "offset": [128]}}, {"board": "icebreaker"}, {"baud": None},
])
def test_what_was_altered_is_refused(tmp_path, change):
    written = write_manifest(tmp_path, HELD)
    (tmp_path / MANIFEST).write_text(json.dumps(written | change))
    with pytest.raises(InputError, match=r"manifest\.json was altered since `adafire generate` wrote it"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("content, text", [
    (b"{", "is not JSON"), (b"\xff", "is not JSON"), (b"[" * 100_000, "is not JSON"), (b"[]", "has no digest"),
    (b"{}", "an older adafire wrote it"),
])
def test_what_is_no_manifest(tmp_path, content, text):
    (tmp_path / MANIFEST).write_bytes(content)
    with pytest.raises(InputError, match=text):
        read_manifest(tmp_path)


def test_a_folder_without_one(tmp_path):
    with pytest.raises(InputError, match=r"is not a folder made by `adafire generate`: manifest\.json cannot be read"):
        read_manifest(tmp_path)
