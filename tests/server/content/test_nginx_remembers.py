"""What nginx's workers remember of delivery's answers: it asks nobody any more, holds for whom it was given, and ends when it is to."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import re
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from threading import Event, Thread
from typing import BinaryIO

import pytest

from appliance.identity.keys import PrivateKey
from gateway.delivery.front import opaque
from gateway.delivery.front.accounts import Counts
from gateway.delivery.front.asked import OBJECT, REMEMBERED
from gateway.delivery.front.configuration import MODULES
from gateway.delivery.front.lines import Began, Ended, read
from gateway.delivery.front.recalls import Recalls
from gateway.permission.door import NAME
from tests.server.content import media
from tests.server.content.conftest import ADDRESSES, CODE, Chain, give_order, hand_over, running, seal_order
from tests.server.content.test_tokens import token

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(not all(module.exists() for module in MODULES), reason="libnginx-mod-http-lua is not installed"),
]
SMALL, LARGE = media.segment(b"small" * 1000), media.sized(300_000)
FILM = {"1.m4s": SMALL, "2.m4s": LARGE}
ZONE = "bigscreen"
TOLD = {("", ("",) * 4), ("CMCD=br%3D800", ("",) * 4), ("", ("bl=2100", "", "", ""))}  # queries, and fields of players


class Portal:
    """A portal, its viewers' tokens, and a regulator."""

    def __init__(self, chain: Chain) -> None:
        self.chain, self.key, self.regulator = chain, PrivateKey.generate(), PrivateKey.generate()
        self.file = chain.base / "portal.key"
        self.key.save(self.file)
        issuers = f'issuers: {{portal: {{keys: ["{self.key.public}"]}}}}'
        self.orders = f'orders: {{keys: {{regulator: "{self.regulator.public}"}}}}\n'
        self.screens = contextlib.ExitStack()
        self.door = f"permission: {{zones: [{ZONE}], skew: 0, {issuers}}}\n"

    def screen(self, address: str = "127.0.0.1") -> Screen:
        """Return a screen that is gone at the end."""
        screen = Screen(self.chain, address)
        self.screens.callback(screen.close)
        return screen

    def token(self, *words: str) -> dict[str, str]:
        """Return the field that shows a new token."""
        return {NAME: token(self.file, CODE, *words)}


@contextlib.contextmanager
def behind_a_door(folder: Path, until: Callable[..., object], film: Mapping[str, bytes]) -> Iterator[Portal]:
    """A film behind a door, with nginx in front."""
    with running(folder, front=[ZONE]) as chain:
        made = Portal(chain)
        chain.publish(film)
        chain.write_policy(lambda text: text.replace("largest: 4 MiB", "largest: 64 MiB") + made.orders + made.door)
        chain.reload("exchange", f"delivery-{ZONE}")
        until(lambda: chain.play("1.m4s").status == 401, "the door is closed")
        until(lambda: give_order(chain, made.regulator, 0).get("refused", "") is None, "the exchange takes orders")
        with made.screens:
            yield made


@pytest.fixture
def portal(tmp_path_factory: pytest.TempPathFactory, until) -> Iterator[Portal]:
    """One with a small and a large object."""
    with behind_a_door(tmp_path_factory.mktemp("r"), until, FILM) as made:
        yield made


