"""The drop folder: names from codes and digests only, bytes appended where they end, and room that stays free."""

import os

import pytest

from appliance.runtime.errors import Corrupt, Refused
from gateway.publish.drop import Drop

CODE, DIGEST, OTHER = "999999-100000000000001-4", "a" * 64, "b" * 64


@pytest.fixture
def drop(tmp_path):
    made = Drop(tmp_path, 0)
    made.begin(CODE, b"{}")
    return made


def test_bytes_are_appended_where_they_end(drop):
    """What is here tells the offset, also for another process."""
    with drop.append(CODE, DIGEST, 0) as sink:
        sink.write(b"abc")
    with drop.append(CODE, DIGEST, 3) as sink:
        sink.write(b"def")
        assert sink.offset == 6
    assert Drop(drop.root, 0).offsets(CODE) == {DIGEST: 6}
    with pytest.raises(Corrupt), drop.append(CODE, DIGEST, 3):
        pass


def test_what_another_version_does_not_name_goes(drop):
    """The envelope stays."""
    for digest in (DIGEST, OTHER):
        with drop.append(CODE, digest, 0) as sink:
            sink.write(b"x")
    drop.keep(CODE, {OTHER})
    assert drop.offsets(CODE) == {OTHER: 1}
    assert drop.used(CODE) == 3
    drop.remove(CODE)
    assert drop.codes() == []


def test_names_come_from_codes_and_digests(drop):
    """No path is made of anything else."""
    for code in ("..", "../x", "a/b", CODE + "\n"):
        with pytest.raises(Refused):
            drop.begin(code, b"{}")
    for digest in ("..", "release.json", DIGEST + "\n", DIGEST.upper()):
        with pytest.raises(ValueError, match="SHA-256"):
            drop.remove_part(CODE, digest)


def test_a_link_is_not_written_through(drop, tmp_path):
    """Even if one is there."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"")
    (tmp_path / CODE / DIGEST).symlink_to(victim)
    with pytest.raises(OSError, match="symbolic"), drop.append(CODE, DIGEST, 0) as sink:
        sink.write(b"x")
    assert victim.read_bytes() == b""


def test_room_stays_free(drop):
    """Below it nothing more is written."""
    disk = os.statvfs(drop.root)
    drop.free = disk.f_bavail * disk.f_frsize + (1 << 30)
    with drop.append(CODE, DIGEST, 0) as sink:
        with pytest.raises(Refused) as error:
            sink.write(b"x")
        assert (error.value.reason, error.value.status, sink.offset) == ("drop-full", 507, 0)


def test_a_full_disk_is_told(drop, monkeypatch):
    """What fitted is counted, and the rest is refused."""
    written = iter([2])

    def write(descriptor, data):
        try:
            return next(written)
        except StopIteration:
            raise OSError(28, "No space left on device") from None

    with drop.append(CODE, DIGEST, 0) as sink:
        monkeypatch.setattr("gateway.publish.drop.os.write", write)
        with pytest.raises(Refused) as error:
            sink.write(b"abcdef")
        monkeypatch.undo()
        assert (error.value.reason, sink.offset) == ("drop-full", 2)
