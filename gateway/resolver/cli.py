"""``headgate id``: check, resolve, register and link identifiers."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import click
from rich.console import Console
from rich.table import Table

from appliance.runtime import http
from appliance.runtime.errors import Corrupt, Unreachable
from gateway.resolver import cli_check, codes
from gateway.resolver.cli_import import COMMANDS as IMPORTING
from gateway.resolver.cli_prove import COMMANDS as PROVING
from gateway.resolver.cli_register import COMMANDS as REGISTERING

SECONDS = 15.0  # for one answer
LONGEST = 1 << 20  # bytes of an answer


@click.group(name="id")
def commands() -> None:
    """Check, resolve, register and link identifiers: ISLI, Handle, DOI, ISBN and their sisters (``headgate id schemes``).

    Example: headgate id check 'ISLI 999999-100000000000001-4'
    """


AT = click.option(
    "--at", required=True, callback=lambda _c, _p, url: _base(url), help="Its address, http://HOST[:PORT]."
)
JSON = click.option("--json", "as_json", is_flag=True, help="For a program.")


for command in (cli_check.check, cli_check.schemes, *REGISTERING, *IMPORTING, *PROVING):
    commands.add_command(command)


@commands.command()
@click.argument("code")
@AT
@JSON
def resolve(code: str, at: str, *, as_json: bool) -> None:
    """Ask the box AT what is known of CODE and where it plays.

    Example: headgate id resolve 999999-100000000000001-4 --at http://10.20.0.11:8080
    """
    told = _ask("GET", f"{at}/id/{codes.parse(code).quoted}?format=json")
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    table = told.get("table") or {}
    _rows(
        {
            "code": told.get("code"),
            "title": told.get("title"),
            "body": told.get("body"),
            "status": told.get("status"),
            "playable": told.get("playable") or "(nothing in this zone)",
            "table": f"serial {table.get('serial')} of {table.get('made')}" + (", stale" if table.get("stale") else ""),
        }
    )


@commands.command()
@click.argument("code")
@AT
@JSON
def links(code: str, at: str, *, as_json: bool) -> None:
    """Ask the box AT what CODE is linked to (关联).

    Example: headgate id links 999999-100000000000001-4 --at http://10.20.0.11:8080
    """
    found = _ask("GET", f"{at}/id/{codes.parse(code).quoted}?format=json").get("links") or []
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    table = Table("type", "target", box=None)
    for link in found:
        table.add_row(str(link.get("type")), str(link.get("target")))
    _console().print(table if found else "no links")


def _base(url: str) -> str:
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.path in ("", "/")
        _ = parts.port  # raises where it is no number
    except ValueError:
        whole = False
    if not whole:
        raise click.BadParameter(f"'{url}' is not http://HOST[:PORT]")
    return url.rstrip("/")


def _ask(method: str, url: str, body: object = None, query: dict[str, str] | None = None) -> dict[str, Any]:
    """Return the JSON object that ``url`` answers.

    Raises:
        Refused: as the other side told it.
        Unreachable: nobody answers there.
        Corrupt: the answer is not what it should be.
    """
    try:
        told = asyncio.run(_exchange(method, url, body, query))
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Unreachable(f"nobody answers at {url.split('/', 3)[2]}: {error or 'no answer in time'}") from error
    if not isinstance(told, dict):
        raise Corrupt(f"{url} did not answer with a JSON object")
    return told


async def _exchange(method: str, url: str, body: object, query: dict[str, str] | None) -> object:
    from yarl import URL

    whole = URL(url, encoded=True).update_query(query or {})
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.request(method, whole, json=body, allow_redirects=False) as response,
    ):
        await http.check(response)
        text = await response.content.read(LONGEST)
        try:
            return json.loads(text)
        except ValueError:
            return None


def _rows(told: dict[str, Any]) -> None:
    table = Table(box=None, show_header=False)
    for name, value in told.items():
        table.add_row(name, str(value))
    _console().print(table)


def _console() -> Console:
    return Console(highlight=False, markup=False, soft_wrap=True)
