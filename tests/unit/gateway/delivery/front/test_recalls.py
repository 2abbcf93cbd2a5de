"""The memory by which nginx knows that answers were taken back, until when it may remember them, and what players are told."""

import ctypes
import struct

from gateway.delivery.front.configuration import LUA
from gateway.delivery.front.recalls import TOLD, Common, Recalls


def number(path):
    return struct.unpack_from("=I", path.read_bytes())[0]


def lent(path):
    """Return until when it is lent, and what players are told, as nginx reads them."""
    _, turn, until, *told = struct.unpack(f"=IId{TOLD}s{TOLD}s", path.read_bytes())
    return until, told[turn % 2].partition(b"\0")[0].decode()


def test_each_recall_is_another_number_in_the_same_file(tmp_path):
    path = tmp_path / "recalls"
    first = Recalls(path)
    place = path.stat()
    assert number(path) == 0
    first.recall()
    assert number(path) == 1

    Recalls(path).recall()  # a delivery that began anew

    assert number(path) == 2
    assert (path.stat().st_ino, path.stat().st_size, path.stat().st_mode & 0o777) == (
        place.st_ino,
        ctypes.sizeof(Common),
        0o640,
    )


def test_what_was_all_ones_goes_on(tmp_path):
    path = tmp_path / "recalls"
    path.write_bytes(b"\xff" * 4)
    Recalls(path).recall()
    assert number(path) == 0


def test_its_memory_is_there_from_the_beginning(tmp_path):
    """Where the file system is full that is an error at the start, and no SIGBUS at a withdrawal."""
    Recalls(tmp_path / "recalls")
    assert (tmp_path / "recalls").stat().st_blocks > 0


def test_what_is_lent_is_there_with_what_players_are_told(tmp_path):
    """What is told stays whole while the next is written; what nobody could read whole is not told."""
    path = tmp_path / "recalls"
    made = Recalls(path)
    assert lent(path) == (0.0, "")
    for until, told in ((2.5, '"box";mb=800'), (3.0, '"box";du'), (3.5, '"box";du'), (4.0, "")):
        made.lend(until, told)
        assert lent(path) == (until, told)
    turns = struct.unpack_from("=II", path.read_bytes())[1]
    assert turns == 3  # nothing is written again
    made.lend(4.5, "x" * TOLD)
    assert lent(path) == (4.5, "")
    assert number(path) == 0


def test_nginx_reads_it_as_it_is_written():
    """Its words are C's, in Lua's file."""
    assert f"uint32_t number, turn; double lease; char told[2][{TOLD}];" in (LUA / "quick.lua").read_text()
    assert [name for name, _ in Common._fields_] == ["number", "turn", "lease", "told"]
    assert (Common.turn.offset, Common.lease.offset, Common.told.offset) == (4, 8, 16)
