"""Metadata between a folder and the controller: a body's copy of what it works on, and what was signed there, back."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from urllib.parse import urlsplit

from appliance.runtime.errors import HeadgateError, Refused, Unreachable
from gateway.release.trust import layout
from gateway.release.trust.files import Files
from gateway.release.trust.layout import Name

PORT = 8080
SECONDS = 30.0
LONGEST = 64 << 20  # bytes of an answer


class Controller:
    """The controller's ``/api/trust``."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url if "//" in url else f"//{url}")
        if parts.scheme not in ("", "http") or not parts.hostname:
            raise HeadgateError(f"{url!r} is no controller's address, such as http://10.40.0.20:8080")
        self._host, self._port = parts.hostname, parts.port or PORT

    def newest(self) -> dict[str, int]:
        """Return role -> newest version at the controller.

        Raises:
            Refused: it keeps no trust metadata.
            Unreachable: it is away.
        """
        told = json.loads(self._ask("GET", ""))
        found = told.get("newest", {}) if isinstance(told, dict) else {}
        return {str(role): int(version) for role, version in found.items()}

    def get(self, name: Name) -> bytes:
        """Return a file.

        Raises:
            Refused: it has none of this name.
            Unreachable: it is away.
        """
        return self._ask("GET", f"/{name.file}")

    def post(self, name: Name, data: bytes) -> None:
        """Hand over a signed file.

        Raises:
            Refused: the controller does not take it, with its reason.
            Unreachable: it is away.
        """
        self._ask("POST", f"/{name.file}", data)

    def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=SECONDS)
        try:
            connection.request(method, f"/api/trust{path}", body)
            response = connection.getresponse()
            data = response.read(LONGEST)
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"the controller at {self._host}:{self._port} does not answer: {error}") from error
        finally:
            connection.close()
        if response.status == 200:
            return data
        try:
            told = json.loads(data)
            reason, sentence = str(told["reason"]), str(told["error"])
        except (ValueError, KeyError, TypeError):
            reason, sentence = (
                "unexpected-answer",
                f"the controller answered {response.status}: does it keep trust metadata?",
            )
        raise Refused(reason, sentence, response.status)


def fetch(controller: Controller, folder: Path, body: str = "") -> list[Name]:
    """Bring the newest roots and targets, and what ``body`` lists (all bodies without it), into ``folder``; return what was new.

    Raises:
        Refused: the controller keeps no trust metadata.
        Unreachable: it is away.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files, found = Files(folder), []
    here = files.newest()
    for role, version in sorted(controller.newest().items(), key=_order):
        if role == layout.SNAPSHOT or (body and Name(role, version).body not in ("", body)):
            continue
        first = here.get(role, 0) + 1 if role == layout.ROOT else version
        for number in range(first, version + 1):
            name = Name(role, number)
            if files.read(name) is None:
                files.write(name, controller.get(name))
                found.append(name)
    return found


def send(controller: Controller, folder: Path) -> list[Name]:
    """Hand over what is newer in ``folder`` than at the controller: roots, targets, bins, then the roles that leave bins to new keys.

    Raises:
        Refused: the controller does not take one; those before it are taken.
        Unreachable: it is away.
    """
    files, there = Files(folder), controller.newest()
    sent = []
    for role, version in sorted(files.newest().items(), key=_order):
        known = there.get(role, 0)
        if role == layout.SNAPSHOT or version <= known:
            continue
        for number in range(known + 1 if role == layout.ROOT else version, version + 1):
            name = Name(role, number)
            data = files.read(name)
            if data is None:
                raise Refused("missing-metadata", f"{folder} has no {name.file}")
            controller.post(name, data)
            sent.append(name)
    return sent


def _order(found: tuple[str, int]) -> tuple[int, str]:
    kind = Name(*found).kind
    return (
        ("root", "targets", "bin", "body").index(kind) if kind in ("root", "targets", "bin", "body") else 9,
        found[0],
    )
