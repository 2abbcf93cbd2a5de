"""``headgate id``: check, resolve, register and link identifiers."""

from __future__ import annotations

import click

from gateway.resolver.cli_check import COMMANDS as CHECKING
from gateway.resolver.cli_import import COMMANDS as IMPORTING
from gateway.resolver.cli_prove import COMMANDS as PROVING
from gateway.resolver.cli_register import COMMANDS as REGISTERING
from gateway.resolver.cli_resolve import COMMANDS as RESOLVING


@click.group(name="id")
def commands() -> None:
    """Check, resolve, register and link identifiers: ISLI, Handle, DOI, ISBN and their sisters (``headgate id schemes``).

    Example: headgate id check 'ISLI 999999-100000000000001-4'
    """


for command in (*CHECKING, *RESOLVING, *REGISTERING, *IMPORTING, *PROVING):
    commands.add_command(command)
