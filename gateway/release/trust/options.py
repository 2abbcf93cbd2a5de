"""What the commands of ``headgate release trust`` have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console

from appliance.identity.keys import PrivateKey, PublicKey
from appliance.runtime.errors import HeadgateError

FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
JSON = click.option("--json", "as_json", is_flag=True, help="For a program.")
SIGN = click.option(
    "--sign", "signing", type=FILE, multiple=True, help="Sign at once with this private key; repeatable."
)


class Public(click.ParamType[PublicKey]):
    """A public key as ``headgate key show`` prints it."""

    name = "ed25519:..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> PublicKey:
        """Return the key."""
        try:
            return value if isinstance(value, PublicKey) else PublicKey.parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


PUBLIC = Public()


def load(path: Path) -> PrivateKey:
    """Return the private key at ``path``.

    Raises:
        Corrupt: there is no Ed25519 key in the file.
        HeadgateError: it cannot be read.
    """
    try:
        return PrivateKey.load(path)
    except OSError as error:
        raise HeadgateError(f"{path} cannot be read: {error.strerror}") from error


def say(text: str) -> None:
    """Print a line, as it is."""
    Console(highlight=False, soft_wrap=True).print(text, markup=False)
