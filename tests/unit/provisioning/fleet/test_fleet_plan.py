"""What a rollout would do, from what is asked, what was rolled out and what is reported."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.identity.keys import PrivateKey
from appliance.runtime.errors import Refused
from gateway.isolation import approval
from gateway.isolation import policy as policies
from provisioning.fleet import plan, run
from provisioning.fleet.inventory import Site
from provisioning.fleet.plan import Kind
from provisioning.fleet.work import Work

OLD = policies.parse(
    b'site: edge\nzones:\n  management: {port: "02:68:67:28:00:0b", addresses: [10.40.0.12/24]}\n'
    b'  culture: {port: "02:68:67:0a:00:0b", addresses: [10.10.0.12/24]}\n'
    b"services:\n  ssh: {zone: management, run: ssh, listen: tcp/22, from: [10.40.0.0/24]}\n"
    b"never:\n  - {from: culture, to: management}\n"
)
NEW = policies.parse(OLD.data.replace(b"from: [10.40.0.0/24]", b"from: [10.40.0.2]"))
COMMENTED = policies.parse(OLD.data + b"# nothing else\n")


def site(name: str, policy: policies.Policy, ring: int = 1) -> Site:
    return Site(name, "10.40.0.12", ring, False, "3.11", policy, Path("policy.yaml"))


CASES = [
    ("nothing is known of it", NEW, None, None, Kind.NEW, "no policy of this folder"),
    ("it enforces what is asked", NEW, None, NEW.digest, Kind.SAME, ""),
    ("it enforces what somebody else gave it", NEW, None, "f" * 64, Kind.CHANGE, "did not roll out"),
    ("the policy was changed", NEW, OLD, OLD.digest, Kind.CHANGE, "loses"),
    ("only a comment was changed", COMMENTED, OLD, OLD.digest, Kind.CHANGE, "no difference in what is allowed"),
    ("it was rolled out but is silent", NEW, NEW, None, Kind.UNKNOWN, "has not reported"),
    ("it was rolled out but enforces another", NEW, NEW, OLD.digest, Kind.DRIFT, "instead of what was rolled out"),
]


@pytest.mark.parametrize(
    ("asked", "applied", "enforced", "kind", "words"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_a_box_is_told_by_what_it_enforces(asked, applied, enforced, kind, words):
    """The kind of a change and its words follow from three policies."""
    made = plan.make({"edge": site("edge", asked)}, {"edge": applied} if applied else {}, {"edge": enforced})

    assert made.changes[0].kind is kind
    assert words in "\n".join(made.changes[0].lines)
    assert bool(made.open) == (kind is not Kind.SAME)


def test_rings_come_in_order():
    """Changes are grouped by ring, the lowest first, sites by name."""
    sites = {name: site(name, NEW, ring) for name, ring in (("c", 2), ("b", 1), ("a", 2))}

    made = plan.make(sites, {}, {})

    assert [(ring, [c.site for c in changes]) for ring, changes in made.rings] == [(1, ["b"]), (2, ["a", "c"])]


KEY = PrivateKey.generate()
APPROVED = policies.parse(
    b"serial: 1\napproval: {signatures: 1, keys: {li: '" + str(KEY.public).encode() + b"'}}\n" + OLD.data
)
NEXT = policies.parse(APPROVED.data.replace(b"serial: 1", b"serial: 2"))


@pytest.mark.parametrize(
    ("asked", "applied", "signatures", "reason"),
    [
        (NEXT, APPROVED, None, "not-signed: "),
        (NEXT, APPROVED, approval.sign(NEXT, "li", KEY, None), ""),
        (APPROVED, NEXT, approval.sign(APPROVED, "li", KEY, None), "older-policy: "),
        (APPROVED, APPROVED, None, ""),
        (APPROVED, None, None, "not-signed: "),
        (NEW, OLD, None, ""),
    ],
)
def test_what_a_box_would_refuse_is_told_before(asked, applied, signatures, reason):
    """Whose approval is missing stands in the plan, not in the failure of a rollout."""
    sites = {"edge": replace(site("edge", asked), signatures=signatures)}
    made = plan.make(sites, {"edge": applied} if applied else {}, {})

    assert made.changes[0].refused.startswith(reason)
    assert bool(made.changes[0].refused) == bool(reason)


def test_a_rollout_of_what_a_box_would_refuse_touches_none():
    """Only the rings that are rolled out count."""
    made = plan.make({"a": site("a", NEXT, 1), "b": site("b", NEW, 2)}, {"a": APPROVED}, {})

    with pytest.raises(Refused, match="a: not-signed: nobody signed") as refused:
        run._approved(made, None)
    assert refused.value.reason == "not-approved"
    assert run._approved(made, 2) is None


def test_a_box_gets_the_whole_policy_and_the_signatures_over_it(tmp_path):
    """Whatever the source includes, what is carried has the policy's digest."""
    work, asked = Work(tmp_path), replace(site("edge", NEXT), signatures=approval.sign(NEXT, "li", KEY, None))
    policy, signatures = work.note_policy(asked)

    assert hashlib.sha256(policy.read_bytes()).hexdigest() == NEXT.digest
    assert approval.refusal(APPROVED, NEXT, signatures.read_bytes()) is None
    assert work.note_policy(site("edge", NEW)) == (policy, None)
