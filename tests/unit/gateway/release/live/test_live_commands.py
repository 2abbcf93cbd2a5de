"""``headgate release channel`` and ``live``: what people type, and what they are told when it is wrong."""

import json

import pytest
from click.testing import CliRunner

from appliance.identity.keys import PrivateKey
from appliance.runtime.errors import ConfigError, Refused
from gateway.release import signed
from gateway.release.cli import commands

CODE = "999999-100000000000001-4"


@pytest.fixture
def place(tmp_path):
    for name in ("body", "packager", "stranger"):
        PrivateKey.generate().save(tmp_path / f"{name}.key")
    for name in ("channel", "out", "origin"):
        (tmp_path / name).mkdir()
    return tmp_path


def public(place, name):
    return str(PrivateKey.load(place / f"{name}.key").public)


def call(*argv):
    """Run a command; failures of ours come out as they are, for ``headgate`` to tell."""
    result = CliRunner().invoke(commands, [str(word) for word in argv])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def channel(place, *more):
    return call(
        "channel", place / "channel", "--id", CODE, "--body", "library", "--title", "广西卫视", "--entry", "index.m3u8",
        "--zones", "bigscreen", "--segment", "2", "--window", "6", "--key", place / "body.key", "--json",
        *(more or ("--packager", public(place, "packager"))),
    )  # fmt: skip


def live(place, key="packager"):
    return call(
        "live", place / "out", "--id", CODE, "--key", place / f"{key}.key", "--to", place / "origin", "--until-end", "--json"
    )  # fmt: skip


def test_a_channel_is_a_release_that_names_its_packager(place):
    """It needs no files; those that lie there become part of it, and each making is a new version."""
    assert json.loads(channel(place).output)["entry"] == "live/index.m3u8"
    (place / "channel" / "poster.png").write_bytes(b"png")
    assert json.loads(channel(place).output)["version"] == 2
    data = (place / "channel" / "release.json").read_bytes()
    release, _ = signed.open_signed(data, [PrivateKey.load(place / "body.key").public])
    assert (release.live.key, release.live.window, set(release.files)) == (public(place, "packager"), 6, {"poster.png"})


def test_what_is_wrong_with_a_channel_is_told(place):
    """A key that is none, a segment of no length, a folder where segments come."""
    assert "ed25519:" in channel(place, "--packager", "hello").output
    with pytest.raises(ConfigError, match=r"live\.segment"):
        channel(place, "--packager", public(place, "packager"), "--segment", "0")
    (place / "channel" / "live").mkdir()
    (place / "channel" / "live" / "1.ts").write_bytes(b"x")
    with pytest.raises(ConfigError, match="where the segments come"):
        channel(place)


def test_a_signer_signs_until_the_end(place):
    """What the packager ended; told as lines of JSON."""
    channel(place)
    call("publish", place / "channel", "--to", place / "origin")
    (place / "out" / "1.ts").write_bytes(b"one")
    (place / "out" / "index.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n1.ts\n#EXT-X-ENDLIST\n")
    told = [json.loads(line) for line in live(place).output.splitlines()]
    assert [each.get("path", each["event"]) for each in told] == ["ready", "1.ts", "index.m3u8", "ended", "done"]
    folder = place / "origin" / "releases" / CODE / "live"
    assert {path.name for path in folder.iterdir()} == {"1.ts", "1.ts.sig", "index.m3u8", "index.m3u8.sig"}


def test_a_signer_begins_with_nothing_but_its_own_channel(place):
    """Not published, no channel, or another packager's."""
    with pytest.raises(ConfigError, match=r"holds no release\.json"):
        live(place)
    channel(place)
    call("publish", place / "channel", "--to", place / "origin")
    with pytest.raises(Refused) as caught:
        live(place, "stranger")
    assert caught.value.reason == "wrong-key"
