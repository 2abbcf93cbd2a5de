"""What the guard decides: where to begin, what its status says; what two policies differ in; which units run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from appliance.runtime import command
from appliance.runtime.errors import Refused
from gateway.isolation import units
from gateway.isolation.changes import changes
from gateway.isolation.decisions import (
    Findings,
    Pending,
    audited,
    begin_with,
    denials,
    pending_of,
    state_of,
    to_tell,
    tripped,
)
from gateway.isolation.policy import Policy


@pytest.mark.parametrize(
    ("has_enforced", "has_previous", "pending", "now", "begin"),
    [
        (False, False, None, 0, "asked"),
        (True, True, None, 0, "enforced"),
        (True, True, Pending("new", 100), 99, "enforced"),
        (True, True, Pending("new", 100), 100, "previous"),
        (True, True, Pending("other", 100), 200, "enforced"),
        (True, False, Pending("new", 100), 200, "enforced"),
    ],
)
def test_a_starting_guard_begins_with(
    has_enforced: bool, has_previous: bool, pending: Pending | None, now: float, begin: str
) -> None:
    """The last good policy, unless its confirmation is overdue, or there is none."""
    told = begin_with(has_enforced=has_enforced, has_previous=has_previous, enforced="new", pending=pending, now=now)
    assert told == begin


@pytest.mark.parametrize(
    ("findings", "wanted", "pending", "state"),
    [
        (Findings({}, {}), "a", None, "enforced"),
        (Findings({}, {}), "b", None, "pending"),
        (Findings({}, {}), "a", Pending("a", 9), "pending"),
        (Findings({}, {"culture": "x"}), "a", None, "drift"),
        (Findings({"culture": "x"}, {}), "a", None, "failed"),
        (Findings({}, {"culture": "x"}, ("y",)), "a", None, "failed"),
    ],
)
def test_the_box_is_in_one_state(findings: Findings, wanted: str, pending: Pending | None, state: str) -> None:
    """The worst that holds is the word."""
    assert state_of(findings, wanted=wanted, enforced="a", pending=pending) == state


@pytest.mark.parametrize("within", [0.5, 3601.0, float("nan")])
def test_a_confirmation_is_due_in_bounded_time(site: Policy, within: float) -> None:
    """A deadline that never comes, or is over already, is refused."""
    with pytest.raises(Refused):
        pending_of(site, within, 0)


def test_the_same_drift_is_told_once_a_minute() -> None:
    """A quarrel over one rule does not fill the spool."""
    told = {"culture": ("gone", 100.0)}
    assert to_tell({"culture": "gone"}, told, 159) == {}
    assert to_tell({"culture": "gone"}, told, 160) == {"culture": "gone"}
    assert to_tell({"culture": "other"}, told, 101) == {"culture": "other"}


def test_a_difference_says_who_gains_and_who_loses(site: Policy, edited: Callable[[str, str], Policy]) -> None:
    """Losses come first, and a renamed service is no difference."""
    new = edited("listen: tcp/8080, from: [10.20.0.0/24]", "listen: tcp/8080, from: [10.20.0.64/26]")
    assert [str(change) for change in changes(site, new)] == [
        "bigscreen/10.20.0.0/26, 10.20.0.128/25 loses resolver at the box's tcp/8080",
    ]
    assert changes(site, edited("  metrics:   {", "  figures:   {")) == []
    lost = changes(site, edited("  usage:       {from: bigscreen, to: management, kind: record}\n", ""))
    assert [str(change) for change in lost] == [
        "zone management loses records from bigscreen (objects up to 67108864 bytes)"
    ]


def test_units_follow_the_services(site: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the policy names and does not run is started, what runs unnamed is stopped, the rest reloads."""
    called: list[tuple[str, ...]] = []

    def run(argv: list[str]) -> str:
        called.append(tuple(argv[1:]))
        zones = ("bigscreen", "smallscreen")
        listed = "".join(f"headgate-delivery@{zone}.service loaded active running x\n" for zone in zones)
        return listed if argv[1] == "list-units" else ""

    monkeypatch.setattr(command, "run", run)
    units.Units().bring(site)
    assert called[1:3] == [
        ("stop", "--no-block", "headgate-delivery@smallscreen.service"),
        ("start", "--no-block", "headgate-resolver@bigscreen.service"),
    ]
    assert called[3][0] == "try-reload-or-restart"
    assert "headgate-delivery@bigscreen.service" in called[3]
    assert "headgate-resolver@bigscreen.service" not in called[3]


def test_what_the_tripwire_set_down_is_written_down_once_a_link():
    """Each link by its place and name; other changes that it heard are no decisions."""
    heard = "home: link x was up and was set down; culture: address; culture: link cheat0 was up and was set down; and 3 more"
    told = [(one["reason"], one["way"], one["zones"]) for one in tripped(heard)]

    assert told == [("link-up-at-home", 30, []), ("foreign-link", 16, ["culture"])]
    assert tripped("the trip-wire ended: unknown change") == []


def test_denied_packets_are_written_down_by_zone_and_connections_apart():
    """Counts are whole, samples few, and a sampled connection of a service was denied to nobody."""

    def row(zone: str, reason: str, denied: int, recorded: int, samples: int) -> dict[str, Any]:
        return {
            "zone": zone,
            "reason": reason,
            "denied": denied,
            "recorded": recorded,
            "samples": [{"src": "x"}] * samples,
            "lost": 0,
        }

    rows = [
        row("a", "input default", 7, 5, 9),
        row("a", "ingress options", 90, 1, 1),
        row("a", "services.films", 4, 4, 4),
        row("b", "input default", 1, 0, 0),
    ]
    told = {(one["decision"], one["zone"]): one for one in denials(rows)}

    assert list(told) == [("deny", "a"), ("opened", "a"), ("deny", "b")]
    assert (told["deny", "a"]["denied"], told["deny", "a"]["recorded"]) == (97, 6)
    assert [one["reason"] for one in told["deny", "a"]["rows"]] == ["ingress options", "input default"]
    assert len(told["deny", "a"]["rows"][1]["samples"]) == 3
    assert "denied" not in told["opened", "a"]
    assert "denied" not in told["opened", "a"]["rows"][0]
    assert denials([]) == []


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"ok": True, "faults": [], "probes": None}, {"reason": "passed", "faults": 0, "proofs": "1 of 2 equal"}),
        (
            {
                "ok": False,
                "faults": ["x"],
                "probes": {"passed": 3, "failed": 1, "blind": 0},
                "report": {"grade": "not-shown", "sha256": "ab"},
            },
            {
                "reason": "not-shown",
                "faults": 1,
                "proofs": "1 of 2 equal",
                "probes": "3 passed, 1 failed, 0 blind",
                "file": "ab",
            },
        ),
    ],
)
def test_an_audit_is_written_down_with_proofs_and_probes(more: dict[str, Any], told: dict[str, Any]):
    """What was proved and probed, and the digest of the report where one was written."""
    assert audited({"proofs": [{"equal": True}, {"equal": False}], **more}) == {"decision": "audit", **told}
