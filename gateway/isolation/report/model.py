"""An audit as one value: what the box is, what it admits, and all evidence; JSON and back without loss."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, ConfigDict, Field, TypeAdapter, ValidationError

from appliance.runtime.errors import Corrupt
from gateway.isolation.evidence import Finding, Measure, Probe, Proof

SCHEMA: Literal["headgate-audit/1"] = "headgate-audit/1"
LARGEST = 16 << 20  # bytes of an audit; one of a box with 100,000 addresses in its policy has 2 MiB
MOST_FINDINGS, MOST_PROBES, MOST_MEASURES, MOST_CHANGES = 1000, 2000, 500, 2000
MOST_DIFFERENCES, MOST_UNKNOWN = 20, 100  # of one proof
LONGEST_POLICY = 8 << 20  # characters

Text = Annotated[str, Field(max_length=4096)]
Word = Annotated[str, Field(max_length=256)]
Words = Annotated[tuple[Word, ...], Field(max_length=600)]
Line = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]
Form = Literal["one-box", "split-box"]
_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class Box:
    """Which box this is, and what runs on it."""

    __pydantic_config__ = _STRICT

    site: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,47}$")]  # it names files, also where the audit is only read
    key: Word  # the public key that signs this audit, ``ed25519:...``
    software: Word
    kernel: Word
    form: Form = "one-box"


@dataclass(frozen=True)
class PolicyFile:
    """The policy that is enforced: its very text, and who approved it."""

    __pydantic_config__ = _STRICT

    digest: Word  # SHA-256 of the file's bytes
    file: Word
    text: Annotated[str, Field(max_length=LONGEST_POLICY)]
    serial: Line | None = None
    approved: Words = ()  # names of the keys that signed exactly these bytes
    needed: Count = 0  # signatures that the policy asks of its successor; 0: none


@dataclass(frozen=True)
class Zone:
    """A network that stays apart, with the line of the policy that says so."""

    __pydantic_config__ = _STRICT

    name: Word
    port: Word
    addresses: Words
    networks: Words
    neighbours: Count = 0  # pinned
    line: Line = 0


@dataclass(frozen=True)
class Body:
    """An admitted organisation, and what it is admitted for."""

    __pydantic_config__ = _STRICT

    ident: Word
    name: Word
    acts: Words
    identifiers: Words
    keys: Words
    addresses: Count = 0
    line: Line = 0


@dataclass(frozen=True)
class Opening:
    """One thing that may be opened: a service of the box in a zone, or what the box itself may reach there."""

    __pydantic_config__ = _STRICT

    kind: Literal["service", "reach"]
    name: Word
    zone: Word
    run: Word
    port: Word
    ends: Words  # for whom, or where; as the policy writes it
    hosts: Count = 0  # single addresses in the groups among ``ends``
    line: Line = 0


@dataclass(frozen=True)
class Lane:
    """A kind of object that may cross through the exchange."""

    __pydantic_config__ = _STRICT

    name: Word
    source: Word
    target: Word
    kind: Word
    largest: Count  # bytes of one object
    rate: Word = ""
    line: Line = 0


@dataclass(frozen=True)
class Statement:
    """A ``never:`` or ``expect:`` of the policy, and whether it holds on the live box."""

    __pydantic_config__ = _STRICT

    kind: Literal["never", "expect"]
    said: Word
    holds: bool
    why: Text
    line: Line = 0


@dataclass(frozen=True)
class Inspected:
    """How much the search for bridges looked at."""

    __pydantic_config__ = _STRICT

    processes: Count = 0
    threads: Count = 0
    descriptors: Count = 0
    sockets: Count = 0
    links: Count = 0
    programs: Count = 0  # BPF programs


@dataclass(frozen=True)
class Denied:
    """Packets that a zone refused: all are counted, some recorded."""

    __pydantic_config__ = _STRICT

    zone: Word
    counted: Count
    recorded: Count


@dataclass(frozen=True)
class Journal:
    """The head of the box's journal at the audit."""

    __pydantic_config__ = _STRICT

    origin: Word
    size: Count
    root: Word  # hex
    note: Text  # the signed checkpoint itself
    witnesses: Words = ()  # who countersigned a checkpoint of it
    faults: Words = ()


