"""An order to withdraw, from the regulator's command line to the proof of a box, by real processes."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from datetime import datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from appliance.identity.keys import PrivateKey
from gateway.permission.door import NAME
from gateway.permission.naming import named
from gateway.release import orders
from gateway.release.orders import Order, What
from tests.server.content.test_tokens import token

pytestmark = [pytest.mark.server]
CODE, OTHER = "999999-100000000000001-4", "999999-100000000000002-3"
ADDRESS = "127.20.0.1"


def told(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """Return what a command printed, line by line."""
    assert done.stdout, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def behind_a_door(box, folder: Path, *subjects: str) -> list[str]:
    """Have phones show a token, and return one of each subject."""
    portal, keyfile = PrivateKey.generate(), folder / "portal.key"
    portal.save(keyfile)
    door = f'permission: {{zones: [smallscreen], issuers: {{portal: {{keys: ["{portal.public}"]}}}}}}\n'
    box.chain.policy.write_text(box.chain.policy.read_text() + door)
    box.chain.reload("exchange", "delivery-smallscreen")
    return [token(keyfile, CODE, "--subject", subject) for subject in subjects]


def phone(box, text: str):
    """Ask as a phone that shows the token ``text``."""
    return box.chain.play("a.txt", zone="smallscreen", headers={NAME: text})


def answered(box, text: str) -> int:
    """Return the status that a phone gets, 0 where nobody answers yet."""
    try:
        return phone(box, text).status
    except (ConnectionError, HTTPException):
        return 0


def reason(reply) -> tuple[int, str]:
    return reply.status, json.loads(reply.body)["reason"]


def test_a_release_is_withdrawn_and_proved(centre, box, tmp_path):
    """A release that plays is refused after the order, its bytes are gone, and the box's journal proves it to anybody; a
    reinstated one plays again."""
    box.chain.publish({"a.txt": b"a" * 100_000})
    assert box.chain.play("a.txt").status == 200
    assert box.chain.stored()

    done = centre.order("withdraw", CODE)

    assert done.returncode == 0, done.stderr
    order, proof, end = told(done)
    assert (order["serial"], proof["box"], end["missing"]) == (1, "headend", [])
    assert (proof["objects"], proof["bytes"], proof["releases"]) == (1, 100_000, [CODE])
    assert box.chain.stored() == set()
    assert reason(box.chain.play("a.txt")) == (451, "withdrawn")
    key = (box.chain.state / "journal" / "exchange" / "key.pub").read_text().strip()
    headgate = str(Path(sys.executable).with_name("headgate"))
    argv = [headgate, "release", "orders", "1", "--at", centre.daemon.url, "--proofs", str(tmp_path / "proofs")]
    subprocess.run(argv, check=True, capture_output=True)
    verify = [headgate, "release", "verify-proof", str(tmp_path / "proofs" / "1-headend.tlog-proof"), "--json", "--key"]
    entry = json.loads(subprocess.run([*verify, key], check=True, capture_output=True).stdout)["entry"]
    assert (entry["decision"], entry["serial"], entry["sentence"]) == ("withdraw", 1, "版权争议")
    foreign = subprocess.run([*verify, str(PrivateKey.generate().public)], capture_output=True, check=False)
    assert foreign.returncode != 0

    again = centre.order("reinstate", CODE)

    assert again.returncode == 0, again.stderr
    assert box.chain.play("a.txt").status == 200


@pytest.mark.parametrize("what", [(CODE,), ("--body", "library"), ("--label", "drama")])
def test_a_running_delivery_is_broken_off(centre, box, what):
    """A screen that is in the middle of a film loses its connection, whichever way the film is named, and the proof counts it."""
    film = bytes(range(256)) * 125_000  # larger than what two sockets hold
    box.chain.publish({"film.bin": film}, labels=("drama",))
    assert box.chain.play("film.bin").status == 200
    with socket.create_connection((ADDRESS, box.chain.port), 20) as screen:
        screen.sendall(f"GET /r/{CODE}/film.bin HTTP/1.1\r\nHost: box\r\n\r\n".encode())
        screen.recv(1024)

        done = centre.order("withdraw", *what)

        received = 1024
        while data := _rest(screen):
            received += len(data)
    assert received < len(film)
    proof = told(done)[1]
    assert (proof["stopped"], proof["objects"], proof["releases"]) == (1, 1, [CODE])
    assert proof["confirmed"] == ["delivery-bigscreen", "delivery-smallscreen"]


def _rest(screen: socket.socket) -> bytes:
    try:
        return screen.recv(65536)
    except ConnectionError:
        return b""


def test_a_box_that_was_away_withdraws_before_it_serves(centre, box, until):
    """Switched off while the order was given, a box plays nothing of it after its start, not even once."""
    box.chain.publish({"a.txt": b"a" * 1000})
    assert box.chain.play("a.txt").status == 200
    for name in ("telemetry", "exchange", "delivery-bigscreen"):
        box.kill(name)
    until(lambda: centre.online() == set(), "the box is offline", 60)

    done = centre.order("withdraw", CODE, wait=0)
    assert told(done)[-1]["away"] == ["headend"]

    box.chain.start("exchange", wait=False)
    box.chain.start("delivery", "bigscreen")
    time.sleep(0.5)  # the exchange is up, telemetry is not: it waits for the word
    box.telemetry()
    assert reason(box.chain.play("a.txt")) == (451, "withdrawn")
    until(lambda: centre.get("/api/orders/1")["proofs"], "the proof comes")
    assert box.chain.stored() == set()


def test_a_box_that_was_away_knows_withdrawn_tokens_before_it_serves(centre, box, tmp_path, until):
    """Switched off while a token was withdrawn, a box gives its holder nothing after its start, and other viewers what they ask for."""
    mine, other = behind_a_door(box, tmp_path, "viewer-17", "viewer-9")
    box.chain.publish({"a.txt": b"a" * 1000})
    until(lambda: phone(box, mine).status == phone(box, other).status == 200, "both play")
    for name in ("telemetry", "exchange", "delivery-smallscreen"):
        box.kill(name)
    until(lambda: centre.online() == set(), "the box is offline", 60)
    assert told(centre.order("withdraw", "--subject", "portal:viewer-17", wait=0))[-1]["away"] == ["headend"]

    box.chain.start("exchange", wait=False)
    box.chain.start("delivery", "smallscreen")
    box.telemetry()
    until(lambda: answered(box, other) == 200, "the other one plays")
    assert reason(phone(box, mine)) == (403, "token-withdrawn")
    until(lambda: centre.get("/api/orders/1")["proofs"], "the proof comes")


def test_a_box_without_a_line_serves_by_what_it_knows(centre, box, until):
    """The line is down at the start: what was not withdrawn plays, what was does not, and missed orders follow with the line."""
    box.chain.publish({"a.txt": b"a" * 1000})
    box.chain.publish({"b.txt": b"b" * 1000}, code=OTHER)
    assert box.chain.play("a.txt").status == box.chain.get(f"/r/{OTHER}/b.txt").status == 200
    assert centre.order("withdraw", CODE).returncode == 0
    box.kill("telemetry")
    until(lambda: centre.online() == set(), "the box is offline", 60)
    centre.order("withdraw", OTHER, wait=0)
    box.broker.kill()
    box.kill("exchange")
    box.chain.start("exchange", wait=False)
    box.telemetry()
    until(lambda: box.chain.get(f"/r/{OTHER}/b.txt").status == 200, "it plays offline", 30)
    assert reason(box.chain.play("a.txt")) == (451, "withdrawn")
    box.broker.start()
    until(lambda: centre.get("/api/orders/2")["proofs"], "the missed order is proved", 30)
    assert reason(box.chain.get(f"/r/{OTHER}/b.txt")) == (451, "withdrawn")


def test_killed_in_the_middle_it_is_finished(centre, box, until):
    """kill -9 at the exchange while orders come: after its start all are carried out and proved, and nothing is left."""
    box.chain.publish({"a.txt": b"a" * 1000, "b.txt": b"b" * 1000})
    assert box.chain.play("a.txt").status == 200
    for turn in range(3):
        act = "reinstate" if turn % 2 else "withdraw"
        centre.order(act, CODE, wait=0)
        time.sleep(0.004 * turn)
        box.kill("exchange")
        box.chain.start("exchange", wait=False)
    until(lambda: all(centre.get(f"/api/orders/{n}")["proofs"] for n in (1, 2, 3)), "all are proved", 40)
    assert reason(box.chain.play("a.txt")) == (451, "withdrawn")
    assert box.chain.stored() == set()
    assert {one["verified"] for n in (1, 2, 3) for one in centre.get(f"/api/orders/{n}")["proofs"]} == {"yes"}


def test_nobody_else_can_order(centre, box):
    """An order by a stranger's key is refused at the controller; one that reaches the box past it is refused there and told."""
    refused = centre.order("withdraw", CODE, key="stranger")
    assert refused.returncode != 0
    assert "order-forged" in refused.stderr + refused.stdout
    made = Order.model_validate(
        {
            "serial": 1,
            "act": "withdraw",
            "what": What(release=CODE),
            "reason": "x",
            "by": "regulator",
            "time": "2026-11-28T00:00:00Z",
        }
    )
    envelope = orders.seal(made, centre.stranger).decode()
    reply = box.chain.ask("telemetry-management", "order", {"envelopes": [envelope], "head": 1, "online": True})
    assert json.loads(reply.body)["refused"]["reason"] == "order-forged"
    assert box.chain.ask("delivery-bigscreen", "order", {"envelopes": []}).status == 404
    assert box.chain.ask("telemetry-management", "release", {"release": CODE}).status == 404


