"""Publishing: once, again, and after having been broken off in the middle of a file."""

import os

import pytest

from appliance.identity.keys import PrivateKey
from appliance.runtime.errors import ConfigError, Refused
from gateway.release import folder as folders
from gateway.release import origin, publishing, signed
from gateway.release.manifest import PIECE, Release, Rights

CODE = "999999-100000000000001-4"
KEY = PrivateKey.generate()


@pytest.fixture
def film(tmp_path):
    folder = tmp_path / "film"
    folder.mkdir()
    (folder / "big.mp4").write_bytes(os.urandom(3 * PIECE + 17))
    (folder / "small.txt").write_text("刘三姐")
    (folder / "empty.txt").write_text("")
    sizes = folders.survey(folder)
    release = Release(
        identifier=f"isli:{CODE}", version=1, body="library", title="x", rights=Rights(zones=("bigscreen",)),
        entry="big.mp4", files=folders.gather(folder, sizes),
    )  # fmt: skip
    (folder / "release.json").write_bytes(signed.seal(release, KEY))
    return folder


class Broken(Exception):
    """The line went down."""


class Breaking(origin.OriginFolder):
    """A folder whose line goes down after some chunks; counts what was handed to it."""

    def __init__(self, target, chunks):
        super().__init__(target)
        self.left, self.taken = chunks, []

    def take(self, path, file, first, data):
        if not self.left:
            raise Broken
        self.left -= 1
        self.taken.append((path, first, len(data)))
        super().take(path, file, first, data)


def sink(tmp_path, chunks=1000):
    with origin.opened(tmp_path / "origin", CODE) as folder:
        return Breaking(folder.target, chunks)


def unfinished(tmp_path):
    return list((tmp_path / "origin").rglob(".headgate-*"))


def test_what_was_broken_off_goes_on_at_the_chunk(film, tmp_path):
    """Two chunks are there: the next attempt hands over the rest alone, and the manifest stands at the end only."""
    with pytest.raises(Broken):
        publishing.publish(film, sink(tmp_path, 2))
    assert len(unfinished(tmp_path)) == 1
    assert not list((tmp_path / "origin").rglob("release.json"))
    again = sink(tmp_path)
    assert publishing.publish(film, again) == 3
    assert [first for path, first, _ in again.taken if path == "big.mp4"] == [2 * PIECE, 3 * PIECE]
    assert folders.differences(tmp_path / "origin" / "releases" / CODE, folders.read_claimed(film)[1]) == []
    assert not unfinished(tmp_path)
    assert publishing.publish(film, sink(tmp_path)) == 0


def test_a_damaged_part_is_copied_anew(film, tmp_path):
    """A chunk that a power cut tore is found by its digest, and copied again from there."""
    with pytest.raises(Broken):
        publishing.publish(film, sink(tmp_path, 3))
    (part,) = unfinished(tmp_path)
    with part.open("r+b") as file:
        file.seek(PIECE + 5)
        file.write(b"torn")
    again = sink(tmp_path)
    publishing.publish(film, again)
    assert [first for path, first, _ in again.taken if path == "big.mp4"] == [PIECE, 2 * PIECE, 3 * PIECE]
    assert (tmp_path / "origin" / "releases" / CODE / "big.mp4").read_bytes() == (film / "big.mp4").read_bytes()


def test_every_file_that_is_not_there_is_told_at_once(film, tmp_path):
    """A manifest that names an absent file, one of another size, one that is a link now: all told, nothing copied."""
    (film / "small.txt").unlink()
    (film / "empty.txt").write_text("x")
    (film / "big.mp4").rename(tmp_path / "elsewhere.mp4")
    (film / "big.mp4").symlink_to(tmp_path / "elsewhere.mp4")
    with pytest.raises(ConfigError) as error:
        publishing.publish(film, sink(tmp_path))
    assert len(error.value.faults) == 3
    assert all(fault.hint for fault in error.value.faults)


def test_one_changed_file_does_not_keep_the_others_back(film, tmp_path):
    """The changed file is told, the rest is at the origin already, and no manifest names what is not right."""
    data = (film / "big.mp4").read_bytes()
    (film / "big.mp4").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ConfigError, match=r"big\.mp4.*was changed since"):
        publishing.publish(film, sink(tmp_path))
    target = tmp_path / "origin" / "releases" / CODE
    assert (target / "small.txt").is_file()
    assert not (target / "big.mp4").exists()
    assert not (target / "release.json").exists()


def test_two_at_once_do_not_meet(film, tmp_path):
    """While one publishes, another is told so."""
    with origin.opened(tmp_path / "origin", CODE), pytest.raises(Refused) as error:
        sink(tmp_path)
    assert error.value.reason == "busy"


def test_a_link_in_the_way_is_not_followed(film, tmp_path):
    """A link with the name of an unfinished file leads nowhere else."""
    target = sink(tmp_path).target
    file = folders.read_claimed(film)[1].files["small.txt"]
    (tmp_path / "outside").write_text("kept")
    (target / f".headgate-{file.sha256}").symlink_to(tmp_path / "outside")
    with pytest.raises(OSError, match="symbolic link"):
        publishing.publish(film, sink(tmp_path))
    assert (tmp_path / "outside").read_text() == "kept"
