"""The nouns of an audit: what was proved, found, measured and probed. Pure values that the guard, the audit and the report share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Hook = Literal["ingress", "input", "output", "forward"]
Engine = Literal[
    "algebra", "skeleton", "diagram"
]  # numpy's interval algebra, z3 on the rules' skeleton, CUDD's decision diagrams


@dataclass(frozen=True)
class Packet:
    """One packet at one hook of a zone: field -> value in words (``saddr`` -> ``10.20.0.50``); fields that do not matter are left out."""

    zone: str
    hook: Hook
    fields: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return it as an operator writes it: ``bigscreen input: saddr 10.20.0.50 proto tcp dport 22``."""
        return f"{self.zone} {self.hook}: " + " ".join(f"{name} {value}" for name, value in self.fields.items())


@dataclass(frozen=True)
class Difference:
    """The smallest packet that two rulesets treat otherwise, and which line of the policy decides it."""

    packet: Packet
    live: Literal["accept", "drop"]
    wanted: Literal["accept", "drop"]
    why: str  # in words, from the policy
    line: int = 0  # of the policy file, 0 if none decides
    rule: str = ""  # the comment of the live rule that decides


@dataclass(frozen=True)
class Proof:
    """What one engine says of one zone's live ruleset, over all packets."""

    zone: str  # empty: the initial namespace
    engine: Engine
    equal: bool
    differences: tuple[Difference, ...] = ()
    unknown: tuple[str, ...] = ()  # tables, chains, statements that nothing explains: each is a failure
    rules: int = 0
    elements: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Finding:
    """Something on the box that joins two zones or could, by the numbers 1 to 37 of docs/isolation.md."""

    way: int
    name: str  # a word for metric labels and tests: ``foreign-link``, ``thread-in-two-zones``
    zones: tuple[str, ...]
    what: str  # a sentence
    pid: int | None = None
    done: str = ""  # what was done against it; empty: nothing yet


@dataclass(frozen=True)
class Measure:
    """A measure of the host: what is wanted, what was found; where the kernel lacks it, the grade drops and ``why`` says so."""

    name: str
    wanted: str
    found: str
    ok: bool
    why: str = ""
    ways: tuple[int, ...] = ()  # the ways across that it closes


@dataclass(frozen=True)
class Probe:
    """One attack that was sent with a nonce: ``passed`` nothing came through, ``failed`` it did, ``blind`` the control was not seen."""

    way: int
    name: str
    source: str  # zone from which it was sent
    listened: tuple[str, ...]  # zones in which nothing may appear
    result: Literal["passed", "failed", "blind"]
    control: str  # how it was shown to see: what the twin with the open hole showed
    seen: str = ""  # what came through, in words
