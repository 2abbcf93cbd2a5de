"""kill -9 at any instant while the store is filled, emptied and scrubbed; and the order in which a power cut would find things."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.isolation.content import Store
from gateway.store.keeper import Keeper
from gateway.store.manifests import Manifests
from gateway.store.objects import Objects
from gateway.store.reconcile import Reconciling
from tests.unit.gateway.store import filled

TURNS = 6  # each policy twice
SIZE = 20_000
ROOM = 20 * SIZE  # bytes: some forty objects

# Prints each object as it is acknowledged, and each that made room before that was done.
WORKER = """
import hashlib, json, random, sys
from pathlib import Path
from gateway.isolation.content import Store
from gateway.store.keeper import Keeper
from gateway.store.manifests import Manifests
from gateway.store.incoming import FILTERS, Incoming
from gateway.store.objects import Objects
from gateway.store.reconcile import Reconciling
from gateway.store.scrub import Damaged, Scrubbing

root, seed, size, room = Path(sys.argv[1]), *map(int, sys.argv[2:])
rng = random.Random(seed)
objects, incoming, manifests = Objects(root), Incoming(root), Manifests(root)
objects.prepare()
incoming.prepare()
manifests.prepare()
keeper = Keeper(root, Store(size=room, free=1, keep=("sieve", "lru", "s3-fifo")[seed % 3]))
take = keeper.disk.take
def told(digest):
    print(json.dumps({"went": digest}), flush=True)
    return take(digest)
keeper.disk.take = told
print(json.dumps({"ready": True}), flush=True)
steps, lines = Scrubbing(keeper).steps(), Reconciling(keeper, manifests).steps()
while True:
    data = rng.randbytes(rng.randrange(1, size))
    digest = hashlib.sha256(data).hexdigest()
    with keeper.room_for(len(data), "library", "bigscreen"), incoming.arrive(digest, len(data)) as writer:
        writer.write(data)
        for name in FILTERS:
            writer.passed(name, len(data))
        writer.finish()
        keeper.added(digest, len(data), "library", "bigscreen", f"release{rng.randrange(9)}")
    print(json.dumps({"stored": digest}), flush=True)
    keeper.used(digest, len(data), len(data), "a")
    if rng.random() < 0.1:
        keeper.flush()
    if rng.random() < 0.02:
        keeper.forget(f"release{rng.randrange(9)}")
    for work in (steps, lines):
        done = next(work, None)
        assert not isinstance(done, Damaged), done
