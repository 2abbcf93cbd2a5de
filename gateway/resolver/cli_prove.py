"""``headgate id history``, ``prove`` and ``verify-proof``: what a code meant on a day, and that the log says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from appliance.identity.keys import PublicKey
from appliance.runtime.errors import HeadgateError
from appliance.runtime.files import write_atomic
from gateway.resolver import codes, proof
from gateway.resolver.cli_words import AT, FILE, JSON, console, show
from gateway.resolver.proof import Proven
from gateway.resolver.registry_client import segment, with_registry


@click.command()
@click.argument("code")
@AT
@JSON
def history(code: str, at: str, *, as_json: bool) -> None:
    """Tell every change of CODE, newest first, as the registry AT has it in its log.

    Example: headgate id history 999999-100000000000001-4 --at http://10.40.0.20:8000
    """
    found = codes.parse(code)
    changes = with_registry(at, lambda registry: registry.get(f"/history/{segment(found)}"))["changes"]
    if as_json:
        click.echo(json.dumps(changes, ensure_ascii=False))
        return
    table = Table("number", "time", "status", "title", "statement", box=None)
    for change in changes:
        record = change["record"]
        told = (record["status"], record["title"], change["statement"][:12])
        table.add_row(str(change["number"]), change["time"], *told)
    console().print(table)


@click.command()
@click.argument("code")
@click.option("--on", help="A day (its end, UTC) or a time with its zone; now by default.")
@click.option("--out", required=True, type=FILE, help="Where the proof is written.")
@AT
def prove(code: str, on: str | None, out: Path, at: str) -> None:
    """Write the proof of what CODE meant on a day; ``headgate id verify-proof`` checks it without the registry.

    Example: headgate id prove 999999-100000000000001-4 --on 2026-10-01 --out film.proof --at http://10.40.0.20:8000
    """
    found = codes.parse(code)
    query = {"on": on} if on else {}
    told = with_registry(at, lambda registry: registry.get(f"/proof/{segment(found)}", query))
    made = proof.parse_proof(json.dumps(told).encode())
    try:
        write_atomic(out, made.dump())
    except OSError as error:
        raise HeadgateError(f"{out} cannot be written: {error.strerror}") from error
    click.echo(f"{out}: what {found} meant at {made.on.isoformat()}")


@click.command(name="verify-proof")
@click.argument("file", type=FILE)
@click.option(
    "--key", required=True, help="The registry's verifier key, name+hash+base64 (/registry/key.pub at its origin)."
)
@click.option(
    "--body-key", "bodies", multiple=True, help="A key of the body, ed25519:...; then it must have signed the record."
)
@JSON
def verify_proof(file: Path, key: str, bodies: tuple[str, ...], *, as_json: bool) -> None:
    """Check a proof offline and tell what the code meant then; exit 1 where it proves nothing.

    Example: headgate id verify-proof film.proof --key headgate.registry/centre+6f3c21aa+AW...
    """
    try:
        data = file.read_bytes()
        keys = [PublicKey.parse(text) for text in bodies]
    except OSError as error:
        raise HeadgateError(f"{file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--body-key") from error
    proven = proof.verify_proof(proof.parse_proof(data), proof.parse_key(key), keys)
    told = _told(proven)
    if as_json:
        record = json.loads(proven.record.dump()) if proven.record else None
        click.echo(json.dumps(told | {"record": record}, ensure_ascii=False))
    else:
        show(told)


COMMANDS = (history, prove, verify_proof)


def _told(proven: Proven) -> dict[str, Any]:
    def moment(value: Any) -> str | None:
        return value.isoformat() if value is not None else None

    record = proven.record
    return {
        "code": proven.code,
        "on": moment(proven.on),
        "status": record.status if record else "not registered",
        "title": record.title if record else None,
        "body": record.body if record else None,
        "since": moment(proven.since),
        "signed": moment(proven.signed),
        "until": moment(proven.until),
        "unchanged at": moment(proven.seen),
        "change": proven.number,
        "registry": proven.registry,
        "log": f"{proven.size} changes",
    }
