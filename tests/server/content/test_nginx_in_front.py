"""nginx in front of delivery: it serves hits by itself, as delivery would, and delivery serves the rest."""

from __future__ import annotations

import json
import re
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from appliance.identity.keys import PrivateKey
from appliance.runtime.command import run
from gateway.delivery.front.lines import Began, Ended, read_all
from tests.server.content import media
from tests.server.content.conftest import ADDRESSES, CODE, Chain, give_order, running
from tests.server.content.strangers import counted, refusals
from tests.server.content.test_live_crosses import Studio

pytestmark = pytest.mark.server
SEGMENT, LONG = media.segment(b"small" * 1000), media.sized(3 << 20)
NAMED = "刘三姐(1)/a+b,c=~@.m4s"
FILM = {"1.m4s": SEGMENT, "long.mp4": LONG, "all.m3u8": b"#EXTM3U\n", NAMED: media.segment(b"named")}


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """A chain with nginx in front, whose film was asked for once and stays as it is."""
    with running(tmp_path_factory.mktemp("f"), front=["bigscreen"]) as chain:
        chain.publish(FILM)
        for path, data in FILM.items():
            assert chain.play(quote(path)).body == data
        yield chain


def by_nginx(reply: Any) -> bool:
    """Return whether nginx answered by itself: delivery signs what it answers."""
    return reply.headers["Server"] == "nginx"


def lines(chain: Chain) -> list[Began | Ended]:
    """Return what nginx wrote of what it delivered."""
    said = read_all((chain.run / "front" / "bigscreen" / "deliveries.log").read_bytes().splitlines())
    assert None not in said
    return [one for one in said if isinstance(one, Began | Ended)]


def spoken(chain: Chain, data: bytes) -> bytes:
    """Return what comes for ``data`` on one connection until it is closed."""
    got = b""
    with socket.create_connection((ADDRESSES["bigscreen"], chain.port), 30) as connection:
        connection.sendall(data)
        while part := connection.recv(1 << 16):
            got += part
    return got


def test_a_miss_is_served_by_delivery_and_a_hit_by_nginx_with_the_same_words(fronted):
    """The first request fills; the next is nginx's own, and says what delivery says of the same file."""
    fronted.publish(FILM)
    miss = fronted.play("1.m4s")
    assert (miss.status, miss.body, by_nginx(miss)) == (200, SEGMENT, False)
    assert "failed" not in fronted.log("front-bigscreen")  # a miss is nothing to complain of
    assert miss.headers["Cache-Status"] == "headgate; fwd=miss; stored"
    hit = fronted.play("1.m4s")
    assert (hit.status, hit.body, by_nginx(hit)) == (200, SEGMENT, True)
    same = fronted.play("1.m4s", headers={"If-None-Match": '"another"'})  # a condition is for delivery to judge
    assert (same.status, same.body, by_nginx(same)) == (200, SEGMENT, False)
    assert set(hit.headers) == set(same.headers)
    assert {k: v for k, v in hit.headers.items() if k not in ("Date", "Server")} == {
        k: v for k, v in same.headers.items() if k not in ("Date", "Server")
    }


@pytest.mark.parametrize(
    ("wanted", "status", "first", "last"),
    [
        ("bytes=0-", 206, 0, len(LONG) - 1),
        ("bytes=100-199", 206, 100, 199),
        ("bytes=9-9", 206, 9, 9),
        (f"bytes=000{len(LONG) - 1}-", 206, len(LONG) - 1, len(LONG) - 1),
        ("bytes=-5", 206, len(LONG) - 5, len(LONG) - 1),
        ("bytes=3000000-999999999", 206, 3_000_000, len(LONG) - 1),
    ],
)
def test_a_single_range_is_served_by_nginx(film, wanted, status, first, last):
    """With the bytes, the length and the tag that it has from delivery."""
    part = film.play("long.mp4", headers={"Range": wanted})
    assert (part.status, part.body == LONG[first : last + 1], by_nginx(part)) == (status, True, True)
    assert part.headers["Content-Range"] == f"bytes {first}-{last}/{len(LONG)}"
    conditional = film.play("long.mp4", headers={"Range": wanted, "If-Range": part.headers["ETag"]})
    assert (conditional.status, by_nginx(conditional)) == (206, True)
    other = film.play("long.mp4", headers={"Range": wanted, "If-Range": f'"{"0" * 64}"'})
    assert (other.status, other.body == LONG) == (200, True)