"""


def work(root: Path, seed: int, lines: int) -> list[dict]:
    """Let a worker say so many lines, kill it wherever it is then, and return what it said before."""
    argv = [sys.executable, "-c", WORKER, *map(str, (root, seed, SIZE, ROOM))]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        first = "".join(process.stdout.readline() for _ in range(lines))
        process.send_signal(signal.SIGKILL)
        said, errors = process.stdout.read(), process.stderr.read()  # communicate() forgets what readline() read ahead
        process.wait()
    assert process.returncode == -signal.SIGKILL, errors
    return [json.loads(line) for line in (first + said).splitlines() if line.endswith("}")]


def test_killed_store_has_no_torn_object_and_loses_none(tmp_path):
    """After each kill every object has its digest, all that was acknowledged and did not make room is there, and nothing is unknown."""
    rng = random.Random(os.urandom(8))
    held: set[str] = set()
    stored = went = 0
    # Hard upon the start, at any time, and at last long enough that something must make room.
    for turn, lines in enumerate([1, *rng.choices(range(2, 60), k=TURNS - 2), 150]):
        for told in work(tmp_path, turn, lines):
            if "stored" in told:
                held.add(told["stored"])
                stored += 1
            if "went" in told:
                held.discard(told["went"])
                went += 1
        files = {path.name: path for path in (tmp_path / "objects").glob("*/*")}
        assert all(hashlib.sha256(path.read_bytes()).hexdigest() == name for name, path in files.items())
        assert held <= set(files)
        held = set(files)  # one may have been stored without the time to say so
        keeper = Keeper(tmp_path, Store(size=ROOM, free=1))
        list(Reconciling(keeper, Manifests(tmp_path)).steps())
        assert (keeper.index.objects(), keeper.index.bytes()) == (
            len(files),
            sum(p.stat().st_size for p in files.values()),
        )
        keeper.close()
    assert stored > TURNS
    assert went


def test_object_is_durable_before_it_is_visible(tmp_path, monkeypatch):
    """Bytes, then name, then folder: at a power cut between any two steps there is the whole object, or none."""
    order: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def synced(descriptor):
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        order.append(f"fsync {'folder' if path.is_dir() else 'bytes'} {path.relative_to(tmp_path).parts[0]}")
        fsync(descriptor)

    def renamed(path, target):
        order.append(f"rename {path.relative_to(tmp_path).parts[0]} {target.relative_to(tmp_path).parts[0]}")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "rename", renamed)
    Objects(tmp_path).prepare()
    digest = hashlib.sha256(b"data").hexdigest()
    with filled.write(tmp_path, digest, 4) as writer:
        writer.write(b"data")
        writer.finish()
    came = order[0].split()[-1]  # where it comes in
    assert order == [
        f"fsync bytes {came}",
        "fsync folder objects",  # the folder's own name, which is new
        f"rename {came} objects",
        "fsync folder objects",
    ]


def test_withdrawn_object_is_durably_gone(tmp_path, monkeypatch):
    """Forgetting ends with an fsync of each folder, after the last removal: a power cut brings nothing back that was reported removed."""
    order: list[str] = []
    fsync, unlink = os.fsync, Path.unlink
    Objects(tmp_path).prepare()
    keeper = Keeper(tmp_path, Store(free=1))
    digests = []
    for n in range(3):
        data = str(n).encode()
        digests.append(hashlib.sha256(data).hexdigest())
        with filled.write(tmp_path, digests[-1], 1) as writer:
            writer.write(data)
            writer.finish()
        keeper.added(digests[-1], 1, "library", "bigscreen", "a")
    monkeypatch.setattr(os, "fsync", lambda fd: (order.append("fsync"), fsync(fd))[1])
    monkeypatch.setattr(Path, "unlink", lambda path, **told: (order.append("unlink"), unlink(path, **told))[1])
    assert sorted(keeper.forget("a")) == sorted(digests)
    folders = len({digest[:2] for digest in digests})
    assert order == ["unlink"] * 3 + ["fsync"] * folders
    keeper.close()


@pytest.mark.parametrize("instant", ["before the files", "after one file"])
def test_crash_in_an_eviction_is_put_right(tmp_path, monkeypatch, instant):
    """Out of the index first, then off the disk: what a crash leaves between is known again after the next start."""
    Objects(tmp_path).prepare()
    keeper = Keeper(tmp_path, Store(size=10, free=1))
    for n in range(10):
        data = str(n).encode()
        digest = hashlib.sha256(data).hexdigest()
        with filled.write(tmp_path, digest, 1) as writer:
            writer.write(data)
            writer.finish()
        keeper.added(digest, 1, "library", "bigscreen", "a")
    taken: list[str] = []
    take = keeper.disk.take

    def cut(digest):
        if len(taken) == (instant == "after one file"):
            raise KeyboardInterrupt
        taken.append(digest)
        return take(digest)

    monkeypatch.setattr(keeper.disk, "take", cut)
    with pytest.raises(KeyboardInterrupt):
        keeper.room_for(5, "library", "bigscreen")
    keeper.index.close()
    again = Keeper(tmp_path, Store(size=10, free=1))
    Manifests(tmp_path).prepare()
    list(Reconciling(again, Manifests(tmp_path)).steps())
    assert again.index.objects() == 10 - len(taken)
    again.close()
