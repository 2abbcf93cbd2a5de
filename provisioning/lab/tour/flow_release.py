"""Releases: listed by their body, looked at twice, brought in by the institution, and withdrawn everywhere with proof."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from appliance.runtime.errors import HeadgateError
from provisioning.lab import film, trust
from provisioning.lab.operator import CONTROLLER, LIBRARY, release
from provisioning.lab.tour.stage import BOXES, Stage, Step, new_code, until

BOX = "http://10.50.0.13:8090"  # the institution's, from its own network
IMPORTANT = "9999991900"  # what the institution's policy keeps inside begins so
SLOW = 400_000  # bytes a second at which a screen reads what is withdrawn meanwhile
READ = "/tmp/read"  # noqa: S108 (at the television, nobody else is there): what it has read
CUT = (18, 56)  # what curl says of a file that broke off: it ended early, or its connection was reset
VIRUS = (
    "X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + "EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
)  # harmless; in two parts, so that this file is none


def walk(stage: Stage) -> Iterator[Step]:
    """Walk the flow with releases that no box has seen."""
    folder = stage.lab.folder / "content" / f"tour-release-{secrets.token_hex(4)}"
    try:
        yield from listed(stage, folder / "film")
        yield from infected(stage, folder / "text")
        yield from brought_in(stage, folder / "inward")
        yield from kept_in(stage, folder / "inward")
        yield from withdrawn(stage, folder / "gone")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def listed(stage: Stage, folder: Path) -> Iterator[Step]:
    """Publish without listing: refused. List: served."""
    code = new_code()
    film.encode(folder, hue=1 + secrets.randbelow(359), seconds=film.SEGMENT)
    told = "首映 · A premiere"
    release(
        stage.operator,
        folder,
        f"isli:{code}",
        told,
        entry="master.m3u8",
        progress=_silent,
        register=False,
        listed=False,
    )
    before, _, told = stage.curl("settop", f"/r/{code}/master.m3u8")
    trust.list_release(stage.operator, folder, "library", CONTROLLER)
    after = until("the box serves what is listed", lambda: stage.curl("settop", f"/r/{code}/master.m3u8")[0] == 200)
    yield Step(
        "a release that lies at the origin, signed, is refused until its body lists it under the operator's root",
        before == 403 and "not-listed" in told and after,
        {"before": before, "answer": told, "after": 200},
    )


def infected(stage: Stage, folder: Path) -> Iterator[Step]:
    """Publish a text that holds the test virus: the second filter refuses it, and it lies in quarantine."""
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text(f"漓江两岸\n{VIRUS}\n")
    code = new_code()
    release(stage.operator, folder, f"isli:{code}", "手记 · Notes", entry="notes.txt", progress=_silent, register=False)
    status, _, told = stage.curl("settop", f"/r/{code}/notes.txt")
    held = json.loads(stage.lab.exec("headend", ["headgate", "box", "quarantine", "list", "--json"]))
    mine = [one for one in held if one["release"] == code]
    yield Step(
        "a rightly signed text with a test virus in it is refused by the second filter and lies in quarantine",
        status >= 400 and "malware" in told and len(mine) == 1,
        {"status": status, "answer": told, "in quarantine": mine},
    )


def brought_in(stage: Stage, folder: Path) -> Iterator[Step]:
    """Hand a film in from the institution's own network; the television plays it."""
    code, key = make(stage, folder, "馆藏 · From the archive"), str(stage.operator.key("library"))
    at_archive(stage, "release", "publish", str(folder), "--box", BOX, "--key", key)
    again = json.loads(at_archive(stage, "release", "publish", str(folder), "--box", BOX, "--json"))
    until("the headend serves it", lambda: stage.curl("settop", f"/r/{code}/master.m3u8")[0] == 200)
    played = stage.play(f"http://10.20.0.11/r/{code}/master.m3u8")
    yield Step(
        "the library hands a film in from its own network: its box brings the listing to the centre, and the television plays it",
        again["sent"] == 0 and played["frames"] > 0,
        {"sent again": again["sent"], **played},
    )


