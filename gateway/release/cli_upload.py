"""``headgate release publish --box``: a release to an institution's box."""

from __future__ import annotations

import json
from pathlib import Path

import click

from appliance.runtime.errors import Refused
from gateway.release import cli_words
from gateway.release import upload as uploading
from gateway.release.manifest import Release


def to_box(folder: Path, release: Release, box: str, *, as_json: bool) -> None:
    """Bring the ``release`` in ``folder`` into the box at ``box``, showing progress; tell each file that is refused.

    Raises:
        HeadgateError: the folder is wrong, or the box does not take the release.
    """
    with cli_words.progress() as progress:
        task = progress.add_task("sending", total=sum(file.size for file in release.files.values()))
        outcome = uploading.upload(folder, box, lambda done: progress.advance(task, done))
    if as_json:
        refused = [{"path": path, "reason": reason, "error": told} for path, reason, told in outcome.refused]
        told = {"release": outcome.release, "version": outcome.version, "sent": outcome.sent, "refused": refused}
        click.echo(json.dumps({**told, "state": "accepted" if outcome.accepted else "refused"}, ensure_ascii=False))
    elif outcome.accepted:
        told_short = f"{outcome.release} version {outcome.version} is in, {outcome.sent} bytes were sent"
        cli_words.console().print(told_short)
    for path, reason, sentence in outcome.refused:
        click.echo(f"{path}: {reason}: {sentence}", err=True)
    if not outcome.accepted:
        raise Refused(outcome.refused[0][1], f"the box refused {len(outcome.refused)} files of {outcome.release}")
