"""``headgate box``: what this box enforces, through its guard; the audit reads the kernel by itself."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from appliance.runtime import http, places
from appliance.runtime.errors import Refused
from appliance.telemetry.exposition import gather
from appliance.telemetry.served import served
from gateway.delivery.served_words import lines, tables
from gateway.isolation.report.cli import verify_report
from gateway.publish.cli import carry
from gateway.store.cli_fill import fill
from gateway.store.cli_quarantine import quarantine
from gateway.web.cli_purge import purge

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print the result for a program.")
STYLES = {"enforced": "green", "pending": "yellow", "drift": "red", "failed": "red", "no-port": "red"}
PATIENCE = 120.0  # seconds for the guard to answer; applying takes less than one


def _seconds(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Return the seconds of ``60s``, ``2m`` or ``60``."""
    if value is None:
        return None
    match = re.fullmatch(r"([0-9]{1,5})(s|m)?", value)
    if not match:
        raise click.BadParameter(f"'{value}' is not a duration such as 60s or 2m", ctx, param)
    return float(match.group(1)) * (60 if match.group(2) == "m" else 1)


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True)


def _ask(method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    async def ask() -> dict[str, Any]:
        socket = places.RUN / "guard" / "guard.sock"
        async with (
            http.unix_client(socket, PATIENCE) as session,
            session.request(method, f"http://box{path}", json=body) as answer,
        ):
            await http.check(answer)
            told: dict[str, Any] = await answer.json()
            return told

    return asyncio.run(ask())


@click.group()
def commands() -> None:
    """Plan, apply, confirm and audit what this box enforces (as root, on the box).

    Example: headgate box apply --confirm-within 60s
    """


@commands.command()
@AS_JSON
def plan(*, as_json: bool) -> None:
    """Show what applying /etc/headgate/policy.yaml would do now; changes nothing.

    Example: headgate box plan
    """
    told = _ask("POST", "/plan")
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    for action in told["actions"]:
        click.echo(action)
    click.echo(f"{len(told['actions'])} actions" if told["actions"] else "nothing to do: the kernel holds this policy")


@commands.command()
@click.option(
    "--confirm-within",
    callback=_seconds,
    help="Go back by itself unless 'headgate box confirm' comes in time, e.g. 60s.",
)
@AS_JSON
def apply(confirm_within: float | None, *, as_json: bool) -> None:
    """Enforce /etc/headgate/policy.yaml: all of it, read back, or nothing.

    Example: headgate box apply --confirm-within 60s
    """
    told = _ask("POST", "/apply", {"confirm_within": confirm_within})
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    for action in told["actions"]:
        click.echo(action)
    click.echo(f"{'enforced' if told['changed'] else 'unchanged'}: {told['digest']}")
    if told["status"]["confirm_by"]:
        _console().print(
            f"[yellow]goes back at {told['status']['confirm_by']} unless 'headgate box confirm' comes before[/yellow]"
        )


@commands.command()
@AS_JSON
def confirm(*, as_json: bool) -> None:
    """Keep the policy that waits for confirmation.

    Example: headgate box confirm
    """
    told = _ask("POST", "/confirm")
    click.echo(json.dumps(told, ensure_ascii=False) if as_json else f"confirmed: {told['enforced']}")


@commands.command()
@AS_JSON
def status(*, as_json: bool) -> None:
    """Show what the box enforces and what its screens are served; exit 1 unless it enforces what is asked for.

    Example: headgate box status --json
    """
    told = _ask("GET", "/status")
    box = served(gather(places.RUN / "metrics"))
    if as_json:
        told["delivery"] = box.told()
        click.echo(json.dumps(told, ensure_ascii=False))
    else:
        table = Table(
            "zone", "state", "port", "addresses", "detail", title=f"site {told['site']}", title_justify="left"
        )
        for name, zone in told["zones"].items():
            state = f"[{STYLES.get(zone['state'], 'red')}]{zone['state']}[/]"
            table.add_row(name, state, zone["port"], " ".join(zone["addresses"]), zone["detail"])
        console = _console()
        console.print(table)
        console.print(f"[{STYLES.get(told['state'], 'red')}]{told['state']}[/] since {told['since']}")
        console.print(f"enforced {told['enforced']}\nwanted   {told['wanted']}")
        if told["confirm_by"]:
            console.print(f"[yellow]goes back at {told['confirm_by']} unless confirmed[/yellow]")
        proved = [zone for zone, proof in told["proofs"].items() if proof["equal"]]
        console.print(f"proved   {', '.join(proved) or 'no zone'}; the crossing is {told['crossing']}")
        for one in told["findings"]:
            console.print(f"way {one['way']} {one['name']}: {one['what']}", style="yellow", markup=False)
        for fault in told["faults"]:
            console.print(fault, style="red", markup=False)
        for table in tables(box):
            console.print(table)
        for line in lines(box):
            console.print(line, markup=False)
    if told["state"] != "enforced":
        raise click.exceptions.Exit(1)


@commands.command()
@click.option(
    "--policy", "file", type=click.Path(path_type=Path), help="The policy to compare with; else the one enforced."
)
@click.option("--probe", is_flag=True, help="Also send the attack catalogue from every zone, with a positive control.")
@click.option(
    "--report",
    type=click.Path(path_type=Path, file_okay=False),
    help="Prove by all engines, and write the signed report and its pages (en, zh) there.",
)
@AS_JSON
def audit(file: Path | None, report: Path | None, *, probe: bool, as_json: bool) -> None:
    """Read the live kernel, not the guard, prove it equal to the policy, and look for whatever joins two zones; exit 1 on any fault.

    Example: headgate box audit --probe --report ./audit
    """
    # Here, since numpy and all that proves take longer to load than the other commands take.
    from gateway.isolation import audit_words, cli_errand

    path = (file or places.RUN / "policy" / "policy.yaml").absolute()
    request = {
        "kind": "audit",
        "policy": str(path),
        "report": str(report.absolute()) if report else None,
        "probe": probe,
    }
    with Console(stderr=True, highlight=False).status("auditing") as status:
        told = cli_errand.run(request, status.update)
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
    else:
        audit_words.show(told, _console())
    if not told["ok"]:
        raise Refused("audit-failed", f"{len(told['faults'])} faults: the box is not shown to be isolated")


commands.add_command(carry)
commands.add_command(verify_report)
commands.add_command(fill)
commands.add_command(quarantine)
commands.add_command(purge)
