"""Atomic writes."""

import os
import stat
import threading

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


def test_a_pipe_takes_what_is_written_and_stays(tmp_path):
    """What is no file, such as the standard output, is written into and never replaced."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    came = []
    reader = threading.Thread(target=lambda: came.append(path.read_bytes()))
    reader.start()
    write_atomic(path, b"new")
    reader.join()

    assert came == [b"new"]
    assert stat.S_ISFIFO(path.stat().st_mode)
    assert [file.name for file in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.parametrize("name", ["null", "full"])
def test_a_device_is_never_replaced(tmp_path, name):
    """A link to one is followed; what it does not take is a fault as with any file."""
    link = tmp_path / "out"
    link.symlink_to(f"/dev/{name}")
    if name == "full":
        with pytest.raises(OSError, match="No space"):
            write_atomic(link, b"new")
    else:
        write_atomic(link, b"new")

    assert link.is_symlink()
    assert stat.S_ISCHR(link.stat().st_mode)
