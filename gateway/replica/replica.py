"""One step after the other towards what the registry says: files that came -> files that are wanted.

What takes long (a snapshot laid down, levels merged) runs beside the answers: the exchange is told to come again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from appliance.identity.keys import PublicKey
from appliance.runtime.errors import Corrupt, HeadgateError, Refused
from gateway.replica import decide, metrics
from gateway.replica.beginning import Chunks
from gateway.replica.decide import AskSnapshot, Begin, Follow, Hashes, UpToDate
from gateway.replica.following import Doubtful, follow, ranged
from gateway.replica.giving import Giving
from gateway.resolver import proof, published
from gateway.resolver.levels import Head, Info
from gateway.resolver.proof import Looked
from gateway.resolver.published import HEAD, SNAPSHOT, Snapshot
from gateway.resolver.writing import Writer
from gateway.store.faults import told

AT_ONCE = 32  # files that are wanted in one step
CHUNKS_AT_ONCE = 4
PATIENCE = 5.0  # seconds that a step waits for what is being laid down
T = TypeVar("T")
log = logging.getLogger("headgate.replica")


@dataclass(frozen=True)
class Wants:
    """The answer to a step: what is wanted, how far the table is, and whether it is what the registry says now.

    ``busy``: something is being laid down; ``head``: the state of the log that was verified, and the key that signed it.
    """

    paths: tuple[str, ...] = ()
    size: int = 0
    fresh: bool = False
    busy: bool = False
    head: published.Head | None = None
    signer: PublicKey | None = None


class Replica:
    """Follows the registry; ``keys`` and ``ranges`` are the policy's."""

    def __init__(self, folder: Path, coming: Path, tasks: asyncio.TaskGroup) -> None:
        self.giving = Giving(folder, coming.parent / "giving")
        self._writer, self._chunks, self._tasks = Writer(folder), Chunks(coming), tasks
        self.keys: tuple[PublicKey, ...] = ()
        self.ranges: tuple[str, ...] = ()
        self._turn = asyncio.Lock()
        self._job: asyncio.Task[None] | None = None
        self._failure: HeadgateError | None = None
        self._told: Info | None = None
        self._bad = ""  # the root of the snapshot whose chunks were no good
        self._begin_again()

    def prepare(self) -> None:
        """Make the folders and throw away what was not finished; chunks that came whole stay until a snapshot tells of them."""
        self._chunks.make()
        self._writer.prepare()
        self.giving.prepare()
        self._told = self._writer.info()
        metrics.table(self._told)

    def _begin_again(self) -> None:
        """Forget what came, and ask for the head."""
        self._head: published.Head | None = None
        self._signer: PublicKey | None = None
        self._snapshot: Snapshot | None = None
        self._no_snapshot = self._doubt = False
        self._hashes = Hashes(0)
        self._bundles: dict[int, bytes] = {}
        self._wanted_bundles: dict[str, int] = {}

    async def step(self, files: Mapping[str, bytes | None], *, begin: bool) -> Wants:
        """Take ``files`` (None: the registry has none there) and return what is wanted next; ``begin``: a new round, from the head on.

        Raises:
            Refused: the registry's log goes back or is another one, or a file is not signed or not what it should be.
            Corrupt: a file is damaged.
        """
        async with self._turn:
            if self._busy():
                return Wants(size=self._size(), busy=True)
            try:
                self._raise_failure()
                if begin:
                    self._begin_again()
                for path, data in files.items():
                    await asyncio.to_thread(self._take, path, data)
                return await self._next()
            except HeadgateError as error:
                metrics.refused(error)
                self._begin_again()
                raise

    def look(self, data: bytes, code: str) -> Looked:
        """Return what the registry's answer ``data`` on a single code says, once it is proved.

        Raises:
            Corrupt: it proves nothing.
            Refused: the registry did not sign it (``not-signed``), or before the table here (``rewound-log``).
        """
        try:
            looked = proof.open_lookup(data, code, self.keys)
            here = self._told
            if here is not None and looked.made < here.made:
                raise Refused(
                    "rewound-log", f"the registry spoke at {here.made}, and this answer is from {looked.made}"
                )
        except HeadgateError as error:
            metrics.refused(error)
            raise
        metrics.LOOKUPS.labels("absent" if looked.change is None else "found").inc()
        return looked

    async def give(self, work: Callable[[Giving], T]) -> T:
        """Return what ``work`` does about registration at this box, while nothing else reads the table here.

        Raises:
            Refused: a table is being laid down (``busy``), the disk takes nothing in, or as ``work`` says.
        """
        async with self._turn:
            if self._busy():
                raise Refused("busy", "the table of identifiers is being laid down: ask again", 503)
            try:
                done = await asyncio.to_thread(work, self.giving)
            except OSError as error:
                raise told(error) from error
            metrics.PENDING.set(len(self.giving.pending))
            return done

    def _busy(self) -> bool:
        return self._job is not None and not self._job.done()

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _size(self) -> int:
        return self._told.size if self._told else 0

    def _take(self, path: str, data: bytes | None) -> None:
        if path == HEAD:
            self._take_head(data)
        elif path == SNAPSHOT:
            self._take_snapshot(data)
        elif data is None:  # partial tiles go when wider ones come, chunks when a newer snapshot does
            self._begin_again()
        elif path.startswith("snapshot/"):
            chunk = next((one for one in self._snapshot.chunks if one.name == path), None) if self._snapshot else None
            if chunk is not None:
                self._chunks.take(chunk, data)
        elif path.startswith("tile/entries/"):
            number = self._wanted_bundles.get(path)
            if number is not None:
                self._bundles[number] = data
        else:
            self._hashes.tiles[path] = data

    def _take_head(self, data: bytes | None) -> None:
        if data is None:
            raise Refused("unknown-path", "the registry has published nothing yet", 404)
        head, signer = published.unseal(published.Head, data, self.keys)
        decide.judge(self._told, head)
        self._begin_again()
        self._head, self._signer, self._hashes = head, signer, Hashes(head.size)
        metrics.head(head)

    def _take_snapshot(self, data: bytes | None) -> None:
        if data is None:
            self._no_snapshot = True
            return
        snapshot, _ = published.unseal(Snapshot, data, self.keys)
        if self._head is None or snapshot.registry != self._head.registry:
            raise Refused("other-registry", "the snapshot is of another registry than the head")
        self._no_snapshot = snapshot.root == self._bad
        if snapshot.size > self._head.size:  # newer than the head that came just before
            self._begin_again()
            return
        self._snapshot = snapshot
        self._chunks.keep(snapshot)

    async def _next(self) -> Wants:
        """Return what is wanted now, after doing what can be done."""
        while True:
            if self._head is None:
                return self._wants([HEAD])
            plan = decide.plan(self._told, self._head, self.ranges, self._snapshot, none=self._no_snapshot)
            match plan:
                case UpToDate():
                    await asyncio.to_thread(self._touch)
                    await asyncio.to_thread(self.giving.heard, self._head)
                    metrics.SETTLED.inc(await asyncio.to_thread(self.giving.settle))
                    metrics.PENDING.set(len(self.giving.pending))
                    return self._wants([], fresh=True)
                case AskSnapshot():
                    return self._wants([SNAPSHOT])
                case Begin(snapshot):
                    wanted = self._before_beginning(snapshot)
                case Follow():
                    wanted = self._before_following(plan)
            if wanted:
                return self._wants(wanted)
            if not await self._do(plan):
                return self._wants([], busy=True)

    def _wants(self, paths: Sequence[str], *, fresh: bool = False, busy: bool = False) -> Wants:
        return Wants(tuple(paths), self._size(), fresh, busy, self._head, self._signer)

    def _before_beginning(self, snapshot: Snapshot) -> list[str]:
        head = self._need_head()
        uses = [decide.proof_of(snapshot.size, head.size), decide.subtrees_of(snapshot.size)]
        wanted = self._hashes.lacking(*uses, *self._past(head))
        return wanted[:AT_ONCE] or [one.name for one in self._chunks.lacking(snapshot, self.ranges)[:CHUNKS_AT_ONCE]]

    def _before_following(self, plan: Follow) -> list[str]:
        head = self._need_head()
        uses = [] if plan.end == head.size else [decide.proof_of(plan.end, head.size), decide.subtrees_of(plan.end)]
        wanted = self._hashes.lacking(*uses, *(self._past(head) if self._doubt else []))
        self._wanted_bundles = {decide.bundle_path(number, head.size): number for number in plan.bundles()}
        lacking = [path for path, number in self._wanted_bundles.items() if number not in self._bundles]
        return [*wanted, *lacking][:AT_ONCE]

    def _past(self, head: published.Head) -> list[Callable[[decide.Complete], object]]:
        """Return what shows that the head's log goes on from the table's."""
        size = self._size()
        return [decide.proof_of(size, head.size), decide.subtrees_of(size)] if size else []

    def _need_head(self) -> published.Head:
        if self._head is None:
            raise AssertionError("nothing is planned without a head")
        return self._head

    async def _do(self, plan: Begin | Follow) -> bool:
        """Lay down what came; return whether it is done already."""
        self._job = self._tasks.create_task(self._lay_down(plan))
        await asyncio.wait({self._job}, timeout=PATIENCE)
        if self._busy():
            return False
        self._raise_failure()
        return True

    async def _lay_down(self, plan: Begin | Follow) -> None:
        started = time.monotonic()
        try:
            if isinstance(plan, Begin):
                await asyncio.to_thread(self._begin, plan.snapshot)
            else:
                await asyncio.to_thread(self._follow, plan)
        except HeadgateError as error:
            self._failure = error
            return
        except OSError as error:
            failure = told(error)
            if not isinstance(failure, HeadgateError):
                raise
            self._failure = failure
            return
        metrics.SECONDS.labels("snapshot" if isinstance(plan, Begin) else "changes").observe(time.monotonic() - started)
        metrics.table(self._told)

    def _begin(self, snapshot: Snapshot) -> None:
        head, ranges = self._need_head(), self.ranges
        if self._told is not None and self._told.size:
            decide.check_goes_on(self._told.size, bytes.fromhex(self._told.root), head, self._hashes)
        decide.check_goes_on(snapshot.size, bytes.fromhex(snapshot.root), head, self._hashes)
        subtrees = decide.subtrees_of(snapshot.size)(self._hashes.complete)
        if decide.frontier_of(snapshot.size, subtrees).root.hex() != snapshot.root:
            raise Corrupt("the tiles of the registry's log do not fit its snapshot")
        roots = tuple(root.hex() for root in subtrees)
        made = snapshot.made if self._told is None else max(snapshot.made, self._told.made)
        laid = Head(snapshot.registry, snapshot.size, snapshot.root, min(made, head.made), roots)
        try:
            self._told = self._writer.replace(laid, self._chunks.records(snapshot, ranges), ranges)
        except Corrupt:
            self._bad = snapshot.root  # not again: the log itself is followed, until there is another snapshot
            self._chunks.keep(None)
            raise
        self._chunks.keep(None)
        self._snapshot = None
        self._no_snapshot = True
        log.info("began from the snapshot of %d changes, %d codes", snapshot.size, self._told.count)

    def _follow(self, plan: Follow) -> None:
        head, ranges, bundles = self._need_head(), self.ranges, [self._bundles[number] for number in plan.bundles()]
        if self._doubt and self._told is not None:
            decide.check_goes_on(self._told.size, bytes.fromhex(self._told.root), head, self._hashes)
        try:
            followed = follow(ranged(self._told, ranges), head, plan, bundles, self._hashes)
        except Doubtful:
            if self._doubt or plan.anew or not self._size():
                raise
            self._doubt = True  # tiles of the past tell whether the log or what came is at fault
            return
        if plan.anew:
            self._told = self._writer.replace(followed.head, [], ranges, followed.changes, followed.fresh)
        else:
            self._told = self._writer.add(followed.head, followed.changes, followed.fresh)
        metrics.CHANGES.inc(plan.end - plan.start)
        self._bundles = {number: data for number, data in self._bundles.items() if number * 256 + 256 > plan.end}

    def _touch(self) -> None:
        """Note that the registry said just now what the table says."""
        head = self._need_head()
        if self._told is not None and head.made > self._told.made:
            self._told = self._writer.touch(head.made)
            metrics.table(self._told)
        metrics.FRESH.set(datetime.now(UTC).timestamp())
