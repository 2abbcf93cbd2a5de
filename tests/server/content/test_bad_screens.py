"""Screens that ask what nobody should: each is bounded, refused and counted, and others play on meanwhile."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection
from statistics import median

import pytest

from appliance.identity.keys import PrivateKey
from gateway.permission.door import NAME
from tests.server.content import media
from tests.server.content.conftest import ADDRESSES, CODE, Chain, until
from tests.server.content.strangers import (
    Place,
    Stranger,
    admitting,
    answers,
    counted,
    gauge,
    many_descriptors,
    plain,
    refusals,
    resident,
    speak,
    stranger,
)

pytestmark = [pytest.mark.server, pytest.mark.timeout(120)]
SMALL, SECRET = media.segment(b"small"), media.segment(b"SMUGGLED")
LARGE = media.sized(24 << 20)  # more than sockets hold
FILES = {"1.m4s": SMALL, "secret.m4s": SECRET, "large.m4s": LARGE}
IDLE = 10_000  # connections
HOUSE = 250  # of them from one address
DEAR = 32 << 10  # bytes that one may cost


@pytest.fixture(scope="module")
def portal() -> Iterator[Stranger]:
    """An origin of plain HTTP that answers everything with its path."""

    def says(out, path, head):
        out.write(plain(b"SMUGGLED" if "smuggled" in path else path.encode(), "Cache-Control: no-store"))

    with stranger(says) as running:
        yield running


@pytest.fixture(scope="module")
def box(tmp_path_factory, portal) -> Iterator[Chain]:
    """A running chain: televisions, and a portal, without tokens; phones with them. No bad screen makes a daemon fail."""
    many_descriptors()
    chain = Chain(tmp_path_factory.mktemp("b"))
    door = f'permission: {{zones: [smallscreen], issuers: {{portal: {{keys: ["{PrivateKey.generate().public}"]}}}}}}\n'
    chain.write_policy(admitting(chain, {"portal": portal.port}, door))
    with chain:
        chain.publish(FILES)
        assert chain.play("1.m4s").body == SMALL
        assert chain.play("secret.m4s").body == SECRET
        yield chain
        for name, process in chain.processes.items():
            assert process.poll() is None, name
            assert "Traceback" not in chain.log(name), name


@pytest.fixture(scope="module")
def fronted(tmp_path_factory, portal) -> Iterator[Chain]:
    """The same with nginx in front of what serves televisions."""
    many_descriptors()
    chain = Chain(tmp_path_factory.mktemp("n"), front=("bigscreen",))
    chain.write_policy(admitting(chain, {"portal": portal.port}))
    with chain:
        chain.publish({name: FILES[name] for name in ("1.m4s", "secret.m4s")})

        def serves() -> bool:
            with suppress(ConnectionError):  # its nginx may be starting still
                return chain.play("1.m4s").body == SMALL
            return False

        until(serves, "it serves")
        assert chain.play("secret.m4s").body == SECRET
        yield chain
        for name, process in chain.processes.items():
            assert process.poll() is None, name
            assert "Traceback" not in chain.log(name), name


@pytest.fixture(params=["alone", "nginx"])
def both(request) -> Chain:
    """A running chain, without nginx and with it."""
    return request.getfixturevalue("box" if request.param == "alone" else "fronted")


def way_into(box) -> Place:
    """Return where televisions ask."""
    return ADDRESSES["bigscreen"], box.port


@pytest.fixture
def place(box) -> Place:
    """The way in without nginx."""
    return way_into(box)


def plays(box) -> bool:
    """Return whether a screen is served what it asks for."""
    portal = box.get("/well", {"Host": "portal.test"})
    return box.play("1.m4s").body == SMALL and portal.body == b"/well"


def head(target: str, *lines: bytes | str, method: str = "GET", host: str = "box") -> bytes:
    """Return a request's head."""
    every = [f"{method} {target} HTTP/1.1".encode(), f"Host: {host}".encode()]
    every += [line.encode() if isinstance(line, str) else line for line in lines]
    return b"\r\n".join([*every, b"", b""])


def filled(lines: int, size: int) -> list[str]:
    return [f"X-{number}: {'x' * size}" for number in range(lines)]


