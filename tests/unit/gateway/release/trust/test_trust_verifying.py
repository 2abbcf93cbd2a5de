"""What a box makes of what an origin shows: each attack is refused with its word, and what is right goes on."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from securesystemslib.formats import encode_canonical
from tuf.api.metadata import Metadata

from appliance.identity.keys import PrivateKey
from appliance.runtime.errors import Refused
from gateway.release.trust import drafts, kept, layout, listing, metadata, repository, verifying
from gateway.release.trust.layout import Needed
from gateway.release.trust.verifying import Chain, Listed

from .conftest import CODES, MUSEUM_CODE, Operation


class Box:
    """A box that looks releases up at an origin, which is a folder, or whatever ``shown`` says of its files."""

    def __init__(self, operation: Operation, base: Path) -> None:
        self.operation = operation
        first = (operation.folder / "1.root.json").read_bytes()
        self.pinned = hashlib.sha256(first).hexdigest()
        self.kept = kept.Folder(base, self.pinned)
        self.asked: Counter[str] = Counter()
        self.shown: Callable[[str, bytes | None], bytes | None] = lambda _, data: data
        self.restart()

    def restart(self) -> None:
        self.chain = Chain(self.kept, self.pinned)

    def read(self, needed: Needed) -> bytes | None:
        self.asked[needed.file] += 1
        path = self.operation.folder / needed.file
        return self.shown(needed.file, path.read_bytes() if path.exists() else None)

    def ask(self, code: str = CODES[0], body: str = "library", envelope: bytes = b"") -> Listed:
        digest = hashlib.sha256(envelope).hexdigest() if envelope else ""
        return verifying.ask(self.chain, body, code, self.operation.now, self.read, digest)

    def refuses(self, code: str = CODES[0], body: str = "library") -> str:
        with pytest.raises(Refused) as refused:
            self.ask(code, body)
        return refused.value.reason


@pytest.fixture
def box(operation: Operation, tmp_path: Path) -> Box:
    return Box(operation, tmp_path / "kept")


def saved(operation: Operation) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in operation.folder.glob("*.json")}


def shows(files: dict[str, bytes]) -> Callable[[str, bytes | None], bytes | None]:
    return lambda name, _: files.get(name)


def test_a_listed_release_is_told_with_its_digest_and_whose_it_is(operation: Operation, box: Box) -> None:
    envelope = operation.publish()
    found = box.ask()
    assert (found.entry.sha256, found.entry.length) == (hashlib.sha256(envelope).hexdigest(), len(envelope))
    assert (found.entry.signer, found.delegate.body, found.delegate.acts) == (
        operation.library.public,
        "library",
        ("share",),
    )


@pytest.mark.parametrize(
    ("code", "body", "reason"),
    [
        (CODES[1], "library", "not-listed"),
        (MUSEUM_CODE, "library", "outside-identifiers"),
        (CODES[0], "museum", "outside-identifiers"),
        (MUSEUM_CODE, "museum", "not-listed"),
        (CODES[0], "nobody", "not-admitted"),
        (CODES[0], "root", "not-admitted"),
        (CODES[0], "library.4-0", "not-admitted"),
    ],
)
def test_what_is_not_listed_by_this_body_is_refused(
    operation: Operation, box: Box, code: str, body: str, reason: str
) -> None:
    operation.publish()
    assert box.refuses(code, body) == reason


def test_a_release_that_was_just_published_is_found_within_seconds(operation: Operation, box: Box) -> None:
    operation.publish()
    box.ask()
    assert box.refuses(CODES[1]) == "not-listed"
    operation.publish(CODES[1])
    operation.pass_time(seconds=3)
    assert box.ask(CODES[1])


def test_a_release_that_was_just_published_is_found_at_once_though_the_box_looked_just_before(
    operation: Operation, box: Box
) -> None:
    operation.publish()
    box.ask()
    operation.publish(CODES[1])
    operation.pass_time(milliseconds=100)
    assert box.ask(CODES[1])


def test_who_asks_for_what_is_not_listed_again_and_again_has_the_origin_asked_every_two_seconds(
    operation: Operation, box: Box
) -> None:
    operation.publish()
    box.ask()
    box.asked.clear()
    for _ in range(50):
        operation.pass_time(milliseconds=100)
        assert box.refuses(CODES[1]) == "not-listed"
    assert box.asked["timestamp.json"] == 3
    operation.publish(CODES[1])
    operation.pass_time(seconds=2)
    assert box.ask(CODES[1])


def test_a_clock_that_was_set_back_keeps_nobody_from_looking_anew(operation: Operation, box: Box) -> None:
    operation.publish()
    box.ask()
    operation.pass_time(seconds=1)
    assert box.refuses(CODES[1]) == "not-listed"
    operation.pass_time(seconds=-30)
    box.ask()
    operation.publish(CODES[1])
    operation.pass_time(seconds=1)
    assert box.ask(CODES[1])


def test_an_origin_that_takes_longer_than_that_is_waited_for(operation: Operation, box: Box) -> None:
    """What it shows tells whether the release is listed, however long it took."""
    operation.publish()
    box.ask()
    operation.pass_time(seconds=1)
    box.shown = lambda _, data: operation.pass_time(seconds=4) or data
    now = operation.now

    def look() -> None:
        while isinstance(needed := box.chain.look_up("library", CODES[1], operation.now), Needed):
            box.chain.give(needed.file, box.read(needed), operation.now)

    with pytest.raises(Refused, match="does not list"):
        look()
    assert operation.now - now < timedelta(seconds=20)


def test_asking_again_needs_nothing_of_the_origin(operation: Operation, box: Box) -> None:
    operation.publish()
    box.ask()
    box.asked.clear()
    box.ask()
    assert not box.asked
    operation.pass_time(minutes=1)
    box.ask()
    assert box.asked == {"2.root.json": 1, "timestamp.json": 1}
    box.restart()
    box.asked.clear()
    box.ask()
    assert box.asked == {"2.root.json": 1, "timestamp.json": 1}


def test_one_new_release_needs_one_bin(operation: Operation, box: Box) -> None:
    for code in CODES:
        operation.publish(code)
    for code in CODES:
        box.ask(code)
    operation.publish(version=2)
    operation.pass_time(minutes=1)
    box.asked.clear()
    for code in CODES:
        box.ask(code)
    name = layout.bin_of("library", 4, CODES[0])
    assert set(box.asked) == {
        "2.root.json",
        "timestamp.json",
        f"{operation.refresh().snapshot}.snapshot.json",
        f"2.{name}.json",
    }


# What an attacker at the origin, or between, can show: files of the past, mixtures, nothing, anything.


def test_rollback_to_an_old_state_is_refused_also_after_a_restart(operation: Operation, box: Box) -> None:
    operation.publish()
    old = saved(operation)
    operation.publish(version=2)
    box.ask()
    operation.pass_time(minutes=1)
    box.shown = shows(old)
    assert box.refuses() == "older-metadata"
    box.restart()
    assert box.refuses() == "older-metadata"
    box.shown = lambda _, data: data
    assert box.ask().entry.version == 2


def resigned(operation: Operation, file: str, change: Callable[[Any], None], key: PrivateKey) -> bytes:
    """Return a file changed and signed again: what a stolen key can do."""
    found = Metadata.from_bytes((operation.folder / file).read_bytes())
    change(found.signed)
    found.signatures.clear()
    return metadata.written(metadata.sign(found, key))


def test_a_stolen_online_key_cannot_take_a_bin_back(operation: Operation, box: Box) -> None:
    operation.publish()
    operation.publish(version=2)
    box.ask()
    name = layout.bin_of("library", 4, CODES[0])
    old = json.loads((operation.folder / f"{operation.refresh().snapshot - 1}.snapshot.json").read_bytes())
    meta = old["signed"]["meta"][f"{name}.json"]
    number = operation.refresh().snapshot

    def back(snapshot: Any) -> None:
        snapshot.version = number + 1
        snapshot.meta[f"{name}.json"].version = meta["version"]
        snapshot.meta[f"{name}.json"].hashes = meta["hashes"]
        snapshot.meta[f"{name}.json"].length = meta["length"]

    forged = resigned(operation, f"{number}.snapshot.json", back, operation.online)
    assert forged_snapshot(operation, box, number + 1, forged, 100) == "older-metadata"

    def gone(snapshot: Any) -> None:
        snapshot.version = number + 1
        del snapshot.meta[f"{name}.json"]

    forged = resigned(operation, f"{number}.snapshot.json", gone, operation.online)
    assert forged_snapshot(operation, box, number + 1, forged, 200) == "older-metadata"


def forged_snapshot(operation: Operation, box: Box, number: int, forged: bytes, later: int) -> str:
    def point(timestamp: Any) -> None:
        timestamp.version += later
        timestamp.snapshot_meta.version = number
        timestamp.snapshot_meta.length = len(forged)
        timestamp.snapshot_meta.hashes = {"sha256": hashlib.sha256(forged).hexdigest()}

    timestamp = resigned(operation, "timestamp.json", point, operation.online)
    box.shown = lambda name, data: {"timestamp.json": timestamp, f"{number}.snapshot.json": forged}.get(name, data)
    operation.pass_time(minutes=1)
    return box.refuses()


def test_a_frozen_origin_is_noticed_when_its_timestamp_expires(operation: Operation, box: Box) -> None:
    operation.publish()
    box.ask()
    box.shown = shows(saved(operation))
    operation.publish(version=2)
    operation.pass_time(hours=23)
    assert box.ask().entry.version == 1, "an old state may be shown for a day, not longer"
    operation.pass_time(hours=2)
    assert box.refuses() == "frozen"
    with pytest.raises(Refused, match="clock says 2026-10-02"):
        box.ask()


def test_nothing_new_is_taken_on_expired_metadata_and_what_was_known_plays_on(operation: Operation, box: Box) -> None:
    envelope = operation.publish()
    operation.publish(CODES[1])
    box.ask(envelope=envelope)
    operation.pass_time(days=3)
    assert (box.refuses(), box.refuses(CODES[1])) == ("frozen", "frozen")
    box.restart()
    assert box.chain.last_known("library", CODES[0]).entry.version == 1
    for body, code in (("library", CODES[1]), ("museum", CODES[0])):
        with pytest.raises(Refused) as refused:
            box.chain.last_known(body, code)
        assert refused.value.reason == "not-listed"


def test_other_bytes_than_those_listed_are_refused_and_what_was_known_stays(operation: Operation, box: Box) -> None:
    first = operation.publish()
    box.ask(envelope=first)
    second = operation.publish(version=2)
    operation.pass_time(seconds=3)
    assert box.ask(envelope=second).entry.version == 2, "found at once, though the timestamp was fresh a moment ago"
    operation.pass_time(minutes=1)
    with pytest.raises(Refused) as refused:
        box.ask(envelope=first)
    assert refused.value.reason == "not-as-listed"
    assert box.chain.last_known("library", CODES[0]).entry.version == 2


def test_what_is_listed_no_longer_is_not_known_either(operation: Operation, box: Box) -> None:
    box.ask(envelope=operation.publish())
    assert box.chain.last_known("library", CODES[0])
    repository.list_releases(
        operation.folder, "library", [], operation.library, operation.online, without=[CODES[0]], now=operation.now
    )
    operation.pass_time(minutes=1)
    assert box.refuses() == "not-listed"
    with pytest.raises(Refused):
        box.chain.last_known("library", CODES[0])


@pytest.mark.parametrize("what", ["snapshot", "targets", "library", "bin"])
def test_files_of_two_states_do_not_mix(operation: Operation, box: Box, what: str) -> None:
    operation.publish()
    old = saved(operation)
    operation.put_targets(operation.delegate(), operation.delegate("museum"))
    repository.renew(operation.folder, "library", operation.library, operation.online, now=operation.now)
    role = layout.bin_of("library", 4, CODES[0]) if what == "bin" else what
    versions = sorted(layout.parse(name).version or 0 for name in old if layout.parse(name).role == role)
    stale = old[f"{versions[-1]}.{role}.json"]
    box.shown = lambda name, data: stale if layout.parse(name).role == role else data
    assert box.refuses() == "mixed-metadata"
    box.shown = lambda _, data: data
    assert box.ask(), "the next look takes what is right"


@pytest.mark.parametrize("kind", ["root", "timestamp", "snapshot", "targets", "library", "bin"])
def test_a_strangers_signature_counts_nowhere(operation: Operation, box: Box, kind: str) -> None:
    operation.publish()
    role = layout.bin_of("library", 4, CODES[0]) if kind == "bin" else kind

    def forge(name: str, data: bytes | None) -> bytes | None:
        if data is None or layout.parse(name).role != role:
            return data
        found: Metadata[Any] = Metadata.from_bytes(data)
        found.signed.unrecognized_fields["forged"] = True
        found.signatures.clear()
        return metadata.written(metadata.sign(found, operation.stranger))

    box.shown = forge
    # Beside the timestamp and the root, each file is first held against the digest that the one above names.
    assert box.refuses() == ("wrong-key" if kind in ("root", "timestamp") else "mixed-metadata")


def sealed_by_the_centre(operation: Operation, role: str, data: bytes) -> Callable[[str, bytes | None], bytes | None]:
    """Return what an origin shows that has the online key too, and so names ``data`` as the newest version of ``role``."""
    number = operation.refresh().snapshot
    version = Metadata.from_bytes(data).signed.version

    def point(snapshot: Any) -> None:
        meta = snapshot.meta[f"{role}.json"]
        snapshot.version += 1
        meta.version, meta.length, meta.hashes = version, len(data), {"sha256": hashlib.sha256(data).hexdigest()}

    snapshot = resigned(operation, f"{number}.snapshot.json", point, operation.online)

    def point_at(timestamp: Any) -> None:
        timestamp.version += 1
        meta = timestamp.snapshot_meta
        meta.version, meta.length = number + 1, len(snapshot)
        meta.hashes = {"sha256": hashlib.sha256(snapshot).hexdigest()}

    timestamp = resigned(operation, "timestamp.json", point_at, operation.online)
    files = {
        "timestamp.json": timestamp,
        f"{number + 1}.snapshot.json": snapshot,
        f"{version}.{role}.json": data,
    }
    return lambda name, real: files.get(name, real)


@pytest.mark.parametrize("who", ["stranger", "museum", "online"])
@pytest.mark.parametrize("kind", ["targets", "library", "bin"])
def test_the_online_key_alone_publishes_nothing(operation: Operation, box: Box, kind: str, who: str) -> None:
    operation.publish()
    role = layout.bin_of("library", 4, CODES[0]) if kind == "bin" else kind

    def newer(signed: Any) -> None:
        signed.version += 1

    data = resigned(operation, f"1.{role}.json", newer, getattr(operation, who))
    box.shown = sealed_by_the_centre(operation, role, data)
    assert box.refuses() == "wrong-key"


def test_a_body_cannot_leave_its_bins_to_a_key_that_the_operator_does_not_know(operation: Operation, box: Box) -> None:
    operation.publish()
    role = listing.role_of(operation.bodies()["library"], operation.stranger.public, 2, operation.now)
    box.shown = sealed_by_the_centre(operation, "library", listing.signed_by(role, operation.library))
    assert box.refuses() == "wrong-key"


def test_a_bin_that_reaches_outside_its_range_is_never_asked(operation: Operation, box: Box) -> None:
    """The museum lists the library's code in its own bin, with every signature right: it has no say there."""
    operation.publish()
    operation.publish(MUSEUM_CODE, body="museum")
    foreign = listing.Entry(CODES[0], "0" * 64, 1, 9, operation.museum.public)
    name = layout.bin_of("museum", 4, MUSEUM_CODE)
    old = repository.bin_content(operation.files, name)
    data = listing.signed_by(listing.bin_with(old, [foreign], [], 2, operation.now), operation.museum)
    box.shown = sealed_by_the_centre(operation, name, data)
    assert box.ask().entry.version == 1
    assert box.refuses(CODES[0], "museum") == "outside-identifiers"


