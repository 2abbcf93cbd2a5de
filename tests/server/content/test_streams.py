"""What streams while it crosses, and what a screen sees of what turns out bad in the middle."""

from __future__ import annotations

import contextlib
import os
import signal
from email import message_from_bytes
from http.client import HTTPConnection, IncompleteRead

import pytest

from gateway.filters.inspection.scan import EICAR
from gateway.release import chunks, signed
from gateway.release.manifest import LARGEST_CHUNK, PIECE
from gateway.store.quarantine import items
from tests.server.content import media
from tests.server.content.conftest import CODE, Chain
from tests.server.content.held import holding
from tests.server.content.test_filters import descendants, reason, workers

pytestmark = pytest.mark.server
FILM = media.sized(3 * PIECE)
HALF = PIECE + PIECE // 2  # bytes: the first piece is whole, the second is not
SHOWN = PIECE - 1024  # bytes that a screen has then: a signature may begin in the last ones
SEGMENT = media.sized(2 << 20)
FIRST = (1 << 20) - 1024  # bytes of it that a screen has of its first half


@pytest.fixture
def wide(tmp_path_factory, monkeypatch):
    """A running chain whose lanes take films, and whose inspection loses its patience soon."""
    monkeypatch.setenv("HEADGATE_INSPECTION_PATIENCE", "2")

    class Wide(Chain):
        def write_policy(self, change=lambda text: text):
            super().write_policy(lambda text: change(text.replace("largest: 4 MiB", "largest: 64 MiB")))

    with Wide(tmp_path_factory.mktemp("c")) as chain:
        yield chain


@contextlib.contextmanager
def asking(chain, path, headers=None):
    connection = HTTPConnection("127.20.0.1", chain.port, timeout=15)
    try:
        connection.request("GET", f"/r/{CODE}/{path}", headers=headers or {})
        yield connection.getresponse()
    finally:
        connection.close()


def test_first_bytes_are_at_the_screen_before_the_last_left_the_origin(wide, until):
    """The origin holds its second half until the screen has the first piece; then the rest comes, and it is stored."""
    wide.publish({"film.mp4": FILM})
    with holding(wide, "film.mp4", HALF) as held, asking(wide, "film.mp4") as response:
        assert (response.status, response.headers["Content-Length"]) == (200, str(len(FILM)))
        begin = response.read(SHOWN)
        assert begin == FILM[:SHOWN]
        assert not held.released.is_set()
        assert not wide.stored()
        held.release()
        assert response.read() == FILM[SHOWN:]
        assert not held.overtaken
    until(wide.stored, "it is stored")


def test_all_screens_have_a_half_of_a_segment_while_the_origin_holds_the_other(wide, until):
    """Who asked first and who asked later: both have the first half before the second left the origin, which is asked once."""
    wide.publish({"1.m4s": SEGMENT})
    with holding(wide, "1.m4s", 1 << 20) as held, asking(wide, "1.m4s") as leader:
        assert leader.read(FIRST) == SEGMENT[:FIRST]
        with asking(wide, "1.m4s") as follower:
            assert follower.read(FIRST) == SEGMENT[:FIRST]
            assert not held.released.is_set()
            assert not wide.stored()
            held.release()
            assert [leader.read(), follower.read()] == [SEGMENT[FIRST:]] * 2
        assert (held.asked, held.overtaken) == (1, False)
    until(wide.stored, "it is stored")


def test_nothing_of_a_wrong_chunk_leaves(wide, until):
    """A segment that is wrong in its second half: the first half is at the screen, and there the answer breaks off."""
    wide.publish({"1.m4s": SEGMENT})
    place = wide.origin.folder / "releases" / CODE / "1.m4s"
    place.write_bytes(SEGMENT[: (1 << 20) + 9] + bytes([SEGMENT[(1 << 20) + 9] ^ 1]) + SEGMENT[(1 << 20) + 10 :])
    with holding(wide, "1.m4s", 1 << 20) as held, asking(wide, "1.m4s") as response:
        came = response.read(FIRST)
        held.release()
        with pytest.raises((IncompleteRead, ConnectionError)) as broken:
            response.read()
        came += broken.value.partial if isinstance(broken.value, IncompleteRead) else b""
    assert len(came) <= 1 << 20
    assert came == SEGMENT[: len(came)]
    until(lambda: [r for r in wide.records("audit") if r.body["reason"] == "digest-mismatch"], "the audit record")
    assert not wide.stored()
    place.write_bytes(SEGMENT)
    assert wide.play("1.m4s").body == SEGMENT