def test_floods_of_heads(box, place):
    """More fields, or longer ones, than any player sends: a short answer says so, and the connection ends."""
    before = refusals(box)
    floods = [
        (head("/r/", *filled(60, 1000)), "head-too-long"),
        (head("/r/", *filled(1, 9000)), "head-too-long"),
        (head("/r/", *filled(1, 65536)), "head-too-long"),
        (head("/r/" + "x" * 8300), "head-too-long"),
        (head("/r/" + "x" * 65536), "head-too-long"),
        (head("/r/" + "%00" * 20000, host="portal.test"), "head-too-long"),
        (head("/r/", "x" * 9000 + ": 1"), "head-too-long"),
        (head("/r/", "Cookie: " + "; ".join(f"a{n}=b" for n in range(5000))), "head-too-long"),
        (head("/r/", *filled(1000, 1)), "bad-http"),
    ]
    for number, (sent, reason) in enumerate(floods):
        (answer,) = answers(speak(place, sent))
        assert answer.status in (400, 431), number
        assert reason.encode() in answer.body, number
        assert b"aiohttp" not in answer.head, number
    counted(box, before, "head-too-long", 8)
    counted(box, before, "bad-http")
    assert plays(box)


def test_a_head_without_end(box, place):
    """A head that goes on and on is read up to its bound, and not kept."""
    before, pid = refusals(box), box.processes["delivery-bigscreen"].pid
    held, taken = resident(pid), 0
    with socket.create_connection(place) as connection, suppress(ConnectionError):
        connection.sendall(head("/r/1")[:-2])
        while taken < 64 << 20:
            taken += connection.send(b"X: %s\r\n" % (b"x" * 4000))
    assert taken < 16 << 20  # what sockets took
    assert resident(pid) < held + (8 << 20)
    counted(box, before, "head-too-long")
    assert plays(box)


def test_heads_that_never_end_cost_others_nothing(box, place):
    """Connections that send a byte of a head now and then: they are read, hold next to nothing, and others play on."""
    pid = box.processes["delivery-bigscreen"].pid
    held = resident(pid)
    until(lambda: gauge(box, "headgate_delivery_connections") < 50, "those of others are gone")
    with ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(place)) for _ in range(400)]
        for byte in head("/r/1", *filled(1, 20)):
            for connection in slow:
                connection.sendall(bytes([byte]))
            if byte == ord("\r"):
                assert plays(box)
                break
        until(lambda: gauge(box, "headgate_delivery_connections") >= 400, "they are counted")
        assert resident(pid) < held + 400 * DEAR
        assert plays(box)
    until(lambda: gauge(box, "headgate_delivery_connections") < 400, "they are gone")


