"""What an order is about, as the commands that give orders are told it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import click

from gateway.permission.naming import named
from gateway.resolver import codes

KINDS = {  # arguments, and what they name
    "code": "release", "body": "body", "label": "label", "token": "token", "subject": "subject", "issuer": "issuer",
    "issuer_key": "signer",
}  # fmt: skip
LATE = 600.0  # seconds for which a withdrawal outlives its token: clocks differ (a policy's skew is at most 300)
LAST = 253402300799.0  # the last second that can be written
Command = Callable[..., None]


def about(command: Command) -> Command:
    """Add the arguments that name releases or tokens, of which ``taken`` takes one."""
    for option in (
        click.option("--issuer-key", help="All tokens that this public key signed, 'ed25519:...'."),
        click.option("--issuer", help="All tokens of this issuer, by its name in the policies."),
        click.option("--subject", metavar="ISSUER:SUBJECT", help="All tokens of this subject, as they have it."),
        click.option(
            "--token", metavar="ISSUER:ID|TOKEN", help="One token, by its identifier (cti in hex, or jti), or itself."
        ),
        click.option("--label", help="All releases that carry this label."),
        click.option("--body", help="All releases of this body."),
        click.argument("code", required=False),
    ):
        command = option(command)
    return command


def taken(told: dict[str, Any]) -> tuple[dict[str, str], datetime | None]:
    """Take what an order is about out of ``told``; return also when it may be forgotten, where a token tells that.

    Raises:
        UsageError: not one thing is named.
        Refused: what is named is no code, or no token.
    """
    given = {kind: told.pop(name) for name, kind in KINDS.items()}
    what = {kind: str(value) for kind, value in given.items() if value is not None}
    if len(what) != 1:
        raise click.UsageError("say one of CODE, --body, --label, --token, --subject, --issuer and --issuer-key")
    if "release" in what:
        return {"release": codes.parse(what["release"]).text}, None
    if "token" in what and ":" not in what["token"]:
        name, ends = named(what["token"])
        return {"token": name}, datetime.fromtimestamp(min(ends + LATE, LAST), UTC)
    return what, None


def moment(_context: click.Context, _option: click.Parameter, text: str | None) -> datetime | None:
    """Return the time that an option says, in UTC where it names no zone.

    Raises:
        BadParameter: it is none.
    """
    if text is None:
        return None
    try:
        told = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"'{text}' is no time: 2026-12-31 or 2026-12-31T18:00:00+08:00") from error
    return told if told.tzinfo else told.replace(tzinfo=UTC)


def written(told: Mapping[str, Any]) -> str:
    """Return in words what an order that the controller tells is about, and until when where it ends by itself."""
    what = " ".join(f"{kind} {name}" for kind, name in told["what"].items())
    return f"{what} until {told['until']}" if told.get("until") else what
