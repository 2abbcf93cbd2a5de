"""``headgate id resolve``, ``links`` and ``batch``: what a box says of codes."""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice
from typing import Any
from urllib.parse import quote

import aiohttp
import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from gateway.resolver import codes, resolver_client
from gateway.resolver.answer.as_batch import MOST
from gateway.resolver.cli_words import AT, JSON, console, show
from gateway.resolver.vocabulary import KINDS
from gateway.resolver.walks import BROADEST, DEEPEST

FORMATS = ("table", "json", "linkset", "ld", "handle", "html")


@click.command()
@click.argument("code")
@AT
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="table", show_default=True, help="What is printed."
)
@click.option("--screen", type=click.Choice(["big", "small"]), help="For which screen; without it, the zone's own.")
@JSON
def resolve(code: str, at: str, form: str, screen: str | None, *, as_json: bool) -> None:
    """Ask the box AT what is known of CODE and where it plays.

    Example: headgate id resolve 999999-100000000000001-4 --at http://10.20.0.11:8080 --format linkset
    """
    parsed = codes.parse(code)
    form = "json" if as_json else form
    if form == "handle":
        prefix, _, suffix = (parsed.handle or f"{parsed.scheme}/{parsed.text}").partition("/")
        url = f"{at}/api/handles/{quote(prefix, safe='')}/{quote(suffix, safe='')}"
        answer = resolver_client.run(lambda session: resolver_client.handle(session, url), at)
        click.echo(json.dumps(answer.body, ensure_ascii=False, indent=2))
        if answer.status >= 400:
            raise SystemExit(1)
        return
    query = [("format", "json" if form == "table" else form), *([("screen", screen)] if screen else [])]
    told = resolver_client.run(lambda session: resolver_client.get(session, f"{at}/id/{parsed.quoted}", query), at)
    if form == "table":
        _shown(told.json())
    else:
        click.echo(told.text)


@click.command()
@click.argument("code")
@AT
@click.option("--direction", type=click.Choice(["forward", "backward", "both"]), default="forward", show_default=True)
@click.option(
    "--type", "types", multiple=True, help="Only this type of GB/T 38378, such as source; may be given several times."
)
@click.option("--depth", type=click.IntRange(1, DEEPEST), default=1, show_default=True, help="Links from CODE.")
@click.option("--breadth", type=click.IntRange(1, BROADEST), default=50, show_default=True, help="Links of one code.")
@JSON
def links(
    code: str, at: str, direction: str, types: tuple[str, ...], depth: int, breadth: int, *, as_json: bool
) -> None:
    """Ask the box AT what CODE is linked to, and what is linked to it (关联).

    Example: headgate id links 999999-100000000000001-4 --at http://10.20.0.11:8080 --direction both --depth 2
    """
    url = f"{at}/id/{codes.parse(code).quoted}/links"
    query = [("direction", direction), ("depth", str(depth)), ("breadth", str(breadth)), ("format", "json")]
    query += [("type", kind) for kind in types]
    found = resolver_client.run(lambda session: resolver_client.get(session, url, query), at).json()
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    titles = {node["code"]: node.get("title", "") for node in found["nodes"]}
    table = Table("source", "type", "target", "title", box=None)
    for edge in found["edges"]:
        kind = KINDS.get(edge["type"])
        other = edge["target"] if edge["target"] != found["start"] else edge["source"]
        word = f"{edge['type']} {kind.zh}" if kind else edge["type"]
        table.add_row(edge["source"], word, edge["target"], titles.get(other, ""))
    console().print(table if found["edges"] else "no links")
    if not found["whole"]:
        console().print("there is more: ask for more breadth, or begin nearer")


@click.command()
@click.argument("file", type=click.File("r", encoding="utf-8", errors="surrogateescape"))
@AT
def batch(file: Any, at: str) -> None:
    """Ask the box AT about each code of FILE (one a line, - for standard input); print a JSON object a line.

    How many were what is told at the end, on standard error. Exit code 1 if one could not be resolved.

    Example: headgate id batch codes.txt --at http://10.20.0.11:8080 > answers.jsonl
    """
    counted = resolver_client.run(lambda session: _batches(session, file, at), at)
    told = ", ".join(f"{count} {word}" for word, count in counted.most_common())
    click.echo(told or "no codes", err=True)
    if counted.keys() - {"resolved"}:
        raise SystemExit(1)


async def _batches(session: aiohttp.ClientSession, file: Any, at: str) -> Counter[str]:
    counted: Counter[str] = Counter()
    listed = (line.strip() for line in file if line.strip())
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("resolving", total=None)
        while part := list(islice(listed, MOST)):
            async for answer in resolver_client.batch(session, f"{at}/batch", part):
                click.echo(json.dumps(answer, ensure_ascii=False))
                counted[str(answer.get("reason", "resolved"))] += 1
            progress.update(task, advance=len(part))
    return counted


def _shown(told: dict[str, Any]) -> None:
    table = told.get("table") or {}
    show(
        {
            "code": told.get("display") or told.get("code"),
            "title": told.get("title"),
            "body": told.get("body"),
            "status": str(told.get("status")) + (f" by {told['superseded_by']}" if told.get("superseded_by") else ""),
            "playable": told.get("playable") or "(nothing in this zone)",
            **(told.get("metadata") or {}),
            **{f"link {link['type']}": link["target"] for link in told.get("links") or []},
            "table": f"serial {table.get('serial')} of {table.get('made')}" + (", stale" if table.get("stale") else ""),
        }
    )


COMMANDS = (resolve, links, batch)
