"""``headgate release publish --box``: a release to an institution's box."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from appliance.identity.keys import PrivateKey
from appliance.runtime.errors import Refused
from gateway.release import cli_words
from gateway.release import upload as uploading
from gateway.release.manifest import Release
from gateway.release.trust import bundle, repository, signing_over
from gateway.release.trust.files import Files


def to_box(
    folder: Path,
    release: Release,
    box: str,
    *,
    key: PrivateKey | None,
    trust: Path | None,
    listed: float,
    as_json: bool,
) -> None:
    """Bring the ``release`` in ``folder`` into the box at ``box``, showing progress; tell each file that is refused.

    With the body's ``key`` it is listed where the box asks for it: over what the box knows, or in the copy of the repository at ``trust``.

    Raises:
        HeadgateError: the folder is wrong, or the box does not take the release.
    """

    def lister(told: Any, code: str, envelope: bytes) -> bytes:
        over, now = signing_over.parse(told), datetime.now(UTC)
        if trust is None or key is None:
            return bundle.written(signing_over.list_release(over, code, envelope, _held(key), now))
        repository.list_release(trust, release.body, code, envelope, key)
        return bundle.written(signing_over.from_files(Files(trust), release.body, over.delegate.bits, code))

    with cli_words.progress() as progress:
        task = progress.add_task("sending", total=sum(file.size for file in release.files.values()))
        outcome = uploading.upload(
            folder,
            box,
            lambda done: progress.advance(task, done),
            lister=lister if key is not None else None,
            listed=listed,
        )
    state = "accepted" if outcome.accepted else uploading.WAITS if outcome.waits else "refused"
    if as_json:
        refused = [{"path": path, "reason": reason, "error": told} for path, reason, told in outcome.refused]
        told = {"release": outcome.release, "version": outcome.version, "sent": outcome.sent, "refused": refused}
        click.echo(json.dumps({**told, "state": state}, ensure_ascii=False))
    elif outcome.accepted:
        told_short = f"{outcome.release} version {outcome.version} is in, {outcome.sent} bytes were sent"
        cli_words.console().print(told_short)
    for path, reason, sentence in outcome.refused:
        click.echo(f"{path}: {reason}: {sentence}", err=True)
    if outcome.waits:
        told_more = f"{outcome.waits}. The box has all of it and goes on by itself; asked again, this command tells how it stands"
        raise Refused(uploading.WAITS, told_more)
    if not outcome.accepted:
        raise Refused(outcome.refused[0][1], f"the box refused {len(outcome.refused)} files of {outcome.release}")


def _held(key: PrivateKey | None) -> PrivateKey:
    if key is None:
        raise RuntimeError("nobody signs")
    return key
