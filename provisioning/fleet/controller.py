"""What the boxes report, asked at the controller (``GET /api/boxes``)."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from appliance.runtime.errors import Corrupt, Unreachable

SECONDS = 5.0  # for one answer
LARGEST = 64 << 20  # bytes of an answer: 10 000 boxes at some KiB each
PORT = 8080


@dataclass(frozen=True)
class Report:
    """What one box reported last."""

    site: str
    enforced: str | None  # digest of the policy
    state: str  # of the guard: enforced, pending, drift, failed; or why nothing is known
    online: bool


def boxes(url: str) -> Mapping[str, Report]:
    """Return what the controller at ``url`` knows of each box.

    Raises:
        Unreachable: the controller does not answer.
        Corrupt: it answers something else than a list of boxes.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or PORT, timeout=SECONDS)
    try:
        connection.request("GET", f"{parts.path.rstrip('/')}/api/boxes", headers={"Accept": "application/json"})
        response = connection.getresponse()
        data = response.read(LARGEST + 1)
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(f"the controller at {url} does not answer: {error}") from error
    finally:
        connection.close()
    if response.status != 200:
        raise Unreachable(f"the controller at {url} answers {response.status}")
    return parse(data)


def parse(data: bytes) -> Mapping[str, Report]:
    """Return the reports in an answer of ``/api/boxes``: a list of boxes, or ``{"boxes": [...]}``.

    Raises:
        Corrupt: this is no such answer.
    """
    try:
        told = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Corrupt("the controller did not answer with JSON") from error
    entries = told.get("boxes") if isinstance(told, dict) else told
    if len(data) > LARGEST or not isinstance(entries, list):
        raise Corrupt("the controller did not answer with a list of boxes")
    reports = [_report(entry) for entry in entries]
    return {report.site: report for report in reports}


def _report(entry: Any) -> Report:
    if not isinstance(entry, dict) or not isinstance(entry.get("site"), str):
        raise Corrupt("the controller told of a box without a name")
    enforced, state = entry.get("enforced"), entry.get("state")
    return Report(
        entry["site"],
        enforced if isinstance(enforced, str) and enforced else None,
        state if isinstance(state, str) else "",
        bool(entry.get("online")),
    )
