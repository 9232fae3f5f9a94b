"""What the cache keeps is whole, or is known not to be."""

from gen.cache import is_whole, keep


def test_kept(tmp_path):
    (tmp_path / "made").write_bytes(b"library")
    place = tmp_path / "kept.so"
    assert not is_whole(place)
    keep(tmp_path / "made", place)
    assert is_whole(place) and place.read_bytes() == b"library"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.so", "kept.so.sha256", "made"]


def test_damaged(tmp_path):
    (tmp_path / "made").write_bytes(b"library")
    keep(tmp_path / "made", tmp_path / "kept.so")
    for damage in (b"librar", b"librarY", b""):
        (tmp_path / "kept.so").write_bytes(damage)
        assert not is_whole(tmp_path / "kept.so")
    keep(tmp_path / "made", tmp_path / "kept.so")
    assert is_whole(tmp_path / "kept.so")
    (tmp_path / "kept.so.sha256").unlink()
    assert not is_whole(tmp_path / "kept.so")
