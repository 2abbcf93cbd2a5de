"""Processes and what they hold: what is a bridge, what is the design, what is an operator's tool, and what is done against each."""

from __future__ import annotations

import socket

import pytest

from gateway.isolation.bridges.judging_processes import changed, connections, processes, shared, users
from gateway.isolation.bridges.nouns import Connection, EndProcess, Process, Shared
from tests.unit.gateway.isolation.bridges.conftest import (
    AT_HOME,
    BIGSCREEN,
    CULTURE,
    MANAGEMENT,
    OTHER,
    inet,
    process,
    sight,
)


def names(found: object) -> list[str]:
    return [finding.name for finding in found]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("one", "name", "zones"),
    [
        (process(7, CULTURE, sockets=(inet(1, BIGSCREEN),)), "process-in-two-zones", ("bigscreen", "culture")),
        (process(7, AT_HOME, sockets=(inet(1, BIGSCREEN),)), "process-in-two-zones", ("bigscreen",)),
        (process(7, CULTURE, sockets=(inet(1, OTHER, socket.AF_NETLINK),)), "process-in-two-zones", ("culture",)),
        (process(7, CULTURE, threads={CULTURE: 7, BIGSCREEN: 8}), "thread-in-two-zones", ("bigscreen", "culture")),
        (process(7, CULTURE, taps=(("tap0", BIGSCREEN),)), "tap-in-two-zones", ("bigscreen", "culture")),
    ],
)
def test_what_touches_a_zone_and_any_other_namespace_is_ended(one: Process, name: str, zones: tuple[str, ...]):
    """A zone and home, or a zone and a namespace of nobody, is half a bridge already."""
    (finding,) = processes(sight(processes=(one,)))

    assert (finding.name, finding.zones, finding.pid) == (name, zones, 7)
    assert finding.mends == (EndProcess(7, 70),)


@pytest.mark.parametrize(
    "one",
    [
        process(7, CULTURE, sockets=(inet(1, CULTURE), inet(2, CULTURE, socket.AF_NETLINK))),
        process(7, CULTURE, sockets=(inet(1, AT_HOME, socket.AF_UNIX),)),  # systemd made it: standard output
        process(7, AT_HOME, sockets=(inet(1, OTHER),)),  # no zone is touched
        process(7, CULTURE, sockets=(inet(1, BIGSCREEN),), trusted=True),  # the guard
    ],
)
def test_what_touches_one_zone_only_or_is_trusted_is_none(one: Process):
    """A daemon of one zone, a socket of systemd's, other namespaces' own affairs, and the guard."""
    assert not list(processes(sight(processes=(one,))))


def test_a_gateway_s_unit_is_ended_as_a_unit():
    """systemd starts it anew, where killing one process would leave the rest of what was taken over."""
    unit = "headgate-delivery@bigscreen.service"
    (finding,) = processes(sight(processes=(process(7, BIGSCREEN, unit=unit, sockets=(inet(1, CULTURE),)),)))

    assert finding.mends == (EndProcess(7, 70, unit),)


@pytest.mark.parametrize(
    ("held", "name"),
    [
        ({"sockets": (inet(1, CULTURE, socket.AF_INET, socket.SOCK_RAW),)}, "raw-socket"),
        ({"sockets": (inet(1, CULTURE, socket.AF_PACKET, socket.SOCK_DGRAM),)}, "raw-socket"),
        ({"special": ("io_uring",)}, "io-uring"),
        ({"spaces": (BIGSCREEN,)}, "namespace-held"),
        ({"user_space": True}, "user-namespace"),
    ],
)
def test_root_s_tools_in_one_zone_are_told_and_a_daemon_with_them_is_ended(held: dict[str, object], name: str):
    """Root pings; a daemon, or a user's process, that does has broken out of its sandbox."""
    (root,) = processes(sight(processes=(process(7, CULTURE, **held),)))
    (user,) = processes(sight(processes=(process(7, CULTURE, uids=frozenset({33}), **held),)))
    (daemon,) = processes(sight(processes=(process(7, CULTURE, unit="headgate-fetch.service", **held),)))

    assert {root.name, user.name, daemon.name} == {name}
    assert root.mends == ()
    assert user.mends == (EndProcess(7, 70),)
    assert daemon.mends == (EndProcess(7, 70, "headgate-fetch.service"),)


