"""A listing that a body hands in at its box: kept if the operator lets the body list it, admitting nothing before the centre does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.identity.keys import PrivateKey
from appliance.runtime.errors import Corrupt, Refused
from gateway.release.trust import bundle, layout, repository, signing_over
from gateway.release.trust.admitting import Trusting, Under
from gateway.release.trust.layout import Name, Needed
from gateway.release.trust.signing_over import Over

from .conftest import CODES, MUSEUM_CODE, Operation
from .test_trust_admitting import policy


class Box:
    """A box's filter, which is brought whatever it needs from the operation's folder."""

    def __init__(self, operation: Operation, base: Path) -> None:
        self.operation, self.trusting, self.policy = operation, Trusting(base), policy(operation)

    def _told(self, ask: Callable[[], Any]) -> Any:
        for _ in range(20):
            found = ask()
            if not isinstance(found, Needed):
                return found
            data = self.operation.files.read(layout.parse(found.file))
            self.trusting.give(self.policy, found.file, data, self.operation.now)
        raise AssertionError("no end of needed files")

    def base(self, code: str = CODES[0], body: str = "library") -> Over:
        found: Over = self._told(lambda: self.trusting.base(self.policy, body, code, self.operation.now))
        return found

    def hand_in(self, files: dict[Name, bytes], body: str = "library") -> list[Name]:
        found: list[Name] = self._told(lambda: self.trusting.hand_in(self.policy, body, files, self.operation.now))
        return found

    def admit(self, envelope: bytes, code: str = CODES[0]) -> Under:
        found: Under = self._told(
            lambda: self.trusting.policy_for(self.policy, envelope, code, self.operation.now, away=False)
        )
        return found

    def sign(self, envelope: bytes, code: str = CODES[0], key: PrivateKey | None = None) -> dict[Name, bytes]:
        key = key or self.operation.library
        return signing_over.list_release(self.base(code), code, envelope, key, self.operation.now)


@pytest.fixture
def box(operation: Operation, tmp_path: Path) -> Box:
    return Box(operation, tmp_path / "kept")


def reason(call: Callable[[], object]) -> str:
    with pytest.raises(Refused) as refused:
        call()
    return refused.value.reason


def test_it_waits_until_the_centre_names_it(box: Box, operation: Operation) -> None:
    """Handed in, it is kept and told as waiting; the centre takes the very files; then the release is listed, and nothing waits."""
    envelope = operation.envelope()
    assert reason(lambda: box.admit(envelope)) == "not-listed"
    new = box.hand_in(box.sign(envelope))
    assert [name.kind for name in new] == ["body", "bin"]
    under = box.admit(envelope)
    assert under.waits
    assert under.policy.bodies["library"].keys == (operation.library.public,)
    assert box.hand_in({name: box.trusting.handed_in(box.policy, name) or b"" for name in new}) == []

    for name in box.trusting.waiting(box.policy, operation.now):
        repository.put(operation.folder, name.file, box.trusting.handed_in(box.policy, name) or b"", now=operation.now)
    operation.refresh()
    operation.pass_time(seconds=11)
    assert not box.admit(envelope).waits
    assert box.trusting.waiting(box.policy, operation.now) == []


def test_the_next_is_signed_over_what_waits(box: Box, operation: Operation) -> None:
    """Two releases of one bin before the centre is heard: the second listing holds both, and the box's word is what it is signed over."""
    first, second = operation.envelope(), operation.envelope(version=2)
    box.hand_in(box.sign(first))
    (name,) = box.hand_in(box.sign(second))
    assert name.version == 2
    assert box.admit(second).waits
    assert reason(lambda: box.admit(first)) == "not-listed"
    assert [waits.file for waits in box.trusting.waiting(box.policy, operation.now)] == ["1.library.json", name.file]


def test_nothing_goes_back(box: Box, operation: Operation) -> None:
    """Neither behind what the snapshot names nor behind what waits, nor to another content of the same version."""
    old = box.sign(operation.envelope())
    operation.publish(version=2)
    operation.pass_time(seconds=11)
    assert reason(lambda: box.hand_in(old)) == "older-metadata"
    third = box.sign(operation.envelope(version=3))
    box.hand_in(third)
    other = {name: data.replace(b"a", b"a ", 1) for name, data in third.items()}
    assert reason(lambda: box.hand_in({**other})) == "older-metadata"


