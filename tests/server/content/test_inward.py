"""An institution's releases come in: upload with resume, watched folder; with publish, exchange and their processes running."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path

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

EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"


def with_institution(chain, extra=""):
    def change(text):
        text = text.replace(
            "bodies:\n", '  institution: {port: "02:68:67:32:00:0b", addresses: [127.50.0.1/24]}\nbodies:\n', 1
        )
        text = text.replace(
            "services:\n",
            f"services:\n  in: {{zone: institution, run: publish, listen: tcp/{chain.port}, from: [127.50.0.0/24]}}\n"
            f"  out: {{zone: culture, run: share, listen: tcp/{chain.port}, from: [127.10.0.0/24]}}\n",
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


def call(chain, method, path, body=b"", headers=None, host=HOST):
    connection = HTTPConnection(host, chain.port, timeout=20)
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


def answers(chain, host):
    with socket.socket() as channel:
        return channel.connect_ex((host, chain.port)) == 0


def test_other_boxes_are_given_what_came_in_but_no_important_data(box, tmp_path, until):
    """The culture network has the institution's release from this box alone; what becomes important is given to nobody."""
    make(box, tmp_path)
    send_all(box, tmp_path, offer(box, tmp_path)[2])
    assert ends(box, until)["state"] == "accepted"
    box.start("share", "culture", wait=False)
    until(lambda: answers(box, "127.10.0.1"), "share listens")

    for path in ("release.json", "video/1.m4s"):
        status, _, data = call(box, "GET", f"/releases/{CODE}/{path}", host="127.10.0.1")
        assert status == 200, data
        assert data == (
            (tmp_path / path).read_bytes() if path != "release.json" else json.loads((tmp_path / path).read_bytes())
        )
    box.policy.write_text(box.policy.read_text() + f'important: {{outside: [culture], identifiers: ["isli:{CODE}"]}}\n')
    box.reload("exchange", "share-culture")
    for name in ("exchange", "share-culture", "admission"):
        until(lambda name=name: "configuration taken in" in box.log(name), f"{name} has the policy")
    status, _, told = call(box, "GET", f"/releases/{CODE}/video/1.m4s", host="127.10.0.1")
    assert (status, told["reason"]) == (403, "important-data")
    until(
        lambda: [entry["run"] for entry in audits(box, "refuse") if entry["reason"] == "important-data"] == ["share"],
        "the attempt is recorded",
    )


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


def test_harmful_bytes_do_not_come_in(box, tmp_path, until):
    """What a body signed is inspected all the same: the second filter refuses the file, and the release with it."""
    make(box, tmp_path, {"a.txt": "刘三姐".encode(), "b.txt": EICAR, "c.png": b"MZ not a picture at all"})
    send_all(box, tmp_path, offer(box, tmp_path)[2])
    told = ends(box, until)

    assert told["state"] == "refused"
    assert sorted(fault["path"] for fault in told["refused"]) == ["b.txt", "c.png"]
    assert hashlib.sha256(EICAR).hexdigest() not in box.stored()
    assert not (box.state / "store" / "manifests" / f"{CODE}.json").exists()


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


