"""Manifests: any bytes give a release or a typed refusal, and what is written reads back."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.identity.keys import PrivateKey
from appliance.runtime.errors import Corrupt, Refused
from gateway.release import manifest, paths, signed

CODE = "999999-100000000000001-4"
TOLD = {
    "identifier": f"isli:{CODE}",
    "version": 1,
    "body": "library",
    "title": "刘三姐",
    "description": "",
    "labels": ["film"],
    "rights": {"zones": ["bigscreen"]},
    "entry": "master.m3u8",
    "files": {"master.m3u8": {"sha256": "0" * 64, "size": 7, "type": "application/vnd.apple.mpegurl"}},
}
KEY = PrivateKey.generate()
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)


def changed(**told):
    return json.dumps({**TOLD, **told}).encode()


def test_what_is_rendered_reads_back():
    """parse(render(x)) == x, and equal releases are equal bytes."""
    release = manifest.parse(changed())
    assert manifest.parse(manifest.render(release)) == release
    assert manifest.render(release) == manifest.render(manifest.parse(json.dumps(TOLD, indent=3).encode()))
    assert release.code == CODE


@pytest.mark.parametrize(
    ("told", "word"),
    [
        ({"identifier": "isli:999999-100000000000001-5"}, "check digit"),
        ({"identifier": "isli:9999991000000000000014"}, "canonical"),
        ({"identifier": "isbn:9787302511625"}, "ISLI"),
        ({"version": 0}, "version"),
        ({"version": 1.0}, "version"),
        ({"version": True}, "version"),
        ({"version": 1 << 53}, "version"),
        ({"body": "Library"}, "body"),
        ({"title": ""}, "title"),
        ({"rights": {"zones": []}}, "zones"),
        ({"rights": {"zones": ["bigscreen"], "until": 1}}, "until"),
        ({"entry": "absent.m3u8"}, "entry"),
        ({"files": {}}, "files"),
        ({"files": {"../master.m3u8": TOLD["files"]["master.m3u8"]}}, ".."),
        ({"files": {"master.m3u8": {"sha256": "0" * 63, "size": 7, "type": "a/b"}}}, "sha256"),
        ({"files": {"master.m3u8": {"sha256": "0" * 64, "size": -1, "type": "a/b"}}}, "size"),
        ({"files": {"master.m3u8": {"sha256": "0" * 64, "size": 1, "type": "a/b\r\nX: y"}}}, "type"),
        ({"more": 1}, "more"),
    ],
)
def test_each_rule_is_told(told, word):
    """A manifest that breaks a rule is Corrupt, and the sentence names what."""
    with pytest.raises(Corrupt, match="wrong") as error:
        manifest.parse(changed(**told))
    assert word in str(error.value)


def file(size, **told):
    return changed(entry="a", files={"a": {"sha256": "0" * 64, "size": size, "type": "video/mp4", **told}})


@pytest.mark.parametrize(
    ("size", "told"),
    [
        (256 << 10, {}),
        (4 << 20, {}),  # as every manifest of a file of up to 4 MiB was once
        ((8 << 20) + 1, {"chunks": ["1" * 64] * 3}),  # and those of larger ones
        (2 << 20, {"chunk": 256 << 10, "chunks": ["ab" * 32] * 8}),
        ((2 << 20) + 1, {"chunk": 256 << 10, "chunks": ["ab" * 32] * 9}),
    ],
)
def test_chunks_of_any_size_read_back_as_they_were_signed(size, told):
    """A manifest without the size of chunks is what it was, byte for byte; and so is one with it."""
    release = manifest.parse(file(size, **told))
    assert json.loads(manifest.render(release))["files"]["a"] == json.loads(file(size, **told))["files"]["a"]
    assert manifest.parse(manifest.render(release)) == release
    assert release.files["a"].digest_at(0).hex() == (told.get("chunks") or [""])[0]


@pytest.mark.parametrize(
    ("size", "told", "word"),
    [
        (4 << 20, {"chunks": ["1" * 64]}, "larger than that"),
        ((4 << 20) + 1, {}, "larger than that"),
        (2 << 20, {"chunk": 256 << 10}, "larger than that"),
        (2 << 20, {"chunk": 256 << 10, "chunks": ["1" * 64] * 7}, "larger than that"),
        (1 << 20, {"chunk": 32 << 10, "chunks": ["1" * 64] * 32}, "65536"),
        (16 << 20, {"chunk": 8 << 20, "chunks": ["1" * 64] * 2}, "4194304"),
        (3 << 20, {"chunk": 3 << 19, "chunks": ["1" * 64] * 2}, "power of two"),
        (2 << 20, {"chunk": 1 << 20, "chunks": ["1" * 63, "1" * 65]}, "64 digits"),
        (2 << 20, {"chunk": 1 << 20, "chunks": ["1" * 64, "X" * 64]}, "64 digits"),
        (2 << 20, {"chunk": 1 << 20, "chunks": "1" * 128}, "64 digits"),
        (2 << 20, {"chunk": 1 << 20, "chunks": [1, 2]}, "64 digits"),
        (2 << 20, {"chunk": "1048576", "chunks": ["1" * 64] * 2}, "integer"),
    ],
)
def test_chunks_are_all_of_the_file_and_bounded(size, told, word):
    """Too few digests, too many, chunks too small, too large or odd: Corrupt."""
    with pytest.raises(Corrupt, match="wrong") as error:
        manifest.parse(file(size, **told))
    assert word in str(error.value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        b'{"version": 1, "version": 2}',
        b'{"version": NaN}',
        b"[" * 100_000,
        b'"\\ud800"',
        b"9" * 5000,
    ],
)
def test_what_is_no_manifest_is_corrupt(data):
    """Bytes that two JSON readers could take differently, or none can, are Corrupt."""
    with pytest.raises(Corrupt):
        manifest.parse(data)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_give_a_release_or_corrupt(data):
    """No bytes make the parser fail in another way than Corrupt."""
    with pytest.raises(Corrupt):
        manifest.parse(data)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([*TOLD, "files.x"]), JSON)
def test_any_value_in_a_right_manifest_gives_a_release_or_corrupt(key, value):
    """Any value at any key of a right manifest gives a release that reads back the same, or Corrupt."""
    told = {**TOLD, "files": {"master.m3u8": value}} if key == "files.x" else {**TOLD, key: value}
    try:
        release = manifest.parse(json.dumps(told).encode())
    except Corrupt:
        return
    assert manifest.parse(manifest.render(release)) == release


@settings(max_examples=100, deadline=None)
@given(
    st.binary(max_size=300)
    | JSON.map(lambda value: json.dumps({"payload": value, "payloadType": signed.KIND}).encode())
)
def test_any_bytes_are_an_envelope_or_a_typed_refusal(data):
    """What is no envelope is Corrupt, whether its signature is looked at or not."""
    with pytest.raises(Corrupt):
        signed.claimed(data)
    with pytest.raises((Corrupt, Refused)):
        signed.open_signed(data, [KEY.public])


def test_only_the_right_key_opens():
    """A sealed release opens with its signer's key, and with no other."""
    release = manifest.parse(changed())
    envelope = signed.seal(release, KEY)
    assert signed.open_signed(envelope, [PrivateKey.generate().public, KEY.public]) == (release, KEY.public)
    assert signed.claimed(envelope) == release
    with pytest.raises(Refused, match="none of the keys") as error:
        signed.open_signed(envelope, [PrivateKey.generate().public])
    assert error.value.reason == "not-signed"


