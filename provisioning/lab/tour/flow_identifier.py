"""Flow 3: an ISLI code resolves at the box, and a body registers at its own, also with the centre unplugged."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from provisioning.lab.operator import CONTROLLER, FILM, LIBRARY
from provisioning.lab.tour.stage import Stage, Step, new_code, until

CODE = FILM.removeprefix("isli:")
BOX = "http://10.50.0.13:8090"  # the institution's, from its own network
ROWS = 300  # of a catalogue
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
    yield from signed_for(stage)
    yield catalogue(stage)
    played = stage.play(f"http://10.20.0.11:8080/id/{CODE}")
    yield Step("a player that is given nothing but the code's address plays the film", played["frames"] > 0, played)
    for network in ("culture", "management"):
        stage.lab.unplug("centre", network)
    try:
        yield from resolves(stage, ", with the centre unplugged")
        code, step = registered(stage)
        yield step
    finally:
        for network in ("culture", "management"):
            stage.lab.plug("centre", network)
    yield everywhere(stage, code)


def registered(stage: Stage) -> tuple[str, Step]:
    """Register at the institution's box, from its own network, while nobody else can be reached; return the code too."""
    key, body = str(stage.operator.key("library")), ["--body", LIBRARY, "--at", BOX]
    code = stage.operator.headgate("id", "next", *body, at="archive").stdout.strip()
    named = ["--title", "馆藏手稿 · A manuscript", "--metadata", "language=zh", "--key", key]
    stage.operator.headgate("id", "register", code, *named, *body, at="archive")
    asked = f"{BOX.replace('8090', '8080')}/id/{code}?format=json"
    told = json.loads(stage.operator.call("curl", "-sS", "--max-time", "10", asked, at="archive").stdout)
    step = Step(
        "with the centre unplugged the library registers the next code of its block at its own box, which resolves it at once",
        told.get("code") == code and told.get("table", {}).get("registry") == "pending",
        {"code": code, "record": told},
    )
    return code, step


def everywhere(stage: Stage, code: str) -> Step:
    """With the line back the centre has it in its log, and another site's box resolves it."""

    def resolved() -> dict[str, Any] | None:
        status, _, body = stage.curl("settop", f":8080/id/{code}", "-H", "Accept: application/json")
        return json.loads(body) if status == 200 else None

    told = until("the headend resolves what was registered at the institution", resolved, seconds=120)
    history = stage.operator.get(f"{CONTROLLER}/api/registry/history/{code}")["changes"]
    return Step(
        "with the centre back, what was registered there is in its log, and the television's box resolves it",
        told["table"]["registry"] != "pending" and len(history) == 1,
        {"code": code, "registry": told["table"]["registry"], "change": history[0].get("number") if history else None},
    )


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


def catalogue(stage: Stage) -> Step:
    """Register a catalogue, so many rows that the centre validates them in a process of its own."""
    operator, rows = stage.operator, [new_code() for _ in range(ROWS)]
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "catalogue.csv"
        table.write_text("\n".join(["code,title", *(f"{code},漓江唱片 {at}" for at, code in enumerate(rows))]))
        signed = ["--body", LIBRARY, "--key", str(operator.key("library")), "--at", CONTROLLER, "--json"]
        done = operator.headgate("id", "import", str(table), *signed, check=False)
    told = json.loads(done.stdout) if done.returncode == 0 else {"error": done.stderr.strip()[-300:]}
    return Step("a catalogue is registered at once, under one signature", told.get("changed") == ROWS, told)


def signed_for(stage: Stage) -> Iterator[Step]:
    """Register a code of a tour's own as its body, and as nobody; withdraw it, and prove what it meant before."""
    operator, code = stage.operator, new_code()
    told = ["--title", "漓江渔歌 · Songs of the fishermen", "--body", LIBRARY, "--url", "http://example.invalid/songs"]

    def headgate(*argv: str, key: str = "") -> subprocess.CompletedProcess[str]:
        signed = ["--key", str(operator.key(key))] if key else []
        return operator.headgate("id", *argv, *signed, "--at", CONTROLLER, check=False)

    def answers(status: int) -> bool:
        return stage.curl("settop", f":8080/id/{code}", "-H", "Accept: application/json")[0] == status

    refused = headgate("register", code, *told, key="stranger")
    done = headgate("register", code, *told, key="library")
    resolved = done.returncode == 0 and until("the box has the new code", lambda: answers(200))
    yield Step(
        "a code that its body signed for resolves at the box within seconds; one that a stranger signed for is not registered",
        refused.returncode != 0 and "not-signed" in refused.stderr and resolved,
        {"stranger": refused.stderr.strip()[-300:], "body": done.stdout.strip()},
    )
    while_there = datetime.now(UTC).isoformat()
    gone = headgate("withdraw", code, "--reason", "版权到期", key="library")
    withdrawn = gone.returncode == 0 and until("the box has the withdrawal", lambda: answers(410))
    with tempfile.TemporaryDirectory() as folder:
        proof, key = str(Path(folder) / "code.proof"), json.loads(operator.text(f"{CONTROLLER}/api/registry"))["key"]
        headgate("prove", code, "--on", while_there, "--out", proof)
        shown = operator.headgate("id", "verify-proof", proof, "--key", key, "--json", check=False)
    proven = json.loads(shown.stdout) if shown.returncode == 0 else {"status": shown.stderr}
    yield Step(
        "withdrawn, it is gone at the box, and the registry's log proves offline what it meant before",
        withdrawn and proven.get("status") == "registered" and proven.get("until") is not None,
        {"proof": proven},
    )
