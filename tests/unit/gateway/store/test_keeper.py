"""The keeper: there is room for what comes, by the disk, the policy's size and the quotas; what must stay stays."""

import errno
import hashlib
import os
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.runtime.errors import Refused
from gateway.isolation.content import Quotas, Store
from gateway.store import limits
from gateway.store.index import NAME
from gateway.store.keeper import MOST_ARRIVED, Keeper
from gateway.store.limits import Standing
from gateway.store.manifests import Manifests
from gateway.store.objects import Objects
from gateway.store.passed import As, Passed
from gateway.store.reconcile import Reconciling
from tests.unit.gateway.store import filled

SIZE = 1000
ZONE = "bigscreen"


def settings(**told):
    return Store(**{"free": 1, "keep": "sieve", **told})


class Filled:
    """A store that is filled as the exchange fills it."""

    def __init__(self, root, **told):
        self.root, self.objects = root, Objects(root)
        self.objects.prepare()
        self.keeper = Keeper(root, settings(**told))

    def fill(self, number, size=SIZE, body="library", zone=ZONE, release="a"):
        data = str(number).encode().ljust(size, b".")
        digest = hashlib.sha256(data).hexdigest()
        with self.keeper.room_for(size, body, zone) as room, filled.write(self.root, digest, size) as writer:
            writer.write(data)
            room.took(size)
            writer.finish()
            self.keeper.added(digest, size, body, zone, release)
        return digest

    def there(self, digests):
        return [self.objects.has(digest, SIZE) for digest in digests]


@pytest.fixture
def make(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "SLACK", 0)  # exactly what is needed goes
    made = []

    def make(**told):
        made.append(Filled(tmp_path, **told))
        return made[-1]

    yield make
    for one in made:
        one.keeper.close()


def test_room_is_made_by_what_was_not_used(make):
    """At its size the store lets the oldest go that nobody used, with its file."""
    store = make(size=10 * SIZE)
    held = [store.fill(n) for n in range(10)]
    store.keeper.used(held[0], SIZE, SIZE, "a")
    store.keeper.flush()
    held.append(store.fill(10))
    assert store.there(held) == [True, False] + [True] * 9
    assert store.keeper.index.bytes() <= 10 * SIZE


def test_more_goes_than_is_needed(tmp_path):
    """Down to a low-water mark, so that not each object that comes lets others go."""
    store = Filled(tmp_path, size=100 * SIZE)
    held = [store.fill(n) for n in range(101)]
    assert store.there(held).count(False) == 3
    store.keeper.close()


def test_what_does_not_fit_is_refused_before_anything_goes(make):
    """An object larger than the store, than its quota or than what is not pinned is refused, and all stays."""
    store = make(size=10 * SIZE, quotas=Quotas(bodies={"museum": 2 * SIZE}, zones={"smallscreen": 3 * SIZE}))
    held = [store.fill(n) for n in range(6)]
    for size, body, zone, word in [
        (11 * SIZE, "library", ZONE, "takes 10000 bytes"),
        (2 * SIZE + 1, "museum", ZONE, "quota of the body 'museum'"),
        (3 * SIZE + 1, "library", "smallscreen", "quota of the zone 'smallscreen'"),
    ]:
        with pytest.raises(Refused, match=word) as error:
            store.keeper.room_for(size, body, zone)
        assert (error.value.reason, error.value.status) == ("store-full", 507)
    store.keeper.pin("a")
    with pytest.raises(Refused, match="6000 are pinned"):
        store.keeper.room_for(5 * SIZE, "library", ZONE)
    assert all(store.there(held))


def test_quota_lets_only_its_own_go(make):
    """A body that reaches its quota displaces itself, never others."""
    store = make(size=100 * SIZE, quotas=Quotas(bodies={"museum": 3 * SIZE}))
    others = [store.fill(n) for n in range(5)]
    own = [store.fill(100 + n, body="museum", release="m") for n in range(6)]
    assert all(store.there(others))
    assert store.there(own) == [False] * 3 + [True] * 3


