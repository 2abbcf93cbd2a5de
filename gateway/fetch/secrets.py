"""What Ansible put into ``/etc/headgate/origins``: whom HTTPS origins are verified by, and who we are to S3-compatible ones."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from appliance.runtime.errors import ConfigError, Fault
from gateway.fetch.s3 import LONGEST, Credentials
from gateway.isolation.policy import Policy

AUTHORITY = "ca.crt"


@dataclass(frozen=True)
class Secrets:
    """As the policy's origins need them."""

    context: ssl.SSLContext | None = None
    credentials: Mapping[str, Credentials] = field(default_factory=dict)


def load(folder: Path, policy: Policy) -> Secrets:
    """Read what the origins of ``policy`` need from ``folder``.

    Raises:
        ConfigError: something that is needed is missing or wrong; holds all faults.
    """
    faults, context, credentials = [], None, {}
    secure = [("origins", name) for name, origin in policy.origins.items() if origin.tls]
    secure += [("web", name) for name, origin in policy.web.items() if origin.tls]
    if secure:
        try:
            context = _context(folder / AUTHORITY)
        except (OSError, ssl.SSLError) as error:
            lacking = f"no certificates to verify it by in {folder / AUTHORITY}: {error}"
            faults += [_fault(policy, (*where, "tls"), lacking) for where in secure]
    for name, origin in policy.origins.items():
        if origin.s3 and origin.s3.credentials not in credentials:
            path = folder / origin.s3.credentials
            try:
                with path.open("rb") as file:
                    credentials[origin.s3.credentials] = Credentials.parse(file.read(LONGEST + 1))
            except (OSError, ValueError) as error:
                told = error.strerror if isinstance(error, OSError) else "not 'ACCESS-KEY SECRET' on one line"
                faults.append(
                    _fault(policy, ("origins", name, "s3"), f"its credentials cannot be read from {path}: {told}")
                )
    if faults:
        raise ConfigError(faults)
    return Secrets(context, credentials)


def _context(authority: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(
        cafile=str(authority)
    )  # no other authority counts; names and addresses are checked
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _fault(policy: Policy, where: tuple[str, str, str], message: str) -> Fault:
    file, line = policy.place_of(where)
    return Fault(file, max(1, line), 1, ".".join(where), message)
