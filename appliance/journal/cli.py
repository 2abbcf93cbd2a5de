"""``headgate journal``: show, verify, prove and countersign a journal, also on a copy far from the box."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from appliance.identity.keys import PrivateKey
from appliance.journal import note, proofs, proving, tiles, verify
from appliance.journal.verify import CHECKPOINT, Checkpoint, Damaged
from appliance.runtime.errors import Corrupt, HeadgateError, Refused

FOLDER = click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, exists=True, file_okay=False))
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
OUT = click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Where to write it, else it is printed."
)
KEY_HELP = "The journal's public key, 'ed25519:...' or a verifier key 'name+hash+base64'"


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
    first = max(0, tiles.size_of(folder) - last)
    if as_json:
        for entry in tiles.entries_of(folder, first):
            click.echo(entry.decode(errors="replace"))
        return
    table = Table("no", "time", "decision", "reason", "more", box=None)
    for number, told in enumerate(tiles.told(folder, first), first + 1):
        more = {key: value for key, value in told.items() if key not in ("time", "decision", "reason")}
        words = " ".join(f"{key}={value}" for key, value in more.items())
        table.add_row(str(number), *(str(told.get(key, "")) for key in ("time", "decision", "reason")), words[:200])
    Console(highlight=False).print(table)


@commands.command("verify")
@click.argument("place", metavar="DIR|PROOF", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--key",
    default="",
    help=f"{KEY_HELP}; else the one beside the entries, which shows only that they belong together.",
)
@click.option(
    "--witness", multiple=True, help="A key that must have countersigned: 'name+hash+base64' or 'name=ed25519:...'."
)
@click.option(
    "--since", multiple=True, type=FILE, help="A checkpoint kept from earlier, of which this must be the continuation."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result for a program.")
def verify_place(place: Path, key: str, witness: tuple[str, ...], since: tuple[Path, ...], *, as_json: bool) -> None:
    """Check every signed entry and name each that was altered, removed, moved or put in; or check the proof of one entry.

    appliance/journal/verify.py does the same by itself, on any machine with Python 3.11 and the package 'cryptography'.

    Example: headgate journal verify ./copy --key ed25519:... --witness operator+... --since checkpoint-of-may
    """
    try:
        if place.is_file():
            _show_proof(place, key, as_json=as_json)
            return
        report = verify.verify_folder(place, key, witness, since)
    except Damaged as error:
        raise Corrupt(f"{place}: {error}") from error
    if as_json:
        told: dict[str, Any] = {"ok": report.ok, "origin": report.origin, "signed": report.signed, "root": report.root}
        seen = {name: {"size": size, "time": at} for name, (size, at) in report.witnesses.items()}
        more = {"witnesses": seen, "faults": report.faults, "notes": report.notes}
        click.echo(json.dumps(told | more, ensure_ascii=False))
    else:
        click.echo(verify.told(report))
    if not report.ok:
        raise Refused("journal-altered", f"{len(report.faults)} faults in {place}")


@commands.command()
@FOLDER
@click.argument("number", type=click.IntRange(1), required=False)
@click.option(
    "--since", type=FILE, help="A checkpoint kept from earlier: prove that the journal goes on from it, not an entry."
)
@OUT
def prove(folder: Path, number: int | None, since: Path | None, out: Path | None) -> None:
    """Write a small file that shows entry NUMBER, and that the newest checkpoint holds it; or that it goes on from an earlier one.

    The first is a c2sp.org/tlog-proof, for 'headgate journal verify'; the second what c2sp.org/tlog-witness takes, for
    'headgate journal cosign'.

    Example: headgate journal prove /var/lib/headgate/journal/guard 42 --out entry-42.tlog-proof
    """
    if (number is None) == (since is None):
        raise click.UsageError("give either the NUMBER of an entry, or --since CHECKPOINT")
    data = (folder / CHECKPOINT).read_bytes() if (folder / CHECKPOINT).exists() else b""
    head, complete = note.parse_note(data), tiles.Tiles(folder / "tile").complete
    if since is not None:
        old = note.parse_note(since.read_bytes())
        if old.origin != head.origin or old.size > head.size:
            raise Refused(
                "fork", f"'{head.origin}' of {head.size} entries does not go on from '{old.origin}' of {old.size}"
            )
        path = proofs.consistency(old.size, head.size, complete)
        if not proofs.is_consistent(old.size, old.root, head.size, head.root, path):
            raise Refused("fork", f"this journal does not go on from the {old.size} entries of {since}")
        _write(note.request(old.size, path, data), out)
    elif number is not None:
        if number > head.size:
            raise Refused("unknown-entry", f"the checkpoint holds {head.size} entries")
        entry = next(tiles.entries_of(folder, number - 1))
        path = proofs.inclusion(number - 1, head.size, complete)
        if not proofs.is_included(proofs.leaf_hash(entry), number - 1, head.size, head.root, path):
            raise Corrupt(f"entry {number} is not as it was signed: headgate journal verify {folder}")
        _write(proving.written(entry, number, path, data), out)


@commands.command()
@click.argument("file", metavar="CHECKPOINT", type=FILE)
@click.option(
    "--key", "key_file", required=True, type=FILE, help="The witness's own private key, as 'headgate key new' makes it."
)
@click.option("--name", required=True, help="The witness's name, such as regulator.")
@click.option("--log", "log_key", required=True, help=f"{KEY_HELP}.")
@click.option(
    "--since", type=FILE, help="The checkpoint that this witness countersigned last; none only for the first."
)
@click.option(
    "--proof",
    type=FILE,
    help="What 'headgate journal prove DIR --since' wrote; not needed where CHECKPOINT is that file.",
)
@OUT
def cosign(
    file: Path, key_file: Path, name: str, log_key: str, since: Path | None, proof: Path | None, out: Path | None
) -> None:
    """Countersign a checkpoint as a witness, once it goes on from the last one that this witness saw; offline, by files.

    Example: headgate journal cosign new.request --key regulator.key --name regulator --log headend/guard+... --since last
    """
    try:
        private = PrivateKey.load(key_file)
    except OSError as error:
        raise HeadgateError(f"{key_file} cannot be read: {error.strerror}") from error
    data = file.read_bytes()
    told = note.parse_request((proof or file).read_bytes()) if proof or data.startswith(b"old ") else None
    if data.startswith(b"old "):
        data = note.parse_request(data).note
    named = note.parse_note(data).origin
    try:
        known = verify.parse_key(log_key, named)
        head = verify.open_note(data, known)
        before = verify.open_note(since.read_bytes(), known) if since else None
        witness = verify.parse_key(f"{name}={private.public}", kind=verify.WITNESS)
    except Damaged as error:
        raise Corrupt(str(error)) from error
    if before is not None:
        path = told.proof if told is not None and told.old == before.size else ()
        if head.size < before.size or not proofs.is_consistent(before.size, before.root, head.size, head.root, path):
            raise Refused("fork", _not_shown(before, head))
    line = note.cosignature(head, witness.name, private, int(time.time()))
    kept = [one for one in note.lines_of(head) if one.split(" ")[1] != name]
    _write(note.written(head, [*kept, line]), out)


def _not_shown(before: Checkpoint, head: Checkpoint) -> str:
    if head.size <= before.size:
        return (
            f"{head.size} entries do not go on from the {before.size} that were countersigned: this journal was forked"
        )
    return f"no proof shows that {head.size} entries go on from {before.size}: headgate journal prove DIR --since LAST gives it"


def _show_proof(place: Path, key: str, *, as_json: bool) -> None:
    if not key:
        raise click.UsageError("a proof is verified with --key 'ed25519:...'")
    entry, number, head = verify.verify_proof(place.read_bytes(), key)
    if as_json:
        told = {
            "ok": True,
            "origin": head.origin,
            "number": number,
            "signed": head.size,
            "entry": entry.decode(errors="replace"),
        }
        click.echo(json.dumps(told, ensure_ascii=False))
    else:
        click.echo(f"entry {number} of the {head.size} of '{head.origin}':\n{entry.decode(errors='replace')}")


def _write(data: bytes, out: Path | None) -> None:
    if out is None:
        click.echo(data.decode(), nl=False)
        return
    try:
        out.write_bytes(data)
    except OSError as error:
        raise HeadgateError(f"{out} cannot be written: {error.strerror}") from error
