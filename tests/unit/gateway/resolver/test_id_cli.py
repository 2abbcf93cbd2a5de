"""``headgate id check`` and what its sisters refuse before they ask anybody."""

import json

import pytest
from click.testing import CliRunner

from gateway.resolver.cli import commands
from gateway.resolver.codes import WrongCode


def test_check_tells_scheme_canonical_form_and_parts() -> None:
    """A good code is told apart into its parts, for people and for programs."""
    told = CliRunner().invoke(commands, ["check", "ISLI 999999-100000000000001-4", "--json"], catch_exceptions=False)
    assert json.loads(told.output) == {
        "ok": True,
        "scheme": "isli",
        "canonical": "isli:999999-100000000000001-4",
        "service code": "999999",
        "link code": "100000000000001",
        "check digit": "4",
    }
    shown = CliRunner().invoke(commands, ["check", "10.1000/182"], catch_exceptions=False)
    assert "doi:10.1000/182" in shown.output


def test_check_of_a_wrong_code_fails_with_the_expected_digit() -> None:
    """A wrong check digit ends with 1 and says which digit was expected."""
    wrong = CliRunner().invoke(commands, ["check", "999999-100000000000001-5", "--json"])
    assert wrong.exit_code == 1
    told = json.loads(wrong.output)
    assert (told["ok"], told["reason"]) == (False, "wrong-check-digit")
    assert "should be 4" in told["error"]
    with pytest.raises(WrongCode):
        CliRunner().invoke(commands, ["check", "999999-100000000000001-5"], catch_exceptions=False)


@pytest.mark.parametrize(
    "words",
    [
        ["resolve", "999999-100000000000001-4", "--at", "10.20.0.11"],
        ["resolve", "999999-100000000000001-4", "--at", "http://10.20.0.11:port"],
        ["resolve", "999999-100000000000001-4", "--at", "http://10.20.0.11/elsewhere"],
        ["resolve", "999999-100000000000001-4"],
        ["register", "999999-100000000000001-4", "--title", "x", "--body", "b", "--release", "r", "--at", "http://a"],
        ["register", "999999-100000000000001-4", "--title", "x", "--body", "b", "--link", "x", "--at", "http://a"],
    ],
)
def test_a_wrong_call_ends_with_2(words: list[str]) -> None:
    """An address that is none, or options that do not belong together, are a wrong call."""
    assert CliRunner().invoke(commands, words).exit_code == 2


@pytest.mark.parametrize("verb", ["check", "resolve", "links", "register", "withdraw"])
def test_every_command_shows_an_example(verb: str) -> None:
    """Help of each command holds an example."""
    assert "Example: headgate id" in CliRunner().invoke(commands, [verb, "--help"]).output
