"""What the documents tell an operator to type exists, and the two languages tell the same."""

import importlib
import re
from pathlib import Path

import click
import pytest

from provisioning.main import NOUNS

ROOT = Path(__file__).parents[2]
PAGES = [
    "README.md",
    "README.zh.md",
    "docs/first-site.md",
    "docs/first-site.zh.md",
    "docs/isolation.md",
    "docs/isolation.zh.md",
    "docs/releases.md",
    "docs/releases.zh.md",
    "docs/delivery.md",
    "docs/delivery.zh.md",
    "docs/identifiers.md",
    "docs/identifiers.zh.md",
    "docs/operations.md",
    "docs/architecture.md",
]
CALL = re.compile(r"\bheadgate ([a-z]+)((?: [^\s`]+)*)")
BLOCK = re.compile(r"^ *```(?:console|sh)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


def calls(text: str) -> list[tuple[str, list[str]]]:
    """Return the calls of ``headgate`` in code, each with its noun and its words up to the end of the command."""
    code = [*BLOCK.findall(text), *re.findall(r"`([^`\n]+)`", text)]
    joined = "\n".join(code).replace("\\\n", " ")
    found = []
    for noun, rest in CALL.findall(re.sub(r" +", " ", joined)):
        words = re.split(r" ?(?:#|&&|\||;|·)", rest)[0].split()
        found.append((noun, [word.strip("(),\"'") for word in words]))
    return found


def faults_of(noun: str, words: list[str]) -> list[str]:
    """Return what in a call does not exist."""
    if noun not in NOUNS:
        return [f"headgate {noun}"]
    command: click.Command = importlib.import_module(NOUNS[noun][0]).commands
    words = list(words)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        verb = words.pop(0)
        if verb not in command.commands:
            return [f"headgate {noun}: no '{verb}'"]
        command = command.commands[verb]
    known = {name for parameter in command.params for name in parameter.opts} | {"--help"}
    return [
        f"headgate {noun}: no {word}" for word in words if word.startswith("--") and word.split("=")[0] not in known
    ]


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_exists(page: str):
    """An operator types what the page says: noun, verb and options are the program's."""
    found = calls((ROOT / page).read_text())

    assert found
    assert not [fault for noun, words in found for fault in faults_of(noun, words)]


def test_a_command_that_is_not_there_is_found():
    """The scan would see a verb or an option that went away."""
    ((noun, words),) = calls("```sh\nheadgate fleet rollout pause --now   # no more\n```")

    assert faults_of(noun, words) == ["headgate fleet: no 'pause'"]
    assert faults_of("box", ["apply", "--confirm"]) == ["headgate box: no --confirm"]


@pytest.mark.parametrize("page", ["first-site", "identifiers"])
def test_both_languages_show_the_same(page: str):
    """The Chinese page is the English one: as many chapters and rows, the same commands, the same output."""
    english, chinese = ((ROOT / f"docs/{page}{tongue}.md").read_text() for tongue in ("", ".zh"))

    def shown(text: str) -> list[str]:
        """Return what the page's code blocks hold, without comments and the words of commits."""
        lines = "".join(BLOCK.findall(text)).splitlines()
        return [re.sub(r"\s*#.*|m '.*?'", "", line) for line in lines]

    assert shown(chinese) == shown(english)
    for mark in (r"^##+ ", r"^\| "):
        assert len(re.findall(mark, chinese, re.MULTILINE)) == len(re.findall(mark, english, re.MULTILINE))
