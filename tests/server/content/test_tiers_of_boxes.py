"""Boxes that fetch from boxes: once from the origin, past parents that fail or lie, and never in a circle."""

from __future__ import annotations

import contextlib
import json
import socket
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from appliance.identity.keys import PrivateKey
from gateway.release.manifest import Rights
from gateway.release.trust import repository
from gateway.resolver.table import Table
from tests.registries import Registry, code, dump
from tests.server.content import ceremony, media
from tests.server.content.conftest import Chain, give_order
from tests.server.content.network import DAEMONS, Network

pytestmark = pytest.mark.server
SEGMENT = media.sized(700_000)
FILES = {
    "a.mp4": SEGMENT,
    "b.mp4": SEGMENT[:-1] + b"!",
    "c.mp4": media.segment(b"small"),
    "d.mp4": media.sized(699_999),
}


@pytest.fixture
def network(tmp_path_factory):
    with Network(tmp_path_factory.mktemp("n")) as network:
        yield network


@pytest.fixture
def family(network):
    """A parent that asks the origin, and a child that asks the parent first."""
    parent, child = network.box("hub", 2), network.box("village", 3)
    parent.ask_these({"centre": network.centre})
    child.ask_these({"hub": parent.as_parent(), "centre": network.centre})
    parent.start(*DAEMONS, "share")
    child.start(*DAEMONS)
    return parent, child


def test_a_child_takes_from_its_parent_and_the_origin_is_asked_once(network, family):
    """What one box fetched the others get from there; releases, objects, parts and what is unchanged are served as at an origin."""
    parent, child = family
    release = network.publish(FILES)
    path = f"/releases/{release.code}/a.mp4"

    assert json.loads(child.want(release, "a.mp4").body.splitlines()[0])["from"] == "origin"
    assert child.object(release, "a.mp4").read_bytes() == parent.object(release, "a.mp4").read_bytes() == SEGMENT
    other = parent.get(path)  # another box of the network
    assert (other.status, other.body, other.headers["Cache-Status"]) == (200, SEGMENT, "headgate; hit")
    assert network.origin.asked[path] == 1

    part = parent.get(path, {"Range": "bytes=5-9"})
    assert (part.status, part.body, part.headers["Content-Range"]) == (206, SEGMENT[5:10], f"bytes 5-9/{len(SEGMENT)}")
    assert parent.get(path, {"If-None-Match": other.headers["ETag"]}).status == 304
    envelope = parent.get(f"/releases/{release.code}/release.json")
    assert envelope.body == (network.origin.folder / "releases" / release.code / "release.json").read_bytes()
    assert int(envelope.headers["Age"]) <= 5
    assert (
        parent.get(f"/releases/{release.code}/release.json", {"If-None-Match": envelope.headers["ETag"]}).status == 304
    )
    assert parent.get(f"/releases/{release.code}/none.mp4").status == 404
    assert parent.get(f"/releases/{release.code}/../etc/passwd").status in (400, 404)
    assert parent.get("/r/x/y").status == 404


def test_a_parent_that_dies_is_passed_over(network, family, until):
    """The origin serves what the parent would have; when it is back, and has rested, it is asked again."""
    parent, child = family
    names = [f"{number}.txt" for number in range(400)]
    release = network.publish({name: name.encode() for name in names})
    assert child.want(release, names.pop()).status == 200
    parent.kill("share")

    lost = names.pop()
    assert child.want(release, lost).status == 200
    assert not parent.object(release, lost).exists()

    parent.start("share")

    def asked_again():
        assert child.want(release, names[-1]).status == 200
        return parent.object(release, names.pop()).exists()

    until(asked_again, "the parent is asked again")


