"""Tiers: the edge asks the headend before the centre, goes on without it, and has what its plan names before anybody asks."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator

from provisioning.lab import film
from provisioning.lab.operator import FILM, release
from provisioning.lab.tour.flow_film import in_store
from provisioning.lab.tour.stage import SCREENS, Stage, Step, new_code, until

EDGE = "10.10.0.12"  # in the culture network
SEGMENTS = ("360p/0000.m4s", "480p/0000.m4s", "720p/0000.m4s")


def walk(stage: Stage) -> Iterator[Step]:
    """Walk the flow with a film that no box has seen, and with the one of the edge's plan."""
    folder = stage.lab.folder / "content" / f"tour-tiers-{secrets.token_hex(4)}"
    try:
        yield ahead(stage)
        film.encode(folder, hue=1 + secrets.randbelow(359), seconds=film.SEGMENT)
        code = new_code()
        release(
            stage.operator,
            folder,
            f"isli:{code}",
            "层级 · Tiers",
            entry="master.m3u8",
            progress=_silent,
            register=False,
        )
        yield parent(stage, code)
        yield without_parent(stage, code)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def ahead(stage: Stage) -> Step:
    """The film of the edge's plan is whole in its store, whoever asked for it."""
    folder = stage.lab.folder / "content" / "film"
    digests = stage.operator.call("sh", "-c", f"sha256sum {folder}/*p/*.m4s").stdout.split()[::2]
    until("the plan is done", lambda: all(in_store(stage, "edge", digest) for digest in digests), seconds=60)

    def missing() -> float:
        return stage.metric("edge", "headgate_store_preposition_files", state="missing")

    # Other files may come after the last segment, and a daemon writes its figures every two seconds.
    until("the plan's figures say so", lambda: missing() == 0)
    return Step(
        "the film that the edge's plan names was fetched ahead, whole",
        bool(digests),
        {"release": FILM, "segments in the edge's store": len(digests), "missing": missing()},
    )


def parent(stage: Stage, code: str) -> Step:
    """What the television's box has, the phone's box fetches from there: the origin is not asked again."""
    television = [status(stage, "settop", code, path) for path in SEGMENTS[:2]]
    phone = [status(stage, "phone", code, path) for path in SEGMENTS[:2]]
    asked = origin_asked(stage, code)
    return Step(
        "what the headend has, the edge fetches from the headend, and the origin is asked for it once",
        television == phone == [200, 200] and all(asked.get(path) == ["10.10.0.11"] for path in SEGMENTS[:2]),
        {"television": television, "phone": phone, "who asked the origin": asked},
    )


def without_parent(stage: Stage, code: str) -> Step:
    """With the parent's share stopped the edge asks the origin."""
    stage.lab.ssh("headend", ["systemctl", "stop", "headgate-share@culture"])
    try:
        phone = status(stage, "phone", code, SEGMENTS[2])
    finally:
        stage.lab.ssh("headend", ["systemctl", "start", "headgate-share@culture"])
    asked = origin_asked(stage, code)
    return Step(
        "with the headend's share stopped, the phone is served all the same: the edge asks the origin",
        phone == 200 and asked.get(SEGMENTS[2]) == [EDGE],
        {"phone": phone, "who asked the origin": asked},
    )


def status(stage: Stage, screen: str, code: str, path: str) -> int:
    """Return the status with which the screen's box answers for a file of the release."""
    url = f"http://{SCREENS[screen][1]}/r/{code}/{path}"
    argv = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "20", url]
    return int(stage.lab.exec(screen, argv))


def origin_asked(stage: Stage, code: str) -> dict[str, list[str]]:
    """Return, for each segment of the release, who asked the origin for it, from the origin's own log."""
    grep = f"grep -F 'releases/{code}/' /var/log/nginx/access.log | grep -F .m4s || true"
    asked: dict[str, list[str]] = {}
    for line in stage.lab.exec("centre", ["sh", "-c", grep]).splitlines():
        path = line.split('"')[1].split()[1].partition(f"{code}/")[2]
        asked.setdefault(path, []).append(line.split()[0])
    return asked


def _silent(line: str) -> None:
    """Take a line of progress that the tour does not show."""
