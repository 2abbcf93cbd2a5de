"""Orders to withdraw, to reinstate and to purge: what a regulator or an operator signs, and what follows from a row of them. Pure.

Orders have serials without gaps. The last one that covers a release decides whether it is withdrawn: by its code, its body or a label.
A token is withdrawn as long as any withdrawal of it stands: of itself, of its subject, of its issuer or of the key that signed it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from appliance.identity import envelope
from appliance.identity.keys import PrivateKey, PublicKey
from appliance.runtime.errors import Corrupt, Refused
from gateway.release import paths
from gateway.release.manifest import NEWEST, Moment, Word

KIND = "application/vnd.headgate.order+json"
LONGEST = 8 << 10  # bytes of an envelope
LONGEST_REASON = 400  # characters
NAME = r"^[a-z0-9][a-z0-9-]{0,62}$"

Act = Literal["withdraw", "reinstate", "purge"]
Target = tuple[str, str]  # one of the kinds below, and which
CONTENT = ("release", "body", "label")
TOKENS = (
    "token",
    "subject",
    "issuer",
    "signer",
)  # of tokens: one, all of a subject, all of an issuer, all that a key signed
PURGED = ("tag", "url", "prefix")  # of web origins
LONGEST_PURGED = 250  # characters
LONGEST_TOKEN = 190  # characters of a token's identifier, or of a subject
MOST_TOKENS = 10_000  # withdrawals of tokens that stand at once: every delivery keeps them all in memory

Purged = Annotated[str, StringConstraints(pattern=r"^[\x21-\x2b\x2d-\x7e]+$", max_length=LONGEST_PURGED)]
PurgedUrl = Annotated[str, StringConstraints(pattern=r"^https?://[\x21-\x7e]+$", max_length=LONGEST_PURGED)]


class _Noun(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class What(_Noun):
    """What an order is about: a release in all its versions, all of a body, or all with a label; or tokens; or stored web answers."""

    release: str | None = None  # the code, without its scheme
    body: Word | None = None
    label: Word | None = None
    token: str | None = None  # ISSUER:ID; an identifier (cti in hex, or jti) is the issuer's own
    subject: str | None = None  # ISSUER:SUBJECT, as the tokens have it
    issuer: Annotated[str, StringConstraints(pattern=NAME)] | None = None
    signer: str | None = None  # a public key: whatever it signed, for whichever issuer
    tag: Purged | None = None  # exactly this Cache-Tag or Surrogate-Key
    url: PurgedUrl | None = None
    prefix: PurgedUrl | None = None

    @field_validator("release")
    @classmethod
    def _code(cls, text: str | None) -> str | None:
        try:
            return None if text is None else paths.code_of(text)
        except Refused as error:
            raise ValueError(str(error)) from error

    @field_validator("token", "subject")
    @classmethod
    def _of_an_issuer(cls, text: str | None) -> str | None:
        if text is None:
            return None
        issuer, _, name = text.partition(":")
        if not re.fullmatch(NAME, issuer) or not 0 < len(name) <= LONGEST_TOKEN or not name.isprintable():
            raise ValueError(
                f"it is named by its issuer, a colon, and at most {LONGEST_TOKEN} characters: portal:viewer-17"
            )
        return text

    @field_validator("signer")
    @classmethod
    def _key(cls, text: str | None) -> str | None:
        return None if text is None else str(PublicKey.parse(text))

    @model_validator(mode="after")
    def _one(self) -> What:
        if len(self.model_dump(exclude_none=True)) != 1:
            raise ValueError(
                f"an order names one of {', '.join(CONTENT)}, of {', '.join(TOKENS)}, or of {', '.join(PURGED)}"
            )
        return self

    @property
    def target(self) -> Target:
        """Return the kind and the name."""
        ((kind, name),) = self.model_dump(exclude_none=True).items()
        return kind, str(name)

    def __str__(self) -> str:
        return " ".join(self.target)


class Order(_Noun):
    """One decision about content that boxes have, or may get, or about who may have it."""

    serial: int = Field(ge=1, le=NEWEST)
    act: Act
    what: What
    reason: str = Field(min_length=1, max_length=LONGEST_REASON)
    by: Annotated[str, StringConstraints(pattern=NAME)]  # whose key signs it
    time: Moment
    soft: Literal[True] | None = (
        None  # of a purge: what is kept is asked for again before it is shown, and not forgotten
    )
    until: Moment | None = None  # of a withdrawal of tokens: forgotten from then on, since none of them lives longer

    @field_validator("reason")
    @classmethod
    def _printable(cls, text: str) -> str:
        if not text.isprintable():
            raise ValueError("a reason is one line of text")
        return text

    @model_validator(mode="after")
    def _about_the_right_thing(self) -> Order:
        purges = self.act == "purge"
        if purges != (self.what.target[0] in PURGED):
            raise ValueError("a purge names one of 'tag', 'url' and 'prefix', and nothing else does")
        if self.soft and not purges:
            raise ValueError("only a purge is soft")
        if self.until is not None and not (self.act == "withdraw" and self.what.target[0] in TOKENS):
            raise ValueError("only a withdrawal of tokens ends by itself")
        if self.until is not None and self.until <= self.time:
            raise ValueError("'until' is over already when the order is made")
        return self

    @property
    def digest(self) -> str:
        """The SHA-256 of what is signed, in hex."""
        return hashlib.sha256(render(self)).hexdigest()

    def covers(self, code: str, body: str, labels: Iterable[str]) -> bool:
        """Return whether the order is about the release ``code`` of ``body`` that carries ``labels``."""
        return self.what.target in targets(code, body, labels)


@dataclass(frozen=True)
class Standing:
    """What a row of orders comes to: the last order about content by target, tokens' withdrawals, the serial of the last of all."""

    serial: int = 0
    last: Mapping[Target, Order] = field(default_factory=dict)
    tokens: Mapping[Target, Order] = field(default_factory=dict)  # withdrawals that nobody took back
    on_tokens: int = 0  # serial of the last order about tokens

    def after(self, orders: Iterable[Order]) -> Standing:
        """Return the standing once ``orders``, which go on from here, were given too."""
        serial, last, tokens, on_tokens = self.serial, dict(self.last), dict(self.tokens), self.on_tokens
        for order in orders:
            serial, target = max(serial, order.serial), order.what.target
            if target[0] in CONTENT:
                last[target] = order
            elif target[0] in TOKENS:
                on_tokens = max(on_tokens, order.serial)
                tokens.pop(target, None)
                if order.act == "withdraw":
                    tokens[target] = order
        return Standing(serial, last, tokens, on_tokens)

    def tokens_at(self, now: datetime) -> list[Order]:
        """Return the withdrawals of tokens that stand at ``now``."""
        return [order for order in self.tokens.values() if order.until is None or now < order.until]

    def order_on(self, code: str, body: str = "", labels: Iterable[str] = ()) -> Order | None:
        """Return the last order that covers a release, if there is one."""
        found = [order for target in targets(code, body, labels) if (order := self.last.get(target))]
        return max(found, key=lambda order: order.serial, default=None)

    def withdrawn(self, code: str, body: str = "", labels: Iterable[str] = ()) -> Order | None:
        """Return the order by which a release is withdrawn, or None where it is not."""
        order = self.order_on(code, body, labels)
        return order if order is not None and order.act == "withdraw" else None


