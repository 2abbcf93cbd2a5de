"""Tokens that were withdrawn: refused, broken off while they are used, and remembered, with every process of the chain running."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
from datetime import UTC, datetime, timedelta
from http.client import HTTPException

import pytest

from appliance.identity.keys import PrivateKey
from gateway.permission.door import NAME
from gateway.permission.naming import named
from provisioning.controller.orders import proof_entry
from tests.server.content import media
from tests.server.content.conftest import ADDRESSES, BOTH_WAYS, CODE, hand_over, seal_order
from tests.server.content.test_tokens import token

pytestmark = pytest.mark.server
SEGMENT = media.segment(b"small")
FILM = media.sized(32 << 20)  # more than what two sockets hold
PHONES = "smallscreen"


class Portal:
    """A portal with two keys, its viewers' tokens, and a regulator who withdraws them at the box."""

    def __init__(self, chain, folder):
        self.chain, self.regulator, self.serial = chain, PrivateKey.generate(), 0
        self.keys = {name: PrivateKey.generate() for name in ("portal", "spare", "other")}
        for name, key in self.keys.items():
            key.save(folder / f"{name}.key")
        self.files = {name: folder / f"{name}.key" for name in self.keys}
        portal, spare, other = (key.public for key in self.keys.values())
        self.policy = (
            f"permission: {{zones: [{PHONES}], issuers: {{portal: {{keys: ['{portal}', '{spare}']}}, other: {{keys: ['{other}']}}}}}}\n"
            f"orders: {{keys: {{regulator: '{self.regulator.public}'}}}}\n"
        )

    def enforce(self, until):
        """Have the policy enforced."""
        self.chain.write_policy(lambda text: text.replace("largest: 4 MiB", "largest: 64 MiB") + self.policy)
        self.chain.reload("exchange", "delivery-smallscreen")
        until(lambda: self.status("") == 401, "the door is closed")
        until(lambda: self.order()["refused"] is None, "the exchange takes orders")

    def token(self, subject, key="portal"):
        return token(self.files[key], CODE, "--subject", subject, issuer="other" if key == "other" else "portal")

    def order(self, act="withdraw", until=None, **what):
        """Give the next order, or tell the exchange that there is none."""
        if not what:
            return hand_over(self.chain, self.serial, [])
        self.serial += 1
        answer = hand_over(self.chain, self.serial, [seal_order(self.regulator, self.serial, act, until, **what)])
        assert answer["refused"] is None
        return json.loads(proof_entry(answer["proofs"][-1]["proof"]))

    def play(self, text):
        return self.chain.play("1.m4s", headers={NAME: text} if text else {}, zone=PHONES)

    def status(self, text):
        return self.play(text).status


@pytest.fixture
def portal(chain, tmp_path, until):
    """A portal whose tokens open the phones' zone, where a segment is in the store."""
    made = Portal(chain, tmp_path)
    chain.publish({"1.m4s": SEGMENT, "film.mp4": FILM})
    made.enforce(until)
    return made


@BOTH_WAYS
def test_what_is_withdrawn_is_refused_and_nothing_else(portal, until):
    """By identifier, subject, key and issuer, each with its reason and also from the answers that are kept ready; reinstated, it plays."""
    texts = {
        "mine": portal.token("viewer-17"),
        "again": portal.token("viewer-17"),
        "spare": portal.token("viewer-9", "spare"),
        "other": portal.token("viewer-17", "other"),
    }
    for what, refused in (
        ({"token": named(texts["mine"])[0]}, {"mine": 401}),
        ({"subject": "portal:viewer-17"}, {"mine": 403, "again": 403}),
        ({"signer": str(portal.keys["portal"].public)}, {"mine": 401, "again": 401}),
        ({"issuer": "portal"}, {"mine": 403, "again": 403, "spare": 403}),
    ):
        for text in list(texts.values()) * 5:  # the last ones go out by what is known of their tokens
            until(lambda text=text: portal.play(text).body == SEGMENT, "it plays")
        entry = portal.order(**what)
        ((kind, name),) = what.items()
        assert (entry["decision"], entry[kind], entry["unconfirmed"]) == ("withdraw", name, [])
        for _ in range(5):  # by then the answer is kept ready again, for who may have it
            found = {name: portal.play(text) for name, text in texts.items()}
            assert {name: reply.status for name, reply in found.items()} == dict.fromkeys(texts, 200) | refused
            for name in refused:
                told = json.loads(found[name].body)
                assert told["reason"] == "token-withdrawn"
                assert f"by order {portal.serial} of regulator" in told["error"]
        assert portal.order("reinstate", **what)["decision"] == "reinstate"


