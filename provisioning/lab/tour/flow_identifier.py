"""Flow 3: an ISLI code resolves at the box, in the screen zone, also with the centre unplugged."""

from __future__ import annotations

import json
from collections.abc import Iterator

from provisioning.lab.operator import FILM
from provisioning.lab.tour.stage import Stage, Step

CODE = FILM.removeprefix("isli:")
PLAYABLE = f"http://10.20.0.11/r/{CODE}/master.m3u8"


def walk(stage: Stage) -> Iterator[Step]:
    """Walk the flow on the television's side."""
    yield from resolves(stage, "")
    status, _, body = stage.curl("settop", f":8080/id/{CODE[:-1]}9")
    yield Step(
        "a code with a wrong check digit is a clear 400",
        status == 400 and "check" in body,
        {"status": status, "answer": body},
    )
    played = stage.play(f"http://10.20.0.11:8080/id/{CODE}")
    yield Step("a player that is given nothing but the code's address plays the film", played["frames"] > 0, played)
    for network in ("culture", "management"):
        stage.lab.unplug("centre", network)
    try:
        yield from resolves(stage, ", with the centre unplugged")
    finally:
        for network in ("culture", "management"):
            stage.lab.plug("centre", network)


def resolves(stage: Stage, when: str) -> Iterator[Step]:
    """Resolve as a player and as a program."""
    status, headers, _ = stage.curl("settop", f":8080/id/{CODE}")
    yield Step(
        f"the box redirects a player to the playable address{when}",
        status == 302 and headers.get("location") == PLAYABLE,
        {"status": status, "location": headers.get("location", "")},
    )
    status, _, body = stage.curl("settop", f":8080/id/{CODE}", "-H", "Accept: application/json")
    record = json.loads(body) if status == 200 else {"answer": body}
    yield Step(
        f"the box tells a program what is known of the code{when}",
        status == 200 and record.get("playable") == PLAYABLE,
        {"record": record},
    )
