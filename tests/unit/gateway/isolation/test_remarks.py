"""What a valid policy says in vain."""

from __future__ import annotations

import pytest

from gateway.isolation import policy
from gateway.isolation.remarks import remarks
from tests.unit.gateway.isolation.conftest import TEXT

ASKERS = "[10.40.0.20]}\nreach"  # the end of a list of them
KEY = "ed25519:" + "B" * 43 + "="


def test_the_example_has_nothing_in_vain() -> None:
    """The policy of the contributor's map is without remark."""
    assert remarks(policy.parse(TEXT.encode())) == []


@pytest.mark.parametrize(
    ("old", "new", "path", "told"),
    [
        ("never:\n", "groups: {idle: [10.20.0.7]}\nnever:\n", "groups.idle", "used nowhere"),
        (ASKERS, '["@a", "@b"]}\ngroups: {a: [10.40.0.20, 10.40.0.21], b: [10.40.0.21]}\nreach',
         "services.metrics.from[1]", "@b is within @a"),
        (ASKERS, '["@a", 10.40.0.0/25]}\ngroups: {a: [10.40.0.20]}\nreach', "services.metrics.from[0]", "@a is within 10.40.0.0/25"),
        (ASKERS, '["@a", 10.40.0.20]}\ngroups: {a: [10.40.0.16/29]}\nreach', "services.metrics.from[1]", "10.40.0.20 is within @a"),
        (ASKERS, '["@a"]}\ngroups: {a: [10.40.0.20, 10.40.0.9, 10.40.0.20]}\nreach', "groups.a[2]", "a second time"),
        (ASKERS, '["@a"]}\ngroups: {a: [10.40.0.20, 10.40.0.16/29, 10.40.0.17]}\nreach', "groups.a", "10.40.0.16/29 covers 2 of"),
        ("to: [10.40.0.20], port", "to: [10.40.0.20, 10.40.0.20], port", "reach.broker.to[1]", "is written twice"),
        ("  broker:", "  again: {zone: management, run: telemetry, to: [10.40.0.0/24], port: tcp/8883}\n  broker:",
         "reach.broker", "does not open"),
        ("  usage:", "  films2: {from: culture, to: bigscreen, kind: release}\n  usage:", "lanes.films2", "lane 'films' carries already"),
        ("  usage:", "  office: {from: culture, to: management, kind: release}\n  usage:",
         "lanes.office.to", "nothing gives them to anybody"),
        ("  identifiers: {from: culture,   to: bigscreen,  kind: identifier}\n", "", "registry", "nobody asks this registry"),
        ("acts: [share]", "acts: [associate]", "bodies.guangxi-library.acts", "may not share"),
        ("bodies:", '  smallscreen: {port: "02:68:67:1e:00:0b", addresses: [10.30.0.11/24]}\nbodies:', "zones.smallscreen", "never used"),
        ("[10.40.0.11/24]}", '[10.40.0.11/24], neighbours: {10.41.0.1: "02:00:00:00:00:01"}}',
         "zones.management.neighbours.10.41.0.1", "never a neighbour"),
        ('"02:68:67:28:00:0b", addresses: [10.40.0.11/24]}\n  culture:    {port: "02:68:67:0a:00:0b"',
         '"pci:0000:03:00.0", addresses: [10.40.0.11/24]}\n  culture:    {port: "pci:0000:03:00.1"',
         "zones.culture.port", "card that zone 'management' has"),
        ("never:", "  - {from: bigscreen, to: culture, verdict: drop}\nnever:", "expect[4]", "asks what line 26 asks"),
        ("  - {from: bigscreen, to: management}\n", "  - {from: bigscreen, to: management}\n  - {from: bigscreen, to: management}\n",
         "never[1]", "promises this already"),
        ("  - {from: bigscreen, to: management}\n", "  - {from: bigscreen, to: culture, lane: record}\n",
         "never[0]", "promises this already"),
        ("site:", f'serial: 1\napproval: {{signatures: 1, keys: {{li: "{KEY}"}}}}\nsite:',
         "approval.signatures", "with one of them lost"),
    ],
)  # fmt: skip
def test_one_remark_at_its_place(old: str, new: str, path: str, told: str) -> None:
    """Each part that does nothing is told once, where it stands."""
    assert old in TEXT
    found = remarks(policy.parse(TEXT.replace(old, new, 1).encode(), "site.yaml"))
    assert [(fault.path, told in fault.message) for fault in found] == [(path, True)]
    assert all(fault.line and fault.source for fault in found)


def test_a_line_that_stands_twice_in_a_long_text_is_told_at_its_own_line() -> None:
    """Not at the name of the group."""
    text = TEXT.replace(
        "[10.40.0.20]}\nreach", '["@a"]}\ngroups:\n  a: |\n    10.40.0.20\n    10.40.0.9\n    10.40.0.20\nreach'
    )
    (fault,) = remarks(policy.parse(text.encode(), "site.yaml"))
    assert (fault.line, fault.column, fault.source.strip()) == (20, 5, "10.40.0.20")
    assert fault.line == text[: text.rindex("10.40.0.20\nreach")].count("\n") + 1