@dataclass(frozen=True)
class Change:
    """Something the guard decided since the last audit."""

    __pydantic_config__ = _STRICT

    time: AwareDatetime
    decision: Word  # apply, confirm, revert, refuse, put-back, ...
    reason: Word
    detail: Text = ""


@dataclass(frozen=True)
class Audit:
    """All that an audit found, for one box and one moment."""

    __pydantic_config__ = _STRICT

    box: Box
    time: AwareDatetime
    policy: PolicyFile
    zones: Annotated[tuple[Zone, ...], Field(max_length=16)]
    bodies: Annotated[tuple[Body, ...], Field(max_length=4096)] = ()
    openings: Annotated[tuple[Opening, ...], Field(max_length=512)] = ()
    lanes: Annotated[tuple[Lane, ...], Field(max_length=256)] = ()
    statements: Annotated[tuple[Statement, ...], Field(max_length=1256)] = ()
    proofs: Annotated[tuple[Proof, ...], Field(max_length=64)] = ()
    deviations: Annotated[Mapping[Word, Annotated[tuple[Text, ...], Field(max_length=100)]], Field(max_length=17)] = (
        field(default_factory=dict)
    )  # zone -> what of its links, addresses, settings is not as the policy says
    findings: Annotated[tuple[Finding, ...], Field(max_length=MOST_FINDINGS)] = ()
    inspected: Inspected | None = None  # None: nobody looked for bridges
    measures: Annotated[tuple[Measure, ...], Field(max_length=MOST_MEASURES)] = ()
    probes: Annotated[tuple[Probe, ...], Field(max_length=MOST_PROBES)] | None = None  # None: not run
    denied: Annotated[tuple[Denied, ...], Field(max_length=16)] = ()
    journal: Journal | None = None
    changes: Annotated[tuple[Change, ...], Field(max_length=MOST_CHANGES)] = ()
    previous: Word = ""  # SHA-256 of the last audit's file; empty: this is the first
    since: AwareDatetime | None = None  # when that was
    left_out: Annotated[Mapping[Word, Count], Field(max_length=16)] = field(
        default_factory=dict
    )  # what exceeded a bound
    schema: Literal["headgate-audit/1"] = SCHEMA

    @property
    def name(self) -> str:
        """The name of this audit's files, without their endings."""
        return f"audit-{self.box.site}-{self.time:%Y%m%dT%H%M%SZ}"

    @property
    def days(self) -> float | None:
        """Days since the last audit; None where this is the first."""
        return None if self.since is None else (self.time - self.since).total_seconds() / 86400

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON's values."""
        told: dict[str, Any] = _AUDIT.dump_python(self, mode="json")
        return told

    def as_bytes(self) -> bytes:
        """Return the canonical bytes, over which it is signed."""
        return json.dumps(self.as_json(), ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


_AUDIT: TypeAdapter[Audit] = TypeAdapter(Audit)


def from_json(data: bytes) -> Audit:
    """Return the audit written as ``data``.

    Raises:
        Corrupt: it is none, is too large, or holds what this version does not know.
    """
    if len(data) > LARGEST:
        raise Corrupt(f"the audit is longer than {LARGEST} bytes")
    try:
        told = json.loads(data)
        schema = told.get("schema") if isinstance(told, dict) else None
        if schema != SCHEMA:
            raise Corrupt(f"this is no audit of the schema {SCHEMA} but '{str(schema)[:40]}'")
        audit = _AUDIT.validate_python(told)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise Corrupt(f"this is no audit: {place}: {first['msg']}") from error
    except (ValueError, RecursionError) as error:
        raise Corrupt("this is no audit: not JSON") from error
    # Nothing that is signed may stay unread: a field that this version ignored would be on nobody's page.
    if audit.as_json() != told:
        raise Corrupt("this audit holds more than this version understands: read it with the version that made it")
    return audit


def written(when: datetime) -> str:
    """Return a time as people compare it: ``2026-05-04 03:02:01 UTC``."""
    return f"{when:%Y-%m-%d %H:%M:%S} UTC"
