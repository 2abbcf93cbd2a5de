"""What the operator's and the bodies' side writes, and what it refuses to write."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from appliance.identity.keys import PrivateKey
from appliance.runtime.errors import Corrupt, Refused
from gateway.release.trust import drafts, layout, listing, metadata, repository

from .conftest import CODES, MUSEUM_CODE, Operation


def listed(operation: Operation, code: str = CODES[0], body: str = "library") -> dict[str, Any]:
    name = layout.bin_of(body, 4, code)
    snapshot = json.loads((operation.folder / f"{operation.refresh().snapshot}.snapshot.json").read_bytes())
    version = snapshot["signed"]["meta"][f"{name}.json"]["version"]
    found: dict[str, Any] = json.loads((operation.folder / f"{version}.{name}.json").read_bytes())["signed"]["targets"]
    return found


def test_a_release_is_listed_and_seen_at_once_with_the_online_key(operation: Operation) -> None:
    operation.publish()
    assert list(listed(operation)) == [f"{CODES[0]}/release.json"]


def test_listing_the_same_again_writes_nothing(operation: Operation) -> None:
    envelope = operation.publish()
    before = sorted(operation.folder.iterdir())
    done = repository.list_release(
        operation.folder, "library", CODES[0], envelope, operation.library, operation.online, now=operation.now
    )
    assert (done.files, sorted(operation.folder.iterdir())) == ((), before)


def test_without_the_online_key_it_waits_for_the_centre(operation: Operation) -> None:
    snapshot = operation.refresh().snapshot
    operation.publish(online=None)
    done = operation.refresh()
    assert done.snapshot == snapshot + 1
    assert len(done.new) == 2, "the body's first role, and the bin"


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"code": MUSEUM_CODE}, "outside-identifiers"),
        ({"key": "stranger"}, "wrong-key"),
        ({"signed_by": "stranger"}, "not-signed"),
        ({"body": "museum", "code": MUSEUM_CODE, "key": "library"}, "wrong-key"),
    ],
    ids=lambda told: str(told),
)
def test_a_body_lists_only_what_is_its_own(operation: Operation, told: dict[str, Any], reason: str) -> None:
    for name in {"key", "signed_by"} & told.keys():
        told[name] = getattr(operation, told[name])
    with pytest.raises(Refused) as refused:
        operation.publish(**told)
    assert refused.value.reason == reason


def test_an_older_version_is_not_listed_over_a_newer(operation: Operation) -> None:
    operation.publish(version=2)
    with pytest.raises(Refused) as refused:
        operation.publish(version=1)
    assert refused.value.reason == "older-version"


def test_a_release_is_listed_no_longer(operation: Operation) -> None:
    operation.publish()
    repository.list_releases(
        operation.folder, "library", [], operation.library, operation.online, without=[CODES[0]], now=operation.now
    )
    assert listed(operation) == {}


@pytest.mark.parametrize("signers", [[0], [], [0, 0], ["stranger", "stranger"]], ids=str)
def test_a_root_needs_its_threshold(operation: Operation, signers: list[Any]) -> None:
    keys = [operation.roots[who] if isinstance(who, int) else operation.stranger for who in signers]
    with pytest.raises(Refused, match="signatures") as refused:
        operation.put_root(*keys)
    assert refused.value.reason == "wrong-key"


def test_a_root_that_changes_hands_is_signed_by_both(operation: Operation) -> None:
    old, operation.roots = operation.roots, [PrivateKey.generate() for _ in range(3)]
    for too_few in ([*old], [*operation.roots], [*old[:1], *operation.roots]):
        with pytest.raises(Refused) as refused:
            operation.put_root(*too_few)
        assert refused.value.reason == "wrong-key"
    operation.put_root(*old[1:], *operation.roots[:2])
    assert repository.root_of(operation.files).signed.version == 2


def test_targets_of_a_stranger_are_refused(operation: Operation) -> None:
    with pytest.raises(Refused) as refused:
        operation.put_targets(operation.delegate(), signer=operation.stranger)
    assert refused.value.reason == "wrong-key"


def test_a_stranger_cannot_refresh(operation: Operation) -> None:
    with pytest.raises(Refused) as refused:
        operation.refresh(key=operation.stranger, force=True)
    assert refused.value.reason == "wrong-key"


def test_a_version_is_put_once_and_in_order(operation: Operation) -> None:
    data = (operation.folder / "1.targets.json").read_bytes()
    assert repository.put(operation.folder, "1.targets.json", data, now=operation.now).version == 1
    other = data.replace(b'"version":1', b'"version":2')
    for name, wrong, reason in (
        ("1.targets.json", other, "older-metadata"),
        ("3.root.json", data, "older-metadata"),
        ("3.targets.json", data, "bad-request"),
        ("2.targets.json", other, "wrong-key"),
        ("timestamp.json", data, "bad-request"),
        ("2.snapshot.json", data, "bad-request"),
    ):
        with pytest.raises(Refused) as refused:
            repository.put(operation.folder, name, wrong, now=operation.now)
        assert refused.value.reason == reason, name


def test_a_bin_that_lists_what_is_not_the_bodys_is_refused(operation: Operation) -> None:
    operation.publish()
    foreign = operation.envelope(MUSEUM_CODE, body="museum")
    entry = listing.entry_of(operation.delegate("museum"), MUSEUM_CODE, foreign, [operation.museum.public])
    name = layout.bin_of("library", 4, MUSEUM_CODE)
    version = operation.files.newest().get(name, 0) + 1
    data = listing.signed_by(listing.bin_with(None, [entry], [], version, operation.now), operation.library)
    with pytest.raises(Refused) as refused:
        repository.put(operation.folder, f"{version}.{name}.json", data, now=operation.now)
    assert refused.value.reason == "outside-identifiers"
    (operation.folder / f"{version}.{name}.json").write_bytes(data)  # laid into the folder by hand
    assert list(operation.refresh().refused) == [f"{version}.{name}.json"]


@pytest.mark.parametrize(
    ("leading", "reason"),
    [
        (("isli:999999-1",), "outside-identifiers"),
        (("isli:999999-12",), "outside-identifiers"),
        (("isli:*",), "bad-request"),
    ],
)
def test_no_body_is_admitted_for_anothers_range(operation: Operation, leading: tuple[str, ...], reason: str) -> None:
    with pytest.raises(Refused) as refused:
        operation.put_targets(operation.delegate(), operation.delegate("museum", leading=leading))
    assert refused.value.reason == reason


def test_keys_rotate_without_a_gap(operation: Operation) -> None:
    for code in CODES:
        operation.publish(code)
    new = PrivateKey.generate()
    operation.put_targets(operation.delegate(keys=(operation.library.public, new.public)))
    operation.refresh()
    with pytest.raises(Refused, match="renew"):
        operation.publish(version=2, key=new)
    repository.renew(operation.folder, "library", new, operation.online, now=operation.now)
    operation.put_targets(operation.delegate(keys=(new.public,)))
    done = operation.refresh()
    assert done.refused == {}
    assert listed(operation), "what the old key had listed is listed by the new one"
    operation.publish(version=2, key=new)
    with pytest.raises(Refused) as refused:
        operation.publish(version=3)
    assert refused.value.reason == "wrong-key"


def test_a_new_role_waits_for_bins_that_its_key_signed(operation: Operation) -> None:
    operation.publish()
    new = PrivateKey.generate()
    operation.put_targets(operation.delegate(keys=(operation.library.public, new.public)))
    role = listing.role_of(operation.bodies()["library"], new.public, 2, operation.now)
    repository.put(operation.folder, "2.library.json", listing.signed_by(role, new), now=operation.now)
    assert list(operation.refresh().refused) == ["2.library.json"]
    assert listed(operation), "the old role and its bins stay in force"


def test_what_was_superseded_goes_after_an_hour(operation: Operation) -> None:
    for version in (1, 2, 3):
        operation.publish(version=version)
    names = {name.file for name in operation.files.names()}
    for name in names:
        os.utime(operation.folder / name, (operation.now.timestamp(),) * 2)
    operation.pass_time(hours=2)
    operation.refresh(force=True)
    left = {name.file for name in operation.files.names()}
    name = layout.bin_of("library", 4, CODES[0])
    assert names - left >= {f"1.{name}.json", f"2.{name}.json", "1.snapshot.json"}
    assert {f"3.{name}.json", "1.root.json", "1.targets.json"} <= left


def test_a_fresh_repository_is_not_signed_again(operation: Operation) -> None:
    assert not operation.refresh().changed
    operation.pass_time(hours=13)
    assert operation.refresh().changed


def test_an_empty_folder_says_what_is_missing(operation: Operation) -> None:
    (operation.folder / "1.root.json").unlink()
    with pytest.raises(Corrupt, match="root"):
        operation.refresh()


def test_the_online_key_holds_no_other_office(operation: Operation) -> None:
    with pytest.raises(Refused, match="online"):
        drafts.root(operation.holders(operator=(operation.online.public,)), 2, operation.now)


def test_metadata_is_signed_over_its_canonical_form(operation: Operation) -> None:
    again = metadata.written(repository.root_of(operation.files))
    assert again == (operation.folder / "1.root.json").read_bytes()