def test_a_revoked_key_counts_no_longer(operation: Operation, box: Box) -> None:
    box.ask(envelope=operation.publish())
    new = PrivateKey.generate()
    operation.put_targets(operation.delegate(keys=(new.public,)))
    operation.refresh()
    operation.pass_time(minutes=1)
    assert box.refuses() == "revoked-key"
    with pytest.raises(Refused):
        box.chain.last_known("library", CODES[0])
    assert box.refuses() == "wrong-key", "to a box that did not know it before, it is just a wrong key"
    repository.renew(operation.folder, "library", new, operation.online, now=operation.now)
    operation.pass_time(minutes=1)
    found = box.ask()
    assert found.entry.signer == operation.library.public, "the listing says who signed the envelope, long ago"
    assert found.delegate.keys == (new.public,)


def test_a_dismissed_body_has_no_say(operation: Operation, box: Box) -> None:
    operation.publish()
    box.ask()
    operation.put_targets(operation.delegate("museum"))
    operation.refresh()
    operation.pass_time(minutes=1)
    assert box.refuses() == "not-admitted"


def test_keys_rotate_and_no_look_fails(operation: Operation, box: Box) -> None:
    new = PrivateKey.generate()
    steps: list[Callable[[], object]] = [
        lambda: operation.publish(),
        lambda: operation.put_targets(operation.delegate(keys=(operation.library.public, new.public))),
        lambda: repository.renew(operation.folder, "library", new, now=operation.now),
        lambda: operation.put_targets(operation.delegate(keys=(new.public,))),
        lambda: operation.publish(version=2, key=new),
    ]
    for step in steps:
        step()
        operation.refresh()
        operation.pass_time(minutes=1)
        assert box.ask()
    assert box.ask().entry.version == 2


