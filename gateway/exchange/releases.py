"""Verified manifests: in memory, on disk, and as new as the origin has them."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from appliance.runtime.errors import Corrupt, HeadgateError, Refused, Unreachable
from appliance.runtime.once import Once
from gateway.exchange.decide import Admitted, Known, Peer, Refuse
from gateway.exchange.journal import Journal
from gateway.exchange.judge import Judge
from gateway.exchange.origin import MOST_WRONG, Origins
from gateway.isolation.policy import Policy
from gateway.release import manifest, paths, signed
from gateway.release.manifest import Release
from gateway.release.trust import reasons
from gateway.store.manifests import Manifests

FRESH = 5.0  # seconds until somebody is asked again whether there is a newer version
OLDEST = (
    30  # seconds since a parent heard of it from an origin: an older answer is not taken, while anybody has a newer one
)
DIRECT = 60.0  # seconds until the origins themselves are asked: no parent holds a newer version back for longer
LISTED = 10.0  # seconds until trust metadata is looked at again
MOST_TAGS = 8
PATIENCE = 0.5  # seconds that a screen waits for that answer when there is a verified version already
MOST = 500  # releases in memory; the others come from disk again

log = logging.getLogger("headgate.exchange")


@dataclass
class Held:
    """A verified release, and when an origin last spoke about it."""

    policy: Policy  # under which it was verified; under another one it must be verified again
    admitted: Admitted
    etags: dict[str, str] = field(default_factory=dict)  # of whoever gave this version
    checked: float = float("-inf")  # monotonic seconds: asked last
    heard: float = float("-inf")  # an origin spoke last, here or at the parent that passed it on
    direct: float = float("-inf")  # an origin itself was asked last
    listed: float = float("-inf")  # trust metadata was looked at last


@dataclass(frozen=True)
class Found:
    """What ``origin`` has: an envelope, or None where it is the one held."""

    origin: str
    data: bytes | None
    etag: str
    age: float  # seconds since an origin spoke about it


class Orders(Protocol):
    """What is withdrawn (``withdrawn.py``)."""

    def check(self, release: Release) -> None:
        """Raise Refused for a release that is withdrawn."""

    def learn(self, release: Release) -> None:
        """Note durably what a version names, before anything of it comes."""

    async def withheld(self, release: Release, sha256: str) -> None:
        """Raise Refused for an object whose release was withdrawn while it came, and let it go."""


class Releases:
    """The releases of all origins, by code."""

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        origins: Origins,
        kept: Manifests,
        judge: Judge,
        journal: Journal,
        clock: Callable[[], float],
        orders: Orders,
    ) -> None:
        self._orders = orders
        self._origins, self._kept, self._judge, self._journal, self._clock = origins, kept, judge, journal, clock
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._taking_in = asyncio.Lock()
        self._once: Once[tuple[str, int], Held] = Once(tasks, at_once=8, waiting=256)

    async def get(self, policy: Policy, code: str, via: Sequence[str] = ()) -> Held:
        """Return the newest verified version of the release, which is the last one known where the origins are away.

        ``via`` are the boxes that ask for it.

        Raises:
            Refused: no origin has it (``unknown-release``), or what they have is not admitted, or it is withdrawn (``withdrawn``).
            Unreachable: it was never here, and the origins are away.
        """
        held = await self._newest(policy, code, via)
        self._orders.check(held.admitted.release)
        return held

    async def _newest(self, policy: Policy, code: str, via: Sequence[str]) -> Held:
        held = self._held.get(code)
        if held is not None and held.policy is policy:
            self._held.move_to_end(code)
            if self._clock() - held.checked < FRESH:
                return held
            refreshed = self._once.do((code, id(policy)), lambda: self._refresh(policy, code, via))
            try:
                return await asyncio.wait_for(refreshed, PATIENCE)
            except (TimeoutError, HeadgateError):
                if code in self._held:
                    return held
                raise  # it is listed no longer
        return await self._once.do((code, id(policy)), lambda: self._refresh(policy, code, via))

    def peek(self, code: str) -> Held | None:
        """Return what is in memory of the release, without asking anybody."""
        return self._held.get(code)

    async def judge(self, policy: Policy, code: str, envelope: bytes) -> Held:
        """Return the release that a peer brings, verified as one that an origin has; nothing is kept yet.

        Raises:
            Refused: it is not admitted, or older than what is known, or withdrawn.
        """
        held = self._held.get(code)
        known = _known(held.admitted) if held else None
        if held is None or held.policy is not policy:
            _, known, _ = await self._recall(policy, code)
        verdict = await self._judge.admit(policy, envelope, code, known)
        if isinstance(verdict, Refuse):
            raise verdict.error()
        self._orders.check(verdict.release)
        await asyncio.to_thread(self._orders.learn, verdict.release)
        return Held(policy, dataclasses.replace(verdict, envelope=envelope))

    async def take_in(self, held: Held, envelope: bytes, peer: Peer) -> None:
        """Keep a release whose objects are all here; doing it again changes nothing.

        Raises:
            Refused: it cannot be recorded or kept.
        """
        release = held.admitted.release
        async with self._taking_in:
            data = await asyncio.to_thread(self._kept.get, release.code)
            if data != envelope:
                await self._journal.took_in(held.admitted, peer)
                await asyncio.to_thread(self._kept.put, release.code, envelope)
            self._keep(release.code, Held(held.policy, dataclasses.replace(held.admitted, envelope=None)))

    async def _refresh(self, policy: Policy, code: str, via: Sequence[str]) -> Held:
        """Ask for the release, and keep what is admitted; the last verified one stays otherwise."""
        held = self._held.get(code)
        known = _known(held.admitted) if held else None
        refusal: Refuse | None = None
        if held is None or held.policy is not policy:
            held, known, refusal = await self._recall(policy, code)
        elif policy.trust is not None and self._clock() - held.listed >= LISTED:
            await self._look_again(policy, code, held)
        away: HeadgateError | None = None
        direct = held is not None and self._clock() - held.direct >= DIRECT
        wrong: list[str] = []
        while len(wrong) <= MOST_WRONG:
            try:
                found = await self._ask(code, held, wrong, direct=direct, via=via)
            except Unreachable as error:
                if direct:  # the origins are away: parents may have heard of it before
                    direct = False
                    continue
                away = error
                break
            except Refused as error:
                # "unknown-path": nobody has such a release. What was judged here says more than what another box answers.
                if error.reason != "unknown-path" and refusal is None:
                    refusal = Refuse.of(error)
                    if held is not None:  # nobody else will hear of it
                        await self._journal.refused(refusal, None, release=code)
                break
            now = self._clock()
            if found.data is None and held is not None:
                held.checked, held.heard = now, now - found.age
                held.direct = now if direct else held.direct
                return self._keep(code, held)
            data = found.data or b""
            if held is not None and data == await asyncio.to_thread(self._kept.get, code):
                return self._keep(code, _held(policy, held.admitted, held, found, now, direct=direct))
            try:
                verdict = await self._judge.admit(policy, data, code, known)
            except Refused as error:
                if held is None:
                    raise
                log.warning("what the origin '%s' has of %s cannot be judged now: %s", found.origin, code, error)
                break  # what was verified before plays on
            if isinstance(verdict, Admitted):
                if held is None or known is None or known.digest != verdict.digest:
                    await self._journal.admitted(verdict, found.origin)
                    await asyncio.to_thread(self._orders.learn, verdict.release)
                    await asyncio.to_thread(self._kept.put, code, data)
                return self._keep(code, _held(policy, verdict, held, found, now, direct=direct))
            refusal = Refuse(verdict.reason, f"{verdict.sentence} (at the origin '{found.origin}')", verdict.told)
            if held is not None:
                await self._journal.refused(refusal, None, release=code, origin=found.origin)
            wrong.append(found.origin)
        if held is not None:
            if (
                away is None and refusal is None
            ):  # nobody has another: where it came in from here, this box is its origin
                held.heard = self._clock()
            held.checked = self._clock()  # asked just now, in vain: players must not wait for each request
            return self._keep(code, held)
        if refusal is not None:
            raise refusal.error()
        if away is not None:
            raise away
        raise Refuse("unknown-release", f"no origin has the release {code}").error()

    async def _ask(
        self, code: str, held: Held | None, wrong: Sequence[str], *, direct: bool, via: Sequence[str]
    ) -> Found:
        """Return somebody's envelope, or that it is the one held."""
        etags = held.etags if held is not None else {}
        path = f"/releases/{code}/{paths.MANIFEST}"

        async def ask(oldest: int | None) -> Found:
            async with self._origins.any(
                path, signed.LONGEST, wrong=wrong, etags=etags, oldest=oldest, direct=direct, via=via
            ) as answer:
                data = None if answer.unchanged and etags else await answer.read(signed.LONGEST)
                return Found(answer.origin, data, answer.etag, answer.age)

        try:
            return await ask(OLDEST)
        except Unreachable:
            if held is not None or direct:
                raise
            return await ask(None)  # what a parent heard long ago is better than nothing

    async def _recall(self, policy: Policy, code: str) -> tuple[Held | None, Known | None, Refuse | None]:
        """Return what the disk has: verified again, the version known in any case, and why it is no longer admitted."""
        data = await asyncio.to_thread(self._kept.get, code)
        if data is None:
            return None, None, None
        try:
            claimed = signed.claimed(
                data
            )  # it was verified when it was kept, and stays known whatever is admitted today
        except Corrupt as error:
            log.error("the kept manifest of %s is damaged, as if it were not there: %s", code, error)
            return None, None, None
        known = Known(claimed.version, manifest.digest(claimed))
        verdict = await self._judge.admit(policy, None, code, None, before=True)
        if isinstance(verdict, Refuse):
            return None, known, verdict
        return Held(policy, verdict, listed=self._clock()), known, None

    async def _look_again(self, policy: Policy, code: str, held: Held) -> None:
        """Ask whether the body still lists what is held, whatever origins say; what it lists no longer is let go.

        Raises:
            Refused: it does not (``not-listed``, ``not-admitted``, ``outside-identifiers``, ``revoked-key``).
        """
        if await self._judge.unchanged(policy, held.admitted):
            held.listed = self._clock()
            return
        verdict = await self._judge.admit(policy, None, code, None, before=True)
        held.listed = self._clock()
        if isinstance(verdict, Refuse) and verdict.reason in reasons.SAYS_NO:
            self._held.pop(code, None)
            await self._journal.refused(verdict, None, release=code)
            raise verdict.error()

    def _keep(self, code: str, held: Held) -> Held:
        self._held[code] = held
        self._held.move_to_end(code)
        while len(self._held) > MOST:
            self._held.popitem(last=False)
        return held


def _known(admitted: Admitted) -> Known:
    return Known(admitted.release.version, admitted.digest)


def _held(policy: Policy, verdict: Admitted, before: Held | None, found: Found, now: float, *, direct: bool) -> Held:
    """Return what is held after ``found`` was admitted at ``now``, in the place of what was ``before``."""
    same = before is not None and before.admitted.digest == verdict.digest
    etags = {
        **(before.etags if before is not None and same else {}),
        **({found.origin: found.etag} if found.etag else {}),
    }
    since = now if direct or before is None else before.direct
    return Held(policy, verdict, dict(list(etags.items())[-MOST_TAGS:]), now, now - found.age, since, now)