def test_releases_that_were_signed_without_chunks_of_segments_play(wide, monkeypatch):
    """As all were once: the whole segment is verified before any of it leaves."""
    monkeypatch.setattr(chunks, "FINEST", LARGEST_CHUNK)
    wide.publish({"1.m4s": SEGMENT, "film.mp4": FILM})
    told = signed.claimed((wide.origin.folder / "releases" / CODE / "release.json").read_bytes()).files
    assert [(file.chunk, len(file.chunks)) for file in told.values()] == [(LARGEST_CHUNK, 0), (LARGEST_CHUNK, 3 * 32)]
    assert wide.play("1.m4s").body == SEGMENT
    assert wide.play("film.mp4").body == FILM


def test_a_range_in_the_first_half_needs_no_more_than_that(wide):
    """A range of the first piece is answered whole while the origin holds the rest."""
    wide.publish({"film.mp4": FILM})
    with holding(wide, "film.mp4", HALF) as held:
        with asking(wide, "film.mp4", {"Range": "bytes=1000-1999999"}) as response:
            assert response.status == 206
            assert response.headers["Content-Range"] == f"bytes 1000-1999999/{len(FILM)}"
            assert response.read() == FILM[1000:2_000_000]
            assert held.reached.wait(15)
            assert not held.released.is_set()
        held.release()


def test_several_ranges_come_as_parts_while_it_crosses(wide):
    """Two parts of a film that nobody asked for before: each with its place, and the film is kept whole."""
    wide.publish({"film.mp4": FILM})
    with asking(wide, "film.mp4", {"Range": f"bytes=0-99,{PIECE}-{PIECE + 99999}"}) as response:
        head = f"Content-Type: {response.headers['Content-Type']}\r\n\r\n".encode()
        body = response.read()
        assert (response.status, len(body)) == (206, int(response.headers["Content-Length"]))
    parts = message_from_bytes(head + body).get_payload()
    assert [part["Content-Range"] for part in parts] == [
        f"bytes 0-99/{len(FILM)}",
        f"bytes {PIECE}-{PIECE + 99999}/{len(FILM)}",
    ]
    assert FILM[:100] in body
    assert FILM[PIECE : PIECE + 100_000] in body


def spoil(chain):
    """Change a byte of the third piece at the origin: its digest is wrong."""
    place = chain.origin.folder / "releases" / CODE / "film.mp4"
    place.write_bytes(FILM[: 2 * PIECE + 9] + bytes([FILM[2 * PIECE + 9] ^ 1]) + FILM[2 * PIECE + 10 :])


@pytest.mark.parametrize("wrong", ["digest-mismatch", "malware"])
def test_a_refusal_in_the_middle_breaks_the_answer_off(wide, until, wrong):
    """The screen has the first piece when a later one is refused: it sees that the answer broke off, and nothing is stored."""
    infected = media.segment(FILM[: 2 * PIECE]) + media.segment(EICAR.ljust(PIECE // 2, b"\0"))
    wide.publish({"film.mp4": FILM if wrong == "digest-mismatch" else infected})
    if wrong == "digest-mismatch":
        spoil(wide)
    with holding(wide, "film.mp4", HALF) as held:
        with asking(wide, "film.mp4") as response:
            assert response.status == 200
            assert len(response.read(SHOWN)) == SHOWN
            held.release()
            with pytest.raises((IncompleteRead, ConnectionError)):
                response.read()
        told = until(lambda: [r for r in wide.records("audit") if r.body["reason"] == wrong], "the audit record")
    assert told
    assert not wide.stored()
    assert [item["reason"] for item in items(wide.state / "store" / "quarantine")] == [wrong]
    assert not list((wide.state / "store" / "incoming").iterdir())


def test_a_worker_that_hangs_costs_one_object(wide, until):
    """Stopped in the middle of a film: ``filter-failed`` within the limit, the worker is killed, and the next object passes."""
    wide.publish({"film.mp4": FILM, "next.m4s": media.sized(100_000)})
    with holding(wide, "film.mp4", HALF) as held:
        with asking(wide, "film.mp4") as response:
            assert len(response.read(SHOWN)) == SHOWN
            held_back = workers(wide.processes["inspection"].pid)
            for pid in held_back:
                os.kill(pid, signal.SIGSTOP)
            held.release()
            with pytest.raises((IncompleteRead, ConnectionError)):
                response.read()
        until(lambda: [r for r in wide.records("audit") if r.body["reason"] == "filter-failed"], "the audit record")
        assert "took longer than 2 seconds" in wide.log("inspection")

        def left() -> set[int]:
            return set(held_back) & set(descendants(wide.processes["inspection"].pid))

        until(lambda: len(left()) == len(held_back) - 1, "the one that hung was killed")
        for pid in left():
            os.kill(pid, signal.SIGCONT)
    assert wide.play("next.m4s").status == 200
    assert reason(wide.play("absent.m4s"))[0] == 404
