"""``headgate link curator``: who may decide on the page."""

from __future__ import annotations

from pathlib import Path

import click

from appliance.runtime.places import ETC
from gateway.linking import curators


@click.command()
@click.argument("name")
@click.option("--remove", is_flag=True, help="Take the token away.")
@click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=ETC / "linking" / "curators",
    show_default=True,
    help="Who may curate.",
)
def curator(name: str, path: Path, *, remove: bool) -> None:
    """Give NAME a token for the curators' page; it is shown this once, and a new one replaces it.

    Example: headgate link curator li-wei
    """
    token = curators.admit(path, name, remove=remove)
    click.echo(f"{name} may not curate any more" if remove else token)
