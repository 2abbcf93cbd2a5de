"""The two filters with every process running: what fails reaches nobody, and what fails in a filter costs one object."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.filters.inspection.scan import EICAR
from gateway.store.quarantine import items
from tests.server.content import media

pytestmark = pytest.mark.server
CODE = "999999-100000000000001-4"
LARGE = media.sized(9 << 20)
WIDE = "largest: 64 MiB"


def reason(reply):
    return reply.status, json.loads(reply.body)["reason"]


def children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            found += map(int, task.read_text().split())
    return found


def descendants(pid: int) -> list[int]:
    below = children(pid)
    return [*below, *(each for child in below for each in descendants(child))]


def workers(pid: int) -> list[int]:
    """Return the processes that look at objects, or wait for one: the children of those that make them."""
    return sorted(set(descendants(pid)) - set(children(pid)))


def test_what_fails_lands_in_quarantine_and_reaches_nobody(chain, until):
    """The test virus, signed by an admitted body: refused with its reason, kept aside, never stored; the next object passes."""
    chain.publish({"bad.txt": EICAR, "good.txt": b"good"})
    assert reason(chain.play("bad.txt")) == (403, "malware")
    assert chain.play("good.txt").body == b"good"
    (item,) = items(chain.state / "store" / "quarantine")
    assert (item["reason"], item["path"], item["release"]) == ("malware", "bad.txt", CODE)
    audit = until(lambda: [r for r in chain.records("audit") if r.body["reason"] == "malware"], "the audit record")
    assert audit[0].body["quarantine"] == item["name"]
    assert audit[0].body["filter"] == item["filter"] == "inspection"
    assert not list((chain.state / "store" / "incoming").iterdir())


def test_a_refused_release_lands_in_quarantine_and_is_counted(chain, until):
    """Its envelope, whoever signed it, and however often somebody asks; a restart of the filter that refuses nothing adds none."""
    chain.publish({"a.txt": b"good"}, key=chain.stranger)
    assert reason(chain.play("a.txt")) == (403, "not-signed")
    folder = chain.state / "store" / "quarantine"
    (item,) = items(folder)
    told = {name: item[name] for name in ("reason", "filter", "release", "path")}
    assert told == {"reason": "not-signed", "filter": "admission", "release": CODE, "path": "release.json"}
    envelope = chain.origin.folder / "releases" / CODE / "release.json"
    assert (folder / f"{item['name']}.bytes").read_bytes() == envelope.read_bytes()
    audit = until(lambda: [r for r in chain.records("audit") if r.body["reason"] == "not-signed"], "the audit record")
    assert (audit[0].body["quarantine"], audit[0].body["path"]) == (item["name"], "release.json")
    until(lambda: chain.play("a.txt").status == 403 and items(folder)[0]["times"] >= 3, "it is counted")
    assert len(items(folder)) == 1

    chain.publish({"a.txt": b"good"}, version=2)
    until(lambda: chain.play("a.txt").status == 200, "the body's own is admitted")
    chain.write_policy(lambda text: text.replace(str(chain.key.public), str(chain.stranger.public), 1))
    chain.reload("exchange")
    until(lambda: chain.play("a.txt").status == 403, "under another policy what was admitted is refused")
    again = {item["path"]: item["reason"] for item in items(folder) if item["release"] == CODE}
    assert again == {"release.json": "not-signed"}
    assert len(items(folder)) == 2


def test_a_checked_text_is_not_served_as_a_page(chain, until):
    """Another release that names the same digest as another type: the bytes are inspected as that, though they are in the store."""
    other = "999999-100000000000002-3"
    first = chain.publish({"a.txt": b"body { color: red }"})
    assert chain.play("a.txt").status == 200
    chain.publish({"a.css": b"body { color: red }"}, code=other)
    assert first.files["a.txt"].sha256 in chain.stored()
    assert reason(chain.get(f"/r/{other}/a.css")) == (403, "active-content")
    assert chain.play("a.txt").status == 200
    (item,) = items(chain.state / "store" / "quarantine")
    assert (item["reason"], item["path"], item["sha256"]) == ("active-content", "a.css", first.files["a.txt"].sha256)


def widen(chain, until):
    chain.write_policy(lambda text: text.replace("largest: 4 MiB", WIDE))
    chain.reload("exchange", "delivery-bigscreen")
    until(lambda: "configuration taken in" in chain.log("exchange"), "the policy is taken in")


def test_an_object_of_one_piece_waits_for_a_filter_that_is_started_again(chain, until):
    """The inspection is killed while the object comes in, and is back soon: nobody's object is refused; then it stops in peace."""
    chain.publish({"master.m3u8": b"#EXTM3U\n", "1.m4s": media.sized(100_000)})
    chain.play("master.m3u8")
    chain.origin.hold = 1.0
    with ThreadPoolExecutor(1) as screens:
        coming = screens.submit(chain.play, "1.m4s")
        until(lambda: chain.origin.asked[f"/releases/{CODE}/1.m4s"], "the origin is asked")
        chain.stop("inspection", signal.SIGKILL)
        chain.start("inspection")
        assert coming.result().status == 200
    below = descendants(chain.processes["inspection"].pid)
    assert len(below) >= 2 + 2  # two that make workers, and some that wait
    assert chain.stop("inspection") == 0
    until(lambda: not [pid for pid in below if Path(f"/proc/{pid}").exists()], "no process of it is left")


