"""Trust metadata on its way: the filter asks, the exchange brings; what was admitted before plays on where none is to be had."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from appliance.runtime.errors import Refused, Unreachable
from gateway.exchange.decide import Admitted, Refuse
from gateway.exchange.judge import Judge
from gateway.exchange.metadata import AWAY, Metadata
from gateway.isolation import policy as policies
from gateway.release.manifest import File, Release, Rights
from gateway.release.trust import layout, reasons
from gateway.release.trust.layout import Needed
from gateway.store.incoming import Incoming

CODE = "999999-100000000000001-4"
TEXT = b"""
site: box
zones:
  culture: {port: "02:68:67:0a:00:0b", addresses: [127.10.0.1/24]}
  bigscreen: {port: "02:68:67:14:00:0b", addresses: [127.20.0.1/24]}
never: [{from: bigscreen, to: culture}]
origins: {centre: {address: 127.10.0.20}}
reach: {origin: {zone: culture, run: fetch, to: [127.10.0.20], port: tcp/80}}
trust: {root: 0000000000000000000000000000000000000000000000000000000000000000, origin: centre}
"""
POLICY = policies.parse(TEXT)
RELEASE = Release(
    identifier=f"isli:{CODE}",
    version=1,
    body="library",
    title="刘三姐",
    rights=Rights(zones=("bigscreen",)),
    entry="film.mp4",
    files={"film.mp4": File(sha256="0" * 64, size=1, type="video/mp4")},
)


class Filter:
    """An admission filter that answers from a list: a file it needs, a refusal, or that it admits."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.away: list[bool] = []
        self.given: list[tuple[str, bool]] = []

    async def admit(self, policy: str, code: str, incoming: str, known: Any, *, away: bool = False) -> Any:
        self.away.append(away)
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Refused):
            raise answer
        return answer or (RELEASE, "digest", "ed25519:key")

    async def metadata(self, policy: str, file: str, incoming: str | None) -> None:
        self.given.append((file, incoming is not None))


class Origin:
    """An origin with some files; without any it is away."""

    def __init__(self, **files: bytes) -> None:
        self.files, self.asked = files, 0

    @asynccontextmanager
    async def ask(self, origin: str, path: str, largest: int, via: Any = ()) -> AsyncIterator[Origin]:
        assert origin == "centre"
        self.asked += 1
        if not self.files:
            raise Unreachable("away")
        self.found = self.files.get(path.removeprefix("/trust/").removesuffix(".json"))
        if self.found is None:
            raise Refused("unknown-path", "no such file", 404)
        yield self

    async def read(self, largest: int) -> bytes:
        return self.found or b""


class Desk:
    """A judge between a filter and an origin."""

    def __init__(self, base: Path, asks: Filter, origin: Origin) -> None:
        self.now = 0.0
        incoming: Any = Incoming(base)
        incoming.prepare()
        filtering: Any = asks
        origins: Any = origin
        kept: Any = None
        self.judge = Judge(filtering, incoming, kept, Metadata(origins, filtering, incoming, lambda: self.now))

    async def admit(self, *, before: bool = False) -> Admitted | Refuse:
        return await self.judge.admit(POLICY, b"{}", CODE, None, before=before)


ROOT, STAMP = Needed("2.root.json", 1000), Needed("timestamp.json", 1000)


async def test_what_is_needed_is_brought_and_that_there_is_none_is_told(tmp_path: Path) -> None:
    asks = Filter(ROOT, STAMP)
    assert isinstance(await Desk(tmp_path, asks, Origin(timestamp=b"{}")).admit(), Admitted)
    assert asks.given == [("2.root.json", False), ("timestamp.json", True)]
    assert list((tmp_path / "incoming").iterdir()) == [], "nothing is left behind"


async def test_nothing_new_is_admitted_while_the_origin_is_away(tmp_path: Path) -> None:
    asks = Filter(STAMP)
    with pytest.raises(Unreachable):
        await Desk(tmp_path, asks, Origin()).admit()
    assert asks.away == [False]


async def test_what_was_admitted_before_plays_on_and_waits_for_the_origin_once(tmp_path: Path) -> None:
    asks, origin = Filter(STAMP, None, None, STAMP), Origin()
    desk = Desk(tmp_path, asks, origin)
    for _ in range(2):
        assert isinstance(await desk.admit(before=True), Admitted)
    assert (origin.asked, asks.away) == (1, [False, True, True])
    desk.now += AWAY + 1
    assert isinstance(await desk.admit(before=True), Admitted)
    assert origin.asked == 2


@pytest.mark.parametrize("reason", reasons.NO_TRUST)
async def test_metadata_that_is_not_to_be_trusted_ends_nothing_and_admits_nothing(tmp_path: Path, reason: str) -> None:
    verdict = await Desk(tmp_path, Filter(Refused(reason)), Origin()).admit()
    assert isinstance(verdict, Refuse)
    assert verdict.reason == reason
    asks = Filter(Refused(reason))
    assert isinstance(await Desk(tmp_path, asks, Origin()).admit(before=True), Admitted)
    assert asks.away == [False, True]


@pytest.mark.parametrize("reason", ["store-full", "store-broken"])
async def test_a_disk_that_takes_no_metadata_in_ends_nothing_that_was_admitted_before(
    tmp_path: Path, reason: str
) -> None:
    with pytest.raises(Refused, match=reason):
        await Desk(tmp_path, Filter(Refused(reason)), Origin()).admit()
    asks = Filter(Refused(reason))
    assert isinstance(await Desk(tmp_path, asks, Origin()).admit(before=True), Admitted)
    assert asks.away == [False, True]


