"""Many tasks wait for one fsync."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from appliance.identity.keys import PrivateKey
from appliance.journal import group, tiles
from appliance.journal.disk import Disk
from appliance.journal.group import Group
from appliance.journal.log import Journal
from appliance.journal.verify import TAIL, verify_folder
from appliance.runtime.errors import Refused

KEY = PrivateKey.generate()


class Counting(Disk):
    """Counts what is asked of the disk; full when told so."""

    def __init__(self) -> None:
        self.syncs, self.full = 0, False

    def append(self, file: int, data: bytes) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().append(file, data)

    def sync(self, file: int) -> None:
        self.syncs += 1
        super().sync(file)


async def test_who_waits_together_shares_an_fsync_and_gets_a_number_of_its_own(tmp_path: Path) -> None:
    """500 tasks at once take a few fsyncs, and each entry is where its task was told."""
    disk = Counting()
    journal = Journal(tmp_path / "j", KEY, "headend/exchange", disk=disk)
    async with asyncio.TaskGroup() as tasks:
        together = Group(journal, tasks)
        numbers = await asyncio.gather(*(together.append({"id": index}) for index in range(500)))
        assert disk.syncs < 10
        assert await together.append({"id": 500}) == 501
    journal.close()
    told = [entry["id"] for entry in tiles.told(tmp_path / "j")]
    assert [told[number - 1] for number in numbers] == list(range(500))
    assert verify_folder(tmp_path / "j").ok


async def test_a_wrong_entry_fails_alone_and_a_full_disk_fails_all(tmp_path: Path) -> None:
    """What was refused is not in the journal; afterwards it goes on."""
    disk = Counting()
    journal = Journal(tmp_path / "j", KEY, "headend/exchange", disk=disk)
    async with asyncio.TaskGroup() as tasks:
        together = Group(journal, tasks)
        good, bad = await asyncio.gather(
            together.append({"id": 1}), together.append({"pad": float("inf")}), return_exceptions=True
        )
        assert good == 1
        assert isinstance(bad, ValueError)
        disk.full = True
        refused = await asyncio.gather(*(together.append({"id": index}) for index in (2, 3)), return_exceptions=True)
        assert [getattr(one, "reason", "") for one in refused] == ["journal-full", "journal-full"]
        disk.full = False
        assert await together.append({"id": 4}) == 2
    journal.close()


async def test_what_waits_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound an entry is refused at once."""
    monkeypatch.setattr(group, "MOST_WAITING", 3)
    journal = Journal(tmp_path / "j", KEY, "headend/exchange")
    async with asyncio.TaskGroup() as tasks:
        together = Group(journal, tasks)
        done = await asyncio.gather(*(together.append({"id": index}) for index in range(5)), return_exceptions=True)
    assert [getattr(one, "reason", one) for one in done] == [1, 2, 3, "busy", "busy"]
    journal.close()


async def test_a_task_that_leaves_takes_nothing_back(tmp_path: Path) -> None:
    """Cancelled while it waits, its entry is written with the others."""
    journal = Journal(tmp_path / "j", KEY, "headend/exchange")
    async with asyncio.TaskGroup() as tasks:
        together = Group(journal, tasks)
        leaving = tasks.create_task(together.append({"id": 1}))
        staying = tasks.create_task(together.append({"id": 2}))
        await asyncio.sleep(0)
        leaving.cancel()
        assert await staying == 2
    assert journal.size == 2
    assert isinstance((tmp_path / "j" / TAIL).read_bytes(), bytes)
    journal.close()
    with pytest.raises(Refused):
        journal.append({})
