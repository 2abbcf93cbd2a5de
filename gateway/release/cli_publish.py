"""``headgate release publish``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from gateway.release import cli_words, origin, publishing
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
    _, release = publishing.made_in(folder)
    with cli_words.progress() as progress:
        task = progress.add_task("copying", total=sum(file.size for file in release.files.values()))
        place, copied = origin.publish(folder, target, lambda done: progress.advance(task, done))
    if as_json:
        click.echo(json.dumps({"folder": str(place), "copied": copied}))
    else:
        cli_words.console().print(f"{place}: {copied} files copied")
