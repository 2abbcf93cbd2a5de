"""``headgate release withdraw|reinstate|orders|verify-proof``: decisions about content that boxes have, and their proofs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError
from rich.console import Console
from rich.live import Live
from rich.table import Table

from appliance.identity.keys import PrivateKey
from appliance.journal.verify import Damaged, verify_proof
from appliance.runtime.addresses import base_of
from appliance.runtime.errors import Corrupt, Refused
from gateway.release import centre
from gateway.release.cli_about import about, moment, taken, written
from gateway.release.orders import CONTENT, PURGED, TOKENS, Act, Order, What

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
AT = click.option(
    "--at", required=True, callback=lambda _c, _p, url: base_of(url), help="The controller, http://HOST[:PORT]."
)
Command = Callable[..., None]


def _giving(command: Command) -> Command:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print the order, then each proof, as a line of JSON."),
        click.option(
            "--wait",
            default=10.0,
            show_default=True,
            type=click.FloatRange(0, 86_400),
            help="Seconds to wait for proofs.",
        ),
        AT,
        click.option("--as", "name", required=True, help="The name by which the boxes' policies know the key."),
        click.option(
            "--key", "key_file", required=True, type=FILE, help="The private key of a regulator or an operator."
        ),
        click.option(
            "--reason", required=True, help="Why: it stands in every box's journal, and of content screens are told it."
        ),
    ):
        command = option(command)
    return about(command)


@click.command()
@click.option(
    "--until",
    callback=moment,
    help="Of tokens: when the withdrawal may be forgotten, because none of them lives longer (UTC); a TOKEN itself tells it.",
)
@_giving
def withdraw(**told: Any) -> None:
    """Withdraw the release CODE, all releases of a body, or all with a label, from every box, or tokens that screens show, and show
    each box's proof as it comes.

    It covers what is there and what comes later, and breaks off what is on its way. Exit status 1 where a connected box has not
    proved it in time.

    Example: headgate release withdraw 999999-100000000000001-4 --reason 版权争议 --key regulator.pem --as regulator
    --at http://10.40.0.20:8080
    """
    until = told.pop("until")
    what, ends = taken(told)
    _give("withdraw", what, until=until or ends, **told)


@click.command()
@_giving
def reinstate(**told: Any) -> None:
    """Take a withdrawal back; of several orders about a release the last one decides. Content comes again when it is asked for.

    Tokens: it takes back the withdrawal of just the same; they count again where no other withdrawal covers them.

    Example: headgate release reinstate --body guangxi-library --reason 争议已解决 --key regulator.pem --as regulator
    --at http://10.40.0.20:8080
    """
    what, _ = taken(told)
    _give("reinstate", what, **told)


@click.command()
@click.option("--tag", help="Forget what carries exactly this Cache-Tag or Surrogate-Key.")
@click.option("--url", help="Forget this URL, as screens ask for it.")
@click.option("--prefix", help="Forget every URL that begins so.")
@click.option("--soft", is_flag=True, help="Keep it, but ask the origin before it is shown again.")
@click.option("--reason", required=True, help="Why: it stands in every box's journal.")
@click.option("--key", "key_file", required=True, type=FILE, help="The private key of a regulator or an operator.")
@click.option("--as", "name", required=True, help="The name by which the boxes' policies know the key.")
@AT
@click.option(
    "--wait", default=10.0, show_default=True, type=click.FloatRange(0, 86_400), help="Seconds to wait for proofs."
)
@click.option("--json", "as_json", is_flag=True, help="Print the order, then each proof, as a line of JSON.")
def purge(**told: Any) -> None:
    """Have every box forget stored answers of web origins, and show each box's proof, with count and time, as it comes.

    Exit status 1 where a connected box has not proved it in time.

    Example: headgate release purge --tag channel-7 --reason 节目变更 --key operator.pem --as operator --at http://10.40.0.20:8080
    """
    what = {kind: told.pop(kind) for kind in PURGED}
    _give("purge", {kind: name for kind, name in what.items() if name is not None}, **told)


@click.command("orders")
@click.argument("serial", type=click.IntRange(1), required=False)
@AT
@click.option("--json", "as_json", is_flag=True, help="Print what the controller answers.")
@click.option(
    "--proofs",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write each box's proof of order SERIAL here.",
)
@click.option("--before", type=click.IntRange(1), help="Only orders before this serial, for the next page.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="Orders to show.")
def show(serial: int | None, at: str, folder: Path | None, before: int | None, limit: int, *, as_json: bool) -> None:
    """Show the last orders, or order SERIAL with its proofs.

    Example: headgate release orders 7 --at http://10.40.0.20:8080 --proofs proofs/
    """
    if folder is not None and serial is None:
        raise click.UsageError("--proofs needs a SERIAL")
    if before is not None and serial is not None:
        raise click.UsageError("--before pages through the orders: leave SERIAL out")
    page = f"/api/orders?limit={limit}" + (f"&before={before}" if before else "")
    told = asyncio.run(_ask(at, f"/api/orders/{serial}" if serial else page))
    if folder is not None and serial is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for one in told["proofs"]:
            path = folder / f"{serial}-{one['box']}.tlog-proof"
            path.write_bytes(asyncio.run(_proof(at, serial, one["box"])))
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
    elif serial:
        _console().print(_table(told))
    else:
        table = Table("serial", "act", "what", "by", "reason", "received", "proofs", "slowest", box=None)
        for one in told["orders"]:
            what = written(one)
            slowest = "" if one["slowest"] is None else f"{one['slowest']:.2f} s"
            row = (
                one["serial"],
                one["act"],
                what,
                one["by"],
                one["reason"],
                one["received"][:19],
                one["proved"],
                slowest,
            )
            table.add_row(*map(str, row))
        _console().print(table)
        if told.get("next"):
            _console().print(f"older ones: --before {told['next']}")


@click.command("verify-proof")
@click.argument("file", type=FILE)
@click.option("--key", required=True, help="The public key of the box's journal: 'ed25519:...' or 'name+hash+base64'.")
@click.option("--json", "as_json", is_flag=True, help="Print the entry for a program.")
def verify(file: Path, key: str, *, as_json: bool) -> None:
    """Check offline that the box whose journal has KEY carried the order in the proof FILE out, and print what it did.

    Example: headgate release verify-proof 7-headend.tlog-proof --key headend/exchange+1a2b3c4d+AY...
    """
    try:
        entry, number, head = verify_proof(file.read_bytes(), key)
        told = json.loads(entry)
    except (Damaged, ValueError) as error:
        raise Corrupt(f"{file}: {error}") from error
    if not isinstance(told, dict) or told.get("decision") not in ("withdraw", "reinstate", "purge"):
        raise Refused("order-forged", f"{file} proves an entry that is no order: {str(told)[:100]}")
    if as_json:
        click.echo(json.dumps({"ok": True, "origin": head.origin, "number": number, "entry": told}, ensure_ascii=False))
        return
    what = next((f"{kind} {told[kind]}" for kind in (*CONTENT, *TOKENS, *PURGED) if kind in told), "?")
    lines = {
        "order": f"{told.get('serial')}: {told['decision']} {what}, by {told.get('by')}",
        "reason": told.get("sentence"),
        "journal": f"{head.origin}, entry {number} of {head.size}",
        "time": told.get("time"),
        **({"until": told["until"]} if "until" in told else {}),
        "removed": f"{told.get('objects')} objects, {told.get('bytes')} bytes of {told.get('count')} releases",
        "kept": f"{told.get('kept')} objects that other releases name",
        "broken off": f"{told.get('stopped')} deliveries; confirmed by {', '.join(told.get('confirmed') or ()) or 'nobody'}",
        "not confirmed by": ", ".join(told.get("unconfirmed") or ()) or "nobody",
    }
    table = Table(box=None, show_header=False)
    for name, value in lines.items():
        table.add_row(name, str(value))
    _console().print(table)


def _give(
    act: Act, what: dict[str, str], *, reason: str, key_file: Path, name: str, at: str, wait: float, as_json: bool, soft: bool = False,
    until: datetime | None = None,
) -> None:  # fmt: skip
    try:
        told_what = What.model_validate(what)
        first = Order(
            serial=1,
            act=act,
            what=told_what,
            reason=reason,
            by=name,
            time=datetime.now(UTC),
            soft=True if soft else None,
            until=until,
        )
    except ValidationError as error:
        told = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise click.UsageError(f"{'.'.join(map(str, told['loc']))}: {told['msg']}") from error
    missing = asyncio.run(_carry(first, PrivateKey.load(key_file), at, wait, as_json=as_json))
    if missing:
        raise SystemExit(1)


async def _carry(first: Order, key: PrivateKey, at: str, wait: float, *, as_json: bool) -> list[str]:
    """Give the order and show its proofs; return the connected boxes that did not prove it in time."""
    async with centre.connected(at) as there:
        order = await there.give(lambda serial: first.model_copy(update={"serial": serial}), key)
        if as_json:
            click.echo(
                json.dumps({"serial": order.serial, "act": order.act, "what": order.what.model_dump(exclude_none=True)})
            )
            return await _as_lines(there, order.serial, wait)
        console = _console()
        told: dict[str, Any] = {"missing": [], "away": []}
        with Live(console=console, auto_refresh=False) as live:
            async for told in there.follow(order.serial, wait):
                live.update(_table(told), refresh=True)
        missing = [one["box"] for one in told["missing"]]
        if missing:
            console.print(
                f"not proved within {wait:g} s: {', '.join(missing)}; headgate release orders {order.serial} tells more"
            )
        if told["away"]:
            console.print(f"away, will carry it out before they serve again: {', '.join(told['away'])}")
        return missing


async def _as_lines(there: centre.Centre, serial: int, wait: float) -> list[str]:
    shown: set[str] = set()
    told: dict[str, Any] = {"missing": [], "away": []}
    async for told in there.follow(serial, wait):
        for proof in told["proofs"]:
            if proof["box"] not in shown:
                shown.add(proof["box"])
                click.echo(json.dumps({"serial": serial, **proof}, ensure_ascii=False))
    click.echo(json.dumps({"serial": serial, "missing": told["missing"], "away": told["away"]}, ensure_ascii=False))
    return [one["box"] for one in told["missing"]]


def _table(told: dict[str, Any]) -> Table:
    what = written(told)
    title = f"order {told['serial']}: {told['act']} {what} ({told['by']}: {told['reason']})"
    table = Table("box", "proof", "after", "removed", "broken off", title=title, title_justify="left", box=None)
    for one in told["proofs"]:
        good = {"yes": "✓ verified", "unknown-key": "? journal not known yet"}.get(one["verified"], "✗ WRONG")
        late = f", not confirmed by {', '.join(one['unconfirmed'])}" if one["unconfirmed"] else ""
        removed = f"{one['objects']} objects, {one['bytes']} bytes"
        table.add_row(one["box"], good + late, f"{one['seconds']:.2f} s", removed, str(one["stopped"]))
    for one in told["missing"]:
        table.add_row(one["box"], one["fault"] or "…", "", "", "")
    for box in told["away"]:
        table.add_row(box, "away", "", "", "")
    return table


async def _ask(at: str, path: str) -> Any:
    async with centre.connected(at) as there:
        return await there.ask(path)


async def _proof(at: str, serial: int, box: str) -> bytes:
    async with centre.connected(at) as there:
        return await there.read(f"/api/orders/{serial}/proofs/{box}")


def _console() -> Console:
    return Console(highlight=False, markup=False, soft_wrap=True)


COMMANDS = (withdraw, reinstate, purge, show, verify)
