"""Bad input to making and publishing: each is refused with its place and a mend, all at once, and the rest of the work goes on."""

import json
import os
import time

import pytest

from appliance.identity import envelope
from appliance.identity.keys import PrivateKey
from appliance.runtime.errors import ConfigError, Corrupt, Refused
from gateway.release import folder as folders
from gateway.release import manifest, paths, preview_words, signed

CODE = "999999-100000000000001-4"
KEY = PrivateKey.generate()
FILE = {"sha256": "0" * 64, "size": 7, "type": "text/plain"}
TOLD = {
    "identifier": f"isli:{CODE}",
    "version": 1,
    "body": "library",
    "title": "x",
    "rights": {"zones": ["bigscreen"]},
    "entry": "a.txt",
    "files": {"a.txt": FILE},
}


def link_out(folder):
    (folder / "out").symlink_to("/etc")


def link_to_file(folder):
    (folder / "out.txt").symlink_to("/etc/passwd")


def newline(folder):
    (folder / "a\nb.txt").write_text("")


def escape(folder):
    (folder / "a\x1b[31m.txt").write_text("")


def not_utf8(folder):
    (folder / os.fsdecode(b"\xff.txt")).write_text("")


def decomposed(folder):
    (folder / "cafe\u0301.txt").write_text("")


def long_name(folder):
    (folder / ("x" * 250)).write_text("")


def long_path(folder):
    """A path of 4,000 characters, made as such trees are: from inside."""
    here = os.open(folder, os.O_RDONLY)
    try:
        for _ in range(20):
            os.mkdir("d" * 200, dir_fd=here)
            inner = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = inner
        os.close(os.open("f.txt", os.O_WRONLY | os.O_CREAT, dir_fd=here))
    finally:
        os.close(here)


def pipe(folder):
    os.mkfifo(folder / "pipe")


def sparse(folder):
    os.truncate(os.open(folder / "huge.bin", os.O_WRONLY | os.O_CREAT), (1 << 40) + 1)


BAD = [
    (link_out, "out", "is a link", "put what it points to in its place"),
    (link_to_file, "out.txt", "is a link", "put what it points to in its place"),
    (newline, r"a\nb.txt", "cannot stand in a name", "rename it, such as to 'a-b.txt'"),
    (escape, r"a\x1b[31m.txt", "cannot stand in a name", "rename it, such as to 'a--31m.txt'"),
    (not_utf8, r"\udcff.txt", "not UTF-8", "rename it, such as to '-.txt'"),
    (decomposed, "cafe\u0301.txt", "form NFC", "rename it, such as to 'caf\u00e9.txt'"),
    (long_name, "characters)", "at most 120 bytes", "give it a shorter, plain name"),
    (long_path, "characters)", "too deep", ""),
    (pipe, "pipe", "no plain file", "take it out"),
]


@pytest.mark.parametrize(("bad", "place", "told", "mend"), BAD, ids=[case[0].__name__ for case in BAD])
def test_each_bad_entry_is_told(tmp_path, bad, place, told, mend):
    """The fault names the entry in one printable line, says what is wrong and how to mend it; the right file is still seen."""
    (tmp_path / "a.txt").write_text("x")
    bad(tmp_path)
    sizes, (fault,) = folders.look_through(tmp_path)
    assert sizes == {"a.txt": 1}
    assert fault.file.endswith(place)
    assert (told in fault.message, fault.hint) == (True, mend)
    assert preview_words.said(fault.message, "zh") != fault.message
    assert fault.file.isprintable()
    assert len(fault.file) < 250


def test_all_of_them_come_at_once(tmp_path):
    """A folder with every fault has them all in one refusal."""
    for bad, *_ in BAD:
        bad(tmp_path)
    with pytest.raises(ConfigError) as error:
        folders.survey(tmp_path)
    assert len(error.value.faults) == len(BAD)


def test_a_file_larger_than_a_release_can_hold(tmp_path):
    """A sparse file of more than a tebibyte is told by its size, not by reading it."""
    try:
        sparse(tmp_path)
    except OSError:
        pytest.skip("this file system holds no file of a tebibyte")
    with pytest.raises(ConfigError, match="is larger than"):
        folders.survey(tmp_path)


