"""``headgate release publish``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from appliance.identity.keys import PrivateKey
from gateway.release import cli_words, origin, publishing
from gateway.release import upload as uploading
from gateway.release.cli_upload import to_box
from gateway.release.cli_words import FILE, FOLDER, JSON
from gateway.release.trust import repository


@click.command()
@click.argument("folder", type=FOLDER)
@click.option("--to", "target", type=FOLDER, help="The folder that an origin's web server serves.")
@click.option("--box", help="In its place, an institution's box that takes releases: http://ADDRESS:PORT.")
@click.option("--trust", type=FOLDER, help="The TUF repository in which the body lists it then.")
@click.option("--key", type=FILE, help="The body's private key, to list it.")
@click.option(
    "--wait",
    "listed",
    type=click.FloatRange(0, 86_400),
    default=uploading.LISTED,
    show_default=True,
    help="Seconds that the centre is waited for, to list what a box has.",
)
@click.option("--online-key", type=FILE, help="The centre's key, where it is at hand: boxes see it at once.")
@JSON
def publish(
    folder: Path,
    target: Path | None,
    box: str | None,
    trust: Path | None,
    key: Path | None,
    listed: float,
    online_key: Path | None,
    *,
    as_json: bool,
) -> None:
    """Copy the release in FOLDER to an origin's folder: files first, the manifest last; then list it, with --trust. Or send it to a box.

    Doing it again changes nothing; what was broken off goes on where it was. To a box whose policy has 'trust:', --key lists it: the
    box hands what the body signed to the centre, and takes the release in as soon as the centre lists it.

    Example: headgate release publish film/ --to /srv/origin --trust /srv/origin/trust --key library.key
    """
    if (target is None) == (box is None):
        raise click.UsageError("say where to: --to FOLDER or --box http://ADDRESS:PORT")
    if (trust is None) != (key is None) and (box is None or key is None):
        raise click.UsageError("--trust and --key go together: the body lists its release under its own key")
    private = PrivateKey.load(key) if key is not None else None
    online = PrivateKey.load(online_key) if online_key is not None else None
    envelope, release = publishing.made_in(folder)
    if target is None:
        to_box(folder, release, str(box), key=private, trust=trust, listed=listed, as_json=as_json)
        return
    with cli_words.progress() as progress:
        task = progress.add_task("copying", total=sum(file.size for file in release.files.values()))
        place, copied = origin.publish(folder, target, lambda done: progress.advance(task, done))
    told: dict[str, object] = {"folder": str(place), "copied": copied}
    if trust is not None and private is not None:
        listing = repository.list_release(trust, release.body, release.code, envelope, private, online)
        told |= {"listed": list(listing.files), "visible": listing.visible}
    if as_json:
        click.echo(json.dumps(told))
        return
    seen = "" if trust is None else ", listed" + ("" if told["visible"] else "; boxes see it when the centre refreshes")
    cli_words.console().print(f"{place}: {copied} files copied{seen}")
