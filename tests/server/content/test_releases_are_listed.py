"""With ``trust:`` in the policy a release crosses if its body lists these very bytes now, over the real daemons and a real origin."""

from __future__ import annotations

import hashlib
import json
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from appliance.identity.keys import PrivateKey
from gateway.release import paths
from gateway.release.trust import drafts, metadata, repository
from gateway.release.trust.delegate import Delegate

from .conftest import CODE, Chain

pytestmark = pytest.mark.server
OTHER = "999999-100000000000002-3"
FILM = {"film.txt": "刘三姐".encode() * 100}


class Trusted:
    """A chain whose policy trusts a repository at its origin, and the holders' keys."""

    def __init__(self, chain: Chain) -> None:
        self.chain, self.folder = chain, chain.origin.folder / "trust"
        self.root, self.operator, self.online = (PrivateKey.generate() for _ in range(3))
        self.folder.mkdir()
        now = datetime.now(UTC)
        holders = drafts.Holders((self.root.public,), 1, (self.operator.public,), 1, (self.online.public,))
        self.put(drafts.root(holders, 1, now), self.root)
        self.admit()
        pin = hashlib.sha256((self.folder / "1.root.json").read_bytes()).hexdigest()
        chain.write_policy(
            lambda text: (
                text.replace(f'keys: ["{chain.key.public}"], identifiers', "identifiers")
                + f"trust: {{root: {pin}, origin: centre}}\n"
            )
        )

    def put(self, draft: Any, key: PrivateKey) -> None:
        name = f"{draft.signed.version}.{draft.signed.type}.json"
        repository.put(self.folder, name, metadata.written(metadata.sign(draft, key)))

    def admit(self, **told: Any) -> None:
        newest = repository.Files(self.folder).newest().get("targets", 0)
        old = repository.targets_of(repository.Files(self.folder)).signed if newest else None
        fields: dict[str, Any] = {
            "body": "library",
            "keys": (self.chain.key.public,),
            "leading": ("isli:999999-1",),
            "acts": ("share",),
            "bits": 4,
        }
        bodies = [Delegate(**{**fields, **told})] if told.get("body", "library") else []
        self.put(drafts.targets(old, bodies, datetime.now(UTC)), self.operator)
        repository.refresh(self.folder, self.online)

    def list(self, key: PrivateKey | None = None, code: str = CODE) -> None:
        envelope = (self.chain.origin.folder / "releases" / code / paths.MANIFEST).read_bytes()
        repository.list_release(self.folder, "library", code, envelope, key or self.chain.key, self.online)

    def unlist(self) -> None:
        repository.list_releases(self.folder, "library", [], self.chain.key, self.online, without=[CODE])

    def reason(self, code: str = CODE) -> str:
        reply = self.chain.ask("delivery-bigscreen", "release", {"release": code})
        told: dict[str, Any] = json.loads(reply.body)
        return "" if reply.status == 200 else str(told["reason"])


@pytest.fixture
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trusted]:
    """A running chain with trust, nothing listed."""
    chain = Chain(tmp_path_factory.mktemp("t"))
    made = Trusted(chain)
    with chain:
        yield made


def test_a_listed_release_plays_and_an_unlisted_one_does_not(trusted: Trusted, until: Callable[..., Any]) -> None:
    """The body's signature alone is not enough; as soon as it lists the release, screens play it."""
    trusted.chain.publish(FILM)
    assert trusted.reason() == "not-listed"
    trusted.list()
    until(lambda: trusted.reason() == "", "the listing is seen")
    assert trusted.chain.play("film.txt").body == FILM["film.txt"]


def test_a_release_plays_as_soon_as_it_is_listed_whatever_the_box_looked_for_just_before(trusted: Trusted) -> None:
    """Of what the box saw a moment ago, for another release, it does not conclude that this one is not listed."""
    trusted.chain.publish(FILM)
    trusted.chain.publish(FILM, code=OTHER)
    trusted.list()
    assert trusted.reason() == ""
    trusted.list(code=OTHER)
    assert trusted.reason(OTHER) == ""


def test_a_release_plays_on_while_the_origin_is_away_also_after_restarts(
    trusted: Trusted, until: Callable[..., Any]
) -> None:
    """What was admitted stays admitted without the origin; what was not is not let in by its absence."""
    trusted.chain.publish(FILM)
    trusted.list()
    assert trusted.chain.play("film.txt").status == 200
    trusted.chain.origin.stop()
    for daemon in ("admission", "exchange"):
        trusted.chain.stop(daemon, signal.SIGKILL)
        trusted.chain.start(daemon)
    until(lambda: trusted.chain.play("film.txt").status == 200, "it plays on")


def test_what_is_listed_no_longer_is_let_go(trusted: Trusted, until: Callable[..., Any]) -> None:
    """The origin still has every file; the body lists it no longer; within seconds nobody gets it."""
    trusted.chain.publish(FILM)
    trusted.list()
    assert trusted.chain.play("film.txt").status == 200
    trusted.unlist()
    until(lambda: trusted.reason() == "not-listed", "it is let go", 40.0)


def test_a_frozen_origin_brings_nothing_new_and_ends_nothing(trusted: Trusted, until: Callable[..., Any]) -> None:
    """The timestamp has expired: what plays goes on after a restart, what is new stays out, and a fresh one lets it in."""
    trusted.chain.publish(FILM)
    trusted.list()
    assert trusted.chain.play("film.txt").status == 200
    repository.refresh(trusted.folder, trusted.online, lasts=timedelta(seconds=1), force=True)
    old = (trusted.folder / "timestamp.json").read_bytes()
    trusted.chain.publish(FILM | {"more.txt": b"more"}, version=2)
    trusted.list()
    fresh = (trusted.folder / "timestamp.json").read_bytes()
    (trusted.folder / "timestamp.json").write_bytes(old)
    trusted.chain.stop("exchange", signal.SIGKILL)
    trusted.chain.stop("admission", signal.SIGKILL)
    until(lambda: _expired(old), "the timestamp expires")
    trusted.chain.start("admission")
    trusted.chain.start("exchange")
    assert trusted.chain.play("film.txt").status == 200
    assert trusted.chain.play("more.txt").status != 200
    (trusted.folder / "timestamp.json").write_bytes(fresh)
    until(lambda: trusted.chain.play("more.txt").status == 200, "the new version comes", 40.0)


def test_a_body_that_the_operator_dismisses_is_out(trusted: Trusted, until: Callable[..., Any]) -> None:
    trusted.chain.publish(FILM)
    trusted.list()
    assert trusted.chain.play("film.txt").status == 200
    trusted.admit(body="")
    until(lambda: trusted.reason() == "not-admitted", "its releases are let go", 40.0)


def test_another_root_at_the_origin_is_refused(trusted: Trusted) -> None:
    """Somebody replaces the whole repository by one of their own."""
    trusted.chain.publish(FILM)
    for path in trusted.folder.glob("*"):
        path.unlink()
    stranger = PrivateKey.generate()
    holders = drafts.Holders((stranger.public,), 1, (trusted.operator.public,), 1, (trusted.online.public,))
    trusted.put(drafts.root(holders, 1, datetime.now(UTC)), stranger)
    trusted.admit()
    trusted.list()
    assert trusted.reason() == "wrong-key"


def _expired(timestamp: bytes) -> bool:
    found = metadata.read(timestamp, metadata.Timestamp, "timestamp.json")
    return bool(found.signed.is_expired(datetime.now(UTC)))