def test_what_breaks_off_is_asked_again_elsewhere(network):
    """A parent that ends in the middle of an object rests, and the origin gives the whole."""

    def half(request):
        if request.path.endswith("release.json"):
            request.send_error(404)
            return
        request.send_response(200)
        request.send_header("Content-Length", str(len(SEGMENT)))
        request.end_headers()
        request.wfile.write(SEGMENT[: len(SEGMENT) // 2])
        request.close_connection = True

    parent = network.server(half, "127.10.0.9")
    child = network.box("village", 3)
    told = {"address": parent.address, "port": parent.port, "role": "parent"}
    child.ask_these({"hub": told, "centre": network.centre})
    child.start(*DAEMONS)
    release = network.publish(FILES)

    assert child.want(release, "a.mp4").status == 200
    assert child.object(release, "a.mp4").read_bytes() == SEGMENT
    assert parent.asked[f"/releases/{release.code}/a.mp4"] == 1


def test_wrong_bytes_of_a_parent_are_refused_and_the_next_is_asked(network, family):
    """A parent whose disk was changed serves what has another digest: told by name, and the origin has the right bytes."""
    parent, child = family
    release = network.publish(FILES)
    assert parent.get(f"/releases/{release.code}/a.mp4").status == 200
    parent.object(release, "a.mp4").write_bytes(b"x" * len(SEGMENT))

    assert child.want(release, "a.mp4").status == 200
    assert child.object(release, "a.mp4").read_bytes() == SEGMENT
    assert ("digest-mismatch", "hub") in child.refusals()
    assert network.origin.asked[f"/releases/{release.code}/a.mp4"] == 2


def test_a_ring_of_parents_ends_at_the_origin(network):
    """Three boxes, each the parent of the next, all asked at once for the same: no question goes round, and nobody waits for long."""
    boxes = [network.box(name, number) for number, name in enumerate(("north", "east", "south"), 2)]
    for box, parent in zip(boxes, (*boxes[1:], boxes[0]), strict=True):
        box.ask_these({parent.name: parent.as_parent(), "centre": network.centre})
    for box in boxes:
        box.start(*DAEMONS, "share")
    release = network.publish(FILES)

    began = time.monotonic()
    with ThreadPoolExecutor() as pool:
        replies = list(pool.map(lambda box: box.want(release, "a.mp4"), boxes))
    assert [reply.status for reply in replies] == [200] * 3
    assert time.monotonic() - began < 12
    assert all(box.object(release, "a.mp4").read_bytes() == SEGMENT for box in boxes)

    assert (
        boxes[0].want(release, "b.mp4").status == 200
    )  # now one alone: round the ring, and from the last to the origin
    assert network.origin.asked[f"/releases/{release.code}/b.mp4"] == 1
    told = boxes[0].get(
        f"/releases/{release.code}/c.mp4", {"CDN-Loop": "other, headgate;site=east, headgate;site=north"}
    )
    assert (told.status, json.loads(told.body)["reason"]) == (508, "loop")
    assert network.origin.asked[f"/releases/{release.code}/c.mp4"] == 0

    (network.origin.folder / "releases" / release.code / "d.mp4").unlink()
    began = time.monotonic()
    assert boxes[0].want(release, "d.mp4").status == 404  # nobody has it, and nobody asks for ever
    assert time.monotonic() - began < 12


def test_a_parent_that_lost_its_own_line_holds_nothing_back(network):
    """What it heard of too long ago is not taken while an origin knows better, and is better than nothing else."""
    release = network.publish(FILES)
    old = (network.origin.folder / "releases" / release.code / "release.json").read_bytes()
    network.publish(FILES, version=2)

    def answer(request):
        request.send_response(200)
        request.send_header("Content-Length", str(len(old)))
        request.send_header("Age", "40")
        request.end_headers()
        request.wfile.write(old)

    parent = network.server(answer, "127.10.0.9")
    told = {"address": parent.address, "port": parent.port, "role": "parent"}
    for name, number, origins, version in (
        ("village", 3, {"hub": told, "centre": network.centre}, 2),
        ("island", 4, {"hub": told}, 1),
    ):
        child = network.box(name, number)
        child.ask_these(origins)
        child.start(*DAEMONS)
        assert json.loads(child.ask("release", {"release": release.code}).body)["version"] == version
        assert parent.asked[f"/releases/{release.code}/release.json"]


def test_a_parent_passes_the_registry_on(network, until):
    """As it was published; the child verifies it again, and is told when it has not changed."""
    parent, child = network.box("hub", 2), network.box("village", 3)
    parent.ask_these({"centre": network.centre}, registry="centre")
    child.ask_these({"hub": parent.as_parent()}, registry="hub")
    parent.start(*DAEMONS, "share")
    assert parent.get("/registry/head.json").status == 404
    registry = Registry(network.origin.folder / "registry", network.key)
    registry.change(dump(n) for n in range(300))

    got = until(lambda: (r := parent.get("/registry/head.json")).status == 200 and r, "the parent has it")
    assert got.body == registry.read("head.json")
    assert parent.get("/registry/head.json", {"If-None-Match": got.headers["ETag"]}).status == 304
    child.start(*DAEMONS)
    folder = child.state / "identifiers"
    until(lambda: (info := Table.open(folder).info()) and info.root == registry.root(), "the child took it in")
    assert Table.open(folder).raw(code(299)) == dump(299)


def test_what_other_boxes_are_given_counts_as_use(network, family, until):
    """A parent keeps what its children ask for, although no screen of its own does."""
    parent, _ = family
    release = network.publish(FILES)
    for _ in range(2):
        assert parent.get(f"/releases/{release.code}/a.mp4").status == 200

    def frequency():
        with contextlib.closing(sqlite3.connect(parent.state / "store" / "index.db")) as db:
            digest = bytes.fromhex(release.files["a.mp4"].sha256)
            return db.execute("SELECT frequency FROM objects WHERE digest = ?", (digest,)).fetchone()

    until(lambda: frequency() == (1,), "the object is in the index, and its use is written down")


def test_what_goes_to_another_box_is_cut_off_when_it_is_withdrawn(network, until):
    """A film that is under way breaks off, the proof counts it and says that share did so, and nothing more of it is shared."""
    parent, regulator = network.box("hub", 2), PrivateKey.generate()
    parent.ask_these({"centre": network.centre})
    text = parent.policy.read_text().replace("largest: 16 MiB", "largest: 64 MiB")
    parent.policy.write_text(text + f'orders: {{keys: {{regulator: "{regulator.public}"}}}}\n')
    parent.start(*DAEMONS, "share")
    assert give_order(parent, regulator, 0)["refused"] is None
    release = network.publish({"a.mp4": media.sized(32 << 20)})  # larger than what two sockets hold
    path = f"/releases/{release.code}/a.mp4"
    with socket.create_connection((parent.address, parent.port), 20) as child:
        child.sendall(f"GET {path} HTTP/1.1\r\nHost: hub\r\n\r\n".encode())
        received = len(child.recv(1024))
        until(lambda: parent.object(release, "a.mp4").exists(), "it is stored")
        give_order(parent, regulator, 1, release.code)
        with contextlib.suppress(ConnectionError):
            while data := child.recv(1 << 16):
                received += len(data)
    assert received < 32 << 20
    (entry,) = [r.body for r in Chain.records(parent, "audit") if r.body["decision"] == "withdraw"]
    assert (entry["stopped"], "share-culture" in entry["confirmed"], entry["objects"]) == (1, True, 1)
    assert parent.get(path).status == parent.get(f"/releases/{release.code}/release.json").status == 451


def test_a_parent_shares_only_what_its_lanes_let_pass(network, family):
    """A release for zones that the box does not serve is somebody else's to give."""
    parent, _ = family
    release = network.publish(FILES, rights=Rights(zones=("smallscreen",)))
    told = parent.get(f"/releases/{release.code}/a.mp4")

    assert (told.status, json.loads(told.body)["reason"]) == (403, "zone-not-granted")


def test_a_child_has_trust_metadata_from_its_parent_while_the_origin_is_away(network, until):
    """A box that never saw the repository admits what its parent has, verified from the pinned root on; a parent that shows it an older
    state afterwards brings nothing new in."""
    release = network.publish({"a.txt": b"a", "b.txt": b"b"})
    trust = ceremony.begin(network.origin.folder / "trust", network.key)
    trust.list(network.origin.folder / "releases" / release.code)
    old = {path.name: path.read_bytes() for path in trust.folder.iterdir()}
    parent, child = network.box("hub", 2), network.box("village", 3)
    parent.ask_these({"centre": network.centre})
    child.ask_these({"hub": parent.as_parent(), "centre": network.centre})
    for box in (parent, child):
        box.policy.write_text(box.policy.read_text() + f"trust: {{root: {trust.pin}, origin: centre}}\n")
    repository.refresh(trust.folder, trust.online, force=True)
    parent.start(*DAEMONS, "share")
    for name in ("a.txt", "b.txt"):
        assert parent.want(release, name).status == 200
    network.origin.stop()
    child.start(*DAEMONS)

    assert until(lambda: child.want(release, "a.txt").status == 200, "the child has it")
    parent.kill("share")
    liar = network.server(lambda request: _answer(request, old), parent.address)
    later = network.publish({"c.txt": b"c"}, code="999999-100000000000002-3")
    told = (network.origin.folder / "releases" / later.code / "release.json").read_bytes()
    old |= {"release.json": told}
    others = json.dumps({"hub": {**parent.as_parent(), "port": liar.port}, "centre": network.centre})
    child.policy.write_text(
        "\n".join(
            f"origins: {others}" if line.startswith("origins:") else line
            for line in child.policy.read_text().splitlines()
        ).replace(
            f'"to": ["{parent.address}"], "port": "tcp/{parent.port}"',
            f'"to": ["{parent.address}"], "port": "tcp/{liar.port}"',
        )
        + "\n"
    )
    for daemon in ("fetch", "admission", "exchange"):
        child.kill(daemon)
    child.start("fetch", "admission", "exchange")
    refused = child.want(later, "c.txt")
    assert json.loads(refused.body)["reason"] == "older-metadata"
    assert child.want(release, "a.txt").status == 200, "and what was admitted plays on"


def _answer(request, files):
    data = files.get(request.path.rpartition("/")[2])
    request.send_response(200 if data is not None else 404)
    request.send_header("Content-Length", str(len(data or b"")))
    request.end_headers()
    request.wfile.write(data or b"")
