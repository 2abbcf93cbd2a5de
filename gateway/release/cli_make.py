"""``headgate release make`` and ``verify``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from appliance.identity.keys import PrivateKey, PublicKey
from appliance.runtime.errors import ConfigError, Corrupt, Fault, Refused
from appliance.runtime.files import write_atomic
from gateway.release import cli_words, description, draft, paths, signed
from gateway.release import folder as folders
from gateway.release.cli_words import FILE, FOLDER, JSON
from gateway.release.manifest import NEWEST, Source


@click.command()
@click.argument("folder", type=FOLDER)
@cli_words.described
@click.option("--version", type=click.IntRange(1, NEWEST), help="Its number; without it, one more than is there.")
@click.option("--key", type=FILE, help="The body's private key.")
@click.option("--dry-run", is_flag=True, help="Look through everything, and write nothing; needs no key.")
@JSON
def make(
    folder: Path,
    described: Path | None,
    version: int | None,
    key: Path | None,
    sources: tuple[Source, ...],
    *,
    dry_run: bool,
    as_json: bool,
    **told: Any,
) -> None:
    """Look through FOLDER, digest every file, and write FOLDER/release.json, signed; every fault is told at once.

    Example: headgate release make film/ --id 999999-100000000000001-4 --body guangxi-library --title 刘三姐
    --zones bigscreen,smallscreen --key library.key
    """
    if key is None and not dry_run:
        raise click.UsageError("a release is signed: --key with the body's private key, or --dry-run")
    private = PrivateKey.load(key) if key is not None else None
    drawn = draft.draw(folder, described, told, sources, datetime.now(UTC))
    cli_words.warn(drawn.warnings)
    drawn.check()
    number = version or drawn.description.written.version or _next(folder)
    with cli_words.progress() as progress:
        task = progress.add_task("digesting", total=sum(drawn.sizes.values()))
        files = folders.gather(folder, dict(drawn.sizes), lambda done: progress.advance(task, done))
    release = description.released(drawn.description, number, drawn.entry, files)
    if dry_run or private is None:
        cli_words.tell(release, as_json=as_json, key=None)
        return
    envelope = signed.seal(release, private)
    if len(envelope) > signed.LONGEST:
        raise ConfigError(
            [Fault(str(folder), 1, 1, "", "its manifest is too long", hint="make several releases of it")]
        )
    write_atomic(folder / paths.MANIFEST, envelope)
    cli_words.tell(release, as_json=as_json, key=str(private.public))


@click.command()
@click.argument("folder", type=FOLDER)
@click.option("--key", "keys", multiple=True, help="A public key (ed25519:...) that must have signed it; repeatable.")
@JSON
def verify(folder: Path, keys: tuple[str, ...], *, as_json: bool) -> None:
    """Compare every file of FOLDER with its manifest, and the signature with the given keys.

    Example: headgate release verify film/ --key ed25519:Q2h...=
    """
    found = folders.read_claimed(folder)
    if found is None:
        raise ConfigError([Fault(str(folder), 1, 1, "", f"holds no {paths.MANIFEST}")])
    data, release = found
    signer = None
    if keys:
        try:
            admitted = [PublicKey.parse(text) for text in keys]
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--key") from error
        release, who = signed.open_signed(data, admitted)
        signer = str(who)
    with cli_words.progress() as progress:
        task = progress.add_task("verifying", total=sum(file.size for file in release.files.values()))
        faults = folders.differences(folder, release, lambda done: progress.advance(task, done))
    if faults:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        for fault in faults:
            console.print(f"{fault.file}: {fault.message}   {fault.hint}", markup=False)
        raise Refused("digest-mismatch", f"{len(faults)} files are not what the manifest says")
    cli_words.tell(release, as_json=as_json, key=signer)
    if signer is None:
        Console(stderr=True).print("no --key given: whose signature it is was not verified", style="yellow")


def _next(folder: Path) -> int:
    """Return one more than the version that is there."""
    try:
        before = folders.read_claimed(folder)
    except Corrupt as error:
        mend = "take it out, and say --version"
        raise ConfigError(
            [Fault(str(folder / paths.MANIFEST), 1, 1, "", f"is no release: {error}", hint=mend)]
        ) from error
    return 1 if before is None else before[1].version + 1
