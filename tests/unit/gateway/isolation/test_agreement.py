"""The words of a difference are what the proof over all packets finds."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.isolation import agreement, changes
from gateway.isolation.agreement import proven
from gateway.isolation.policy import Policy, parse

POLICY = """
site: headend
zones:
  management: {{port: "02:68:67:28:00:0b", addresses: [{own}, "fd40::11/64"], neighbours: {{{pins}}}}}
  culture: {{port: "02:68:67:0a:00:0b", addresses: [10.10.0.11/24], routes: [{routes}]}}
groups:
  some: [10.40.0.3, 10.40.0.40, "fd40::5", {group}]
services:
  metrics: {{zone: management, run: telemetry, listen: {listen}, from: [{sources}]}}
  web: {{zone: culture, run: nginx, listen: tcp/80, from: [{far}]}}
reach:
  broker: {{zone: management, run: telemetry, to: [{targets}], port: tcp/8883}}
  second: {{zone: management, run: fetching, to: ["@some"], port: {second}}}
never:
  - {{from: management, to: culture}}
"""

hosts = st.lists(
    st.sampled_from(
        ['"@some"', "10.40.0.3", "10.40.0.8/29", "10.40.0.0/25", '"fd40::5"', '"fd40::/112"', "10.40.0.11"]
    ),
    min_size=1,
    max_size=3,
)
shapes = st.fixed_dictionaries(
    {
        "own": st.sampled_from(["10.40.0.11/24", "10.40.0.12/24"]),
        "pins": st.sampled_from(
            ["", '10.40.0.3: "02:00:00:00:00:03"', '10.40.0.3: "02:00:00:00:00:04", "fd40::5": "02:00:00:00:00:05"']
        ),
        "routes": st.sampled_from(["{to: 10.11.0.0/16, via: 10.10.0.1}", "{to: 0.0.0.0/0, via: 10.10.0.1}"]),
        "group": st.sampled_from(["10.40.0.64/28", "10.40.0.65"]),
        "listen": st.sampled_from(["tcp/9100", "udp/9100", "tcp/9101"]),
        "sources": hosts.map(", ".join),
        "far": st.sampled_from(["10.10.0.0/24", "10.10.0.0/25, 10.11.0.7"]),
        "targets": hosts.map(", ".join),
        "second": st.sampled_from(["tcp/8883", "tcp/443"]),
    }
)


def made(shape: dict[str, str]) -> Policy:
    return parse(POLICY.format(**shape).encode())


@settings(max_examples=20, deadline=None)
@given(shapes, shapes)
def test_words_and_proof_agree(one: dict[str, str], other: dict[str, str]) -> None:
    """Whatever changes: senders, targets, the box's own addresses, ports, groups, routes, pinned neighbours."""
    assert proven(made(one), made(other))[0]


@pytest.fixture
def one() -> dict[str, str]:
    """Return a policy's parts."""
    return {"own": "10.40.0.11/24", "pins": "", "routes": "{to: 0.0.0.0/0, via: 10.10.0.1}", "group": "10.40.0.65", "listen": "tcp/9100",
            "sources": '"@some"', "far": "10.10.0.0/24", "targets": "10.40.0.20", "second": "tcp/443"}  # fmt: skip


def test_words_that_leave_something_out_are_found(one: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A difference that is not told, or told wrongly, is not proven."""
    old, new = made(one), made({**one, "sources": '"@some", 10.40.0.9'})
    assert proven(old, new) == (True, 1)
    real = agreement._differing
    monkeypatch.setattr(agreement, "_differing", lambda a, b, verb: {} if verb == "gains" else real(a, b, verb))
    assert not proven(old, new)[0]


def test_the_words_and_what_is_proven_are_the_same_sets(one: dict[str, str]) -> None:
    """What ``changes`` tells of senders is what is held against the proof, but for senders that cannot be."""
    old, new = made(one), made({**one, "sources": '"@some", 10.40.0.0/28'})
    told = changes.differing(new, old)
    shown = agreement._differing(new, old, "gains")
    (spans,) = [addresses[4] for addresses in told.values()]
    (reckoned,) = shown.values()
    own = int(new.zones["management"].addresses[0].ip)
    assert {n for first, last in spans for n in range(first, last + 1)} - {own} == {
        n for first, last in reckoned for n in range(first, last + 1)
    }