@pytest.mark.parametrize(
    ("path", "told", "status"),
    [
        ("all.m3u8", {}, 200),
        ("1.m4s", {"method": "HEAD", "headers": {"Range": "bytes=0-1"}}, 200),
        ("1.m4s", {"method": "OPTIONS"}, 204),
        ("1.m4s?x=1", {}, 200),
        ("1.m4s?CAT=x&CMCD=y", {}, 200),
        ("%2531.m4s", {}, 400),
        ("1%2em4s", {}, 200),
        ("%2e/1.m4s", {}, 400),
        ("1.m4s%2f", {}, 400),
        ("1.m4s%0a", {}, 404),
        ("all%2Em3u8", {}, 200),
        ("all.m3%75%38", {}, 200),
        ("1.m4s", {"headers": {"Range": "bytes=0-1,5-6"}}, 206),
        ("1.m4s", {"headers": {"Range": "lines=1-2"}}, 200),
        ("1.m4s", {"headers": {"Range": "bytes=9-2"}}, 200),
        ("1.m4s", {"headers": {"Range": "bytes=999999-"}}, 416),
        ("1.m4s", {"headers": {"Range": "bytes=-0"}}, 416),
        ("1.m4s", {"headers": {"Range": "bytes=0-1", "If-Range": "Sun, 29 Nov 2026 10:00:00 GMT"}}, 200),
        ("1.m4s", {"headers": {"If-None-Match": "*"}}, 304),
        ("1.m4s", {"headers": {"If-Modified-Since": "Sun, 29 Nov 2099 10:00:00 GMT"}}, 200),
        ("none.m4s", {}, 404),
        ("release.json", {}, 400),
        ("..%2f..%2fnginx.conf", {}, 400),
    ],
)
def test_all_else_is_delivery_s(film, path, told, status):
    """Playlists, other methods, queries, escapes, conditions, several ranges and refusals get delivery's own answer."""
    reply = film.play(path, **told)
    assert (reply.status, reply.headers["Server"]) == (status, "headgate")


@pytest.mark.parametrize("wanted", ["bytes=999999-", f"bytes={len(SEGMENT)}-", "bytes=9-2", "bytes=10-9", "bytes=-0"])
def test_a_range_that_is_none_is_answered_in_one_voice(film, wanted):
    """Delivery's answer says nothing twice, as it would if nginx had begun one."""
    asked = f"GET /r/{CODE}/1.m4s HTTP/1.1\r\nHost: box\r\nRange: {wanted}\r\nConnection: close\r\n\r\n"
    head = spoken(film, asked.encode()).partition(b"\r\n\r\n")[0].decode().split("\r\n")
    assert head[0].split()[1] == ("200" if wanted in ("bytes=9-2", "bytes=10-9") else "416")
    names = [line.partition(":")[0] for line in head[1:]]
    assert len(names) == len(set(names)), head


@pytest.mark.parametrize(
    "path", ["%31.m4s", "1.m4%73?CMCD=bl%3D1", quote(NAMED), quote(NAMED, safe="/+,=~@()"), quote(NAMED).lower()]
)
def test_an_escaped_name_is_the_same_file_to_nginx(film, path):
    """However it is written: the bytes that delivery has under the name."""
    reply = film.play(path)
    assert (reply.status, by_nginx(reply)) == (200, True)
    assert reply.body == (FILM[NAMED] if "a%2" in path or "a+" in path else SEGMENT)


def test_a_head_is_nginx_s_and_counts_nothing(film, until):
    """The words are those of a GET, and of delivery's HEAD; it is a request in the figures, and no use."""
    head, whole = film.play("long.mp4", method="HEAD"), film.play("long.mp4")
    own = film.play("long.mp4", method="HEAD", headers={"If-None-Match": '"another"'})
    assert (head.status, head.body, by_nginx(head), by_nginx(own)) == (200, b"", True, False)
    apart = ("Date", "Server", "CMSD-Dynamic")
    told = [{k: v for k, v in reply.headers.items() if k not in apart} for reply in (head, whole, own)]
    assert told[0] == told[1] == told[2]
    heads = lambda: [line for line in lines(film) if isinstance(line, Ended) and line.head and line.sent]  # noqa: E731
    assert {line.body for line in until(heads, "it is told")} == {0}


