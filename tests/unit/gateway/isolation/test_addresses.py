"""Lists and texts of addresses -> groups, and the mend for each wrong line."""

from __future__ import annotations

import ipaddress
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from gateway.isolation import addresses
from gateway.isolation.addresses import Addresses, HostList, group_of_text
from gateway.isolation.groups import Group, Hosts, pack

READ: TypeAdapter[Group] = TypeAdapter(Addresses)


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "_recent", ())


def net(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text)


@pytest.mark.parametrize(
    ("text", "group"),
    [
        ("10.0.0.9\n10.0.0.1\n", pack([net("10.0.0.1"), net("10.0.0.9")])),
        ("fd00::2\nfd00::1\n", pack([net("fd00::1"), net("fd00::2")])),
        ("# the hall\n10.0.0.9  # left\n\n 10.1.0.0/16\nfd00::1/128\n10.0.0.8/32\n",
         pack([net(t) for t in ("10.0.0.8", "10.0.0.9", "10.1.0.0/16", "fd00::1")])),
        ("10.0.0.9\r\n10.0.0.1\r\n", pack([net("10.0.0.1"), net("10.0.0.9")])),
    ],
)  # fmt: skip
def test_a_text_holds_an_address_or_network_a_line(text: str, group: Group) -> None:
    """Both versions, comments and networks may stand in one text."""
    assert group_of_text(text) == group
    assert group.hosts4 == b"".join(sorted(group.hosts4[n : n + 4] for n in range(0, len(group.hosts4), 4)))


@pytest.mark.parametrize(
    ("text", "rows", "told"),
    [
        ("10.0.0.1\n10.0.0.256\n10.0.0.2\nx\n", [1, 3], ["'10.0.0.256' is not an address or network", "'x' is not"]),
        ("10.0.0.1\n010.0.0.1\n", [1], ["is not an address"]),
        ("fd00::1\nfe80::1%eth0\n", [1], ["has a scope"]),
        ("10.0.0.1/24\n", [0], ["did you mean '10.0.0.0/24'?"]),
        ("10.0.0.1,10.0.0.2\n", [0], ["is not an address"]),
        ("10.0.0.\0\n", [0], ["is not an address"]),
    ],
)
def test_wrong_lines_are_each_told(text: str, rows: list[int], told: list[str]) -> None:
    """Each with its line in the text and the mend."""
    with pytest.raises(PydanticCustomError) as wrong:
        group_of_text(text)
    found = (wrong.value.context or {})["problems"]
    assert [problem.row for problem in found] == rows
    assert all(word in f"{problem} {problem.hint}" for problem, word in zip(found, told, strict=True))


@pytest.mark.parametrize(
    ("value", "repeated"),
    [
        ("10.0.0.1\n10.0.0.2\n10.0.0.1\n", (2,)),
        ("fd00::1\nfd00:0::1\n", (1,)),
        ("10.1.0.0/16\n10.0.0.1\n10.1.0.0/16\n", (2,)),
        (["10.0.0.1", "10.0.0.2", "10.0.0.1", "10.0.0.2"], (2, 3)),
        ("10.0.0.1\n10.0.0.2\n", ()),
    ],
)
def test_what_stands_there_twice_is_known(value: object, repeated: tuple[int, ...]) -> None:
    """The set is the same, and the second place can be told."""
    assert READ.validate_python(value).repeated == repeated


@pytest.mark.parametrize(
    "value", ["", "# none\n", [], 7, {"a": 1}, [7], [f"10.{n // 256}.{n % 256}.0/24" for n in range(501)]]
)
def test_what_is_no_group_is_refused(value: object) -> None:
    """Nothing, something else, and more networks than an interval set bears."""
    with pytest.raises(ValidationError):
        READ.validate_python(value)


def test_a_list_keeps_how_it_is_written() -> None:
    """Names of groups stand beside addresses."""
    hosts = TypeAdapter(HostList).validate_python(["@subscribers", "10.20.0.7", "10.20.1.0/24"])
    assert hosts == Hosts(("subscribers", net("10.20.0.7"), net("10.20.1.0/24")))
    assert (hosts.groups, hosts.networks) == (("subscribers",), (net("10.20.0.7"), net("10.20.1.0/24")))
    assert str(hosts) == "@subscribers, 10.20.0.7, 10.20.1.0/24"


small = st.integers(0, 63)


@settings(max_examples=200, deadline=None)
@given(st.sets(small), st.lists(st.tuples(small, st.integers(0, 4)), max_size=4), small)
def test_a_group_holds_exactly_its_addresses(hosts: set[int], networks: list[tuple[int, int]], asked: int) -> None:
    """Membership and the search for an entry outside of networks agree with sets."""
    ranges = [ipaddress.ip_network((first & ~((1 << bits) - 1), 32 - bits)) for first, bits in networks]
    group = pack(ipaddress.ip_network(host) for host in hosts)
    assert (ipaddress.ip_address(asked) in group) == (asked in hosts)
    outside = {h for h in hosts if not any(ipaddress.ip_address(h) in r for r in ranges)}
    found = group.outside(ranges)
    assert (found is None) == (not outside)
    assert found is None or int(found.network_address) in outside
    both = pack([*(ipaddress.ip_network(host) for host in hosts), *ranges])
    assert (ipaddress.ip_address(asked) in both) == (
        asked in hosts or any(ipaddress.ip_address(asked) in r for r in ranges)
    )


lines = st.lists(
    st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.9.9", "fd00::1", "fd00::2", "10.1.0.0/16", "# x", "", "x"]),
    max_size=6,
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from([f"10.0.{n}.0" for n in range(40)] + [f"fd00::{n:x}" for n in range(1, 9)]), unique=True),
    lines,
    lines,
    st.integers(0, 40),
    st.booleans(),
)
def test_a_text_that_was_edited_is_the_group_that_it_says(
    base: list[str], gone: list[str], put: list[str], place: int, end: bool
) -> None:
    """However a text came about, what is remembered of another one changes nothing."""
    old, new = ([*base[:place], *part, *base[place:]] for part in (gone, put))
    one, other = ("\n".join(text) + "\n" * end for text in (old, new))
    fresh = _or_nothing(lambda: addresses._read(other))
    before = _or_nothing(lambda: addresses._read(one))
    if before is not None:
        edited = _or_nothing(lambda: addresses._edited(one, before, other))
        assert edited is None or edited == fresh
        assert edited is None or (fresh is not None and not fresh.repeated)


def _or_nothing(make):  # type: ignore[no-untyped-def]
    try:
        return make()
    except PydanticCustomError:
        return None


def test_a_hundred_thousand_lines_and_one_more_are_read_at_once() -> None:
    """A long text takes a fraction of a second, and the same with one line more next to nothing."""
    numbers = random.Random(1).sample(range(1 << 20), 100_000)
    many = [str(ipaddress.ip_address(0x0A000000 + number)) for number in numbers]
    text = "".join(f"{one}\n" for one in many)
    begun = time.process_time()
    group = group_of_text(text)
    first = time.process_time() - begun
    begun = time.process_time()
    more = group_of_text("".join(f"{one}\n" for one in [*many[:500], "11.0.0.1", *many[500:]]))
    second = time.process_time() - begun
    assert (len(group), len(more)) == (100_000, 100_001)
    assert ipaddress.ip_address("11.0.0.1") in more
    assert first < 10  # seconds: not line by line
    assert second < first + 0.5  # a text read anew would take as long again: how long each takes is for the benchmarks