def test_a_body_signs_for_itself_alone(box: Box, operation: Operation) -> None:
    """Another's bin, another's code, a stranger's signature, a bin under another bin's name, a version that its name does not tell."""
    museum = operation.envelope(MUSEUM_CODE, body="museum")
    files = box.sign(operation.envelope())
    (role, bin_) = sorted(files, key=lambda name: name.kind, reverse=True)[:2]
    theirs = {Name("museum.4-0", 1): files[bin_]}
    assert reason(lambda: bundle.parse(bundle.written(theirs), "library")) == "outside-identifiers"
    assert reason(lambda: box.sign(museum, MUSEUM_CODE)) in ("not-signed", "not-admitted")
    strange = signing_over.list_release(
        Over(operation.delegate(keys=(operation.stranger.public,)), {}),
        CODES[0],
        operation.envelope(key=operation.stranger),
        operation.stranger,
        operation.now,
    )
    assert reason(lambda: box.hand_in(strange)) == "wrong-key"
    assert reason(lambda: box.hand_in({role: files[role], Name("library.4-0", 1): files[bin_]})) in (
        "wrong-key",
        "outside-identifiers",
    )
    assert reason(lambda: box.hand_in({role: files[role], Name(bin_.role, 7): files[bin_]})) == "mixed-metadata"
    assert reason(lambda: box.hand_in({bin_: files[bin_]})) == "not-listed"  # without the role nobody knows the key
    assert reason(lambda: box.hand_in(files, "museum")) == "not-admitted"  # the policy names no museum
    with pytest.raises(Corrupt):
        box.hand_in({role: b"{}"})
    assert box.trusting.waiting(box.policy, operation.now) == []


def test_what_expired_or_was_dismissed_lets_nobody_wait(box: Box, operation: Operation) -> None:
    envelope = operation.envelope()
    files = box.sign(envelope)
    operation.pass_time(days=366)
    operation.refresh(force=True)
    assert reason(lambda: box.hand_in(files)) == "expired-metadata"
    operation.now -= timedelta(days=366)


def test_a_dismissed_bodys_listing_counts_no_longer(box: Box, operation: Operation) -> None:
    envelope = operation.envelope()
    box.hand_in(box.sign(envelope))
    operation.put_targets(operation.delegate("museum"))
    operation.refresh()
    operation.pass_time(seconds=11)
    assert reason(lambda: box.admit(envelope)) == "not-admitted"


def test_what_is_too_long_is_told_with_a_mend() -> None:
    assert reason(lambda: bundle.written({Name("library.4-0", 1): b"x" * (bundle.LARGEST + 1)})) == "too-large"


@given(
    st.binary(max_size=300)
    | st.builds(lambda n, t: f'{{"files": {{"{n}": "{t}"}}}}'.encode(), st.text(max_size=40), st.text(max_size=20))
)
def test_any_bytes_are_a_listing_or_a_refusal(data: bytes) -> None:
    """Any bytes -> files that are the body's by their names, or a refusal with a reason."""
    try:
        files = bundle.parse(data, "library")
    except Refused:
        return
    assert all(name.body == "library" for name in files)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=20),
        lambda v: (
            st.lists(v, max_size=3)
            | st.dictionaries(st.sampled_from(["keys", "identifiers", "acts", "bits", "files", "body"]), v, max_size=6)
        ),
        max_leaves=12,
    )
)
def test_any_answer_is_something_to_sign_over_or_damaged(told: Any) -> None:
    """Any JSON value -> what a body signs over, or ``Corrupt``."""
    try:
        over = signing_over.parse(told)
    except Corrupt:
        return
    assert isinstance(over, Over)


def test_a_release_is_looked_at_again_only_where_something_changed(box: Box, operation: Operation) -> None:
    """The mark of an admitted release holds while other bodies publish; its own bin, expiry and a frozen centre end it."""
    envelope = operation.publish()
    mark = box.admit(envelope).mark
    assert mark is not None

    def unchanged() -> Any:
        return box._told(lambda: box.trusting.unchanged(box.policy, mark, operation.now))

    assert unchanged() is True
    operation.publish(MUSEUM_CODE, body="museum")
    operation.pass_time(seconds=11)
    assert unchanged() is True, "another body's release"
    operation.pass_time(days=2)
    assert reason(unchanged) == "frozen"
    operation.refresh(force=True)
    operation.pass_time(seconds=11)
    assert unchanged() is True
    operation.publish(version=2)
    operation.pass_time(seconds=11)
    assert unchanged() is False
    operation.pass_time(days=360)
    operation.refresh(force=True)
    again = box.admit(operation.envelope(version=2)).mark
    assert again is not None
    assert again.holds < operation.now + timedelta(days=6)


def test_other_boxes_are_given_what_was_verified(box: Box, operation: Operation) -> None:
    """Each file by its version: the newest that the box verified, the roots, nothing else; also when nobody can be asked."""
    operation.publish()
    stamp = operation.files.read(Name(layout.TIMESTAMP, None))

    def given_(file: str, *, away: bool = False) -> Any:
        name = layout.parse(file)
        return box._told(lambda: box.trusting.file(box.policy, name, operation.now, away=away))

    assert given_("timestamp.json") == stamp
    for file in ("1.root.json", "1.targets.json", "1.library.json"):
        assert given_(file) == operation.files.read(layout.parse(file))
    bin_ = layout.bin_of("library", 4, CODES[0])
    assert given_(f"1.{bin_}.json") == operation.files.read(Name(bin_, 1))
    assert given_("2.root.json") is None
    assert given_(f"2.{bin_}.json") is None
    operation.pass_time(days=400)
    assert given_("timestamp.json", away=True) == stamp
    assert given_(f"1.{bin_}.json", away=True) == operation.files.read(Name(bin_, 1))
