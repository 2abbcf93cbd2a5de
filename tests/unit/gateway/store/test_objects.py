"""The store: an object is whole and right, or it is not there."""

import errno
import hashlib
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.runtime.errors import Corrupt, Refused
from gateway.store.incoming import FILTERS, Incoming
from gateway.store.manifests import Manifests
from gateway.store.objects import Objects

DATA = os.urandom(300_000)
DIGEST = hashlib.sha256(DATA).hexdigest()
CODE = "999999-100000000000001-4"

SLOW = """
import sys
from pathlib import Path
from gateway.store.incoming import Incoming
with Incoming(Path(sys.argv[1])).arrive(sys.argv[2], 300000) as writer:
    for _ in range(int(sys.argv[3])):
        writer.write(sys.stdin.buffer.read(30000))
    print("written", flush=True)
    sys.stdin.buffer.read(1)
"""


@pytest.fixture
def store(tmp_path):
    return prepared(tmp_path)


def prepared(root):
    store = Objects(root)
    store.prepare()
    Incoming(root).prepare()
    return store


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def put(root, data, digest, size, by=FILTERS):
    with Incoming(root).arrive(digest, size) as arrival:
        for start in range(0, len(data), 64 << 10):
            arrival.write(data[start : start + (64 << 10)])
        for name in by:
            arrival.passed(name, len(data))
        return arrival.finish()


def test_object_is_readable_after_finish(store, tmp_path):
    """A finished object is found by digest and size, readable for others, and nothing else is left."""
    path = put(tmp_path, DATA, DIGEST, len(DATA))
    assert path == tmp_path / "objects" / DIGEST[:2] / DIGEST
    assert path.stat().st_mode & 0o777 == 0o644
    assert path.parent.stat().st_mode & 0o777 == 0o755
    assert store.has(DIGEST, len(DATA))
    with store.open(DIGEST, len(DATA)) as file:
        assert file.read() == DATA
    assert files(tmp_path) == [path]


def test_modes_hold_under_a_narrow_umask(tmp_path):
    """The unit's umask does not keep delivery from reading."""
    before = os.umask(0o077)
    try:
        prepared(tmp_path)
        path = put(tmp_path, DATA, DIGEST, len(DATA))
    finally:
        os.umask(before)
    assert [p.stat().st_mode & 0o777 for p in (path, path.parent, path.parent.parent)] == [0o644, 0o755, 0o755]


def test_what_the_disk_does_not_let_go_hides_no_reason_and_keeps_nobody_from_starting(store, tmp_path, monkeypatch):
    """It turned read-only meanwhile: what was not finished stays until it may be removed."""
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", _read_only)
        with pytest.raises(Corrupt, match="passed both filters"):
            put(tmp_path, DATA[:-1], DIGEST, len(DATA))
        assert Incoming(tmp_path).prepare() == 1
    assert Incoming(tmp_path).prepare() == 1
    assert files(tmp_path) == []


def _read_only(path, **_):
    raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (DATA[:-1], len(DATA)),
        (DATA + b"x", len(DATA)),
        (b"", len(DATA)),
        (DATA, len(DATA) - 1),
    ],
)
def test_wrong_object_is_never_visible(store, tmp_path, data, size):
    """Too few or too many bytes are Corrupt, and leave nothing."""
    with pytest.raises(Corrupt):
        put(tmp_path, data, DIGEST, size)
    assert not files(tmp_path)
    assert store.open(DIGEST, size) is None


@pytest.mark.parametrize("by", [(), ("admission",), ("inspection",)])
@pytest.mark.parametrize("data", [DATA, b""])
def test_nothing_gets_into_the_store_past_a_filter(store, tmp_path, by, data):
    """What not both filters passed to its last byte is never visible, also what has no bytes at all."""
    with pytest.raises(Corrupt):
        put(tmp_path, data, DIGEST, len(data), by)
    assert not files(tmp_path)


def test_a_filter_cannot_pass_what_did_not_come(store, tmp_path):
    """A verdict beyond the bytes that are here, or of nobody who is a filter, is our own mistake, and ends us."""
    with Incoming(tmp_path).arrive(DIGEST, len(DATA)) as arrival:
        arrival.write(DATA[:10])
        with pytest.raises(AssertionError):
            arrival.passed("admission", 11)
        with pytest.raises(AssertionError):
            arrival.passed("nobody", 1)


def test_what_came_behind_the_last_verdict_can_come_again(store, tmp_path):
    """An arrival goes back to what passed, and on from there; never behind what was shown already."""
    with Incoming(tmp_path).arrive(DIGEST, len(DATA)) as arrival:
        arrival.write(DATA[:100] + bytes(100))
        for name in FILTERS:
            arrival.passed(name, 100)
        with pytest.raises(AssertionError):
            arrival.rewind(99)
        arrival.rewind(100)
        arrival.write(DATA[100:])
        for name in FILTERS:
            arrival.passed(name, len(DATA))
        path = arrival.finish()
    assert path.read_bytes() == DATA


def test_object_of_another_size_is_not_given(store, tmp_path):
    """An object that was cut on the disk is as if it were not there."""
    path = put(tmp_path, DATA, DIGEST, len(DATA))
    os.truncate(path, 5)
    assert not store.has(DIGEST, len(DATA))
    assert store.open(DIGEST, len(DATA)) is None
    put(tmp_path, DATA, DIGEST, len(DATA))
    assert store.has(DIGEST, len(DATA))


@pytest.mark.parametrize("digest", ["", "..", "A" * 64, "0" * 63, "../" + "0" * 61, "0" * 64 + "\n"])
def test_only_digests_are_names(store, digest):
    """What is not 64 hex digits never becomes a path."""
    with pytest.raises(ValueError, match="SHA-256"):
        store.path(digest)


@pytest.mark.parametrize("chunks", [0, 5, 10])
def test_killed_writer_leaves_nothing_visible(store, tmp_path, chunks):
    """kill -9 of a writer in the middle: no object, and the next start throws the leftover away."""
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, str(tmp_path), DIGEST, str(chunks)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        process.stdin.write(DATA[: chunks * 30_000])
        process.stdin.flush()
        assert process.stdout.readline() == b"written\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdin.close()
    assert not store.has(DIGEST, len(DATA))
    assert len(files(tmp_path)) == 1
    assert Incoming(tmp_path).prepare() == 1
    assert not files(tmp_path)


def test_full_disk_is_refused_and_nothing_torn(store, tmp_path):
    """Where no more can be written, the writer refuses with store-full and leaves nothing."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(Refused) as error:
            put(tmp_path, DATA, DIGEST, len(DATA))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (error.value.reason, error.value.status) == ("store-full", 507)
    assert not files(tmp_path)


def test_manifests_are_kept_and_replaced(tmp_path):
    """The newest envelope of a release is there again after a restart, and only canonical codes name files."""
    kept = Manifests(tmp_path)
    kept.prepare()
    assert kept.get(CODE) is None
    kept.put(CODE, b"one")
    kept.put(CODE, b"two")
    assert Manifests(tmp_path).get(CODE) == b"two"
    with pytest.raises(Refused):
        kept.put("../evil", b"x")
