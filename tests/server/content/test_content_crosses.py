"""Screen -> object, with every process of the chain running."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import uuid
from base64 import b64encode
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from appliance.journal import tiles
from appliance.journal.verify import verify_folder
from appliance.telemetry.witnessing import read_asked
from gateway.release.chunks import FINEST
from gateway.resolver import published
from gateway.resolver.table import Table
from tests.registries import Registry, code, dump
from tests.server.content import media
from tests.server.content.conftest import BOTH_WAYS

pytestmark = pytest.mark.server
CODE = "999999-100000000000001-4"
SEGMENT, SMALL = media.sized(1_500_000), media.segment(b"small")
FILM = {"master.m3u8": b"#EXTM3U\n", "video/1.m4s": SEGMENT, "video/2.m4s": SMALL}


def reason(reply):
    return reply.status, json.loads(reply.body)["reason"]


def metric(chain, unit, name):
    path = chain.run / "metrics" / unit / f"{unit}.prom"
    return path.read_text() if path.exists() and name in path.read_text() else ""


@BOTH_WAYS
def test_first_request_misses_and_second_comes_from_the_store(chain, until):
    """The first request crosses the exchange and is stored; the second does not, and other zones share the object."""
    chain.publish(FILM)
    first, second = chain.play("video/1.m4s"), chain.play("video/1.m4s")
    assert (first.status, first.body, first.headers["Cache-Status"]) == (200, SEGMENT, "headgate; fwd=miss; stored")
    assert (second.body, second.headers["Cache-Status"]) == (SEGMENT, "headgate; hit")
    assert second.headers["ETag"] == f'"{hashlib.sha256(SEGMENT).hexdigest()}"'
    assert second.headers["Repr-Digest"] == f"sha-256=:{b64encode(hashlib.sha256(SEGMENT).digest()).decode()}:"
    assert second.headers["Content-Type"] == "video/iso.segment"
    assert chain.play("video/1.m4s", zone="smallscreen").headers["Cache-Status"] == "headgate; hit"
    assert chain.origin.asked[f"/releases/{CODE}/video/1.m4s"] == 1
    until(lambda: metric(chain, "delivery-bigscreen", 'status="200"'), "metrics of delivery")


@BOTH_WAYS
def test_what_a_player_tells_is_counted_and_splits_nothing(chain, until):
    """Two players tell each its own CMCD with the same file: one request to the origin, two sessions."""
    chain.publish(FILM)
    for session in ("a", "b"):
        assert chain.play(f"video/2.m4s?CMCD=br%3D800%2Csid%3D%22{session}%22").body == SMALL
    assert chain.origin.asked[f"/releases/{CODE}/video/2.m4s"] == 1
    until(
        lambda: metric(chain, "delivery-bigscreen", 'headgate_delivery_sessions{screen="big",zone="bigscreen"} 2.0'),
        "two sessions",
    )
    assert metric(
        chain,
        "delivery-bigscreen",
        f'title_bitrate_bits_sum_total{{release="{CODE}",screen="big",zone="bigscreen"}} 1.6e+06',
    )


def test_every_crossing_is_in_a_journal_that_verifies(chain, until):
    """Release and object, for each zone that is given them, and a refusal: signed by the exchange, published for the witnesses."""
    chain.publish(FILM)
    for zone in ("bigscreen", "smallscreen"):
        assert chain.play("video/1.m4s", zone=zone).status == 200
    assert reason(chain.ask("delivery-bigscreen", "object", {"release": CODE, "path": "none"}))[1] == "unknown-path"
    folder, digest = chain.state / "journal" / "exchange", hashlib.sha256(SEGMENT).hexdigest()
    entries = tiles.told(folder)
    told = {(e["decision"], e.get("zone"), e.get("sha256"), e["reason"]) for e in entries}
    assert {
        ("admit", None, None, "verified"),
        ("pass", "bigscreen", None, "verified"),
        ("pass", "smallscreen", None, "verified"),
        ("pass", "bigscreen", digest, "verified"),
        ("refuse", "bigscreen", None, "unknown-path"),
    } <= told
    until(
        lambda: "guard" not in read_asked(chain.run) and read_asked(chain.run)["exchange"].key, "the checkpoint leaves"
    )
    report = verify_folder(folder, read_asked(chain.run)["exchange"].key)
    assert (report.faults, report.signed) == ([], len(entries))


@BOTH_WAYS
def test_twenty_misses_are_one_request_to_the_origin(chain):
    """Twenty screens that miss at once cost one origin request, and all get the whole segment."""
    chain.publish(FILM)
    chain.play("master.m3u8")
    chain.origin.hold = 0.5
    with ThreadPoolExecutor(20) as screens:
        replies = list(screens.map(lambda _: chain.play("video/1.m4s"), range(20)))
    assert {(reply.status, reply.body == SEGMENT) for reply in replies} == {(200, True)}
    assert chain.origin.asked[f"/releases/{CODE}/video/1.m4s"] == 1


def test_fill_goes_on_when_the_first_screen_leaves(chain, until):
    """A screen that leaves during the miss does not stop the fill that others wait for."""
    chain.publish(FILM)
    chain.play("master.m3u8")
    chain.origin.hold = 1.0
    with socket.create_connection(("127.20.0.1", chain.port)) as screen:
        screen.sendall(f"GET /r/{CODE}/video/1.m4s HTTP/1.1\r\nHost: box\r\n\r\n".encode())
        until(lambda: chain.origin.asked[f"/releases/{CODE}/video/1.m4s"], "the origin is asked")
    digest = hashlib.sha256(SEGMENT).hexdigest()
    until(lambda: digest in chain.stored(), "the object is stored")
    until(lambda: chain.play("video/1.m4s").headers["Cache-Status"] == "headgate; hit", "it is there for all")
    assert chain.origin.asked[f"/releases/{CODE}/video/1.m4s"] == 1


def test_plays_with_the_origin_away_also_after_a_restart(chain):
    """What was played once plays with the origin away, also when every daemon was started again."""
    chain.publish(FILM)
    for path in FILM:
        chain.play(path)
    chain.origin.stop()
    assert chain.play("video/1.m4s").body == SEGMENT
    for name in ("delivery-bigscreen", "exchange", "fetch"):
        assert chain.stop(name) == 0, chain.log(name)
    chain.start("fetch")
    chain.start("exchange")
    chain.start("delivery", "bigscreen")
    for path, data in FILM.items():
        reply = chain.play(path)
        assert (reply.status, reply.body) == (200, data)
    assert reason(chain.get("/r/999999-123456789012345-8/master.m3u8")) == (504, "unreachable")


@pytest.mark.parametrize("change", ["flip", "shorter", "longer"])
def test_tampered_segment_is_refused_and_never_stored(chain, change, until):
    """A segment of one chunk that was changed at the origin is refused with the reason, recorded, and not stored."""
    segment = media.sized(FINEST)
    chain.publish({**FILM, "video/1.m4s": segment})
    path = chain.origin.folder / "releases" / CODE / "video" / "1.m4s"
    path.write_bytes(
        {"flip": bytes([segment[0] ^ 1]) + segment[1:], "shorter": segment[:-1], "longer": segment + b"x"}[change]
    )
    before = chain.play("master.m3u8") and chain.stored()
    assert reason(chain.play("video/1.m4s")) == (502, "digest-mismatch")
    assert chain.stored() == before
    assert not list((chain.state / "store" / "incoming").iterdir())
    audit = until(lambda: [r for r in chain.records("audit") if r.body["reason"] == "digest-mismatch"], "audit record")
    assert audit[0].body["path"] == "video/1.m4s"
    path.write_bytes(segment)
    assert chain.play("video/1.m4s").body == segment


def test_unadmitted_bodies_and_foreign_keys_are_refused(chain):
    """A release of an unadmitted body, under a stranger's key, or outside the body's identifiers never comes in."""
    chain.publish(FILM, body="stranger", key=chain.stranger)
    assert reason(chain.play("master.m3u8")) == (403, "not-admitted")
    chain.publish(FILM, code="999999-123456789012345-8", key=chain.stranger)
    assert reason(chain.get("/r/999999-123456789012345-8/master.m3u8")) == (403, "not-signed")
    chain.publish(FILM, code="999999-000000000000001-5")
    assert reason(chain.get("/r/999999-000000000000001-5/master.m3u8")) == (403, "outside-identifiers")
    assert chain.stored() == set()
    assert {r.body["reason"] for r in chain.records("audit")} >= {"not-admitted", "not-signed", "outside-identifiers"}


def test_rights_lanes_and_sizes_hold_for_each_zone(chain):
    """A zone that the rights do not grant, a file larger than the lane, and names that do not exist are refused."""
    chain.publish({**FILM, "huge.mp4": bytes((4 << 20) + 1)}, rights={"zones": ["bigscreen"]})
    assert chain.play("master.m3u8").status == 200
    assert reason(chain.play("master.m3u8", zone="smallscreen")) == (403, "zone-not-granted")
    assert reason(chain.play("huge.mp4")) == (413, "too-large")
    assert reason(chain.play("absent.m4s")) == (404, "unknown-path")
    assert reason(chain.play("..%2f..%2fetc%2fpasswd")) == (400, "bad-request")
    assert reason(chain.play("release.json")) == (400, "bad-request")
    assert reason(chain.get("/r/999999-123456789012345-8/master.m3u8")) == (404, "unknown-release")
    assert reason(chain.get("/r/999999-100000000000001-5/master.m3u8")) == (400, "bad-request")


def test_a_lane_lets_no_more_objects_pass_than_its_rate(chain, until):
    """The third object within a minute is refused with the reason, also to the screen; what crossed already is served on."""
    chain.publish(FILM)
    chain.stop("exchange")
    chain.stop("admission")
    lane = "to: bigscreen, kind: release, largest: 4 MiB"
    chain.write_policy(lambda text: text.replace(lane, f"{lane}, rate: 2/min"))
    chain.start("admission")
    chain.start("exchange")
    assert [chain.play(path).status for path in ("master.m3u8", "video/1.m4s")] == [200, 200]
    assert reason(chain.play("video/2.m4s")) == (503, "too-fast")
    assert chain.play("video/1.m4s").status == 200
    assert chain.play("video/2.m4s", zone="smallscreen").status == 200  # another lane


def test_new_version_replaces_and_an_older_one_never_comes_back(chain, until):
    """A newer version is taken in within seconds; an origin that goes back to the older one is not followed."""
    chain.publish(FILM)
    folder = chain.origin.folder / "releases" / CODE
    old = (folder / "release.json").read_bytes()
    assert chain.play("master.m3u8").body == b"#EXTM3U\n"
    until(
        lambda: chain.play("master.m3u8") and chain.origin.unchanged[f"/releases/{CODE}/release.json"],
        "the origin is asked whether there is a newer version",
    )
    chain.publish({**FILM, "master.m3u8": b"#EXTM3U\n#2\n"}, version=2)
    until(lambda: chain.play("master.m3u8").body == b"#EXTM3U\n#2\n", "version 2 is served")
    (folder / "release.json").write_bytes(old)
    os.utime(folder / "release.json")
    until(
        lambda: (
            chain.play("master.m3u8") and [r for r in chain.records("audit") if r.body["reason"] == "older-version"]
        ),
        "the older version is refused",
    )
    assert chain.play("master.m3u8").body == b"#EXTM3U\n#2\n"


@pytest.mark.parametrize(
    ("headers", "status", "first", "last"),
    [
        ({"Range": "bytes=0-"}, 206, 0, 1_499_999),
        ({"Range": "bytes=100-199"}, 206, 100, 199),
        ({"Range": "bytes=-5"}, 206, 1_499_995, 1_499_999),
        ({"Range": "bytes=1400000-9999999"}, 206, 1_400_000, 1_499_999),
    ],
)
def test_ranges_of_a_cold_object_fill_the_store(chain, headers, status, first, last):
    """A range of an object that is not here yet gives its bytes, and fills the store with the whole."""
    chain.publish(FILM)
    reply = chain.play("video/1.m4s", headers=headers)
    assert (reply.status, reply.body == SEGMENT[first : last + 1]) == (status, True)
    if status == 206:
        assert reply.headers["Content-Range"] == f"bytes {first}-{last}/1500000"
    assert chain.play("video/1.m4s").headers["Cache-Status"] == "headgate; hit"
    assert chain.origin.asked[f"/releases/{CODE}/video/1.m4s"] == 1


@BOTH_WAYS
def test_conditions_heads_and_preflights(chain):
    """A screen that has the object gets 304; HEAD gives the length alone; a page of any address may play; bad ranges get 416."""
    chain.publish(FILM)
    etag = chain.play("video/1.m4s").headers["ETag"]
    assert chain.play("video/1.m4s", headers={"If-None-Match": etag}).status == 304
    head = chain.play("video/1.m4s", method="HEAD")
    assert (head.status, head.headers["Content-Length"], head.body) == (200, "1500000", b"")
    assert chain.play("video/1.m4s", method="OPTIONS").headers["Access-Control-Allow-Origin"] == "*"
    beyond = chain.play("video/1.m4s", headers={"Range": "bytes=1500000-"})
    assert (beyond.status, beyond.headers["Content-Range"]) == (416, "bytes */1500000")
    assert "国家文化专网" in chain.get("/").body.decode()


@BOTH_WAYS
def test_usage_records_tell_the_exact_bytes(chain, until):
    """Deliveries that are alike become one record of the spool with the bytes that left; a broken-off one tells fewer than the whole."""
    chain.publish({**FILM, "long.mp4": media.sized(4 << 20)})
    chain.play("video/1.m4s")
    chain.play("video/1.m4s", headers={"Range": "bytes=0-99"})
    chain.play("video/2.m4s")
    with socket.socket() as screen:
        screen.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        screen.connect(("127.20.0.1", chain.port))
        screen.sendall(f"GET /r/{CODE}/long.mp4 HTTP/1.1\r\nHost: box\r\n\r\n".encode())
        got = b""
        while len(got.partition(b"\r\n\r\n")[2]) < 1000:  # some of the content, and not of the head alone
            got += screen.recv(1000)
    files: Counter[tuple[str, int, str, int]] = Counter()
    for body in chain.used(4):
        assert {body[name] for name in ("zone", "body", "release", "screen")} == {"bigscreen", "library", CODE, "big"}
        for path, (requests, sent) in body["files"].items():
            files[path, body["status"], body["cache"], requests] += sent
    long = files.pop(("long.mp4", 200, "miss", 1))
    assert files == {
        ("video/1.m4s", 200, "miss", 1): 1_500_000,
        ("video/1.m4s", 206, "hit", 1): 100,
        ("video/2.m4s", 200, "miss", 1): len(SMALL),
    }
    assert 0 < long < 4 << 20


def test_exchange_killed_in_the_middle_is_not_noticed(chain, until):
    """kill -9 of the exchange: hits go on, records wait and arrive once, and a fill begun anew leaves nothing torn."""
    chain.publish(FILM)
    chain.play("video/1.m4s")
    chain.play("master.m3u8")
    chain.origin.hold = 1.0
    with ThreadPoolExecutor(1) as screens:
        missing = screens.submit(chain.play, "video/2.m4s")
        until(lambda: chain.origin.asked[f"/releases/{CODE}/video/2.m4s"], "the origin is asked")
        chain.stop("exchange", signal.SIGKILL)
        assert chain.play("video/1.m4s").body == SEGMENT
        chain.origin.hold = 0.0
        chain.start("exchange")
        assert missing.result().body == SMALL
    assert sum(body["requests"] for body in chain.used(4)) == 4
    assert not list((chain.state / "store" / "incoming").iterdir())


def test_peer_speaks_only_for_its_own_zone(chain):
    """A record that tells another source, zone or kind than the socket's is refused."""

    def tell(**changed):
        told = {
            "id": str(uuid.uuid4()),
            "kind": "usage",
            "time": "2026-11-23T08:00:00Z",
            "source": "delivery/bigscreen",
            "body": {"zone": "bigscreen"},
        }
        return chain.ask("delivery-bigscreen", "record", {**told, **changed}).status

    assert tell() == 204
    assert tell(source="delivery/smallscreen") == 400
    assert tell(body={"zone": "smallscreen"}) == 400
    assert tell(kind="audit") == 400
    assert tell(id="x") == 400
    assert len(chain.records("usage")) == 1


