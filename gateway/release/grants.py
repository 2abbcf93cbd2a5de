"""A body's grant to another: this of my content you may associate with yours, or reconstruct. Bytes <-> ``Grant``, and the check."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Annotated

from pydantic import ConfigDict, Field, ValidationError

from appliance.identity import envelope
from appliance.identity.keys import PrivateKey, PublicKey
from appliance.runtime.errors import Corrupt, Refused
from gateway.release.manifest import Act, Moment, Noun, Source, Word, no_constant, once
from gateway.resolver import codes

KIND = "application/vnd.headgate.grant+json"
LONGEST = 8192  # bytes of the envelope, as a manifest holds it

Keys = Callable[[str], Iterable[PublicKey]]  # a body's name -> the keys that are known to be its


class Grant(Noun):
    """What one body lets another do with a release, or with all whose codes begin so."""

    model_config = ConfigDict(**Noun.model_config, populate_by_name=True)

    giver: Word = Field(alias="from")
    taker: Word = Field(alias="to")
    release: Annotated[str, Field(min_length=1, max_length=codes.LONGEST)]  # leading part of canonical codes
    acts: tuple[Act, ...] = Field(min_length=1, max_length=3, strict=False)
    until: Moment | None = None  # not any more from then on


def parse(data: bytes) -> Grant:
    """Return the grant that the payload ``data`` tells.

    Raises:
        Corrupt: it is none.
    """
    if len(data) > LONGEST:
        raise Corrupt(f"the grant is longer than {LONGEST} bytes")
    try:
        return Grant.model_validate(json.loads(data, object_pairs_hook=once, parse_constant=no_constant))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part)[:80] for part in first["loc"])
        raise Corrupt(f"the grant is wrong: {where + ': ' if where else ''}{first['msg'][:300]}") from error
    except (ValueError, RecursionError) as error:
        raise Corrupt(f"the grant is not JSON: {str(error)[:200]}") from error


def render(grant: Grant) -> bytes:
    """Return the canonical bytes of ``grant``."""
    told = grant.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return json.dumps(told, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def seal(grant: Grant, key: PrivateKey) -> bytes:
    """Return the envelope of ``grant`` signed by ``key``, the giver's."""
    return envelope.seal(render(grant), KIND, key)


def claimed(data: bytes) -> Grant:
    """Return what an envelope claims, WITHOUT looking at its signatures: to be shown to people.

    Raises:
        Corrupt: it is no envelope of a grant.
    """
    if len(data) > LONGEST:
        raise Corrupt(f"the grant is longer than {LONGEST} bytes")
    try:
        told = json.loads(data)
        payload, kind = base64.b64decode(told["payload"], validate=True), told["payloadType"]
    except (ValueError, KeyError, TypeError, binascii.Error, RecursionError) as error:
        raise Corrupt("this is not a DSSE envelope") from error
    if kind != KIND:
        raise Corrupt(f"the envelope holds '{str(kind)[:80]}', not a grant")
    return parse(payload)


def check(source: Source, by: str, keys_of: Keys, now: datetime) -> str:
    """Return why ``by`` may not make use of ``source`` as its release says, or an empty text. What is its own needs no grant."""
    if source.body == by:
        return ""
    told = f"of '{source.body}' for {source.release}"
    keys = list(keys_of(source.body))
    if not keys:
        return f"no key of '{source.body}' is known here, so its grant for {source.release} cannot be verified"
    try:
        payload, _ = envelope.open_sealed(source.grant.encode(), KIND, keys)
        grant = parse(payload)
    except Corrupt as error:
        return f"the grant {told} is none: {error}"
    except Refused:
        return f"the grant {told} is not signed by a key of '{source.body}'"
    if (grant.giver, grant.taker) != (source.body, by):
        return f"the grant {told} is from '{grant.giver}' to '{grant.taker}', not to '{by}'"
    if not source.release.startswith(grant.release):
        return f"the grant {told} is for {grant.release}"
    if source.act not in grant.acts:
        return f"the grant {told} is to {', '.join(grant.acts)}, not to {source.act}"
    if grant.until is not None and now >= grant.until:
        return f"the grant {told} ended {grant.until.isoformat()}; this clock says {now.isoformat(timespec='seconds')}"
    return ""
