"""Which links a curator means: filter -> condition of the book; pure."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.runtime.errors import Refused
from gateway.linking.proposals import BASES, STATES
from gateway.resolver.vocabulary import kind_of

LONGEST_QUERY = 200  # characters


@dataclass(frozen=True)
class Choice:
    """A filter; what is empty or None does not narrow it.

    Raises:
        Refused: ``bad-request``, ``unknown-link-type``.
    """

    state: str = ""
    type: str = ""
    basis: str = ""
    least: float | None = None  # score, included
    most: float | None = None  # score, excluded
    query: str = ""  # part of a title, or a code
    number: int | None = None

    def __post_init__(self) -> None:
        for name, value, known in (("state", self.state, STATES), ("basis", self.basis, BASES)):
            if value and value not in known:
                raise Refused("bad-request", f"'{name}' is one of {', '.join(known)}", 400)
        for score in (self.least, self.most):
            if score is not None and not 0 <= score <= 1:
                raise Refused("bad-request", "a score is 0 to 1", 400)
        if self.type:
            kind_of(self.type)

    def condition(self) -> tuple[str, dict[str, object]]:
        """Return the SQL condition, in which nothing of the curator stands, and its values."""
        parts: list[tuple[str, str, object]] = [
            ("state = :c_state", "c_state", self.state or None),
            ("type = :c_type", "c_type", kind_of(self.type).name if self.type else None),
            ("basis = :c_basis", "c_basis", self.basis or None),
            ("score >= :c_least", "c_least", self.least),
            ("score < :c_most", "c_most", self.most),
            ("id = :c_number", "c_number", self.number),
            (
                "(instr(source_title, :c_query) OR instr(target_title, :c_query) OR instr(statement, :c_query))",
                "c_query",
                self.query[:LONGEST_QUERY].replace("\0", "") or None,
            ),
        ]
        kept = [part for part in parts if part[2] is not None]
        return " AND ".join(text for text, _, _ in kept) or "1", {name: value for _, name, value in kept}