def test_vsock_and_af_xdp_are_ended_whoever_has_them():
    """Both pass by what namespaces and rulesets hold apart."""
    found = list(
        processes(sight(processes=(process(7, CULTURE, sockets=(inet(1, CULTURE, 40), inet(2, CULTURE, 44))),)))
    )

    assert names(found) == ["vsock", "xdp-socket"]
    assert all(finding.mends for finding in found)


def test_a_tracer_in_another_namespace_is_ended():
    """It could do whatever its victim may; in one namespace, root may debug."""
    traced = process(7, CULTURE, tracer=8)

    (finding,) = processes(sight(processes=(traced, process(8, BIGSCREEN))))
    assert (finding.name, finding.pid, finding.mends) == ("traced-across", 8, (EndProcess(8, 80),))
    assert not list(processes(sight(processes=(traced, process(8, CULTURE)))))


def test_a_user_of_two_zones_is_found_and_its_processes_outside_units_are_ended():
    """One uid per zone, root excepted; effective, saved and file system uids count too."""
    both = (
        process(7, CULTURE, uids=frozenset({0, 33})),
        process(8, BIGSCREEN, uids=frozenset({33}), unit="nginx.service"),
    )

    (finding,) = users(sight(processes=both))
    assert (finding.name, finding.zones) == ("shared-user", ("bigscreen", "culture"))
    assert finding.mends == (EndProcess(7, 70),)
    assert not list(users(sight(processes=(process(7, CULTURE), process(8, BIGSCREEN)))))


def test_who_goes_from_zone_to_zone_is_a_courier_but_for_root_s_commands_from_management():
    """``ip netns exec`` in an operator's session is told of; the way back, and any other way, is a crossing."""
    there = (process(7, BIGSCREEN),)

    (courier,) = changed(sight(processes=there), {(7, 70): CULTURE})
    assert (courier.name, courier.mends) == ("zone-changed", (EndProcess(7, 70),))
    (operator,) = changed(sight(processes=there), {(7, 70): MANAGEMENT})
    assert (operator.name, operator.mends) == ("operator-entered", ())
    assert names(changed(sight(processes=(process(7, MANAGEMENT),)), {(7, 70): CULTURE})) == ["zone-changed"]
    assert not list(changed(sight(processes=there), {(7, 71): CULTURE}))  # the number was used again
    assert not list(changed(sight(processes=there), {(7, 70): AT_HOME}))  # a unit of systemd's that has just begun


def test_a_pipe_between_zones_ends_both_ends():
    """Whatever carries bytes counts, terminals too."""
    item = (Shared("pipe", "pipe:[9]", "pipe:[9]", writes=True),)

    (finding,) = shared(sight(processes=(process(7, CULTURE, shared=item), process(8, BIGSCREEN, shared=item))))
    assert finding.name == "pipe"
    assert finding.mends == (EndProcess(7, 70), EndProcess(8, 80))


@pytest.mark.parametrize("space", [AT_HOME, OTHER])
def test_a_man_in_the_middle_of_two_pipes_is_found(space: int):
    """Root's pipe to one zone is an operator's command; to two at a time it is a bridge."""
    one, two = (Shared("pipe", f"pipe:[{n}]", f"pipe:[{n}]", writes=True) for n in (8, 9))
    middle = process(5, space, shared=(one, two))
    left, right = process(7, CULTURE, shared=(one,)), process(8, BIGSCREEN, shared=(two,))

    found = list(shared(sight(processes=(middle, left, right))))
    assert [(f.name, f.mends) for f in found] == [("pipe", (EndProcess(7, 70),)), ("pipe", (EndProcess(8, 80),))]
    assert names(shared(sight(processes=(process(5, space, shared=(one,)), left, right)))) == ["operator-pipe"]


