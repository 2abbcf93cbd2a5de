"""The links through which nginx reaches objects: there while a release may be served, and not a moment longer."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from appliance.runtime.errors import Refused, Unreachable
from gateway.delivery.front import trees as module
from gateway.delivery.front.recalls import Recalls
from gateway.delivery.front.trees import IDLE, LOOK, MOST, Trees
from gateway.serving.exchange import FRESH

SHA = "ab" * 32
CODE = "999999-100000000000001-4"


def manifest(digest="1" * 64):
    return SimpleNamespace(digest=digest)


class Exchange:
    """Answers with a manifest, or raises."""

    def __init__(self):
        self.answer = manifest()

    async def manifest(self, _code, fresh):
        assert fresh + LOOK < FRESH  # what is in mind is made new before it is too old for an answer to nginx
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def here(tmp_path):
    """A store with one object, the links' folder, the exchange, and a clock that stands."""
    objects, folder = tmp_path / "objects", tmp_path / "front" / "trees"
    (objects / "ab").mkdir(parents=True)
    (objects / "ab" / SHA).write_bytes(b"data")
    folder.mkdir(parents=True)
    place = SimpleNamespace(now=0.0, exchange=Exchange(), folder=folder, store=tmp_path, file=objects / "ab" / SHA)
    place.trees = Trees(folder, tmp_path, place.exchange, lambda: place.now)
    return place


def read(here, path, door=None):
    """Return what nginx would read at ``path`` behind a door."""
    return Path(f"{here.folder.parent}{here.trees.door if door is None else door}{path}").read_bytes()


def exists(here, path):
    """Return whether there is something behind a link."""
    return Path(f"{here.folder}{path}").exists()


async def looked(here, monkeypatch):
    """Let the watch look once."""
    waits = iter([None])

    async def sleep(_seconds):
        try:
            next(waits)
        except StopIteration:
            raise InterruptedError from None

    monkeypatch.setattr(module.asyncio, "sleep", sleep)
    with pytest.raises(InterruptedError):
        await here.trees.watch()


def test_an_object_is_reached_until_its_release_is_withdrawn(here):
    path = here.trees.path(CODE, manifest(), here.file)
    assert read(here, path) == b"data"
    here.trees.drop([CODE])
    with pytest.raises(FileNotFoundError):
        read(here, path)
    assert read(here, here.trees.path(CODE, manifest(), here.file)) == b"data"  # reinstated


def test_a_new_version_has_another_link_and_the_old_one_goes(here):
    old = here.trees.path(CODE, manifest(), here.file)
    assert here.trees.path(CODE, manifest(), here.file) == old
    assert here.trees.path(CODE, manifest("2" * 64), here.file) != old
    with pytest.raises(FileNotFoundError):
        read(here, old)


def test_another_policy_shuts_the_door_and_takes_every_link(here):
    path, door = here.trees.path(CODE, manifest(), here.file), here.trees.door
    here.trees.forget()
    again = here.trees.path(CODE, manifest(), here.file)
    for closed in ((path, None), (again, door), (path, door), (again, "")):
        with pytest.raises(FileNotFoundError):
            read(here, *closed)
    assert read(here, again) == b"data"


def test_what_an_earlier_process_left_goes(here):
    path, door = here.trees.path(CODE, manifest(), here.file), here.trees.door
    Trees(here.folder, here.store, here.exchange)
    with pytest.raises(FileNotFoundError):
        read(here, path, door)
    assert len(list(here.folder.iterdir())) == 0
    assert len(list(here.folder.parent.glob("door.*"))) == 1


@pytest.mark.parametrize(
    ("answer", "stays"),
    [
        (manifest(), True),
        (manifest("2" * 64), False),
        (Refused("withdrawn", "", 451), False),
        (Unreachable("for a minute"), False),
    ],
)
async def test_what_may_not_be_served_any_more_loses_its_link(here, monkeypatch, answer, stays):
    path = here.trees.path(CODE, manifest(), here.file)
    here.exchange.answer = answer
    await looked(here, monkeypatch)
    assert exists(here, path) is stays


async def test_what_nobody_asks_for_loses_its_link(here, monkeypatch):
    path = here.trees.path(CODE, manifest(), here.file)
    here.now = IDLE + 1
    await looked(here, monkeypatch)
    assert not exists(here, path)


def test_there_are_no_more_links_than_manifests_in_mind(here):
    first = here.trees.path("0", manifest(), here.file)
    for number in range(1, MOST + 1):
        here.trees.path(str(number), manifest(), here.file)
    assert len(list(here.folder.iterdir())) == MOST
    assert not exists(here, first)


def recalls(here):
    """Return the number by which nginx knows that answers were taken back."""
    return int.from_bytes((here.folder.parent / "recalls").read_bytes()[:4], sys.byteorder)


async def test_what_is_taken_back_is_recalled_and_what_is_only_let_go_is_not(here, monkeypatch):
    trees = here.trees

    def raised(act):
        before = recalls(here)
        act()
        return recalls(here) > before

    assert not raised(lambda: trees.path(CODE, manifest(), here.file))  # nobody knows of an earlier one
    assert raised(lambda: trees.path(CODE, manifest("2" * 64), here.file))
    assert raised(lambda: trees.drop([CODE]))
    assert raised(lambda: trees.drop([CODE]))  # there is no link, but a worker may remember one that was let go
    assert not raised(lambda: trees.drop([]))
    assert raised(trees.lock)
    assert raised(trees.forget)
    assert raised(lambda: Trees(here.folder, here.store, here.exchange))
    assert not raised(lambda: [trees.path(str(number), manifest(), here.file) for number in range(MOST + 1)])
    here.exchange.answer = Refused("withdrawn", "", 451)
    before = recalls(here)
    await looked(here, monkeypatch)
    assert recalls(here) > before
    trees.path(CODE, manifest(), here.file)
    before, here.now = recalls(here), IDLE + 1
    await looked(here, monkeypatch)
    assert recalls(here) == before


def test_a_link_is_gone_before_it_is_recalled(here, monkeypatch):
    """Or a worker would learn of it again, under the new number."""
    path, door = here.trees.path(CODE, manifest(), here.file), here.trees.door
    seen = []
    monkeypatch.setattr(
        Recalls, "recall", lambda _: seen.append((exists(here, path), Path(f"{here.folder.parent}{door}").exists()))
    )
    here.trees.drop([CODE])
    here.trees.lock()
    assert seen == [(False, True), (False, False)]
