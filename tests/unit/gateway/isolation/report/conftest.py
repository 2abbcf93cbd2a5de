"""Two audits: one where all is well, one with a failure of every kind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from appliance.identity.keys import PrivateKey
from gateway.isolation import policy
from gateway.isolation.evidence import Difference, Finding, Measure, Packet, Probe, Proof
from gateway.isolation.report import described
from gateway.isolation.report.model import Audit, Denied, Inspected, Journal

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
BODY_KEY = "ed25519:" + "A" * 43 + "="
POLICY = f"""\
# Headend of Nanning: films to the big and the small screen.
site: headend
serial: 7
approval: {{signatures: 2, keys: {{li-wei: "ed25519:{"D" * 42}A=", wang-fang: "ed25519:{"B" * 42}A="}}}}
groups:
  televisions: [10.20.0.50, 10.20.0.51, 10.20.0.128/25]
zones:
  management:  {{port: "02:68:67:28:00:0b", addresses: [10.40.0.11/24]}}
  culture:     {{port: "02:68:67:0a:00:0b", addresses: [10.10.0.11/24], routes: [{{to: 10.11.0.0/16, via: 10.10.0.1}}],
                neighbours: {{10.10.0.1: "02:aa:00:00:00:01"}}}}
  bigscreen:   {{port: "02:68:67:14:00:0b", addresses: [10.20.0.11/24, "fd20::11/64"]}}
  smallscreen: {{port: "02:68:67:1e:00:0b", addresses: [10.30.0.11/24]}}
  institution: {{port: "02:68:67:32:00:0b", addresses: [10.50.0.11/24]}}
bodies:
  guangxi-library: {{name: 广西壮族自治区图书馆, keys: ["{BODY_KEY}"], identifiers: ["isli:999999-1"],
                     acts: [share, associate]}}
  nanning-museum:  {{name: 南宁博物馆, keys: ["ed25519:{"C" * 42}A="], identifiers: ["isli:999999-2"],
                     acts: [share, associate, reconstruct]}}
registry: {{keys: ["{BODY_KEY}"], origin: centre}}
origins:
  centre: {{address: 10.10.0.20, port: 80}}
services:
  delivery:       {{zone: bigscreen,   run: delivery,  listen: tcp/80,   from: ["@televisions", 10.20.0.7]}}
  resolver:       {{zone: bigscreen,   run: resolver,  listen: tcp/8080, from: [10.20.0.0/24]}}
  small-delivery: {{zone: smallscreen, run: delivery,  listen: tcp/80,   from: [10.30.0.0/24]}}
  small-resolver: {{zone: smallscreen, run: resolver,  listen: tcp/8080, from: [10.30.0.0/24]}}
  ssh:            {{zone: management,  run: ssh,       listen: tcp/22,   from: [10.40.0.0/24]}}
  metrics:        {{zone: management,  run: telemetry, listen: tcp/9100, from: [10.40.0.20]}}
reach:
  origin:         {{zone: culture,     run: fetch,     to: [10.10.0.20], port: tcp/80}}
  broker:         {{zone: management,  run: telemetry, to: [10.40.0.20], port: tcp/8883}}
lanes:
  films:          {{from: culture,     to: bigscreen,   kind: release,    largest: 64 MiB}}
  clips:          {{from: culture,     to: smallscreen, kind: release,    largest: 16 MiB, rate: 100/s}}
  identifiers:    {{from: culture,     to: bigscreen,   kind: identifier, largest: 4 MiB}}
  collections:    {{from: institution, to: culture,     kind: release,    largest: 1 GiB}}
  usage:          {{from: bigscreen,   to: management,  kind: record,     largest: 16 KiB}}
expect:
  - {{from: "bigscreen/10.20.0.50", to: box, proto: tcp, port: 80,  verdict: accept}}
  - {{from: "bigscreen/10.20.0.50", to: box, proto: tcp, port: 22,  verdict: drop}}
  - {{from: culture, to: bigscreen, lane: release, verdict: accept}}
never:
  - {{from: bigscreen, to: management}}
  - {{from: bigscreen, to: culture, lane: any}}
"""
ZONES = ("management", "culture", "bigscreen", "smallscreen", "institution")
PROBES = (
    (1, "arp-who-has"), (2, "arp-gratuitous"), (3, "icmp-other-address"), (3, "tcp-other-address"), (4, "ipv6-ra"),
    (5, "lsrr"), (5, "rh0"), (6, "overlapping-fragments"), (7, "double-tag"), (8, "ipip"), (8, "gre"), (8, "vxlan"),
    (9, "icmp-redirect"), (10, "multicast"), (11, "dhcp-offer"), (12, "icmp-tunnel"), (13, "ftp-port"),
    (14, "syn-with-data"), (15, "sctp-init"),
)  # fmt: skip


@pytest.fixture(scope="session")
def key() -> PrivateKey:
    """Return the box's key."""
    return PrivateKey.generate()


