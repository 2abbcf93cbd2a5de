"""Flow 2: a film published under a body's key plays on the television and the phone, from the box; what is not admitted does not."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from provisioning.lab import film
from provisioning.lab.operator import LIBRARY, PORTAL, release
from provisioning.lab.tour.stage import Stage, Step, new_code, until

ORIGIN = "/srv/origin/releases"  # on the centre
STORE = "/var/lib/headgate/store/objects"  # on a box
SETTLED = 5.0  # seconds: a daemon writes its figures every two, and telemetry reads them when it is asked


def walk(stage: Stage) -> Iterator[Step]:
    """Walk the flow with a film that no box has seen."""
    code, folder = new_code(), stage.lab.folder / "content" / f"tour-{secrets.token_hex(4)}"
    try:
        size = film.encode(folder, hue=1 + secrets.randbelow(359), seconds=film.SECONDS)
        release(stage.operator, folder, f"isli:{code}", "巡展 · A premiere", entry="master.m3u8", progress=_silent)
        yield Step(
            "a film is encoded, signed by the library and published at the origin",
            ok=True,
            seen={"identifier": code, "renditions": [name for name, _, _ in film.RENDITIONS], "bytes": size},
        )
        yield from television(stage, code)
        yield from phone(stage, code)
        yield from origin_off(stage, code)
        yield from tampered(stage, folder)
        yield from stranger(stage, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def television(stage: Stage, code: str) -> Iterator[Step]:
    """Play twice on the television: the first time the box asks the origin, the second time it does not."""
    address = f"http://10.20.0.11/r/{code}/master.m3u8"
    before = counts(stage, "headend")
    first = stage.play(address)
    middle = counts(stage, "headend")
    second = stage.play(address)
    after = counts(stage, "headend")
    missed = middle["miss"] - before["miss"]
    yield Step(
        "the television plays the film through the headend box; first requests miss and cross the exchange",
        first["seconds"] >= film.SECONDS - 1 and first["renditions"] == 3 and first["frames"] > 0 and missed > 0,
        first | {"misses": missed},
    )
    asked = origin_requests(stage, code)
    twice = {path: n for path, n in asked.items() if n != 1 and not path.endswith("release.json")}
    yield Step(
        "the second time every request is answered from the box's store",
        after["miss"] == middle["miss"] and after["hit"] > middle["hit"] and second == first,
        {"misses": after["miss"] - middle["miss"], "hits": after["hit"] - middle["hit"]},
    )
    yield Step(
        "the origin was asked once for each object",
        bool(asked) and not twice,
        {"objects": len(asked), "asked more than once": twice},
    )


def phone(stage: Stage, code: str) -> Iterator[Step]:
    """Play on the phone: Chromium and hls.js, from the 5G edge."""
    before = counts(stage, "edge")
    told = stage.watch(code, PORTAL.removeprefix("isli:"))
    after = counts(stage, "edge")
    ended = next((event for event in told if event["event"] == "ended"), None)
    yield Step(
        "the phone resolves the identifier and plays the film from the 5G edge box",
        ended is not None and ended["seconds"] >= film.SECONDS - 1,
        (ended or {"told": told}) | {"misses": after["miss"] - before["miss"], "hits": after["hit"] - before["hit"]},
    )


def origin_off(stage: Stage, code: str) -> Iterator[Step]:
    """Switch the origin off; both screens still play."""
    stage.lab.ssh("centre", ["systemctl", "stop", "nginx"])
    try:
        first = stage.play(f"http://10.20.0.11/r/{code}/master.m3u8")
        told = stage.watch(code, PORTAL.removeprefix("isli:"))
        ended = any(event["event"] == "ended" for event in told)
        off = stage.lab.ssh("centre", ["sh", "-c", "systemctl is-active nginx || true"]).strip()
        yield Step(
            "with the origin switched off the television and the phone still play",
            first["frames"] > 0 and ended and off == "inactive",
            {"origin": off, "television": first, "phone": "played to the end" if ended else told},
        )
    finally:
        stage.lab.ssh("centre", ["systemctl", "start", "nginx"])


def tampered(stage: Stage, folder: Path) -> Iterator[Step]:
    """Change one byte of a segment at the origin; the box refuses it and keeps nothing."""
    code = publish_short(stage, folder, "篡改 · Tampered", body=LIBRARY, key="library")
    segment = f"{ORIGIN}/{code}/360p/0000.m4s"
    stage.lab.exec("centre", ["sh", "-c", f"printf X | dd of={segment} bs=1 seek=1000 conv=notrunc status=none"])
    digest = stage.lab.exec("centre", ["sha256sum", segment]).split()[0]
    good, _, _ = stage.curl("settop", f"/r/{code}/360p/index.m3u8")
    status, _, body = stage.curl("settop", f"/r/{code}/360p/0000.m4s")
    stored = in_store(stage, "headend", digest)
    yield Step(
        "a segment that was changed at the origin is refused with the reason and never stored",
        good == 200 and status >= 400 and "digest-mismatch" in body and not stored,
        {"status": status, "answer": body, "in store": stored},
    )


def stranger(stage: Stage, folder: Path) -> Iterator[Step]:
    """Publish under the key of a body that was not admitted; the box refuses the release and keeps nothing."""
    code = publish_short(stage, folder, "未准入 · Not admitted", body="stranger", key="stranger")
    digest = stage.lab.exec("centre", ["sha256sum", f"{ORIGIN}/{code}/360p/0000.m4s"]).split()[0]
    status, _, body = stage.curl("settop", f"/r/{code}/360p/0000.m4s")
    stored = in_store(stage, "headend", digest)
    yield Step(
        "a release signed by a body that was not admitted is refused with the reason and never stored",
        status == 403 and ("not-admitted" in body or "not-signed" in body) and not stored,
        {"status": status, "answer": body, "in store": stored},
    )


def publish_short(stage: Stage, beside: Path, title: str, *, body: str, key: str) -> str:
    """Publish a film of one segment as ``body``, without registering it, and return its code."""
    code, folder = new_code(), beside.parent / f"{beside.name}-{key}"
    try:
        film.encode(folder, hue=1 + secrets.randbelow(359), seconds=film.SEGMENT)
        release(
            stage.operator,
            folder,
            f"isli:{code}",
            title,
            entry="master.m3u8",
            progress=_silent,
            body=body,
            key=key,
            register=False,
            listed=body == LIBRARY,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return code


def counts(stage: Stage, box: str) -> dict[str, int]:
    """Return a box's hits and misses so far, once its figures (written every two seconds) stand still."""

    def read() -> dict[str, int]:
        return {
            cache: int(stage.metric(box, "headgate_delivery_requests_total", cache=cache)) for cache in ("hit", "miss")
        }

    last: list[tuple[float, dict[str, int]]] = []

    def still() -> dict[str, int] | None:
        now, figures = time.monotonic(), read()
        if not last or last[-1][1] != figures:
            last.append((now, figures))
        return figures if now - last[-1][0] >= SETTLED else None

    return cast("dict[str, int]", until("the box's figures stand still", still))


def origin_requests(stage: Stage, code: str) -> dict[str, int]:
    """Return how often the headend asked the origin for each file of a release, from the origin's own log."""
    log = stage.lab.exec(
        "centre", ["sh", "-c", f"grep -F 10.10.0.11 /var/log/nginx/access.log | grep -F 'releases/{code}/' || true"]
    )
    asked: dict[str, int] = {}
    for line in log.splitlines():
        path = line.split('"')[1].split()[1]
        asked[path] = asked.get(path, 0) + 1
    return asked


def in_store(stage: Stage, box: str, digest: str) -> bool:
    """Return whether a box's store holds the object."""
    return (
        stage.lab.exec(box, ["sh", "-c", f"test -e {STORE}/{digest[:2]}/{digest} && echo yes || echo no"]).strip()
        == "yes"
    )


def _silent(line: str) -> None:
    """Take a line of progress that the tour does not show."""
