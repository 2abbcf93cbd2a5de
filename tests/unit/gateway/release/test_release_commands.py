"""``headgate release``: make, preview, verify, publish, show, list, grant."""

import json
import os

import pytest
from click.testing import CliRunner

from appliance.identity.keys import PrivateKey
from appliance.runtime.errors import ConfigError, Refused
from gateway.release import folder as folders
from gateway.release.cli import commands

CODE = "999999-100000000000001-4"
SEGMENT = b"\0\0\0\x18styp".ljust(3_000_000, b"\0")


@pytest.fixture
def film(tmp_path):
    folder = tmp_path / "film"
    (folder / "video").mkdir(parents=True)
    (folder / "master.m3u8").write_text("#EXTM3U\n")
    (folder / "video" / "1.m4s").write_bytes(SEGMENT)
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
    (film / "video" / "1.m4s").write_bytes(SEGMENT[:-1] + b"x")
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
    with pytest.raises(ConfigError, match="has 5 bytes, the manifest says 3000000"):
        call("publish", film, "--to", tmp_path / "origin")
    (film / "video" / "1.m4s").write_bytes(SEGMENT[:-1] + b"x")
    with pytest.raises(ConfigError, match="was changed since"):
        call("publish", film, "--to", tmp_path / "origin")
    assert not list((tmp_path / "origin").rglob("release.json"))


def test_a_description_beside_the_folder_is_enough(film, key, tmp_path):
    """A YAML beside or in the folder says everything; the command line says it better; it is not published."""
    (tmp_path / "film.yaml").write_text(
        f"identifier: {CODE}\nbody: library\ntitle: 刘三姐\nlabels: [film]\n"
        "rights: {zones: [bigscreen], territories: [45], screens: [big]}\n"
    )
    made = told(call("make", film, "--key", key[0], "--title", "漓江", "--json"))
    assert (made["title"], made["entry"], made["labels"]) == ("漓江", "master.m3u8", ["film"])
    assert folders.read_claimed(film)[1].rights.territories == ("45",)
    (tmp_path / "film.yaml").rename(film / "release.yaml")
    assert told(call("make", film, "--key", key[0], "--json"))["files"] == 2
    assert told(call("verify", film, "--key", key[1], "--json"))["version"] == 2
    (tmp_path / "film.yaml").write_text("title: x\n")
    with pytest.raises(ConfigError, match="describes the folder, and so does"):
        call("make", film, "--key", key[0])


def test_faults_of_files_description_and_structure_come_at_once(film, key, tmp_path):
    """One call tells the link, the playlist's absent segment with its line, and the description's line and column."""
    (film / "link").symlink_to("/etc/passwd")
    (film / "video" / "index.m3u8").write_text("#EXTM3U\n#EXTINF:4,\nabsent.m4s\n#EXT-X-ENDLIST\n")
    (tmp_path / "film.yaml").write_text("identifier: 999999-100000000000001-5\nrights: {zone: [bigscreen]}\n")
    with pytest.raises(ConfigError) as error:
        call("make", film, "--key", key[0])
    text = str(error.value)
    assert "link:1:1: is a link" in text
    assert "index.m3u8:3:1: names 'absent.m4s', which is not in the folder" in text
    assert "film.yaml:1:13: identifier:" in text
    assert "film.yaml:2:10: rights.zone: unknown key 'zone'" in text
    assert "did you mean 'zones'?" in text


def test_a_dry_run_writes_nothing_and_needs_no_key(film):
    """--dry-run tells what would be made; without it a key is asked for."""
    words = ("make", film, "--id", CODE, "--body", "library", "--title", "x", "--zones", "bigscreen")
    assert told(call(*words, "--dry-run", "--json"))["files"] == 2
    assert not (film / "release.json").exists()
    assert call(*words).exit_code == 2


def test_rights_that_are_over_are_told(film, key):
    """A clock a year ahead, or an end in the past: refused with both times, before anything is signed."""
    with pytest.raises(ConfigError, match=r"the rights ended 2020-01-01.*this clock says"):
        make(film, key, "--until", "2020-01-01T00:00:00Z")
    with pytest.raises(ConfigError, match=r"rights\.since"):
        make(film, key, "--since", "2020-01-01")