def test_policy_taken_in_while_running_opens_and_closes_sockets(chain, until):
    """SIGHUP with a policy that no longer admits the body stops its releases, and a zone that is gone loses its socket."""
    chain.publish(FILM)
    assert chain.play("master.m3u8").status == 200
    gone = chain.run / "exchange" / "delivery-smallscreen" / "exchange.sock"
    inode = gone.parent.stat().st_ino

    def change(text):
        kept = [line for line in text.splitlines() if "smallscreen" not in line or "{{" in line]
        return "\n".join(kept).replace("acts: [share]", "acts: [associate]")

    chain.write_policy(change)
    chain.reload("exchange")
    until(lambda: not gone.exists(), f"the socket is closed: {chain.log('exchange')}")
    chain.processes["delivery-bigscreen"].send_signal(signal.SIGHUP)
    until(lambda: chain.play("master.m3u8").status == 403, "the release is refused")
    assert gone.parent.stat().st_ino == inode
    chain.write_policy()
    chain.reload("exchange")
    until(lambda: gone.exists() and chain.play("master.m3u8").status == 200, "it is admitted again")


def test_bad_policy_is_refused_and_the_last_good_one_stays(chain, until):
    """SIGHUP with a broken policy is reported, and the chain goes on under the last good one."""
    chain.publish(FILM)
    chain.policy.write_text("site: [")
    chain.reload("exchange")
    until(lambda: "last good one stays" in chain.log("exchange"), "the refusal is reported")
    assert chain.play("master.m3u8").status == 200


