"""The policy's ``web:``: which origins of plain HTTP screens may ask, and what is told of a wrong one."""

from __future__ import annotations

import pytest

from appliance.runtime.errors import ConfigError
from gateway.isolation import policy
from gateway.isolation.question import End, Question
from gateway.isolation.verdict import decide

LANE = "  web: {from: culture, to: bigscreen, kind: web, largest: 1 MiB}\n"
PORTAL = "web:\n  portal: {hosts: [portal.example], address: 10.10.0.20}\n"


def admitting(text: str, portal: str = PORTAL, lane: str = LANE) -> str:
    """Return a policy that admits a portal."""
    return text.replace("services:\n", portal + "services:\n", 1).replace("lanes:\n", "lanes:\n" + lane, 1)


def test_admitted(text: str) -> None:
    """A host is found whatever its letters, no other is, and the lane answers questions."""
    site = policy.parse(admitting(text).encode())

    found = site.web_of("Portal.Example")
    assert found is not None
    assert (found[0], found[1].methods, found[1].credentials) == ("portal", ("GET", "HEAD", "OPTIONS"), False)
    assert site.web_of("other.example") is None
    told = decide(site, Question(End("culture"), End("bigscreen"), lane="web"))
    assert told.allowed
    assert "carries web answers there" in told.why


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("10.10.0.20}\n", "10.20.0.20}\n", "10.20.0.20 is not in the culture zone"),
        ("10.10.0.20}\n", "10.10.0.20, port: 81}\n", "no 'reach' with 'run: fetch' opens 10.10.0.20 tcp/81"),
        ("[portal.example]", "[portal.example, portal.example]", "'portal.example' is written twice"),
        ("[portal.example]", "[Portal.example]", "hosts"),
        ("[portal.example]", "[]", "hosts"),
        ("10.10.0.20}\n", "10.10.0.20, methods: [GET, TRACE]}\n", "TRACE crosses in no case"),
        ("10.10.0.20}\n", "10.10.0.20, methods: [get]}\n", "methods"),
        ("10.10.0.20}\n", "10.10.0.20, zones: [culture]}\n", "no lane carries web answers to 'culture'"),
        ("10.10.0.20}\n", "10.10.0.20, zones: [bigscren]}\n", "unknown zone 'bigscren'.*did you mean 'bigscreen'"),
        ("10.10.0.20}\n", "10.10.0.20, fields: ['X A']}\n", "fields"),
        ("10.10.0.20}\n", "10.10.0.20, body: nobody}\n", "no body 'nobody'"),
        (
            LANE,
            LANE.replace("to: bigscreen", "to: management"),
            "web answers cross from 'culture' to a zone of screens",
        ),
    ],
)
def test_wrong(text: str, old: str, new: str, told: str) -> None:
    """Each fault is told with its place."""
    whole = admitting(text)
    assert old in whole
    with pytest.raises(ConfigError, match=f"(?s)site.yaml:\\d+:\\d+: .*{told}"):
        policy.parse(whole.replace(old, new).encode(), "site.yaml")


def test_two_owners(text: str) -> None:
    """A host name belongs to one origin."""
    two = PORTAL + "  other: {hosts: [portal.example], address: 10.10.0.20}\n"
    with pytest.raises(ConfigError, match=r"'portal\.example' is a name of 'portal' already"):
        policy.parse(admitting(text, two).encode())


def test_never(text: str) -> None:
    """A lane of kind web contradicts a promise that nothing crosses."""
    whole = admitting(text).replace("never:\n", "never:\n  - {from: culture, to: bigscreen, lane: web}\n")
    with pytest.raises(
        ConfigError, match="lane 'web' carries web answers from culture to bigscreen, which this forbids"
    ):
        policy.parse(whole.encode())