def test_roots_rotate_over_several_versions(operation: Operation, box: Box) -> None:
    operation.publish()
    box.ask()
    for _ in range(3):
        old, operation.roots = operation.roots, [PrivateKey.generate() for _ in range(3)]
        operation.online = PrivateKey.generate()
        operation.put_root(*old[:2], *operation.roots[1:])
    operation.refresh()
    operation.pass_time(minutes=1)
    assert box.ask(), "a box that was away over three rotations follows them"
    fresh = Box(operation, box.kept._folder.parent / "other")
    assert fresh.ask(), "and one that knows only the first root"


def test_a_root_that_leaves_a_version_out_is_refused(operation: Operation, box: Box) -> None:
    operation.publish()
    operation.put_root(*operation.roots[:2])
    third = operation.put_root(*operation.roots[:2])
    box.shown = lambda name, data: third if name == "2.root.json" else data
    assert box.refuses() == "older-metadata"


def test_a_root_signed_by_one_of_two_is_refused(operation: Operation, box: Box) -> None:
    operation.publish()
    data = operation.put_root(*operation.roots[:2])
    told = json.loads(data)
    told["signatures"] = told["signatures"][:1] * 2
    box.shown = lambda name, real: json.dumps(told).encode() if name == "2.root.json" else real
    assert box.refuses() in ("wrong-key", "damaged-metadata")