class Screen:
    """A screen with one connection, which is one worker's."""

    def __init__(self, chain: Chain, address: str = "127.0.0.1") -> None:
        self._connection = HTTPConnection(ADDRESSES[ZONE], chain.port, timeout=60, source_address=(address, 0))

    def ask(self, path: str, fields: dict[str, str] | None = None) -> tuple[int, str, bytes]:
        """Return status, who answered, and the content."""
        self._connection.request("GET", f"/r/{CODE}/{path}", headers=fields or {})
        answer = self._connection.getresponse()
        return answer.status, str(answer.headers["Server"]), answer.read()

    def head(self, path: str, fields: dict[str, str], method: str = "GET") -> list[tuple[str, str]]:
        """Return the fields of an answer of nginx's, but for what each moment has its own of, in the order of their names."""
        self._connection.request(method, f"/r/{CODE}/{path}", headers=fields)
        answer = self._connection.getresponse()
        answer.read()
        assert (answer.status, answer.headers["Server"]) == (200, "nginx")
        return sorted((name, value) for name, value in answer.getheaders() if name not in ("Date", "CMSD-Dynamic"))

    def told(self, path: str, fields: dict[str, str]) -> str:
        """Return what every player is told with it, but for what is of this connection."""
        self._connection.request("GET", f"/r/{CODE}/{path}", headers=fields)
        answer = self._connection.getresponse()
        answer.read()
        return re.sub(";(rtt|rd|etp)=[0-9]+|;du", "", answer.headers.get("CMSD-Dynamic", ""))

    def close(self) -> None:
        self._connection.close()


def said(chain: Chain) -> list[Began | Ended]:
    """Return nginx's own lines."""
    told = map(read, (chain.run / "front" / ZONE / "deliveries.log").read_bytes().splitlines())
    return [one for one in told if isinstance(one, Began | Ended)]


def written(account: Path, at: int = Counts.head.offset) -> int:
    """Return how many answers a worker's account had ever."""
    with account.open("rb") as file:
        return int(struct.unpack_from("=d", file.read(ctypes.sizeof(Counts)), at)[0])


def counted(account: Path) -> int:
    """Return how many of them delivery counted."""
    return written(account, Counts.tail.offset)


def remembered(chain: Chain) -> int:
    """Return how many answers came from what a worker remembers: those are in its account, or the log has them without an id."""
    accounts = sum(map(written, (chain.run / "front" / ZONE).glob("answers.*")))
    return accounts + sum(isinstance(one, Ended) and one.id == "" for one in said(chain))


def recalls(chain: Chain) -> int:
    """Return the number that delivery raises when it takes an answer back."""
    found: int = struct.unpack_from("<I", (chain.run / "front" / ZONE / "recalls").read_bytes())[0]
    return found


@contextlib.contextmanager
def asking(chain: Chain, path: str, fields: dict[str, str]) -> Iterator[list[tuple[float, int]]]:
    """A screen that asks without pause, anew where it is broken off; yields when it asked, and the statuses that it got."""
    answers, over, screen = list[tuple[float, int]](), Event(), Screen(chain)

    def ask() -> None:
        while not over.is_set():
            at = time.monotonic()
            try:
                answers.append((at, screen.ask(path, fields)[0]))
            except (ConnectionError, HTTPException):
                screen.close()

    thread = Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        over.set()
        thread.join()
        screen.close()


def test_a_hit_that_is_remembered_asks_nobody(portal, until):
    """Of a kept connection's requests delivery hears once in twenty seconds."""
    chain, fields, screen = portal.chain, portal.token(), portal.screen()
    until(lambda: screen.ask("1.m4s", fields)[1] == "nginx", "nginx serves it")
    before, known, began, answers = said(chain), remembered(chain), time.monotonic(), list[tuple[int, str, bytes]]()

    def asked_for_long() -> bool:
        answers.append(screen.ask("1.m4s", fields))
        return time.monotonic() > began + 3 * OBJECT

    until(asked_for_long, "longer than nginx keeps an answer")
    assert set(answers) == {(200, "nginx", SMALL)}
    rounds = 2 + (time.monotonic() - began) // REMEMBERED
    until(lambda: remembered(chain) >= known + len(answers) - 2 * rounds, "nothing else was remembered")
    asked = sum(isinstance(one, Began) for one in said(chain)[len(before) :])
    assert asked <= rounds
    until(lambda: screen.ask("2.m4s", fields)[1] == "nginx", "nginx serves it")
    before, known = said(chain), remembered(chain)
    for _ in range(10):
        assert screen.ask("2.m4s", fields) == (200, "nginx", LARGE)
    until(lambda: remembered(chain) >= known + 8, "it is remembered")
    assert len(said(chain)) <= len(before) + 2 * rounds