def test_zone_that_an_object_first_came_for_counts(make):
    """Asked for later in another zone, an object stays in the quota of the first."""
    store = make(size=100 * SIZE, quotas=Quotas(zones={"smallscreen": 2 * SIZE}))
    first = store.fill(1, zone=ZONE)
    store.keeper.added(first, SIZE, "library", "smallscreen", "b")
    phones = [store.fill(10 + n, zone="smallscreen") for n in range(3)]
    assert store.there([first, *phones]) == [True, False, True, True]


def test_pinned_release_stays_whatever_comes(make):
    """Pinning holds also for what comes later, and by the policy's list; unpinned it goes like others."""
    store = make(size=10 * SIZE, pinned=("isli:a",))
    held = [store.fill(n, release="a") for n in range(4)]
    for n in range(30):
        store.fill(100 + n, release="b")
    assert all(store.there(held))
    store.keeper.follow(settings(size=10 * SIZE))
    for n in range(30):
        store.fill(200 + n, release="b")
    assert not any(store.there(held))


def test_rooms_that_are_held_count(make):
    """Fills under way at once do not get the same room."""
    store = make(size=3 * SIZE)
    with store.keeper.room_for(2 * SIZE, "library", ZONE):
        with pytest.raises(Refused, match="must go"):
            store.keeper.room_for(2 * SIZE, "library", ZONE)
        with store.keeper.room_for(SIZE, "library", ZONE):
            pass
    with store.keeper.room_for(3 * SIZE, "library", ZONE):
        pass


def test_withdrawn_release_leaves_the_disk(make):
    """Forgetting removes the files of a release alone, those its manifest names included, and tells which."""
    store = make()
    own, shared, loose = store.fill(1, release="a"), store.fill(2, release="a"), store.fill(3, release="")
    store.keeper.used(shared, SIZE, SIZE, "b")
    store.keeper.flush()
    assert sorted(store.keeper.forget("a", [own, shared, loose, "0" * 64])) == sorted([own, loose])
    assert store.there([own, shared, loose]) == [False, True, False]
    assert store.keeper.forget("b") == [shared]


def test_what_others_took_away_is_no_longer_counted(make):
    """Whoever removes many objects tells it once; unknown ones are no fault."""
    store = make(size=10 * SIZE)
    held = [store.fill(n) for n in range(4)]
    for digest in held[:3]:
        store.objects.path(digest).unlink()
    store.keeper.gone([*held[:3], "0" * 64])
    assert (store.keeper.index.objects(), store.keeper.index.bytes()) == (1, SIZE)


def test_withdrawing_needs_no_index(make, tmp_path):
    """With a damaged index a withdrawal still removes what the manifest names."""
    store = make()
    digest = store.fill(1)
    store.keeper.index.close()
    assert store.keeper.forget("a", [digest]) == [digest]
    assert store.there([digest]) == [False]


def test_squeezing_frees_what_the_disk_lacks(make):
    """Where the disk is full before the reckoning says so, objects of that size go at once."""
    store = make()
    held = [store.fill(n) for n in range(20)]
    assert store.keeper.squeeze(5 * SIZE) >= 5 * SIZE
    assert 5 <= store.there(held).count(False) <= 11


def test_open_file_is_read_to_its_end(make):
    """Whoever is being served an object that goes reads on."""
    store = make(size=2 * SIZE)
    digest = store.fill(1)
    with store.objects.open(digest, SIZE) as file:
        store.fill(2)
        store.fill(3)
        assert store.there([digest]) == [False]
        assert hashlib.sha256(file.read()).hexdigest() == digest


def test_damaged_index_costs_no_object(make, tmp_path):
    """A damaged index is made anew; every object is still there, and the keeper asks for the files to be looked through."""
    store = make(size=20 * SIZE)
    held = [store.fill(n) for n in range(5)]
    store.keeper.close()
    (tmp_path / NAME).write_bytes(b"no database" * 1000)
    store = make(size=20 * SIZE)
    assert all(store.there(held))
    assert store.keeper.changed.is_set()
    assert store.keeper.index.objects() == 0


