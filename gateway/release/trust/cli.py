"""``headgate release trust``: the operator's side. Roots and bodies are drafts first, which enough holders sign."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from appliance.identity.keys import PublicKey
from appliance.runtime.errors import Refused
from gateway.release.trust import cli_body, delegate, drafts, layout, repository, summary, waiting
from gateway.release.trust.delegate import Delegate
from gateway.release.trust.files import Files
from gateway.release.trust.options import FILE, FOLDER, JSON, PUBLIC, SIGN, load, say


@click.group(name="trust")
def commands() -> None:
    """Say who may publish: a TUF repository whose root the operator's people hold, and in which bodies list releases.

    Example: headgate release trust show /srv/origin/trust
    """


@commands.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--root", "root_keys", type=PUBLIC, multiple=True, required=True, help="A root key, kept offline; repeatable."
)
@click.option("--threshold", type=int, default=2, show_default=True, help="How many root keys sign a root.")
@click.option(
    "--operator", type=PUBLIC, multiple=True, required=True, help="A key that signs who is admitted; repeatable."
)
@click.option("--operator-threshold", type=int, default=1, show_default=True, help="How many of these sign.")
@click.option("--online", type=PUBLIC, required=True, help="The centre's key, which signs snapshot and timestamp.")
@SIGN
@JSON
def new(
    folder: Path,
    root_keys: tuple[PublicKey, ...],
    threshold: int,
    operator: tuple[PublicKey, ...],
    operator_threshold: int,
    online: PublicKey,
    signing: tuple[Path, ...],
    *,
    as_json: bool,
) -> None:
    """Begin a repository in FOLDER: drafts of its first root and of targets that admit nobody yet, to be signed.

    Example: headgate release trust new /srv/origin/trust --root ed25519:AAA...= --root ed25519:BBB...= --operator ed25519:CCC...=
    --online ed25519:DDD...=
    """
    now = datetime.now(UTC)
    folder.mkdir(parents=True, exist_ok=True)
    if Files(folder).names():
        raise Refused("folder-not-empty", f"{folder} holds a repository already")
    holders = drafts.Holders(root_keys, threshold, operator, operator_threshold, (online,))
    keys = [load(path) for path in signing]
    done = [waiting.propose(folder, drafts.root(holders, 1, now), keys, now)]
    done.append(waiting.propose(folder, drafts.targets(None, [], now), keys, now))
    _tell_drafts(folder, done, as_json=as_json)


@commands.command()
@click.argument("files", type=FILE, nargs=-1, required=True)
@click.option("--key", type=FILE, required=True, help="A holder's private key.")
@JSON
def sign(files: tuple[Path, ...], key: Path, *, as_json: bool) -> None:
    """Sign drafts, wherever they were carried, and say what was signed.

    Example: headgate release trust sign /media/usb/2.root.json --key root-b.key
    """
    private = load(key)
    told = []
    for path in files:
        draft = waiting.sign(path, private)
        told.append({"file": path.name, "signatures": len(draft.signatures), "says": summary.words(draft.signed)})
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
    else:
        for item in told:
            say(f"{item['file']}: {item['signatures']} signatures; {item['says']}")


@commands.command()
@click.argument("folder", type=FOLDER)
@click.argument("files", type=FILE, nargs=-1)
@JSON
def put(folder: Path, files: tuple[Path, ...], *, as_json: bool) -> None:
    """Put signed drafts into force: those that wait in FOLDER, or FILES that were carried back.

    Example: headgate release trust put /srv/origin/trust /media/usb/2.root.json
    """
    now = datetime.now(UTC)
    _tell_drafts(folder, [waiting.put(folder, path, now) for path in files or waiting.waiting(folder)], as_json=as_json)


@commands.command()
@click.argument("folder", type=FOLDER)
@click.argument("body")
@click.option("--key", "keys", type=PUBLIC, multiple=True, required=True, help="A key of the body; repeatable.")
@click.option("--identifiers", multiple=True, required=True, help="What its codes begin with, such as isli:999999-1.")
@click.option(
    "--act",
    "acts",
    type=click.Choice(delegate.ACTS),
    multiple=True,
    default=("share",),
    show_default=True,
    help="What it is admitted for; repeatable.",
)
@click.option(
    "--bins", type=int, default=1 << layout.BITS, show_default=True, help="A power of 2: some 400 releases each."
)
@SIGN
@JSON
def admit(
    folder: Path,
    body: str,
    keys: tuple[PublicKey, ...],
    identifiers: tuple[str, ...],
    acts: tuple[str, ...],
    bins: int,
    signing: tuple[Path, ...],
    *,
    as_json: bool,
) -> None:
    """Admit BODY, or change what it is admitted for: a draft of the next targets, which the operator's holders sign.

    Example: headgate release trust admit /srv/origin/trust guangxi-library --key ed25519:EEE...= --identifiers isli:999999-1
    --sign operator.key
    """
    if bins < 2 or bins & (bins - 1):
        raise click.BadParameter("is a power of 2, such as 64", param_hint="--bins")
    wanted = Delegate(body, keys, identifiers, acts, bins.bit_length() - 1)
    now = datetime.now(UTC)
    _propose(folder, drafts.admit(_targets(folder), wanted, now), signing, as_json=as_json)


@commands.command()
@click.argument("folder", type=FOLDER)
@click.argument("body")
@click.option("--add", type=PUBLIC, multiple=True, help="A key that shall count too; repeatable.")
@click.option("--remove", type=PUBLIC, multiple=True, help="A key that shall count no longer; repeatable.")
@click.option(
    "--at-once", is_flag=True, help="Remove it although releases are listed under it: they are refused from then on."
)
@SIGN
@JSON
def keys(
    folder: Path,
    body: str,
    add: tuple[PublicKey, ...],
    remove: tuple[PublicKey, ...],
    signing: tuple[Path, ...],
    *,
    at_once: bool,
    as_json: bool,
) -> None:
    """Change the keys of BODY. Without a gap: add the new one, let the body 'renew' with it, then remove the old one.

    Example: headgate release trust keys /srv/origin/trust guangxi-library --add ed25519:FFF...= --sign operator.key
    """
    old = _targets(folder)
    known = delegate.delegate_of(old, body)
    if known is None:
        raise Refused("not-admitted", f"no body '{body}' is admitted")
    changed = drafts.rekeyed(known, add, remove)
    if not at_once and (used := repository.signs_with(Files(folder), body)) and used not in changed.keys:
        told = f"'{body}' still signs with {used}: let it run 'headgate release trust renew' first, or say --at-once"
        raise Refused("still-in-use", told)
    _propose(folder, drafts.admit(old, changed, datetime.now(UTC)), signing, as_json=as_json)


@commands.command()
@click.argument("folder", type=FOLDER)
@click.argument("body")
@SIGN
@JSON
def dismiss(folder: Path, body: str, signing: tuple[Path, ...], *, as_json: bool) -> None:
    """Admit BODY no longer: boxes refuse all its releases as soon as they see it.

    Example: headgate release trust dismiss /srv/origin/trust guangxi-library --sign operator.key
    """
    _propose(folder, drafts.dismiss(_targets(folder), body, datetime.now(UTC)), signing, as_json=as_json)


@commands.command("rotate")
@click.argument("folder", type=FOLDER)
@click.option("--add", type=PUBLIC, multiple=True, help="A new root key; repeatable.")
@click.option("--remove", type=PUBLIC, multiple=True, help="A root key that shall count no longer; repeatable.")
@click.option("--threshold", type=int, help="How many root keys sign from then on.")
@click.option("--add-operator", type=PUBLIC, multiple=True, help="A new key that signs who is admitted; repeatable.")
@click.option(
    "--remove-operator", type=PUBLIC, multiple=True, help="One of these that shall count no longer; repeatable."
)
@click.option("--operator-threshold", type=int, help="How many of these sign from then on.")
@click.option("--add-online", type=PUBLIC, multiple=True, help="A new key of the centre; repeatable.")
@click.option(
    "--remove-online", type=PUBLIC, multiple=True, help="A key of the centre that shall count no longer; repeatable."
)
@click.option("--at-once", is_flag=True, help="Remove keys although something in force is signed by them alone.")
@SIGN
@JSON
def rotate(
    folder: Path,
    add: tuple[PublicKey, ...],
    remove: tuple[PublicKey, ...],
    threshold: int | None,
    add_operator: tuple[PublicKey, ...],
    remove_operator: tuple[PublicKey, ...],
    operator_threshold: int | None,
    add_online: tuple[PublicKey, ...],
    remove_online: tuple[PublicKey, ...],
    signing: tuple[Path, ...],
    *,
    at_once: bool,
    as_json: bool,
) -> None:
    """Change who holds the repository, or sign the root anew before it expires: the draft of the next root.

    Enough holders of the old root and enough of the new one sign it. Without a gap: add a key, sign with it, then remove the old one.

    Example: headgate release trust rotate /srv/origin/trust --add ed25519:GGG...= --remove ed25519:AAA...=
    """
    held = drafts.holders_of(repository.root_of(Files(folder)).signed)
    wanted = replace(
        held,
        root=drafts.with_keys(held.root, add, remove),
        threshold=threshold or held.threshold,
        operator=drafts.with_keys(held.operator, add_operator, remove_operator),
        operator_threshold=operator_threshold or held.operator_threshold,
        online=drafts.with_keys(held.online, add_online, remove_online),
    )
    draft = waiting.next_root(folder, wanted, datetime.now(UTC))
    if not at_once and (lost := repository.lost_by(Files(folder), draft.signed)):
        told = f"{lost} is signed by keys that would count no longer: sign it anew with those that stay first, or say --at-once"
        raise Refused("still-in-use", told)
    _propose(folder, draft, signing, as_json=as_json)


@commands.command()
@click.argument("folder", type=FOLDER)
@SIGN
@JSON
def reissue(folder: Path, signing: tuple[Path, ...], *, as_json: bool) -> None:
    """Sign anew who is admitted, without a change: with other keys of the operator, or before it expires (a year).

    Example: headgate release trust reissue /srv/origin/trust --sign operator.key
    """
    _propose(folder, drafts.reissued(_targets(folder), datetime.now(UTC)), signing, as_json=as_json)


@commands.command()
@click.argument("folder", type=FOLDER)
@click.option("--key", type=FILE, required=True, help="The online key.")
@click.option("--force", is_flag=True, help="Sign a new timestamp although the last one is fresh.")
@JSON
def refresh(folder: Path, key: Path, *, force: bool, as_json: bool) -> None:
    """Show boxes what was signed since the last time, and that nothing else was: snapshot and timestamp, for a day.

    The controller does this by itself where its settings have 'trust:'.

    Example: headgate release trust refresh /srv/origin/trust --key online.key
    """
    done = repository.refresh(folder, load(key), force=force)
    if as_json:
        told = {"snapshot": done.snapshot, "timestamp": done.timestamp, "until": done.until.isoformat()}
        click.echo(json.dumps(told | {"new": list(done.new), "refused": done.refused}, ensure_ascii=False))
        return
    for file in done.new:
        say(f"{file}: taken in")
    for file, why in done.refused.items():
        say(f"{file}: not taken in: {why}")
    say(f"snapshot {done.snapshot}, timestamp {done.timestamp}, until {done.until.isoformat()}")


@commands.command()
@click.argument("folder", type=FOLDER)
@JSON
def show(folder: Path, *, as_json: bool) -> None:
    """Say who holds the repository in FOLDER, who is admitted for what, what waits, and when what expires.

    Example: headgate release trust show /srv/origin/trust
    """
    told = summary.told(Files(folder), [path.name for path in waiting.waiting(folder)])
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
    else:
        for line in summary.lines(told):
            say(line)


def _propose(folder: Path, draft: Any, signing: tuple[Path, ...], *, as_json: bool) -> None:
    _tell_drafts(
        folder, [waiting.propose(folder, draft, [load(path) for path in signing], datetime.now(UTC))], as_json=as_json
    )


def _tell_drafts(folder: Path, done: list[waiting.Draft], *, as_json: bool) -> None:
    if as_json:
        told = [
            {"file": draft.name.file, "in_force": not draft.lacks, "lacks": draft.lacks, "signatures": draft.signatures}
            for draft in done
        ]
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    for draft in done:
        if draft.lacks:
            say(f"{draft.path}: waits. {draft.lacks}; each holder runs 'headgate release trust sign'")
        elif draft.name.file == layout.FIRST_ROOT:
            pin = summary.pin(Files(folder))
            say(f"{draft.name.file}: in force. Policies pin it: trust: {{root: {pin}, origin: ...}}")
        else:
            seen = "boxes see it now" if draft.name.kind == "root" else "boxes see it after the next refresh"
            say(f"{draft.name.file}: in force; {seen}")
    if not done:
        say("nothing waits")


def _targets(folder: Path) -> Any:
    return repository.targets_of(Files(folder)).signed


for command in (cli_body.list_, cli_body.unlist, cli_body.renew, cli_body.verify, cli_body.fetch, cli_body.send):
    commands.add_command(command)