def test_a_purge_reaches_every_box(centre, box, tmp_path):
    """An order to purge is proved by the box with its deliveries' word, and is an order in the row as others are."""
    box.chain.publish({"a.txt": b"a" * 1000})

    done = centre.order("purge", "--tag", "channel-7", "--soft")

    assert done.returncode == 0, done.stderr
    order, proof, end = told(done)
    assert (order["act"], order["what"], end["missing"]) == ("purge", {"tag": "channel-7"}, [])
    assert (proof["box"], proof["objects"], proof["unconfirmed"]) == ("headend", 0, [])
    assert proof["confirmed"] == ["delivery-bigscreen", "delivery-smallscreen"]
    assert box.chain.play("a.txt").status == 200  # no release is withdrawn by it
    assert told(centre.order("withdraw", CODE))[0]["serial"] == 2
    assert reason(box.chain.play("a.txt")) == (451, "withdrawn")
    headgate = str(Path(sys.executable).with_name("headgate"))
    argv = [headgate, "release", "orders", "1", "--at", centre.daemon.url, "--proofs", str(tmp_path / "proofs")]
    shown = subprocess.run(argv, check=True, capture_output=True, text=True)
    assert "purge tag channel-7" in shown.stdout
    key = (box.chain.state / "journal" / "exchange" / "key.pub").read_text().strip()
    verify = [headgate, "release", "verify-proof", str(tmp_path / "proofs" / "1-headend.tlog-proof"), "--key", key]
    assert "purge tag channel-7" in subprocess.run(verify, check=True, capture_output=True, text=True).stdout


