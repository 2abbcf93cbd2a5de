"""The keeper: makes room for what comes, knows what is used, lets go what must.

``with keeper.room_for(...)`` around a fill, ``added`` when the object is in the store, ``used`` when it was delivered, ``forget`` when a
release is withdrawn. The methods block (disk, SQLite) and are safe from any thread; ``used`` only takes note and never waits.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from appliance.runtime.errors import Corrupt, Refused, Unreachable
from gateway.isolation.content import Store
from gateway.release.manifest import Release
from gateway.store import limits, metrics
from gateway.store.brought import Brought
from gateway.store.disk import Disk
from gateway.store.faults import told
from gateway.store.index import Coming, Going, Index
from gateway.store.limits import Standing
from gateway.store.policies import DEFAULT, KNOWN
from gateway.store.rows import Of
from gateway.store.shadow import Shadows

MOST_ARRIVED = 64  # objects that came whose rows are written at once
MOST_WAITING = 1000  # of those, while the disk takes no row
MOST_USES = 50_000  # objects whose uses wait for being written down; more are not noted, only served
AT_ONCE = 500  # objects that go, or whose uses are written down, in one transaction

Moved = Callable[[list[str], bool], None]  # these objects are here now, or are not any more; it must not wait for long

T = TypeVar("T")
log = logging.getLogger("headgate.store")


def _nobody(digests: list[str], here: bool) -> None:
    pass


class Room:
    """Room that is held for one object until the ``with`` ends."""

    def __init__(self, keeper: Keeper, size: int, body: str, zone: str) -> None:
        self.size, self.body, self.zone = size, body, zone
        self.left = size  # bytes that the disk has not taken yet
        self._keeper = keeper

    def took(self, size: int) -> None:
        """Say that the disk took so many more bytes: they are not counted twice then."""
        self.left = max(0, self.left - size)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._keeper.let_go(self)


class Keeper:
    """What is kept below ``root``, as the policy's ``store`` says."""

    def __init__(self, root: Path, settings: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.disk = Disk(root)
        self._settings = limits.fitted(settings, self.disk.total())
        self._room = threading.RLock()  # one makes room at a time
        self._rooms: set[Room] = set()
        self._uses_lock = threading.Lock()
        self._uses: dict[str, set[str]] = {}
        self._pinned: frozenset[str] | None = None
        self._brought = Brought(root)
        self._index = _open(root)
        self._arrived: list[Coming] = []  # objects that came since the index was written last
        self._arrived_lock = threading.Lock()
        self.told: Moved = _nobody
        self.changed = threading.Event()  # the index must be brought in line with the files
        self.changed.set()
        self.shadows = Shadows(self.capacity())
        self.follow(settings)

    def follow(self, settings: Store) -> None:
        """Keep by other settings from now on; what is too much then goes when the next object comes."""
        self._settings = limits.fitted(settings, self.disk.total())
        fixed = settings.keep != "auto"
        noted = self.noted("keep")
        choice = settings.keep if fixed else noted if noted in KNOWN else DEFAULT
        with self._uses_lock:
            self.shadows.choice, self.shadows.fixed = choice, fixed
            self.shadows.resize(self.capacity())
        self._keep(choice)
        codes = frozenset(code.partition(":")[2] for code in settings.pinned) | self._brought.codes()
        if codes != self._pinned:
            self._with_index(lambda index: index.pin(codes), None)
            self._pinned = codes

    @property
    def index(self) -> Index:
        """The index, with everything that came."""
        self._write_arrived()
        return self._index

    def capacity(self) -> int:
        """Return the bytes that the store may take now."""
        return limits.capacity(self._settings, self.index.bytes(), self.disk.room())

    def room_for(self, size: int, body: str, zone: str) -> Room:
        """Return room for an object that comes for ``zone``, which others leave if there is no other way.

        Raises:
            Refused: there is none, by the disk, the policy's size or a quota (``store-full``); or the disk fails (``store-broken``).
        """
        with self._room:
            for excess in limits.excesses(self._settings, self._standing(body, zone), size, body, zone):
                cause = excess.of[0] if excess.of else "capacity"
                freed = self._evict(excess.wanted, excess.of, cause)
                if freed < excess.least:
                    whose = f"of the {excess.of[0]} '{excess.of[1]}' " if excess.of else ""
                    raise Refused(
                        "store-full", f"{excess.least} bytes {whose}must go, only {freed} bytes are not pinned", 507
                    )
            return self._held(size, body, zone)

    def room_at_once(self, size: int, body: str, zone: str) -> Room | None:
        """Return room as ``room_for``, where nothing has to go for it and nobody else makes room now: it does not wait.

        Raises:
            Refused: as ``room_for``.
        """
        if self._arrived_lock.locked() or not self._room.acquire(blocking=False):
            return None
        try:
            if limits.excesses(self._settings, self._standing(body, zone), size, body, zone):
                return None
            return self._held(size, body, zone)
        finally:
            self._room.release()

    def _held(self, size: int, body: str, zone: str) -> Room:
        room = Room(self, size, body, zone)
        self._rooms.add(room)
        return room

    def let_go(self, room: Room) -> None:
        """Give back what was held."""
        with self._room:
            self._rooms.discard(room)

    def squeeze(self, size: int) -> int:
        """Let objects of ``size`` bytes go since the disk said that it is full, whatever was reckoned; return the bytes freed."""
        with self._room:
            metrics.ERRORS.labels("full").inc()
            return self._evict(size + min(limits.SLACK, size), None, "full")

    def added(self, digest: str, size: int, body: str, zone: str, release: str) -> None:
        """Take note that an object is in the store now; its row is written with those of others, or found missing at the next start."""
        with self._arrived_lock:
            self._arrived.append(Coming(digest, size, body, zone, release))
            full = len(self._arrived) >= MOST_ARRIVED
        if full:
            self._write_arrived()
        self.told([digest], True)

    def used(self, digest: str, size: int, sent: int, release: str, *, hit: bool = True) -> None:
        """Take note that ``sent`` bytes of an object went out; ``hit``: it was there before it was asked for."""
        with self._uses_lock:
            if self.shadows.use(digest, size, sent, self._clock()):
                log.info(
                    "%s would have served more bytes of late: it says from now on what is kept", self.shadows.choice
                )
            if hit and (digest in self._uses or len(self._uses) < MOST_USES):
                self._uses.setdefault(digest, set()).add(release)

    def flush(self) -> None:
        """Write down the uses and what came, and let the policy say what is kept that would have served most."""
        with self._uses_lock:
            uses, self._uses = self._uses, {}
            choice = self.shadows.choice
        if choice != self.index.keep.name:
            self._keep(choice)
        waiting = iter(uses.items())
        while some := dict(itertools.islice(waiting, AT_ONCE)):  # so that whoever wants room waits for some only
            self._with_index(partial(Index.use, used=some), None)

    def forget(self, release: str, files: Iterable[str] = ()) -> list[str]:
        """Take away what only this release needs, durably; ``files`` are its digests by its manifest. Return the digests removed.

        Raises:
            Refused: the disk does not let them go (``store-broken``).
        """
        self._brought.remove(release)
        digests = self._with_index(lambda index: index.release(release, files), None)
        if digests is None:  # withdrawing must not fail for want of an index
            digests = sorted(set(files))
        removed = []
        try:
            for digest in digests:
                if self.disk.size(digest) is not None:
                    self.disk.take(digest)
                    removed.append(digest)
            self.disk.settle(removed)
        except OSError as error:
            metrics.ERRORS.labels("remove").inc()
            raise told(error) from error
        with self._uses_lock:
            for digest in digests:
                self._uses.pop(digest, None)
                self.shadows.forget(digest)
        self.told(removed, False)
        return removed

    def gone(self, digests: Iterable[str]) -> None:
        """Take note, at once for all, that somebody took these objects away."""
        digests = list(digests)
        self.told(digests, False)
        self._with_index(lambda index: index.remove(digests), 0)
        with self._uses_lock:
            for digest in digests:
                self._uses.pop(digest, None)
                self.shadows.forget(digest)

    def drop(self, digest: str) -> list[str]:
        """Take a damaged object away; return the releases that are known to need it."""
        unknown: list[str] = []
        releases = self._with_index(lambda index: index.needed(digest), unknown)
        try:
            self.disk.take(digest)
        except OSError as error:
            metrics.ERRORS.labels("remove").inc()
            log.error("the damaged object %s cannot be removed: %s", digest, error)
        self._with_index(lambda index: index.remove([digest]), None)
        self.told([digest], False)
        return releases

    def note(self, name: str, value: str) -> None:
        """Write down a value that may be lost."""
        self._with_index(lambda index: index.note(name, value), None)

    def noted(self, name: str) -> str | None:
        """Return the value written down, if it was not lost."""
        return self._with_index(lambda index: index.noted(name), None)

    def pin(self, release: str) -> None:
        """Keep what a release needs, whatever else comes."""
        self._pin((self._pinned or frozenset()) | {release})

    def bring(self, release: Release, zone: str) -> None:
        """Keep what a release needs that nobody else may have, durably, until it is forgotten.

        Raises:
            Refused: the disk does not take the mark (``store-full``, ``store-broken``).
        """
        self._brought.add(release.code)
        coming = [Coming(file.sha256, file.size, release.body, zone, release.code) for file in release.files.values()]
        self._with_index(lambda index: index.add(coming), 0)
        self.pin(release.code)

    def unpin(self, release: str) -> None:
        """Let a release go when its turn comes."""
        self._pin((self._pinned or frozenset()) - {release})

    def close(self) -> None:
        """Write down what waits, and let the index go."""
        self.flush()
        self.index.close()  # with what came last

    def measure(self) -> None:
        """Set the gauges."""
        metrics.OBJECTS.set(self.index.objects())
        metrics.BYTES.set(self.index.bytes())
        metrics.PINNED.set(self.index.bytes(pinned=True))
        metrics.CAPACITY.set(self.capacity())
        for name in KNOWN:
            metrics.KEEP.labels(name).set(name == self.index.keep.name)
        with self._uses_lock:
            ratios, regret = self.shadows.ratios(), self.shadows.regret()
            self.shadows.resize(self.capacity())
        for name, ratio in ratios.items():
            metrics.RATIO.labels(name).set(ratio)
        metrics.REGRET.set(regret)

    def _pin(self, codes: frozenset[str]) -> None:
        self._with_index(lambda index: index.pin(codes), None)
        self._pinned = codes

    def _keep(self, name: str) -> None:
        self.index.keep = KNOWN[name]
        self.note("keep", name)

    def _standing(self, body: str, zone: str) -> Standing:
        coming: Counter[tuple[Of, str]] = Counter()
        with self._arrived_lock:
            held = [(one.size, one.body, one.zone) for one in self._arrived]
        held += [(room.size, room.body, room.zone) for room in self._rooms]
        for size, its_body, its_zone in held:
            coming["body", its_body] += size
            coming["zone", its_zone] += size
        quotas = limits.quotas_of(self._settings, body, zone)
        return Standing(
            self._index.bytes() + sum(size for size, _, _ in held),
            self._index.bytes(pinned=True),
            self.disk.room() - sum(room.left for room in self._rooms),
            {of: self._index.bytes(of) + coming[of] for of in quotas},
        )

    def _evict(self, wanted: int, of: tuple[Of, str] | None, cause: str) -> int:
        """Let ``wanted`` bytes go, and return how many went; first out of the index, so that a crash between is put right by the files."""
        freed = 0
        while freed < wanted:
            going, written = self._going(wanted - freed, of)
            if not going:
                break
            self.told([one.digest for one in going], False)
            for one in going:
                try:
                    size = self.disk.take(one.digest)
                except OSError as error:
                    metrics.ERRORS.labels("remove").inc()
                    self.changed.set()
                    raise told(error) from error
                freed += size
                metrics.EVICTED.labels(cause).inc()
                metrics.EVICTED_BYTES.inc(size)
            if not written and self._with_index(partial(Index.remove, digests=[one.digest for one in going]), -1) < 0:
                break  # else the same ones would be told again
        return freed

    def _going(self, least: int, of: tuple[Of, str] | None) -> tuple[list[Going], bool]:
        """Return what goes, and whether the index has written that down: it cannot on a disk that is full already."""
        chosen: list[Going] | None = self._with_index(lambda index: index.choose(least, of, AT_ONCE), None)
        if chosen is not None:
            return chosen, True
        none: list[Going] = []
        spare = self._with_index(lambda index: index.spare(least, of, AT_ONCE), none)
        return (spare, False) if spare else (self._just_arrived(least, of), True)

    def _just_arrived(self, least: int, of: tuple[Of, str] | None) -> list[Going]:
        """Return of what came and has no row yet as much as must go, the first that came first; nothing that is pinned."""
        going: list[Going] = []
        with self._arrived_lock:
            for one in tuple(self._arrived):
                may_go = one.release not in (self._pinned or ()) and (of is None or of[1] == getattr(one, of[0]))
                if may_go and sum(each.size for each in going) < least:
                    self._arrived.remove(one)
                    going.append(Going(one.digest, one.size))
        return going

    def _with_index(self, work: Callable[[Index], T], otherwise: T) -> T:
        """Do ``work`` on the index with everything that came, as ``_try`` does."""
        self._write_arrived()
        return self._try(work, otherwise)

    def _write_arrived(self) -> None:
        with self._arrived_lock:  # to the end: who waits for it sees all rows
            if self._arrived and self._try(lambda index: index.add(self._arrived), -1) >= 0:
                self._arrived.clear()
            del self._arrived[:-MOST_WAITING]  # the files tell of them when the index can be written again

    def _try(self, work: Callable[[Index], T], otherwise: T) -> T:
        """Do ``work``; a damaged index is made anew, and one that cannot be used now gives ``otherwise``: it is only advice."""
        try:
            return work(self._index)
        except Corrupt as error:
            metrics.REBUILT.inc()
            with contextlib.suppress(Unreachable, Corrupt):
                self._index.restart(error)
            self.changed.set()
            return otherwise
        except Unreachable as error:
            metrics.INDEX_ERRORS.inc()
            self.changed.set()
            log.warning("%s", error)
            return otherwise


def _open(root: Path) -> Index:
    """Return the index; where the disk takes none, one in memory: what is there is served in any case."""
    try:
        return Index(root, KNOWN[DEFAULT])
    except (Unreachable, Corrupt) as error:
        metrics.INDEX_ERRORS.inc()
        log.error("%s: until the next start it is kept in memory", error)
        return Index(None, KNOWN[DEFAULT])
