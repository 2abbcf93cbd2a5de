"""Large objects that nginx's workers answer by what they remember: known while they run, broken off, and told of however they end."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path

import pytest

from gateway.delivery.front.accounts import Accounts, Counts
from gateway.delivery.front.configuration import MODULES, OF_ADDRESS
from tests.bench._box import held_on
from tests.server.content import media
from tests.server.content.conftest import ADDRESSES, CODE, hand_over, seal_order
from tests.server.content.strangers import counted, refusals
from tests.server.content.test_nginx_remembers import ZONE, Portal, behind_a_door, remembered, written

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(not all(module.exists() for module in MODULES), reason="libnginx-mod-http-lua is not installed"),
]
LONG = 32 << 20  # bytes: more than waits in the kernel for a screen that does not read
LITTLE = 64 << 10  # bytes that such a screen's kernel holds


@pytest.fixture
def film(tmp_path_factory: pytest.TempPathFactory, until) -> Iterator[tuple[Portal, dict[str, str]]]:
    """A long object that the worker remembers, and what shows who asks for it; there is one worker, as on one core."""
    files = {"1.m4s": media.segment(b"small" * 1000), "long.m4s": media.sized(LONG)}
    with held_on(min(os.sched_getaffinity(0))), behind_a_door(tmp_path_factory.mktemp("r"), until, files) as portal:
        fields, screen, before = portal.token("--subject", "viewer"), portal.screen(), remembered(portal.chain)
        answers = lambda: screen.ask("long.m4s", fields)[1] == "nginx" and remembered(portal.chain) > before  # noqa: E731
        until(answers, "it is remembered")
        yield portal, fields


def running(portal: Portal) -> list[tuple[tuple[str, int], str]]:
    """Return the connections that the accounts say are in the middle of a large answer, and the path that each carries."""
    folder = portal.chain.run / "front" / ZONE
    count = len(list(folder.glob("answers.*")))
    return [(screen, carried.path) for screen, carried in Accounts(folder, count).running()]


def begin(portal: Portal, fields: dict[str, str]) -> socket.socket:
    """Ask for the long object as a screen that then does not read."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, LITTLE)
    connection.settimeout(30)
    connection.connect((ADDRESSES[ZONE], portal.chain.port))
    # As http.client writes it, so that its worker knows the head.
    lines = [
        f"GET /r/{CODE}/long.m4s HTTP/1.1",
        f"Host: {ADDRESSES[ZONE]}:{portal.chain.port}",
        "Accept-Encoding: identity",
    ]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    connection.sendall("\r\n".join((*lines, "", "")).encode())
    return connection


def read_all(connection: socket.socket) -> int:
    """Return how many bytes come until nothing more does."""
    count = 0
    with contextlib.suppress(ConnectionError, TimeoutError):
        while data := connection.recv(1 << 20):
            count += len(data)
    return count


def test_what_runs_is_known_and_broken_off_where_it_is_withdrawn(film, until):
    """Its screen gets no more than was under way."""
    portal, fields = film
    with begin(portal, fields) as connection:
        place = connection.getsockname()
        until(lambda: running(portal) == [(place, "long.m4s")], "it is known to run")
        answer = hand_over(portal.chain, 1, [seal_order(portal.regulator, 1, subject="portal:viewer")])
        assert answer["refused"] is None
        assert 0 < read_all(connection) < LONG
    until(lambda: running(portal) == [], "it is over")


def test_what_is_read_to_its_end_is_told_once(film, until):
    """It does not run any more then, and stands in the account."""
    portal, fields = film
    before = remembered(portal.chain)
    with begin(portal, fields) as connection:
        until(lambda: len(running(portal)) == 1, "it is known to run")
        assert remembered(portal.chain) == before
        connection.settimeout(2)
        assert read_all(connection) > LONG
    until(lambda: running(portal) == [], "it is over")
    assert remembered(portal.chain) == before + 1


def test_what_ran_in_a_killed_worker_is_told_by_the_next(film, until):
    """So it does not seem to run for ever."""
    portal, fields = film
    chain, screen = portal.chain, portal.screen()
    accounts = chain.run / "front" / ZONE
    lost = lambda: sum(written(one, Counts.lost.offset) for one in accounts.glob("answers.*"))  # noqa: E731
    before = lost()

    def remembers() -> bool:
        with contextlib.suppress(ConnectionError, HTTPException):
            screen.ask("1.m4s", fields)
        return lost() == before + 1

    with begin(portal, fields) as connection:
        until(lambda: len(running(portal)) == 1, "it is known to run")
        master = int((chain.run / "nginx" / ZONE / "nginx.pid").read_text())
        for worker in Path(f"/proc/{master}/task/{master}/children").read_text().split():
            os.kill(int(worker), signal.SIGKILL)
        read_all(connection)
    screen.close()
    until(remembers, "the next worker tells of it")
    assert running(portal) == []


def test_one_address_does_not_have_all_of_them(film, until):
    """Nothing is counted of what is refused, but the refusal; it does not run."""
    portal, fields = film
    chain = portal.chain
    before, known = refusals(chain, ZONE), remembered(chain)
    with contextlib.ExitStack() as stack:
        for _ in range(OF_ADDRESS):
            stack.enter_context(begin(portal, fields))
        until(lambda: len(running(portal)) == OF_ADDRESS, "so many run")
        refused = stack.enter_context(begin(portal, fields))
        assert refused.recv(4096).startswith(b"HTTP/1.1 503 ")
        counted(chain, before, "too-many-of-address", zone=ZONE)
        assert len(running(portal)) == OF_ADDRESS
        assert remembered(chain) == known
    until(lambda: running(portal) == [], "they are gone")
