"""An admitted portal answers screens by plain HTTP, from the box after the first time, until a purge at every box."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from provisioning.lab import trust
from provisioning.lab.operator import CONTROLLER
from provisioning.lab.tour.stage import SCREENS, Stage, Step, new_code

EPG, PORTAL, STRANGER = "epg.lab", "portal.lab", "stranger.lab"


def walk(stage: Stage) -> Iterator[Step]:
    """Walk the flow at both boxes with screens."""
    path = f"/now/{new_code()}"
    status, headers, page = stage.curl("settop", path, "-H", f"Host: {PORTAL}")
    yield Step(
        "an admitted portal of the culture network answers a television by plain HTTP",
        status == 200 and "portal" in page,
        {"status": status, "cache": headers.get("cache-status", ""), "page": page},
    )
    first = {screen: guide(stage, screen, path) for screen in SCREENS}
    again = {screen: guide(stage, screen, path) for screen in SCREENS}
    yield Step(
        "the programme guide is asked of its origin once, and shown from the box afterwards",
        all(again[s]["made"] == first[s]["made"] and "hit" in again[s]["cache"] for s in SCREENS),
        {"first": first, "again": again},
    )
    status, _, body = stage.curl("settop", path, "-H", f"Host: {STRANGER}")
    yield Step(
        "a host that the policy does not admit is not asked",
        status == 404,
        {"status": status, "answer": body},
    )
    told = purged(stage)
    after = {screen: guide(stage, screen, path) for screen in SCREENS}
    kept = stage.curl("settop", path, "-H", f"Host: {PORTAL}")[2]
    yield Step(
        "a purge by tag takes effect on every box, each tells how much went in what time, and other tags stay",
        all(told.get(box, {}).get("objects") == 1 and not told[box]["unconfirmed"] for box, _ in SCREENS.values())
        and all(after[s]["made"] != first[s]["made"] for s in SCREENS)
        and kept == page,
        {"seconds": {box: one["seconds"] for box, one in told.items()}, "purges": told, "after": after},
    )


def guide(stage: Stage, screen: str, path: str) -> dict[str, Any]:
    """Return when the origin made the guide that the screen is shown, and what the box says of its cache."""
    status, headers, body = stage.curl(screen, path, "-H", f"Host: {EPG}")
    made = json.loads(body)["made"] if status == 200 else body
    return {"status": status, "made": made, "cache": headers.get("cache-status", "")}


def purged(stage: Stage) -> dict[str, Any]:
    """Purge the guide's tag everywhere by an order of the regulator's, and return each box's proof by its name."""
    key = str(stage.operator.key(trust.REGULATOR))
    signed = ["--key", key, "--as", trust.REGULATOR, "--at", CONTROLLER, "--json"]
    done = stage.operator.headgate(
        "release", "purge", "--tag", "channel-1", "--reason", "巡展 · tour", *signed, check=False
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {one["box"]: one for one in lines if "box" in one}
