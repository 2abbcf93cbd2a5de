"""With ``trust:`` a release goes whole from its institution: its box hands the listing to the centre, and lets it in once that lists it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

import pytest

from appliance.identity.keys import PrivateKey
from gateway.release import folder as folders
from gateway.release import paths, signed
from gateway.release.manifest import Release, Rights
from tests.server.content import ceremony

from .conftest import Box, Centre

pytestmark = pytest.mark.server
CODE, OTHER, THIRD = "999999-100000000000001-4", "999999-100000000000002-3", "999999-100000000000003-2"
IN, OUT = "127.50.0.1", "127.10.0.1"


@pytest.fixture
def away(tmp_path_factory, broker):
    """A centre that keeps the trust repository, not started, and an institution's box; with the repository."""
    centre = Centre(tmp_path_factory.mktemp("c"), broker)
    box = Box(tmp_path_factory.mktemp("b"), "headend", broker, centre.regulator)
    trusted = ceremony.begin(box.chain.origin.folder / "trust", box.chain.key)
    trusted.online.save(centre.folder / "trust.key")
    settings = centre.folder / "controller.yaml"
    told = f"trust: {{key: {centre.folder / 'trust.key'}, folder: {trusted.folder}, every: 1}}\n"
    settings.write_text(settings.read_text() + told)
    port = box.chain.port
    text = box.chain.policy.read_text()
    zone = '  institution: {port: "02:68:67:32:00:0b", addresses: [127.50.0.1/24]}\nbodies:\n'
    services = (
        f"services:\n  in: {{zone: institution, run: publish, listen: tcp/{port}, from: [127.50.0.0/24]}}\n"
        f"  out: {{zone: culture, run: share, listen: tcp/{port}, from: [127.10.0.0/24]}}\n"
    )
    lanes = "lanes:\n  in: {from: institution, to: culture, kind: release, largest: 8 MiB}\n"
    for old, new in (("bodies:\n", zone), ("services:\n", services), ("lanes:\n", lanes)):
        text = text.replace(old, new, 1)
    important = "important: {outside: [culture], labels: [important], identifiers: []}\n"
    box.chain.policy.write_text(
        text + f"trust: {{root: {trusted.pin}, origin: centre}}\nstore: {{free: 1 MiB}}\n{important}"
    )
    centre.admit(box)
    with box:
        box.chain.start("publish", "institution")
        yield centre, box, trusted
    centre.daemon.kill()


def make(box, folder, code, **told):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "film.txt").write_text(f"刘三姐 {code}\n" * 100)
    fields = {
        "identifier": f"isli:{code}",
        "version": 1,
        "body": "library",
        "title": "刘三姐",
        "rights": Rights(zones=("bigscreen",)),
        "entry": "film.txt",
        "files": folders.gather(folder, folders.survey(folder)),
    }
    (folder / paths.MANIFEST).write_bytes(signed.seal(Release(**{**fields, **told}), box.chain.key))
    return folder


def headgate(*argv, **places):
    call = [str(Path(sys.executable).with_name("headgate")), *map(str, argv)]
    return subprocess.run(call, capture_output=True, text=True, timeout=60, check=False, env=os.environ | places)


def call(box, method, path, body=b"", host=IN):
    connection = HTTPConnection(host, box.chain.port, timeout=30)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        data = response.read()
        return response.status, json.loads(data) if data[:1] == b"{" else data
    finally:
        connection.close()


def test_a_release_goes_whole_from_its_institution(away, tmp_path, until):
    """The box says that it waits for the listing and keeps what came; the centre lists it without anybody's hand; the release is in, plays,
    and other boxes are given the metadata too. A stranger's key, important data and a disk are told apart."""
    centre, box, _ = away
    key = tmp_path / "library.pem"
    box.chain.key.save(key)
    stranger = tmp_path / "stranger.pem"
    PrivateKey.generate().save(stranger)
    at = f"http://{IN}:{box.chain.port}"

    film = make(box, tmp_path / "film", CODE)
    refused = headgate("release", "publish", film, "--box", at)
    assert "not-listed" in refused.stderr, refused.stderr
    refused = headgate("release", "publish", film, "--box", at, "--key", stranger)
    assert "wrong-key" in refused.stderr, refused.stderr
    secret = make(box, tmp_path / "secret", THIRD, labels=("important",))
    refused = headgate("release", "publish", secret, "--box", at, "--key", key)
    assert "important-data" in refused.stderr, refused.stderr
    assert not list((box.chain.state / "admission" / "trust").rglob("handed-in/*")), "nothing of it went on"

    waiting = headgate("release", "publish", film, "--box", at, "--key", key, "--wait", "1")
    assert waiting.returncode == 1
    assert "waiting-for-listing" in waiting.stderr, waiting.stderr
    _, told = call(box, "GET", f"/releases/{CODE}")
    assert (told["state"], told["missing"]) == ("waiting-for-listing", [])
    assert "has not named" in told["waits"]
    assert box.chain.stored() == set()
    box.kill("publish-institution")
    box.chain.start("publish", "institution")  # it goes on by itself also after a restart

    centre.daemon.start()
    until(lambda: call(box, "GET", f"/releases/{CODE}")[1].get("state") == "accepted", "it is in", 40)
    assert len(box.chain.stored()) == 1
    again = headgate("release", "publish", film, "--box", at, "--key", key, "--json")
    assert json.loads(again.stdout)["state"] == "accepted"
    until(lambda: box.chain.get(f"/r/{CODE}/film.txt").status == 200, "it plays")

    disk, copy = tmp_path / "disk", tmp_path / "copy"
    other = make(box, disk / OTHER, OTHER)
    assert headgate("release", "trust", "fetch", copy, "--from", centre.daemon.url).returncode == 0
    listed = headgate("release", "trust", "list", copy, other, "--key", key, "--beside")
    assert listed.returncode == 0, listed.stderr
    places = {"HEADGATE_RUN": str(box.chain.run), "HEADGATE_STATE": str(box.chain.state)}
    carried = headgate("box", "carry", disk, "--json", **places)
    assert [one["state"] for one in json.loads(carried.stdout)] == ["accepted"], carried.stderr

    box.chain.start("share", "culture", wait=False)
    until(lambda: central_answers(box), "share listens")
    status, stamp = call(box, "GET", "/trust/timestamp.json", host=OUT)
    assert status == 200
    snapshot = stamp["signed"]["meta"]["snapshot.json"]["version"]
    assert call(box, "GET", f"/trust/{snapshot}.snapshot.json", host=OUT)[0] == 200
    assert call(box, "GET", f"/trust/{snapshot + 1}.snapshot.json", host=OUT)[0] == 404
    (where,) = until(lambda: _stored(centre), "the centre knows that the box holds it whole", 30)["where"]
    assert (where["box"], where["held"]["objects"], where["held"]["of"]) == ("headend", 1, 1)
    assert call(box, "GET", "/trust/..%2f..%2fpasswd", host=OUT)[0] in (400, 404)


def _stored(centre):
    told = centre.get(f"/api/releases/{CODE}")
    return told if told["state"] == "stored" else None


def central_answers(box):
    try:
        return call(box, "GET", "/trust/1.root.json", host=OUT)[0] == 200
    except OSError:
        return False