def headgate(chain, *words, wait=True, **environment):
    argv = [str(Path(sys.executable).with_name("headgate")), *map(str, words)]
    told = {
        **os.environ,
        "HEADGATE_RUN": str(chain.run),
        "HEADGATE_STATE": str(chain.state),
        "COLUMNS": "200",
        **environment,
    }
    process = subprocess.Popen(argv, env=told, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if not wait:
        return process
    try:
        out, err = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(
            f"{words} did not end: {process.communicate()}\n{chain.log('publish-institution')}\n{chain.log('exchange')}"
        ) from None
    return process.returncode, out, err


def publish(chain, folder, **told):
    return headgate(chain, "release", "publish", folder, "--box", f"http://{HOST}:{chain.port}", "--json", **told)


def test_the_client_sends_a_release_and_again_nothing(box, tmp_path):
    """`headgate release publish --box`: the second time no byte is sent."""
    make(box, tmp_path)
    first, second = publish(box, tmp_path), publish(box, tmp_path)

    assert first[0] == second[0] == 0, (first, second)
    assert [json.loads(told[1])["state"] for told in (first, second)] == ["accepted", "accepted"]
    assert json.loads(first[1])["sent"] == sum(len(data) for data in FILM.values())
    assert json.loads(second[1])["sent"] == 0


def test_the_client_goes_on_after_kills_at_random_moments(box, tmp_path, until):
    """Client and publish are killed again and again in the middle; what came is not sent a second time."""
    chance = random.Random(3)
    data = [os.urandom(6_000_000), os.urandom(5_000_000)]
    make(box, tmp_path, {"a.bin": data[0], "b.bin": data[1]})
    drop = box.state / "drop" / "publish-institution" / CODE

    def here():
        found = 0
        for path in drop.glob("*"):
            with suppress(FileNotFoundError):  # what was taken in meanwhile is not here any more
                found += path.stat().st_size if path.name != paths.MANIFEST else 0
        return found

    for turn in range(4):
        before = here()
        process = publish(box, tmp_path, wait=False)
        goal = before + chance.randrange(1, 2_000_000)
        until(lambda goal=goal, process=process: here() >= goal or process.poll() is not None, "some more came", 60)
        if turn % 2:
            box.stop("publish-institution", signal.SIGKILL)
            assert here() >= before or box.stored()
            box.start("publish", "institution")
        process.kill()
        process.communicate()
    status, out, err = publish(box, tmp_path)
    assert status == 0, err
    assert json.loads(out)["sent"] <= 11_000_000
    assert box.stored() == {hashlib.sha256(part).hexdigest() for part in data}


def test_the_client_tells_each_file_that_is_refused(box, tmp_path):
    """By path and reason; exit 1. A folder that is wrong is told before anything is sent; exit 2."""
    make(box, tmp_path)
    (tmp_path / "文本.txt").write_bytes("刘四姐".encode())
    status, out, err = publish(box, tmp_path)
    assert (status, json.loads(out)["state"]) == (1, "refused")
    assert "文本.txt: digest-mismatch" in err
    (tmp_path / "文本.txt").unlink()
    (tmp_path / "文本.txt").symlink_to("/etc/passwd")
    (tmp_path / "video/1.m4s").unlink()
    status, out, err = publish(box, tmp_path)
    assert status == 2
    assert "video/1.m4s" in err
    assert "symbolic link" in err


def test_a_disk_is_carried_in(box, tmp_path):
    """Every release on it, in the origin's layout; what is wrong is told by folder, and the rest comes in; again, nothing is copied."""
    disk = tmp_path / "disk" / "releases"
    make(box, disk / CODE)
    make(box, disk / OTHER, {"a.bin": b"a" * 1000}, code=OTHER, key=PrivateKey.generate())
    third = disk / "999999-100000000000003-2"
    make(box, third, {"a.bin": b"b" * 1000, "b.bin": b"c"}, code=third.name)
    (third / "a.bin").unlink()
    (third / "a.bin").symlink_to("/etc/passwd")
    (disk / "line\nbreak").mkdir()
    (disk / "line\nbreak" / paths.MANIFEST).symlink_to(disk / CODE / paths.MANIFEST)
    (disk / "loop").symlink_to(disk)
    run = disk / "autorun.sh"
    run.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    run.chmod(0o755)

    status, out, err = headgate(box, "box", "carry", tmp_path / "disk", "--json")
    told = {result["folder"]: (result["state"], result["reason"]) for result in json.loads(out)}

    assert status == 1, err
    assert told == {
        CODE: ("accepted", ""),
        OTHER: ("refused", "not-signed"),
        third.name: ("refused", "no-plain-file"),
    }
    assert not (tmp_path / "ran").exists()
    assert [entry["run"] for entry in audits(box, "take-in")] == ["carry"]
    assert list((box.state / "drop" / "carry-institution").iterdir()) == []
    status, out, _ = headgate(box, "box", "carry", disk / CODE)
    assert (status, "accepted" in out) == (0, True)
    assert len(audits(box, "take-in")) == 1


def test_what_was_brought_in_stays(box, tmp_path, until):
    """Nobody else has it: whatever else comes, also after a restart, the store lets other objects go first."""
    make(box, tmp_path, {"a.bin": os.urandom(1_500_000)})
    send_all(box, tmp_path, offer(box, tmp_path)[2])
    assert ends(box, until)["state"] == "accepted"
    mine = box.stored()
    box.policy.write_text(box.policy.read_text().replace("store: {free: 1 MiB}", "store: {free: 1 MiB, size: 4 MiB}"))
    box.stop("exchange", signal.SIGKILL)
    box.start("exchange")
    for number in range(6):
        box.publish({"b.bin": os.urandom(1_200_000)}, code=OTHER, version=number + 1)
        until(
            lambda: box.ask("delivery-bigscreen", "object", {"release": OTHER, "path": "b.bin"}).status == 200,
            "it is fetched",
        )
    assert mine <= box.stored()


def test_a_full_disk_is_told_and_what_came_stays(box, tmp_path, until):
    """Below what stays free nothing more is taken (507), and the sender goes on when there is room."""
    disk = os.statvfs(box.state)
    free = disk.f_bavail * disk.f_frsize
    text = box.policy.read_text()
    box.policy.write_text(text.replace("free: 1 MiB", f"free: {min(free // (1 << 20) + 100, 1 << 19)} MiB"))
    told = ("publish-institution", "exchange", "admission")
    box.reload(*told[:2])
    until(lambda: all("configuration taken in" in box.log(name) for name in told), "all have the policy")
    make(box, tmp_path)
    missing = offer(box, tmp_path)[2]["missing"][0]
    status, _, answer = call(
        box, "PATCH", missing["upload"], (tmp_path / missing["path"]).read_bytes(), {**TUS, "Upload-Offset": "0"}
    )
    assert (status, answer["reason"]) == (507, "drop-full")
    box.policy.write_text(text)
    box.reload(*told[:2])
    until(lambda: all(box.log(name).count("configuration taken in") == 2 for name in told), "all have the policy")
    send_all(box, tmp_path, offer(box, tmp_path)[2])
    assert ends(box, until)["state"] == "accepted"


def test_malformed_requests_are_told_and_change_nothing(box, tmp_path):
    """Offsets of 2^63, foreign digests, wrong versions of the protocol, names that climb."""
    make(box, tmp_path)
    upload = offer(box, tmp_path)[2]["missing"][0]["upload"]
    huge = {**TUS, "Upload-Offset": str(1 << 63)}
    asks = [
        ("PATCH", upload, huge, 413),
        ("PATCH", upload, {**TUS, "Upload-Offset": "-1"}, 400),
        ("PATCH", upload, {**TUS, "Upload-Offset": "7"}, 409),
        ("PATCH", upload, {"Upload-Offset": "0"}, 412),
        ("PATCH", upload, {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": "text/plain"}, 415),
        ("PATCH", f"/releases/{CODE}/files/{'0' * 64}", {**TUS, "Upload-Offset": "0"}, 404),
        ("PATCH", f"/releases/{CODE}/files/..%2f..%2fpasswd", {**TUS, "Upload-Offset": "0"}, 404),
        ("POST", "/releases/..%2f..", {}, 400),
        ("POST", f"/releases/{OTHER}", {}, 403),
        ("GET", f"/releases/{OTHER}", {}, 404),
        ("GET", f"/releases/{CODE}?wait=-1", {}, 400),
    ]
    got = [(method, path, call(box, method, path, b"x" * 10, headers)[0]) for method, path, headers, _ in asks]

    assert got == [(method, path, status) for method, path, _, status in asks]
    assert call(box, "HEAD", upload, headers=TUS)[1]["Upload-Offset"] == "0"
    status, _, told = call(box, "POST", f"/releases/{CODE}", b"x", {"Content-Length": str(1 << 62)})
    assert (status, told["reason"]) == (413, "too-large")
    status, headers, _ = call(box, "OPTIONS", upload)
    assert (status, headers["Tus-Version"]) == (204, "1.0.0")


def test_a_tus_client_finds_its_file_by_name(box, tmp_path):
    """Creation answers where the file is to be sent; termination begins it anew."""
    make(box, tmp_path)
    offer(box, tmp_path)
    name = base64.b64encode(b"master.m3u8").decode()
    told = {
        "Tus-Resumable": "1.0.0",
        "Upload-Length": str(len(FILM["master.m3u8"])),
        "Upload-Metadata": f"filename {name}",
    }
    status, headers, _ = call(box, "POST", f"/releases/{CODE}/files", headers=told)
    assert (status, headers["Upload-Offset"]) == (201, "0")
    assert call(box, "PATCH", headers["Location"], b"#EX", {**TUS, "Upload-Offset": "0"})[1]["Upload-Offset"] == "3"
    assert call(box, "DELETE", headers["Location"], headers=TUS)[0] == 204
    assert call(box, "HEAD", headers["Location"], headers=TUS)[1]["Upload-Offset"] == "0"
    assert call(box, "DELETE", f"/releases/{CODE}")[0] == 204
    assert list((box.state / "drop" / "publish-institution").iterdir()) == []
