"""The guard's files: last good policy, the one before it, what waits for confirmation; and what it publishes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from appliance.runtime.errors import Corrupt
from appliance.runtime.files import sync_folder, write_atomic
from gateway.isolation import approval
from gateway.isolation import policy as policies
from gateway.isolation.decisions import Pending
from gateway.isolation.policy import Policy


def signatures_beside(path: Path) -> Path:
    """Return the file that holds the signatures over the policy at ``path``."""
    return path.with_name(path.name + approval.SUFFIX)


def signatures_of(path: Path) -> bytes | None:
    """Return the signatures that lie beside the policy at ``path``, or None where there are none that can be read."""
    try:
        with signatures_beside(path).open("rb") as file:
            return file.read(approval.LONGEST_SIGNATURES + 1)
    except OSError:
        return None


class Shelf:
    """Files below ``state`` survive a power cut, those below ``run`` tell the others what holds now."""

    def __init__(self, state: Path, run: Path) -> None:
        self.state, self.run = state / "guard", run
        self._status = run / "guard" / "status.json"
        for folder in (self.state, run / "policy", run / "guard"):
            folder.mkdir(parents=True, exist_ok=True)

    def policy(self, name: str) -> Policy | None:
        """Return the policy kept as ``enforced`` or ``previous``, or None.

        Raises:
            ConfigError: it is not valid for this version any more.
        """
        path = self.state / f"{name}.yaml"
        return policies.load(path) if path.exists() else None

    def keep(self, name: str, policy: Policy, signatures: bytes | None = None) -> None:
        """Keep ``policy`` as ``enforced`` or ``previous``, durably, with who approved it where that is known."""
        path = self.state / f"{name}.yaml"
        if signatures is not None:  # before the policy: never one without its approval
            write_atomic(signatures_beside(path), signatures, 0o600)
        write_atomic(path, policy.data, 0o600)

    def pending(self) -> Pending | None:
        """Return what waits for confirmation.

        Raises:
            Corrupt: the file says nothing that can be understood.
        """
        path = self.state / "pending.json"
        if not path.exists():
            return None
        try:
            told = json.loads(path.read_bytes())
            return Pending(str(told["digest"]), float(told["confirm_by"]))
        except (ValueError, KeyError, TypeError) as error:
            raise Corrupt(f"{path} is damaged") from error

    def set_pending(self, pending: Pending | None) -> None:
        """Keep what waits for confirmation, durably; None: nothing."""
        path = self.state / "pending.json"
        if pending is not None:
            write_atomic(path, json.dumps(pending.as_json()).encode(), 0o600)
        elif path.exists():
            path.unlink()
            sync_folder(self.state)

    def publish(self, policy: Policy) -> None:
        """Tell the gateway's daemons which policy is enforced."""
        write_atomic(self.run / "policy" / "policy.yaml", policy.data, 0o644)

    def publish_status(self, status: Mapping[str, Any]) -> None:
        """Write the status where telemetry reads it."""
        write_atomic(self._status, json.dumps(status, ensure_ascii=False).encode() + b"\n", 0o644)

    def beat(self) -> None:
        """Mark the status as still true: its time of change is when the guard looked last."""
        os.utime(self._status)