def test_a_folder_of_very_many_files_is_refused_early(tmp_path, monkeypatch):
    """Beyond the most, looking stops: a million files cost what the first hundred thousand do."""
    monkeypatch.setattr(folders, "MOST_FILES", 50)
    for number in range(60):
        (tmp_path / f"{number}.txt").write_text("x")
    with pytest.raises(ConfigError, match=r"holds more than 50 files.*make several releases"):
        folders.survey(tmp_path)


def test_many_faults_are_bounded(tmp_path):
    """Three hundred bad names: two hundred are told, and how many more there are."""
    for number in range(300):
        (tmp_path / f"a b {number}").write_text("")
    with pytest.raises(ConfigError) as error:
        folders.survey(tmp_path)
    assert len(error.value.faults) == folders.MOST_FAULTS + 1
    assert "and 100 more faults" in error.value.faults[-1].message


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"files": {"../a.txt": FILE}}, "'..'"),
        ({"files": {"/etc/passwd": FILE}}, "relative"),
        ({"files": {"a\nb": FILE}}, "cannot stand in a name"),
        ({"files": {"x" * 4000: FILE}}, "at most 400 bytes"),
        ({"files": {"release.json": FILE}}, "stands beside the files"),
        ({"files": {"release.listing.json": FILE}}, "stands beside the files"),
        ({"entry": "absent.txt"}, "is none of the files"),
        ({"files": {"a.txt": {**FILE, "size": 1 << 63}}}, "less than or equal to"),
        ({"files": {"a.txt": {**FILE, "size": -1}}}, "greater than or equal to 0"),
        ({"version": 1 << 63}, "less than or equal to"),
        ({"files": {"a.txt": {**FILE, "size": 1 << 39}}}, "has a digest for each"),
        ({"rights": {"zones": ["bigscreen"], "since": "2027-01-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}}, "'until'"),
        ({"rights": {"zones": ["bigscreen"], "until": "2026-01-01T00:00:00"}}, "timezone"),
        ({"sources": [{"release": "999999", "body": "archive", "act": "associate", "grant": ""}]}, "sources.0.release"),
    ],
)  # fmt: skip
def test_bad_manifests_are_corrupt_with_their_place(told, words):
    """A manifest that names what cannot be, or a length of 2^63, is refused at the place, however well it is signed."""
    sealed = envelope.seal(json.dumps({**TOLD, **told}).encode(), signed.KIND, KEY)
    with pytest.raises(Corrupt) as error:
        signed.open_signed(sealed, [KEY.public])
    assert words in str(error.value)


@pytest.mark.server  # takes seconds
def test_a_manifest_of_a_million_files_is_refused_in_bounded_time():
    """A million files are refused by length or by count, in seconds, and the sentence says the limit."""
    many = {f"{number:07}": FILE for number in range(100_001)}
    began = time.monotonic()
    with pytest.raises(Corrupt, match=r"at most 100000|longer than"):
        manifest.parse(json.dumps({**TOLD, "files": many}).encode())
    with pytest.raises(Corrupt, match="longer than"):
        manifest.parse(b"x" * (manifest.LONGEST + 1))
    assert time.monotonic() - began < 30


def test_signatures_over_the_wrong_thing():
    """The right key over another kind, over the bare manifest, or over another manifest does not make it signed."""
    release = manifest.parse(json.dumps(TOLD).encode())
    payload = manifest.render(release)
    with pytest.raises(Corrupt, match=r"not a release|not 'application"):
        signed.open_signed(envelope.seal(payload, "application/vnd.headgate.grant+json", KEY), [KEY.public])
    right = json.loads(signed.seal(release, KEY))
    other = json.loads(signed.seal(release.model_copy(update={"version": 2}), KEY))
    for wrong in (
        {**right, "signatures": other["signatures"]},
        {**right, "signatures": []},
        {**right, "payload": other["payload"]},
    ):
        with pytest.raises(Refused) as error:
            signed.open_signed(json.dumps(wrong).encode(), [KEY.public])
        assert error.value.reason == "not-signed"


def test_names_are_mended_only_to_right_ones():
    """What a fault proposes can be taken as it stands."""
    for name in ("a b.txt", ".hidden", "e\u0301", "a\nb", "..", "x" * 500, "\udcff"):
        near = paths.mended(name)
        assert near == "" or paths.fault_in(near) == ""
