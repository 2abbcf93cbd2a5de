"""Origins that lie, break off, change, or never end: each is bounded, refused and counted, and others are served meanwhile."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from threading import Event

import pytest

from gateway.exchange import webs
from tests.server.content import media
from tests.server.content.conftest import ADDRESSES, CODE, Chain, until
from tests.server.content.strangers import (
    admitting,
    counted,
    many_descriptors,
    plain,
    refusals,
    resident,
    stranger,
)

pytestmark = [pytest.mark.server, pytest.mark.timeout(120)]
SIZE = 2_500_000  # bytes of an object: pieces of a megabyte, and some
WELL = {f"well{number}.m4s": media.sized(100_000) for number in range(100)}
SLOW = {f"slow{number}.m4s": media.sized(200_000) for number in range(10)}
BAD = media.sized(SIZE)
MOST = 128 << 20  # bytes that one without end may get rid of before it is broken off
BROKEN = (HTTPException, ConnectionError)  # what a screen sees of an answer that broke off

fresh = iter(WELL)


def figure(box: Chain, daemon: str, line: str) -> float:
    """Return a figure of a daemon, 0 where it has none yet."""
    path = box.run / "metrics" / daemon / f"{daemon}.prom"
    found = re.search(rf"^{re.escape(line)} ([\d.e+]+)$", path.read_text() if path.exists() else "", re.MULTILINE)
    return float(found[1]) if found else 0.0


class Endless:
    """Writes on and on until nobody takes it; says how much that was."""

    def __init__(self) -> None:
        self.written: dict[str, int] = {}

    def write(self, out, path: str, piece: bytes) -> None:
        written = 0
        try:
            while written < MOST:
                out.write(piece)
                written += len(piece)
        finally:
            self.written[path] = max(written, self.written.get(path, 0))


ENDLESS = Endless()
GO = Event()  # what is held back may go
Says = Callable[[object, str, bytes], None]


@pytest.fixture(scope="module")
def box(tmp_path_factory) -> Iterator[Chain]:
    """A running chain with a portal that is well and one that is not. No bad origin makes a daemon fail."""
    many_descriptors()

    def well(out, path, head):
        out.write(plain(path.encode(), "Cache-Control: no-store"))

    chain = Chain(tmp_path_factory.mktemp("o"))
    chain.origin.start = lambda: None  # ours is in its place
    origin = stranger(partial(lies, chain.origin.folder), chain.origin.port)
    with origin, stranger(well) as good, stranger(web) as bad:
        chain.write_policy(admitting(chain, {"good": good.port, "bad": bad.port}))
        with chain:
            bad_ones = {name: BAD[:-8] + f"{number:08}".encode() for number, name in enumerate(RELEASES)}
            chain.publish({**WELL, **SLOW, **bad_ones})
            chain.bad = bad
            yield chain
            for name, process in chain.processes.items():
                assert process.poll() is None, name
                assert "Traceback" not in chain.log(name), (name, chain.log(name))


def got(box: Chain, path: str, host: str, source: str = "127.21.0.1") -> bytes:
    """Return what another screen gets."""
    other = HTTPConnection(ADDRESSES["bigscreen"], box.port, 60, source_address=(source, 0))
    with closing(other):
        other.request("GET", path, headers={"Host": host})
        return other.getresponse().read()


def plays(box: Chain) -> bool:
    """Return whether another screen gets what nobody asked for before, and what a portal has."""
    name = next(fresh)
    return (
        got(box, f"/r/{CODE}/{name}", "box") == WELL[name] and got(box, f"/{name}", "good.test") == f"/{name}".encode()
    )


# --- releases: what the origin does with an object of SIZE bytes ------------------------------------------------------------


def first_of(head: bytes) -> int:
    found = re.search(rb"(?i)\r\nrange: bytes=(\d+)-", head)
    return int(found[1]) if found else 0


def sent(data: bytes, head: bytes, *, length: int | None = None, upto: int | None = None) -> bytes:
    """Return an answer to a request for ``data`` from a byte on, which says another length, or breaks off."""
    first = first_of(head)
    size = len(data) - first if length is None else length
    line = (
        b"206 Partial Content\r\nContent-Range: bytes %d-%d/%d" % (first, first + size - 1, len(data))
        if first
        else b"200 OK"
    )
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (line, size, data[first:upto])


def truncated(out, data, head, asked):
    out.write(sent(data, head, upto=first_of(head) + 100_000))


def longer(out, data, head, asked):
    out.write(sent(data, head, length=len(data) + 1000) + bytes(1000))


def shorter(out, data, head, asked):
    out.write(sent(data, head, length=len(data) - 1000))


def changing(out, data, head, asked):
    if asked == 1:
        out.write(sent(data, head, upto=len(data) // 2))
    else:
        out.write(sent(bytes(len(data)), head))


def other_part(out, data, head, asked):
    if asked == 1:
        out.write(sent(data, head, upto=len(data) // 2))
    else:
        out.write(
            b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-9/10\r\nContent-Length: 10\r\n\r\n0123456789"
        )


def endless_fields(out, data, head, asked):
    out.write(b"HTTP/1.1 200 OK\r\n")
    ENDLESS.write(out, "fields", b"X: %s\r\n" % (b"x" * 4000))


def endless_field(out, data, head, asked):
    out.write(b"HTTP/1.1 200 OK\r\nX: ")
    ENDLESS.write(out, "field", b"x" * 65536)


def endless_interim(out, data, head, asked):
    ENDLESS.write(out, "interim", b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" * 1000)


def endless_chunks(out, data, head, asked):
    out.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    ENDLESS.write(out, "chunks", b"10000\r\n%s\r\n" % bytes(65536))


def bad_chunks(out, data, head, asked):
    out.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nfive\r\nhello\r\n0\r\n\r\n")


def two_lengths(out, data, head, asked):
    out.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: %d\r\n\r\n%s" % (len(data), data))


def length_and_chunks(out, data, head, asked):
    out.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")


def no_http(out, data, head, asked):
    out.write(b"\x16\x03\x01 what do you want\r\n\r\n")


def nothing(out, data, head, asked):
    pass


RELEASES = {  # what an origin does -> what the audit or the metric of fills says of it
    f"{does.__name__}.m4s": (does, says)
    for does, says in (
        (truncated, "unreachable"),
        (longer, "digest-mismatch"),
        (shorter, "digest-mismatch"),
        (changing, "digest-mismatch"),
        (other_part, "unexpected-answer"),
        (endless_fields, "unreachable"),
        (endless_field, "unreachable"),
        (endless_interim, "unreachable"),
        (endless_chunks, "unreachable"),
        (bad_chunks, "unreachable"),
        (two_lengths, "unreachable"),
        (length_and_chunks, "unreachable"),
        (no_http, "unreachable"),
        (nothing, "unreachable"),
    )
}


ASKED = Counter[str]()  # objects, by name


def lies(folder: Path, out, path: str, head: bytes) -> None:
    """Answer as an origin of releases that lies about some objects."""
    place, name = folder / path.lstrip("/"), path.rpartition("/")[2]
    ASKED[name] += 1
    if not place.is_file():
        out.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        return
    data = place.read_bytes()
    if name in RELEASES:
        RELEASES[name][0](out, data, head, ASKED[name])
        raise ConnectionError  # it closes
    whole = sent(data, head)
    out.write(whole[:1000])
    if name in SLOW:
        out.flush()
        until(GO.is_set, "others have played", 100)
    out.write(whole[1000:])


def test_origins_of_releases(box):
    """Whatever an origin does with an object: no screen takes it for whole, nothing of it is stored, and others play."""
    stored, fetching = box.stored(), resident(box.processes["fetch"].pid)
    with ThreadPoolExecutor(4) as screens:
        for name in RELEASES:
            asking = screens.submit(box.play, name)
            assert plays(box), name
            with suppress(*BROKEN):
                reply = asking.result(60)
                assert reply.status >= 400, name
                assert json.loads(reply.body)["reason"], name
        for says, times in Counter(says for _, says in RELEASES.values()).items():
            counts = f'headgate_exchange_fills_total{{outcome="{says}"}}'
            until(lambda c=counts, t=times: figure(box, "exchange", c) >= t, f"{says} is counted {times} times")
        assert len(box.stored()) == len(stored) + len(RELEASES)  # each time one that was well
        assert not list((box.state / "store" / "incoming").iterdir())
        assert all(count < MOST for count in ENDLESS.written.values()), ENDLESS.written
        assert resident(box.processes["fetch"].pid) < fetching + (32 << 20)


def test_a_slow_origin_holds_up_nobody(box):
    """Objects of which a little comes, and then nothing: others of the same origin are fetched and played meanwhile."""
    GO.clear()
    with ThreadPoolExecutor(len(SLOW)) as screens:
        waiting = {name: screens.submit(box.play, name) for name in SLOW}
        try:
            until(lambda: set(SLOW) <= set(ASKED), "all are asked for", 20)
            assert all(plays(box) for _ in range(3))
            assert not any(one.done() for one in waiting.values())
        finally:
            GO.set()
        assert all(one.result(60).body == SLOW[name] for name, one in waiting.items())


# --- plain HTTP ---------------------------------------------------------------------------------------------------------------

START = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nCache-Control: max-age=600\r\n"
CHUNKS = START + b"Transfer-Encoding: chunked\r\n\r\n"
SAYS: dict[str, tuple[bytes, ...]] = {  # what it writes before it closes; the last again and again, where there are two
    "longer": (START + b"Content-Length: 1000\r\n\r\nhello",),
    "chunks that end": (CHUNKS + b"5\r\nhello\r\n",),
    "a chunk that ends": (CHUNKS + b"500\r\nhello\r\n",),
    "bad chunks": (CHUNKS + b"five\r\nhello\r\n0\r\n\r\n",),
    "bad chunks later": (CHUNKS + b"5\r\nhello\r\nfive\r\nhello\r\n0\r\n\r\n",),
    "two lengths": (START + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",),
    "a length and chunks": (START + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",),
    "a negative length": (START + b"Content-Length: -5\r\n\r\nhello",),
    "a long length": (START + b"Content-Length: " + b"9" * 30 + b"\r\n\r\nhello",),
    "more than the policy lets": (START + b"Content-Length: 100000000\r\n\r\n",),
    "no HTTP": (b"\x16\x03\x01 what do you want\r\n\r\n",),
    "a number for a status": (b"HTTP/1.1 99999 OK\r\n\r\n",),
    "nothing": (b"",),
    "half a head": (START,),
    "a NUL": (START + b"X: a\0b\r\nContent-Length: 5\r\n\r\nhello",),
    "many fields": (START + b"X: 1\r\n" * 500 + b"Content-Length: 5\r\n\r\nhello",),
    "endless fields": (START, b"X: %s\r\n" % (b"x" * 4000)),
    "an endless field": (START + b"X: ", b"x" * 65536),
    "endless interim answers": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" * 1000),
    "endless chunks": (CHUNKS, b"10000\r\n%s\r\n" % bytes(65536)),
    "a body until it closes, without end": (START + b"\r\n", bytes(65536)),
}  # fmt: skip
NAMES = {f"/{name.replace(' ', '-')}": parts for name, parts in SAYS.items()}
HELD = "/held"  # the portal's answer never comes


def web(out, path, head):
    """Answer as the bad portal does."""
    if path.startswith(HELD):
        until(GO.is_set, "others were answered", 100)
    if path == "/less":
        out.write(plain(b"0123456789", "Cache-Control: max-age=600", length=5))
        raise ConnectionError
    if path == "/parts":
        tag = b"1" if b"bytes=0-" in head else b"2"
        out.write(
            b'HTTP/1.1 206 Partial Content\r\nContent-Type: text/plain\r\nETag: "%s"\r\nCache-Control: max-age=600\r\nContent-Length: 5\r\n'
            b"Content-Range: bytes %s/10\r\n\r\n%s"
            % (tag, *((b"0-4", b"01234") if tag == b"1" else (b"5-9", b"XXXXX")))
        )
        return
    if path in NAMES:
        first, *again = NAMES[path]
        out.write(first)
        for piece in again:
            ENDLESS.write(out, path, piece)
        raise ConnectionError  # it closes
    out.write(plain(path.encode(), "Cache-Control: no-store"))


def test_origins_of_plain_http(box):
    """Whatever a portal answers: no screen takes it for whole, it is not kept, and others are served."""
    sizes = {name: resident(box.processes[name].pid) for name in ("fetch", "exchange", "delivery-bigscreen")}
    before = sum(refusals(box).values())
    with ThreadPoolExecutor(4) as screens:
        for times, path in ((times, path) for path in NAMES for times in (1, 2)):
            asking = screens.submit(box.get, path, {"Host": "bad.test"})
            assert plays(box), path
            with suppress(*BROKEN):
                reply = asking.result(60)
                if reply.status != 103:  # which this client takes for the answer
                    assert json.loads(reply.body)["reason"], path
                    assert reply.status >= 400, path
                    assert b"127.10." not in reply.body, path  # where it is
            assert box.bad.asked.count(path) >= times, path
    until(lambda: sum(refusals(box).values()) >= before + 2 * len(NAMES), "each is counted")
    for name, size in sizes.items():
        assert resident(box.processes[name].pid) < size + (64 << 20), name
    assert all(count < MOST for count in ENDLESS.written.values()), ENDLESS.written


def test_less_than_was_sent(box):
    """Who sends more than he said has said the shorter: nothing of the rest is anybody's."""
    for _ in range(2):
        assert box.get("/less", {"Host": "bad.test"}).body == b"01234"
    assert box.get("/next", {"Host": "bad.test"}).body == b"/next"


