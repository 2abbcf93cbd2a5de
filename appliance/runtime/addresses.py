"""Addresses that commands are given."""

from __future__ import annotations

from urllib.parse import urlsplit

import click


def base_of(url: str) -> str:
    """Return ``url`` as the address of a box or of the controller: ``http://HOST[:PORT]``, without a slash at its end.

    Raises:
        click.BadParameter: it is none.
    """
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.path in ("", "/")
        _ = parts.port  # raises where it is no number
    except ValueError:
        whole = False
    if not whole:
        raise click.BadParameter(f"'{url}' is not http://HOST[:PORT]")
    return url.rstrip("/")