def test_a_player_is_told_of_its_connection(film):
    """Of what is large nginx says itself how long the way is, and the answer took (CTA-5006)."""
    dynamic = film.play("long.mp4").headers["CMSD-Dynamic"]
    assert re.fullmatch(r'"testbox";rtt=[1-9]\d*;rd=[1-9]\d*', dynamic)
    assert "CMSD-Dynamic" not in film.play("1.m4s").headers


def test_http_0_9_is_refused(film):
    """It knows no fields, so that nothing could be said of what comes."""
    before = refusals(film)
    for path in ("1.m4s", "all.m3u8"):
        said = spoken(film, f"GET /r/{CODE}/{path}\r\n".encode())
        assert b"505" in said
        assert FILM[path] not in said
    counted(film, before, "bad-http", 2)


def test_what_nginx_refuses_is_counted_with_its_reason(film, until):
    """Wherever in nginx it was refused; none of it is a delivery."""
    before = refusals(film)
    large = b"POST /r/x HTTP/1.1\r\nHost: box\r\nContent-Length: 99999\r\nConnection: close\r\n\r\n"
    assert spoken(film, large).startswith(b"HTTP/1.1 413")
    assert spoken(film, b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: box\r\n\r\n").startswith(b"HTTP/1.1 414")
    assert spoken(film, b"TRACE / HTTP/1.1\r\nHost: box\r\n\r\n").startswith(b"HTTP/1.1 405")
    assert spoken(film, b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400")
    for reason in ("too-large", "head-too-long", "method-not-allowed", "bad-http"):
        counted(film, before, reason)


def test_a_live_segment_is_nginx_s_and_the_playlist_is_not(fronted, until):
    """Once it came, for as long as nobody need ask; what the box begins anew does not keep nginx from it."""
    chain = fronted
    room = Studio(chain, "index.m3u8", segment=20.0)
    room.put("s10.m4s", SEGMENT)
    room.put(
        "index.m3u8", b"#EXTM3U\n#EXT-X-TARGETDURATION:20\n#EXT-X-MEDIA-SEQUENCE:10\n#EXTINF:20,\ns10.m4s\n", sequence=1
    )
    miss = chain.play("live/s10.m4s")
    assert (miss.status, miss.body, by_nginx(miss)) == (200, SEGMENT, False)
    hit, own = chain.play("live/s10.m4s"), chain.play("live/s10.m4s", headers={"If-None-Match": '"another"'})
    assert (hit.status, hit.body, by_nginx(hit), by_nginx(own)) == (200, SEGMENT, True, False)
    assert {k: v for k, v in hit.headers.items() if k not in ("Date", "Server")} == {
        k: v for k, v in own.headers.items() if k not in ("Date", "Server")
    }
    assert hit.headers["CMSD-Static"] == "d=20000,sf=h,st=l"
    for _ in range(2):
        assert not by_nginx(chain.play("live/index.m3u8"))
    assert chain.play("live/s11.m4s").status == 404
    used = [body for body in chain.used(5) if body["cache"] == "hit"]
    assert sum(body["requests"] for body in used) >= 2
    chain.stop("exchange")
    chain.start("exchange")
    until(lambda: by_nginx(chain.play("live/s10.m4s")), "nginx serves it again")


def test_what_a_screen_says_for_nginx_is_no_word_of_nginx_s(film):
    """nginx's questions are its own, and the names that it speaks under are taken from whoever else says them."""
    forged = {
        "Headgate-Ask": "object",
        "Headgate-Target": f"/r/{CODE}/1.m4s",
        "Headgate-Generation": film.digest()[:16],
        "Headgate-Screen": "127.20.0.9",
    }
    for path in ("/-/object", "/-/hit", "/-/permit", "/-/door", "//-/object", "/x/../-/object", "/%2d/object", "/-/"):
        reply = film.get(path, headers=forged)
        assert (reply.status, [name for name in reply.headers if name.startswith("Headgate-")]) == (404, []), path
    # The same to the letter, as delivery reads it, but not as nginx does.
    raw = "".join(f"{name}: {value}\r\n" for name, value in forged.items())
    for target in ("/-/object#x", "/-/object?x", "http://box/-/object", "/-/./object"):
        got = spoken(film, f"GET {target} HTTP/1.1\r\nHost: box\r\n{raw}Connection: close\r\n\r\n".encode())
        assert got.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400")), target
        assert b"Headgate-" not in got
    for path in ("1.m4s", "long.mp4", "all.m3u8"):
        assert not [name for name in film.play(path, headers=forged).headers if name.startswith("Headgate-")]
    assert {line.screen for line in lines(film)} == {"127.0.0.1"}


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: 0\r\nContent-Length: 40\r\n\r\n",
        b"Content-Length: +0\r\n\r\n",
        b"Content-Length : 40\r\n\r\n",
        b"X: y\r\n Content-Length: 40\r\n\r\n",
        b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: 40\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n28\r\n",
    ],
)
@pytest.mark.parametrize("path", ["1.m4s", "all.m3u8"])  # nginx's own, and one that goes on to delivery
def test_no_request_is_smuggled_past_nginx(film, head, path):
    """What nginx and delivery could read as one request or two is refused, or is one; the second is never answered."""
    inner = b"GET /r/%s/none-such HTTP/1.1\r\nHost: box\r\nConnection: close\r\n\r\n" % CODE.encode()
    outer = b"GET /r/%s/%s HTTP/1.1\r\nHost: box\r\nConnection: close\r\n" % (CODE.encode(), path.encode())
    got = spoken(film, outer + head + inner)
    assert got.count(b"HTTP/1.1 ") <= 1
    assert b"unknown-path" not in got
    assert film.play("1.m4s").body == SEGMENT


