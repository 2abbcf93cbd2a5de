"""``headgate release token``: makes a token for tests, and shows a portal's developer what one holds."""

from __future__ import annotations

import json
import secrets
import time
from pathlib import Path

import click

from appliance.identity.keys import PrivateKey
from gateway.permission import token
from gateway.permission.permit import PREFIX
from gateway.release import paths

LONGEST = 30 * 86_400  # seconds


@click.command(name="token")
@click.argument("codes", nargs=-1)
@click.option(
    "--issuer", required=True, help="The portal's name, as the boxes' policies have it below permission.issuers."
)
@click.option(
    "--key", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=True, help="Its private key."
)
@click.option(
    "--subject", default="", help="Whom it is for; records of use hold a pseudonym of it that changes each day."
)
@click.option(
    "--seconds", type=click.IntRange(1, LONGEST), default=14_400, show_default=True, help="How long it holds."
)
@click.option(
    "--audience", multiple=True, help="A site or a zone that it is for; without it, every box that knows the issuer."
)
@click.option("--json", "as_json", is_flag=True, help="Print the token and what it holds as JSON.")
def commands(
    codes: tuple[str, ...],
    issuer: str,
    key: Path,
    subject: str,
    seconds: int,
    audience: tuple[str, ...],
    *,
    as_json: bool,
) -> None:
    """Make a Common Access Token (CTA-5007) for one release, or for all of them without CODES.

    Example: headgate release token 999999-100000000000001-4 --issuer portal --key portal.key --subject viewer-17
    """
    if len(codes) > 1:
        raise click.UsageError("a token is for one release, or for all of them")
    PrivateKey.load(key)  # says it better where it is none
    now = int(time.time())
    claims: dict[int, object] = {
        token.ISS: issuer,
        token.IAT: now,
        token.NBF: now,
        token.EXP: now + seconds,
        token.CTI: secrets.token_bytes(16),
        token.CATM: ["GET", "HEAD"],
    }
    if subject:
        claims[token.SUB] = subject
    if audience:
        claims[token.AUD] = list(audience)
    path = f"/r/{paths.code_of(codes[0])}/" if codes else "/r/"
    claims[token.CATU] = {3: {PREFIX: path}}
    text = token.issue(claims, key.read_bytes())
    if not as_json:
        click.echo(text)
        return
    told = {"issuer": issuer, "subject": subject, "until": now + seconds, "path": path, "audience": list(audience)}
    click.echo(json.dumps({"token": text, "id": bytes(claims[token.CTI]).hex(), **told}))  # type: ignore[call-overload]
