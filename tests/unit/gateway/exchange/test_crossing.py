"""Bytes that come in and are judged: in as few pieces as they come quickly, in as small ones as they come slowly."""

import asyncio
import hashlib
import os
from types import SimpleNamespace

import pytest

from appliance.runtime.errors import Corrupt, Refused, Unreachable
from gateway.exchange import crossing
from gateway.exchange.crossing import Crossing, ready
from gateway.exchange.fill import Fill
from gateway.release.manifest import PIECE, File
from gateway.store.incoming import Incoming
from gateway.store.passed import As
from gateway.store.scrub import Pace

CHUNK = 64 << 10
FILM = os.urandom(5 * CHUNK + 7)
HELD = SimpleNamespace(policy=None, admitted=None)


@pytest.mark.parametrize(
    ("judged", "written", "size", "chunk", "piece"),
    [
        (0, 0, 10, CHUNK, (0, False)),
        (0, CHUNK - 1, 3 * CHUNK, CHUNK, (0, False)),
        (0, 2 * CHUNK + 1, 3 * CHUNK, CHUNK, (2 * CHUNK, False)),
        (2 * CHUNK, 3 * CHUNK, 3 * CHUNK, CHUNK, (CHUNK, True)),
        (0, 10, 10, PIECE, (10, True)),
        (0, 9, 10, PIECE, (0, False)),  # whose whole alone is signed
        (0, 0, 0, PIECE, (0, True)),
        (0, PIECE + CHUNK, PIECE + CHUNK, CHUNK, (PIECE, False)),
        (PIECE, PIECE + CHUNK, PIECE + CHUNK, CHUNK, (CHUNK, True)),
        (CHUNK, 9 * PIECE, 10 * PIECE, CHUNK, (PIECE, False)),
    ],
)
def test_what_can_be_judged_is_whole_chunks(judged, written, size, chunk, piece):
    """Whole chunks, at most a piece of them, or the rest of an object that is all there."""
    assert ready(judged, written, size, chunk) == piece


class Filters:
    """Both filters: pass everything but bytes that are not the film's, and note what they are asked."""

    def __init__(self):
        self.asked, self.arrival = [], None

    async def digest(self, _policy, _admitted, _path, _name, first, count, *, last):
        self.asked.append((first, count, last))
        if self.arrival.path.read_bytes()[first : first + count] != FILM[first : first + count]:
            raise Refused("digest-mismatch", "not what was signed", 502)
        return first + count

    async def look(self, first, count, *, last):
        return first + count


@pytest.fixture
def coming(tmp_path):
    """A film on its way in; yields the crossing, the filters and the fill."""
    incoming = Incoming(tmp_path)
    incoming.prepare()
    file = File(
        sha256=hashlib.sha256(FILM).hexdigest(), size=len(FILM), type="video/mp4", chunk=CHUNK, chunks=["0" * 64] * 6
    )
    filters, fill = Filters(), Fill(As(file.sha256, file.type, application=False, depth=0), file)
    with incoming.arrive(file.sha256, file.size) as arrival:
        filters.arrival = arrival
        room = SimpleNamespace(took=lambda _: None)
        yield Crossing(fill, arrival, room, HELD, "film.mp4", filters, filters), filters, fill


async def parts(*each):
    for one in each:
        if isinstance(one, Exception):
            raise one
        if isinstance(one, asyncio.Event):
            await one.wait()
        else:
            yield one


async def test_what_is_soon_whole_is_one_question(coming, monkeypatch):
    """All of it within a moment: judged once, however many parts it came in."""
    monkeypatch.setattr(crossing, "SOON", 60.0)
    through, filters, _ = coming
    await through.take(parts(*(FILM[at : at + 1000] for at in range(0, len(FILM), 1000))))
    assert filters.asked == [(0, len(FILM), True)]


async def test_what_came_is_shown_while_the_rest_is_waited_for(coming):
    """Two chunks and a part came, and then nothing for a while: both are judged and shown, and the rest when it came."""
    through, filters, fill = coming
    go, shown = asyncio.Event(), []

    async def watch():
        async for verified in fill.follow():
            shown.append(verified)
            if verified:
                go.set()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(watch())
        await through.take(parts(FILM[: 2 * CHUNK + 5], go, FILM[2 * CHUNK + 5 :]))
        fill.end(None)
    assert shown[:2] == [0, 2 * CHUNK]
    assert filters.asked == [(0, 2 * CHUNK, False), (2 * CHUNK, len(FILM) - 2 * CHUNK, True)]


async def test_what_nobody_waits_for_is_judged_when_it_is_whole(coming, monkeypatch):
    """Fetched ahead, and slowly: no question is asked for a part of it."""
    monkeypatch.setattr(crossing, "SOON", 0.0)
    through, filters, fill = coming
    fill.pace = Pace(1 << 40, 0.0)
    await through.take(parts(*(FILM[at : at + CHUNK] for at in range(0, len(FILM), CHUNK))))
    assert filters.asked == [(0, len(FILM), True)]


async def test_an_answer_that_breaks_off_is_gone_on_with(coming, monkeypatch):
    """What came whole is judged but not shown: who has nothing yet is refused plainly if nobody has the rest. Who has, begins there."""
    monkeypatch.setattr(crossing, "SOON", 60.0)
    through, filters, fill = coming
    with pytest.raises(Unreachable):
        await through.take(parts(FILM[: CHUNK + 9], Unreachable("gone")))
    assert (filters.asked, fill.verified, through.written) == ([(0, CHUNK, False)], 0, CHUNK + 9)
    await through.take(parts(FILM[CHUNK + 9 :]))
    assert filters.asked[1:] == [(CHUNK, len(FILM) - CHUNK, True)]


async def test_wrong_bytes_come_again_from_where_they_began(coming, monkeypatch):
    """A wrong chunk behind right ones: nothing of it is shown, and after a rewind the right ones come in its place."""
    monkeypatch.setattr(crossing, "SOON", 0.0)
    through, _, fill = coming
    go = asyncio.Event()
    fill.advance = lambda verified: (Fill.advance(fill, verified), go.set())
    with pytest.raises(Refused, match="not what was signed"):
        await through.take(parts(FILM[:CHUNK], go, bytes(2 * CHUNK)))
    assert fill.verified == CHUNK
    through.rewind()
    assert through.written == CHUNK
    with pytest.raises(Corrupt, match="the manifest says"):
        await through.take(parts(FILM[CHUNK:-1]))
    await through.take(parts(FILM[-1:]))
    assert through.written == len(FILM)
