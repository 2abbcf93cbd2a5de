"""Two policies -> who gains and who loses what."""

from __future__ import annotations

import pytest

from gateway.isolation.changes import changes
from gateway.isolation.policy import parse

POLICY = """
site: headend
zones:
  management: {{port: "02:68:67:28:00:0b", addresses: [10.40.0.11/24]}}
  culture: {{port: "02:68:67:0a:00:0b", addresses: [10.10.0.11/24]}}
services:
  metrics: {{zone: management, run: telemetry, listen: tcp/9100, from: [{sources}]}}
reach:
  broker: {{zone: management, run: telemetry, to: [{targets}], port: tcp/8883}}
never:
  - {{from: management, to: culture}}
"""


def policy(sources: str = "10.40.0.0/24", targets: str = "10.40.0.20"):
    """Return a policy with these senders of a service and these targets of the box."""
    return parse(POLICY.format(sources=sources, targets=targets).encode(), "site.yaml")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ({}, {}, []),
        ({}, {"sources": "10.40.0.0/25, 10.40.0.128/25"}, []),  # written otherwise, the same reach
        (
            {},
            {"sources": "10.40.0.2, 10.40.0.20"},
            ["management/10.40.0.0/31, 10.40.0.3-10.40.0.19, 10.40.0.21-10.40.0.255 loses telemetry at the box's tcp/9100"],
        ),
        (
            {"sources": "10.40.0.2, 10.40.0.20"},
            {"sources": "10.40.0.2, 10.40.0.21"},
            [
                "management/10.40.0.20 loses telemetry at the box's tcp/9100",
                "management/10.40.0.21 gains telemetry at the box's tcp/9100",
            ],
        ),
        ({}, {"targets": "10.40.0.20, 10.40.0.30"}, ["the box (telemetry) gains tcp/8883 at management/10.40.0.30"]),
        (
            {"sources": ", ".join(f"10.40.0.{n}" for n in range(20, 60, 2))},
            {"sources": "10.40.0.20"},
            [
                ("management/10.40.0.22, 10.40.0.24, 10.40.0.26, 10.40.0.28, 10.40.0.30, 10.40.0.32, 10.40.0.34, 10.40.0.36"
                " and more (19 addresses) loses telemetry at the box's tcp/9100")
            ],
        ),
    ],
)  # fmt: skip
def test_a_change_of_reach_is_told_by_those_for_whom_the_answer_differs(old, new, told):
    """However the addresses are written, exactly those are named whose reach changes."""
    assert [str(change) for change in changes(policy(**old), policy(**new))] == told


def test_a_group_is_named_and_its_size_told():
    """Who knows the group knows who is meant, however many they are."""
    new = (
        POLICY.format(sources='"@boxes"', targets="10.40.0.20").encode()
        + b"groups: {boxes: [10.40.0.0/28, 10.41.0.1]}\n"
    )
    new = new.replace(b"10.40.0.11/24", b"10.40.0.11/15")
    told = [str(change) for change in changes(policy("10.40.0.20"), parse(new))]
    assert "management/10.40.0.0/28, 10.41.0.1 (of @boxes) gains telemetry at the box's tcp/9100" in told
    assert changes(parse(new), parse(new.replace(b'"@boxes"', b"10.40.0.0/28, 10.41.0.1"))) == []


def test_what_is_no_reach_is_told_too():
    """Approvers, pinned neighbours, rates and samples are granted by the policy as well."""
    key = "ed25519:" + "A" * 43 + "="
    new = POLICY.format(sources="10.40.0.0/24", targets="10.40.0.20")
    new = new.replace("[10.40.0.11/24]", '[10.40.0.11/24], neighbours: {10.40.0.1: "02:00:00:00:00:01"}')
    new = new.replace("from: [10.40.0.0/24]", "from: [10.40.0.0/24], log: true")
    new += f"serial: 1\napproval: {{signatures: 1, keys: {{li: '{key}'}}}}\nlog: {{denied: 1/min}}\n"
    assert [str(change) for change in changes(policy(), parse(new.encode()))] == [
        "the log loses samples of denied packets, 10/s for each zone and reason",
        "the log gains samples of denied packets, 1/min for each zone and reason",
        "the log gains samples of what is opened at service metrics",
        f"the policy gains the approver li with the key {key}",
        "the policy gains the rule that 1 of its approvers sign the next one",
        "zone management gains the neighbour 10.40.0.1 at 02:00:00:00:00:01 and nowhere else",
    ]