def test_an_answer_that_is_remembered_has_the_words_of_the_long_way(portal, until):
    """Each field once, and what a player tells of itself arrives with it."""
    chain, fields, screen = portal.chain, portal.token(), portal.screen()
    until(lambda: screen.ask("1.m4s", portal.token())[1] == "nginx", "nginx serves it")
    long = screen.head("1.m4s", portal.token())  # of a session that nobody knows yet
    before = remembered(chain)
    until(lambda: screen.head("1.m4s", fields) == long and remembered(chain) > before, "it is remembered")
    assert screen.head("1.m4s", fields, "HEAD") == long  # what was answered before on this connection is told by now
    before = remembered(chain)
    assert screen.head("1.m4s", fields) == long
    names = [name for name, _ in long]
    assert sorted(set(names)) == names
    assert {"Cache-Control", "Content-Type", "ETag", "Repr-Digest", "Access-Control-Allow-Origin"} < set(names)
    assert screen.head("1.m4s", fields, "HEAD") == long
    assert screen.head("1.m4s?CMCD=br%3D800", fields) == long
    assert screen.head("1.m4s", fields | {"CMCD-Request": "bl=2100"}) == long
    until(lambda: {(one.query, one.cmcd) for one in said(chain)[-3:] if isinstance(one, Ended)} == TOLD, "it is told")
    assert remembered(chain) == before + 1


def test_a_large_answer_that_is_remembered_has_the_words_of_the_long_way(portal, until):
    """Each field once, and how the connection is."""
    chain, fields, screen = portal.chain, portal.token(), portal.screen()
    until(lambda: screen.ask("2.m4s", portal.token())[1] == "nginx", "nginx serves it")
    long = screen.head("2.m4s", portal.token())  # of a session that nobody knows yet
    before = remembered(chain)
    until(lambda: screen.head("2.m4s", fields) == long and remembered(chain) > before, "it is remembered")
    names = [name for name, _ in long]
    assert sorted(set(names)) == names
    assert "Last-Modified" not in names
    assert screen.head("2.m4s", fields) == long
    screen._connection.request("GET", f"/r/{CODE}/2.m4s", headers=fields)
    answer = screen._connection.getresponse()
    answer.read()
    assert re.fullmatch('"[^"]+"(;mb=[0-9]+)?;rtt=[1-9][0-9]*;rd=[1-9][0-9]*', answer.headers["CMSD-Dynamic"])
    assert remembered(chain) >= before + 3


@pytest.mark.parametrize("path", list(FILM))
def test_what_is_remembered_is_held(portal, until, path):
    """Its link can be out of sight for a moment: nginx has the content of a small one, and the file of a large one."""
    chain, fields, screen = portal.chain, portal.token(), portal.screen()
    trees = chain.run / "front" / ZONE / "trees"

    def holds() -> bool:
        for _ in range(3):
            screen.ask(path, fields)
        hidden = [(link, chain.base / link.name) for link in trees.iterdir()]
        for link, aside in hidden:
            link.rename(aside)
        try:
            return bool(hidden) and screen.ask(path, fields) == (200, "nginx", FILM[path])
        finally:
            for link, aside in hidden:
                aside.rename(link)

    until(holds, "it is held open")


def test_what_is_not_where_it_was_is_asked_about_again(portal, until):
    """Delivery takes links away that are asked for least; what is behind one is served by it meanwhile, and by nginx at once afterwards."""
    path = "2.m4s"  # the content of a small one is remembered as long as it holds
    chain, fields, screen = portal.chain, portal.token(), portal.screen()
    until(lambda: screen.ask(path, fields)[1] == "nginx", "nginx serves it")
    for _ in range(3):
        assert screen.ask(path, fields)[1] == "nginx"  # it is remembered
    hidden = [(link, chain.base / link.name) for link in (chain.run / "front" / ZONE / "trees").iterdir()]
    for link, aside in hidden:
        link.rename(aside)
    until(lambda: screen.ask(path, fields) == (200, "headgate", FILM[path]), "what nginx held open is closed")
    for link, aside in hidden:
        aside.rename(link)
    begun = {one.id for one in said(chain) if isinstance(one, Began)}
    at = time.monotonic()
    until(lambda: screen.ask(path, fields) == (200, "nginx", FILM[path]), "nginx serves it again")
    until(lambda: {one.id for one in said(chain) if isinstance(one, Began)} > begun, "it was asked about")
    assert time.monotonic() - at < REMEMBERED / 2


