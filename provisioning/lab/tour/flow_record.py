"""Flow 4: records reach the controller exactly once, through an unplugged broker and a killed telemetry daemon."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from provisioning.lab.operator import CONTROLLER, FILM
from provisioning.lab.tour.stage import BOXES, Stage, Step, until

REQUESTS = 25  # made while the broker is away


def walk(stage: Stage) -> Iterator[Step]:
    """Walk the flow."""
    boxes = until("every box is online at the controller", lambda: _all_online(stage))
    yield Step(
        "the controller knows each box's state from Sparkplug B: what it enforces is what was asked",
        all(box["wanted"] == box["enforced"] for box in boxes.values()),
        {
            name: {"state": box["state"], "enforced": box["enforced"][:12], "zones": box["zones"]}
            for name, box in boxes.items()
        },
    )
    yield from through_an_outage(stage)
    page = stage.operator.text(f"{CONTROLLER}/")
    metrics = stage.operator.text(f"{CONTROLLER}/metrics")
    yield Step(
        "the controller's page and its /metrics show the boxes",
        all(box in page and f'"{box}"' in metrics for box in BOXES),
        {"page": f"{CONTROLLER}/", "series": metrics.count("headgate_")},
    )


def through_an_outage(stage: Stage) -> Iterator[Step]:
    """Unplug the broker, play, kill the telemetry daemon, plug in again."""
    path = f"/r/{FILM.removeprefix('isli:')}/master.m3u8"
    # What was played a moment ago is counted together for some seconds: once a new record is there, so is all before it.
    known = {record["id"] for record in usage(stage)}
    stage.curl("settop", path, "--range", "0-0")
    until("what was played before is recorded", lambda: any(_is_mark(record, known) for record in usage(stage)))
    until("the headend's spool is empty", lambda: depth(stage) == 0)
    before = {record["id"] for record in usage(stage)}
    stage.lab.unplug("centre", "management")
    try:
        sent = [
            int(headers["content-length"])
            for status, headers, _ in (stage.curl("settop", path) for _ in range(REQUESTS))
            if status == 200
        ]
        waiting = until(
            "the box's spool tells of each request",
            lambda: depth(stage) if requests_waiting(stage) >= REQUESTS else None,
        )
        killed = stage.lab.exec(
            "headend", ["sh", "-c", "p=$(systemctl show -P MainPID headgate-telemetry); kill -9 $p; echo $p"]
        ).strip()
    finally:
        stage.lab.plug("centre", "management")
    until("the spool is empty again", lambda: depth(stage) == 0, seconds=90)
    new = [record["body"] for record in usage(stage) if record["id"] not in before]
    ours = [body["files"]["master.m3u8"] for body in new if "master.m3u8" in body["files"]]
    requests, recorded = (sum(figures[part] for figures in ours) for part in (0, 1))
    ok = len(sent) == requests == REQUESTS and recorded == sum(sent)
    yield Step(
        "broker unplugged, film played, telemetry killed with -9, plugged in again: every record arrived exactly once",
        ok,
        {
            "requests": len(sent),
            "waiting in the spool": waiting,
            "killed process": killed,
            "records": len(ours),
            "requests recorded": requests,
            "bytes sent": sum(sent),
            "bytes recorded": recorded,
        },
    )


def usage(stage: Stage) -> list[dict[str, Any]]:
    """Return the usage records of the headend that the controller holds; a record stored twice would be there twice."""
    return list(stage.operator.get(f"{CONTROLLER}/api/records?box=headend&kind=usage&limit=100000")["records"])


def _is_mark(record: dict[str, Any], known: set[str]) -> bool:
    body = record["body"]
    # One request of one byte: a player's ranges of the same file, of a moment before, may be recorded only now.
    return record["id"] not in known and body["status"] == 206 and body["files"].get("master.m3u8") == [1, 1]


def depth(stage: Stage) -> int:
    """Return how many records wait in the headend's spool, read on the box."""
    return _in_spool(stage, "select count(*) from records")


def requests_waiting(stage: Stage) -> int:
    """Return of how many deliveries the records in the headend's spool tell, read on the box."""
    return _in_spool(stage, "select coalesce(sum(json_extract(cast(data as text), '$.body.requests')), 0) from records")


def _in_spool(stage: Stage, query: str) -> int:
    script = (
        "import sqlite3, sys; c = sqlite3.connect('file:/var/lib/headgate/spool/spool.db?mode=ro', uri=True);"
        " print(c.execute(sys.argv[1]).fetchone()[0])"
    )
    return int(stage.lab.exec("headend", ["python3", "-c", script, query]))


def _all_online(stage: Stage) -> dict[str, Any] | None:
    boxes = {box["site"]: box for box in stage.operator.get(f"{CONTROLLER}/api/boxes")["boxes"]}
    return boxes if all(boxes.get(name, {}).get("online") for name in BOXES) else None
