"""What runs, and what breaks it off."""

from __future__ import annotations

import contextlib
import socket

import pytest

from appliance.runtime.errors import Refused
from gateway.permission.permit import Permit
from gateway.serving.running import Running

MINE, OTHER = Permit("portal", 1000.0, token="ab"), Permit("portal", 1000.0, token="cd")


class Request:
    """A request on one end of a connection."""

    def __init__(self) -> None:
        self.socket, self.screen = socket.socketpair()
        self.screen.settimeout(0)
        self.transport = self

    def get_extra_info(self, name: str) -> socket.socket:
        assert name == "socket"
        return self.socket

    def close(self) -> None:
        self.socket.close()
        self.screen.close()

    def is_cut(self) -> bool:
        try:
            return self.screen.recv(1) == b""
        except BlockingIOError:
            return False


def withdrawn(permit: Permit) -> Refused | None:
    return Refused("token-withdrawn", "withdrawn", 401) if permit is MINE else None


def test_what_runs_by_a_withdrawn_token_is_broken_off():
    """One that has begun is cut, whatever its release; other tokens', and those of zones without, go on."""
    running, requests = Running(), [Request() for _ in range(4)]
    with (
        contextlib.ExitStack() as over,
        running.of("1", requests[0], MINE) as first,
        running.of("2", requests[1], MINE) as second,
        running.of("1", requests[2], OTHER) as third,
        running.of("1", requests[3]) as fourth,
    ):
        for request in requests:
            over.callback(request.close)
        for turn in (first, third, fourth):
            turn.begin()
        assert running.cut_permits(withdrawn) == 1
        assert [request.is_cut() for request in requests] == [True, False, False, False]
        with pytest.raises(Refused) as refused:
            second.begin()
        assert refused.value.reason == "token-withdrawn"
        assert running.cut_permits(withdrawn) == 0
        assert running.cut(["1"]) == 2  # the first was broken off before
        assert [request.is_cut() for request in requests] == [True, False, True, True]
