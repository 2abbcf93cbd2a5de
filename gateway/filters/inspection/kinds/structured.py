"""JSON: one value, not too deep."""

from __future__ import annotations

import json

from gateway.filters.inspection import refusal
from gateway.filters.inspection.kinds.kind import Whole
from gateway.filters.inspection.kinds.text import decoded

DEEPEST = 64  # arrays and objects in one another


def parsed(text: str) -> object:
    """Return the value that the JSON ``text`` tells.

    Raises:
        Refused: it is no JSON, or too deep.
    """
    depth, quoted, skip = 0, False, False
    for character in text:
        if skip:
            skip = False
        elif quoted:
            skip, quoted = character == "\\", character != '"'
        elif character == '"':
            quoted = True
        elif character in "[{":
            depth += 1
            if depth > DEEPEST:
                raise refusal.bomb(f"more than {DEEPEST} arrays and objects in one another")
        elif character in "]}":
            depth -= 1
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise refusal.mismatch(f"this is no JSON: {str(error)[:200]}") from error


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class Json(Whole):
    """Any JSON."""

    largest = 32 << 20

    def judge(self, data: bytes) -> None:
        """Refuse what is no JSON."""
        parsed(decoded(data))
