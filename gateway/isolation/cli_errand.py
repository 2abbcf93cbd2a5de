"""The command line's side of an errand: by the guard, or where none runs by itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from appliance.runtime import http, places
from appliance.runtime.errors import HeadgateError, Refused, Unreachable
from gateway.isolation import errand, errands

Progress = Callable[[str], None]


def run(request: dict[str, Any], progress: Progress = lambda _: None) -> dict[str, Any]:
    """Return the result of ``request``; ``progress`` hears what is being done.

    Raises:
        Refused, HeadgateError: it cannot be done.
    """
    said: list[dict[str, Any]] = []

    def hear(line: dict[str, Any]) -> None:
        if "progress" in line:
            progress(line["progress"])
        else:
            said.append(line)

    try:
        asyncio.run(_by_guard(request, hear))
    except Unreachable:
        if said:
            raise  # the guard ended while it was under way
        errand.do(request, hear)
    if not said:
        raise HeadgateError("the audit said nothing: see the guard's log")
    if "error" in said[-1]:
        raise Refused(said[-1]["reason"], said[-1]["error"])
    result: dict[str, Any] = said[-1]["result"]
    return result


async def _by_guard(request: dict[str, Any], hear: Callable[[dict[str, Any]], None]) -> None:
    socket = places.RUN / "guard" / "guard.sock"
    async with (
        http.unix_client(socket, errands.LONGEST) as session,
        session.post("http://box/errand", json=request) as answer,
    ):
        await http.check(answer)
        rest = b""
        async for piece in answer.content.iter_any():
            *lines, rest = (rest + piece).split(b"\n")
            if len(rest) > errands.LONGEST_LINE:
                raise HeadgateError(f"the guard's answer is longer than {errands.LONGEST_LINE} bytes")
            for line in lines:
                hear(json.loads(line))