def test_parts_of_two_versions(box):
    """A body that changed between its first part and the rest is never put together."""
    asked = {"Host": "bad.test"}
    assert box.get("/parts", {**asked, "Range": "bytes=0-4"}).body == b"01234"
    for _ in range(2):
        reply = None
        with suppress(*BROKEN):
            reply = box.get("/parts", asked)
        assert reply is None or reply.body != b"01234XXXXX"
    assert (reply.status, json.loads(reply.body)["reason"]) == (502, "unexpected-answer")  # parts, and never the whole


def test_a_portal_that_never_answers_holds_up_nobody(box):
    """One screen asks it for much more than it may: it is told so, and others get answers of the same portal meanwhile."""
    GO.clear()
    before = refusals(box)
    with ThreadPoolExecutor(156) as screens:
        waiting = [screens.submit(box.get, f"{HELD}/{number}", {"Host": "bad.test"}) for number in range(156)]
        try:
            counted(box, before, "busy", 36)
            assert refusals(box)["busy"] == before["busy"] + 36
            assert got(box, "/other", "bad.test") == b"/other"
            assert plays(box)
        finally:
            GO.set()
        assert Counter(one.result(60).status for one in waiting) == {200: 120, 503: 36}


def test_a_portal_that_never_answers_anybody_takes_no_others_place(box):
    """Many screens ask it: it is asked for so much at once, they wait, and another portal answers."""
    GO.clear()
    begun = len(box.bad.asked)
    with ThreadPoolExecutor(180) as screens:
        asks = [(f"{HELD}/many/{number}", "bad.test", f"127.21.1.{number // 60 + 1}") for number in range(180)]
        waiting = [screens.submit(got, box, *one) for one in asks]
        try:
            until(lambda: len(box.bad.asked) - begun >= webs.AT_ONCE, "it is asked for all that it may be")
            assert all(plays(box) for _ in range(3))
            assert len(box.bad.asked) - begun == webs.AT_ONCE
        finally:
            GO.set()
        assert [one.result(60).decode() for one in waiting] == [path for path, _, _ in asks]
