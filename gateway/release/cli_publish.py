"""``headgate release publish``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from appliance.runtime.errors import ConfigError, Fault
from gateway.release import cli_words, origin, paths, publishing
from gateway.release import folder as folders
from gateway.release.cli_words import FOLDER, JSON


@click.command()
@click.argument("folder", type=FOLDER)
@click.option("--to", "target", type=FOLDER, required=True, help="The folder that an origin's web server serves.")
@JSON
def publish(folder: Path, target: Path, *, as_json: bool) -> None:
    """Copy the release in FOLDER to an origin's folder: files first, the manifest last.

    Doing it again changes nothing; what was broken off goes on where it was.

    Example: headgate release publish film/ --to /srv/origin
    """
    found = folders.read_claimed(folder)
    if found is None:
        mend = "run 'headgate release make' first"
        raise ConfigError([Fault(str(folder), 1, 1, "", f"holds no {paths.MANIFEST}", hint=mend)])
    total = sum(file.size for file in found[1].files.values())
    with origin.opened(target, found[1].code) as sink, cli_words.progress() as progress:
        task = progress.add_task("copying", total=total)
        copied = publishing.publish(folder, sink, lambda done: progress.advance(task, done))
    if as_json:
        click.echo(json.dumps({"folder": str(sink.target), "copied": copied}))
    else:
        cli_words.console().print(f"{sink.target}: {copied} files copied")