def test_a_withdrawn_release_is_refused_at_once_whatever_answers_are_kept(fronted, until):
    """The links go before the order is confirmed, so that no answer that nginx keeps gives anything."""
    chain, regulator = fronted, PrivateKey.generate()
    chain.write_policy(lambda text: text + f'orders: {{keys: {{regulator: "{regulator.public}"}}}}\n')
    chain.reload("exchange", "delivery-bigscreen")
    until(lambda: give_order(chain, regulator, 0).get("refused", "") is None, "the exchange takes orders")
    chain.publish(FILM)
    until(lambda: by_nginx(chain.play("1.m4s")), "nginx serves it")
    assert give_order(chain, regulator, 1, CODE)["refused"] is None
    until(lambda: not list((chain.run / "front" / "bigscreen" / "trees").iterdir()), "the links are gone", 2.0)
    refused = chain.play("1.m4s")
    assert (refused.status, json.loads(refused.body)["reason"]) == (451, "withdrawn")
    begun = {line.id for line in lines(chain) if isinstance(line, Began)}
    ended = lambda: {line.id for line in lines(chain) if isinstance(line, Ended)}  # noqa: E731
    until(lambda: begun <= ended(), "what began is told to be over")


def test_another_policy_counts_at_once_and_a_download_goes_on(fronted, until):
    """nginx takes another configuration while a download runs, and breaks none off; a wrong policy changes nothing."""
    chain = fronted
    chain.publish(FILM)
    for _ in range(2):
        assert chain.play("long.mp4").body == LONG
    got, done = bytearray(), threading.Event()
    with socket.socket() as screen:
        screen.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        screen.settimeout(60)
        screen.connect((ADDRESSES["bigscreen"], chain.port))
        screen.sendall(f"GET /r/{CODE}/long.mp4 HTTP/1.1\r\nHost: box\r\nConnection: close\r\n\r\n".encode())
        got += screen.recv(1000)
        key = PrivateKey.generate()
        chain.write_policy(
            lambda text: text + f'permission: {{zones: [bigscreen], issuers: {{portal: {{keys: ["{key.public}"]}}}}}}\n'
        )
        chain.reload("exchange", "delivery-bigscreen")
        until(lambda: chain.play("long.mp4").status == 401, "the door is closed")
        good = chain.policy.read_text()
        chain.policy.write_text("site: [")
        chain.reload("exchange", "delivery-bigscreen")
        assert "last good one stays" in chain.log("front-bigscreen")
        assert chain.play("long.mp4").status == 401
        chain.policy.write_text(good)
        while part := screen.recv(1 << 20):
            got += part
    done.set()
    assert bytes(got).partition(b"\r\n\r\n")[2] == LONG
    assert b"Server: nginx" in got


