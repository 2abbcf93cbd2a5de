"""What a rollout leaves in the operator's folder: last policies, the state of a rollout, what Ansible is told beside the inventory."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from appliance.runtime.errors import ConfigError, Refused
from appliance.runtime.files import write_atomic
from gateway.isolation import policy as policies
from gateway.isolation.policy import Policy
from gateway.isolation.shelf import signatures_beside
from provisioning.fleet.bundle import Bundle
from provisioning.fleet.inventory import Fleet, Site
from provisioning.fleet.rollout import Rollout

BROKER_PORT = 8883


class Work:
    """The folder's own files: ``.cache`` may be thrown away; ``.applied`` says what each box was given last."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cache = folder / ".cache"
        self.applied_folder = folder / ".applied"
        self.ansible = self.cache / "ansible"

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder for one rollout.

        Raises:
            Refused: another one is under way in this folder (reason ``rollout-running``).
        """
        self.cache.mkdir(exist_ok=True)
        with (self.cache / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise Refused("rollout-running", f"another rollout is under way in {self.folder}") from error
            yield

    def applied(self) -> Mapping[str, Policy]:
        """Return the policy that each site was given last; one that cannot be read any more counts as none."""
        found = {}
        for path in sorted(self.applied_folder.glob("*.yaml")):
            with contextlib.suppress(ConfigError):  # written by an older Headgate: the box's own report decides
                found[path.stem] = policies.load(path)
        return found

    def note_applied(self, site: Site) -> None:
        """Keep the policy of ``site`` as the one that it was given last."""
        self.applied_folder.mkdir(exist_ok=True)
        write_atomic(self.applied_folder / f"{site.name}.yaml", site.policy.data)

    def note_rollout(self, rollout: Rollout, end: str, now: str) -> None:
        """Keep the state of the rollout for ``headgate fleet rollout status``; ``end`` is empty while it goes on."""
        told = {"time": now, "end": end, "boxes": [asdict(box) for box in rollout.boxes]}
        write_atomic(self.cache / "rollout.json", json.dumps(told, ensure_ascii=False, indent=1).encode())

    def last_rollout(self) -> dict[str, Any] | None:
        """Return what ``note_rollout`` kept, or None."""
        try:
            told = json.loads((self.cache / "rollout.json").read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        return told if isinstance(told, dict) else None

    def note_policy(self, site: Site) -> tuple[Path, Path | None]:
        """Write what the box at ``site`` gets: its whole policy and, where there are any, the signatures over it; return the files."""
        folder = self.cache / "policies"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{site.name}.yaml"
        write_atomic(path, site.policy.data)
        if site.signatures is None:
            return path, None
        write_atomic(signatures_beside(path), site.signatures)
        return path, signatures_beside(path)

    def note_variables(self, fleet: Fleet, bundles: Mapping[str, Bundle]) -> Path:
        """Write what Ansible is told of each box beside the operator's inventory, and return the file."""
        self.cache.mkdir(exist_ok=True)
        path = self.cache / "variables.json"
        hosts = {
            site.name: variables(fleet, site, bundles[site.name], *self.note_policy(site))
            for site in fleet.sites.values()
        }
        write_atomic(path, json.dumps({"all": {"hosts": hosts}}, ensure_ascii=False, indent=1).encode())
        return path


def variables(fleet: Fleet, site: Site, bundle: Bundle, policy: Path, signatures: Path | None) -> dict[str, Any]:
    """Return the variables of the roles ``gateway`` and ``centre`` for ``site``, whose whole policy lies at ``policy``."""
    centre = fleet.centre
    authority = fleet.folder / "pki" / "ca.crt"
    told: dict[str, Any] = {
        "gateway_site": site.name,
        "gateway_address": site.address,
        "gateway_policy_file": str(policy),
        "gateway_policy_signatures": str(signatures or ""),
        "gateway_policy_digest": site.policy.digest,
        "gateway_front": any(service.front is not None for service in site.policy.services.values()),
        "gateway_software": str(bundle.software.path),
        "gateway_version": bundle.software.digest,
        "gateway_libraries": str(bundle.libraries.path),
        "gateway_libraries_version": bundle.libraries.digest,
        "gateway_python": site.python,
        "gateway_folder": str(fleet.folder),
        "gateway_authority": str(authority),
        "gateway_authority_digest": hashlib.sha256(authority.read_bytes()).hexdigest(),
        **_broker(site, centre),
    }
    if site.centre:
        told["centre_address"] = site.address
        key = fleet.folder / "keys" / "registry.pem"
        told["centre_registry_key"] = str(key) if key.exists() else ""
        online, first = fleet.folder / "keys" / "trust.pem", fleet.folder / "trust" / "1.root.json"
        told["centre_trust_key"] = str(online) if online.exists() else ""
        told["centre_trust_root"] = hashlib.sha256(first.read_bytes()).hexdigest() if first.exists() else ""
        told["centre_targets"] = [
            {"targets": [f"{s.address}:{_port(s, 'telemetry', 9100)}"], "labels": {"box": s.name, "ring": str(s.ring)}}
            for s in sorted(fleet.sites.values(), key=lambda s: s.name)
        ]
    return told


def _broker(site: Site, centre: Site | None) -> dict[str, Any]:
    """Return where the box's telemetry goes: what its policy lets it reach, or the centre."""
    for reach in site.policy.reach.values():
        if reach.run == "telemetry":
            first = next(site.policy.networks_of(reach.to)).network_address
            return {"gateway_broker_address": str(first), "gateway_broker_port": reach.port.port}
    return {"gateway_broker_address": centre.address if centre else "", "gateway_broker_port": BROKER_PORT}


def _port(site: Site, run: str, default: int) -> int:
    service = site.policy.service_of("management", run)
    return service.port if service else default
