"""Positions of a TCP connection: what left is told to the byte, whatever became of it."""

from __future__ import annotations

import socket
import struct
import time

import pytest

from gateway.delivery.metering import stream

RESET = struct.pack("=ii", 1, 0)


@pytest.fixture
def pair():
    with socket.create_server(("127.0.0.1", 0)) as server:
        screen = socket.socket()
        screen.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        screen.connect(server.getsockname())
        box, _ = server.accept()
    with box, screen:
        screen.settimeout(20)
        yield box, screen


def fill(box):
    """Write until the kernel takes no more; return how much it took."""
    box.setblocking(False)
    took = 0
    try:
        while True:
            took += box.send(bytes(65536))
    except BlockingIOError:
        return took


def read(screen):
    got = 0
    try:
        while data := screen.recv(65536):
            got += len(data)
    except ConnectionError:
        pass
    return got


def until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_positions_are_relative_to_what_was_taken(pair):
    """What is taken is told exactly; all of it has left and is acknowledged once the screen has it."""
    box, screen = pair
    before = stream.position(box)
    box.sendall(b"x" * 1000)
    assert stream.position(box).taken - before.taken == 1000
    until(lambda: stream.position(box).acknowledged - before.acknowledged == 1000)
    assert screen.recv(2000) == b"x" * 1000
    assert not stream.position(box).over


def test_the_end_of_a_connection_is_no_byte_of_it(pair):
    """Shut down, also before its screen knows, a connection has carried what was written and no more."""
    box, screen = pair
    before = stream.position(box)
    box.sendall(b"x" * 1000)
    until(lambda: stream.position(box).acknowledged - before.acknowledged == 1000)
    box.shutdown(socket.SHUT_RDWR)
    assert stream.position(box).left - before.left == 1000
    assert screen.recv(2000) == b"x" * 1000
    assert screen.recv(1) == b""
    until(lambda: stream.position(box).acknowledged - before.acknowledged == 1000)
    assert stream.position(box).left - before.left == 1000


def test_what_waits_in_the_socket_has_not_left_and_never_does_once_stopped(pair):
    """A connection that is stopped and closed gave its screen exactly what was told to have left."""
    box, screen = pair
    before = stream.position(box)
    took = fill(box)
    assert stream.position(box).taken - before.taken == took
    stopped = stream.stop(box)
    box.close()
    assert stopped.left - before.left == read(screen) < took


def test_of_a_connection_that_its_screen_reset_it_is_known_what_left(pair):
    """After the reset nothing moves, and what left is neither all that was taken nor only what was acknowledged before."""
    box, screen = pair
    before = stream.position(box)
    took = fill(box)
    got = len(screen.recv(5000))
    screen.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    screen.close()
    until(lambda: stream.position(box).over)
    here = stream.position(box)
    assert here == stream.position(box)
    assert here.taken - before.taken == took
    assert 0 < got <= here.left - before.left < took


def test_a_unix_socket_is_none(tmp_path):
    """Only TCP has positions."""
    one, other = socket.socketpair()
    with one, other, pytest.raises(OSError, match="supported"):
        stream.position(one)
