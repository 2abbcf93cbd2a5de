"""Rules that matter for the whole tree, each with its reason."""

import ast
import importlib
import re
import subprocess
from pathlib import Path

import click
import pytest

from provisioning.main import NOUNS

ROOT = Path(__file__).parents[2]
PACKAGES = ("appliance", "gateway", "firmware", "monitoring", "provisioning")


def tracked(*patterns: str) -> list[Path]:
    """Return the files that belong to the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.split() if (ROOT / name).is_file()]


def test_every_package_says_what_it_is():
    """A newcomer reads a package's docstring first, so each has one that is more than a name."""
    bare = [
        str(path.relative_to(ROOT))
        for path in tracked("*/__init__.py")
        if path.relative_to(ROOT).parts[0] in PACKAGES
        and len(ast.get_docstring(ast.parse(path.read_text())) or "") < 40
    ]

    assert not bare


def test_unit_tests_mirror_the_tree():
    """Who changes gateway/x/y.py finds its tests in tests/unit/gateway/x, so no folder there is without its package."""
    stray = {
        str(path.parent.relative_to(ROOT / "tests/unit"))
        for path in tracked("tests/unit/*.py")
        if not (ROOT / path.parent.relative_to(ROOT / "tests/unit")).is_dir()
    }

    assert not stray


@pytest.mark.parametrize("page", ["README.md", "README.zh.md", "docs/architecture.md", "docs/first-site.md"])
def test_documents_name_files_that_are_there(page: str):
    """A page that names a file that moved leads its reader astray."""
    text = (ROOT / page).read_text()
    names = {path.name for path in tracked()}
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)

    assert not [link for link in links if not ((ROOT / page).parent / link).exists()]
    assert not [name for name in re.findall(r"\b([a-z_]+\.py)\b", text) if name not in names]


def test_nothing_of_one_machine_is_in_the_repository():
    """No path of one machine, and no download address in a lock file: the clients know their registries."""
    own = re.compile(r"(^|[^A-Za-z])/(root|work|home)/")
    texts = [
        path
        for path in tracked()
        if path.suffix in {".py", ".md", ".toml", ".txt", ".yml", ".yaml", ".json", ".sh", ".j2", ""}
    ]
    found = [
        str(path.relative_to(ROOT))
        for path in texts
        if path != Path(__file__) and own.search(path.read_text(errors="replace"))
    ]
    locks = [
        path for path in tracked("requirements/*", "*package-lock.json") if re.search(r"https?://", path.read_text())
    ]

    assert not found
    assert not locks


def commands(command: click.Command, name: str):
    """Yield each command below ``command`` with its full name."""
    if isinstance(command, click.Group):
        for child in command.list_commands(click.Context(command)):
            yield from commands(command.get_command(click.Context(command), child), f"{name} {child}")
    else:
        yield name, command


@pytest.mark.parametrize("noun", NOUNS)
def test_every_command_shows_an_example(noun: str):
    """Help without an example leaves the reader to guess, and whatever takes no argument is no excuse."""
    loaded = importlib.import_module(NOUNS[noun][0]).commands

    assert not [name for name, command in commands(loaded, noun) if "Example" not in (command.help or "")]
