"""Which policy may follow which, and whose signatures that takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.identity.keys import PrivateKey
from gateway.isolation import approval, policy
from gateway.isolation.policy import Policy
from gateway.isolation.shelf import Shelf, signatures_beside, signatures_of
from tests.unit.gateway.isolation.conftest import TEXT

KEYS = {name: PrivateKey.generate() for name in ("li", "wang", "zhao", "stranger")}


def made(
    serial: int | None = 1, signatures: int = 2, names: tuple[str, ...] = ("li", "wang", "zhao"), more: str = ""
) -> Policy:
    """Return a policy that asks for signatures of its successor."""
    keys = ", ".join(f'{name}: "{KEYS[name].public}"' for name in names)
    head = f"serial: {serial}\n" if serial else ""
    head += f"approval: {{signatures: {signatures}, keys: {{{keys}}}}}\n" if names else ""
    return policy.parse((head + TEXT + more).encode())


def signed(what: Policy, *names: str) -> bytes | None:
    """Return the signatures of these people over a policy."""
    told = None
    for name in names:
        told = approval.sign(what, name, KEYS[name], told)
    return told


OLD = made(3)
FREE = made(None, names=())


@pytest.mark.parametrize(
    ("in_force", "new", "by", "reason"),
    [
        (OLD, made(4), ("li", "wang"), None),
        (OLD, made(9), ("wang", "zhao", "stranger"), None),
        (OLD, OLD, (), None),  # it is in force already
        (OLD, made(4), (), "not-signed"),
        (OLD, made(4), ("li",), "too-few-signatures"),
        (OLD, made(4), ("li", "li"), "too-few-signatures"),
        (OLD, made(4), ("li", "stranger"), "too-few-signatures"),
        (OLD, made(4), ("stranger",), "wrong-key"),
        (OLD, made(2), ("li", "wang"), "older-policy"),
        (OLD, made(3, more="# \n"), ("li", "wang"), "same-serial"),
        (OLD, FREE, ("li", "wang"), "older-policy"),
        (OLD, made(4, 1, ("stranger",)), ("stranger",), "wrong-key"),  # who may approve is not the newcomer's to say
        (OLD, made(4, 1, ("stranger",)), ("li", "zhao"), None),
        (None, OLD, (), "not-signed"),  # the first policy obeys itself
        (None, OLD, ("li", "wang"), None),
        (None, FREE, (), None),
        (FREE, OLD, (), None),  # what is in force asks for nothing
        (FREE, made(None, names=(), more="# \n"), (), None),
    ],
)
def test_a_policy_follows_another_only_as_that_one_says(
    in_force: Policy | None, new: Policy, by: tuple[str, ...], reason: str | None
) -> None:
    """There is a word for each refusal, and a sentence that says the mend."""
    refused = approval.refusal(in_force, new, signed(new, *by))
    assert (refused.reason if refused else None) == reason
    assert refused is None or "headgate policy sign" in str(refused) or "serial: " in str(refused)


def test_signatures_over_other_bytes_count_for_nothing() -> None:
    """A policy that was changed after it was signed is not signed, and the sentence names the two digests."""
    asked = made(4)
    changed = made(4, more="# one more line\n")
    refused = approval.refusal(OLD, changed, signed(asked, "li", "wang"))
    assert refused is not None
    assert refused.reason == "not-signed"
    assert asked.digest[:12] in str(refused)
    assert changed.digest[:12] in str(refused)


def test_a_renamed_digest_does_not_help() -> None:
    """The digest in the file is for people; what counts is what the signatures are over."""
    changed = made(4, more="# one more line\n")
    told = json.loads(signed(made(4), "li", "wang") or b"")
    refused = approval.refusal(OLD, changed, json.dumps(told | {"digest": changed.digest}).encode())
    assert refused is not None
    assert refused.reason == "wrong-key"


def test_who_approved_is_told_by_the_names_of_the_policy_in_force() -> None:
    """Whatever names the signatures bear."""
    new = made(4)
    told = approval.sign(new, "somebody", KEYS["li"], signed(new, "stranger", "wang"))
    assert approval.approvers(OLD, new, told) == ("li", "wang")
    assert approval.approvers(FREE, new, told) == ()


def test_signing_again_replaces_and_signing_other_bytes_begins_anew() -> None:
    """A file of signatures is always over one policy, with a key in it once."""
    one, two = made(4), made(5)
    both = signed(one, "li", "wang", "li")
    assert [each["name"] for each in json.loads(both or b"")["signatures"]] == ["wang", "li"]
    other = json.loads(approval.sign(two, "zhao", KEYS["zhao"], both))
    assert (other["digest"], [each["name"] for each in other["signatures"]]) == (two.digest, ["zhao"])


_shape = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["digest", "signatures", "name", "key", "signature"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(st.one_of(st.binary(max_size=200), _shape.map(lambda value: json.dumps(value).encode())))
def test_any_bytes_are_no_approval(data: bytes) -> None:
    """Whatever lies there instead of signatures, the policy is refused in words."""
    refused = approval.refusal(OLD, made(4), data)
    assert refused is not None
    assert refused.reason in ("not-signed", "wrong-key")


def test_signatures_lie_beside_the_policy_and_are_kept_with_it(tmp_path: Path) -> None:
    """Where nothing can be read there are none; the shelf keeps them with the policy they approve."""
    asked = tmp_path / "policy.yaml"
    assert signatures_of(asked) is None
    new = made(4)
    signatures_beside(asked).write_bytes(signed(new, "li", "wang") or b"")
    assert signatures_of(asked) == signed(new, "li", "wang")
    shelf = Shelf(tmp_path / "state", tmp_path / "run")
    shelf.keep("enforced", new, signatures_of(asked))
    kept = shelf.policy("enforced")
    assert kept is not None
    assert approval.refusal(OLD, kept, signatures_of(shelf.state / "enforced.yaml")) is None
