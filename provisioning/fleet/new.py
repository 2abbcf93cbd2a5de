"""``headgate fleet new``: the operator's folder, with a centre and a headend to fill in."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template

import click
from rich.console import Console

from appliance.identity.keys import PrivateKey
from appliance.runtime.command import run
from appliance.runtime.errors import HeadgateError, Refused

SITES = ("centre", "headend")
REGISTRY, BODY = "registry", "library"  # names of keys; fleet rollout gives the controller keys/registry.pem
IGNORED = "keys/\npki/\n.cache/\n"


@dataclass(frozen=True)
class Made:
    """An operator's folder that was made: its files, the public keys by name, and whether it is a git repository."""

    folder: Path
    files: tuple[str, ...]
    keys: dict[str, str]
    git: bool


def make(folder: Path) -> Made:
    """Make the operator's folder at ``folder``; its policies are valid, with places in them to fill in.

    Raises:
        Refused: there is something in it already (reason ``folder-not-empty``).
        HeadgateError: it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise Refused("folder-not-empty", f"{folder} is not empty, and nothing in it is overwritten")
        keys = _keys(folder / "keys")
        texts = {".gitignore": IGNORED, "inventory.yaml": _template("inventory.yaml").safe_substitute()}
        for site in SITES:
            words = {f"{name}_key": public for name, public in keys.items()}
            texts[f"sites/{site}/policy.yaml"] = _template(f"{site}.yaml").substitute(words)
        for name, text in texts.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise HeadgateError(f"{error.filename or folder} cannot be written: {error.strerror}") from error
    git = shutil.which("git") is not None
    if git:
        run(["git", "init", "--quiet", "--initial-branch=main", str(folder)])
    return Made(folder, (*texts, *(f"keys/{name}.pem" for name in keys)), keys, git)


def _keys(folder: Path) -> dict[str, str]:
    folder.mkdir(mode=0o700)
    public = {}
    for name in (REGISTRY, BODY):
        key = PrivateKey.generate()
        key.save(folder / f"{name}.pem")
        public[name] = str(key.public)
    return public


def _template(name: str) -> Template:
    return Template((resources.files("provisioning.fleet") / "templates" / name).read_text(encoding="utf-8"))


@click.command("new")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print what was made as JSON.")
def new(folder: Path, *, as_json: bool) -> None:
    """Make the operator's FOLDER: inventory, policies of a centre and a headend to fill in, keys; a git repository.

    Example: headgate fleet new ../my-operator
    """
    made = make(folder)
    if as_json:
        told = {"folder": str(made.folder), "files": list(made.files), "keys": made.keys, "git": made.git}
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    console = Console(highlight=False, soft_wrap=True, markup=False)
    for name in made.files:
        console.print(f"made {folder / name}")
    console.print(f"""
The policies pass 'headgate policy check' as they are; what only you know is marked FILL IN. What to do next, in {folder}:
  1. inventory.yaml: the addresses of your boxes      (ip -br addr, on each box)
  2. sites/*/policy.yaml: MACs and addresses          (ip -br link, on each box)
  3. headgate policy check sites/headend/policy.yaml
  4. git add -A && git commit -m 'First sites'
  5. headgate fleet plan, then headgate fleet rollout start
keys/ is in nobody's hands but yours and not in git: back it up. docs/first-site.md goes through all of it.""")
