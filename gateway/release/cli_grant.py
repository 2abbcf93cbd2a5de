"""``headgate release grant``: a body lets another make use of its releases."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import click
from pydantic import ValidationError

from appliance.identity.keys import PrivateKey
from appliance.runtime.errors import ConfigError, Fault
from appliance.runtime.files import write_atomic
from gateway.release import cli_words, grants
from gateway.release.cli_words import FILE, JSON
from gateway.release.grants import Grant


@click.command()
@click.option("--from", "giver", required=True, help="The body that grants, as policies name it.")
@click.option("--to", "taker", required=True, help="The body that may then use it.")
@click.option("--release", "release", required=True, help="An ISLI code, or the leading part of several: isli:999999-1")
@click.option("--act", "acts", multiple=True, required=True, help="associate or reconstruct; may be repeated.")
@click.option("--until", help="Not any more from this time on.")
@click.option("--key", type=FILE, required=True, help="The granting body's private key.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The file to write.")
@JSON
def grant(
    giver: str,
    taker: str,
    release: str,
    acts: tuple[str, ...],
    until: str | None,
    key: Path,
    out: Path,
    *,
    as_json: bool,
) -> None:
    """Sign that another body may associate its releases with yours, or reconstruct them; give it the file.

    Example: headgate release grant --from guangxi-library --to guilin-museum --release 999999-100000000000001-4
    --act associate --key library.key --out library-to-museum.grant
    """
    leading = release if ":" in release else f"isli:{release}"
    told = {"from": giver, "to": taker, "release": leading, "acts": acts, "until": until}
    try:
        made = Grant.model_validate(told)
    except ValidationError as error:
        raise ConfigError(
            [
                Fault("command line", 1, 1, ".".join(str(part) for part in fault["loc"]), fault["msg"])
                for fault in error.errors(include_url=False, include_input=False)
            ]
        ) from error
    if made.until is not None and made.until <= datetime.now(UTC):
        raise ConfigError([Fault("command line", 1, 1, "until", "is over already by this clock", hint="a later time")])
    envelope = grants.seal(made, PrivateKey.load(key))
    if len(envelope) > grants.LONGEST:
        raise ConfigError([Fault("command line", 1, 1, "", f"the grant is longer than {grants.LONGEST} bytes")])
    write_atomic(out, envelope)
    if as_json:
        click.echo(json.dumps({"file": str(out), **json.loads(grants.render(made))}, ensure_ascii=False))
    else:
        cli_words.console().print(f"{out}: '{made.giver}' lets '{made.taker}' {' and '.join(made.acts)} {made.release}")
