"""``headgate release``: make, verify and publish signed releases of content."""

from __future__ import annotations

import json
from pathlib import Path

import click
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from appliance.identity.keys import PrivateKey, PublicKey
from appliance.runtime.errors import ConfigError, Fault, Refused
from appliance.runtime.files import write_atomic
from gateway.release import folder as folders
from gateway.release import manifest, media, paths, signed
from gateway.release.manifest import Release, Rights
from gateway.release.trust import cli as trust
from gateway.resolver import codes

FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


@click.group(name="release")
def commands() -> None:
    """Make, verify and publish signed releases of content.

    Example: headgate release verify film/
    """


@commands.command()
@click.argument("folder", type=FOLDER)
@click.option("--id", "identifier", required=True, help="The ISLI code it goes by.")
@click.option("--body", required=True, help="The admitted organisation that signs it, as policies name it.")
@click.option("--title", required=True, help="What people see.")
@click.option("--description", default="", help="A longer text for people.")
@click.option("--label", "labels", multiple=True, help="A word of classification; may be repeated.")
@click.option("--entry", required=True, help="The file that a player opens, such as master.m3u8.")
@click.option("--zones", required=True, help="Zones whose screens may show it, with commas: bigscreen,smallscreen")
@click.option("--version", type=int, help="Its number; without it, one more than the release.json that is there.")
@click.option("--key", type=click.Path(path_type=Path, exists=True), required=True, help="The body's private key.")
@click.option("--json", "as_json", is_flag=True, help="Print what was made as JSON.")
def make(
    folder: Path,
    identifier: str,
    body: str,
    title: str,
    description: str,
    labels: tuple[str, ...],
    entry: str,
    zones: str,
    version: int | None,
    key: Path,
    *,
    as_json: bool,
) -> None:
    """Digest every file of FOLDER and write FOLDER/release.json, signed.

    Example: headgate release make film/ --id 999999-100000000000001-4 --body guangxi-library --title 刘三姐 --entry master.m3u8
    --zones bigscreen,smallscreen --key library.key
    """
    code = codes.parse(identifier if ":" in identifier else f"isli:{identifier}")
    private = PrivateKey.load(key)
    sizes = folders.survey(folder)
    if entry not in sizes:
        raise ConfigError([_fault(folder, f"the entry '{entry}' is not in the folder")])
    if version is None:
        before = folders.read_claimed(folder)
        version = 1 if before is None else before[1].version + 1
    with _progress() as progress:
        task = progress.add_task("digesting", total=sum(sizes.values()))
        files = folders.gather(folder, sizes, lambda done: progress.advance(task, done))
    try:
        release = Release(
            identifier=code.canonical,
            version=version,
            body=body,
            title=title,
            description=description,
            labels=labels,
            rights=Rights(zones=tuple(zone.strip() for zone in zones.split(","))),
            entry=entry,
            files=files,
        )
    except ValidationError as error:
        raise ConfigError(
            [
                _fault(folder, f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}")
                for fault in error.errors(include_url=False, include_input=False)
            ]
        ) from error
    write_atomic(folder / paths.MANIFEST, signed.seal(release, private))
    unknown = sorted({Path(name).suffix for name, file in files.items() if file.type == media.UNKNOWN})
    if unknown:
        Console(stderr=True).print(
            f"content type unknown, told as {media.UNKNOWN}: {', '.join(unknown)}", style="yellow"
        )
    _tell(release, as_json=as_json, key=str(private.public))


@commands.command()
@click.argument("folder", type=FOLDER)
@click.option("--key", "keys", multiple=True, help="A public key (ed25519:...) that must have signed it; repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def verify(folder: Path, keys: tuple[str, ...], *, as_json: bool) -> None:
    """Compare every file of FOLDER with its manifest, and the signature with the given keys.

    Example: headgate release verify film/ --key ed25519:Q2h...=
    """
    found = folders.read_claimed(folder)
    if found is None:
        raise ConfigError([_fault(folder, f"holds no {paths.MANIFEST}")])
    data, release = found
    signer = None
    if keys:
        try:
            admitted = [PublicKey.parse(text) for text in keys]
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--key") from error
        release, who = signed.open_signed(data, admitted)
        signer = str(who)
    with _progress() as progress:
        task = progress.add_task("verifying", total=sum(file.size for file in release.files.values()))
        faults = folders.differences(folder, release, lambda done: progress.advance(task, done))
    if faults:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        for fault in faults:
            console.print(f"{fault.file}: {fault.message}", markup=False)
        raise Refused("digest-mismatch", f"{len(faults)} files are not what the manifest says")
    _tell(release, as_json=as_json, key=signer)
    if signer is None:
        Console(stderr=True).print("no --key given: whose signature it is was not verified", style="yellow")


@commands.command()
@click.argument("folder", type=FOLDER)
@click.option("--to", "origin", type=FOLDER, required=True, help="The folder that an origin's web server serves.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def publish(folder: Path, origin: Path, *, as_json: bool) -> None:
    """Copy the release in FOLDER to an origin's folder: files first, the manifest last. Doing it again changes nothing.

    Example: headgate release publish film/ --to /srv/origin
    """
    found = folders.read_claimed(folder)
    total = sum(file.size for file in found[1].files.values()) if found else 0
    with _progress() as progress:
        task = progress.add_task("copying", total=total)
        target, copied = folders.publish(folder, origin, lambda done: progress.advance(task, done))
    if as_json:
        click.echo(json.dumps({"folder": str(target), "copied": copied}))
    else:
        Console(highlight=False, soft_wrap=True).print(f"{target}: {copied} files copied", markup=False)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def _tell(release: Release, *, as_json: bool, key: str | None) -> None:
    told = {
        "identifier": release.identifier,
        "version": release.version,
        "body": release.body,
        "title": release.title,
        "entry": release.entry,
        "zones": list(release.rights.zones),
        "files": len(release.files),
        "bytes": sum(file.size for file in release.files.values()),
        "digest": manifest.digest(release),
        "key": key,
    }
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
    else:
        Console(highlight=False, soft_wrap=True).print(
            f"{release.identifier} version {release.version} of {release.body}: {release.title}, "
            f"{told['files']} files, {told['bytes']} bytes, for {', '.join(release.rights.zones)}",
            markup=False,
        )


def _fault(path: Path, message: str) -> Fault:
    return Fault(str(path), 1, 1, "", message)


commands.add_command(trust.commands)