def test_another_first_root_is_refused(operation: Operation, box: Box, tmp_path: Path) -> None:
    other = Operation(tmp_path / "other")
    other.folder.mkdir()
    foreign = other.put_root(*other.roots[:2])
    box.shown = lambda name, data: foreign if name == "1.root.json" else data
    assert box.refuses() == "wrong-key"


@pytest.mark.parametrize(
    ("days", "reason"),
    [(6, "frozen"), (8, "frozen"), (366, "frozen"), (731, "expired-metadata")],
)
def test_time_passes_and_nobody_signs(operation: Operation, box: Box, days: int, reason: str) -> None:
    operation.publish()
    operation.pass_time(days=days)
    assert box.refuses() == reason


@pytest.mark.parametrize("kind", ["targets", "library"])
def test_what_a_holder_does_not_sign_again_expires(operation: Operation, box: Box, kind: str) -> None:
    operation.publish()
    operation.pass_time(days=200)
    if kind == "library":
        operation.put_targets(operation.delegate(), operation.delegate("museum"))
    else:
        repository.renew(operation.folder, "library", operation.library, now=operation.now)
    operation.refresh()
    assert box.ask()
    operation.pass_time(days=170)
    operation.refresh()
    assert box.refuses() == "expired-metadata"


@pytest.mark.parametrize(("days", "reason"), [(-366, "wrong-clock"), (366, "frozen")])
def test_a_clock_that_is_a_year_off_is_named(operation: Operation, box: Box, days: int, reason: str) -> None:
    operation.publish()
    right = operation.now
    operation.now = right + timedelta(days=days)
    with pytest.raises(Refused, match="clock says") as refused:
        box.ask()
    assert refused.value.reason == reason
    operation.now = right
    assert box.ask()