def kept_in(stage: Stage, folder: Path) -> Iterator[Step]:
    """Hand in what the operator's catalogue calls important: it does not leave the institution's network."""
    inside = folder.with_name("important")
    code, key = make(stage, inside, "重要数据 · Important", leading=IMPORTANT), str(stage.operator.key("library"))
    told = ""
    try:
        at_archive(stage, "release", "publish", str(inside), "--box", BOX, "--key", key)
    except HeadgateError as error:
        told = str(error)[-400:]
    yield Step(
        "important data does not leave the institution's network, whoever signs it",
        "important-data" in told,
        {"code": code, "said": told},
    )


def withdrawn(stage: Stage, folder: Path) -> Iterator[Step]:
    """Withdraw a film that a television is just playing: cut, gone from the disk, proved by every box; then reinstate it."""
    code = new_code()
    film.heavy(folder, seed=secrets.randbelow(1 << 30))
    title = "撤回 · To be withdrawn"
    release(stage.operator, folder, f"isli:{code}", title, entry="film.mp4", progress=_silent, register=False)
    path = f"/r/{code}/film.mp4"
    until("the film plays", lambda: plays(stage, path))
    with ThreadPoolExecutor(1) as screen:
        running = screen.submit(slow, stage, path)
        until(
            "the television reads",
            lambda: stage.lab.exec("settop", ["sh", "-c", f"test -s {READ} && echo yes || true"]),
        )
        lines = order(stage, "withdraw", code)
        broke_off = running.result()
    proofs = {one["box"]: one for one in lines if "box" in one}
    status, _, told = stage.curl("settop", path)
    yield Step(
        "a withdrawal reaches every box: the running delivery is cut, the bytes are gone, and each box proves it",
        set(BOXES) <= set(proofs)
        and lines[-1]["missing"] == []
        and all(proofs[box]["verified"] == "yes" for box in BOXES)
        and proofs["headend"]["objects"] > 0
        and broke_off
        and "withdrawn" in told,
        {
            "proof after (s)": {box: proof["seconds"] for box, proof in proofs.items()},
            "objects removed": {box: proof["objects"] for box, proof in proofs.items()},
            "running delivery": "cut" if broke_off else "went on",
            "status": status,
            "answer": told,
        },
    )
    order(stage, "reinstate", code)
    back = until("the film is served again", lambda: plays(stage, path))
    yield Step("reinstated by a decision of its own, it is fetched and served again", back, {"status": 206})


def plays(stage: Stage, path: str) -> bool:
    """Return whether the television is given the first bytes of ``path``."""
    argv = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-r", "0-99", f"http://10.20.0.11{path}"]
    return stage.lab.exec("settop", argv) == "206"


def slow(stage: Stage, path: str) -> bool:
    """Read ``path`` slowly at the television; return whether it was broken off."""
    get = f"rm -f {READ}; curl -sS -o {READ} --limit-rate {SLOW} --max-time 60 http://10.20.0.11{path} 2>/dev/null; echo $?"
    return int(stage.lab.exec("settop", ["sh", "-c", get], seconds=90)) in CUT


def order(stage: Stage, act: str, code: str) -> list[dict[str, Any]]:
    """Give an order as the regulator, and return what the command printed."""
    key = str(stage.operator.key(trust.REGULATOR))
    told = ["--reason", "巡展 · tour", "--key", key, "--as", trust.REGULATOR, "--at", CONTROLLER, "--json"]
    done = stage.operator.headgate("release", act, code, *told, check=False)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def make(stage: Stage, folder: Path, title: str, leading: str = "9999991000") -> str:
    """Make a new film, signed by the library, in ``folder``, and return its code."""
    code = new_code(leading)
    film.encode(folder, hue=1 + secrets.randbelow(359), seconds=film.SEGMENT)
    told = ["--id", code, "--body", LIBRARY, "--title", title, "--zones", "bigscreen,smallscreen,culture"]
    stage.operator.headgate("release", "make", str(folder), *told, "--key", str(stage.operator.key("library")))
    return code


def at_archive(stage: Stage, *argv: str) -> str:
    """Run ``headgate ARGV`` at the archive, in the institution's network."""
    return stage.operator.headgate(*argv, at="archive", seconds=120).stdout


def _silent(line: str) -> None:
    """Take a line of progress that the tour does not show."""
