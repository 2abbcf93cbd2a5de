"""Policy and metadata hold both: acts, ranges, keys; and a release that was admitted plays on while the origin is away."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from appliance.identity.keys import PrivateKey
from appliance.runtime.errors import Corrupt, Refused
from gateway.isolation import policy as policies
from gateway.isolation.policy import Body, Policy
from gateway.release.manifest import Source
from gateway.release.trust import layout
from gateway.release.trust.admitting import Trusting, Under
from gateway.release.trust.layout import Needed

from .conftest import CODES, MUSEUM_CODE, Operation

POLICY = """
site: box
zones:
  culture: {{port: "02:68:67:0a:00:0b", addresses: [127.10.0.1/24]}}
  bigscreen: {{port: "02:68:67:14:00:0b", addresses: [127.20.0.1/24]}}
never: [{{from: bigscreen, to: culture}}]
bodies:
  library: {{name: 图书馆, {keys} identifiers: ["isli:999999-1"], acts: [{acts}]}}
{more}
origins: {{centre: {{address: 127.10.0.20}}}}
reach: {{origin: {{zone: culture, run: fetch, to: [127.10.0.20], port: tcp/80}}}}
{trust}
"""


MORE = """
  museum: {name: 博物馆, identifiers: ["isli:999999-20", "isli:999999-3"], acts: [share]}
  archive: {name: 档案馆, identifiers: ["isli:999999-4"], acts: [share]}
"""


def policy(
    operation: Operation,
    acts: str = "share, associate",
    key: PrivateKey | None = None,
    *,
    trust: bool = True,
    museum: bool = False,
) -> Policy:
    pin = hashlib.sha256((operation.folder / "1.root.json").read_bytes()).hexdigest()
    keys = f'keys: ["{key.public}"],' if key else ""
    told = f"trust: {{root: {pin}, origin: centre}}" if trust else ""
    return policies.parse(POLICY.format(keys=keys, acts=acts, trust=told, more=MORE if museum else "").encode())


@pytest.fixture
def trusting(tmp_path: Path) -> Trusting:
    return Trusting(tmp_path / "kept")


def body_of(trusting: Trusting, operation: Operation, under: Policy, envelope: bytes) -> Body | None:
    return narrowed(trusting, operation, under, envelope).bodies.get("library")


def narrowed(trusting: Trusting, operation: Operation, under: Policy, envelope: bytes) -> Policy:
    for _ in range(20):
        found = trusting.policy_for(under, envelope, CODES[0], operation.now, away=False)
        if not isinstance(found, Needed):
            return found.policy
        trusting.give(under, found.file, operation.files.read(layout.parse(found.file)), operation.now)
    raise AssertionError("no end of needed files")


def test_acts_are_those_of_both_and_the_key_is_the_listings(operation: Operation, trusting: Trusting) -> None:
    envelope = operation.publish()
    found = body_of(trusting, operation, policy(operation), envelope)
    assert found is not None
    assert (found.acts, found.keys, found.identifiers) == (("share",), (operation.library.public,), ("isli:999999-1",))


def test_a_giver_is_one_that_the_operator_admits_too(operation: Operation, trusting: Trusting) -> None:
    """Whose material a release uses must be admitted by both; its grants are signed by keys that the operator delegates."""
    used = [
        Source(release=f"isli:{MUSEUM_CODE}", body=body, act="associate", grant="{}") for body in ("museum", "archive")
    ]
    envelope = operation.publish(sources=tuple(used))
    found = narrowed(trusting, operation, policy(operation, museum=True), envelope)
    assert set(found.bodies) == {"library", "museum"}, "the archive is in the policy alone"
    assert found.bodies["museum"].keys == (operation.museum.public,)
    assert found.bodies["museum"].identifiers == ("isli:999999-20",), "the narrower of both"
    again = trusting.policy_for(policy(operation, museum=True), envelope, CODES[0], operation.now, away=True)
    assert isinstance(again, Under)
    assert again.policy == found


@pytest.mark.parametrize(
    ("told", "reason"),
    [({"acts": "reconstruct"}, "not-admitted"), ({"key": PrivateKey.generate()}, "wrong-key")],
    ids=["no act is left", "the policy names another key"],
)
def test_what_either_refuses_is_refused(operation: Operation, trusting: Trusting, told: dict, reason: str) -> None:
    envelope = operation.publish()
    with pytest.raises(Refused) as refused:
        body_of(trusting, operation, policy(operation, **told), envelope)
    assert refused.value.reason == reason


def test_the_policys_key_holds_beside_the_listing(operation: Operation, trusting: Trusting) -> None:
    envelope = operation.publish()
    assert body_of(trusting, operation, policy(operation, key=operation.library), envelope)


def test_a_release_that_its_body_signed_but_does_not_list_is_refused(operation: Operation, trusting: Trusting) -> None:
    operation.publish()
    with pytest.raises(Refused) as refused:
        body_of(trusting, operation, policy(operation), operation.envelope(version=2))
    assert refused.value.reason == "not-as-listed"


def test_without_trust_the_policys_body_is_enough(operation: Operation, trusting: Trusting) -> None:
    under = policy(operation, key=operation.library, trust=False)
    assert body_of(trusting, operation, under, operation.envelope()) == under.bodies["library"]
    assert narrowed(trusting, operation, under, operation.envelope(body="museum")) == under


def test_away_only_what_was_admitted_before_counts(operation: Operation, trusting: Trusting, tmp_path: Path) -> None:
    envelope, under = operation.publish(), policy(operation)
    with pytest.raises(Refused):
        trusting.policy_for(under, envelope, CODES[0], operation.now, away=True)
    body_of(trusting, operation, under, envelope)
    operation.pass_time(days=500)
    again = Trusting(tmp_path / "kept")  # the filter was started anew
    assert isinstance(again.policy_for(under, envelope, CODES[0], operation.now, away=True), Under)
    for other in (operation.envelope(version=2), operation.envelope(key=operation.stranger)):
        with pytest.raises(Refused) as refused:
            again.policy_for(under, other, CODES[0], operation.now, away=True)
        assert refused.value.reason == "not-as-listed"


def test_what_is_no_release_is_told(operation: Operation, trusting: Trusting) -> None:
    with pytest.raises(Corrupt):
        trusting.policy_for(policy(operation), b"{}", CODES[0], operation.now, away=False)