def test_a_pipe_to_a_session_in_management_is_told_if_all_of_it_is_root_s():
    """The output of ``ip netns exec`` goes to the operator's shell; a daemon's does not."""
    item = (Shared("pipe", "pipe:[9]", "pipe:[9]", writes=True),)
    shell = process(7, MANAGEMENT, shared=item, unit="session-1.scope")

    (operator,) = shared(sight(processes=(shell, process(8, CULTURE, shared=item))))
    assert (operator.name, operator.mends) == ("operator-pipe", ())
    (daemon,) = shared(sight(processes=(shell, process(8, CULTURE, shared=item, unit="headgate-fetch.service"))))
    assert (daemon.name, daemon.mends) == ("pipe", (EndProcess(8, 80, "headgate-fetch.service"),))


@pytest.mark.parametrize(
    ("path", "writes", "found"),
    [
        ("/tmp/box", True, ["shared-file"]),
        ("", True, ["shared-file"]),
        ("/tmp/box", False, []),
        ("/run/headgate/metrics/delivery-bigscreen/delivery-bigscreen.prom", True, []),
        ("/usr/lib/libc.so.6", False, []),
    ],
)
def test_a_file_that_two_zones_have_open_is_found_where_it_is_written(path: str, writes: bool, found: list[str]):
    """Programs and what the design shares are no bridges; a mapping and a descriptor of one file are one."""
    reader = process(7, CULTURE, shared=(Shared("file", "1:2", path, writes=False),))
    writer = process(8, BIGSCREEN, shared=(Shared("memory", "1:2", path, writes=writes),))

    told = list(shared(sight(processes=(reader, writer))))
    assert names(told) == found
    assert all(finding.mends == (EndProcess(8, 80),) for finding in told)


def connected(server: Process, client: Process, path: str) -> list[str]:
    ends = (Connection(10, 11, path, server.main), Connection(11, 10, "", client.main))
    return names(connections(sight(processes=(server, client), connections=ends)))


def ends(server: dict[str, object], client: dict[str, object]) -> tuple[Process, Process]:
    unix = socket.AF_UNIX
    return (
        process(7, server.pop("space"), sockets=(inet(10, AT_HOME, unix),), **server),  # type: ignore[arg-type]
        process(8, client.pop("space"), sockets=(inet(11, AT_HOME, unix),), **client),  # type: ignore[arg-type]
    )


def test_the_exchange_may_be_met_at_its_sockets_and_nobody_else_there():
    """The path alone proves nothing: the unit that holds the bound end must be the exchange's."""
    path = "/run/headgate/exchange/delivery-bigscreen/exchange.sock"
    design = ends({"space": OTHER, "unit": "headgate-exchange.service"}, {"space": BIGSCREEN})
    forged = ends({"space": CULTURE, "unit": "evil.service"}, {"space": BIGSCREEN})

    assert connected(*design, path) == []
    assert connected(*forged, path) == ["unix-socket"]
    assert connected(*design, "/tmp/other.sock") == ["unix-socket"]


def test_a_unix_socket_to_any_other_namespace_is_found_but_systemd_s():
    """A man in the middle at home would join two zones as well."""
    assert connected(*ends({"space": AT_HOME}, {"space": CULTURE}), "/tmp/x") == ["unix-socket"]
    assert connected(*ends({"space": CULTURE}, {"space": CULTURE}), "/tmp/x") == []
    journal = {"space": AT_HOME, "unit": "systemd-journald.service"}
    assert connected(*ends(journal, {"space": CULTURE}), "/run/systemd/journal/stdout") == []


def test_a_datagram_socket_is_known_by_the_path_of_the_one_it_sends_to():
    """The journal's own socket has no peer: many send to it."""
    journal, daemon = ends({"space": AT_HOME, "unit": "systemd-journald.service"}, {"space": CULTURE})
    bound, sends = Connection(10, 0, "/run/systemd/journal/dev-log", AT_HOME), Connection(11, 10, "", CULTURE)

    assert names(connections(sight(processes=(journal, daemon), connections=(bound, sends)))) == []
    elsewhere = Connection(10, 0, "/tmp/log", AT_HOME)
    assert names(connections(sight(processes=(journal, daemon), connections=(elsewhere, sends)))) == ["unix-socket"]
