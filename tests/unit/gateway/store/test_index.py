"""The index: what it knows is summed right at any time, survives a kill, and is only advice."""

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from appliance.runtime.errors import Corrupt, Unreachable
from gateway.store.index import NAME, Coming, Index
from gateway.store.policies import KNOWN

SIEVE = KNOWN["sieve"]


def digest(number):
    return hashlib.sha256(str(number).encode()).hexdigest()


def coming(number, size=10, body="library", zone="bigscreen", release="a"):
    return Coming(digest(number), size, body, zone, release)


@pytest.fixture
def index(tmp_path):
    index = Index(tmp_path, SIEVE)
    yield index
    index.close()


def test_release_lets_go_what_nobody_else_needs(index):
    """A withdrawal takes what only that release needs; what another one needs stays, until that goes too."""
    index.add([coming(1, release="a"), coming(2, release="a"), coming(2, release="b")])
    assert index.release("a") == [digest(1)]
    assert index.needed(digest(2)) == ["b"]
    assert index.release("b") == [digest(2)]
    assert index.objects() == index.bytes() == 0


def test_release_lets_go_what_only_its_manifest_knows(index):
    """Objects that came without the index's knowing of the release go too; those of others do not."""
    index.add([coming(1, release=""), coming(2, release="b")])
    assert set(index.release("a", [digest(1), digest(2), digest(3)])) == {digest(1), digest(3)}
    assert index.needed(digest(2)) == ["b"]


def test_use_through_another_release_is_a_need(index):
    """What was delivered as part of another release is needed by that too."""
    index.add([coming(1, release="a")])
    index.use({digest(1): {"b"}, digest(9): {"b"}})
    assert index.release("a") == []
    assert index.release("b") == [digest(1)]


def test_pinned_objects_never_go(index):
    """What a pinned release needs, now or later, is never chosen; unpinned, it may go again."""
    index.add([coming(1, release="a"), coming(2, release="b")])
    index.pin(frozenset({"a"}))
    index.add([coming(3, release="a"), coming(2, release="a")])
    assert index.bytes(pinned=True) == 30
    assert index.choose(1000) == []
    index.pin(frozenset())
    assert index.bytes(pinned=True) == 0
    assert len(index.choose(1000)) == 3


def test_shared_object_stays_pinned_while_one_pin_holds(index):
    """An object of two pinned releases stays until both are unpinned, or withdrawn."""
    index.add([coming(1, release="a"), coming(1, release="b")])
    index.pin(frozenset({"a", "b"}))
    index.pin(frozenset({"b"}))
    assert index.choose(1) == []
    index.add([coming(1, release="c")])
    assert index.release("b") == []
    assert [one.digest for one in index.choose(1)] == [digest(1)]


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_one_body_or_zone_is_chosen_alone(tmp_path, name):
    """Where a quota is reached, only objects of that body, or that came for that zone, go."""
    index = Index(tmp_path, KNOWN[name])
    index.add(coming(n, body=f"body{n % 2}", zone=f"zone{n % 3}") for n in range(30))
    assert {int(one.digest, 16) for one in index.choose(50, ("body", "body1"))} <= {
        int(digest(n), 16) for n in range(1, 30, 2)
    }
    assert index.bytes(("body", "body1")) == 100
    assert index.bytes(("body", "body0")) == 150
    index.choose(10_000, ("zone", "zone2"))
    assert index.bytes(("zone", "zone2")) == 0
    assert index.bytes(("zone", "zone1")) > 0
    assert index.choose(10, ("body", "nobody")) == []
    index.close()


def test_sieve_goes_on_where_it_was_after_a_restart(tmp_path):
    """The hand is durable: what was spared in this round is not looked at again before the others."""
    index = Index(tmp_path, SIEVE)
    index.add(coming(n) for n in range(4))
    index.use({digest(0): {"a"}})
    assert [one.digest for one in index.choose(1)] == [digest(1)]
    index.close()
    index = Index(tmp_path, SIEVE)
    assert [one.digest for one in index.choose(1)] == [digest(2)]
    index.close()


def test_notes_are_kept(tmp_path):
    """What was written down is there after a restart."""
    index = Index(tmp_path, SIEVE)
    assert index.noted("scrubbed") is None
    index.note("scrubbed", "abc")
    index.close()
    index = Index(tmp_path, SIEVE)
    assert index.noted("scrubbed") == "abc"
    assert not index.rebuilt
    index.close()


@pytest.mark.parametrize("damage", [b"garbage" * 1000, b"SQLite format 3\0" + b"\xff" * 8000])
def test_damaged_index_is_set_aside(tmp_path, damage):
    """A file that is no database is renamed, and an empty index takes its place."""
    (tmp_path / NAME).write_bytes(damage)
    index = Index(tmp_path, SIEVE)
    assert index.rebuilt
    assert index.objects() == 0
    assert (tmp_path / f"damaged-{NAME}").read_bytes() == damage
    index.close()


