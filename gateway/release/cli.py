"""``headgate release``: make, preview, verify, publish, show and list signed releases of content, and grant them to others."""

from __future__ import annotations

import click

from gateway.permission.cli import commands as token
from gateway.release.cli_grant import grant
from gateway.release.cli_looks import body, quarantine
from gateway.release.cli_make import make, verify
from gateway.release.cli_orders import COMMANDS as ORDERS
from gateway.release.cli_preview import preview
from gateway.release.cli_publish import publish
from gateway.release.cli_show import list_, show
from gateway.release.live.cli import channel, live
from gateway.release.trust.cli import commands as trust


@click.group(name="release")
def commands() -> None:
    """Make, preview, verify, publish, show and grant signed releases of content.

    Example: headgate release verify film/
    """


for command in (
    make,
    preview,
    verify,
    publish,
    show,
    list_,
    body,
    quarantine,
    grant,
    channel,
    live,
    trust,
    token,
    *ORDERS,
):
    commands.add_command(command)
