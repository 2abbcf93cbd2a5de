"""Policies that somebody made to be bad: each is refused at its place, with the mend, soon, and in little memory."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.runtime.errors import ConfigError
from gateway.isolation import policy
from gateway.isolation.sources import LONGEST_POLICY
from tests.unit.gateway.isolation.conftest import KEY, TEXT

SECONDS = 15.0  # of one processor, on a machine that has other things to do
PORT = '"02:68:67:0a:00:0b"'


def edit(old: str, new: str) -> Callable[[], str]:
    assert old in TEXT
    return lambda: TEXT.replace(old, new, 1)


def bodies(count: int) -> str:
    return TEXT.replace("bodies:\n", "bodies:\n" + "".join(f"  b{n}: {{}}\n" for n in range(count)))


BAD: list[tuple[str, Callable[[], str], str]] = [
    ("50 MB", lambda: TEXT + "#" * (50 << 20), rf":1:1: longer than {LONGEST_POLICY} bytes(.|\n)*an address a line"),
    ("nested 1000 deep, in brackets", lambda: TEXT + "groups: " + "[" * 1000, r":31:\d+: nested deeper than 32 levels"),
    (
        "nested 1000 deep, by indentation",
        lambda: TEXT + "".join(f"{' ' * n}a:\n" for n in range(1000)),
        r":6\d:\d+: nested deeper than 32",
    ),
    (
        "nested 1000 deep, beside an address in IPv6",
        lambda: "include: [fd00::1]\n" + TEXT + "groups: " + "[" * 1000,
        r":32:\d+: nested deeper",
    ),
    ("a key twice", edit("origins:", "site: other\norigins:"), r":9:1: site: key 'site' is written twice"),
    (
        "a zone twice",
        edit("bodies:", f"  culture: {{port: {PORT}, addresses: [10.10.0.11/24]}}\nbodies:"),
        r":6:3: zones\.culture: key 'culture' is written twice",
    ),
    (
        "a port in two zones, by MAC",
        edit("02:68:67:14:00:0b", "02:68:67:0a:00:0b"),
        r":5:22: zones\.bigscreen\.port: port 02:68:67:0a:00:0b belongs to zone 'culture' already",
    ),
    (
        "a port in two zones, by PCI address",
        lambda: TEXT.replace("02:68:67:14:00:0b", "pci:0000:03:00.0").replace(
            '"02:68:67:0a:00:0b"', '{mac: "02:00:00:00:00:01", pci: "0000:03:00.0"}'
        ),
        r":5:22: zones\.bigscreen\.port: port pci:0000:03:00\.0 belongs to zone 'culture' already",
    ),
    ("a port by a short PCI address", edit(PORT, '"pci:03:00.0"'), r"did you mean '0000:03:00\.0'"),
    ("two hundred thousand bodies", lambda: bodies(200_000), r":\d+:\d+: holds more than 100000 values"),
    ("some thousand bodies", lambda: bodies(4_999), r":6:1: bodies: holds 5000 entries, and 4096 are the most"),
    (
        "an alias bomb",
        lambda: "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n" + TEXT,
        r":2:8: aliases \(\*name\) are not allowed here: write the value out",
    ),
    ("a merge key", edit("site: headend", "site: headend\n<<: {serial: 1}"), r":2:1: <<: unknown key '<<'"),
    (
        "a hundred thousand wrong addresses",
        lambda: TEXT + "groups:\n  g: |\n" + "    10.0.0.256\n" * 100_000,
        r":33:5: groups\.g: '10\.0\.0\.256' is not an address",
    ),
    (
        "a list of too many addresses",
        lambda: TEXT + f"groups: {{g: [{'10.0.0.1, ' * 200_000}]}}",
        r"write many addresses as one text \('name: \|'\), an address a line",
    ),
    (
        "an address outside of the zone among 100,000",
        lambda: (
            TEXT.replace("tcp/80,   from: [10.20.0.0/24]", 'tcp/80,   from: ["@g"]')
            + "groups:\n  g: |\n"
            + "    10.20.0.1\n" * 99_999
            + "    10.30.0.1\n"
        ),
        r"services\.delivery\.from\[0\]: 10\.30\.0\.1 of '@g' is not in zone 'bigscreen'.*\n.*\n.*its networks: 10\.20\.0\.0/24",
    ),
    (
        "a group that nobody knows",
        lambda: TEXT.replace("[10.20.0.0/24]", '["@televison"]', 1) + "groups: {televisions: [10.20.0.9]}\n",
        r"there is no group 'televison'.*\n.*\n.*did you mean '@televisions'",
    ),
    ("a word of a megabyte", edit("zone: culture", "zone: " + "r" * 1_000_000), r"unknown zone 'r{900,1000}"),
    (
        "a list of wrong addresses",
        lambda: TEXT + "groups: {g: [" + "x, " * 90_000 + "]}",
        r":31:14: groups\.g\[0\]: 'x' is not an address",
    ),
    (
        "wrong neighbours",
        edit("[10.20.0.11/24]", "[10.20.0.11/24], neighbours: {" + ", ".join(f"k{n}: 1" for n in range(45_000)) + "}"),
        r"neighbours: holds 45000 entries, and 1024 are the most",
    ),
    (
        "unknown keys",
        edit("acts: [share]", "acts: [share], " + ", ".join(f"k{n}: 1" for n in range(45_000))),
        r"unknown key 'k0'(?s:.*)and more faults",
    ),
    ("wrong senders", edit("[10.40.0.20]}\nreach", "[" + "x, " * 90_000 + "]}\nreach"), r"write '@NAME'"),
    (
        "a body without addresses as a group",
        edit("tcp/80,   from: [10.20.0.0/24]", 'tcp/80,   from: ["@guangxi-library"]'),
        r"body 'guangxi-library' has no 'addresses:'",
    ),
    (
        "approval without a serial",
        lambda: f'approval: {{signatures: 1, keys: {{li: "{KEY}"}}}}\n' + TEXT,
        r":1:1: approval: a policy that asks for signatures needs 'serial:'",
    ),
    (
        "one key for two people",
        lambda: f'serial: 1\napproval: {{signatures: 2, keys: {{li: "{KEY}", wu: "{KEY}"}}}}\n' + TEXT,
        r"approval\.keys\.wu: is the key of 'li' already",
    ),
    (
        "more signatures than keys",
        lambda: f'serial: 1\napproval: {{signatures: 2, keys: {{li: "{KEY}"}}}}\n' + TEXT,
        r"approval\.signatures: 2 signatures of 1 keys",
    ),
    (
        "a pinned neighbour that is the box",
        edit("[10.40.0.11/24]}", '[10.40.0.11/24], neighbours: {10.40.0.11: "02:00:00:00:00:01"}}'),
        r"10\.40\.0\.11 is the box itself",
    ),
    (
        "a pinned neighbour with the box's own MAC",
        edit("[10.40.0.11/24]}", '[10.40.0.11/24], neighbours: {10.40.0.1: "02:68:67:28:00:0b"}}'),
        r"is the box's own port",
    ),
    (
        "a lane on which nothing moves",
        edit("largest: 64 MiB", "rate: 0/s"),
        r"lanes\.films\.rate: a lane on which nothing moves",
    ),
    (
        "a rate in an unknown unit",
        edit("largest: 64 MiB", "rate: 10/mn"),
        r"unknown unit 'mn'.*\n.*\n.*did you mean 'min'",
    ),
    (
        "one name for a group and a body",
        lambda: (
            TEXT.replace("acts: [share]", "acts: [share], addresses: [10.10.0.9]")
            + "groups: {guangxi-library: [10.10.0.8]}\n"
        ),
        r"body 'guangxi-library' has addresses too",
    ),
]


@pytest.mark.parametrize(("make", "told"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_it_is_refused_at_its_place_with_the_mend(tmp_path: Path, make: Callable[[], str], told: str) -> None:
    """And soon, with a message that a person can read."""
    path = tmp_path / "site.yaml"
    path.write_text(make())
    begun = time.process_time()
    with pytest.raises(ConfigError, match=told) as wrong:
        policy.load(path)
    assert time.process_time() - begun < SECONDS
    assert len(str(wrong.value)) < 100_000
    assert str(path) in str(wrong.value)


@pytest.mark.server  # takes seconds
def test_a_large_file_takes_little_memory(tmp_path: Path) -> None:
    """Thirty megabytes of sections, which are within the size, are refused long before they fill the memory of a small box."""
    path = tmp_path / "site.yaml"
    path.write_text(bodies(2_000_000))
    assert path.stat().st_size < LONGEST_POLICY
    program = (
        "import resource, sys\nfrom pathlib import Path\n"
        "from appliance.runtime.errors import ConfigError\nfrom gateway.isolation import policy\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    policy.load(Path(sys.argv[1]))\n"
        "except ConfigError:\n    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True, timeout=60
    )
    assert int(done.stdout) < 256 << 10  # KiB
