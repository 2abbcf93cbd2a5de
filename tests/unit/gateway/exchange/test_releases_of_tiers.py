"""No parent holds a newer version back for long: when the origins themselves are asked, and what an answer's age does."""

import asyncio
import contextlib
import hashlib
from types import SimpleNamespace

import pytest

from appliance.runtime.errors import Unreachable
from gateway.exchange.decide import Admitted, Refuse
from gateway.exchange.releases import DIRECT, FRESH, LISTED, OLDEST, Releases
from gateway.store.manifests import Manifests

CODE = "999999-100000000000001-4"
POLICY = SimpleNamespace(trust=None)


class Upstreams:
    """A parent that says version 1 for ever, and an origin with something newer; tells how each question was put."""

    def __init__(self):
        self.newest, self.age, self.asked, self.away = 1, 0, [], False

    @contextlib.asynccontextmanager
    async def any(self, path, largest, *, oldest=None, direct=False, etags=None, wrong=(), via=()):
        self.asked.append("direct" if direct else "any" if oldest is not None else "however old")
        if not direct and "hub" in wrong:
            raise Unreachable("nobody else")
        if direct and self.away:
            raise Unreachable("the origins are away")
        if not direct and oldest is not None and self.age > oldest:
            raise Unreachable("too old, and nobody else")
        name, version = ("centre", self.newest) if direct else ("hub", 1)
        unchanged = etags.get(name) == f'"{version}"'
        data = b"" if unchanged else b"%d" % version

        async def read(largest):
            return data

        yield SimpleNamespace(
            origin=name, unchanged=unchanged, etag=f'"{version}"', age=0 if direct else self.age, read=read
        )


class Judge:
    """Takes whatever is newer; tells how often it was shown what is kept."""

    def __init__(self):
        self.shown, self.same = 0, True

    async def unchanged(self, policy, admitted):
        return self.same

    async def admit(self, policy, envelope, code, known, *, before=False):
        if before:
            self.shown += 1
            return None
        version = int(envelope)
        if known is not None and version < known.version:
            return Refuse("older-version", "older")
        digest = hashlib.sha256(envelope).hexdigest()
        release = SimpleNamespace(version=version, code=code)
        return Admitted(release, digest, "ed25519:key")


class Orders:
    """Nothing is withdrawn."""

    def check(self, release):
        pass

    def learn(self, release):
        pass


class Journal:
    async def admitted(self, *_):
        pass

    async def refused(self, *_, **__):
        pass


@pytest.fixture
async def box(tmp_path):
    """A box whose clock stands until it is moved: ``after(seconds)`` asks for the release then."""
    now = [1000.0]
    upstreams, kept = Upstreams(), Manifests(tmp_path)
    kept.prepare()
    async with asyncio.TaskGroup() as tasks:
        judge = Judge()
        releases = Releases(tasks, upstreams, kept, judge, Journal(), lambda: now[0], Orders())

        async def after(seconds, policy=POLICY):
            now[0] += seconds
            held = await releases.get(policy, CODE)
            return held.admitted.release.version, now[0] - held.heard

        yield SimpleNamespace(upstreams=upstreams, after=after, judge=judge)


async def test_a_parent_holds_a_newer_version_back_for_a_minute_at_most(box):
    """The parent goes on saying that nothing is new; then the origin is asked itself."""
    assert await box.after(0) == (1, 0)
    box.upstreams.newest = 2
    versions = [(await box.after(FRESH))[0] for _ in range(int(DIRECT / FRESH) + 1)]

    assert versions[:-2] == [1] * (len(versions) - 2)
    assert versions[-1] == 2
    assert box.upstreams.asked.count("direct") == 1


async def test_parents_are_asked_on_while_the_origins_are_away(box):
    """What they heard counts, for as long as nobody knows better."""
    await box.after(0)
    box.upstreams.away = True
    await box.after(DIRECT)

    assert box.upstreams.asked == ["any", "direct", "any"]


async def test_what_was_heard_long_ago_is_taken_only_where_nothing_is_held(box):
    """At first an old answer is better than none; later the own copy is as good."""
    box.upstreams.age = OLDEST + 1

    assert await box.after(0) == (1, OLDEST + 1)
    await box.after(FRESH)
    assert box.upstreams.asked == ["any", "however old", "any"]


async def test_the_age_of_what_is_passed_on_adds_up(box):
    """A box tells its own children how long ago an origin spoke, wherever that was."""
    box.upstreams.age = 3

    assert await box.after(0) == (1, 3)
    assert await box.after(2) == (1, 5)


async def test_what_plays_is_shown_to_the_filter_again_only_where_its_listing_changed(box):
    """Every few seconds the filter is asked whether anything changed; the envelope is shown where it did."""
    trusting = SimpleNamespace(trust=SimpleNamespace(origin="centre"))
    await box.after(0, trusting)
    for _ in range(5):
        await box.after(LISTED, trusting)
    assert box.judge.shown == 0
    box.judge.same = False
    await box.after(LISTED, trusting)
    assert box.judge.shown == 1
