"""Importing a command or a daemon in less time: a box starts more than ten daemons, and every ``headgate ...`` is a start."""

from __future__ import annotations

import gc
import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

AUTHORITIES = "SSL_CERT_FILE"  # where OpenSSL looks for the system's certificates (SSL_CTX_set_default_verify_paths(3))


def command(name: str) -> ModuleType:
    """Import the module ``name`` while nothing is collected: what is imported is no garbage, and later collections leave it out."""
    gc.disable()
    try:
        return importlib.import_module(name)
    finally:
        gc.freeze()
        gc.enable()


def daemon(name: str) -> ModuleType:
    """Import the module ``name`` as ``command`` does, and none of the system's 140 authorities, which aiohttp reads as it is imported.

    No daemon trusts these: whoever speaks TLS names its own authority.
    """
    with _without_authorities():
        return command(name)


@contextmanager
def _without_authorities() -> Iterator[None]:
    told = os.environ.get(AUTHORITIES)
    os.environ[AUTHORITIES] = os.devnull
    try:
        yield
    finally:
        del os.environ[AUTHORITIES]
        if told is not None:
            os.environ[AUTHORITIES] = told