def test_grant_then_make_with_a_source(film, key, tmp_path):
    """A grant's file goes into the manifest; without it, or with another file, the release is not made."""
    out = tmp_path / "library.grant"
    granted = told(
        call("grant", "--from", "archive", "--to", "library", "--release", CODE, "--act", "associate", "--key", key[0],
             "--out", out, "--json")
    )  # fmt: skip
    assert granted["from"] == "archive"
    make(film, key, "--source", f"{CODE}:archive:associate:{out}")
    source = folders.read_claimed(film)[1].sources[0]
    assert (source.release, source.body, source.act) == (f"isli:{CODE}", "archive", "associate")
    for wrong, words in {
        f"{CODE}:archive:associate": "is not CODE:BODY:ACT:GRANTFILE",
        f"{CODE}:archive:associate:{film / 'release.json'}": "holds no grant",
        f"{CODE}:archive:associate:{tmp_path / 'absent'}": "cannot be read",
        f"{CODE}:archive:steal:{out}": "Input should be",
    }.items():
        with pytest.raises(ConfigError, match=words):
            make(film, key, "--source", wrong)


def test_show_and_list(film, key, tmp_path):
    """A release is shown from its folder and from an origin; a damaged one is in the list with what is wrong."""
    origin = tmp_path / "origin"
    origin.mkdir()
    make(film, key, "--screens", "big")
    call("publish", film, "--to", origin)
    assert told(call("show", film, "--json"))["rights"]["screens"] == ["big"]
    assert told(call("show", CODE, "--at", origin, "--json"))["title"] == "刘三姐"
    assert "刘三姐" in call("show", f"isli:{CODE}", "--at", origin).stdout
    (origin / "releases" / "999999-123456789012345-8").mkdir()
    (origin / "releases" / "torn").mkdir()
    (origin / "releases" / "torn" / "release.json").write_text("{")
    listed = {each["release"]: each for each in told(call("list", "--at", origin, "--json"))["releases"]}
    assert listed[CODE]["bytes"] == 3_000_008
    assert listed["999999-123456789012345-8"]["state"] == "unfinished"
    assert listed["torn"]["state"] == "damaged"
    assert "damaged" in call("list", "--at", origin).stdout
    with pytest.raises(Refused) as error:
        call("show", "999999-100000000000002-3", "--at", origin)
    assert error.value.reason in ("unknown-release", "wrong-check-digit")


def test_preview_shows_also_what_is_not_ready(film, key, tmp_path):
    """The page has the title, the ladder and the faults in both languages, loads nothing, and runs nothing."""
    (film / "master.m3u8").write_text(
        '#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=2500000,RESOLUTION=1280x720,CODECS="avc1"\nvideo/index.m3u8\n'
    )
    (film / "video" / "index.m3u8").write_text("#EXTM3U\n#EXTINF:4,\n1.m4s\n#EXT-X-ENDLIST\n")
    (film / "a.txt").write_text("<script>alert(1)</script>")
    answer = told(call("preview", film, "--title", "<b>刘三姐</b>", "--zones", "bigscreen", "--json"))
    page = (tmp_path / "film-preview.html").read_text()
    assert answer["page"] == str(tmp_path / "film-preview.html")
    assert len(answer["faults"]) == 2  # identifier and body are not said
    assert "1280×720" in page
    assert "2.5 Mbit/s" in page
    assert "<script" not in page
    assert "&lt;b&gt;刘三姐" in page
    assert "需修改 2 处" in page
    assert "http" not in page.replace("http-equiv", "")
    call("preview", film, "--title", "x", "--lang", "en", "--out", tmp_path / "en.html")
    assert "3 things to mend" in (tmp_path / "en.html").read_text()


def test_a_description_names_its_grants(film, key, tmp_path):
    """A grant beside the description is taken; one in the folder, one that is absent and one that is none are told with their line."""
    source = "sources: [{release: 999999-123456789012345-8, body: archive, act: associate, grant: GRANT}]\n"
    words = f"identifier: {CODE}\nbody: library\ntitle: x\nrights: {{zones: [bigscreen]}}\n"
    call("grant", "--from", "archive", "--to", "library", "--release", "999999-123456789012345-8", "--act", "associate",
         "--key", key[0], "--out", tmp_path / "a.grant")  # fmt: skip
    (tmp_path / "film.yaml").write_text(words + source.replace("GRANT", "a.grant"))
    assert told(call("make", film, "--key", key[0], "--json"))["sources"] == ["isli:999999-123456789012345-8"]
    (film / "a.grant").write_bytes((tmp_path / "a.grant").read_bytes())
    for grant, told_of in {
        "film/a.grant": "would be published as one of the files",
        "none.grant": "cannot be read",
        "film/master.m3u8": "holds no grant",
    }.items():
        (tmp_path / "film.yaml").write_text(words + source.replace("GRANT", grant))
        with pytest.raises(ConfigError, match=told_of):
            call("make", film, "--key", key[0])
    (film / "a.grant").unlink()
    (tmp_path / "film.yaml").write_text(words + source.replace(", grant: GRANT", ""))
    with pytest.raises(ConfigError, match="is used without its grant"):
        call("make", film, "--key", key[0])
