"""Index and files are brought in line while the box serves: the files are the truth."""

import hashlib

import pytest

from appliance.identity.keys import PrivateKey
from gateway.isolation.content import Store
from gateway.release import signed
from gateway.release.manifest import File, Release, Rights
from gateway.store.disk import FOLDERS
from gateway.store.index import NAME
from gateway.store.keeper import Keeper
from gateway.store.manifests import Manifests
from gateway.store.objects import Objects
from gateway.store.reconcile import Reconciling, compare
from tests.unit.gateway.store import filled

CODE = "999999-100000000000001-4"


def put(root, number):
    data = str(number).encode() * 10
    digest = hashlib.sha256(data).hexdigest()
    with filled.write(root, digest, len(data)) as writer:
        writer.write(data)
        writer.finish()
    return digest, len(data)


@pytest.fixture
def keeper(tmp_path):
    Objects(tmp_path).prepare()
    Manifests(tmp_path).prepare()
    keeper = Keeper(tmp_path, Store(free=1))
    yield keeper
    keeper.close()


def reconcile(tmp_path, keeper):
    return sum(Reconciling(keeper, Manifests(tmp_path)).steps())


def test_file_without_row_and_row_without_file_are_put_right(tmp_path, keeper):
    """After a power cut that lost the index's last seconds, or a crash between the two, index and files agree again."""
    there = dict(put(tmp_path, n) for n in range(100))
    for digest in list(there)[:40]:
        keeper.added(digest, there[digest], "library", "bigscreen", CODE)
    keeper.added("ab" * 32, 5, "library", "bigscreen", CODE)
    keeper.added("ff" * 32, 5, "library", "bigscreen", CODE)
    assert reconcile(tmp_path, keeper) == 62
    assert reconcile(tmp_path, keeper) == 0
    assert {
        d for f in FOLDERS for d in keeper.index.known(f, f"{int(f, 16) + 1:02x}" if f != "ff" else "ff" * 33)
    } == set(there)
    assert keeper.index.bytes(("body", "library")) == sum(list(there.values())[:40])


def test_size_of_the_file_counts(tmp_path, keeper):
    """A row that tells another size than the file has gets the file's."""
    digest, size = put(tmp_path, 1)
    keeper.added(digest, 7 * size, "library", "bigscreen", CODE)
    assert reconcile(tmp_path, keeper) == 1
    assert keeper.index.bytes() == size


def test_kept_manifests_say_whose_an_object_is(tmp_path, keeper):
    """An index made anew knows bodies and releases again, so that quotas, pins and withdrawals hold; a damaged manifest hinders nothing."""
    digest, size = put(tmp_path, 1)
    other, _ = put(tmp_path, 2)
    release = Release(
        identifier=f"isli:{CODE}", version=1, body="library", title="刘三姐", rights=Rights(zones=("bigscreen",)),
        entry="a.bin", files={"a.bin": File(sha256=digest, size=size, type="application/octet-stream")},
    )  # fmt: skip
    Manifests(tmp_path).put(CODE, signed.seal(release, PrivateKey.generate()))
    (tmp_path / "manifests" / "999999-100000000000002-2.json").write_bytes(b"{")
    assert reconcile(tmp_path, keeper) == 2
    assert keeper.index.needed(digest) == [CODE]
    assert keeper.index.bytes(("body", "library")) == size
    assert keeper.index.needed(other) == []


def test_damaged_index_is_filled_from_the_files(tmp_path, keeper):
    """Whatever the index was, after one pass every object is known."""
    there = dict(put(tmp_path, n) for n in range(50))
    keeper.close()
    (tmp_path / NAME).write_bytes(b"\0" * 100_000)
    (tmp_path / f"{NAME}-wal").unlink(missing_ok=True)
    again = Keeper(tmp_path, Store(free=1))
    reconcile(tmp_path, again)
    assert (again.index.objects(), again.index.bytes()) == (50, sum(there.values()))
    again.close()


def test_compare_names_both_kinds():
    """Files without their row, rows without their file; equal ones are no difference."""
    found = compare({"a": 1, "b": 2, "c": 3}, {"b": 2, "c": 4, "d": 5})
    assert (found.files, found.rows) == ({"a": 1, "c": 3}, frozenset({"d"}))