def test_a_token_is_withdrawn_at_every_box(centre, box, tmp_path, until):
    """From the command line to the proof: what was let in is refused, the lists and pages show it, reinstated it plays again."""
    (text,) = behind_a_door(box, tmp_path, "viewer-17")
    box.chain.publish({"a.txt": b"a" * 1000})

    def play():
        return phone(box, text)

    until(lambda: box.chain.play("a.txt", zone="smallscreen").status == 401, "the door is closed")
    assert play().status == 200
    name, ends = named(text)

    done = centre.order("withdraw", "--token", text)

    assert done.returncode == 0, done.stderr
    order, proof, end = told(done)
    assert (order["what"], proof["box"], proof["verified"], end["missing"]) == ({"token": name}, "headend", "yes", [])
    assert reason(play()) == (401, "token-withdrawn")
    kept = centre.get("/api/orders")["orders"][0]
    assert kept["what"] == {"token": name}
    assert datetime.fromisoformat(kept["until"]).timestamp() > ends
    assert kept["proved"] == 1

    assert centre.order("withdraw", "--subject", "portal:viewer-17", "--until", "2999-12-31").returncode == 0
    assert centre.order("reinstate", "--token", name).returncode == 0
    assert reason(play()) == (403, "token-withdrawn")
    assert centre.order("purge", "--tag", "channel-7").returncode == 0
    assert centre.order("reinstate", "--subject", "portal:viewer-17").returncode == 0
    assert play().status == 200

    headgate = str(Path(sys.executable).with_name("headgate"))
    proofs = ["--proofs", str(tmp_path / "proofs")]
    argv = [headgate, "release", "orders", "2", "--at", centre.daemon.url, *proofs]
    assert (
        "subject portal:viewer-17 until 2999-12-31"
        in subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    )
    key = (box.chain.state / "journal" / "exchange" / "key.pub").read_text().strip()
    verify = [headgate, "release", "verify-proof", str(tmp_path / "proofs" / "2-headend.tlog-proof"), "--key", key]
    shown = subprocess.run(verify, check=True, capture_output=True, text=True).stdout
    assert "withdraw subject portal:viewer-17" in shown
    assert "2999-12-31" in shown
    for page in ("/orders?lang=en", "/orders/1?lang=en", "/orders/4?lang=en"):
        with urlopen(f"{centre.daemon.url}{page}", timeout=30) as answer:  # noqa: S310 (our own)
            assert answer.status == 200
            assert (name if page != "/orders/4?lang=en" else "channel-7") in answer.read().decode()


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        (["--token", "nonsense"], "neither ISSUER:ID nor a token"),
        (["--subject", "viewer-17"], "subject: Value error, it is named by its issuer, a colon"),
        (["--issuer", "portal", "--until", "soon"], "is no time"),
        ([CODE, "--until", "2999-12-31"], "only a withdrawal of tokens ends"),
        ([CODE, "--issuer", "portal"], "say one of"),
    ],
)
def test_what_is_no_order_is_told_where_it_is_given(centre, what, sentence):
    """A word in the wrong place is refused before anything is signed, with what is right."""
    done = centre.order("withdraw", *what)
    assert done.returncode != 0
    assert sentence in " ".join((done.stderr + done.stdout).split())
    assert centre.get("/api/orders")["head"] == 0
