"""The admission filter as the exchange asks it: shows it what came, and shows releases again to one that was started anew."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from appliance.runtime.errors import Refused, Unreachable
from gateway.exchange.decide import Admitted, Known, Refuse
from gateway.exchange.holding_back import HoldingBack
from gateway.exchange.metadata import Metadata
from gateway.filters.client import Admission, Direction, Registered
from gateway.isolation.policy import Policy
from gateway.release import paths
from gateway.release.live.signing import Claim
from gateway.release.trust import reasons
from gateway.release.trust.layout import Name
from gateway.store.incoming import Incoming
from gateway.store.manifests import Manifests

NO_ROOM = ("store-full", "store-broken")  # for trust metadata to be shown
PASSING = ("filter-failed", "busy", "store-full", "store-broken")  # says nothing about the release

log = logging.getLogger("headgate.exchange")


class Judge:
    """Asks the filter; no verdict is made here."""

    def __init__(self, admission: Admission, incoming: Incoming, kept: Manifests, metadata: Metadata) -> None:
        self._admission, self._incoming, self._kept, self._metadata = admission, incoming, kept, metadata
        self._holding_back = HoldingBack(incoming.quarantine)

    async def admit(
        self, policy: Policy, data: bytes | None, code: str, known: Known | None, *, before: bool = False
    ) -> Admitted | Refuse:
        """Return the filter's verdict on the envelope ``data`` as the release ``code``; what is refused is held back.

        No ``data``: on the envelope that is kept, which the filter reads where it lies, also on a disk that takes nothing in.
        ``before``: it was admitted before, and plays on where there is no trust metadata to be had that says otherwise.

        Raises:
            Refused: the filter gave none (``filter-failed``, ``busy``), or the disk is full.
            Unreachable: the origin of trust metadata is away.
        """
        if data is None:
            return await self._judge(policy, None, self._kept.path(code), code, known, before=before)
        with await asyncio.to_thread(self._incoming.show, data) as shown:
            return await self._judge(policy, shown.name, shown.path, code, known, before=before)

    async def _judge(
        self, policy: Policy, shown: str | None, where: Path, code: str, known: Known | None, *, before: bool
    ) -> Admitted | Refuse:
        try:
            if not before:
                return await self._ask(policy, shown, code, known)
            return await self._ask_again(policy, shown, code, known)
        except Refused as refused:
            about = {"release": code, "path": paths.MANIFEST, "type": "application/json"}
            refusal = await self._holding_back.hold(where, Refuse.of(refused), about)
            if refused.reason in PASSING:
                raise refusal.error() from refused
            return refusal

    async def _ask_again(self, policy: Policy, shown: str | None, code: str, known: Known | None) -> Admitted:
        if policy.trust is None or not self._metadata.away:
            try:
                return await self._ask(policy, shown, code, known)
            except Unreachable as error:
                log.info("%s plays on by what its body listed before: %s", code, error)
            except Refused as refused:
                if policy.trust is None or refused.reason not in (*reasons.NO_TRUST, *NO_ROOM):
                    raise
                log.warning("%s plays on by what its body listed before: %s", code, refused)
        return await self._ask(policy, shown, code, known, away=True)

    async def _ask(
        self, policy: Policy, shown: str | None, code: str, known: Known | None, *, away: bool = False
    ) -> Admitted:
        told = await self._metadata.told(
            policy, lambda: self._admission.admit(policy.digest, code, shown, known, away=away)
        )
        return Admitted(*told)

    async def hand_in(self, policy: Policy, body: str, listing: bytes) -> list[str]:
        """Have what ``body`` signed kept until the centre names it; return which of its files are new.

        Raises:
            Refused: it is not what this body may list now.
            Unreachable: nobody who has trust metadata answers.
        """
        with await asyncio.to_thread(self._incoming.show, listing) as shown:
            return await self._metadata.told(policy, lambda: self._admission.listing(policy.digest, body, shown.name))

    async def register(self, policy: Policy, statement: str, records: Sequence[str]) -> Registered:
        """Return what a body registers, once it may.

        Raises:
            Refused: it may not, or there is no metadata to trust.
            Unreachable: nobody who has trust metadata answers.
        """
        return await self._metadata.told(policy, lambda: self._admission.register(policy.digest, statement, records))

    async def base(self, policy: Policy, body: str, code: str) -> dict[str, Any]:
        """Return what ``body`` signs the listing of ``code`` over.

        Raises:
            Refused: it is not admitted, or there is no metadata to trust.
            Unreachable: nobody who has trust metadata answers.
        """
        return await self._metadata.told(policy, lambda: self._admission.base(policy.digest, body, code))

    async def waiting(self, policy: Policy, drop: str | None = None) -> list[str]:
        """Return the files that wait for the centre, after ``drop`` was let go.

        Raises:
            Refused: the filter gave no answer.
        """
        return await self._admission.waiting(policy.digest, drop)

    async def waiting_file(self, policy: Policy, name: Name) -> bytes:
        """Return a file that waits for the centre.

        Raises:
            Refused: it does not wait (``unknown-path``), or the filter gave no answer.
        """
        return await self._metadata.waiting_file(policy, name)

    async def unchanged(self, policy: Policy, admitted: Admitted) -> bool:
        """Return whether a release that was admitted would be so again, as far as that can be told without showing it.

        Raises:
            Refused: the filter gave no verdict.
        """
        away = self._metadata.away
        try:
            return await self._metadata.told(
                policy, lambda: self._admission.still(policy.digest, admitted.digest, away=away)
            )
        except Unreachable:
            return False  # and it plays on, by the way of ``admit``
        except Refused as refused:
            if refused.reason in PASSING:
                raise
            return False

    async def may_pass(
        self, policy: Policy, admitted: Admitted, zone: str, path: str | None = None, *, direction: Direction = "out"
    ) -> bool | Refuse:
        """Return whether the release, or its file ``path``, may bring what runs, or why it may not go in this direction at all.

        Raises:
            Refused: the filter gave no verdict.
        """
        try:
            try:
                return await self._admission.may_pass(policy.digest, admitted.digest, zone, path, direction=direction)
            except Refused as refused:
                if refused.reason != "not-held":
                    raise
            await self._show_again(policy, admitted)
            return await self._admission.may_pass(policy.digest, admitted.digest, zone, path, direction=direction)
        except Refused as refused:
            if refused.reason in PASSING:
                raise
            return Refuse.of(refused)

    async def digest(
        self, policy: Policy, admitted: Admitted, path: str, incoming: str, first: int, count: int, *, last: bool
    ) -> int:
        """Return up to which byte the incoming file is what the release signs for ``path``.

        Raises:
            Refused: it is not, or the filter gave no verdict.
        """
        try:
            return await self._admission.digest(admitted.digest, path, incoming, first, count, last=last)
        except Refused as refused:
            if refused.reason != "not-held":
                raise
        await self._show_again(policy, admitted)
        return await self._admission.digest(admitted.digest, path, incoming, first, count, last=last)

    async def live(self, policy: Policy, admitted: Admitted, path: str, content: str, fields: str, floor: int) -> Claim:
        """Return what the channel's packager says of the incoming file ``content`` by the incoming file ``fields``.

        Raises:
            Refused: it is not signed for now, or the filter gave no verdict.
        """
        try:
            return await self._admission.live(admitted.digest, path, content, fields, floor)
        except Refused as refused:
            if refused.reason != "not-held":
                raise
        await self._show_again(policy, admitted)
        return await self._admission.live(admitted.digest, path, content, fields, floor)

    async def _show_again(self, policy: Policy, admitted: Admitted) -> None:
        code = admitted.release.code
        verdict = await self.admit(policy, admitted.envelope, code, None, before=True)
        if isinstance(verdict, Refuse):
            raise verdict.error()
        if verdict.digest != admitted.digest:
            raise Refused("busy", "another version of the release has come meanwhile: ask again", 503)
