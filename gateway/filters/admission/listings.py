"""What the exchange asks of admission about trust metadata itself: take a listing in, what waits, a file for others, what to sign over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from appliance.runtime.errors import Corrupt, Refused
from gateway.filters.admission.digests import read_incoming
from gateway.filters.admission.questions import Ask, Sha256, Text, needed
from gateway.isolation.policy import Policy
from gateway.release import paths
from gateway.release.trust import bundle, layout
from gateway.release.trust.admitting import Trusting
from gateway.release.trust.layout import Needed

Told = dict[str, Any]


class AskListing(Ask):
    """``POST /listing``: take in what ``body`` signed for a release, in the incoming file."""

    policy: Sha256
    body: Text
    incoming: Text


class AskWaiting(Ask):
    """``POST /waiting``: what waits for the centre, after ``drop`` was let go, which the centre does not take."""

    policy: Sha256
    drop: Text | None = None


class AskFile(Ask):
    """``POST /file``: a verified file of trust metadata (``away``: nobody can be asked for a newer one), or one that waits."""

    policy: Sha256
    file: Text
    away: bool = False
    waits: bool = False


class AskBase(Ask):
    """``POST /base``: what ``body`` signs the listing of the release ``code`` over."""

    policy: Sha256
    body: Text
    code: Text


class Listings:
    """Answers them; ``under`` gives the policy of a digest."""

    def __init__(self, under: Callable[[str], Awaitable[Policy]], incoming: Path, trusting: Trusting) -> None:
        self._under, self._incoming, self._trusting = under, incoming, trusting

    def answers(self) -> list[tuple[str, type[Ask], Callable[[Any], Awaitable[Told]]]]:
        """Return each question with what it is made of and who answers it."""
        return [
            ("listing", AskListing, self._listing),
            ("waiting", AskWaiting, self._waiting),
            ("file", AskFile, self._file),
            ("base", AskBase, self._base),
        ]

    async def _listing(self, ask: AskListing) -> Told:
        policy = await self._under(ask.policy)
        data = await asyncio.to_thread(read_incoming, self._incoming, ask.incoming, bundle.LONGEST)
        files = bundle.parse(data, ask.body)
        try:
            told = await asyncio.to_thread(self._trusting.hand_in, policy, ask.body, files, datetime.now(UTC))
        except Corrupt as error:
            raise Refused("damaged-metadata", f"what '{ask.body}' handed in is no listing: {error}", 400) from error
        return needed(told) if isinstance(told, Needed) else {"new": [name.file for name in told]}

    async def _waiting(self, ask: AskWaiting) -> Told:
        policy = await self._under(ask.policy)
        if ask.drop is not None:
            await asyncio.to_thread(self._trusting.drop, policy, layout.parse(ask.drop))
        told = await asyncio.to_thread(self._trusting.waiting, policy, datetime.now(UTC))
        return {"files": [name.file for name in told]}

    async def _file(self, ask: AskFile) -> Told:
        policy, name = await self._under(ask.policy), layout.parse(ask.file)
        if ask.waits:
            waits = await asyncio.to_thread(self._trusting.handed_in, policy, name)
            return {"data": None if waits is None else waits.decode()}
        told = await asyncio.to_thread(self._trusting.file, policy, name, datetime.now(UTC), away=ask.away)
        return needed(told) if isinstance(told, Needed) else {"data": None if told is None else told.decode()}

    async def _base(self, ask: AskBase) -> Told:
        policy, code = await self._under(ask.policy), paths.code_of(ask.code)
        told = await asyncio.to_thread(self._trusting.base, policy, ask.body, code, datetime.now(UTC))
        if isinstance(told, Needed):
            return needed(told)
        delegate = told.delegate
        return {
            "body": delegate.body,
            "keys": [str(key) for key in delegate.keys],
            "identifiers": list(delegate.leading),
            "acts": list(delegate.acts),
            "bits": delegate.bits,
            "files": {name.file: data.decode() for name, data in told.files.items()},
        }
