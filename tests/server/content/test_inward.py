"""An institution's releases come in: upload with resume, watched folder; with publish, exchange and their processes running."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection

import pytest

from appliance.identity.keys import PrivateKey
from appliance.runtime.files import write_atomic
from gateway.release import folder as folders
from gateway.release import paths, signed
from gateway.release.manifest import Release, Rights
from tests.server.content import media

pytestmark = pytest.mark.server
CODE, OTHER = "999999-100000000000001-4", "999999-100000000000002-3"
HOST = "127.50.0.1"
TUS = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}
FILM = {"master.m3u8": b"#EXTM3U\n#EXT-X-ENDLIST\n", "video/1.m4s": media.sized(700_000), "文本.txt": "刘三姐".encode()}


def with_institution(chain, extra=""):
    def change(text):
        text = text.replace(
            "bodies:\n", '  institution: {port: "02:68:67:32:00:0b", addresses: [127.50.0.1/24]}\nbodies:\n', 1
        )
        text = text.replace(
            "services:\n",
            f"services:\n  in: {{zone: institution, run: publish, listen: tcp/{chain.port}, from: [127.50.0.0/24]}}\n",
            1,
        )
        if "no lane" not in extra:
            text = text.replace(
                "lanes:\n", "lanes:\n  in: {from: institution, to: culture, kind: release, largest: 8 MiB}\n", 1
            )
        return text + "store: {free: 1 MiB}\n" + (extra if "no lane" not in extra else "")

    chain.write_policy(change)


def come_in(chain, until, extra=""):
    with_institution(chain, extra)
    chain.stop("exchange")
    chain.start("exchange")
    chain.start("publish", "institution")


@pytest.fixture
def box(chain, until):
    """A chain that takes releases from an institution."""
    come_in(chain, until)
    return chain


def make(chain, folder, files=FILM, **told):
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    key = told.pop("key", chain.key)
    fields = {
        "identifier": f"isli:{told.pop('code', CODE)}",
        "version": 1,
        "body": "library",
        "title": "刘三姐",
        "rights": Rights(zones=("bigscreen",)),
        "entry": next(iter(files)),
        "files": folders.gather(folder, folders.survey(folder)),
    }
    release = Release(**{**fields, **told})
    write_atomic(folder / paths.MANIFEST, signed.seal(release, key))
    return release


def call(chain, method, path, body=b"", headers=None):
    connection = HTTPConnection(HOST, chain.port, timeout=20)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        data = response.read()
        return response.status, dict(response.getheaders()), json.loads(data) if data[:1] == b"{" else data
    finally:
        connection.close()


def offer(chain, folder, code=CODE):
    return call(chain, "POST", f"/releases/{code}", (folder / paths.MANIFEST).read_bytes())


def send_all(chain, folder, told):
    for missing in told["missing"]:
        data = (folder / missing["path"]).read_bytes()
        status, headers, _ = call(
            chain,
            "PATCH",
            missing["upload"],
            data[missing["offset"] :],
            {**TUS, "Upload-Offset": str(missing["offset"])},
        )
        assert (status, headers["Upload-Offset"]) == (204, str(len(data)))


def ends(chain, until, code=CODE):
    def ended():
        _, _, told = call(chain, "GET", f"/releases/{code}?wait=5")
        return told if told.get("state") in ("accepted", "refused") else None

    return until(ended, "the release is in, or refused")


def audits(chain, decision):
    return [record.body for record in chain.records("audit") if record.body["decision"] == decision]


def test_a_release_comes_in(box, tmp_path, until):
    """Offered, sent, taken in: verified objects in the store, the manifest kept, journalled; again, nothing is asked for."""
    release = make(box, tmp_path)
    status, _, told = offer(box, tmp_path)
    assert (status, told["state"], len(told["missing"])) == (201, "incomplete", 3)
    send_all(box, tmp_path, told)

    assert ends(box, until)["state"] == "accepted"
    assert box.stored() == {file.sha256 for file in release.files.values()}
    assert (box.state / "store" / "manifests" / f"{CODE}.json").read_bytes() == (tmp_path / paths.MANIFEST).read_bytes()
    taken = audits(box, "take-in")
    assert [(entry["zone"], entry["release"], entry["files"]) for entry in taken] == [("institution", CODE, 3)]
    assert list((box.state / "drop" / "publish-institution").iterdir()) == []
    status, _, told = offer(box, tmp_path)
    assert (status, told["state"], told["missing"]) == (200, "accepted", [])
    assert len(audits(box, "take-in")) == 1


def test_files_that_the_store_has_are_not_asked_for(box, tmp_path, until):
    """A new version sends only what is new."""
    make(box, tmp_path)
    send_all(box, tmp_path, offer(box, tmp_path)[2])
    ends(box, until)
    make(box, tmp_path, {**FILM, "new.txt": b"new"}, version=2)
    told = offer(box, tmp_path)[2]

    assert [missing["path"] for missing in told["missing"]] == ["new.txt"]
    send_all(box, tmp_path, told)
    assert ends(box, until)["version"] == 2


def test_an_upload_goes_on_where_it_broke_off(box, tmp_path, until):
    """A sender that is cut off, and a publish that is killed, lose nothing that came: HEAD tells the offset."""
    chance = random.Random(7)
    data = os.urandom(3_000_000)
    make(box, tmp_path, {"a.bin": data})
    sent = 0
    for kill in (False, True, False, True):
        missing = offer(box, tmp_path)[2]["missing"][0]
        assert missing["offset"] >= sent
        sent = missing["offset"]
        more = chance.randrange(100_000, 600_000)
        with socket.create_connection((HOST, box.port)) as wire:
            head = f"PATCH {missing['upload']} HTTP/1.1\r\nHost: box\r\nUpload-Offset: {sent}\r\nContent-Length: {len(data) - sent}\r\n"
            wire.sendall(head.encode() + b"".join(f"{k}: {v}\r\n".encode() for k, v in TUS.items()) + b"\r\n")
            wire.sendall(data[sent : sent + more])
            part = box.state / "drop" / "publish-institution" / CODE / hashlib.sha256(data).hexdigest()
            until(
                lambda part=part, least=sent + more: part.exists() and part.stat().st_size == least,
                "what was sent is there",
            )
            if kill:
                box.stop("publish-institution", signal.SIGKILL)
        if kill:
            box.start("publish", "institution")
        sent += more
    told = offer(box, tmp_path)[2]
    status, headers, _ = call(box, "HEAD", told["missing"][0]["upload"], headers=TUS)
    assert (status, headers["Upload-Offset"], headers["Upload-Length"]) == (200, str(sent), str(len(data)))
    send_all(box, tmp_path, told)
    assert ends(box, until)["state"] == "accepted"


@pytest.mark.parametrize("victim", ["exchange", "publish"])
def test_a_daemon_that_is_killed_meanwhile(box, tmp_path, until, victim):
    """The release comes in nonetheless: publish asks again, and what publish forgot is offered again."""
    make(box, tmp_path)
    told = offer(box, tmp_path)[2]
    if victim == "exchange":
        box.stop("exchange", signal.SIGKILL)
    send_all(box, tmp_path, told)
    if victim == "exchange":
        box.start("exchange")
    else:
        box.stop("publish-institution", signal.SIGKILL)
        box.start("publish", "institution")
        told = offer(box, tmp_path)[2]
        send_all(box, tmp_path, told)
    assert ends(box, until)["state"] == "accepted"
    assert len(audits(box, "take-in")) == 1


def test_what_is_not_the_manifest_s_is_refused(box, tmp_path, until):
    """One wrong file refuses the release, with its name; nothing of it is stored, and sending the right one mends it."""
    make(box, tmp_path)
    right = (tmp_path / "video/1.m4s").read_bytes()
    (tmp_path / "video/1.m4s").write_bytes(right[:-1] + b"?")
    send_all(box, tmp_path, offer(box, tmp_path)[2])
    told = ends(box, until)

    assert told["state"] == "refused"
    assert [(fault["path"], fault["reason"]) for fault in told["refused"]] == [("video/1.m4s", "digest-mismatch")]
    assert hashlib.sha256(right).hexdigest() not in box.stored()
    assert not (box.state / "store" / "manifests" / f"{CODE}.json").exists()
    (tmp_path / "video/1.m4s").write_bytes(right)
    told = offer(box, tmp_path)[2]
    assert [missing["path"] for missing in told["missing"]] == ["video/1.m4s"]
    send_all(box, tmp_path, told)
    assert ends(box, until)["state"] == "accepted"


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"key": PrivateKey.generate()}, "not-signed"),
        ({"body": "stranger"}, "not-admitted"),
        ({"identifier": "isli:999998-100000000000001-1"}, "bad-request"),
    ],
)
def test_what_may_not_come_in_is_refused_before_a_byte_is_sent(box, tmp_path, told, reason):
    """The manifest alone decides, and nothing is left in the drop folder."""
    make(box, tmp_path, **{key: value for key, value in told.items() if key != "identifier"})
    code = CODE if "identifier" not in told else OTHER
    status, _, answer = offer(box, tmp_path, code)

    assert (status >= 400, answer["reason"]) == (True, reason)
    assert list((box.state / "drop" / "publish-institution").iterdir()) == []


def test_older_versions_and_large_objects_stay_out(box, tmp_path, until):
    """Nobody goes back, and the lane bounds objects."""
    make(box, tmp_path, version=3)
    send_all(box, tmp_path, offer(box, tmp_path)[2])
    ends(box, until)
    make(box, tmp_path, version=2)
    assert offer(box, tmp_path)[2]["reason"] == "older-version"
    make(box, tmp_path / "large", {"a.bin": bytes((8 << 20) + 1)}, code=OTHER)
    assert offer(box, tmp_path / "large", OTHER)[2]["reason"] == "too-large"


def test_without_a_lane_nothing_comes_in(chain, tmp_path, until):
    """The service alone opens no lane."""
    come_in(chain, until, "no lane")
    make(chain, tmp_path)
    status, _, told = offer(chain, tmp_path)
    assert (status, told["reason"]) == (403, "no-lane")


def test_important_data_does_not_leave_the_institution(chain, tmp_path, until):
    """By label or by catalogue, with each attempt in the journal."""
    come_in(chain, until, f'important: {{outside: [culture], identifiers: ["isli:{OTHER}"]}}\n')
    make(chain, tmp_path / "a", labels=("important",))
    make(chain, tmp_path / "b", code=OTHER)
    answers = [offer(chain, tmp_path / "a"), offer(chain, tmp_path / "a"), offer(chain, tmp_path / "b", OTHER)]

    assert [(status, told["reason"]) for status, _, told in answers] == [(403, "important-data")] * 3
    refused = [entry for entry in audits(chain, "refuse") if entry["reason"] == "important-data"]
    assert [(entry["zone"], entry["run"], entry["release"]) for entry in refused] == [
        ("institution", "publish", code) for code in (CODE, CODE, OTHER)
    ]


def test_this_socket_takes_in_and_gives_nothing(box, tmp_path):
    """Who brings releases may not read any; who reads may not bring."""
    for ask in ("release", "object", "lookup", "record"):
        assert box.ask("publish-institution", ask, {"release": CODE}).status == 404
    assert box.ask("delivery-bigscreen", "take", {"release": CODE}).status == 404
    for path in ("../../../etc/passwd", "/etc/passwd", "a\n"):
        assert box.ask("publish-institution", "take", {"release": path}).status == 400
        assert box.ask("publish-institution", "take", {"release": CODE, "path": path}).status in (400, 404)


@pytest.mark.parametrize("trick", ["link", "fifo", "folder", "short"])
def test_a_publish_that_was_taken_over_cannot_trick_the_exchange(box, tmp_path, trick):
    """Whatever lies in the drop folder, only plain files of the manifest's size and digest go in."""
    release = make(box, tmp_path, {"a.bin": b"a" * 1000})
    offer(box, tmp_path)
    part = box.state / "drop" / "publish-institution" / CODE / release.files["a.bin"].sha256
    secret = tmp_path / "secret"
    secret.write_bytes(b"a" * 1000)
    if trick == "link":
        part.symlink_to(secret)
    elif trick == "fifo":
        os.mkfifo(part)
    elif trick == "folder":
        part.mkdir()
    else:
        part.write_bytes(b"a" * 999)

    reply = box.ask("publish-institution", "take", {"release": CODE, "path": "a.bin"})

    assert (reply.status, json.loads(reply.body)["reason"]) == (404, "unknown-path")
    assert box.stored() == set()


