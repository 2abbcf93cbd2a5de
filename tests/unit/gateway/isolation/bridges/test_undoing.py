"""Who is ended, and who never: process 1, the guard, and whoever has the number by now."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from appliance.runtime.command import CommandFailed
from gateway.isolation.bridges import undoing, watch
from gateway.isolation.bridges.nouns import DeleteLink, EndProcess, Found


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def test_a_process_is_ended_by_its_number_and_its_beginning(sleeper: subprocess.Popen[bytes]):
    """A number that another process has by now is left alone."""
    started = undoing._started(sleeper.pid)
    assert undoing.end_process(EndProcess(sleeper.pid, started + 1)) == "it ended by itself"
    assert sleeper.poll() is None
    assert undoing.end_process(EndProcess(sleeper.pid, started)) == f"killed process {sleeper.pid}"
    assert sleeper.wait(5) == -signal.SIGKILL
    assert undoing.end_process(EndProcess(sleeper.pid, started)) == "it ended by itself"


def test_neither_process_1_nor_the_guard_is_ended():
    """Whatever they hold; the guard's number is this process's."""
    for pid in (1, os.getpid()):
        assert undoing.end_process(EndProcess(pid, undoing._started(pid))) == ""


def test_a_unit_is_killed_by_systemd(monkeypatch: pytest.MonkeyPatch):
    """All of its processes at once, after which it starts anew."""
    ran: list[Any] = []
    monkeypatch.setattr(undoing.command, "run", lambda argv: ran.append(argv))
    unit = "headgate-delivery@bigscreen.service"
    assert undoing.end_process(EndProcess(7, 70, unit)) == f"killed {unit}, which starts anew"
    assert ran == [["systemctl", "kill", "--signal=SIGKILL", unit]]


def test_a_link_of_a_namespace_that_is_gone_is_gone_too():
    """Nothing is left to be done, and that is said."""
    finding = Found(16, "foreign-link", ("culture",), "a link", mends=(DeleteLink(4711, 2),))
    assert undoing.undo(finding, {}) == "its network namespace is gone"


def test_what_cannot_be_undone_stays_open(monkeypatch: pytest.MonkeyPatch):
    """Then objects stop, and the others are undone all the same."""

    class NoZones:
        def name(self, zone: str) -> str:
            return zone

        def zones(self) -> list[str]:
            return []

    def undo(finding: Found, seen: object) -> str:
        if finding.pid == 7:
            raise CommandFailed(["systemctl"], 1, "no")
        return "killed"

    monkeypatch.setattr(undoing, "undo", undo)
    first, second = (Found(20, "process-in-two-zones", ("culture",), "it", pid) for pid in (7, 8))
    told = watch.Bridges(NoZones(), virtual=True).undo_all([first, second])

    assert [f.done for f in told] == ["", "killed"]
    assert watch.must_stop_lanes(told)
