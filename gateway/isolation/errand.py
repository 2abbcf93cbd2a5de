"""What reads all zones at once: an audit, or a question to the running kernel; as lines of JSON: progress, and the result last.

On a box the guard runs it (``errands.py``), since any other process that enters two zones is what the guard ends. Where no guard runs, the
command line does it by itself.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from appliance.runtime import places
from appliance.runtime.errors import HeadgateError, Refused
from gateway.isolation import netns
from gateway.isolation import policy as policies
from gateway.isolation.question import End, Question

Emit = Callable[[dict[str, Any]], None]
LARGEST = 64 << 10  # bytes of a request


def do(request: dict[str, Any], emit: Emit) -> None:
    """Do what ``request`` asks (``{"kind": "audit" | "explain", ...}``) and emit what comes of it.

    Raises:
        HeadgateError: it cannot be done.
    """
    if request["kind"] == "explain":
        emit({"result": _explain(request)})
    else:
        emit({"result": _audit(request, emit)})


def _explain(request: dict[str, Any]) -> dict[str, Any]:
    from gateway.isolation.proof import live

    read = policies.load(Path(request["policy"]))
    ends = End.parse(request["from"]), End.parse(request["to"])
    told = live.explain(read, Question(*ends, request["proto"], request["port"]), allowed=request["allowed"])
    return {"said": str(told), **told.as_json()}


def _audit(request: dict[str, Any], emit: Emit) -> dict[str, Any]:
    from gateway.isolation import audit, dossier
    from gateway.isolation.kernel import Kernel
    from gateway.isolation.shelf import signatures_of

    read = policies.load(Path(request["policy"]))
    report = request["report"]
    found = audit.audit(
        read,
        Kernel(home=netns.INITIAL, own=False),
        whole=report is not None,
        probe=bool(request["probe"]),
        guard=request.get("guard"),
        progress=lambda words: emit({"progress": words}),
    )
    now = datetime.now(UTC)
    told = {"site": read.site, "time": now.isoformat(timespec="seconds"), **audit.summary(found)}
    if report is not None:
        emit({"progress": "writing the report"})
        standing = request.get("standing")
        written, grade = dossier.write(
            read,
            found,
            Path(report),
            state=places.STATE,
            standing=standing,
            denied=standing["denied"] if standing else {},
            signatures=signatures_of(places.STATE / "guard" / "enforced.yaml"),
            now=now,
        )
        files = [str(written.json), *map(str, written.pages.values())]
        told["report"] = {"files": files, "sha256": written.digest, "grade": grade}
    return told


def main() -> None:
    """Do the request on standard input."""

    def emit(line: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    try:
        do(json.loads(sys.stdin.read(LARGEST)), emit)
    except HeadgateError as error:
        emit({"error": str(error), "reason": error.reason if isinstance(error, Refused) else "failed"})
    except OSError as error:  # a full disk, a folder that cannot be written
        emit({"error": f"{error.filename or 'the report'}: {error.strerror}", "reason": "failed"})


if __name__ == "__main__":
    main()
