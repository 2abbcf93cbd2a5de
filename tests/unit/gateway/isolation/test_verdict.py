"""Questions and their answers, with the line that decides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.runtime.config import Problem
from gateway.isolation.policy import Policy
from gateway.isolation.question import End, Question
from gateway.isolation.verdict import decide


@pytest.mark.parametrize(
    ("source", "target", "protocol", "port", "allowed", "why", "decides"),
    [
        ("bigscreen", "box", "tcp", 80, True, "service 'delivery'", "  delivery:"),
        ("bigscreen/10.20.0.50", "bigscreen/10.20.0.11", "tcp", 80, True, "service 'delivery'", "  delivery:"),
        ("bigscreen", "box", "tcp", 22, False, "no service of zone 'bigscreen' listens on tcp/22", "services:"),
        ("bigscreen", "box", "icmp", None, False, "answers no ICMP", "services:"),
        ("management/10.40.0.9", "box", "tcp", 9100, False, "only for 10.40.0.20", "  metrics:"),
        ("management", "box", "tcp", 9100, True, "service 'metrics'", "  metrics:"),
        ("bigscreen/10.40.0.20", "box", "tcp", 80, False, "not an address of zone 'bigscreen'", "  bigscreen:"),
        ("box", "culture/10.10.0.20", "tcp", 80, True, "reach 'origin' lets fetch", "  origin:"),
        ("box", "culture/10.10.0.21", "tcp", 80, False, "but only at 10.10.0.20", "  origin:"),
        ("box", "bigscreen/10.20.0.50", "tcp", 80, False, "no reach of zone 'bigscreen'", "reach:"),
        (
            "bigscreen",
            "management",
            None,
            None,
            False,
            "records by lane 'usage'",
            "  - {from: bigscreen, to: management}",
        ),
        ("culture", "bigscreen", "tcp", 80, False, "releases by lane 'films'", "  culture:"),
        ("bigscreen", "bigscreen/10.20.0.60", "tcp", 80, False, "forwards nothing", "  bigscreen:"),
        ("smallscreen", "box", "tcp", 80, False, "no zone 'smallscreen'", "zones:"),
    ],
)
def test_answers(
    site: Policy,
    text: str,
    source: str,
    target: str,
    protocol: None,
    port: int | None,
    allowed: bool,
    why: str,
    decides: str,
) -> None:
    """Each answer has its reason and points at the line that decides."""
    told = decide(site, Question(End.parse(source), End.parse(target), protocol, port))
    assert told.allowed is allowed
    assert why in told.why
    assert text.splitlines()[told.line - 1].startswith(decides)


@pytest.mark.parametrize(
    ("source", "target", "kind", "allowed"),
    [
        ("culture", "bigscreen", "release", True),
        ("bigscreen", "culture", "release", False),
        ("culture", "management", "release", False),
        ("bigscreen", "management", "record", True),
    ],
)
def test_lanes_carry_their_kind_one_way(site: Policy, source: str, target: str, kind: str, allowed: bool) -> None:
    """A lane allows its kind in its direction and nothing else."""
    assert decide(site, Question(End.parse(source), End.parse(target), lane=kind)).allowed is allowed  # type: ignore[arg-type]


def test_the_nearest_zone_is_told() -> None:
    """A mistyped end names the right word."""
    with pytest.raises(Problem) as wrong:
        End.parse("bigscren/10.20.0.1")
    assert wrong.value.hint == "did you mean 'bigscreen'?"


@given(st.text(max_size=160))
def test_any_text_is_an_end_or_a_problem(text: str) -> None:
    """What parses prints as it was meant, everything else is a Problem."""
    try:
        end = End.parse(text)
    except Problem:
        return
    assert End.parse(str(end)) == end
