"""``headgate release show`` and ``list``."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.table import Column, Table

from appliance.runtime.errors import ConfigError, Fault, Refused
from gateway.release import catalogue, cli_looks, cli_words, manifest, paths, signed
from gateway.release import folder as folders
from gateway.release.amounts import size_of
from gateway.release.cli_words import JSON
from gateway.release.manifest import Release
from gateway.resolver import codes

STATES = ("published", "admitted", "stored", "withdrawn", "refused")
MOST_SHOWN = 40  # files that a person is shown; --json has them all


@click.command()
@click.argument("what")
@click.option("--at", help="An origin's folder, the address of its web server, or the controller's.")
@JSON
def show(what: str, at: str | None, *, as_json: bool) -> None:
    """Show the release in a folder, CODE at an origin, or http://ORIGIN/releases/CODE: what it says. Signatures: 'verify'.

    At the controller: its state, and each box with what it has of it or why it refuses it.

    Example: headgate release show 999999-100000000000001-4 --at http://10.10.0.20
    """
    try:
        release = _found(what, at)
    except Refused as error:
        known = None
        if error.reason == "unknown-release" and at is not None and _is_address(at):
            known = cli_looks.release_at(at.rstrip("/"), _code(what))
        if known is None:
            raise
        if as_json:
            click.echo(json.dumps(known, ensure_ascii=False))
        else:
            cli_looks.print_release(known)
        return
    if as_json:
        whole = {**release.model_dump(mode="json", exclude_defaults=True), "digest": manifest.digest(release)}
        click.echo(json.dumps(whole, ensure_ascii=False))
        return
    console = cli_words.console()
    facts = Table(box=None, show_header=False, pad_edge=False)
    for name, value in _facts(release):
        facts.add_row(name, value)
    console.print(facts)
    files = Table("file", "type", "size", box=None, pad_edge=False)
    for path, file in list(release.files.items())[:MOST_SHOWN]:
        files.add_row(path, file.type, size_of(file.size))
    console.print(files)
    if len(release.files) > MOST_SHOWN:
        console.print(f"and {len(release.files) - MOST_SHOWN} more files")


@click.command(name="list")
@click.option("--at", required=True, help="An origin's folder, or the controller's address http://HOST:PORT.")
@click.option(
    "--state",
    default="",
    type=click.Choice(["", *STATES]),
    help=f"Only these: {', '.join(STATES)}; 'refused': by some box at least.",
)
@click.option("--body", default="", help="Only what this body published.")
@click.option("--label", default="", help="Only what carries this label.")
@click.option("--q", "query", default="", help="Only with this text in title, code or body.")
@JSON
def list_(at: str, state: str, body: str, label: str, query: str, *, as_json: bool) -> None:
    """List the releases of an origin's folder, or of all that the controller knows of, with where they are.

    Example: headgate release list --at http://10.40.0.20:8080 --state refused --body guangxi-library
    """
    wanted = catalogue.Wanted(query, state, body, label)
    found = catalogue.asked(at, wanted) if _is_address(at) else catalogue.listed(_folder(at), wanted)
    if as_json:
        click.echo(
            json.dumps({"releases": [each.model_dump(exclude_defaults=True) for each in found]}, ensure_ascii=False)
        )
        return
    table = Table(
        Column("release", no_wrap=True), "version", "body", "title", "zones", "size", "state", box=None, pad_edge=False
    )
    for each in found:
        size = "" if each.bytes is None else size_of(each.bytes)
        standing = cli_looks.standing_of(each.model_dump())
        state = f"{standing}: {each.error}" if each.error else standing
        table.add_row(
            each.release,
            str(each.version or each.published or ""),
            each.body,
            each.title,
            ", ".join(each.zones),
            size,
            state,
        )
    cli_words.console().print(table, soft_wrap=False)


def _found(what: str, at: str | None) -> Release:
    folder = Path(what)
    if at is None and folder.is_dir():
        claimed = folders.read_claimed(folder)
        if claimed is None:
            raise ConfigError([Fault(what, 1, 1, "", f"holds no {paths.MANIFEST}")])
        return claimed[1]
    if at is None and _is_address(what) and "/releases/" in what:
        at, _, rest = what.partition("/releases/")
        what = rest.partition("/")[0]
    code = _code(what)
    if at is None:
        raise click.UsageError(f"where is {code}? --at with an origin's folder or address")
    if _is_address(at):
        return signed.claimed(catalogue.envelope_at(at, code))
    claimed = folders.read_claimed(_folder(at) / "releases" / code)
    if claimed is None:
        raise Refused("unknown-release", f"{at} has no release {code}", 404)
    return claimed[1]


def _code(what: str) -> str:
    return codes.parse(what if ":" in what else f"isli:{what}").text


def _facts(release: Release) -> list[tuple[str, str]]:
    rights = release.rights
    facts = [
        ("identifier", release.identifier),
        ("version", str(release.version)),
        ("body", release.body),
        ("title", release.title),
        ("description", release.description),
        ("labels", ", ".join(release.labels)),
        ("zones", ", ".join(rights.zones)),
        ("screens", ", ".join(rights.screens)),
        ("territories", ", ".join(rights.territories)),
        ("since", rights.since.isoformat() if rights.since else ""),
        ("until", rights.until.isoformat() if rights.until else ""),
        ("bodies", ", ".join(rights.bodies)),
        ("entry", release.entry),
        ("files", f"{len(release.files)}, {size_of(sum(file.size for file in release.files.values()))}"),
        ("digest", manifest.digest(release)),
    ]
    facts += [("source", f"{each.act} {each.release} of {each.body}") for each in release.sources]
    return [(name, value) for name, value in facts if value]


def _is_address(at: str) -> bool:
    return at.startswith(("http://", "https://"))


def _folder(at: str) -> Path:
    if not Path(at).is_dir():
        raise click.BadParameter(f"'{at}' is no folder and no address", param_hint="--at")
    return Path(at)
