"""What nginx delivers, by its log: counted by the meter, each once and with what left; broken off where it is withdrawn.

Lines are read at once, and counted in their order, each together with the mark of its end: whoever is killed goes on from there.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from appliance.runtime.errors import HeadgateError, Refused
from gateway.delivery import metrics
from gateway.delivery.front import held as holding
from gateway.delivery.front import lines, opaque, running
from gateway.delivery.front.accounts import Accounts
from gateway.delivery.front.cutting import Guard, Screen
from gateway.delivery.front.held import Batch, Held, Holding
from gateway.delivery.front.lines import Account, Began, Ended, Turned
from gateway.delivery.front.log import Block, Log
from gateway.delivery.front.opaque import Carried
from gateway.delivery.front.running import Running
from gateway.delivery.metering.delivery import Delivery, What
from gateway.delivery.metering.meter import Meter

EVERY = 0.25  # seconds between two looks
ASK = 1.0  # seconds between two questions what waits in the kernel
BLOCKS = 16  # of the log, 256 KiB each, read in one look
FURTHEST = 32 << 20  # bytes of log kept for the line of one transfer; then it is said again
UNREAD = 16 << 20  # bytes of log that wait: above, nginx should begin nothing more
ROOM = 16 << 20  # bytes that its file system must have left: some seconds of lines
SWEEP = 60.0  # seconds after which a transfer's connection is looked for: nginx may have been killed
ALIKE = 12  # lines for each of those that are told as one, on the whole: so many are alike
AGAIN = 0.1  # seconds until the guard is asked again
log = logging.getLogger("headgate.delivery")


class Transfers:
    """The transfers of the nginx in front of one zone's delivery; ``heard`` is told of requests that are over as soon as nginx says so.

    ``turned`` is told the reason of each that nginx refused by itself.

    Raises:
        OSError: the log cannot be read and written.
    """

    def __init__(
        self,
        path: Path,
        accounts: Accounts,
        meter: Meter,
        guard: Guard,
        heard: Callable[[Sequence[Held]], None] = lambda some: None,
        clock: Callable[[], float] = time.monotonic,
        turned: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self._turned, self._accounts = turned, accounts
        self._log, self._meter, self._guard, self._heard, self._clock = Log(path), meter, guard, heard, clock
        self._running, self._holding = Running(), Holding()
        self._alone, self._drained = asyncio.Lock(), False
        self._alike = False  # what was read last was alike in most
        self._clear: set[Screen] = set()  # in whose connections nothing waited at the last look
        self._broken: set[Screen] = set()  # whose connections nginx has given up
        self._swept, self._asked, self._away = clock(), 0.0, False
        self._resume(meter.mark)

    @property
    def full(self) -> bool:
        """Whether nginx should begin nothing more, since it could not be accounted for or broken off."""
        behind = self._log.unread > UNREAD or self._log.room < ROOM
        return self._running.full or len(self._holding) > holding.MOST or behind

    def _resume(self, mark: int) -> None:
        """Read what is there: what was counted says what runs, the rest is counted."""
        over = set[str]()
        for block in self._log.blocks():
            places, fresh, accounts = list(block.places()), list[bytes](), list[Account]()
            for text, begins in places:
                match lines.read(text):
                    case Began() as began if began.id not in over:
                        self._begin(began, begins)
                    case Ended(id=name):
                        over.add(name)
                        self._running.end(name)
                        if not self._log.covers(mark, begins + len(text) + 1):
                            fresh.append(text)
                    case Turned(reason) if not self._log.covers(mark, begins + len(text) + 1):
                        self._turned(reason)
                    case Account() as account:
                        if self._log.covers(mark, begins + len(text) + 1):
                            self._accounts.free(account)
                        else:
                            accounts.append(account)
            ended = [said for said in lines.read_all(fresh) if isinstance(said, Ended)]
            ended += itertools.chain.from_iterable(map(self._accounted, accounts))
            self._hold(ended, accounts, block)

    def read(self) -> None:
        """Take all that nginx has said until now; it goes on meanwhile, so that what it says later waits for the next look."""
        self._note()
        end = self._log.end
        while not self._log.covers(self._log.mark, end) and self._read_on():
            pass

    def _note(self) -> None:
        """Note among nginx's lines which answers are read there: each is counted once, with the mark of that line, whoever is killed."""
        try:
            for fresh in self._accounts.fresh():
                self._log.append(lines.noted(fresh))
                self._accounts.noted(fresh)
        except OSError as error:
            log.error("answers of nginx's wait to be counted: %s", error)

    def _read_on(self) -> bool:
        """Take the next lines; return whether there were any."""
        if (some := self._log.some(alike=self._alike)) is None:
            return False
        self._take(some)
        return True

    def _take(self, block: Block) -> None:
        over, accounts, read = list[Ended](), list[Account](), lines.read_all(block.texts)
        self._alike = len(read) * ALIKE < len(block.texts)
        for said in read:
            match said:
                case Ended() as ended:
                    self._running.end(ended.id)
                    over.append(ended)
                case Began() as began:
                    if not began.carried or began.id in self._running:  # else it was over when it was said again
                        self._begin(began, block.begins)
                case Turned(reason):
                    self._turned(reason)
                case Account() as account:
                    over += self._accounted(account)
                    accounts.append(account)
                case _:
                    metrics.FRONT_UNREAD.inc()
        self._hold(over, accounts, block)

    def _accounted(self, account: Account) -> list[Ended]:
        try:
            read = self._accounts.read(account)
        except ValueError:
            metrics.FRONT_UNREAD.inc()
            return []
        metrics.FRONT_UNREAD.inc(read.count(None))
        return [ended for ended in read if ended is not None]

    def _begin(self, began: Began, begins: int) -> None:
        try:
            self._running.begin(began, begins, self._clock())
        except ValueError:
            metrics.FRONT_UNREAD.inc()

    def _hold(self, over: Sequence[Ended], accounts: Sequence[Account], block: Block) -> None:
        if not over and not accounts:
            return
        some = [Held(ended, _carried(ended)) for ended in over]
        batch = Batch(some, block.begins, block.mark, self._clock(), accounts)
        self._holding.add(batch)
        for held in batch.held:
            if not held.ended.done and not held.ended.http2:  # nginx closes it; what waits there is for nobody
                self._broken.add(held.screen)
        self._heard(batch.held)

    async def run(self) -> None:
        """Read, ask, count, until ``drain``."""
        while not self._drained:
            await self.look()
            await asyncio.sleep(EVERY)

    async def look(self) -> None:
        """Read, ask and count once."""
        async with self._alone:
            await self._look()

    async def _look(self) -> None:
        self._note()
        for _ in range(BLOCKS):  # what is said without end keeps nothing from being counted
            if not self._read_on():
                break
            await asyncio.sleep(0)
        try:
            await self._ask()
            self._away = False
        except HeadgateError as error:
            if not self._away:
                log.error("what never left of transfers that broke off is not known: %s", error)
            self._away = True
        await self._count()
        self._tidy()

    async def _ask(self) -> None:
        now = self._clock()
        if self._broken:
            broken, self._broken = self._broken, set()
            await self._guard.cut(broken)
        if now - self._swept >= SWEEP:
            self._swept = now
            await self._sweep(now - SWEEP)
        if not len(self._holding):
            return
        ended = await self._guard.gone()
        self.read()  # nginx said so before the kernel did
        for gone in ended:
            metrics.FRONT_UNSENT.inc(self._holding.never_left(gone.screen, gone.unsent, gone.at, fin=gone.fin))
        self._holding.settle(self._clear, now)
        self._clear = set()
        if now - self._asked >= ASK:
            self._asked = now
            unsure = self._holding.unsure(now)
            waiting = await self._guard.waiting(unsure) if unsure else {}
            self._clear = {screen for screen in unsure if not waiting.get(screen)}

    async def _sweep(self, before: float) -> None:
        """Forget the transfers whose connection is gone: nginx was killed, and says no more about them."""
        forgotten = self._accounts.lost()
        if wanted := self._running.before(before):
            gone = wanted - (await self._guard.waiting(wanted)).keys()
            self.read()  # it may have said so just now
            forgotten += self._running.drop(gone, before)
        if forgotten:
            metrics.FRONT_FORGOTTEN.inc(forgotten)
            log.warning("nginx ended without a word about %d transfers: they are not counted", forgotten)

    async def _count(self) -> None:
        now = self._clock()
        while (batch := self._holding.next(now)) is not None:
            try:
                self._meter.add_all(self._deliveries(batch), batch.mark)
            except Refused as error:
                log.warning("transfers wait to be counted: %s", error)
                return
            for account in self._holding.pop().accounts:
                self._accounts.free(account)
            await asyncio.sleep(0)

    def _deliveries(self, batch: Batch) -> Iterator[Delivery]:
        for held in batch.held:
            ended, carried = held.ended, held.carried
            if carried is None or ended.head:
                continue
            what = What(carried.release, carried.path, carried.body, self._meter.zone, self._meter.screen,
                        ended.status, carried.cache, carried.subject)  # fmt: skip
            sent = sum([carried.content(left) * count for left, count in held.lefts()])
            started, seconds = (ended.since or ended.at) - ended.seconds, ended.seconds * ended.requests
            yield Delivery(what, sent, started, seconds, held.broken, ended.requests, ended.at)

    def _tidy(self) -> None:
        """Keep the log small: nothing is needed before the oldest line that is held, or whose transfer runs."""
        while (oldest := self._running.oldest) is not None and not 0 <= self._log.end - oldest.begins <= FURTHEST:
            self._log.append(lines.carried(oldest.began))
            self.read()  # which finds it further on
        needed = [self._log.mark]
        if oldest is not None:
            needed.append(oldest.begins)
        if (held := self._holding.first) is not None:
            needed.append(held.begins)
        self._log.punch(min(needed))

    async def withdraw(self, codes: Sequence[str]) -> int:
        """Break off what carries these releases; return how many that were. What may begin no more is known to nginx already.

        Raises:
            Unreachable: the guard is away.
            Refused: it cannot (``cannot-cut``).
        """
        return await self.cut(running.of_releases(codes))

    async def cut(self, carry: Callable[[Carried], bool], passed: Collection[Screen] = ()) -> int:
        """Break off what carries such things, and what delivery broke off that it passed through nginx; return how many of the first.

        Raises:
            Unreachable, Refused: as ``withdraw``.
        """
        screens = self._those(carry)
        if over := self._holding.those(carry) - screens:
            screens |= {screen for screen, unsent in (await self._guard.waiting(over)).items() if unsent}
        found = await self._guard.cut(screens.union(passed)) if screens or passed else set()
        return len((found & screens).difference(passed))  # nginx may have said already that it is over

    async def end(self, passed: Collection[Screen]) -> None:
        """Break off all that nginx is in the middle of, and what delivery broke off that it passed: so nginx says how far each came.

        Raises:
            Unreachable, Refused: as ``withdraw``.
        """
        if screens := self._those(lambda _: True).union(passed):
            await self._guard.cut(screens)

    def _those(self, carry: Callable[[Carried], bool]) -> set[Screen]:
        """Return the connections in which nginx is in the middle of such things."""
        screens = {screen for screen, carried in self._accounts.running() if carry(carried)}
        self.read()  # behind that: which of them are over
        return screens | self._running.those(carry)

    async def drain(self) -> None:
        """Count what can be counted soon, when delivery stops; the rest stays in the log for the next start."""
        until = self._clock() + holding.LAG + ASK
        await self.look()
        while len(self._holding) and self._clock() < until:
            await asyncio.sleep(EVERY / 5)
            self._asked = 0.0
            await self.look()
        self._drained = True

    def close(self) -> None:
        """Let the log go."""
        self._log.close()


def _carried(ended: Ended) -> Carried | None:
    """Return what a request that is over carried; None where it is not counted."""
    if not ended.meter:
        return None
    try:
        return opaque.of(ended.meter, ended.subject, ended.marks)
    except ValueError:
        metrics.FRONT_UNREAD.inc()
        return None
