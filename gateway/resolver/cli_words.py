"""What the commands of ``headgate id`` have in common: options, keys, tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from appliance.identity.keys import PrivateKey
from appliance.runtime.addresses import base_of
from appliance.runtime.errors import HeadgateError
from gateway.resolver.registry_client import Faulty

SHOWN = 20  # faults told one by one

AT = click.option(
    "--at",
    required=True,
    callback=lambda _c, _p, url: base_of(url),
    help="Its address, http://HOST[:PORT].",
)
JSON = click.option("--json", "as_json", is_flag=True, help="For a program.")
FILE = click.Path(path_type=Path, dir_okay=False)
KEY = click.option("--key", required=True, type=FILE, help="The private key that signs.")


def private_key(path: Path) -> PrivateKey:
    """Return the key at ``path``.

    Raises:
        HeadgateError: it cannot be read.
    """
    try:
        return PrivateKey.load(path)
    except OSError as error:
        raise HeadgateError(f"{path} cannot be read: {error.strerror}") from error


def show(told: dict[str, Any]) -> None:
    """Print names and values."""
    table = Table(box=None, show_header=False)
    for name, value in told.items():
        table.add_row(name, str(value))
    console().print(table)


def show_faults(error: Faulty) -> None:
    """Print the first faults of a refusal."""
    for fault in error.faults[:SHOWN]:
        click.echo(f"record {fault.get('index', 0) + 1}: {fault.get('reason')}: {fault.get('message')}", err=True)


def console() -> Console:
    """Return where tables are printed."""
    return Console(highlight=False, markup=False, soft_wrap=True)