SMUGGLED = head("{secret}", host="{host}")
INSIDE = b"{smuggled}"
LENGTH = "Content-Length: {length}"
CHUNKED = "Transfer-Encoding: chunked"
SPLITS: dict[str, tuple[list[str | bytes], bytes]] = {  # fields, and what comes behind the head
    "CL.TE": ([LENGTH, CHUNKED], b"0\r\n\r\n" + INSIDE),
    "TE.CL": (["Content-Length: 4", CHUNKED], b"{hex}\r\n" + INSIDE + b"\r\n0\r\n\r\n"),
    "TE.TE": ([CHUNKED, "Transfer-Encoding: identity"], b"0\r\n\r\n" + INSIDE),
    "two lengths": (["Content-Length: 0", LENGTH], INSIDE),
    "a list of lengths": (["Content-Length: 0, {length}"], INSIDE),
    "a signed length": (["Content-Length: +{length}"], INSIDE),
    "a negative length": (["Content-Length: -1"], INSIDE),
    "a length in hexadecimal": (["Content-Length: 0x{hex}"], INSIDE),
    "a length with an underscore": (["Content-Length: 1_0"], INSIDE),
    "a length of a hundred digits": (["Content-Length: " + "9" * 100], INSIDE),
    "a length in other digits": (["Content-Length: ٣".encode()], INSIDE),
    "an empty length": (["Content-Length: "], INSIDE),
    "space before the colon": (["Transfer-Encoding : chunked", "Content-Length: 0"], INSIDE),
    "space before the field": ([" Transfer-Encoding: chunked", LENGTH], b"0\r\n\r\n" + INSIDE),
    "a folded field": (["X: a", " Transfer-Encoding: chunked", LENGTH], INSIDE),
    "a folded encoding": (["Transfer-Encoding:", " chunked", LENGTH], b"0\r\n\r\n" + INSIDE),
    "an unknown encoding": (["Transfer-Encoding: xchunked"], b"0\r\n\r\n" + INSIDE),
    "chunked and then another": (["Transfer-Encoding: chunked, identity"], b"0\r\n\r\n" + INSIDE),
    "chunked twice": (["Transfer-Encoding: chunked, chunked"], b"0\r\n\r\n0\r\n\r\n" + INSIDE),
    "a vertical tab": ([b"Transfer-Encoding:\x0bchunked"], b"0\r\n\r\n" + INSIDE),
    "a NUL in the name": ([b"Content-Length\0: 0"], INSIDE),
    "a NUL in the value": ([b"X: a\0b"], INSIDE),
    "a bare CR": ([b"X: a\rContent-Length: 0", LENGTH], INSIDE),
    "a bare CR before the end": ([b"X: a\r"], INSIDE),
    "a name with a space": (["Content Length: 0"], INSIDE),
    "a field without a colon": (["Content-Length"], INSIDE),
    "a field without a name": ([": 0"], INSIDE),
    "two hosts": (["Host: other.test"], INSIDE),
    "a chunk with a bare LF in its extension": ([CHUNKED], b"5;a\nb\r\nhello\r\n0\r\n\r\n" + INSIDE),
    "a chunk with a bare CR in its extension": ([CHUNKED], b"5;a\rb\r\nhello\r\n0\r\n\r\n" + INSIDE),
    "chunks ended by bare LF": ([CHUNKED], b"5\nhello\n0\n\n" + INSIDE),
    "a chunk longer than it says": ([CHUNKED], b"1\r\nhello\r\n0\r\n\r\n" + INSIDE),
    "a chunk of 0x5": ([CHUNKED], b"0x5\r\nhello\r\n0\r\n\r\n" + INSIDE),
    "a chunk of +5": ([CHUNKED], b"+5\r\nhello\r\n0\r\n\r\n" + INSIDE),
    "a chunk of -5": ([CHUNKED], b"-5\r\nhello\r\n0\r\n\r\n" + INSIDE),
    "a chunk beyond 64 bits": ([CHUNKED], b"1" + b"0" * 16 + b"\r\n" + INSIDE),
    "a chunk whose end is none": ([CHUNKED], b"5\r\nhelloXX0\r\n\r\n" + INSIDE),
    "a body": ([LENGTH], INSIDE),
    "a body in chunks": ([CHUNKED], b"{hex}\r\n" + INSIDE + b"\r\n0\r\n\r\n"),
    "a body in chunks with extensions": ([CHUNKED], b"{hex};a=b\r\n" + INSIDE + b"\r\n0;last\r\nX: y\r\n\r\n"),
    "a body that is announced": ([LENGTH, "Expect: 100-continue"], INSIDE),
    "an unknown expectation": ([LENGTH, "Expect: 200-ok"], INSIDE),
    "a length that the connection takes away": ([LENGTH, "Connection: close, Content-Length"], INSIDE),
}  # fmt: skip


