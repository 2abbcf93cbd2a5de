"""What a curator's page or program asks -> values, or a refusal in words; pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from appliance.runtime.errors import Refused
from gateway.linking import reasons
from gateway.linking.book import Kept
from gateway.linking.choosing import Choice
from gateway.linking.proposals import State

LONGEST_NOTE = 400  # characters
DECIDED: tuple[State, ...] = ("accepted", "rejected", "proposed")


def choice(query: Mapping[str, str]) -> Choice:
    """Return the filter of a query or form; without a state, what is proposed."""
    least = query.get("least", "")
    return Choice(
        state=query.get("state", "") or "proposed",
        type=query.get("type", ""),
        basis=query.get("basis", ""),
        least=number(least, 0, 100) / 100 if least else None,
        query=query.get("q", "").strip(),
    )


def number(text: str, least: int, most: int) -> int:
    """Return the number written as ``text``."""
    if not (text.isascii() and text.isdigit() and len(text) <= 16 and least <= int(text) <= most):
        raise Refused("bad-request", f"{text[:20]!a} is no number from {least} to {most}", 400)
    return int(text)


def act(text: str) -> State:
    """Return the state that a decision gives."""
    for state in DECIDED:
        if text == state:
            return state
    raise Refused("bad-request", f"'act' is one of {', '.join(DECIDED)}", 400)


def note(text: str) -> str:
    """Return a curator's note."""
    if len(text) > LONGEST_NOTE or not text.isprintable():
        raise Refused("bad-request", f"a note is one line of at most {LONGEST_NOTE} characters", 400)
    return text.strip()


def there(one: Kept | None) -> Kept:
    """Return the link, if there is one."""
    if one is None:
        raise Refused("unknown-link", "there is no such link", 404)
    return one


def local(path: str) -> str:
    """Return where to go back to, on this page and nowhere else."""
    return (
        path
        if path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() and len(path) < 2000
        else "/"
    )


def told(one: Kept) -> dict[str, Any]:
    """Return a link as programs are told of it."""
    p = one.proposal
    return {
        "number": one.id, "source": p.source, "type": p.type, "target": p.target, "score": p.score, "basis": p.basis,
        "source_title": p.source_title, "target_title": p.target_title, "target_body": p.target_body,
        "why": {lang: reasons.told(p.why, lang) for lang in ("zh", "en")}, "state": one.state, "by": one.by, "at": one.at,
        "note": one.note,
    }  # fmt: skip


def now() -> str:
    """Return the time, as the book keeps it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
