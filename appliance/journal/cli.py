"""``headgate journal``: show and verify a journal, also on a copy far from the box."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from appliance.identity.keys import PublicKey
from appliance.journal.verify import ENTRIES, lines_of, verify_folder
from appliance.runtime.errors import Refused

FOLDER = click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, exists=True, file_okay=False))


@click.group()
def commands() -> None:
    """Show and verify the signed record of what was decided.

    Example: headgate journal verify /var/lib/headgate/journal/guard
    """


@commands.command()
@FOLDER
@click.option("--last", default=50, show_default=True, type=click.IntRange(1), help="How many entries, from the end.")
@click.option("--json", "as_json", is_flag=True, help="Print the entries as they stand, one a line.")
def show(folder: Path, last: int, *, as_json: bool) -> None:
    """Show the last entries.

    Example: headgate journal show /var/lib/headgate/journal/guard --last 10
    """
    path = folder / ENTRIES
    lines, _ = lines_of(path.read_bytes() if path.exists() else b"")
    first = max(0, len(lines) - last)
    if as_json:
        for line in lines[first:]:
            click.echo(line.decode(errors="replace"))
        return
    table = Table("no", "time", "decision", "reason", "more", box=None)
    for number, line in enumerate(lines[first:], first + 1):
        try:
            entry = json.loads(line)
        except ValueError:
            entry = {"decision": "(damaged)"}
        told = entry if isinstance(entry, dict) else {"decision": "(damaged)"}
        more = {key: value for key, value in told.items() if key not in ("time", "decision", "reason")}
        words = " ".join(f"{key}={value}" for key, value in more.items())
        table.add_row(str(number), *(str(told.get(key, "")) for key in ("time", "decision", "reason")), words[:200])
    Console(highlight=False).print(table)


@commands.command()
@FOLDER
@click.option(
    "--key",
    help="The public key, 'ed25519:...'; else the one beside the entries, which proves only that they belong together.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result for a program.")
def verify(folder: Path, key: str | None, *, as_json: bool) -> None:
    """Check every signed entry, name each that was altered.

    Example: headgate journal verify ./copy --key ed25519:...
    """
    try:
        public = PublicKey.parse(key) if key else None
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--key") from error
    report = verify_folder(folder, public)
    if as_json:
        told = {"ok": report.ok, "origin": report.origin, "signed": report.signed, "root": report.root}
        click.echo(json.dumps(told | {"faults": report.faults, "notes": report.notes}, ensure_ascii=False))
    else:
        for line in (*report.faults, *report.notes):
            click.echo(line)
        if report.ok:
            click.echo(
                f"{report.signed} entries of '{report.origin}' are as they were signed (root {report.root[:16]})"
            )
    if not report.ok:
        raise Refused("journal-altered", f"{len(report.faults)} faults in {folder}")
