"""``headgate key``: make and show signing keys."""

from __future__ import annotations

import json
from pathlib import Path

import click

from appliance.identity.keys import PrivateKey
from appliance.runtime.errors import HeadgateError, Refused


@click.group(name="key")
def commands() -> None:
    """Make and show the Ed25519 keys that sign releases, tables and journals.

    Example: headgate key new keys/guangxi-library.key
    """


@commands.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="For a program.")
def new(file: Path, *, as_json: bool) -> None:
    """Write a new private key to FILE (readable by its owner alone) and print the public key.

    Example: headgate key new keys/guangxi-library.key
    """
    key = PrivateKey.generate()
    try:
        key.save(file)
    except FileExistsError as error:
        raise Refused("key-exists", f"there is a file at {file} already, and a key is never overwritten") from error
    except OSError as error:
        raise HeadgateError(f"{file} cannot be written: {error.strerror}") from error
    _print(key, as_json=as_json)


@commands.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="For a program.")
def show(file: Path, *, as_json: bool) -> None:
    """Print the public key of the private key in FILE, as it stands in a site's policy.

    Example: headgate key show keys/guangxi-library.key
    """
    try:
        key = PrivateKey.load(file)
    except OSError as error:
        raise HeadgateError(f"{file} cannot be read: {error.strerror}") from error
    _print(key, as_json=as_json)


def _print(key: PrivateKey, *, as_json: bool) -> None:
    click.echo(json.dumps({"public": str(key.public), "key_id": key.public.key_id}) if as_json else str(key.public))