@BOTH_WAYS
def test_what_a_withdrawn_token_plays_is_broken_off(portal):
    """A phone in the middle of a film loses its connection, the proof counts it; another viewer's film goes on to its end.

    So it is for an answer that is made and for one that is kept ready, which is so for who asked by the same host a moment ago.
    """
    chain, here = portal.chain, f"{ADDRESSES[PHONES]}:{portal.chain.port}"
    mine, other = portal.token("viewer-17"), portal.token("viewer-9")
    for text in (mine, other) * 3:
        assert chain.play("film.mp4", headers={NAME: text}, zone=PHONES).body == FILM
    with contextlib.ExitStack() as phones:
        playing = {
            (text, host): phones.enter_context(playing_film(chain, text, host))
            for host in (here, "box")
            for text in (mine, other)
        }

        entry = portal.order(token=named(mine)[0])

        assert (entry["stopped"], entry["unconfirmed"]) == (2, [])
        for (text, _), phone in playing.items():
            left = len(FILM) - 1024
            assert (read(phone, left) >= left) is (text == other)


@contextlib.contextmanager
def playing_film(chain, text, host):
    """Yield the connection of a phone that has the first bytes of the film, and reads no further."""
    with socket.create_connection((ADDRESSES[PHONES], chain.port), 30) as phone:
        phone.sendall(f"GET /r/{CODE}/film.mp4 HTTP/1.1\r\nHost: {host}\r\n{NAME}: {text}\r\n\r\n".encode())
        assert phone.recv(1024).startswith(b"HTTP/1.1 200 ")
        yield phone


def answered(portal, text):
    """Return the status that a phone gets, None where nobody answers."""
    try:
        return portal.status(text)
    except (ConnectionError, HTTPException):
        return None


def heard(portal):
    """Tell the exchange that it has all orders; return whether it was there."""
    try:
        return portal.order()["refused"] is None
    except ConnectionError:
        return False


def read(connection, enough=1 << 30):
    """Return how many bytes came until the connection ended, or were enough."""
    got = 0
    while got < enough:
        try:
            part = connection.recv(1 << 16)
        except ConnectionError:
            break
        if not part:
            break
        got += len(part)
    return got


@BOTH_WAYS
def test_starts_and_policies_remember_and_the_end_forgets(portal, until):
    """Another policy, a delivery and an exchange that were killed still refuse; nobody passes before the list is known; its end ends it."""
    mine, other = portal.token("viewer-17"), portal.token("viewer-9")
    until(lambda: portal.status(mine) == 200, "it plays")
    portal.order(token=named(mine)[0])
    assert (portal.status(mine), portal.status(other)) == (401, 200)

    before = portal.chain.log("delivery-smallscreen").count("configuration taken in")
    portal.enforce(until)
    taken_in = lambda: portal.chain.log("delivery-smallscreen").count("configuration taken in")  # noqa: E731
    until(lambda: taken_in() > before, "the policy is taken in again")
    assert (portal.status(mine), portal.status(other)) == (401, 200)

    for name in ("exchange", "delivery-smallscreen"):
        portal.chain.stop(name, signal.SIGKILL)
    portal.chain.start("delivery", PHONES)
    # Until it listens itself, what is left of the one that was killed may take a connection and drop it.
    until(lambda: answered(portal, "") == 401, "the new one answers")
    for text in (mine, other):
        reply = portal.play(text)
        assert (reply.status, json.loads(reply.body)["reason"]) == (503, "orders-unknown")
    portal.chain.start("exchange")
    until(lambda: heard(portal), "the exchange hears that it has all orders")
    until(lambda: portal.status(other) == 200, "another viewer plays")
    assert portal.status(mine) == 401

    soon = datetime.now(UTC) + timedelta(seconds=3)
    portal.order(subject="portal:viewer-9", until=soon.isoformat())
    refused = portal.status(other)
    assert refused == 403 or datetime.now(UTC) >= soon
    until(lambda: portal.status(other) == 200, "it is over by itself")
    assert datetime.now(UTC) >= soon
    assert portal.status(mine) == 401
