"""``headgate id history``, ``prove`` and ``verify-proof``: what a code meant on a day, and that the log says so."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from appliance.identity.keys import PublicKey
from appliance.runtime.errors import HeadgateError
from appliance.runtime.files import write_atomic
from gateway.isolation import policy as policies
from gateway.resolver import codes, proof
from gateway.resolver.auditing import Audit, Keys
from gateway.resolver.cli_words import AT, FILE, JSON, console, show
from gateway.resolver.proof import Proven
from gateway.resolver.registry_client import segment, with_registry


@click.command()
@click.argument("code")
@AT
@JSON
def history(code: str, at: str, *, as_json: bool) -> None:
    """Tell every change of CODE, newest first, as the registry AT has it in its log.

    Example: headgate id history 999999-100000000000001-4 --at http://10.40.0.20:8080
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

    Example: headgate id prove 999999-100000000000001-4 --on 2026-10-01 --out film.proof --at http://10.40.0.20:8080
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


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--key", required=True, help="The registry's verifier key, name+hash+base64.")
@click.option(
    "--policy", "sites", multiple=True, type=FILE, help="A site's policy: its bodies' keys, and who gives orders."
)
@click.option(
    "--body-key", "named", multiple=True, metavar="BODY=KEY", help="A key of a body, also one of earlier days."
)
@JSON
def audit(folder: Path, key: str, sites: tuple[Path, ...], named: tuple[str, ...], *, as_json: bool) -> None:
    """Check a whole log offline, in a copy of a registry's folder: tree, each code's chain, each change in what its body signed,
    and the snapshot; exit 1 where anything is wrong. Some 200 bytes of memory for each code.

    Example: headgate id audit mirror/registry --key headgate.registry/centre+6f3c21aa+AW... --policy sites/headend/policy.yaml
    """
    with Progress(console=Console(file=sys.stderr), transient=True) as bar:
        task: Any = bar.add_task("changes")
        keys = _keys(sites, named)
        report = Audit(folder, proof.parse_key(key), keys).run(
            lambda done, of: bar.update(task, completed=done, total=of)
        )
    if as_json:
        click.echo(json.dumps(vars(report) | {"ok": report.ok}, ensure_ascii=False))
    else:
        for fault in report.faults:
            click.echo(fault, err=True)
        show(
            {
                "changes": report.changes,
                "codes": report.codes,
                "statements": report.statements,
                "bodies' signatures": "checked" if report.signed else "not checked: no key of a body was given",
                "snapshot": "none" if report.snapshot is None else f"as the log had it after {report.snapshot} changes",
                "faults": len(report.faults) + report.more,
            }
        )
    if not report.ok:
        raise SystemExit(1)


COMMANDS = (history, prove, verify_proof, audit)


def _keys(sites: tuple[Path, ...], named: tuple[str, ...]) -> Keys:
    bodies: dict[str, list[PublicKey]] = {}
    operators: list[PublicKey] = []
    for path in sites:
        site = policies.load(path)
        for name, body in site.bodies.items():
            bodies.setdefault(name, []).extend(body.keys)
        operators += site.orders.keys.values() if site.orders else ()
    for text in named:
        name, _, written = text.partition("=")
        try:
            bodies.setdefault(name, []).append(PublicKey.parse(written))
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--body-key") from error
    return Keys(bodies, operators)


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
