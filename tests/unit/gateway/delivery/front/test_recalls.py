"""The number by which nginx knows that answers were taken back."""

import struct

from gateway.delivery.front.recalls import Recalls


def number(path):
    return struct.unpack("=I", path.read_bytes())[0]


def test_each_recall_is_another_number_in_the_same_file(tmp_path):
    path = tmp_path / "recalls"
    first = Recalls(path)
    place = path.stat()
    assert number(path) == 0
    first.recall()
    assert number(path) == 1

    Recalls(path).recall()  # a delivery that began anew

    assert number(path) == 2
    assert (path.stat().st_ino, path.stat().st_size, path.stat().st_mode & 0o777) == (place.st_ino, 4, 0o640)


def test_what_was_all_ones_goes_on(tmp_path):
    path = tmp_path / "recalls"
    path.write_bytes(b"\xff" * 4)
    Recalls(path).recall()
    assert number(path) == 0


def test_its_memory_is_there_from_the_beginning(tmp_path):
    """Where the file system is full that is an error at the start, and no SIGBUS at a withdrawal."""
    Recalls(tmp_path / "recalls")
    assert (tmp_path / "recalls").stat().st_blocks > 0