@pytest.mark.parametrize("path", list(FILM))
@pytest.mark.parametrize("what", ["release", "token", "policy"])
def test_nothing_begins_any_more_once_it_is_taken_back(portal, until, path, what):
    """A screen that asks without pause gets nothing from the moment on at which the order is confirmed, or the number is another one."""
    chain, fields = portal.chain, portal.token("--subject", "viewer")
    with asking(chain, path, fields) as answers:
        until(lambda: len(answers) > 50 and all(status == 200 for _, status in answers[-50:]), "it plays")
        before = recalls(chain)
        if what == "policy":
            chain.write_policy(
                lambda text: (
                    text + portal.orders + portal.door.replace(str(portal.key.public), str(portal.regulator.public))
                )
            )
            chain.reload("exchange", f"delivery-{ZONE}")
            until(lambda: recalls(chain) != before, "what was told is taken back")
        else:
            given = {"release": CODE} if what == "release" else {"subject": "portal:viewer"}
            answer = hand_over(chain, 1, [seal_order(portal.regulator, 1, **given)])
            assert answer["refused"] is None
            assert recalls(chain) != before
        at = time.monotonic()
        until(lambda: answers[-1][0] > at + 0.5, "it was asked for since")
    since = [status for asked, status in answers if asked > at]
    assert set(since) == {{"release": 451, "token": 403, "policy": 401}[what]}


def test_what_is_remembered_of_one_screen_is_no_other_s(portal, until):
    """Another token, none, another cookie and another address are asked about, on the same connection too."""
    chain, fields, screen = portal.chain, portal.token(), portal.screen()
    stranger = PrivateKey.generate()
    stranger.save(chain.base / "stranger.key")

    def plays() -> bool:
        before = remembered(chain)
        return screen.ask("1.m4s", fields)[2] == SMALL and remembered(chain) > before

    forged = {NAME: token(chain.base / "stranger.key", CODE)}
    for other, status in (
        ({}, 401),
        (forged, 401),
        (fields | {"Cookie": "a=b"}, 200),
        (fields | {"Host": "other"}, 200),
    ):
        until(plays, "it is remembered")
        before = remembered(chain)
        assert screen.ask("1.m4s", other)[0] == status
        assert remembered(chain) == before
    until(plays, "it is remembered")
    before = remembered(chain)
    assert portal.screen("127.0.0.2").ask("1.m4s", fields)[0] == 200
    assert remembered(chain) == before


def answer(stream: BinaryIO) -> tuple[int, bytes]:
    """Return status and content of the next answer on a connection."""
    status, length = int(stream.readline().split()[1]), 0
    while (line := stream.readline().strip()) != b"":
        name, _, value = line.partition(b":")
        length = int(value) if name.lower() == b"content-length" else length
    return status, stream.read(length)


def test_what_comes_in_one_piece_is_answered_one_by_one(portal, until):
    """Each of several requests that a screen sends at once by its own head, however long that is, and with its own content."""
    chain, good, screen = portal.chain, portal.token(), portal.screen()
    stranger = PrivateKey.generate()
    stranger.save(chain.base / "stranger.key")
    forged = {NAME: token(chain.base / "stranger.key", CODE)}
    for pad in (0, 300, 500, 700, 900, 1100, 1500):  # a head of nginx's is in a buffer of 1 KiB, or else in another one
        padded = {"User-Agent": "p" * pad}
        asked = [good, forged, {}, good, good, forged, good]
        until(lambda padded=padded: screen.ask("1.m4s", good | padded)[1] == "nginx", "nginx serves it")
        before = remembered(chain)

        def answered(
            asked: list[dict[str, str]] = asked, padded: dict[str, str] = padded, before: int = before
        ) -> bool:
            answers = together(chain, [one | padded for one in asked])
            assert answers == [(200, True) if one is good else (401, False) for one in asked], padded
            return (
                len(padded["User-Agent"]) == 1500 or remembered(chain) > before
            )  # the longest heads are not remembered

        until(answered, "it is remembered")


