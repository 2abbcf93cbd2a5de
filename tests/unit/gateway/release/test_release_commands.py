"""``headgate release``: make, verify, publish."""

import json
import os

import pytest
from click.testing import CliRunner

from appliance.identity.keys import PrivateKey
from appliance.runtime.errors import ConfigError, Refused
from gateway.release import folder as folders
from gateway.release.cli import commands

CODE = "999999-100000000000001-4"


@pytest.fixture
def film(tmp_path):
    folder = tmp_path / "film"
    (folder / "video").mkdir(parents=True)
    (folder / "master.m3u8").write_text("#EXTM3U\n")
    (folder / "video" / "1.m4s").write_bytes(bytes(3_000_000))
    return folder


@pytest.fixture
def key(tmp_path):
    key = PrivateKey.generate()
    key.save(tmp_path / "library.key")
    return tmp_path / "library.key", str(key.public)


def call(*argv):
    """Run a command; failures of ours come out as they are, for ``headgate`` to tell."""
    result = CliRunner().invoke(commands, [str(word) for word in argv])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def make(film, key, *more):
    return call(
        "make", film, "--id", CODE, "--body", "library", "--title", "刘三姐", "--entry", "master.m3u8", "--zones",
        "bigscreen,smallscreen", "--key", key[0], "--json", *more,
    )  # fmt: skip


def told(result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_make_then_verify(film, key):
    """What make signed, verify finds whole and signed by the key."""
    made = told(make(film, key))
    assert (made["version"], made["files"], made["bytes"]) == (1, 2, 3_000_008)
    assert told(call("verify", film, "--key", key[1], "--json")) == made
    assert json.loads((film / "release.json").read_text())["payloadType"] == "application/vnd.headgate.release+json"


def test_the_version_goes_up_by_itself(film, key):
    """Made again without --version, a release is one version newer."""
    assert [told(make(film, key))["version"] for _ in range(3)] == [1, 2, 3]
    assert told(make(film, key, "--version", "9"))["version"] == 9


def test_every_wrong_file_is_told_at_once(film, key):
    """Links, hidden files and odd names are all named in one go, and nothing is written."""
    (film / "a b.txt").write_text("")
    (film / ".hidden").write_text("")
    (film / "link").symlink_to("/etc/passwd")
    os.mkfifo(film / "video" / "pipe")
    with pytest.raises(ConfigError) as error:
        make(film, key)
    named = {fault.file.rpartition("/")[2] for fault in error.value.faults}
    assert named == {"a b.txt", ".hidden", "link", "pipe"}
    assert not (film / "release.json").exists()


def test_wrong_words_are_told(film, key):
    """A body's name or an entry that cannot be is a fault of the call."""
    with pytest.raises(ConfigError, match="entry 'absent'"):
        make(film, key, "--entry", "absent")
    with pytest.raises(ConfigError, match="body"):
        make(film, key, "--body", "Not a word")


def test_verify_finds_each_difference(film, key):
    """A changed, a missing and an extra file are each told, and the command fails."""
    make(film, key)
    (film / "video" / "1.m4s").write_bytes(bytes(2_999_999) + b"x")
    (film / "master.m3u8").unlink()
    (film / "extra.txt").write_text("")
    with pytest.raises(Refused) as error:
        call("verify", film)
    assert error.value.reason == "digest-mismatch"
    found, release = folders.read_claimed(film)
    assert found
    assert len(folders.differences(film, release)) == 3


def test_verify_refuses_another_key(film, key):
    """Signed by another key than the given one: refused."""
    make(film, key)
    with pytest.raises(Refused) as error:
        call("verify", film, "--key", PrivateKey.generate().public)
    assert error.value.reason == "not-signed"


def test_publish_copies_once_and_the_manifest_last(film, key, tmp_path):
    """Publishing again copies nothing; one changed file of a new version is copied alone."""
    make(film, key)
    origin = tmp_path / "origin"
    origin.mkdir()
    assert told(call("publish", film, "--to", origin, "--json"))["copied"] == 2
    target = origin / "releases" / CODE
    assert {p.name for p in target.rglob("*") if p.is_file()} == {"master.m3u8", "1.m4s", "release.json"}
    assert target.stat().st_mode & 0o055 == 0o055  # another user serves it
    assert told(call("publish", film, "--to", origin, "--json"))["copied"] == 0
    (film / "master.m3u8").write_text("#EXTM3U\n#2\n")
    make(film, key)
    assert told(call("publish", film, "--to", origin, "--json"))["copied"] == 1


def test_publish_never_goes_back(film, key, tmp_path):
    """An older version, and other content under the same version, are refused and change nothing."""
    origin = tmp_path / "origin"
    origin.mkdir()
    make(film, key, "--version", "2")
    call("publish", film, "--to", origin)
    before = (origin / "releases" / CODE / "release.json").read_bytes()
    (film / "master.m3u8").write_text("#EXTM3U\n#other\n")
    for version in ("1", "2"):
        make(film, key, "--version", version)
        with pytest.raises(Refused) as error:
            call("publish", film, "--to", origin)
        assert error.value.reason == "older-version"
    assert (origin / "releases" / CODE / "release.json").read_bytes() == before
    assert (origin / "releases" / CODE / "master.m3u8").read_text() == "#EXTM3U\n"


def test_publish_refuses_what_was_changed_since(film, key, tmp_path):
    """A file changed after signing is not published, nor is the manifest that names it."""
    make(film, key)
    (film / "video" / "1.m4s").write_bytes(b"other")
    (tmp_path / "origin").mkdir()
    with pytest.raises(ConfigError, match="was changed since"):
        call("publish", film, "--to", tmp_path / "origin")
    assert not list((tmp_path / "origin").rglob("release.json"))
    assert not list((tmp_path / "origin").rglob(".headgate-*"))
