"""Registration at a box: blocks, the next codes, and what waits for the registry."""

from __future__ import annotations

import asyncio
import errno
import json

import pytest

from appliance.identity.keys import PrivateKey
from appliance.runtime.errors import Corrupt, Refused
from gateway.replica import blocks, pending
from gateway.replica.blocks import Allotted, Block
from gateway.replica.giving import Giving
from gateway.replica.pending import Pending
from gateway.replica.replica import Replica
from gateway.resolver.levels import Head as Laid
from gateway.resolver.pending import FILE, PendingFile
from gateway.resolver.writing import Writer
from tests.registries import MADE, Registry, code, dump

PART = "isli:999999-0000000000000"  # two digits are left: a hundred codes
SIGNED = "5" * 64  # digest of a statement
SERVICES = {"999999": {"link": 15, "body": "library"}}
BLOCK = {"part": PART, "body": "library", "box": "archive"}


def head_of(folder, **told):
    registry = Registry(folder / "registry", PrivateKey.generate())
    registry.services, registry.blocks = told.get("services", SERVICES), told.get("blocks", [BLOCK])
    from gateway.resolver import published

    registry.change([dump(500)])
    return published.unseal(published.Head, registry.read("head.json"), [registry.key.public])[0]


class Box:
    """A box's table and what is given out there."""

    def __init__(self, folder):
        self.folder = folder / "identifiers"
        self.folder.mkdir()
        self.writer = Writer(self.folder)
        self.writer.prepare()
        self.size = 0
        self.own = folder / "giving"
        self.giving = Giving(self.folder, self.own)
        self.giving.prepare()
        self.giving.heard(head_of(folder))

    def log(self, *records):
        """Let the registry say these."""
        self.size += len(records)
        laid = Laid("centre", self.size, "0" * 64, MADE, ())
        rows = sorted((json.loads(record)["code"].encode(), record) for record in records)
        if self.writer.info() is None:
            self.writer.replace(laid, rows)
        else:
            self.writer.add(laid, rows)

    def again(self):
        """Start as after a crash."""
        self.giving = Giving(self.folder, self.own)
        self.giving.prepare()
        return self.giving

    def refuses(self, *records, body="library"):
        with pytest.raises(Refused) as refused:
            self.giving.check("archive", body, [one.decode() for one in records])
        return refused.value.reason


@pytest.fixture
def box(tmp_path):
    return Box(tmp_path)


def test_new_codes_come_out_of_this_boxs_blocks_alone(box):
    """In the block: yes. Outside any, or in another box's or body's: no. Known codes of the body may change in any case."""
    box.giving.check("archive", "library", [dump(7).decode()])
    assert box.refuses(dump(500)) == "outside-block"
    with pytest.raises(Refused, match="registered there"):
        box.giving.check("headend", "library", [dump(7).decode()])
    assert box.refuses(dump(7), body="film") == "allotted"
    box.log(dump(500), dump(600, status="withdrawn", reason="x"), dump(700, body="film"))
    box.giving.check("archive", "library", [dump(500, "another title").decode()])
    assert box.refuses(dump(600)) == "withdrawn"
    assert box.refuses(dump(700)) == "other-body"


def test_the_next_codes_are_handed_out_once_also_after_a_crash(box):
    """Codes that are registered or wait are left out, and none comes twice."""
    box.log(dump(1))
    box.giving.keep([dump(2).decode()], SIGNED)
    assert box.giving.next_codes("archive", "library", 3) == [code(0), code(3), code(4)]
    assert box.again().next_codes("archive", "library", 2) == [code(5), code(6)]
    assert len(box.giving.next_codes("archive", "library", 93)) == 93
    for site, body in (("archive", "library"), ("headend", "library"), ("archive", "film")):
        with pytest.raises(Refused) as refused:
            box.giving.next_codes(site, body, 1)
        assert refused.value.reason == "block-used-up"