def together(chain: Chain, heads: list[dict[str, str]]) -> list[tuple[int, bool]]:
    """Return the status of each of several requests that are sent in one piece, and whether it has the small content."""
    first = f"GET /r/{CODE}/1.m4s HTTP/1.1\r\nHost: {ADDRESSES[ZONE]}:{chain.port}\r\nAccept-Encoding: identity\r\n"
    lines = ["".join(f"{name}: {value}\r\n" for name, value in head.items()) for head in heads]
    with socket.create_connection((ADDRESSES[ZONE], chain.port), timeout=60) as connection:
        connection.sendall("".join(f"{first}{line}\r\n" for line in lines).encode())
        with connection.makefile("rb") as stream:
            return [(status, data == SMALL) for status, data in (answer(stream) for _ in heads)]


def test_an_account_goes_on_where_its_worker_was_killed(portal, until):
    """The next worker writes behind what is there, which is counted as ever."""
    chain, fields, screen = portal.chain, portal.token(), portal.screen()

    def remembers() -> bool:
        with contextlib.suppress(ConnectionError, HTTPException):
            screen.ask("1.m4s", fields)
        return remembered(chain) > before

    for _ in range(3):
        before = remembered(chain)
        until(remembers, "it is remembered")
        master = int((chain.run / "nginx" / ZONE / "nginx.pid").read_text())
        for worker in Path(f"/proc/{master}/task/{master}/children").read_text().split():
            os.kill(int(worker), signal.SIGKILL)
        screen.close()
    tails = lambda: sum(map(counted, (chain.run / "front" / ZONE).glob("answers.*")))  # noqa: E731
    until(lambda: tails() >= before, "all of it is counted")


def test_a_worker_without_an_account_writes_lines(portal, until):
    """nginx's log has them then, and they are counted all the same."""
    chain, fields = portal.chain, portal.token("--subject", "viewer")
    chain.stop(f"front-{ZONE}")
    with contextlib.ExitStack() as stack:
        for account in (chain.run / "front" / ZONE).glob("answers.*"):
            fcntl.flock(stack.enter_context(account.open("rb")), fcntl.LOCK_EX)
        chain.start("front", ZONE)
        screen = portal.screen()
        until(lambda: screen.ask("1.m4s", fields)[1] == "nginx", "nginx serves it")
        before = remembered(chain)
        for _ in range(10):
            assert screen.ask("1.m4s", fields) == (200, "nginx", SMALL)
        until(lambda: remembered(chain) >= before + 8, "it is remembered")
        assert not sum(map(written, (chain.run / "front" / ZONE).glob("answers.*")))
        last = [one for one in said(chain) if isinstance(one, Ended) and one.id == ""][-1]
        assert (last.screen, last.status, last.body, last.length, last.done) == (
            "127.0.0.1",
            200,
            len(SMALL),
            len(SMALL),
            True,
        )
        assert opaque.read(last.meter).path == "1.m4s"
        assert last.subject
        assert last.marks


def test_a_token_that_ends_is_not_remembered_beyond_its_end(portal, until):
    """It plays by what is remembered, and then no more."""
    chain, screen = portal.chain, portal.screen()
    until(lambda: screen.ask("1.m4s", portal.token())[1] == "nginx", "nginx serves it")
    fields, ends = portal.token("--seconds", "6"), time.time() + 6
    before = found = remembered(chain)
    answers = []
    while (at := time.time()) < ends + 1:
        answers.append((at, screen.ask("1.m4s", fields)[0]))
        if found <= before + 10:  # later what was counted is taken out of the log
            found = remembered(chain)
    assert found > before + 10
    assert {status for at, status in answers if at > ends + 0.1} == {401}
    assert answers[0][1] == 200


