"""``headgate release trust``: what bodies do (list, unlist, renew, send), and anybody (verify)."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import click

from appliance.runtime.errors import Corrupt
from appliance.runtime.files import write_atomic
from gateway.release import paths, signed
from gateway.release.trust import bundle, carrying, delegate, kept, layout, repository, signing_over, verifying
from gateway.release.trust.carrying import Controller
from gateway.release.trust.files import Files
from gateway.release.trust.layout import Needed
from gateway.release.trust.options import FILE, FOLDER, JSON, load, say
from gateway.release.trust.verifying import Chain

ONLINE = click.option("--online-key", type=FILE, help="The centre's key, if it is at hand: boxes see it at once.")
KEY = click.option("--key", type=FILE, required=True, help="The body's private key.")


@click.command("list")
@click.argument("folder", type=FOLDER)
@click.argument("releases", type=FOLDER, nargs=-1, required=True)
@KEY
@ONLINE
@click.option(
    "--beside", is_flag=True, help="Write what was signed beside each release.json, for a box that takes releases in."
)
@JSON
def list_(
    folder: Path, releases: tuple[Path, ...], key: Path, online_key: Path | None, *, beside: bool, as_json: bool
) -> None:
    """List the releases in the folders RELEASES, each with its release.json; doing it again changes nothing.

    With --beside each folder can be put into a box's watched folder, or carried in on a disk: the box hands what was signed to the centre.

    Example: headgate release trust list /srv/origin/trust film/ --key library.key
    """
    by_body: dict[str, list[tuple[str, bytes]]] = {}
    for path in releases:
        data = _envelope(path)
        release = signed.claimed(data)
        by_body.setdefault(release.body, []).append((release.code, data))
    private, online = load(key), load(online_key) if online_key else None
    written: list[str] = []
    for body, found in by_body.items():
        written += repository.list_releases(folder, body, found, private, online).files
    if beside:
        _beside(folder, releases)
    _tell(written, seen=online is not None, as_json=as_json)


def _beside(folder: Path, releases: tuple[Path, ...]) -> None:
    files = Files(folder)
    bodies = delegate.delegates_of(repository.targets_of(files).signed)
    for path in releases:
        release = signed.claimed(_envelope(path))
        found = signing_over.from_files(files, release.body, bodies[release.body].bits, release.code)
        write_atomic(path / paths.LISTING, bundle.written(found))


@click.command()
@click.argument("folder", type=FOLDER)
@click.argument("body")
@click.argument("codes", nargs=-1, required=True)
@KEY
@ONLINE
@JSON
def unlist(
    folder: Path, body: str, codes: tuple[str, ...], key: Path, online_key: Path | None, *, as_json: bool
) -> None:
    """List the releases CODES of BODY no longer: boxes that see it refuse them.

    Example: headgate release trust unlist /srv/origin/trust guangxi-library 999999-100000000000001-4 --key library.key
    """
    without = [paths.code_of(code.removeprefix("isli:")) for code in codes]
    online = load(online_key) if online_key else None
    done = repository.list_releases(folder, body, [], load(key), online, without=without)
    _tell(list(done.files), seen=done.visible, as_json=as_json)


@click.command()
@click.argument("folder", type=FOLDER)
@click.argument("body")
@KEY
@ONLINE
@JSON
def renew(folder: Path, body: str, key: Path, online_key: Path | None, *, as_json: bool) -> None:
    """Sign all that BODY lists anew: with a new key that the operator has added, or before it expires (a year).

    Example: headgate release trust renew /srv/origin/trust guangxi-library --key new.key
    """
    done = repository.renew(folder, body, load(key), load(online_key) if online_key else None)
    _tell(list(done.files), seen=done.visible, as_json=as_json)


@click.command()
@click.argument("folder", type=FOLDER)
@click.argument("releases", type=FOLDER, nargs=-1, required=True)
@click.option("--root", "pinned", required=True, help="The SHA-256 of the first root, as policies pin it.")
@JSON
def verify(folder: Path, releases: tuple[Path, ...], pinned: str, *, as_json: bool) -> None:
    """Do what a box does: verify from the pinned root on that the releases in the folders RELEASES are listed as they are.

    Example: headgate release trust verify /srv/origin/trust film/ --root 9f86d0...
    """
    files = Files(folder)

    def read(needed: Needed) -> bytes | None:
        return files.read(layout.parse(needed.file))

    chain, told = Chain(kept.Memory(), pinned.lower()), []
    for path in releases:
        data = _envelope(path)
        release = signed.claimed(data)
        digest = hashlib.sha256(data).hexdigest()
        found = verifying.ask(chain, release.body, release.code, datetime.now(UTC), read, digest)
        signed.open_signed(data, [found.entry.signer])
        told.append(
            {"release": release.code, "version": release.version, "body": release.body, "key": str(found.entry.signer)}
        )
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
    for item in told if not as_json else []:
        say(f"{item['release']}: version {item['version']}, listed by {item['body']}, signed by {item['key']}")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--from", "controller", required=True, help="The controller, such as http://10.40.0.20:8080.")
@click.option("--body", default="", help="Bring only what this body lists.")
@JSON
def fetch(folder: Path, controller: str, body: str, *, as_json: bool) -> None:
    """Bring the repository that the controller keeps into FOLDER, to work on a copy.

    Example: headgate release trust fetch trust/ --from http://10.40.0.20:8080 --body guangxi-library
    """
    found = carrying.fetch(Controller(controller), folder, body)
    _carried([name.file for name in found], "fetched", as_json=as_json)


@click.command()
@click.argument("folder", type=FOLDER)
@click.option("--to", "controller", required=True, help="The controller, such as http://10.40.0.20:8080.")
@JSON
def send(folder: Path, controller: str, *, as_json: bool) -> None:
    """Hand what was signed in FOLDER to the controller, which judges it as boxes do and shows it to them.

    Example: headgate release trust send trust/ --to http://10.40.0.20:8080
    """
    found = carrying.send(Controller(controller), folder)
    _carried([name.file for name in found], "sent", as_json=as_json)


def _carried(files: list[str], what: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"files": files}))
        return
    for file in files:
        say(f"{file}: {what}")
    if not files:
        say("nothing is newer")


def _envelope(path: Path) -> bytes:
    try:
        with (path / paths.MANIFEST).open("rb") as file:
            return file.read(signed.LONGEST + 1)
    except OSError as error:
        raise Corrupt(f"{path} holds no {paths.MANIFEST}: {error.strerror}") from error


def _tell(written: list[str], *, seen: bool, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"files": written, "visible": seen}))
        return
    for file in written:
        say(f"{file}: signed")
    say(
        ("boxes see it now" if seen else "boxes see it when the centre refreshes")
        if written
        else "it is listed already"
    )
