"""A response that is kept, and a request as the cache sees it: nouns."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.caching.fields import Fields

Span = tuple[int, int]  # the first byte, and the one behind the last


@dataclass(frozen=True)
class Asked:
    """A request: its method, the origin's host, the target as sent, and its fields."""

    method: str
    host: str
    target: str
    fields: Fields

    @property
    def key(self) -> str:
        """The primary key of RFC 9111 section 2: the URI alone, since only GET is kept."""
        return self.host + self.target


@dataclass(frozen=True)
class Stored:
    """A response as it is kept, without its body; times in Unix seconds."""

    key: str
    status: int
    reason: str
    fields: Fields
    requested: float
    received: float
    size: int | None  # bytes of the complete representation; None while that is not known
    spans: tuple[Span, ...] = ()  # what is here of it, ascending, none touching another
    vary: tuple[tuple[str, str], ...] = ()  # the selecting fields of the request it answered, normalised
    soft: bool = False  # purged softly: stale from now on
    id: str = field(default="", compare=False)

    @property
    def complete(self) -> bool:
        """Whether all of it is here."""
        return self.size is not None and (self.size == 0 or self.spans == ((0, self.size),))

    @property
    def held(self) -> int:
        """The bytes of its body that are here."""
        return sum(end - start for start, end in self.spans)
