"""The policy file: what daemons read from it, and what is told of a wrong one."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import subprocess
import sys
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.identity.keys import PublicKey
from appliance.runtime.errors import ConfigError, Fault
from appliance.runtime.tree import compose, plain
from gateway.isolation import policy
from gateway.isolation.policy import Policy
from tests.unit.gateway.isolation.conftest import KEY, TEXT

FULL = (
    f'serial: 7\napproval: {{signatures: 1, keys: {{li: "{KEY}"}}}}\nlog: {{denied: 5/s}}\ngroups: {{some: [10.20.0.7, 10.20.0.128/25]}}\n'
    + TEXT.replace("[10.20.0.11/24]", '[10.20.0.11/24], neighbours: {10.20.0.7: "02:00:00:00:00:07"}')
    .replace("[10.20.0.0/24]", '["@some", 10.20.0.50]', 1)
    .replace("largest: 64 MiB", "largest: 64 MiB, rate: 100/s")
)
Edit = Callable[[str, str], Policy]


def test_daemons_find_what_they_need(site: Policy, text: str) -> None:
    """Digest, services, lanes, keys, origins and sizes come out as values."""
    assert site.digest == hashlib.sha256(text.encode()).hexdigest()
    service = site.service_of("bigscreen", "delivery")
    assert service is not None
    assert (service.name, service.address, service.port) == ("delivery", "10.20.0.11", 80)
    assert site.service_of("culture", "delivery") is None
    (films,) = site.lanes_of("release", to="bigscreen")
    assert (films.source, films.largest) == ("culture", 64 << 20)
    assert site.lanes_of("release", to="management") == ()
    assert isinstance(site.bodies["guangxi-library"].keys[0], PublicKey)
    assert site.registry is not None
    assert site.registry.origin == "centre"
    assert str(site.origins["centre"].address) == "10.10.0.20"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("zone: bigscreen,  run: delivery", "zone: bigscren,  run: delivery", "unknown zone 'bigscren'.*did you mean 'bigscreen'"),
        ("zone: bigscreen,  run: delivery", "zone: smallscreen,  run: delivery", "this box has no zone 'smallscreen'"),
        ("02:68:67:28:00:0b", "02:68:67:28:00:0g", "not a MAC address"),
        ("02:68:67:28:00:0b", "03:68:67:28:00:0b", "group address"),
        ("02:68:67:28:00:0b", "02:68:67:14:00:0b", "belongs to zone 'management' already"),
        ("[10.20.0.11/24]", "[10.40.0.99/16]", "overlaps 10.40.0.0/24 of zone 'management'"),
        ("to: 10.11.0.0/16", "to: 10.20.0.0/16", "overlaps"),
        ("[10.20.0.11/24]", "[10.20.0.0/24]", "network's own address"),
        ("[10.20.0.11/24]", "[10.20.0.11]", "no prefix length.*did you mean '10.20.0.11/24'"),
        ("via: 10.10.0.1", "via: 10.12.0.1", "in none of the networks"),
        ("listen: tcp/8080", "listen: tcp/80", "taken by service 'delivery'"),
        ("listen: tcp/8080", "listen: tpc/8080", "unknown protocol 'tpc'.*did you mean 'tcp'"),
        ("listen: tcp/8080", "listen: tcp/65536", "not a port"),
        ("tcp/8080, from: [10.20.0.0/24]", "tcp/8080, from: [10.20.0.1/24]", "did you mean '10.20.0.0/24'"),
        ("tcp/8080, from: [10.20.0.0/24]", "tcp/8080, from: [10.40.0.0/24]", "10.40.0.0/24 is not in zone 'bigscreen'"),
        ("tcp/8080, from: [10.20.0.0/24]", "tcp/8080, frm: [10.20.0.0/24]", "unknown key 'frm'.*did you mean 'from'"),
        ("tcp/22,   from: [10.40.0.0/24]", "tcp/22,   from: []", "at least 1"),
        ("zone: culture,    run: fetch,     to: [10.10.0.20]", "zone: management, run: fetch, to: [10.40.0.20]", "fetch runs in the"),
        ("address: 10.10.0.20", "address: 10.40.0.20", "not in the culture zone"),
        ("address: 10.10.0.20", "address: 10.10.0.11", "is the box itself"),
        ("port: 80}", "port: 80, role: parent, s3: {bucket: films}}", "a parent is another box, which speaks no S3"),
        ("run: resolver", "run: share", "boxes share what they have in the culture zone"),
        ("address: 10.10.0.20", "address: 10.10.0.21", "no 'reach' with 'run: fetch' opens 10.10.0.21"),
        ("origin: centre", "origin: center", "unknown origin 'center'.*did you mean 'centre'"),
        ("acts: [share]", "acts: [shar]", "did you mean 'share'"),
        ("kind: release,", "kind: relase,", "did you mean 'release'"),
        ("64 MiB", "64 MB", "unknown unit 'MB'.*did you mean 'MiB'"),
        ("from: culture,   to: bigscreen,  kind: identifier", "from: culture,   to: culture,  kind: identifier", "between two zones"),
        ("port: 22,  verdict: drop", "port: 22,  verdict: accept", "expects accept of .*tcp/22, but it is drop: no service"),
        ("to: bigscreen, lane: release, verdict", "to: bigscreen, lane: record, verdict", "no lane carries records"),
        ("port: 80,  verdict: accept", "port: 80,  lane: release, verdict: accept", "lanes run between two zones"),
        ("proto: tcp, port: 22", "port: 22", "a port needs 'proto: tcp'"),
        ('"bigscreen/10.20.0.50", to: box, proto: tcp, port: 22', 'box, to: box, proto: tcp, port: 22', "asks whether the box"),
        ("{from: bigscreen, to: management}", "{from: bigscreen, to: managment}", "did you mean 'management'"),
        ("to: culture, lane: any}", "to: management, lane: record}", "lane 'usage' carries records"),
        ("site: headend", "site: Head End", "is not a name.*did you mean 'head-end'"),
        ("  origin:    {zone", "  broker:    {zone", "written twice"),
    ],
)  # fmt: skip
def test_one_fault_is_told_with_its_line_and_the_nearest_word(
    edited: Edit, text: str, old: str, new: str, told: str
) -> None:
    """Each fault stands at the line where it was written."""
    line = text[: text.index(old)].count("\n") + 1
    with pytest.raises(ConfigError, match=f"(?s){told}") as wrong:
        edited(old, new)
    assert (
        line in {fault.line for fault in wrong.value.faults}
        or "overlaps" in told
        or "already" in told
        or "twice" in told
    )


def test_all_faults_come_at_once_also_where_a_section_is_wrong_in_itself(text: str) -> None:
    """A bad MAC does not hide an unknown zone, a broken lane or a wrong case further down."""
    wrong = (
        text.replace("02:68:67:28:00:0b", "02:68")
        .replace("zone: bigscreen,  run: delivery", "zone: bigscren,  run: delivery")
        .replace("kind: identifier", "kind: identifiers")
        .replace("from: bigscreen, to: culture, verdict", "from: bigscreen, to: cultur, verdict")
    )
    with pytest.raises(ConfigError) as told:
        policy.parse(wrong.encode(), "site.yaml")
    paths = [fault.path for fault in told.value.faults]
    assert paths == ["zones.management.port", "services.delivery.zone", "lanes.identifiers.kind", "expect[2].to"]
    assert [fault.line for fault in told.value.faults] == sorted(fault.line for fault in told.value.faults)


def test_what_leads_to_a_broken_entry_is_not_a_second_fault(text: str) -> None:
    """A zone whose port is wrong is still a known zone."""
    with pytest.raises(ConfigError) as told:
        policy.parse(text.replace("02:68:67:14:00:0b", "nonsense").encode(), "site.yaml")
    assert [fault.path for fault in told.value.faults] == ["zones.bigscreen.port"]


def test_a_policy_without_never_is_refused(text: str) -> None:
    """What must never happen is said, not left out."""
    with pytest.raises(ConfigError, match="a policy needs 'never:'"):
        policy.parse(text[: text.index("never:")].encode(), "site.yaml")


@pytest.mark.parametrize(
    ("address", "sender"),
    [
        ("198.51.100.7", True),
        ("10.40.0.20", False),
        ("10.10.0.11", False),
        ("127.0.0.1", False),
        ("224.0.0.1", False),
        ("10.11.0.9", True),
    ],
)
def test_behind_a_default_route_is_everybody_but_the_other_zones(edited: Edit, address: str, sender: bool) -> None:
    """A sender of another zone stays false where a zone leads to everywhere."""
    site = edited("{to: 10.11.0.0/16,", "{to: 0.0.0.0/0,")
    assert site.is_sender("culture", ipaddress.ip_address(address)) is sender


def _faults(data: bytes) -> list[Fault] | None:
    try:
        policy.parse(data)
    except ConfigError as error:
        return error.faults
    return None


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_policy_or_faults(data: bytes) -> None:
    """Nothing but ConfigError comes out of a file that is no policy."""
    faults = _faults(data)
    assert faults is None or all(fault.message for fault in faults)


_words = st.sampled_from(
    [
        "zones",
        "never",
        "from",
        "to",
        "services",
        "culture",
        "bigscreen",
        "port",
        "box",
        "tcp/80",
        "10.0.0.1",
        "10.0.0.1/24",
        "expect",
    ]
)
_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), _words),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_words | st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=80, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(sorted(Policy.model_fields)),
        _values,
    )
)
def test_any_shape_of_sections_is_a_policy_or_faults(told: dict[str, object]) -> None:
    """Wrong shapes in right places are faults too; YAML reads JSON, so that is how they are written here."""
    faults = _faults(json.dumps(told).encode())
    assert faults is None or all(fault.message for fault in faults)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_good_policy_with_one_part_replaced_is_a_policy_or_faults(data: st.DataObject) -> None:
    """Anything in the place of any value of a good policy, groups and approval included, is told as faults or taken."""
    whole = plain(compose(FULL, "site.yaml"))
    at = whole
    while True:
        key = data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
        if not isinstance(at[key], dict | list) or not at[key] or data.draw(st.booleans()):
            break
        at = at[key]
    at[key] = data.draw(
        _values
        | st.sampled_from(
            ["@some", "@none", "10.20.0.7\n10.20.0.9\n", {"some": ["10.20.0.7"]}, ["@some"], "pci:0000:03:00.0"]
        )
    )
    faults = _faults(json.dumps(whole).encode())
    assert faults is None or all(fault.message for fault in faults)


def test_the_new_words_come_out_as_values() -> None:
    """Groups, pinned neighbours, rates, samples, serial and approval."""
    site = policy.parse(FULL.encode())
    assert (site.serial, site.approval is not None and site.approval.signatures) == (7, 1)
    sources = site.services["delivery"].sources
    assert sources.words() == ["@some", "10.20.0.50"]
    asked = ("10.20.0.7", "10.20.0.50", "10.20.0.200", "10.20.0.8")
    assert [site.includes(sources, ipaddress.ip_address(a)) for a in asked] == [True, True, True, False]
    assert [str(n) for n in site.networks_of(sources)] == ["10.20.0.50/32", "10.20.0.7/32", "10.20.0.128/25"]
    assert site.zones["bigscreen"].neighbours == {ipaddress.ip_address("10.20.0.7"): "02:00:00:00:00:07"}
    rate = site.lanes["films"].rate
    assert rate is not None
    assert (str(rate), rate.per_second, str(site.log.denied)) == ("100/s", 100.0, "5/s")


@pytest.mark.parametrize(
    ("written", "mac", "pci", "shown"),
    [
        ('"02:68:67:14:00:0B"', "02:68:67:14:00:0b", "", "02:68:67:14:00:0b"),
        ('"pci:0000:03:00.1"', "", "0000:03:00.1", "pci:0000:03:00.1"),
        (
            '{mac: "02:68:67:14:00:0b", pci: "0000:03:00.1"}',
            "02:68:67:14:00:0b",
            "0000:03:00.1",
            "02:68:67:14:00:0b pci:0000:03:00.1",
        ),
    ],
)
def test_a_port_is_known_by_mac_or_place_or_both(edited: Edit, written: str, mac: str, pci: str, shown: str) -> None:
    """Cards that were swapped are caught by the place, another card in the place by the MAC."""
    port = edited('"02:68:67:14:00:0b"', written).zones["bigscreen"].port
    assert (port.mac, port.pci, str(port)) == (mac, pci, shown)


def test_a_body_with_addresses_is_a_group(edited: Edit) -> None:
    """Its name stands for them."""
    site = edited("acts: [share]", "acts: [share], addresses: [10.10.0.20]")
    assert [str(n) for n in site.group("guangxi-library").networks()] == ["10.10.0.20/32"]
    with pytest.raises(KeyError):
        site.group("nobody")


def test_reading_a_policy_takes_no_engine_of_proofs() -> None:
    """Every daemon reads the policy; numpy and z3 would cost each of them some tens of megabytes."""
    program = (
        "import sys, gateway.isolation.policy; print([name for name in ('numpy', 'z3', 'dd') if name in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
        == "[]"
    )