@pytest.mark.parametrize(
    ("path", "right"),
    [
        ("master.m3u8", True),
        ("video/1080p/seg-00001.m4s", True),
        ("第一集/封面.jpg", True),
        ("a" * 120, True),
        ("", False),
        ("/etc/passwd", False),
        ("a/../b", False),
        ("./a", False),
        ("a//b", False),
        ("a/", False),
        (".hidden", False),
        ("release.json", False),
        ("a/release.json", True),
        ("a b", False),
        ("a%2fb", False),
        ("a\\b", False),
        ("a\nb", False),
        ("a?b", False),
        ("a#b", False),
        ("e\u0301", False),  # NFD
        ("\u202egp.4pm", False),  # right-to-left override
        ("a" * 121, False),
        ("/".join("a" * 9), False),
        ("好" * 41, False),
        ("\ud800", False),
    ],
)
def test_paths(path, right):
    """A path is relative, plain, bounded and spelt in one way."""
    assert (paths.fault_in(path) == "") is right


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40))
def test_a_right_path_stays_inside(path):
    """Whatever passes cannot leave its folder and survives a file system and a URL."""
    if not paths.fault_in(path):
        assert not path.startswith("/")
        assert not {"", ".", ".."} & set(path.split("/"))
        assert path.isprintable()


@pytest.mark.parametrize(
    "text", ["", "999999-100000000000001-5", "9999991000000000000014", " " + CODE, "x", CODE + "/..", "9" * 300]
)
def test_only_canonical_codes_name_releases(text):
    """A code that is not the one canonical spelling is a bad request."""
    with pytest.raises(Refused) as error:
        paths.code_of(text)
    assert (error.value.reason, error.value.status) == ("bad-request", 400)
