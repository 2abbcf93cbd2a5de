"""``headgate link register`` and ``export``: what leaves the engine."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import click
from rich.console import Console

from appliance.identity.keys import PrivateKey
from appliance.runtime.addresses import base_of
from appliance.runtime.errors import HeadgateError
from appliance.runtime.files import replacing
from appliance.runtime.places import STATE
from gateway.linking.book import Book
from gateway.linking.choosing import Choice

_FILE = click.Path(path_type=Path, dir_okay=False)
BOOK = click.option("--book", type=_FILE, default=STATE / "linking" / "linking.db", show_default=True)


@click.command()
@click.option("--key", type=_FILE, required=True, help="The institution's private key.")
@click.option("--body", required=True, help="The institution, as the policy names it.")
@click.option(
    "--at", required=True, callback=lambda _c, _p, url: base_of(url), help="The registry, http://HOST[:PORT]."
)
@click.option("--dry-run", "dry", is_flag=True, help="Only tell what would be registered.")
@BOOK
@click.option("--json", "as_json", is_flag=True, help="For a program.")
def register(key: Path, body: str, at: str, book: Path, *, dry: bool, as_json: bool) -> None:
    """Register all accepted links: their sources' records get them, signed by the institution.

    Example: headgate link register --key keys/library.pem --body guangxi-library --at http://10.40.0.20:8080
    """
    from gateway.linking import registering

    kept = Book(book)
    try:
        done = asyncio.run(registering.register(kept, PrivateKey.load(key), body, at, dry=dry))
    finally:
        kept.close()
    refused = done.refused
    if as_json:
        told = [{"code": code, "reason": reason, "error": sentence} for code, reason, sentence in refused]
        click.echo(
            json.dumps(
                {"records": done.records, "links": done.links, "there": done.there, "refused": told}, ensure_ascii=False
            )
        )
    else:
        console = Console(highlight=False, markup=False, soft_wrap=True)
        word = "would be registered" if dry else "registered"
        console.print(f"{done.links} links of {done.records} records {word}; {done.there} were there already")
        for code, reason, sentence in refused[:50]:
            console.print(f"{code}: {reason}: {sentence}")
        if len(refused) > 50:
            console.print(f"... and {len(refused) - 50} more refused")
    if refused:
        raise SystemExit(1)


@click.command()
@click.option("--json-ld", "path", type=_FILE, required=True, help="The file to write; it is replaced whole.")
@click.option("--state", type=click.Choice(["accepted", "registered", "both"]), default="both", show_default=True)
@click.option(
    "--base",
    default="http://resolver.invalid",
    show_default=True,
    help="The resolver's address, for codes without a URI.",
)
@BOOK
def export(path: Path, state: str, base: str, book: Path) -> None:
    """Write accepted and registered links as JSON-LD, with the terms of GB/T 38378.

    Example: headgate link export --json-ld links.jsonld --base http://10.20.0.11:8080
    """
    from gateway.linking import exporting

    kept = Book(book)
    try:
        states = ["accepted", "registered"] if state == "both" else [state]
        links = [one for each in states for one in kept.select(*Choice(each).condition(), 10_000_000)]
    finally:
        kept.close()
    try:
        with replacing(path) as file:
            file.writelines(piece.encode() for piece in exporting.json_ld(links, base))
    except OSError as error:
        raise HeadgateError(f"{path} cannot be written: {error.strerror}") from error
    click.echo(f"{len(links)} links in {path}")
