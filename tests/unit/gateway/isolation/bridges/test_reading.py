"""What the kernel writes, read with suspicion: names hold anything, lengths lie, and lines to the guard stay short."""

from __future__ import annotations

import json
import struct

import pytest

from gateway.isolation.bridges import ears, known, processes
from gateway.isolation.bridges.netlink import attribute, attributes, messages
from gateway.isolation.bridges.nouns import Found
from gateway.isolation.bridges.watch import must_stop_lanes
from gateway.isolation.evidence import Finding
from tests.unit.gateway.isolation.bridges.conftest import AT_HOME, CULTURE, process


@pytest.mark.parametrize(
    ("cgroup", "unit"),
    [
        ("0::/system.slice/headgate-guard.service\n", "headgate-guard.service"),
        (
            "0::/system.slice/system-headgate\\x2ddelivery.slice/headgate-delivery@big.service\n",
            "headgate-delivery@big.service",
        ),
        ("9:name=systemd:/system.slice/ssh.service\n3:cpu:/\n0::/\n", "ssh.service"),
        ("0::/user.slice/user-0.slice/user@0.service/app.slice/headgate-guard.service\n", "user@0.service"),
        ("0::/user.slice/user-0.slice/session-3.scope\n", "session-3.scope"),
        ("0::/\n", ""),
        ("0::/../../elsewhere\n", ""),
    ],
)
def test_a_unit_is_the_outermost_of_the_cgroup(cgroup: str, unit: str):
    """Nobody becomes the guard by making a cgroup of its name inside its own."""
    assert processes.unit_of(cgroup.encode()) == unit


def test_a_process_may_call_itself_anything():
    """Parentheses, spaces and what looks like fields in a name do not move the fields."""
    fields = "S 17 1 1 0 -1 4194560 " + " ".join("0" for _ in range(12)) + " 4711 0"
    assert processes._told(f"7 (a) R 1 (b) {fields}\n".encode()) == ("a) R 1 (b", 17, 4194560, 4711)


def test_shared_memory_is_known_by_its_file_and_anonymous_inodes_are_not():
    """Writable and shared counts as writing; private mappings and one inode that serves all descriptors do not count."""
    maps = b"""\
7f00-7f01 rw-s 00000000 00:01 42                         /memfd:x (deleted)
7f02-7f03 r--s 00000000 fe:00 43                         /usr/cache
7f04-7f05 rw-p 00000000 fe:00 44                         /usr/lib/x.so
7f06-7f07 rw-s 00000000 00:0e 11                         anon_inode:[perf_event]
"""
    assert [(s.key, s.writes, s.path) for s in processes._mapped(maps)] == [
        ("1:42", True, "/memfd:x (deleted)"),
        (f"{0xFE << 8}:43", False, "/usr/cache"),
    ]


def test_messages_and_attributes_end_where_a_length_lies():
    """A zero or short length ends the reading instead of going on for ever."""
    whole = struct.pack("=IHHII", 20, 16, 0, 1, 0) + b"abcd"
    assert list(messages(whole + struct.pack("=IHHII", 3, 16, 0, 1, 0))) == [(16, 0, b"abcd")]
    assert attributes(attribute(3, b"port0\0") + struct.pack("=HH", 0, 9)) == {3: b"port0\0"}


def test_a_line_to_the_guard_is_short_whatever_was_heard():
    """A storm of changes becomes one line that the pipe takes whole, and says how much it leaves out."""
    listening = ears.Ears(guard=1)
    listening.reasons = dict.fromkeys(f"culture: link {'界' * 40}{n}" for n in range(1000))
    line = listening.line()
    assert len(line) <= ears.LONGEST_LINE
    assert json.loads(line)["heard"].startswith("culture: link 界")
    assert listening.reasons == {}


def test_own_changes_of_rulesets_wake_nobody():
    """The kernel says which process made the change; the number cannot be forged, as a name can."""
    listening = ears.Ears(guard=4711)
    body = struct.pack("=BBH", 0, 0, 0)
    mine = body + attribute(2, struct.pack(">I", 4711))
    assert listening.ruleset(ears.NEWGEN, mine) == ""
    assert listening.ruleset(ears.NEWGEN, body + attribute(2, struct.pack(">I", 12))) == "ruleset, by process 12"
    assert listening.ruleset(ears.NEWGEN - 1, mine) == ""


def test_neighbours_of_everyday_traffic_wake_nobody():
    """A pinned one that changes does, whatever it becomes, and so does one that somebody pins."""
    pinned = frozenset({bytes([10, 10, 0, 1])})

    def message(state: int, address: bytes) -> bytes:
        return struct.pack("=BxxxiHBB", 2, 2, state, 0, 0) + attribute(1, address)

    reachable, permanent = 0x02, 0x80
    assert ears.neighbour(message(reachable, bytes([10, 10, 0, 9])), pinned) == ""
    assert ears.neighbour(message(reachable, bytes([10, 10, 0, 1])), pinned) == "neighbour"
    assert ears.neighbour(message(permanent, bytes([10, 10, 0, 9])), pinned) == "neighbour"


def test_objects_stop_while_a_bridge_is_open_and_go_on_when_it_is_undone():
    """What is only told does not stop them, nor what another part of the guard found."""
    bridge = Found(16, "foreign-link", ("culture",), "a link")
    assert must_stop_lanes([bridge])
    assert not must_stop_lanes([Found(16, "foreign-link", ("culture",), "a link", done="deleted it")])
    assert not must_stop_lanes([Found(28, "raw-socket", ("culture",), "a ping"), Finding(31, "ruleset", (), "changed")])


def test_every_way_has_a_number_of_the_catalogue():
    """1 to 37, and at least one finding that stops the lanes for each way by which bytes can go."""
    assert all(1 <= name.way <= 37 for name in known.NAMES.values())
    assert {16, 17, 18, 19, 20, 21, 22, 23, 24, 26} <= {name.way for name in known.NAMES.values() if name.stops}


def test_the_guard_s_family_is_trusted_and_process_1_s_until_it_executes(monkeypatch: pytest.MonkeyPatch):
    """A unit that systemd is about to start holds systemd's descriptors; nobody else's child becomes trusted by its program alone."""
    monkeypatch.setattr(processes, "_identities", lambda: {"/usr/lib/systemd/systemd"})
    systemd = {"program": "/usr/lib/systemd/systemd"}
    family = [
        process(1, AT_HOME, parent=0, **systemd),
        process(10, AT_HOME),
        process(11, CULTURE, parent=10),
        process(20, CULTURE, **systemd),
        process(21, CULTURE, parent=20, **systemd),
        process(22, CULTURE, parent=21),
        process(23, CULTURE, uids=frozenset({33}), **systemd),
        process(30, CULTURE),
        process(31, CULTURE, parent=30, **systemd),
        process(40, CULTURE, parent=0),
    ]
    assert sorted(processes._trusted({p.pid: p for p in family}, guard=10)) == [1, 10, 11, 20, 21]
