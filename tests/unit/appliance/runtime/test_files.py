"""Atomic writes."""

import stat

import pytest

from appliance.runtime.files import write_atomic


def test_a_file_is_replaced_whole(tmp_path):
    """The new text and mode are there, and no temporary file is left."""
    path = tmp_path / "a"
    path.write_text("old")
    write_atomic(path, b"new", mode=0o640)

    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    """Where the rename fails, the temporary file goes away and the old one stays."""
    path = tmp_path / "a"
    path.mkdir()
    (path / "full").touch()
    with pytest.raises(OSError, match="directory"):
        write_atomic(path, b"new")

    assert [file.name for file in tmp_path.iterdir()] == ["a"]
