"""Scrubbing finds what the disk spoiled, at its rate, and goes on where it was."""

import errno
import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.isolation.content import Store
from gateway.store import scrub
from gateway.store.keeper import Keeper
from gateway.store.objects import Objects
from gateway.store.quarantine import Quarantine, items
from gateway.store.scrub import Damaged, Pace, Read, Scrubbing
from tests.unit.gateway.store import filled


@pytest.fixture
def store(tmp_path):
    Objects(tmp_path).prepare()
    keeper = Keeper(tmp_path, Store(free=1))
    yield keeper
    keeper.close()


def put(root, keeper, number, size=1000):
    data = str(number).encode().ljust(size, b".")
    digest = hashlib.sha256(data).hexdigest()
    with filled.write(root, digest, size) as writer:
        writer.write(data)
        writer.finish()
    keeper.added(digest, size, "library", "bigscreen", "a")
    return digest


@pytest.mark.parametrize("spoil", ["flip", "cut", "grow", "empty"])
def test_spoiled_object_is_taken_away_and_told(tmp_path, store, spoil):
    """Bytes that changed, got lost or were added: the object is gone, with the releases that need it told; others stay."""
    held = [put(tmp_path, store, n) for n in range(20)]
    path = Objects(tmp_path).path(held[3])
    data = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(
        {"flip": bytes([data[0] ^ 1]) + data[1:], "cut": data[:-1], "grow": data + b"x", "empty": b""}[spoil]
    )
    quarantine = Quarantine(tmp_path, 1 << 20)
    quarantine.prepare()
    told = [one for one in Scrubbing(store, quarantine).steps() if isinstance(one, Damaged)]
    (aside,) = items(quarantine.folder)
    assert (aside["name"], aside["reason"], aside["filter"]) == (told[0].held, "corrupt", "scrubbing")
    assert [(one.digest, one.releases) for one in told] == [(held[3], ("a",))]
    assert [Objects(tmp_path).path(digest).exists() for digest in held] == [n != 3 for n in range(20)]
    assert store.index.objects() == 19


def test_disk_that_cannot_read_drops_the_object(tmp_path, store, monkeypatch):
    """EIO in the middle of an object: it is taken away, and the others are read."""
    held = [put(tmp_path, store, n, size=600_000) for n in range(3)]
    real, descriptors = os.read, []

    def read(descriptor, size):
        if Path(f"/proc/self/fd/{descriptor}").readlink().name == held[1]:
            descriptors.append(descriptor)
            if len(descriptors) == 2:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(descriptor, size)

    monkeypatch.setattr(os, "read", read)
    told = [one for one in Scrubbing(store).steps() if isinstance(one, Damaged)]
    assert [one.digest for one in told] == [held[1]]
    assert "Input/output error" in told[0].fault


def test_restart_goes_on_where_it_was(tmp_path, store, monkeypatch):
    """The place is durable, so that boxes that restart each night still read everything; after a whole pass it begins again."""
    monkeypatch.setattr(scrub, "EVERY", 1)
    held = sorted(put(tmp_path, store, n) for n in range(10))
    steps, seen = Scrubbing(store).steps(), 0
    while seen < 5:
        seen += isinstance(next(steps), Read)
    steps.close()
    assert (
        len([one for one in Scrubbing(store).steps() if isinstance(one, Read)]) == 6
    )  # the one under way was not written down
    assert len(list(Scrubbing(store).steps())) == 10
    assert held


def test_object_that_leaves_meanwhile_is_not_damaged(tmp_path, store):
    """What is evicted between being listed and being read is no fault."""
    held = [put(tmp_path, store, n) for n in range(2)]
    steps = Scrubbing(store).steps()
    next(steps)
    store.forget("a", held)
    assert not [one for one in steps if isinstance(one, Damaged)]


@given(pieces=st.lists(st.tuples(st.integers(1, 1 << 20), st.floats(0, 2)), min_size=1, max_size=50))
def test_never_faster_than_the_rate(pieces):
    """Whoever waits as told never reads more than the rate allows since the beginning."""
    rate, now, read = 100_000, 0.0, 0
    pace = Pace(rate, now)
    for size, idle in pieces:
        read += size
        now += pace.after(size, now) + idle
        assert read <= now * rate * (1 + 1e-9)
