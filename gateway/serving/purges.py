"""Purges as the exchange gives them: carried out as soon as they are told, and confirmed with how much went."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from appliance.runtime.asking import Asking, BrokeOff
from appliance.runtime.errors import Corrupt, HeadgateError
from gateway.web.purging import Purge

AGAIN = 0.1  # seconds until an exchange that does not answer is asked again
PATIENCE = 60.0  # seconds; the exchange answers a question that waits much sooner
EVERYTHING = ""  # a prefix of every URL
log = logging.getLogger("headgate.delivery")

CarryOut = Callable[[Purge], Awaitable[int]]  # returns how many stored answers it forgot


async def follow(socket: Path, carry_out: CarryOut) -> None:
    """Carry purges out by ``carry_out`` as the exchange at ``socket`` tells them, and confirm each; for ever.

    Who may have missed some (another start of either side) holds everything stale: it is asked for again before it is shown.
    """
    asking = Asking(socket, most=1, patience=PATIENCE)
    told: dict[str, Any] = {"instance": "", "after": 0, "done": []}
    try:
        while True:
            try:
                async with asking.post("purges", told) as answer:
                    told = await _carry_out(await answer.json(), carry_out)
            except (HeadgateError, BrokeOff, TimeoutError, ValueError) as error:
                log.debug("the exchange says nothing of purges: %s", error)
                await asyncio.sleep(AGAIN)
    finally:
        asking.close()


async def _carry_out(answer: Any, carry_out: CarryOut) -> dict[str, Any]:
    """Carry out what ``answer`` tells, and return what is asked next."""
    try:
        instance, after = str(answer["instance"]), int(answer["serial"])
        if answer["missed"]:
            await carry_out(Purge.model_construct(tags=[], url=None, prefix=EVERYTHING, soft=True))
            return {"instance": instance, "after": after, "done": []}
        purges = [(int(one.pop("serial")), Purge.model_validate(one)) for one in answer["purges"]]
    except (KeyError, TypeError, ValidationError) as error:
        raise Corrupt("the exchange's answer about purges is none") from error
    done = []
    for serial, purge in purges:
        try:
            done.append({"serial": serial, "count": await carry_out(purge), "error": ""})
        except (HeadgateError, OSError) as error:
            log.error("purge %d (%s) was not carried out: %s", serial, purge.what, error)
            done.append({"serial": serial, "count": 0, "error": str(error)[:400]})
    return {"instance": instance, "after": max([after, *(serial for serial, _ in purges)]), "done": done}
