"""What nginx did not send whole is looked at where it broke off, and told to the exchange where the disk does not give it."""

import asyncio
from types import SimpleNamespace

import pytest

from appliance.runtime.errors import Unreachable
from gateway.delivery.front import doubts, lines
from gateway.delivery.front.doubts import Doubts
from gateway.release.manifest import File
from gateway.store.objects import Objects
from tests.unit.gateway.delivery.front.said import CARRIED, told

SHA256 = "ab" * 32
SIZE = 3 * doubts.SPAN


class Disk(Objects):
    """A store whose disk gives nothing from a place on."""

    def __init__(self, root, good):
        super().__init__(root)
        self.opened = 0
        self.path(SHA256).parent.mkdir(parents=True)
        self.path(SHA256).write_bytes(b"x" * good)

    def open(self, sha256, size):
        self.opened += 1
        return super().open(sha256, self.path(sha256).stat().st_size)


class Exchange:
    def __init__(self, away=None):
        self.told, self.away = [], away
        file = File(size=SIZE, sha256=SHA256, type="video/mp4")
        self.known = SimpleNamespace(files={CARRIED.path: file})

    async def manifest(self, _code):
        if self.away is not None:
            raise self.away
        return self.known

    async def damaged(self, manifest, path):
        assert manifest is self.known
        self.told.append(path)


def over(body, length=SIZE, **more):
    """Return what nginx says of an answer that ended after ``body`` of ``length`` bytes."""
    found = lines.read(told(body=body, length=str(length), done="OK" if body == length else "", **more).strip())
    assert isinstance(found, lines.Ended)
    return found


async def heard(tmp_path, good, *said, exchange=None):
    """Return what the exchange was told, and how often the disk was looked at."""
    disk, exchange = Disk(tmp_path, good), exchange or Exchange()
    async with asyncio.TaskGroup() as tasks:
        looks = Doubts(disk, exchange, tasks)
        for each in said:
            looks.hear(each, CARRIED)
    return exchange.told, disk.opened


@pytest.mark.parametrize(
    ("good", "said", "found"),
    [
        (SIZE, over(1000), []),  # its screen left
        (SIZE, over(SIZE - 1), []),
        (1000, over(1000), [CARRIED.path]),
        (SIZE - 1, over(doubts.SPAN, 2 * doubts.SPAN, range=f"bytes {doubts.SPAN}-{SIZE - 1}/{SIZE}"), [CARRIED.path]),
        (SIZE - 1, over(1000), []),  # readable where it broke off
    ],
)
async def test_the_place_where_it_broke_off_is_read(tmp_path, good, said, found):
    assert await heard(tmp_path, good, said) == (found, 1)


@pytest.mark.parametrize("said", [over(SIZE), over(0, head=1), over(5, "")])
async def test_what_came_whole_is_not_looked_at(tmp_path, said):
    assert await heard(tmp_path, 0, said) == ([], 0)


async def test_a_crowd_that_leaves_is_one_look(tmp_path):
    assert await heard(tmp_path, SIZE, *[over(1000)] * 50) == ([], 1)


async def test_all_that_breaks_off_at_once_is_looked_at(tmp_path):
    """A disk that fails breaks many off: a few are read at a time, and the others wait for it."""
    exchange, paths = Exchange(), [f"{number}.m4s" for number in range(3 * doubts.AT_ONCE)]
    exchange.known.files |= dict.fromkeys(paths, exchange.known.files[CARRIED.path])
    async with asyncio.TaskGroup() as tasks:
        looks = Doubts(Disk(tmp_path, 0), exchange, tasks)
        for path in paths:
            looks.hear(over(1000), CARRIED._replace(path=path))
    assert sorted(exchange.told) == sorted(paths)


async def test_what_is_not_served_any_more_is_left_alone(tmp_path):
    assert await heard(tmp_path, 0, over(1000), exchange=Exchange(Unreachable("away"))) == ([], 0)