def good_audit(key: PrivateKey) -> Audit:
    """Return an audit where everything that can be shown is shown."""
    counts = {"bigscreen": 4, "smallscreen": 2, "management": 4, "culture": 3, "institution": 0}
    read = policy.parse(POLICY.encode(), "/run/headgate/policy/policy.yaml")
    return described.of(
        read,
        now=NOW,
        key=key.public,
        software="0.1.0",
        kernel="Linux 6.18.44",
        proofs=[
            Proof(zone, engine, True, rules=23, elements=counts.get(zone, 0), seconds=0.031)
            for zone in (*ZONES, "")
            for engine in ("algebra", "skeleton", "diagram")
        ],
        inspected=Inspected(91, 163, 777, 89, 12, 0),
        measures=[
            Measure("user namespaces", "0", "0", True, ways=(29,)),
            Measure("io_uring", "2", "2", True, ways=(27,)),
            Measure("BPF closed to daemons", "2", "2", True, ways=(19,)),
            Measure("no descriptors over sockets", "SO_PASSRIGHTS=0", "0", True, ways=(23,)),
            Measure("one user a zone", "yes", "yes", True, ways=(24, 26)),
            Measure("answers ARP for its own address only", "2", "2", True, ways=(1,)),
        ],
        probes=[
            Probe(way, name, source, tuple(z for z in ZONES if z != source), "passed", "came through the open twin")
            for source in ("bigscreen", "culture")
            for way, name in PROBES
        ],
        denied=[Denied("bigscreen", 1_204_331, 8_120), Denied("culture", 12, 12)],
        journal=Journal(
            "headend/guard", 4211, "5f" * 32, "headend/guard\n4211\nX19f\n\n— headend/guard abc=\n", ("regulator",)
        ),
        decisions=[
            {
                "time": "2026-04-22T01:00:00+00:00",
                "id": "1",
                "decision": "apply",
                "reason": "asked",
                "digest": "ab" * 32,
            },
            {"time": "2026-04-22T01:00:31+00:00", "id": "2", "decision": "confirm", "reason": "asked"},
        ],
        previous="cd" * 32,
        since=NOW - timedelta(days=12, hours=2),
        approved=("li-wei", "wang-fang"),
    )


def bad_audit(key: PrivateKey) -> Audit:
    """Return an audit with a failure of every kind, and words that would be markup if nobody escaped them."""
    read = policy.parse(POLICY.encode(), "/run/headgate/policy/policy.yaml")
    packet = Packet("bigscreen", "input", {"saddr": "10.20.0.50", "proto": "tcp", "dport": "22"})
    line = POLICY.splitlines().index(next(text for text in POLICY.splitlines() if "expect:" in text)) + 3
    return described.of(
        read,
        now=NOW,
        key=key.public,
        software="0.1.0",
        kernel="Linux 6.1.0",
        proofs=[
            Proof("management", "algebra", True, rules=23, elements=4),
            Proof("culture", "algebra", True, rules=23, elements=2),
            Proof(
                "bigscreen",
                "algebra",
                False,
                (
                    Difference(
                        packet, "accept", "drop", "no service of zone 'bigscreen' listens on tcp/22", line, "foreign"
                    ),
                ),
                rules=24,
            ),
            Proof("smallscreen", "skeleton", False, unknown=("table inet <script>alert(1)</script>",), rules=25),
        ],
        deviations={"culture": ["address 10.10.0.99/24 is not wanted"]},
        findings=[
            Finding(16, "foreign-link", ("bigscreen", "culture"), "veth7 leads to <b>culture</b>", done="set down"),
            Finding(
                20, "thread-in-two-zones", ("bigscreen", "management"), "thread 4121 of nginx is in management", 4120
            ),
        ],
        inspected=Inspected(91, 163, 777, 89, 13, 1),
        measures=[Measure("descriptors", "SO_PASSRIGHTS=0", "absent", False, "kernel 6.1 has no SO_PASSRIGHTS", (23,))],
        probes=[
            Probe(
                3,
                "icmp-other-address",
                "bigscreen",
                ("culture",),
                "failed",
                "seen in the twin",
                "echo reply from 10.10.0.11",
            ),
            Probe(5, "lsrr", "bigscreen", ("culture",), "blind", "not seen in the twin"),
            Probe(1, "arp-who-has", "bigscreen", ("culture",), "passed", "seen in the twin"),
        ],
        journal=Journal(
            "headend/guard", 9, "00" * 32, "note", (), ("entries.jsonl:4: was altered after it was signed",)
        ),
        decisions=[{"time": "2026-05-04T01:00:00Z", "decision": "put-back", "reason": "drift", "zone": "culture"}],
    )


@pytest.fixture
def good(key: PrivateKey) -> Audit:
    """Return the audit where all is well."""
    return good_audit(key)


@pytest.fixture
def bad(key: PrivateKey) -> Audit:
    """Return the audit with a failure of every kind."""
    return bad_audit(key)
