"""Both filters, for one live file that came: the same two processes, in the same order, as for everything else."""

from __future__ import annotations

import asyncio

from appliance.runtime.errors import Refused
from gateway.exchange.judge import Judge
from gateway.exchange.releases import Held
from gateway.filters.client import Inspection
from gateway.release import media
from gateway.release.live.signing import Claim
from gateway.release.manifest import PIECE
from gateway.store.live import Incoming
from gateway.store.passed import As


class LiveFilters:
    """Asks admission for what the packager says of a file, and inspection for what its bytes are."""

    def __init__(self, judge: Judge, inspection: Inspection, incoming: Incoming) -> None:
        self._judge, self._inspection, self._incoming = judge, inspection, incoming

    async def pass_live(self, held: Held, path: str, content: str, fields: str, floor: int) -> Claim:
        """Return what the packager says of the incoming file ``content`` by the incoming file ``fields``.

        Raises:
            Refused: a filter refused it.
        """
        claim = await self._judge.live(held.policy, held.admitted, path, content, fields, floor)
        size = await asyncio.to_thread(lambda: self._incoming.path(content).stat().st_size)
        if size != claim.size:
            refused = Refused("digest-mismatch", "the file has another size than its packager signed", 502)
            refused.about["filter"] = "exchange"
            raise refused
        # Below ``live/`` in its release; what runs never comes in a channel.
        what = As(claim.sha256, media.type_of(path), application=False, depth=path.count("/"))
        async with self._inspection.inspecting(what, path, size, content) as looking:
            for first in range(0, max(1, size), PIECE):
                count = min(PIECE, size - first)
                await looking.look(first, count, last=first + count == size)
        return claim