# What nginx reads in one way, and makes anew: a second request behind it is one, and delivery never sees how it was written.
ONE_WAY = ("a bare CR before the end", "chunks ended by bare LF")


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize("to", ["release", "portal"])
def test_no_request_is_smuggled(both, portal, to, method):
    """However a request says where it ends: what it hides is asked of nobody, and the next one's answer is its own."""
    box, place = both, way_into(both)
    target, secret, host = {
        "release": (f"/r/{CODE}/1.m4s", f"/r/{CODE}/secret.m4s", "box"),
        "portal": ("/first", "/smuggled", "portal.test"),
    }[to]
    hidden = SMUGGLED.replace(b"{secret}", secret.encode()).replace(b"{host}", host.encode())
    told = {b"{length}": b"%d" % len(hidden), b"{hex}": b"%x" % len(hidden), INSIDE: hidden}
    before, refused = refusals(box), 0
    for name, (fields, behind) in SPLITS.items():
        if box.front and name in ONE_WAY:
            continue
        sent = head(target, *fields, method=method, host=host) + behind + head(target, "Connection: close", host=host)
        for word, meant in told.items():
            sent = sent.replace(word, meant)
        said = speak(place, sent)
        assert b"SMUGGLED" not in said, name
        first = answers(said.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n"))[0]
        assert 200 <= first.status < 500 or first.status == 501, (name, said)
        refused += first.status in (400, 501)
    assert "/smuggled" not in portal.asked
    assert refused >= 20
    # Of bodies that turn out wrong behind their heads nginx says nothing to delivery.
    counted(box, before, "bad-http", 15 if box.front else refused)
    assert plays(box)


NONE = [
    b"GET {secret}\r\n\r\n",  # HTTP/0.9
    b"GET {secret} HTTP/9.9\r\nHost: box\r\n\r\n",
    b"GET {secret} FTP/1.1\r\nHost: box\r\n\r\n",
    b"GET\t{secret}\tHTTP/1.1\r\nHost: box\r\n\r\n",
    b"GET {secret} x HTTP/1.1\r\nHost: box\r\n\r\n",
    b"G\xe9T {secret} HTTP/1.1\r\nHost: box\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"CONNECT portal.test:443 HTTP/1.1\r\nHost: portal.test:443\r\nConnection: close\r\n\r\n",
    b"TRACE / HTTP/1.1\r\nHost: portal.test\r\nConnection: close\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),  # TLS
    b"\r\n\r\n\r\n\0\0\0\0\r\n\r\n",
]


def test_what_is_no_request_is_refused(box, place):
    """Other protocols, other versions, tunnels: a refusal with its reason, never content."""
    before = sum(refusals(box).values())
    for sent in NONE:
        said = speak(place, sent.replace(b"{secret}", f"/r/{CODE}/secret.m4s".encode()))
        assert b"SMUGGLED" not in said, sent
        status = answers(said)[0].status
        assert 400 <= status < 500 or status == 505, (sent, said)
    until(lambda: sum(refusals(box).values()) >= before + len(NONE), "each is counted")
    assert plays(box)


def test_pipelined_requests_have_their_answers_in_order(both):
    """Who asks in advance is served in turn; what comes with something that can be read in two ways is refused."""
    place = way_into(both)
    one, none = head(f"/r/{CODE}/1.m4s"), head(f"/r/{CODE}/none.m4s")
    last = head(f"/r/{CODE}/secret.m4s", "Connection: close")
    got = answers(speak(place, (one + none) * 20 + one + last))
    assert [answer.status for answer in got] == [200, 404] * 20 + [200, 200]
    assert [got[0].body, got[-1].body] == [SMALL, SECRET]

    bad = head("/r/", "Content-Length: 1", CHUNKED)
    got = answers(speak(place, one * 3 + bad + last))
    assert got[-1].status == 400
    assert SECRET not in [answer.body for answer in got]


def test_a_chunk_extension_without_end(box, place):
    """What nobody reads is not kept: the answer comes, and the connection ends soon after."""
    pid = box.processes["delivery-bigscreen"].pid
    held, sent = resident(pid), head(f"/r/{CODE}/1.m4s", CHUNKED) + b"5;" + b"a" * (8 << 20) + b"\r\n"
    said = speak(place, sent + head(f"/r/{CODE}/secret.m4s", "Connection: close"))
    assert answers(said)[0].body == SMALL
    assert b"SMUGGLED" not in said
    assert resident(pid) < held + (4 << 20)


def test_an_upgrade_is_declined(both):
    """Who offers another protocol goes on in this one."""
    with closing(HTTPConnection(*way_into(both), timeout=30)) as connection:
        for path, status in (("1.m4s", 200), ("none", 404), ("1.m4s", 200)):
            offer = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABk"}
            connection.request("GET", f"/r/{CODE}/{path}", headers=offer)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == status


PATHS = [
    *(f"/r/{CODE}/%{byte:02x}.m4s" for byte in range(256)),
    *(f"/r/{CODE}/%{byte:02X}" for byte in range(256)),
    *(f"/r/{CODE}/%25{byte:02x}.m4s" for byte in range(256)),
    *(f"/r/%{byte:02x}{CODE}/1.m4s" for byte in range(256)),
    *(f"/%{byte:02x}" for byte in range(256)),
    *(f"/r/{CODE}/{sort}etc/passwd" for sort in (
        "../../../../", "..%2f..%2f..%2f", "%2e%2e/%2e%2e/", "%2e%2e%2f", "%252e%252e%252f", "..%5c..%5c", "....//....//",
        "%c0%ae%c0%ae/", "%c0%ae%c0%ae%c0%af", "%e0%80%ae%e0%80%ae/", "%f0%80%80%ae/", "..;/..;/", "%2e%2e%00/", "/", "./",
        "%u002e%u002e/", "..%c1%9c", "..%ef%bc%8f", "%EF%BC%8E%EF%BC%8E/",
    )),
    f"/r/{CODE}/../{CODE}/secret.m4s", f"/r/{CODE}/%2e/secret.m4s", f"/r/{CODE}/./secret.m4s", f"/r/./{CODE}/secret.m4s",
    f"/r/{CODE}//secret.m4s", f"/r//{CODE}/secret.m4s", f"//r/{CODE}/secret.m4s", f"/r/{CODE}/secret.m4s/",
    f"/r/{CODE}/secret.m4s%00", f"/r/{CODE}/secret.m4s%00.jpg", f"/r/{CODE}/secret.m4s%20", f"/r/{CODE}/secret%2em4s%2f",
    f"/r/{CODE}%2fsecret.m4s", f"/%72/{CODE}/secret.m4s%0d%0aX:%20y", f"/r/{CODE}/%", f"/r/{CODE}/%4", f"/r/{CODE}/%zz",
    f"/r/{CODE}/%f0%9f%98%80", f"/r/{CODE}/%ed%a0%80", f"/r/{CODE}/e%cc%81.m4s", f"/r/{CODE}/{'a' * 7000}", f"/r/{CODE}/" + "a/" * 3500,
    f"/r/{CODE}/" + "%61" * 2500, f"/r/{CODE}/release.json", f"/r/{CODE}/release.listing.json", "/r/../../etc/passwd", "*",
    f"http://other.test/r/{CODE}/secret.m4s%00", f"/r/{CODE}/x?{'a' * 7000}", f"/r/{CODE}/x?%00=%ff&%zz", f"/r/{CODE}/x?a=" + "&a=" * 2000,
    f"/r/{CODE}/x#fragment", f"/r/{CODE}/x;y=z", f"/r/{CODE.replace('-', '%2d')}/x", "/r/" + "9" * 5000 + "/x", "/-/permit", "/-/object",
]  # fmt: skip


@pytest.mark.parametrize("host", ["box", "portal.test"])
def test_paths_with_every_escape(both, host):
    """Each byte once and twice escaped, ways out, spellings that decode to others: an answer each, never a failure, never another file."""
    box, place = both, way_into(both)
    connection = HTTPConnection(*place, timeout=30)
    for path in PATHS:
        connection.putrequest("GET", path, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", host)
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status < 500, (path, answer.status, body[:200])
        assert b"root:" not in body, path
        if host == "box":
            whole = path.partition("?")[0] in (f"/r/{CODE}/1.m4s", f"/r/{CODE}/%31.m4s")
            assert (answer.status, body) == (200, SMALL) if whole else body not in (SMALL, SECRET), path
            assert answer.status >= 400 or whole or (box.front and answer.status == 301), path  # of nginx, to /r/
    connection.close()
    assert plays(box)


def test_long_tokens(box):
    """No token is longer than 4 KiB: one of 64 KiB is refused as a head, a shorter one as a token, wherever it is shown."""
    place, before = (ADDRESSES["smallscreen"], box.port), refusals(box, "smallscreen")
    for size, reason in ((5000, "bad-token"), (8000, "bad-token"), (64 << 10, "head-too-long")):
        text = "A" * size
        for query, fields in (
            ("", [f"{NAME}: {text}"]),
            ("", [f"Cookie: {NAME}={text}"]),
            (f"?CAT={text}", []),
            (f"?URISigningPackage={text}", []),
        ):
            (answer,) = answers(speak(place, head(f"/r/{CODE}/1.m4s{query}", "Connection: close", *fields)))
            assert answer.status in (400, 431), (size, query[:20])
            assert reason.encode() in answer.body, (size, query[:20])
    counted(box, before, "bad-token", 8, "smallscreen")
    counted(box, before, "head-too-long", 4, "smallscreen")
    assert plays(box)


@pytest.mark.parametrize(
    "cookie", [b"\xff\xfe=\x80", b"a=b; " * 1000, NAME.encode() + b'="\\', b"; ;; = ;", b"$Version=1; x", NAME.encode()]
)
def test_cookies_that_are_none(box, cookie):
    """What cannot be read as cookies shows no token."""
    place = (ADDRESSES["smallscreen"], box.port)
    (answer,) = answers(speak(place, head(f"/r/{CODE}/1.m4s", "Connection: close", b"Cookie: " + cookie)))
    assert 400 <= answer.status < 500, answer


def test_slow_readers_hold_neither_memory_nor_the_fetch(box, place, until):
    """Fifty ask for a film that nobody asked for before, and read nothing: it comes whole, once, and another screen gets it."""
    pid = box.processes["delivery-bigscreen"].pid
    held = resident(pid)
    with ExitStack() as stack:
        for _ in range(50):
            slow = stack.enter_context(socket.socket())
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.connect(place)
            slow.sendall(head(f"/r/{CODE}/large.m4s"))
        until(lambda: box.play("large.m4s", method="HEAD").headers["Cache-Status"].endswith("hit"), "it is stored")
        assert box.play("large.m4s").body == LARGE
        assert box.origin.asked[f"/releases/{CODE}/large.m4s"] == 1
        assert resident(pid) < held + len(LARGE)
        assert plays(box)


def test_a_body_that_comes_slowly_holds_nobody_up(box, place):
    """Requests whose bodies never come: others ask the same portal and are answered."""
    with ExitStack() as stack:
        for _ in range(20):
            slow = stack.enter_context(socket.create_connection(place))
            slow.sendall(head("/slow", "Content-Length: 1000", method="POST", host="portal.test") + b"x")
        assert all(plays(box) for _ in range(10))


def p50(place: Place) -> float:
    """Return the middle time, in seconds, of a small answer on a connection of its own."""
    times = []
    connection = HTTPConnection(*place, timeout=30)
    for _ in range(200):
        began = time.perf_counter()
        connection.request("GET", f"/r/{CODE}/1.m4s")
        assert connection.getresponse().read() == SMALL
        times.append(time.perf_counter() - began)
    connection.close()
    return median(times)


def idle(stack: ExitStack, place: Place) -> None:
    """Open connections from many addresses, and say nothing on them."""
    for number in range(IDLE):
        house = number // HOUSE
        source = (f"127.21.{house // 200}.{house % 200 + 1}", 0)
        stack.enter_context(socket.create_connection(place, 30, source))


def test_ten_thousand_idle_connections_of_nginx(fronted):
    """They cost others no time there either."""
    place = way_into(fronted)
    alone = p50(place)
    with ExitStack() as stack:
        idle(stack, place)
        assert p50(place) < 10 * alone + 0.01
        assert plays(fronted)


def test_ten_thousand_idle_connections(box, place):
    """They cost little memory, and others no time; one address may not have them all."""
    pid, before = box.processes["delivery-bigscreen"].pid, refusals(box)
    held, alone = resident(pid), p50(place)
    with ExitStack() as stack:
        idle(stack, place)
        until(lambda: gauge(box, "headgate_delivery_connections") >= IDLE, "all are in")
        assert resident(pid) < held + IDLE * DEAR
        assert p50(place) < 10 * alone + 0.01
        assert plays(box)
        assert refusals(box)["too-many-of-address"] == before["too-many-of-address"]

        greedy = [stack.enter_context(socket.create_connection(place, 30, ("127.21.9.9", 0))) for _ in range(501)]
        refused = greedy[-1].recv(4096)
        assert refused.startswith(b"HTTP/1.1 503 ")
        assert b'"too-many-of-address"' in refused
        counted(box, before, "too-many-of-address")
        greedy[0].sendall(head(f"/r/{CODE}/1.m4s"))
        assert SMALL in greedy[0].recv(4096)
    until(lambda: gauge(box, "headgate_delivery_connections") < HOUSE, "they are gone")
