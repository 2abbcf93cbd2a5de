"""``headgate policy`` as its users call it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from appliance.identity.keys import PrivateKey
from appliance.runtime.errors import ConfigError, HeadgateError, Refused
from gateway.isolation.cli_policy import commands


@pytest.fixture
def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(text)
    return path


def test_check_sums_up_a_good_policy(file: Path) -> None:
    """The summary names zones, cases and digest."""
    told = CliRunner().invoke(commands, ["check", str(file)])
    assert told.exit_code == 0
    assert "4 cases hold" in told.output
    seen = json.loads(CliRunner().invoke(commands, ["check", str(file), "--json"]).output)
    assert seen["ok"]
    assert len(seen["digest"]) == 64


def test_check_tells_the_faults_of_a_bad_one(file: Path, text: str) -> None:
    """A program gets them as values, a person as the error that the program prints; both end with status 2."""
    file.write_text(text.replace("tcp/8080", "tcp/0"))
    told = CliRunner().invoke(commands, ["check", str(file), "--json"])
    assert told.exit_code == 2
    (fault,) = json.loads(told.output)["faults"]
    assert (fault["path"], fault["line"]) == ("services.resolver.listen", 13)
    assert isinstance(CliRunner().invoke(commands, ["check", str(file)]).exception, ConfigError)


def test_explain_says_yes_or_no_and_which_line(file: Path) -> None:
    """Yes ends with status 0, no with 1, both with the deciding line."""
    base = ["explain", str(file), "--from", "bigscreen/10.20.0.50", "--to", "box", "--proto", "tcp", "--port"]
    yes, no = (CliRunner().invoke(commands, [*base, port]) for port in ("80", "22"))
    assert (yes.exit_code, no.exit_code) == (0, 1)
    assert yes.output.startswith("yes:")
    assert f"{file}:12" in yes.output.replace("\n", "")
    assert no.output.startswith("no:")
    told = json.loads(CliRunner().invoke(commands, [*base, "80", "--json"]).output)
    assert (told["allowed"], told["line"]) == (True, 12)


@pytest.mark.parametrize(
    "words",
    [
        ["--from", "bigscren", "--to", "box"],
        ["--from", "box", "--to", "box"],
        ["--from", "bigscreen", "--to", "box", "--port", "80"],
        ["--from", "bigscreen", "--to", "box", "--lane", "release"],
    ],
)
def test_a_question_that_means_nothing_is_a_wrong_call(file: Path, words: list[str]) -> None:
    """It ends with status 2 and a sentence."""
    told = CliRunner().invoke(commands, ["explain", str(file), *words])
    assert told.exit_code == 2
    assert "Error: Invalid value" in told.output


def test_diff_says_in_words_what_changes(file: Path, text: str, tmp_path: Path) -> None:
    """And as values for a program."""
    new = tmp_path / "new.yaml"
    new.write_text(text.replace("listen: tcp/22, ", "listen: tcp/2222, "))
    told = CliRunner().invoke(commands, ["diff", str(file), str(new)]).output
    assert "- management/10.40.0.0/24 loses ssh at the box's tcp/22" in told
    assert "+ management/10.40.0.0/24 gains ssh at the box's tcp/2222" in told
    seen = json.loads(CliRunner().invoke(commands, ["diff", str(file), str(new), "--json"]).output)
    assert [change["verb"] for change in seen["changes"]] == ["loses", "gains"]


def test_show_prints_tables_and_values(file: Path) -> None:
    """The values are the policy again."""
    assert "lane films" in " ".join(
        CliRunner().invoke(commands, ["show", str(file)], env={"COLUMNS": "200"}).output.split()
    )
    seen = json.loads(CliRunner().invoke(commands, ["show", str(file), "--json"]).output)
    assert seen["services"]["delivery"]["listen"] == "tcp/80"
    assert seen["lanes"]["films"]["from"] == "culture"


def test_check_warns_of_what_is_idle_and_refuses_it_where_asked(file: Path, text: str) -> None:
    """A warning leaves the policy good; with --strict it is a fault."""
    file.write_text(text + "groups: {idle: [10.20.0.77]}\n")
    told = CliRunner().invoke(commands, ["check", str(file)])
    assert told.exit_code == 0
    assert f"warning {file}:31:10: groups.idle: group 'idle' is used nowhere" in told.output
    (warning,) = json.loads(CliRunner().invoke(commands, ["check", str(file), "--json"]).output)["warnings"]
    assert (warning["path"], warning["line"]) == ("groups.idle", 31)
    assert isinstance(CliRunner().invoke(commands, ["check", str(file), "--strict"]).exception, ConfigError)


def test_whole_is_what_boxes_get(file: Path, text: str, tmp_path: Path) -> None:
    """A file that includes nothing comes out as it is; a source as one file with the digest that check tells."""
    assert CliRunner().invoke(commands, ["whole", str(file)]).output == text
    at = text.index("services:")
    (tmp_path / "rest.yaml").write_text(text[at:])
    file.write_text("include: [rest.yaml]\n" + text[:at])
    out = tmp_path / "whole.yaml"
    assert CliRunner().invoke(commands, ["whole", str(file), "-o", str(out)]).exit_code == 0
    digests = [
        json.loads(CliRunner().invoke(commands, ["check", str(f), "--json"]).output)["digest"] for f in (file, out)
    ]
    assert digests[0] == digests[1]
    assert "include" not in out.read_text()


def test_a_signed_successor_passes_and_an_unsigned_one_does_not(file: Path, text: str, tmp_path: Path) -> None:
    """Sign, then check against the policy in force; what is missing is told."""
    keys = {name: PrivateKey.generate() for name in ("li", "wang")}
    for name, key in keys.items():
        key.save(tmp_path / f"{name}.key")
    named = ", ".join(f'{name}: "{key.public}"' for name, key in keys.items())
    old = tmp_path / "old.yaml"
    old.write_text(f"serial: 1\napproval: {{signatures: 2, keys: {{{named}}}}}\n{text}")
    file.write_text(old.read_text().replace("serial: 1", "serial: 2"))
    call = ["check", str(file), "--in-force", str(old)]

    unsigned = CliRunner().invoke(commands, call).exception
    assert isinstance(unsigned, Refused)
    assert unsigned.reason == "not-signed"
    assert (
        CliRunner()
        .invoke(commands, ["sign", str(file), "--key", str(tmp_path / "li.key")])
        .output.startswith("signed by li:")
    )
    once = CliRunner().invoke(commands, [*call, "--json"])
    assert once.exit_code == 1
    assert json.loads(once.output)["refused"]["reason"] == "too-few-signatures"
    signed = CliRunner().invoke(
        commands, ["sign", str(file), "--key", str(tmp_path / "wang.key"), "--as", "王芳", "--json"]
    )
    assert json.loads(signed.output)["signatures"] == ["li", "王芳"]
    assert CliRunner().invoke(commands, call).exit_code == 0
    old.write_text(old.read_text().replace("serial: 1", "serial: 3"))
    older = CliRunner().invoke(commands, call).exception
    assert isinstance(older, Refused)
    assert older.reason == "older-policy"


def test_a_key_that_cannot_be_read_is_told(file: Path, tmp_path: Path) -> None:
    """A sentence with the file's name."""
    told = CliRunner().invoke(commands, ["sign", str(file), "--key", str(tmp_path / "gone.key")]).exception
    assert isinstance(told, HeadgateError)
    assert "gone.key" in str(told)
