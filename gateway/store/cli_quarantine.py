"""``headgate box quarantine``: what was refused at this box, and why."""

from __future__ import annotations

import json

import click

from appliance.runtime import places
from gateway.store import quarantine as held

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print the result for a program.")
FIELDS = (
    "time", "first", "times", "reason", "filter", "sentence", "release", "path", "type", "origin", "sha256", "size", "came",
)  # fmt: skip


@click.group()
def quarantine() -> None:
    """Look at content that a filter refused (as root, on the box).

    Example: headgate box quarantine list
    """


@quarantine.command("list")
@AS_JSON
def list_items(*, as_json: bool) -> None:
    """List what is kept, the newest first.

    Example: headgate box quarantine list --json
    """
    found = held.items(places.STATE / "store" / "quarantine")
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    for item in found:
        where = f"{item.get('release', '')}/{item.get('path', '')}"
        why = f"{item.get('reason', '')} ({item.get('filter', '')})"
        click.echo(f"{item['name']}  {item.get('time', '')[:19]}  {item.get('times', 1)}x  {why}  {where}")
    if not found:
        click.echo("nothing was refused that is still kept")


@quarantine.command()
@click.argument("name")
@AS_JSON
def show(name: str, *, as_json: bool) -> None:
    """Tell why one item was refused; its bytes are beside it in the folder, for whoever examines them elsewhere.

    Example: headgate box quarantine show 3f786850e387550fdab836ed7e6dc881
    """
    folder = places.STATE / "store" / "quarantine"
    for item in held.items(folder):
        if item["name"] == name:
            if as_json:
                click.echo(json.dumps(item, ensure_ascii=False))
                return
            for field in FIELDS:
                click.echo(f"{field}: {item.get(field, '')}")
            click.echo(f"bytes: {folder / name}.bytes")
            return
    raise click.ClickException(f"nothing of the name '{name[:64]}' is in the quarantine: headgate box quarantine list")


@quarantine.command()
@click.argument("name")
def drop(name: str) -> None:
    """Remove one item for good.

    Example: headgate box quarantine drop 3f786850e387550fdab836ed7e6dc881
    """
    if not held.NAME.fullmatch(name) or not held.drop(places.STATE / "store" / "quarantine", name):
        raise click.ClickException(
            f"nothing of the name '{name[:64]}' is in the quarantine: headgate box quarantine list"
        )
