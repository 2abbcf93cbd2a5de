"""``headgate id check`` and what its sisters refuse before they ask anybody."""

import json
from typing import Any

import pytest
from click.testing import CliRunner

from appliance.runtime.errors import Refused
from gateway.resolver.cli import commands


def told(*words: str, lines: str = "") -> tuple[int, list[dict[str, Any]]]:
    """Return the exit code and the JSON lines of ``headgate id check``."""
    done = CliRunner().invoke(commands, ["check", *words, "--json"], input=lines)
    return done.exit_code, [json.loads(line) for line in done.output.splitlines()]


def test_check_tells_scheme_canonical_form_and_parts() -> None:
    """A good code is told apart into its parts, for people and for programs."""
    assert told("ISLI 999999-100000000000001-4") == (
        0,
        [
            {
                "ok": True,
                "written": "ISLI 999999-100000000000001-4",
                "scheme": "isli",
                "canonical": "isli:999999-100000000000001-4",
                "display": "ISLI 999999-100000000000001-4",
                "parts": {"service code": "999999", "link code": "100000000000001", "check digit": "4"},
            }
        ],
    )
    shown = CliRunner().invoke(commands, ["check", "10.1000/182"], catch_exceptions=False)
    assert "doi:10.1000/182" in shown.output


def test_check_of_a_wrong_code_says_what_is_wrong_and_what_was_meant() -> None:
    """A swap of neighbours ends with 1, the digit that was expected and the code that was meant, for people and for programs."""
    code, (wrong,) = told("999999-010000000000001-4")
    assert (code, wrong["ok"], wrong["reason"]) == (1, False, "wrong-check-digit")
    assert "should be 3" in wrong["error"]
    assert wrong["likely"][0] == "isli:999999-100000000000001-4"
    shown = CliRunner().invoke(commands, ["check", "999999-010000000000001-4"])
    assert shown.exit_code == 1
    assert "perhaps isli:999999-100000000000001-4" in shown.output


def test_check_takes_many_and_standard_input() -> None:
    """Each code is told on a line of its own; one wrong code among them ends with 1."""
    code, lines = told("10.1000/182", "-", lines="6901234567892\n\nnothing\n")
    assert code == 1
    assert [line.get("canonical", line.get("reason")) for line in lines] == [
        "doi:10.1000/182",
        "gtin:06901234567892",
        "not-a-code",
    ]
    assert told("999999-100000000000001-4", "--length", "999999=16")[1][0]["reason"] == "wrong-length"
    assert CliRunner().invoke(commands, ["check", "1", "--length", "99=x"]).exit_code == 2


def test_a_line_that_is_far_too_long_is_not_told_whole() -> None:
    """Whatever comes in, what is printed stays short enough to be read."""
    (wrong,) = told("-", lines="9" * 1_000_000 + "\n")[1]
    assert wrong["reason"] == "too-long"
    assert len(wrong["written"]) < 100


def test_schemes_are_listed_with_examples_that_hold() -> None:
    """Each scheme's example is a code of it."""
    done = CliRunner().invoke(commands, ["schemes", "--json"], catch_exceptions=False)
    listed = [json.loads(line) for line in done.output.splitlines()]
    assert {line["scheme"] for line in listed} >= {"isli", "hdl", "doi", "isbn", "gs1", "uscc", "isil", "dci"}
    assert told(*(line["example"] for line in listed))[0] == 0
    assert "国际标准关联标识符" in CliRunner().invoke(commands, ["schemes"]).output


@pytest.mark.parametrize(
    "words",
    [
        ["resolve", "999999-100000000000001-4", "--at", "10.20.0.11"],
        ["resolve", "999999-100000000000001-4", "--at", "http://10.20.0.11:port"],
        ["resolve", "999999-100000000000001-4", "--at", "http://10.20.0.11/elsewhere"],
        ["resolve", "999999-100000000000001-4"],
        ["resolve", "999999-100000000000001-4", "--at", "http://a", "--format", "xml"],
        ["links", "999999-100000000000001-4", "--at", "http://a", "--depth", "9"],
        ["batch", "no-such-file", "--at", "http://a"],
        ["register", "999999-100000000000001-4", "--title", "x", "--body", "b", "--release", "r", "--at", "http://a"],
        ["register", "999999-100000000000001-4", "--title", "x", "--body", "b", "--link", "x", "--at", "http://a"],
    ],
)
def test_a_wrong_call_ends_with_2(words: list[str]) -> None:
    """An address that is none, or options that do not belong together, are a wrong call."""
    assert CliRunner().invoke(commands, words).exit_code == 2


@pytest.mark.parametrize("verb", ["check", "schemes", "resolve", "links", "batch", "register", "withdraw"])
def test_every_command_shows_an_example(verb: str) -> None:
    """Help of each command holds an example."""
    assert "Example: headgate id" in CliRunner().invoke(commands, [verb, "--help"]).output


def test_a_wrong_type_of_link_is_refused_with_the_list() -> None:
    """Before anything is signed or sent."""
    words = ["register", "999999-100000000000001-4", "--title", "x", "--body", "b", "--key", "k", "--at", "http://a"]
    done = CliRunner().invoke(commands, [*words, "--link", "nonsense=isbn:9780471117094"])
    assert isinstance(done.exception, Refused)
    assert "is-equivalent-to, standard, " in str(done.exception)