@pytest.mark.parametrize("victim", ["workers", "daemon"])
def test_a_filter_that_crashes_costs_one_object(chain, until, victim):
    """What was under way is refused as filter-failed; the next request is served."""
    widen(chain, until)
    chain.publish({"master.m3u8": b"#EXTM3U\n", "film.mp4": LARGE})
    until(lambda: chain.play("master.m3u8").status == 200, "it crosses")
    figures, wall = (
        chain.run / "metrics" / "inspection" / "inspection.prom",
        'headgate_inspection_sandbox{part="seccomp"} ',
    )
    until(lambda: figures.exists() and wall in figures.read_text(), "it is told which walls stand")
    chain.origin.hold = 2.0
    with ThreadPoolExecutor(1) as screens:
        missing = screens.submit(chain.play, "film.mp4")
        until(lambda: chain.origin.asked[f"/releases/{CODE}/film.mp4"], "the origin is asked")
        behind = [Path(f"/proc/{pid}/status").read_text() for pid in workers(chain.processes["inspection"].pid)]
        assert (
            any("Seccomp:\t2" in one and "NoNewPrivs:\t1" in one for one in behind) or f"{wall}0" in figures.read_text()
        )
        if victim == "daemon":
            chain.stop("inspection", signal.SIGKILL)
        else:
            for pid in workers(chain.processes["inspection"].pid):
                os.kill(pid, signal.SIGKILL)
        assert reason(missing.result()) == (503, "filter-failed")
    event = until(lambda: chain.records("event"), "the controller hears of it")[0].body
    assert (event["event"], event["filter"]) == ("filter-failed", "inspection")
    chain.origin.hold = 0.0
    if victim == "daemon":
        chain.start("inspection")
    assert chain.play("film.mp4").status == 200


def test_a_film_streams_while_it_crosses(chain, until):
    """The first bytes are at the screen before the last have left the origin; the whole is right, and one request is made."""
    widen(chain, until)
    chain.publish({"film.mp4": LARGE})
    until(lambda: chain.play("film.mp4").status == 200, "it crosses")
    assert chain.play("film.mp4").body == LARGE
    assert chain.play("film.mp4", headers={"Range": "bytes=5000000-5000009"}).body == LARGE[5_000_000:5_000_010]
    assert chain.origin.asked[f"/releases/{CODE}/film.mp4"] == 1
