"""A record as the table holds it, read as it is: it was verified when the table was built."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from appliance.runtime.errors import Corrupt

_ALWAYS = {"code", "status", "title", "body"}
_DECODE = json.JSONDecoder().decode
TTL = 86_400  # seconds; of a record that says nothing else


@dataclass(frozen=True)
class Known:
    """One record: its bytes, and what they say."""

    raw: bytes

    @cached_property
    def said(self) -> Mapping[str, Any]:
        """What the bytes say; they are read when somebody asks.

        Raises:
            Corrupt: they are no record.
        """
        try:
            said = _DECODE(self.raw.decode())
        except ValueError as error:
            raise Corrupt(f"a record in the table of identifiers is damaged: {error}") from error
        if not (isinstance(said, dict) and said.keys() >= _ALWAYS):
            raise Corrupt("a record in the table of identifiers lacks what every record has")
        return said

    @property
    def code(self) -> str:
        """The canonical code."""
        return str(self.said["code"])

    @property
    def status(self) -> str:
        """``reserved``, ``registered``, ``withdrawn`` or ``superseded``."""
        return str(self.said["status"])

    @property
    def title(self) -> str:
        """What people call it."""
        return str(self.said["title"])

    @property
    def body(self) -> str:
        """The admitted organisation that answers for it."""
        return str(self.said["body"])

    @property
    def reason(self) -> str:
        """Why it was withdrawn, if somebody said so."""
        return str(self.said.get("reason", ""))

    @property
    def successor(self) -> str | None:
        """The code that took its place."""
        return self.said.get("superseded_by")

    @property
    def ttl(self) -> int:
        """Seconds for which an answer may be kept."""
        return int(self.said.get("ttl", TTL))

    @property
    def locations(self) -> Sequence[Mapping[str, Any]]:
        """Where it is: ``release`` and ``entry``, or ``url``; perhaps ``screens``."""
        found: Sequence[Mapping[str, Any]] = self.said.get("locations", ())
        return found

    @property
    def links(self) -> Sequence[Mapping[str, str]]:
        """Typed links to other codes."""
        found: Sequence[Mapping[str, str]] = self.said.get("links", ())
        return found

    @property
    def metadata(self) -> Mapping[str, str]:
        """What else is told of it."""
        found: Mapping[str, str] = self.said.get("metadata", {})
        return found

    @property
    def rights(self) -> Mapping[str, Any] | None:
        """Where, when and on what it may be told of; None: everywhere."""
        return self.said.get("rights")


def known(raw: bytes) -> Known:
    """Return what the table's bytes say.

    Raises:
        Corrupt: they are no record.
    """
    found = Known(raw)
    _ = found.said
    return found


def moment(text: str | None) -> datetime | None:
    """Return the time that a record says, None for none."""
    return None if text is None else datetime.fromisoformat(text)
