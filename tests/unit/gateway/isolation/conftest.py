"""The policy of docs/architecture.md, from which the tests start."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.isolation import policy
from gateway.isolation.policy import Policy

KEY = "ed25519:" + "A" * 43 + "="
TEXT = f"""\
site: headend
zones:
  management: {{port: "02:68:67:28:00:0b", addresses: [10.40.0.11/24]}}
  culture:    {{port: "02:68:67:0a:00:0b", addresses: [10.10.0.11/24], routes: [{{to: 10.11.0.0/16, via: 10.10.0.1}}]}}
  bigscreen:  {{port: "02:68:67:14:00:0b", addresses: [10.20.0.11/24]}}
bodies:
  guangxi-library: {{name: 广西壮族自治区图书馆, keys: ["{KEY}"], identifiers: ["isli:999999-1"], acts: [share]}}
registry: {{keys: ["{KEY}"], origin: centre}}
origins:
  centre: {{address: 10.10.0.20, port: 80}}
services:
  delivery:  {{zone: bigscreen,  run: delivery,  listen: tcp/80,   from: [10.20.0.0/24]}}
  resolver:  {{zone: bigscreen,  run: resolver,  listen: tcp/8080, from: [10.20.0.0/24]}}
  ssh:       {{zone: management, run: ssh,       listen: tcp/22,   from: [10.40.0.0/24]}}
  metrics:   {{zone: management, run: telemetry, listen: tcp/9100, from: [10.40.0.20]}}
reach:
  origin:    {{zone: culture,    run: fetch,     to: [10.10.0.20], port: tcp/80}}
  broker:    {{zone: management, run: telemetry, to: [10.40.0.20], port: tcp/8883}}
lanes:
  films:       {{from: culture,   to: bigscreen,  kind: release,    largest: 64 MiB}}
  identifiers: {{from: culture,   to: bigscreen,  kind: identifier}}
  usage:       {{from: bigscreen, to: management, kind: record}}
expect:
  - {{from: "bigscreen/10.20.0.50", to: box, proto: tcp, port: 80,  verdict: accept}}
  - {{from: "bigscreen/10.20.0.50", to: box, proto: tcp, port: 22,  verdict: drop}}
  - {{from: bigscreen, to: culture, verdict: drop}}
  - {{from: culture, to: bigscreen, lane: release, verdict: accept}}
never:
  - {{from: bigscreen, to: management}}
  - {{from: bigscreen, to: culture, lane: any}}
"""


@pytest.fixture
def text() -> str:
    """Return a valid policy's text."""
    return TEXT


@pytest.fixture
def site() -> Policy:
    """Return a valid policy."""
    return policy.parse(TEXT.encode(), "site.yaml")


@pytest.fixture
def edited() -> Callable[[str, str], Policy]:
    """Return the valid policy with one piece of its text replaced."""

    def edit(old: str, new: str) -> Policy:
        assert old in TEXT
        return policy.parse(TEXT.replace(old, new).encode(), "site.yaml")

    return edit