def test_many_at_once(box, tmp_path, until):
    """Ten senders with a release each; and two with the same one do no harm to each other."""
    codes = [CODE, OTHER, "999999-100000000000003-2"]
    for code in codes:
        make(box, tmp_path / code, {"a.bin": os.urandom(300_000), "b.bin": os.urandom(50_000)}, code=code)

    def publish(code):
        for _ in range(50):
            _, _, told = offer(box, tmp_path / code, code)
            if told.get("state") == "accepted":
                return True
            for missing in told.get("missing", ()):
                data = (tmp_path / code / missing["path"]).read_bytes()[missing["offset"] :]
                call(box, "PATCH", missing["upload"], data, {**TUS, "Upload-Offset": str(missing["offset"])})
            time.sleep(0.1)
        return False

    with ThreadPoolExecutor() as pool:
        assert all(pool.map(publish, codes * 2))
    assert len(audits(box, "take-in")) == len(codes)


def test_a_folder_that_lies_in_the_inbox_is_taken_in(box, tmp_path, until):
    """Whole and unchanged for a moment, it comes in; the result lies beside it, and a wrong one is told with its reason."""
    inbox = box.state / "inbox" / "institution"
    make(box, tmp_path / "film")
    make(box, tmp_path / "bad", code=OTHER, key=PrivateKey.generate())
    (tmp_path / "film").rename(inbox / "film")
    (tmp_path / "bad").rename(inbox / "bad")
    (inbox / "link").symlink_to("/etc")
    (inbox / "a\nb").mkdir()

    until(lambda: (inbox / "film.result.json").exists() and (inbox / "bad.result.json").exists(), "both are told", 30)
    film, bad = (json.loads((inbox / f"{name}.result.json").read_bytes()) for name in ("film", "bad"))
    assert (film["state"], film["release"]) == ("accepted", CODE)
    assert (bad["state"], bad["reason"]) == ("refused", "not-signed")
    until(lambda: not (inbox / "film").exists() and not (inbox / "bad").exists(), "they are moved aside")
    assert sorted(path.name.partition("-")[0] for path in inbox.iterdir() if path.is_dir() and not path.is_symlink()) == [
        "a\nb", "bad.refused", "film.taken"
    ]  # fmt: skip