def test_blocks_are_known_while_the_line_is_down(box, tmp_path):
    """What the last head said of blocks stays over a restart, and a newer head changes it."""
    assert box.again().next_codes("archive", "library", 1) == [code(0)]
    other = tmp_path / "other"
    box.giving.heard(head_of(other, blocks=[]))
    with pytest.raises(Refused):
        box.again().next_codes("archive", "library", 1)


def test_entries_of_another_form_are_left_out(tmp_path):
    """What a later registry may say of blocks and services makes nothing fail."""
    found = blocks.allotted(
        head_of(tmp_path, services={"999999": 1, "999998": {"link": "x"}}, blocks=[BLOCK, 1, {"part": PART}])
    )
    assert found == Allotted((Block(PART, "library", "archive"),), {})
    assert list(blocks.following(found, "archive", "library", {}, lambda code: False)) == []


def test_what_waits_is_answered_until_the_registry_has_spoken(box):
    """Kept durably, read by resolvers, let go of when the log has it, or another word on its code."""
    resolver = PendingFile(box.folder)
    box.giving.keep([dump(2, "mine").decode(), dump(3).decode()], SIGNED)
    resolver.renew()
    assert resolver.raw(code(2)) == dump(2, "mine")
    assert len(box.again().pending) == 2
    box.log(dump(3))
    assert box.giving.settle() == 1
    box.log(dump(2, "as another registered it"))
    assert box.giving.settle() == 1
    resolver.renew()
    assert resolver.raw(code(2)) is None
    box.giving.keep([dump(3).decode()], SIGNED)
    assert len(box.giving.pending) == 0  # the table has it already


def test_what_the_centre_did_not_take_is_let_go_of(tmp_path):
    """All of a statement, or the records at some places of it; other statements stay."""
    held = Pending(tmp_path)
    held.add([dump(n).decode() for n in (3, 1, 2)], lambda code: None, SIGNED)
    held.add([dump(4).decode()], lambda code: None, "6" * 64)
    assert held.drop(SIGNED, [1]) == 1
    assert [held.has(code(n)) for n in (1, 2, 3, 4)] == [False, True, True, True]
    assert held.drop(SIGNED, [1]) == 0  # the places are those of the statement, whatever of it waits
    assert held.drop(SIGNED, []) == 2
    assert held.drop("7" * 64, []) == 0
    assert len(held) == 1


def test_too_many_and_too_old_do_not_wait(tmp_path, monkeypatch):
    """Bounded in number and time; what was refused changes nothing."""
    monkeypatch.setattr(pending, "MOST", 2)
    held = Pending(tmp_path)
    held.add([dump(1).decode(), dump(2).decode()], lambda code: None, SIGNED, now=100.0)
    with pytest.raises(Refused) as refused:
        held.add([dump(3).decode()], lambda code: None, SIGNED)
    assert refused.value.reason == "too-many"
    with pytest.raises(Refused):
        held.check_room(1)
    assert len(held) == 2
    assert held.settle(lambda code: None, now=100.0 + pending.OLDEST) == 2


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', '{"a": ["x"]}', "\0"])
def test_a_file_that_is_not_ours_is_refused(tmp_path, text):
    """Anything else in its place is told, and a resolver keeps what it read before."""
    held = Pending(tmp_path)
    held.add([dump(1).decode()], lambda code: None, SIGNED)
    resolver = PendingFile(tmp_path)
    resolver.renew()
    (tmp_path / FILE).unlink()
    (tmp_path / FILE).write_text(text)
    with pytest.raises(Corrupt):
        held.prepare()
    with pytest.raises(Corrupt):
        resolver.renew()
    assert resolver.raw(code(1)) == dump(1)


async def test_a_full_disk_is_a_reason(tmp_path):
    """What cannot be kept is refused by name, and the next question is answered."""
    (tmp_path / "identifiers").mkdir()

    def fails(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    async with asyncio.TaskGroup() as tasks:
        replica = Replica(tmp_path / "identifiers", tmp_path / "replica" / "coming", tasks)
        with pytest.raises(Refused) as refused:
            await replica.give(fails)
        assert refused.value.reason == "store-full"
        assert await replica.give(lambda giving: len(giving.pending)) == 0
