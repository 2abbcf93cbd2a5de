"""The process that survives: it counts what left exactly, as the unit runs it: without root, and closed to others."""

from __future__ import annotations

import json
import os
import signal
import socket
import tempfile
import time
from pathlib import Path

import pytest

from appliance.runtime import descriptors
from gateway.delivery.metering import stream, survivor
from gateway.delivery.metering.delivery import What
from gateway.delivery.metering.ledger import Ledger
from gateway.delivery.metering.window import Window, windows

NOBODY = 65534
WHAT = What("999999-100000000000001-4", "a.m4s", "library", "bigscreen", "big", 200, "hit")


def serve(folder, server, ready):
    """Be a delivery that begins an answer too large for its screen, and then only waits."""
    if os.geteuid() == 0:
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    descriptors.keep()
    ledger = Ledger(folder)
    survivor.start(folder)
    listening = socket.create_server(("127.0.0.1", 0))
    connection, _ = server.accept()
    begins = stream.position(connection).taken
    cell, ticket = ledger.cell(WHAT), ledger.ticket()
    ledger.slots.put(ticket, begins, 1 << 30, cell, time.time(), connection.fileno(), first=True)
    connection.setblocking(False)
    try:
        while True:
            connection.send(bytes(65536))
    except BlockingIOError:
        os.write(ready, str(listening.getsockname()[1]).encode())
    while True:
        signal.pause()


@pytest.fixture
def folder():
    """A folder of nobody's that nobody may reach, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as base:
        Path(base).chmod(0o755)
        made = Path(base) / "ledger"
        made.mkdir()
        if os.geteuid() == 0:
            os.chown(made, NOBODY, NOBODY)
        yield made


def test_what_left_is_counted_exactly(folder):
    """After kill -9 of a process without rights the screen got what is counted, and nothing listens any more."""
    told, ready = os.pipe()
    with socket.create_server(("127.0.0.1", 0)) as server:
        child = os.fork()
        if child == 0:
            try:
                serve(folder, server, ready)
            finally:
                os._exit(1)
        os.close(ready)
        with socket.socket() as screen:
            screen.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            screen.settimeout(20)
            screen.connect(server.getsockname())
            port = int(os.read(told, 100))
            os.kill(child, signal.SIGKILL)
            assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
            got = 0
            try:
                while data := screen.recv(65536):
                    got += len(data)
            except ConnectionResetError:
                reset = True
            else:
                reset = False
            assert reset
    os.close(told)
    with Ledger(folder) as again:
        assert [one.records for one in again.sealed] == [1]
        counted = json.loads(again.sealed[0].path.read_text())["body"]["bytes"]
    assert 0 < got <= counted <= got + (64 << 10)  # a segment that its small buffer did not take has left all the same
    with socket.socket() as late, pytest.raises(ConnectionRefusedError):
        late.connect(("127.0.0.1", port))
    assert [len(Window(path, 1)) for path in windows(folder)] == [0]
