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
                ("management/10.40.0.22, 10.40.0.24, 10.40.0.26, 10.40.0.28, 10.40.0.30, 10.40.0.32, 10.40.0.34, 10.40.0.36 and more"
                " loses telemetry at the box's tcp/9100")
            ],
        ),
    ],
)  # fmt: skip
def test_a_change_of_reach_is_told_by_those_for_whom_the_answer_differs(old, new, told):
    """However the addresses are written, exactly those are named whose reach changes."""
    assert [str(change) for change in changes(policy(**old), policy(**new))] == told