def test_damage_in_the_middle_is_told(tmp_path):
    """Pages that are overwritten are Corrupt when they are met, and a restarted index works again."""
    index = Index(tmp_path, SIEVE)
    index.add(coming(n) for n in range(5000))
    index.close()
    path = tmp_path / NAME
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + os.urandom(len(data) // 2))
    index = Index(tmp_path, SIEVE)
    with pytest.raises(Corrupt):
        index.choose(10**9, most=10**6)
    index.restart(Corrupt("damaged"))
    assert index.add([coming(1)]) == 1
    index.close()


def test_index_that_cannot_be_written_is_unreachable(tmp_path):
    """A read-only index, or one that another process holds for too long, is no index for now."""
    (tmp_path / NAME).mkdir()
    with pytest.raises(Unreachable):
        Index(tmp_path, SIEVE)


def test_a_failed_change_leaves_the_sums_as_the_file_has_them(index):
    """Rolled back rows are rolled back in the sums as well."""
    index.add([coming(1)])
    with pytest.raises(ValueError, match="hex"):
        index.add([coming(2), Coming("no digest", 5, "library", "bigscreen", "")])
    assert (index.objects(), index.bytes()) == (1, 10)
    index.add([coming(3)])
    assert (index.objects(), index.bytes(("body", "library"))) == (2, 20)


WRITER = """
import sys, hashlib
from pathlib import Path
from gateway.store.index import Index, Coming
from gateway.store.policies import KNOWN
index = Index(Path(sys.argv[1]), KNOWN["s3-fifo"])
print("open", flush=True)
n = 0
while True:
    n += 1
    digests = [hashlib.sha256(f"{sys.argv[2]} {n} {m}".encode()).hexdigest() for m in range(20)]
    index.add(Coming(d, m + 1, f"b{m % 3}", f"z{m % 2}", f"r{n % 5}") for m, d in enumerate(digests))
    if n % 3 == 0:
        index.choose(300, ("body", "b1") if n % 2 else None)
    if n % 5 == 0:
        index.release(f"r{n % 5}")
"""


def test_killed_writer_leaves_sums_and_rows_equal(tmp_path):
    """kill -9 at any instant: at the next start the sums are those of the rows, without having been counted."""
    for turn in range(6):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(turn)], stdout=subprocess.PIPE
        ) as process:
            process.stdout.readline()
            try:
                process.wait(0.05 + 0.03 * turn)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
        index = Index(tmp_path, SIEVE)
        counted = sqlite3.connect(tmp_path / NAME)
        objects, size = counted.execute("SELECT count(*), ifnull(sum(size), 0) FROM objects").fetchone()
        counted.close()
        assert (index.objects(), index.bytes()) == (objects, size)
        assert not index.rebuilt
        index.close()
    assert objects


class Machine(RuleBasedStateMachine):
    """Whatever comes and goes, sums and needs are those of a plain dictionary."""

    def __init__(self):
        super().__init__()
        self.index = Index(None, SIEVE)
        self.held, self.pinned = {}, set()

    @rule(
        number=st.integers(0, 15), size=st.integers(0, 50), release=st.sampled_from("abc"), body=st.sampled_from("xy")
    )
    def add(self, number, size, release, body):
        self.index.add([coming(number, size, body, "zone", release)])
        known = self.held.get(digest(number))
        self.held[digest(number)] = (size, known[1] if known else body, (known[2] if known else set()) | {release})

    @rule(release=st.sampled_from("abc"))
    def release(self, release):
        gone = {d for d, (_, _, needs) in self.held.items() if needs == {release}}
        assert set(self.index.release(release)) == gone
        self.held = {d: (s, b, n - {release}) for d, (s, b, n) in self.held.items() if d not in gone}
        self.pinned.discard(release)

    @rule(codes=st.frozensets(st.sampled_from("abc")))
    def pin(self, codes):
        self.index.pin(codes)
        self.pinned = set(codes)

    @rule(keep=st.sampled_from(sorted(KNOWN)), least=st.integers(1, 100))
    def choose(self, keep, least):
        self.index.keep = KNOWN[keep]
        for one in self.index.choose(least):
            assert not self.held.pop(one.digest)[2] & self.pinned

    @rule(numbers=st.sets(st.integers(0, 15)))
    def use(self, numbers):
        self.index.use({digest(number): {"a"} for number in numbers})
        for number in numbers:
            if digest(number) in self.held:
                self.held[digest(number)][2].add("a")

    @invariant()
    def equal(self):
        assert self.index.objects() == len(self.held)
        assert self.index.bytes() == sum(size for size, _, _ in self.held.values())
        assert self.index.bytes(pinned=True) == sum(s for s, _, needs in self.held.values() if needs & self.pinned)
        bodies = Counter()
        for size, body, _ in self.held.values():
            bodies[body] += size
        assert all(self.index.bytes(("body", body)) == bodies[body] for body in "xy")

    def teardown(self):
        self.index.close()


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