@pytest.mark.parametrize("path", list(FILM))
def test_what_is_remembered_ends_soon_after_delivery_does(portal, until, path):
    """It lends it for seconds only: who is away could neither take it back nor account for it."""
    chain, fields, screen = portal.chain, portal.token(), portal.screen()
    until(lambda: screen.ask(path, fields)[1] == "nginx", "nginx serves it")
    for _ in range(10):
        assert screen.ask(path, fields)[1] == "nginx"
    at = time.monotonic()
    chain.stop(f"delivery-{ZONE}", signal.SIGKILL)
    until(lambda: screen.ask(path, fields)[0] == 503, "it is not served any more")
    assert time.monotonic() - at < REMEMBERED / 2


def test_what_was_lent_by_a_clock_that_was_set_back_is_not_lent(portal, until):
    """It would go on for as long as the clock was set back, with delivery gone."""
    chain, fields, screen = portal.chain, portal.token(), portal.screen()
    until(lambda: screen.ask("1.m4s", fields)[1] == "nginx", "nginx serves it")
    chain.stop(f"delivery-{ZONE}", signal.SIGKILL)
    Recalls(chain.run / "front" / ZONE / "recalls").lend(time.time() + 3600, "")
    at = time.monotonic()
    until(lambda: screen.ask("1.m4s", fields)[0] == 503, "it is not served any more")
    assert time.monotonic() - at < REMEMBERED / 2


def test_players_are_told_what_holds_now_with_what_is_remembered(portal, until):
    """Also where the object is not asked about again: with one more player on the line each may choose less."""
    chain, fields, screen = portal.chain, portal.token(), portal.screen()
    line = f"lines: {{{ZONE}: 4000000}}\n"
    chain.write_policy(lambda text: text + portal.orders + portal.door + line)
    chain.reload("exchange", f"delivery-{ZONE}")

    def tells(most: str) -> bool:
        return all(screen.told(path, fields) == f'"testbox";mb={most}' for path in FILM)

    until(lambda: tells("3600") and screen.ask("1.m4s", fields)[1] == "nginx", "players are told")
    begun = {one.id for one in said(chain) if isinstance(one, Began)}
    for player in ("a", "b"):
        assert screen.ask(f"1.m4s?CMCD=sid%3D%22{player}%22", fields)[1] == "nginx"
    until(lambda: tells("1800"), "they are told of each other")
    since = [one for one in said(chain) if isinstance(one, Began) and one.id not in begun]
    assert all(opaque.read(one.meter).path == "2.m4s" for one in since)


def test_without_the_number_nginx_asks_as_ever(portal, until):
    """What cannot be seen to be taken back is not remembered."""
    chain, fields = portal.chain, portal.token()
    chain.stop(f"front-{ZONE}")
    (chain.run / "front" / ZONE / "recalls").unlink()
    chain.start("front", ZONE)
    before = remembered(chain)
    until(lambda: chain.play("1.m4s", headers=fields).headers["Server"] == "nginx", "nginx serves it")
    screen = portal.screen()
    assert [screen.ask("1.m4s", fields) for _ in range(10)] == [(200, "nginx", SMALL)] * 10
    assert remembered(chain) == before


def test_ranges_are_those_of_the_long_way(portal, until):
    """One that begins behind the end, or ends before it begins, is delivery's."""
    fields, screen = portal.token(), portal.screen()
    for path, data in FILM.items():
        until(lambda path=path: screen.ask(path, fields)[1] == "nginx", "nginx serves it")
        end = len(data)
        for wanted, status, who, body in (
            ("bytes=5-9", 206, "nginx", data[5:10]),
            (f"bytes=0{end - 1}-{end}99", 206, "nginx", data[-1:]),
            ("bytes=-7", 206, "nginx", data[-7:]),
            ("bytes=9-5", 200, "headgate", data),
        ):
            assert screen.ask(path, fields | {"Range": wanted}) == (status, who, body), wanted
        assert screen.ask(path, fields | {"Range": f"bytes={end}-"})[:2] == (416, "headgate")
