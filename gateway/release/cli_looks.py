"""``headgate release body`` and ``quarantine``, and what the controller tells of one release."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote, urlencode

import click
from rich.table import Column, Table

from appliance.runtime.addresses import base_of
from appliance.runtime.errors import Refused
from gateway.release import centre, cli_words, paths
from gateway.release.amounts import size_of
from gateway.release.cli_words import JSON

MOST = 1000  # entries that the controller tells at once
WHOLE = frozenset({"number", "box", "release", "reason"})  # columns that are copied and searched for: never broken
AT = click.option(
    "--at", required=True, callback=lambda _c, _p, url: base_of(url), help="The controller, http://HOST[:PORT]."
)


@click.command("body")
@click.argument("name")
@AT
@JSON
def body(name: str, at: str, *, as_json: bool) -> None:
    """Show what the controller knows of the body NAME: its releases, where they are used, and how many bytes were delivered.

    Example: headgate release body guangxi-library --at http://10.40.0.20:8080
    """
    told = asked(at, f"/api/bodies/{quote(name, safe='')}")
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    console = cli_words.console()
    used = told["usage"]
    all_of_it = f", all withdrawn by order {told['order']}" if told["order"] else ""
    console.print(f"{name}: {told['counts']['all']} releases{all_of_it}")
    console.print(f"delivered: {used['requests']} requests, {size_of(used['bytes'])}")
    boxes = _table("box", "requests", "delivered")
    for one in told["boxes"]:
        boxes.add_row(one["box"], str(one["requests"]), size_of(one["bytes"]))
    if told["boxes"]:
        console.print(boxes, soft_wrap=False)
    releases = _table("release", "title", "state", "delivered")
    for one in told["releases"]:
        row = (one["release"], paths.shown(one["title"]), standing_of(one), size_of(one["usage"]["bytes"]))
        releases.add_row(*row)
    console.print(releases, soft_wrap=False)


@click.command("quarantine")
@AT
@click.option("--box", help="Only what this box put aside.")
@click.option("--before", type=click.IntRange(1), help="Only what is older than this number, for the next page.")
@click.option("--limit", type=click.IntRange(1, MOST), default=50, show_default=True, help="Entries to show.")
@JSON
def quarantine(at: str, box: str | None, before: int | None, limit: int, *, as_json: bool) -> None:
    """Show the content that boxes refused and put aside, newest first, each with its reason.

    Example: headgate release quarantine --at http://10.40.0.20:8080 --box headend
    """
    query = {"limit": limit, **({"box": box} if box else {}), **({"before": before} if before else {})}
    told = asked(at, f"/api/quarantine?{urlencode(query)}")
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    console = cli_words.console()
    table = _table("number", "box", "time", "release", "file", "reason", "told")
    for one in told["quarantined"]:
        words = [paths.shown(str(one[part])) for part in ("box", "time", "release", "path", "reason", "told")]
        table.add_row(str(one["number"]), *words)
    console.print(table, soft_wrap=False)
    if told["next"]:
        console.print(f"older ones: --before {told['next']}")


def release_at(controller: str, code: str) -> dict[str, Any] | None:
    """Return what the controller tells of ``code``, or None where it, or whoever answers at that address, knows no such thing (404).

    Raises:
        Refused, Unreachable, Corrupt: as it answered otherwise, or did not.
    """
    try:
        told: dict[str, Any] = asked(controller, f"/api/releases/{quote(code, safe='')}")
    except Refused as error:
        if error.status == 404:
            return None
        raise
    return told


def print_release(told: dict[str, Any]) -> None:
    """Print what the controller tells of a release, for people."""
    console = cli_words.console()
    facts = Table(box=None, show_header=False, pad_edge=False)
    lines = {
        "release": told["release"],
        "title": paths.shown(told["title"]),
        "body": told["body"],
        "labels": ", ".join(told["labels"]),
        "zones": ", ".join(told["zones"]),
        "version": f"{told['version'] or 'none'} admitted, {told['published'] or 'none'} published",
        "files": f"{told['files']}, {size_of(told['bytes'])}",
        "state": standing_of(told),
        "delivered": f"{told['usage']['requests']} requests, {size_of(told['usage']['bytes'])}",
    }
    for name, value in lines.items():
        if value:
            facts.add_row(name, value)
    console.print(facts)
    boxes = _table("box", "state", "holds", "version", "since", "why", "delivered")
    for one in told["where"]:
        why = paths.shown(": ".join(word for word in (one["reason"], one["told"]) if word))
        holds = held_of(one.get("held"))
        version = str(one["version"] or "")
        boxes.add_row(one["box"], one["state"], holds, version, one["time"][:19], why, size_of(one["bytes"]))
    if told["where"]:
        console.print(boxes, soft_wrap=False)
    for one in told["orders"]:
        console.print(f"order {one['serial']}: {one['act']}, by {one['by']}: {paths.shown(one['reason'])}")


def standing_of(told: dict[str, Any]) -> str:
    """Return how a release stands: its state, at how many boxes it is stored, and who refuses it, and why."""
    if told.get("order"):
        return f"withdrawn by order {told['order']}"
    boxes, words = told.get("boxes") or {}, []
    if boxes.get("admitted") or boxes.get("stored"):
        part = f", in part at {boxes['part']}" if boxes.get("part") else ""
        words.append(f"stored at {boxes.get('stored', 0)} of {boxes.get('admitted', 0)} boxes that admit it{part}")
    elif told["state"] not in ("refused", "waiting"):
        words.append(str(told["state"]))
    refusals = told.get("refusals") or []
    if refusals:
        by = ", ".join(f"{one['box']} ({one['reason']})" for one in refusals)
        more = (boxes.get("refused") or 0) - len(refusals)
        words.append(f"refused by {by}" + (f" and {more} more" if more > 0 else ""))
    elif told["state"] in ("refused", "waiting"):
        words.append(f"{told['state']}: {told['reason']}" if told.get("reason") else str(told["state"]))
    return "; ".join(words)


def held_of(held: dict[str, Any] | None) -> str:
    """Return how much of a release a box's store holds."""
    if held is None:
        return ""
    if held["of"] and held["objects"] >= held["of"]:
        return f"all, {size_of(held['of_bytes'])}"
    return f"{held['objects']} of {held['of']} objects, {size_of(held['bytes'])} of {size_of(held['of_bytes'])}"


def _table(*names: str) -> Table:
    columns = (Column(name, no_wrap=name in WHOLE, overflow="fold") for name in names)
    return Table(*columns, box=None, pad_edge=False)


def asked(controller: str, path: str) -> Any:
    """Return the JSON value that the controller answers.

    Raises:
        Refused, Unreachable, Corrupt: as it answered.
    """

    async def ask() -> Any:
        async with centre.connected(controller) as there:
            return await there.ask(path)

    return asyncio.run(ask())