def test_a_clock_that_goes_back_ends_no_verification(operation: Operation, box: Box) -> None:
    operation.publish()
    box.ask()
    operation.pass_time(minutes=-30)
    assert box.ask()


@pytest.mark.parametrize("file", ["1.root.json", "2.root.json", "timestamp.json", "1.targets.json", "1.library.json"])
def test_endless_metadata_is_refused(operation: Operation, box: Box, file: str) -> None:
    operation.publish()
    box.shown = lambda name, data: b" " * (9 << 20) if name == file else data
    assert box.refuses() == "too-large"


def test_roots_without_end_are_refused(operation: Operation, box: Box) -> None:
    operation.publish()
    first = operation.files.newest()["root"] + 1
    for version in range(first, first + 70):  # beside the repository, which reads all before it takes another
        root = metadata.sign(drafts.root(operation.holders(), version, operation.now), *operation.roots[:2])
        (operation.folder / f"{version}.root.json").write_bytes(metadata.written(root))
    operation.refresh()
    assert box.refuses() == "damaged-metadata"
    assert box.ask(), "what was verified counts, and the rest comes with the next look"


@pytest.mark.parametrize("file", ["1.root.json", "timestamp.json", "snapshot", "1.targets.json", "1.library.json"])
def test_what_an_origin_lacks_is_named(operation: Operation, box: Box, file: str) -> None:
    operation.publish()
    box.shown = lambda name, data: None if file in name else data
    assert box.refuses() == "missing-metadata"


