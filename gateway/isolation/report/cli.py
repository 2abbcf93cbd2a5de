"""``headgate box verify-report``: an auditor checks a report on any machine, without the box."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console

from appliance.identity.keys import PublicKey
from appliance.journal.note import parse_verifier
from appliance.runtime.errors import Corrupt, Refused
from gateway.isolation.report import files, grade
from gateway.isolation.report.model import written

LONGEST_KEY = 4096  # bytes of a file that holds a key
COLOURS = {"proved": "green", "reservations": "yellow", "not-shown": "red"}


def _key(ctx: click.Context, param: click.Parameter, value: str) -> PublicKey:
    """Return the key written as ``ed25519:...``, or in a file as that or as a journal's ``key.pub``."""
    text = value
    if not value.startswith("ed25519:"):
        try:
            with Path(value).open("rb") as file:
                text = file.read(LONGEST_KEY).decode().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise click.BadParameter(
                f"'{value}' is neither a key 'ed25519:...' nor a file of one", ctx, param
            ) from error
    try:
        return PublicKey.parse(text) if text.startswith("ed25519:") else PublicKey(parse_verifier(text).raw)
    except (ValueError, Corrupt) as error:
        raise click.BadParameter(str(error), ctx, param) from error


@click.command(name="verify-report")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--key",
    required=True,
    callback=_key,
    help="The box's public key 'ed25519:...', or a file of it; from your own register, not from the report.",
)
@click.option(
    "--pages",
    type=click.Path(path_type=Path, file_okay=False),
    help="Also make the pages anew there, from the signed JSON.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the verified audit itself, for a program.")
def verify_report(file: Path, key: PublicKey, pages: Path | None, *, as_json: bool) -> None:
    """Check the signature of an audit's FILE, and the pages beside it against what was signed; works offline, anywhere.

    Exit 0 means that the box said exactly this, not that what it said is good: read the verdict.

    Example: headgate box verify-report audit-headend-20260504T030201Z.json --key ed25519:... --pages ./check
    """
    verified = files.verify(file, key)
    audit, reached = verified.audit, grade.grade(verified.audit)
    altered = files.differing_pages(verified, file.parent)
    made = files.write_pages(audit, verified.digest, pages) if pages is not None else {}
    if as_json:
        click.echo(json.dumps(audit.as_json(), ensure_ascii=False))
    else:
        console = Console(highlight=False, soft_wrap=True)
        console.print(f"signed by {key}\nsha256 {verified.digest}", markup=False)
        console.print(
            f"site {audit.box.site}, audited {written(audit.time)}, policy {audit.policy.digest}", markup=False
        )
        console.print(
            f"[{COLOURS[reached.state]}]{reached.form}: {reached.state}[/], {len(reached.reasons)} points lower it"
        )
        for path in made.values():
            console.print(f"made {path}", markup=False)
    if altered:
        names = ", ".join(str(path) for path in altered)
        raise Refused("page-differs", f"not what the signed JSON says, or made by another version: {names}")
