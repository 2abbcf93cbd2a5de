"""Rules as JSON, for an engine in a process of its own; a large set is written once, under its digest."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from typing import Any

from gateway.isolation.proof.rules import Rule, Rules
from gateway.isolation.proof.values import Values

Written = list[Any]


def digest_of(data: bytes) -> str:
    """Return the name of a large set."""
    return hashlib.sha256(data).hexdigest()


def rules_as_json(rules: Iterable[Rule]) -> Written:
    """Return rules without the contents of their large sets."""
    return [[rule.accept, rule.name, [[name, values_as_json(values)] for name, values in rule.needs]] for rule in rules]


def values_as_json(values: Values) -> Written:
    """Return ranges, names of large sets, and whether all others are meant."""
    return [values.ranges, [digest_of(data) for data in values.packed], values.inverted]


def large_sets(lists: Iterable[Rules]) -> dict[str, tuple[int, str]]:
    """Return digest -> bytes of a value, and the set in base64."""
    found = {}
    for rules in lists:
        for rule in rules:
            for _, values in rule.needs:
                for data in values.packed:
                    found[digest_of(data)] = (values.width, base64.b64encode(data).decode())
    return found