def test_one_bodys_damage_does_not_touch_another(operation: Operation, box: Box) -> None:
    operation.publish()
    operation.publish(MUSEUM_CODE, body="museum")
    box.shown = lambda name, data: b"{}" if "library" in name else data
    assert box.refuses() == "mixed-metadata"
    assert box.ask(MUSEUM_CODE, "museum")


def test_a_file_that_was_torn_on_disk_is_asked_for_again(operation: Operation, box: Box) -> None:
    operation.publish()
    box.ask()
    for path in box.kept._folder.glob("*.json"):
        path.write_bytes(b'{"signed": ')
    box.restart()
    assert box.ask()


def test_files_that_nobody_asked_for_are_passed_over(operation: Operation, box: Box) -> None:
    box.chain.give("9.targets.json", b"anything", operation.now)
    operation.publish()
    assert box.ask()


DAMAGE = st.one_of(
    st.binary(max_size=400),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=6,
    ).map(lambda value: json.dumps(value).encode()),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=DAMAGE,
    file=st.sampled_from(["1.root.json", "2.root.json", "timestamp.json", "snapshot", "targets", "library"]),
)
def test_any_bytes_are_refused(operation: Operation, data: bytes, file: str) -> None:
    operation.publish()
    chain = Chain(kept.Memory(), hashlib.sha256((operation.folder / "1.root.json").read_bytes()).hexdigest())

    def read(needed: Needed) -> bytes | None:
        if file in needed.file:
            return data
        path = operation.folder / needed.file
        return path.read_bytes() if path.exists() else None

    with pytest.raises(Refused):
        verifying.ask(chain, "library", CODES[0], operation.now, read)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(choose=st.data())
def test_any_value_that_the_right_keys_signed_is_taken_or_refused(operation: Operation, choose: st.DataObject) -> None:
    """A mistaken holder signs nonsense: a value of a signed file is another; nothing but a listing or a refusal comes out."""
    operation.publish()
    role, key = choose.draw(
        st.sampled_from([("targets", operation.operator), ("library", operation.library), ("bin", operation.library)])
    )
    role = layout.bin_of("library", 4, CODES[0]) if role == "bin" else role
    told = json.loads((operation.folder / f"1.{role}.json").read_bytes())
    before = copy.deepcopy(told)
    node, where = told, told["signed"]
    at: Any = "signed"
    while isinstance(where, dict | list) and where and choose.draw(st.booleans()):
        node = where
        at = choose.draw(st.sampled_from(list(where) if isinstance(where, dict) else list(range(len(where)))))
        where = node[at]
    node[at] = choose.draw(st.none() | st.integers(-5, 5) | st.text(max_size=5) | st.just({}) | st.just([]))
    told["signed"] = told["signed"] if isinstance(told["signed"], dict) else before["signed"]
    data = json.dumps(
        {
            "signed": told["signed"],
            "signatures": [
                {
                    "keyid": metadata.key_id(key.public),
                    "sig": key.sign(encode_canonical(told["signed"]).encode()).hex(),
                }
            ],
        }
    ).encode()
    chain = Chain(kept.Memory(), hashlib.sha256((operation.folder / "1.root.json").read_bytes()).hexdigest())
    chain_digest = hashlib.sha256(data).hexdigest()
    number = operation.refresh().snapshot
    snapshot = resigned(
        operation,
        f"{number}.snapshot.json",
        lambda signed: signed.meta.__getitem__(f"{role}.json").__dict__.update(
            length=len(data), hashes={"sha256": chain_digest}
        ),
        operation.online,
    )
    timestamp = resigned(
        operation,
        "timestamp.json",
        lambda signed: signed.snapshot_meta.__dict__.update(
            length=len(snapshot), hashes={"sha256": hashlib.sha256(snapshot).hexdigest()}
        ),
        operation.online,
    )
    files = {f"1.{role}.json": data, f"{number}.snapshot.json": snapshot, "timestamp.json": timestamp}

    def read(needed: Needed) -> bytes | None:
        path = operation.folder / needed.file
        return files.get(needed.file) or (path.read_bytes() if path.exists() else None)

    with contextlib.suppress(Refused):
        assert verifying.ask(chain, "library", CODES[0], operation.now, read).entry.code == CODES[0]