def test_table_of_identifiers_follows_the_registry(chain, until):
    """Changes are taken in by themselves and on a look-up; what a stranger signs, and a log that goes back, are not."""
    folder = chain.state / "identifiers"
    registry = Registry(chain.origin.folder / "registry", chain.key)

    def size():
        info = Table.open(folder).info()
        return info.size if info else 0

    def look_up():
        return json.loads(chain.ask("resolver-bigscreen", "lookup", {"code": code(1)}).body).get("fresh")

    registry.change([dump(1, "one"), dump(2)])
    until(lambda: size() == 2, "the table is taken in")
    old = registry.read("head.json")
    registry.change([dump(1, "two")])
    until(lambda: look_up() and size() == 3, "a look-up makes it new")
    assert Table.open(folder).raw(code(1)) == dump(1, "two")
    registry.change([dump(n) for n in range(3)])
    until(lambda: size() == 6, "changes follow")
    chain.write_policy(lambda text: text.replace("origin: centre}", 'origin: centre, ranges: ["isli:999999-0"]}'))
    chain.reload("exchange", "replica", "fetch")
    until(lambda: look_up() is True and Table.open(folder).info().ranges == ("isli:999999-0",), "only a range is kept")
    far = code(5, "888888")
    registry.change([dump(5, service="888888")])
    registry.write(f"lookup/{far}", registry.look(far))
    registry.write(f"lookup/{code(6, '888888')}", registry.look(far))
    told = json.loads(chain.ask("resolver-bigscreen", "lookup", {"code": far}).body)
    assert told["answer"] == {"record": dump(5, service="888888").decode(), "made": registry.made.isoformat()}
    lie = chain.ask("resolver-bigscreen", "lookup", {"code": code(6, "888888")})
    assert reason(lie) == (502, "registry-damaged")
    lot = "gs1:01/06901234567892/10/A1?17=261231"
    registry.write(published.lookup_path(lot), registry.look(lot))
    assert json.loads(chain.ask("resolver-bigscreen", "lookup", {"code": lot}).body)["answer"]["record"] is None
    until(lambda: size() == 7, "the table knows of the change, but does not keep it")
    assert Table.open(folder).raw(far) is None
    registry.key = chain.stranger
    registry.change([dump(9)])
    until(lambda: not look_up(), "a stranger's head is refused")
    registry.write("head.json", old)
    until(
        lambda: [r for r in chain.records("audit") if r.body["reason"] == "rewound-log"],
        "a log that goes back is refused",
    )
    assert size() == 7
    assert not look_up()
    assert "not-signed" in {r.body["reason"] for r in chain.records("audit")}
    assert reason(chain.ask("resolver-bigscreen", "lookup", {"code": "isli:1"})) == (400, "not-a-code")
    assert reason(chain.ask("delivery-smallscreen", "lookup", {"code": f"isli:{CODE}"})) == (403, "no-lane")
    chain.origin.stop()
    until(lambda: not look_up(), "the registry is away")
    assert size() == 7


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        ("release", {}),
        ("release", {"release": "../x"}),
        ("release", {"release": CODE, "origin": "centre"}),
        ("release", [CODE]),
        ("object", {"release": CODE, "path": ""}),
        ("object", {"release": CODE, "path": 7}),
        ("object", {"release": CODE, "path": "x" * 600}),
        ("lookup", {}),
        ("record", {}),
        ("record", [1]),
    ],
)
def test_wrong_requests_are_refused_and_hurt_nobody(shared, ask, told):
    """A request that is not of the contract is a bad request, whoever sends it."""
    assert reason(shared.ask("delivery-bigscreen", ask, told)) == (400, "bad-request")
