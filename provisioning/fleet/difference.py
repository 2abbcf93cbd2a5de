"""Two policies told apart in words."""

from __future__ import annotations

import difflib

from gateway.isolation.policy import Policy

MOST_LINES = 200


def in_words(before: Policy, after: Policy) -> tuple[str, ...]:
    """Return the lines that differ between two policies, each with ``-`` or ``+``."""
    old, new = before.data.decode().splitlines(), after.data.decode().splitlines()
    lines = [
        line for line in difflib.unified_diff(old, new, lineterm="", n=0) if not line.startswith(("---", "+++", "@@"))
    ]
    return tuple(lines[:MOST_LINES])