def test_delivery_killed_is_told_and_back_by_itself(fronted, until):
    """Without delivery nginx says so after the seconds that it keeps answers; with it again, hits are nginx's again."""
    chain = fronted
    chain.publish(FILM)
    until(lambda: by_nginx(chain.play("1.m4s")), "nginx serves it")
    chain.stop("delivery-bigscreen", signal.SIGKILL)
    none = chain.play("1.m4s", headers={"Range": "bytes=999999-"})  # of an object that nginx still knows
    assert (none.status, "ETag" in none.headers, "Content-Range" in none.headers) == (503, False, False)
    gone = until(lambda: (reply := chain.play("1.m4s")).status == 503 and reply, "nginx does not serve alone", 10.0)
    assert json.loads(gone.body)["reason"] == "unreachable"
    assert gone.headers["Cache-Control"] == "no-store"
    chain.start("delivery", "bigscreen")
    counted(chain, Counter(), "unreachable")  # by nginx, while delivery was away
    until(lambda: by_nginx(chain.play("1.m4s")), "nginx serves it again")


def test_nginx_ends_with_who_started_it_and_is_started_again(fronted, until):
    """kill -9 of the front daemon leaves no nginx behind that would hear of no other policy; the next one takes its place."""
    chain = fronted
    chain.publish(FILM)
    until(lambda: by_nginx(chain.play("1.m4s")), "nginx serves it")
    chain.stop("front-bigscreen", signal.SIGKILL)

    def listens() -> bool:
        with socket.socket() as connection:
            return connection.connect_ex((ADDRESSES["bigscreen"], chain.port)) == 0

    until(lambda: not listens(), "nothing listens any more")
    chain.start("front", "bigscreen")

    def serves() -> bool:
        try:
            return by_nginx(chain.play("1.m4s"))
        except ConnectionError:  # a screen that asks while nginx begins may be sent away once
            return False

    until(serves, "nginx serves it again")


def test_tls_and_http_2_where_the_policy_has_a_certificate(fronted, tmp_path):
    """A browser's way in: HTTP/2 over TLS, hits by nginx and the rest by delivery, as ever."""
    chain, folder = fronted, fronted.base / "front"
    folder.mkdir()
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=box"
    name = ["-addext", f"subjectAltName=IP:{ADDRESSES['bigscreen']}"]
    run([*make.split(), *name, "-keyout", str(folder / "tv.key"), "-out", str(folder / "tv.crt")])
    chain.write_policy(
        lambda text: text.replace(
            "zone: bigscreen, run: delivery, front: nginx,",
            "zone: bigscreen, run: delivery, front: nginx, tls: {certificate: tv.crt, key: tv.key},",
        )
    )
    chain.reload("exchange", "delivery-bigscreen")
    chain.publish(FILM)
    got = tmp_path / "got"
    curl = ["curl", "-sS", "--http2", "--cacert", str(folder / "tv.crt"), "-o", str(got)]
    curl += ["-w", "%{http_version} %{response_code} %header{server}"]
    at = f"https://{ADDRESSES['bigscreen']}:{chain.port}/r/{CODE}"
    assert run([*curl, f"{at}/long.mp4"]) == "2 200 headgate"
    assert got.read_bytes() == LONG
    assert run([*curl, f"{at}/long.mp4"]) == "2 200 nginx"
    assert got.read_bytes() == LONG
    assert run([*curl, "-r", "5-9", f"{at}/long.mp4"]) == "2 206 nginx"
    assert got.read_bytes() == LONG[5:10]
    assert run([*curl, f"{at}/none"]) == "2 404 headgate"
    plain = chain.play("1.m4s")
    assert (plain.status, by_nginx(plain)) == (400, True)  # HTTP at a port of HTTPS


def test_what_nginx_served_is_in_delivery_s_figures(film, until):
    """Requests, bytes and what a player tells of itself are those of nginx's own answers too."""
    figures = film.run / "metrics" / "delivery-bigscreen" / "delivery-bigscreen.prom"
    before = figures.read_text()
    reply = film.play("long.mp4?CMCD=bl%3D4000%2Csid%3D%22nginx%22")
    assert by_nginx(reply)

    def grown(name: str) -> float:
        values = [
            sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))
            for text in (before, figures.read_text())
        ]
        return values[1] - values[0]

    until(lambda: grown("headgate_delivery_bytes_total{") >= len(LONG), "its bytes are told")
    assert grown("headgate_delivery_requests_total{") >= 1
    assert grown("headgate_delivery_buffer_seconds_count{") >= 1
    assert grown("headgate_delivery_sessions_begun_total{") == 1
