"""``headgate box purge``: has every delivery of the box forget what it keeps of web origins."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import click
from pydantic import ValidationError
from rich.console import Console

from appliance.runtime import http, places
from appliance.runtime.errors import Refused
from gateway.web.purging import CONFIRM, Purge

SOCKET = ("exchange", "purge-management", "exchange.sock")


@click.command()
@click.option(
    "--tag", "tags", multiple=True, help="Forget what carries exactly this Cache-Tag or Surrogate-Key; may be repeated."
)
@click.option("--url", help="Forget this URL, as screens ask for it.")
@click.option("--prefix", help="Forget every URL that begins so.")
@click.option("--soft", is_flag=True, help="Keep it, but ask the origin before it is shown again.")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each delivery, and one at the end.")
def purge(tags: tuple[str, ...], url: str | None, prefix: str | None, *, soft: bool, as_json: bool) -> None:
    """Forget stored answers of web origins, here and now (as root, on the box); shows each delivery as it confirms.

    Ends with 1 if one did not confirm.

    Example: headgate box purge --tag channel-7 --soft
    """
    try:
        asked = Purge(tags=list(tags), url=url, prefix=prefix, soft=soft)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise click.UsageError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}".removeprefix(": ")) from error
    last = asyncio.run(_ask(asked, as_json=as_json))
    if last["unconfirmed"]:
        raise Refused("unconfirmed", f"not confirmed by {', '.join(last['unconfirmed'])}")


async def _ask(asked: Purge, *, as_json: bool) -> dict[str, Any]:
    console = Console(highlight=False, soft_wrap=True)
    last: dict[str, Any] | None = None
    try:
        async with (
            http.unix_client(places.RUN.joinpath(*SOCKET), CONFIRM + 10) as session,
            session.post("http://box/purge", json=asked.model_dump()) as answer,
        ):
            await http.check(answer)
            async for line in answer.content:
                told = json.loads(line)
                click.echo(line.decode().rstrip()) if as_json else console.print(_said(told))
                last = told if told.get("done") else last
    except aiohttp.ClientPayloadError as error:
        raise Refused("unconfirmed", "the exchange went away before every delivery confirmed") from error
    if last is None:
        raise Refused("unconfirmed", "the exchange ended before every delivery confirmed")
    return last


def _said(told: dict[str, Any]) -> str:
    if told.get("done"):
        return f"{told['count']} answers forgotten by {len(told['confirmed'])} deliveries in {told['seconds'] * 1000:.1f} ms"
    failed = f" [red]{told['error']}[/red]" if told["error"] else ""
    return f"{told['peer']}: {told['count']} answers in {told['seconds'] * 1000:.1f} ms{failed}"
