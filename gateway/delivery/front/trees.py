"""The links through which nginx reaches objects: one for each version of a release, there only while it may be served.

nginx keeps delivery's answers for some seconds and nobody can take them back; without the link such an answer gives nothing. What its
workers remember beyond that, opened objects among it, counts no more once it is recalled: the link goes first, so that nothing is learned
again.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path

from appliance.runtime.errors import HeadgateError
from gateway.delivery.front.places import RECALLS
from gateway.delivery.front.recalls import Recalls
from gateway.serving.exchange import Exchange, Manifest

LOOK = 1.0  # seconds between two looks whether what is linked may still be served
RENEWED = 1.5  # seconds after which a manifest is asked for again: before it is too old for an answer to nginx
IDLE = 60.0  # seconds after which a link goes that nobody asked for: far longer than nginx remembers an answer
MOST = 150  # links: fewer than the manifests that are kept in mind
log = logging.getLogger("headgate.delivery")


class Trees:
    """The links in ``folder`` to the ``store``; what an earlier process left there goes."""

    def __init__(
        self, folder: Path, store: Path, exchange: Exchange, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder, self._store, self._exchange, self._clock = folder, store, exchange, clock
        self._links: OrderedDict[str, tuple[str, Manifest, float]] = OrderedDict()  # code -> link, manifest, asked for
        self._door = ""
        folder.mkdir(exist_ok=True)
        self._recalls = Recalls(folder.parent / RECALLS)
        self.forget()

    @property
    def door(self) -> str:
        """The link that what was permitted goes through, as nginx sees it."""
        return f"/{self._door}"

    def forget(self) -> None:
        """Take away every link: another policy, or nothing that is known, may decide otherwise."""
        self._links.clear()
        for link in self._folder.iterdir():
            link.unlink()
        self.lock()

    def lock(self) -> None:
        """Have what was permitted asked for again: what permits it may be withdrawn."""
        for link in self._folder.parent.glob("door.*"):
            link.unlink()
        self._recalls.recall()
        self._door = f"door.{secrets.token_hex(8)}"  # a name that no answer that is still kept knows
        (self._folder.parent / self._door).symlink_to(self._folder.name)

    def lend(self, until: float, told: str) -> None:
        """Let nginx's workers answer by what they remember until ``until`` (seconds since 1970), and tell players ``told`` with it."""
        self._recalls.lend(until, told)

    def path(self, code: str, manifest: Manifest, file: Path) -> str:
        """Return where nginx finds the ``file`` of the store, which is of the release ``code`` and may be served now."""
        link, known, _ = self._links.get(code, ("", None, 0.0))
        if known is None or known.digest != manifest.digest:
            if known is not None:
                self.drop([code])
            link = f"{secrets.token_hex(8)}.{code}"
            (self._folder / link).symlink_to(self._store)
        self._links[code] = link, manifest, self._clock()
        self._links.move_to_end(code)
        while len(self._links) > MOST:
            self._unlink(next(iter(self._links)))
        return f"/{link}/{file.relative_to(self._store)}"

    def drop(self, codes: Iterable[str]) -> None:
        """Take the links of these releases away: nginx serves nothing of them from now on."""
        wanted = tuple(codes)
        for code in wanted:
            self._unlink(code)
        if wanted:  # also where there is no link any more: what is remembered of it may be a moment younger
            self._recalls.recall()

    def _unlink(self, code: str) -> None:
        if (known := self._links.pop(code, None)) is not None:
            (self._folder / known[0]).unlink(missing_ok=True)

    async def watch(self) -> None:
        """Take away the links of what may not be served any more, or is not asked for, for ever."""
        while True:
            await asyncio.sleep(LOOK)
            for code, (_, manifest, asked) in tuple(self._links.items()):
                if self._clock() - asked > IDLE:
                    self._unlink(code)
                elif not await self._may_serve(code, manifest):
                    self.drop([code])

    async def _may_serve(self, code: str, manifest: Manifest) -> bool:
        try:
            return (await self._exchange.manifest(code, fresh=RENEWED)).digest == manifest.digest
        except HeadgateError as error:
            log.debug("%s is not served by nginx any more: %s", code, error)
            return False