def targets(code: str, body: str, labels: Iterable[str]) -> list[Target]:
    """Return all by which a release may be named."""
    return [("release", code), *([("body", body)] if body else []), *(("label", label) for label in labels)]


def refusal(order: Order) -> Refused:
    """Return how a request for a release that ``order`` withdrew is refused.

    451 and not 410: RFC 7725 is made for content that somebody with the power to say so had taken down, and unlike 410 (which caches
    keep by themselves, RFC 9110 section 15.5.11) nothing says that it lasts: a reinstated release is there again at once.
    """
    return Refused("withdrawn", f"withdrawn by order {order.serial} of {order.by}: {order.reason}", 451)


def render(order: Order) -> bytes:
    """Return the canonical order: UTF-8 JSON with sorted keys and no spaces."""
    told = order.model_dump(mode="json", exclude_none=True)
    return json.dumps(told, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def parse(data: bytes) -> Order:
    """Return the order that ``data`` tells.

    Raises:
        Corrupt: it is none.
    """
    if len(data) > LONGEST:
        raise Corrupt(f"an order is at most {LONGEST} bytes long")
    try:
        return Order.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part)[:40] for part in first["loc"])
        raise Corrupt(f"the order is wrong: {where + ': ' if where else ''}{first['msg'][:200]}") from error


def seal(order: Order, key: PrivateKey) -> bytes:
    """Return the envelope of ``order`` signed by ``key``."""
    return envelope.seal(render(order), KIND, key)


def open_signed(data: bytes, keys: Mapping[str, PublicKey]) -> Order:
    """Return the order in an envelope that one of ``keys`` signed under its own name.

    Raises:
        Refused: it is no order, or nobody of ``keys`` signed it as it says (``order-forged``).
    """
    if len(data) > LONGEST:
        raise Refused("order-forged", f"an order's envelope has at most {LONGEST} bytes")
    try:
        payload, key = envelope.open_sealed(data, KIND, keys.values())
        order = parse(payload)
    except (Corrupt, Refused) as error:
        raise Refused("order-forged", f"this is no order of somebody who may give one: {error}") from error
    if keys.get(order.by) != key:
        raise Refused("order-forged", f"the order says '{order.by}', and another's key signed it")
    return order


def next_ones(head: int, given: Iterable[Order]) -> list[Order]:
    """Return those of ``given`` that go on from ``head``, in their order.

    Raises:
        Refused: one in between is missing (``order-gap``).
    """
    expected, found = head + 1, []
    for order in sorted(given, key=lambda one: one.serial):
        if order.serial < expected:
            continue
        if order.serial > expected:
            raise Refused("order-gap", f"order {order.serial} came, {expected} is the next one", 409)
        found.append(order)
        expected += 1
    return found
