"""The store behind the real daemons: room is made, damage heals, what is planned comes by itself, and a failing disk still serves."""

import hashlib
import os
import re
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.server.content.conftest import BOTH_WAYS

CODE = "999999-100000000000001-4"
Until = Callable[..., Any]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def with_store(chain: Any, store: str) -> None:
    """Let the policy say of the store what ``store`` says, and let the exchange read it."""
    chain.write_policy(lambda text: text + f"store: {store}\n")
    chain.reload("exchange")


def figure(chain: Any, name: str) -> float:
    path = chain.run / "metrics" / "exchange" / "exchange.prom"
    found = re.findall(rf"^{re.escape(name)} (\S+)$", path.read_text() if path.exists() else "", re.MULTILINE)
    return float(found[0]) if found else 0.0


def test_store_keeps_to_its_size(chain: Any, until: Until) -> None:
    """With room for four of ten objects every one is served, the last ones are there, and the index tells what went."""
    files = {f"{n}.bin": bytes([n]) * 1_000_000 for n in range(10)}
    chain.publish(files)
    with_store(chain, "{size: 4395 KiB, free: 1 MiB}")
    until(lambda: "new configuration taken in" in chain.log("exchange"), "the policy is taken in")
    for name, data in files.items():
        assert chain.play(name).body == data
    assert len(chain.stored()) <= 4
    assert digest(files["9.bin"]) in chain.stored()
    until(lambda: figure(chain, 'headgate_store_evicted_total{cause="capacity"}') >= 6, "the metric tells it")
    assert chain.play("0.bin").body == files["0.bin"]  # what went comes again


def test_store_remembers_over_kill(chain: Any, until: Until) -> None:
    """After kill -9 of the exchange and the loss of the index, everything stored is there, without the origin, and is known again."""
    files = {f"{n}.bin": bytes([n]) * 1000 for n in range(5)}
    chain.publish(files)
    for name in files:
        chain.play(name)
    chain.stop("exchange", signal.SIGKILL)
    chain.origin.stop()
    index = chain.state / "store" / "index.db"
    index.write_bytes(b"no database at all" * 500)
    index.with_name("index.db-wal").unlink(missing_ok=True)
    chain.start("exchange")
    for name, data in files.items():
        assert until(lambda name=name: (reply := chain.play(name)).status == 200 and reply, "served").body == data
    until(lambda: figure(chain, "headgate_store_objects") == 5, "the index is made anew")


def test_damaged_object_heals_by_itself(chain: Any, until: Until) -> None:
    """An object that the disk spoiled is found by scrubbing, journalled, and fetched again with nobody asking."""
    data = os.urandom(200_000)
    chain.publish({"a.bin": data})
    chain.play("a.bin")
    until(lambda: figure(chain, "headgate_store_scrub_passes_total") >= 1, "a first pass", 90)
    chain.stop("exchange")
    path = chain.state / "store" / "objects" / digest(data)[:2] / digest(data)
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    chain.start("exchange")
    until(lambda: path.exists() and path.read_bytes() == data, "healed", 90)
    until(lambda: figure(chain, 'headgate_store_healed_total{outcome="healed"}') == 1, "the metric tells it")
    told = [record.body for record in chain.records("audit") if record.body.get("reason") == "corrupt"]
    assert [body["sha256"] for body in told] == [digest(data)]


def test_short_file_heals_when_it_is_asked_for(chain: Any) -> None:
    """A file that was cut is as if it were not there: the screen gets the whole, fetched again."""
    data = os.urandom(200_000)
    chain.publish({"a.bin": data})
    chain.play("a.bin")
    os.truncate(chain.state / "store" / "objects" / digest(data)[:2] / digest(data), 1000)
    assert chain.play("a.bin").body == data
    assert chain.origin.asked[f"/releases/{CODE}/a.bin"] == 2


def test_plan_is_fetched_ahead_and_plays_without_the_origin(chain: Any, until: Until) -> None:
    """A village bookhouse: the plan fills the store at its rate with nobody asking, goes on after a kill, and then the line may be cut."""
    files = {f"{n}.bin": os.urandom(150_000) for n in range(8)}
    chain.publish(files)
    with_store(chain, f'{{preposition: {{rate: 300 KiB, releases: ["isli:{CODE}"]}}}}')
    until(lambda: len(chain.stored()) >= 2, "the first files", 90)
    assert len(chain.stored()) < 8, "at its rate"
    chain.stop("exchange", signal.SIGKILL)
    chain.start("exchange")
    until(lambda: chain.stored() == {digest(data) for data in files.values()}, "the whole plan", 60)
    assert (
        max(chain.origin.asked[f"/releases/{CODE}/{name}"] for name in files) <= 2
    )  # the one under way when it was killed
    until(lambda: figure(chain, 'headgate_store_preposition_files{state="missing"}') == 0, "progress is told")
    chain.origin.stop()
    assert all(chain.play(name).body == data for name, data in files.items())


@BOTH_WAYS
def test_use_is_noted(chain: Any, until: Until) -> None:
    """A second delivery of an object is a use in the index; the first, for which it was fetched, is none."""
    chain.publish({"a.bin": b"a" * 1000, "b.bin": b"b" * 1000})
    chain.play("a.bin")
    chain.play("b.bin")
    chain.used(2)
    chain.play("b.bin")

    def frequencies() -> dict[str, int]:
        with sqlite3.connect(chain.state / "store" / "index.db") as db:
            found = {row[0].hex(): row[1] for row in db.execute("SELECT digest, frequency FROM objects")}
        db.close()
        return found

    until(lambda: frequencies().get(digest(b"b" * 1000)) == 1, "the use is written down")
    assert frequencies()[digest(b"a" * 1000)] == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="SKIPPED LOUDLY: mounting a disk that turns read-only needs root")
def test_read_only_disk_serves_what_is_there(chain: Any, until: Until) -> None:
    """A store whose disk turned read-only serves on what screens know, and refuses fills with the reason, without dying of it."""
    chain.stop("exchange")
    folder: Path = chain.state / "store"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "hg-store-test", str(folder)], check=True)
    try:
        chain.start("exchange")
        chain.publish({"a.bin": b"a" * 1000, "b.bin": b"b" * 1000})
        assert chain.play("a.bin").body == b"a" * 1000
        chain.stop("exchange", signal.SIGKILL)
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        chain.start("exchange")
        until(lambda: chain.play("a.bin").status == 200, "what is there is served")
        refused = chain.ask("delivery-bigscreen", "object", {"release": CODE, "path": "b.bin"})
        assert refused.status == 507
        assert b'"store-broken"' in refused.body
        assert chain.processes["exchange"].poll() is None
    finally:
        chain.stop("exchange", signal.SIGKILL)
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