def test_disk_that_takes_no_index_still_serves(tmp_path, monkeypatch):
    """Where the index cannot be opened, one in memory takes its place."""
    (tmp_path / NAME).mkdir()
    store = Filled(tmp_path)
    assert store.there([store.fill(1)]) == [True]
    store.keeper.close()


@pytest.mark.parametrize("code", [errno.EROFS, errno.ENOMEM, errno.EREMOTEIO])
def test_failing_disk_is_refused_with_its_reason(make, monkeypatch, code):
    """A disk that lets nothing go any more refuses fills as broken, and counts."""
    store = make(size=2 * SIZE)
    held = [store.fill(n) for n in range(2)]

    def fails(_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(store.keeper.disk, "take", fails)
    for refused in (lambda: store.fill(3), lambda: store.keeper.forget("a")):
        with pytest.raises(Refused, match=os.strerror(code)) as error:
            refused()
        assert error.value.reason == "store-broken"
    assert all(store.there(held))


def test_policy_that_serves_most_takes_over(make):
    """The shadows' choice says what is kept after the next flush, and after a restart."""
    store = make(size=1 << 30, keep="auto")
    store.keeper.shadows.choice = "s3-fifo"
    store.keeper.flush()
    assert store.keeper.index.keep.name == "s3-fifo"
    store.keeper.close()
    again = make(size=1 << 30, keep="auto")
    assert again.keeper.index.keep.name == "s3-fifo"
    again.keeper.follow(settings(keep="lru"))
    assert again.keeper.index.keep.name == "lru"


def test_first_delivery_of_what_was_fetched_for_it_is_no_second_use(make):
    """A use is what finds the object here: the one that it was fetched for says nothing about another."""
    store = make(size=3 * SIZE)
    first, second = store.fill(1), store.fill(2)
    store.keeper.used(first, SIZE, SIZE, "a", hit=False)
    store.keeper.used(second, SIZE, SIZE, "a", hit=True)
    store.keeper.flush()
    store.fill(3)
    store.fill(4)
    assert store.there([first, second]) == [False, True]


@given(
    size=st.integers(1, 200),
    limit=st.none() | st.integers(1, 300),
    room=st.integers(-50, 300),
    held=st.integers(0, 300),
    free=st.integers(1, 50),
    quota=st.integers(1, 200),
)
def test_what_goes_is_enough_for_every_limit(size, limit, room, held, free, quota):
    """After what must go went, the object fits by size, disk and quota; else it is refused."""
    told = Store(size=limit, free=free, quotas=Quotas(bodies={"library": quota}))
    own = held // 2
    try:
        found = limits.excesses(told, Standing(held, 0, room, {("body", "library"): own}), size, "library", ZONE)
    except Refused:
        assert size > quota or size > limits.capacity(told, held, room)
        return
    by_quota = sum(excess.least for excess in found if excess.of)
    whole = max((excess.least for excess in found if not excess.of), default=0)
    assert own - by_quota + size <= quota
    assert held - whole + size <= (limit or 1000)
    assert room + whole - size >= free


@pytest.fixture
def small(tmp_path):
    """A file system of its own with 32 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "hg-store-test", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="SKIPPED LOUDLY: mounting a small disk needs root")
def test_small_disk_never_gets_full(small):
    """On a real disk of 32 MiB, 100 MiB pass through and what the policy keeps free stays free."""
    store = Filled(small, free=8 << 20)
    held = [store.fill(n, size=512 << 10) for n in range(200)]
    told = os.statvfs(small)
    assert told.f_bavail * told.f_frsize >= 3 << 20  # the index's own pages, 5 MiB at most, aside
    assert store.objects.has(held[-1], 512 << 10)
    store.keeper.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="SKIPPED LOUDLY: mounting a small disk needs root")
def test_full_disk_costs_what_is_old(small):
    """On a disk that others filled, squeezing gives a fill its room; without anything to give, it is refused, and nothing is torn."""
    store = Filled(small, size=1 << 30, free=1)
    held = [store.fill(n, size=512 << 10) for n in range(20)]
    (small / "foreign").write_bytes(b"x" * (os.statvfs(small).f_bavail * os.statvfs(small).f_frsize))
    data, size = os.urandom(1 << 20), 1 << 20
    digest = hashlib.sha256(data).hexdigest()

    def fill():
        with filled.write(small, digest, size) as writer:
            writer.write(data)
            writer.finish()

    with pytest.raises(Refused) as error:
        fill()
    assert error.value.reason == "store-full"
    assert store.keeper.squeeze(size) >= size
    fill()
    assert store.objects.has(digest, size)
    assert not list((small / "incoming").iterdir())
    assert any(store.objects.has(one, 512 << 10) for one in held)
    store.keeper.close()


def test_whoever_remembers_objects_is_told_what_came_and_went(make, tmp_path):
    """As what an evicted, withdrawn, damaged or removed object passed is forgotten, and nothing else."""
    store = make(size=3 * SIZE)
    passed = Passed(tmp_path, 1)
    came, gone = [], []

    def told(digests, here):
        (came if here else gone).extend(digests)
        if not here:
            passed.forget(digests)

    store.keeper.told = told
    held = [store.fill(n, release=str(n)) for n in range(3)]
    for digest in held:
        passed.add(As(digest, "text/plain", False, 0))
    held.append(store.fill(3))
    passed.add(As(held[3], "text/plain", False, 0))
    assert (came, gone) == (held, held[:1])
    store.keeper.forget("1")
    store.keeper.drop(held[2])
    assert gone == held[:3]
    store.keeper.gone([held[3]])
    assert not any(passed.has(As(digest, "text/plain", False, 0)) for digest in held)
    passed.close()


def test_what_just_came_counts_before_it_has_a_row(make):
    """Rows are written together; size and quotas hold meanwhile, and who looks at the index sees them all."""
    store = make(size=10 * SIZE, quotas=Quotas(bodies={"museum": 3 * SIZE}))
    held = [store.fill(n, body="museum") for n in range(3)]
    assert (store.keeper._index.objects(), len(store.keeper._arrived)) == (0, 3)
    store.fill(3, body="museum")
    assert store.there(held) == [False, True, True]
    more = [store.fill(n) for n in range(10, 18)]
    assert sum(store.there([*held, *more])) <= 10
    assert store.keeper.index.objects() == sum(path.is_file() for path in (store.root / "objects").glob("*/*"))


def test_rows_of_many_are_written_by_themselves(make):
    """No more than ``MOST_ARRIVED`` wait."""
    store = make()
    for n in range(MOST_ARRIVED):
        store.fill(n)
    assert store.keeper._index.objects() == MOST_ARRIVED


def test_rows_that_a_crash_took_are_found_by_the_files(make, tmp_path):
    """What was stored is kept and known after a start that follows no end."""
    store = make()
    held = [store.fill(n) for n in range(5)]
    assert not store.keeper._index.objects()
    again = Keeper(tmp_path, settings())
    assert again.changed.is_set()
    assert sum(Reconciling(again, Manifests(tmp_path)).steps()) == 5
    assert again.index.objects() == 5
    assert all(store.there(held))
    again.close()


def test_room_is_had_at_once_where_nothing_must_go(make):
    """Only somebody who may wait makes others go; what fits by no means is refused as ever."""
    store = make(size=3 * SIZE)
    held = [store.fill(n) for n in range(2)]
    with store.keeper.room_at_once(SIZE, "library", ZONE):
        assert store.keeper.room_at_once(SIZE, "library", ZONE) is None
    assert store.there(held) == [True, True]
    with pytest.raises(Refused, match="the store takes"):
        store.keeper.room_at_once(4 * SIZE, "library", ZONE)