@pytest.mark.parametrize("reason", [*reasons.SAYS_NO, "not-as-listed", "older-version", "no-grant"])
async def test_what_good_metadata_says_counts_for_what_was_admitted_before_too(tmp_path: Path, reason: str) -> None:
    verdict = await Desk(tmp_path, Filter(Refused(reason)), Origin()).admit(before=True)
    assert isinstance(verdict, Refuse)
    assert verdict.reason == reason


async def test_a_filter_that_never_has_enough_is_not_fed_for_ever(tmp_path: Path) -> None:
    asks = Filter(*[ROOT] * 1000)
    verdict = await Desk(tmp_path, asks, Origin(timestamp=b"{}")).admit()
    assert isinstance(verdict, Refuse)
    assert verdict.reason == "damaged-metadata"
    assert len(asks.given) == reasons.MOST_FILES


PARENTS = policies.parse(
    TEXT.replace(
        b"{centre: {address: 127.10.0.20}}",
        b"{centre: {address: 127.10.0.20}, north: {address: 127.10.0.11, role: parent}}",
    ).replace(b"to: [127.10.0.20]", b"to: [127.10.0.20, 127.10.0.11]")
)


class Network:
    """Origins by name, each with its files; one that is None is away."""

    def __init__(self, **files: dict[str, bytes] | None) -> None:
        self.files, self.asked = files, list[tuple[str, str]]()

    @asynccontextmanager
    async def ask(self, origin: str, path: str, largest: int, via: Any = ()) -> AsyncIterator[Any]:
        self.asked.append((origin, path))
        there = self.files[origin]
        if there is None:
            raise Unreachable(f"{origin} is away")
        data = there.get(path)
        if data is None:
            raise Refused("unknown-path", "no such file", 404)

        class Answer:
            async def read(self, largest: int) -> bytes:
                return data

        yield Answer()


class Verifier:
    """A filter that needs one file for whatever it is asked, and has verified some."""

    def __init__(self, verified: dict[str, bytes]) -> None:
        self.verified, self.given, self.asked = verified, dict[str, bool](), 0

    async def metadata(self, policy: str, file: str, incoming: str | None) -> None:
        self.given[file] = incoming is not None

    async def file(self, policy: str, file: str, *, away: bool = False, waits: bool = False) -> Any:
        self.asked += 1
        if not away and not waits and STAMP.file not in self.given:
            return STAMP
        return None if waits else self.verified.get(file)


def metadata_over(tmp_path: Path, network: Network, verifier: Verifier) -> Metadata:
    incoming: Any = Incoming(tmp_path)
    incoming.prepare()
    origins: Any = network
    filtering: Any = verifier
    return Metadata(origins, filtering, incoming, lambda: 0.0)


async def test_a_parent_is_asked_while_the_origin_is_away_and_only_then(tmp_path: Path) -> None:
    """The origin first; away, it is not asked again at once, and a parent's word counts, also that there is none."""
    network, verifier = Network(centre={}, north={"/trust/timestamp.json": b"{}"}), Verifier({})
    made = metadata_over(tmp_path, network, verifier)
    await made.bring(PARENTS, STAMP)
    assert network.asked == [("centre", "/trust/timestamp.json")]
    network.files["centre"] = None
    network.asked.clear()
    await made.bring(PARENTS, STAMP)
    await made.bring(PARENTS, ROOT)
    assert network.asked == [
        ("centre", "/trust/timestamp.json"),
        ("north", "/trust/timestamp.json"),
        ("north", "/trust/2.root.json"),
    ]
    assert verifier.given == {"timestamp.json": True, "2.root.json": False}
    assert not made.away
    network.files["north"] = None
    with pytest.raises(Unreachable):
        await made.bring(PARENTS, STAMP)
    assert made.away


async def test_other_boxes_are_given_what_is_verified_also_while_everybody_is_away(tmp_path: Path) -> None:
    """A version is asked of the filter once; what it has not verified nobody gets."""
    network, verifier = Network(centre=None, north=None), Verifier({"timestamp.json": b"stamp", "1.root.json": b"root"})
    made = metadata_over(tmp_path, network, verifier)
    assert await made.give(PARENTS, layout.parse("timestamp.json")) == b"stamp"
    assert [await made.give(PARENTS, layout.parse("1.root.json")) for _ in range(2)] == [b"root", b"root"]
    asked = verifier.asked
    assert await made.give(PARENTS, layout.parse("1.root.json")) == b"root"
    assert verifier.asked == asked
    with pytest.raises(Refused) as refused:
        await made.give(PARENTS, layout.parse("2.root.json"))
    assert refused.value.reason == "unknown-path"


async def test_what_plays_is_asked_about_and_shown_only_where_something_changed(tmp_path: Path) -> None:
    """Unchanged is unchanged; no metadata to trust, or nobody who has any, leads to the whole look; a filter that fails is told."""
    answers: list[Any] = [True, False, STAMP, Refused("frozen", "old", 503), Refused("filter-failed", "away", 503)]
    asked = list[bool]()

    class Still(Filter):
        async def still(self, policy: str, digest: str, *, away: bool = False) -> Any:
            asked.append(away)
            answer = answers.pop(0)
            if isinstance(answer, Refused):
                raise answer
            return answer

    desk = Desk(tmp_path, Still(), Origin())
    admitted = Admitted(RELEASE, "digest", "ed25519:key")
    assert [await desk.judge.unchanged(POLICY, admitted) for _ in range(4)] == [True, False, False, False]
    assert asked == [False, False, False, True], "the origin was away a moment ago"
    with pytest.raises(Refused):
        await desk.judge.unchanged(POLICY, admitted)
