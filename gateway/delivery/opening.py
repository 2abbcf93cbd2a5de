"""What a screen asked for, opened: from the store, where it comes, or before anybody knows whether it comes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from aiohttp import web

from appliance.runtime.errors import Refused
from gateway.delivery import fields
from gateway.delivery.live import PREFIX, Channels, longest
from gateway.playlists.blocking import wanted
from gateway.playlists.ladder import DASH, HLS
from gateway.serving.coming import Coming, Growing, Object
from gateway.serving.exchange import Exchange, LiveFile, Manifest
from gateway.store.objects import Objects


class Opened(NamedTuple):
    """A file of a release."""

    file: Object | LiveFile
    opened: BinaryIO
    cache: str  # ``hit`` or ``miss``
    keep: int  # seconds for which a screen may keep it
    coming: Coming | None  # where it comes yet


class Opening:
    """Opens files of releases in the ``store``, or in ``incoming`` where the exchange brings them."""

    def __init__(self, store: Objects, incoming: Path, channels: Channels, exchange: Exchange) -> None:
        self._store, self._incoming, self._channels, self._exchange = store, incoming, channels, exchange

    async def open(self, manifest: Manifest, code: str, path: str, query: Mapping[str, str]) -> Opened:
        """Return a file once the exchange has said that it may be served, and some of it is there.

        Raises:
            Refused, Unreachable: there is no such file (``unknown-path``), or as the exchange answered.
        """
        if manifest.live is not None and path.startswith(PREFIX):
            live, opened, cache = await self._channels.open(
                code, path.removeprefix(PREFIX), wanted(query) if path.endswith(".m3u8") else None
            )
            return Opened(live, opened, cache, longest(manifest.live, path), None)
        file = manifest.files.get(path)
        if file is None:
            raise Refused("unknown-path", "the release has no such file", 404)
        keep = fields.keep(file.type)
        # What is in the store is served only as what it passed as: the exchange says so, once for each file of each version.
        if self._exchange.allows(manifest, path):
            try:
                stored = self._store.open(file.sha256, file.size)
            except OSError:
                stored = None
                await self._exchange.damaged(manifest, path)
            if stored is not None:
                return Opened(Object(file.sha256, file.size, file.type), stored, "hit", keep, None)
        coming = await self._exchange.object(manifest, path)
        opened = coming.open(self._store, self._incoming)
        return Opened(coming.object, opened, "hit" if coming.stored else "miss", keep, coming)

    def early(self, manifest: Manifest, path: str, request: web.Request, begins: Callable[[], None]) -> Opened | None:
        """Return what the exchange is asked for and has not answered yet, all of which is wanted; None where its answer must be waited for.

        Of what a crowd waits for all is ready then, so that each has its first byte as soon as there is one. ``begins`` is called then.

        Raises:
            Refused: too much is under way (``busy``).
        """
        file = manifest.files.get(path)
        plain = request.method == "GET" and not any(name in request.headers for name in ("Range", "If-None-Match"))
        # A playlist may be shown otherwise than it is.
        if file is None or not plain or manifest.live is not None or file.type in (HLS, DASH):
            return None
        try:
            if self._exchange.allows(manifest, path) or self._store.has(file.sha256, file.size):
                return None
        except OSError:  # the disk cannot say: the exchange tells why
            return None
        coming = self._exchange.coming(manifest, path)
        if coming.has_begun:
            return None
        what = Object(file.sha256, file.size, file.type)
        growing = Growing(coming, what, self._store, self._incoming, begins)
        return Opened(what, cast("BinaryIO", growing), "miss", fields.keep(file.type), coming)
