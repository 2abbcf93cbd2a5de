"""Sightings -> passed, failed, blind."""

import pytest

from gateway.isolation.probe.judge import Round, Rounds, judge, refute
from gateway.isolation.probe.shots import Shot, Sighting

ZONES = ("management", "culture", "bigscreen")
ANSWERED = Shot(1, "icmp-tunnel", "bigscreen", (b"frame",))  # an answer counts
BELIEVED = Shot(2, "ra-address", "bigscreen", (b"frame",))  # an effect counts, an answer does not
JOINED = Shot(3, "lldp", "bigscreen", (b"frame",))
LEAK = Sighting(1, "leak", "culture", "ICMP 8/0 a > b")
ANSWER = Sighting(1, "answer", "bigscreen", "ICMP 0/0 b > a")
EFFECT = Sighting(2, "effect", "bigscreen", "a new address")


def verdict(shot: Shot, control: Round, twin: Round, live: dict[str, Round] | None = None):
    """Return the one verdict on a shot whose hole is ``open``."""
    (probe,) = judge([shot], Rounds({"open": control}, twin, live or {}), ZONES)
    return probe


@pytest.mark.parametrize(
    ("sentence", "shot", "control", "twin", "result"),
    [
        ("seen in the control, silent in the twin", ANSWERED, Round((ANSWER,)), Round(), "passed"),
        ("a leak in the control shows as well as an answer", ANSWERED, Round((LEAK,)), Round(), "passed"),
        ("answered in the twin", ANSWERED, Round((ANSWER,)), Round((ANSWER,)), "failed"),
        ("seen in another zone of the twin", ANSWERED, Round((ANSWER,)), Round((LEAK,)), "failed"),
        ("not seen in the control", ANSWERED, Round(), Round(), "blind"),
        ("the control saw something that does not count", BELIEVED, Round((Sighting(2, "answer", "bigscreen", "x"),)), Round(), "blind"),
        ("the control saw another shot", ANSWERED, Round((EFFECT,)), Round(), "blind"),
        ("an effect in the control", BELIEVED, Round((EFFECT,)), Round(), "passed"),
        ("an effect in the twin", BELIEVED, Round((EFFECT,)), Round((EFFECT,)), "failed"),
        ("an answer where answers may be", BELIEVED, Round((EFFECT,)), Round((Sighting(2, "answer", "bigscreen", "x"),)), "passed"),
        ("the control could not be built", ANSWERED, Round(failed="no namespaces"), Round(), "blind"),
        ("the twin could not be built", ANSWERED, Round((ANSWER,)), Round(failed="no namespaces"), "blind"),
        ("came through though the control saw nothing", ANSWERED, Round(), Round((LEAK,)), "failed"),
        ("another hole's control does not count", JOINED, Round((Sighting(3, "leak", "culture", "x"),)), Round(), "blind"),
    ],
)  # fmt: skip
def test_a_probe_is_judged_by_what_was_seen(sentence: str, shot: Shot, control: Round, twin: Round, result: str):
    """Nothing seen is good only where it would have been seen."""
    assert verdict(shot, control, twin).result == result, sentence


def test_the_reason_of_blindness_is_told():
    """Whoever reads it knows what to mend."""
    assert "no namespaces" in verdict(ANSWERED, Round((ANSWER,)), Round(failed="no namespaces")).control
    assert "was not seen" in verdict(ANSWERED, Round(), Round()).control


def test_the_box_itself_can_fail_what_its_twin_passed():
    """A switch outside may join two zones."""
    probe = verdict(ANSWERED, Round((ANSWER,)), Round(), {"bigscreen": Round((LEAK,))})

    assert probe.result == "failed"
    assert probe.seen == "live: seen in culture: ICMP 8/0 a > b"


def test_a_box_that_cannot_be_asked_blinds():
    """Its port may be gone."""
    probe = verdict(ANSWERED, Round((ANSWER,)), Round(), {"bigscreen": Round(failed="no port")})

    assert probe.result == "blind"
    assert "live: no port" in probe.control


def test_a_probe_says_where_was_listened():
    """All zones but its own."""
    assert verdict(ANSWERED, Round((ANSWER,)), Round()).listened == ("management", "culture")


def test_an_attacker_outside_can_fail_a_probe_but_not_pass_one():
    """What it says comes on top."""
    passed, blind = verdict(ANSWERED, Round((ANSWER,)), Round()), verdict(ANSWERED, Round(), Round())

    assert refute([passed], [ANSWERED], Round((ANSWER,)), "outside")[0].result == "failed"
    assert refute([passed], [ANSWERED], Round(), "outside") == [passed]
    assert refute([passed], [ANSWERED], Round(failed="sent nothing"), "outside")[0].result == "blind"
    assert refute([blind], [ANSWERED], Round(), "outside") == [blind]
    assert refute([passed], [], Round((ANSWER,)), "outside") == [passed]
