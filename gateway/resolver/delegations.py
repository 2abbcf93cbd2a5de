"""What is signed to delegate codes: a service code by the operator, a block for one of its boxes by a body. Bytes <-> values."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated, TypeVar

from pydantic import AwareDatetime, Field, ValidationError

from appliance.identity import envelope
from appliance.identity.keys import PrivateKey, PublicKey
from appliance.runtime.errors import Corrupt
from gateway.release.manifest import Noun, Word
from gateway.resolver.codes.isli import LONGEST_LINK
from gateway.resolver.records import Line, told

SERVICE_KIND = "application/vnd.headgate.registry.service+json"
BLOCK_KIND = "application/vnd.headgate.registry.block+json"
Site = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]


class AskedService(Noun):
    """A service code of ISLI, the digits of its link codes, and the body that administers it (ISO 17316 clause 4)."""

    service: str = Field(pattern=r"^[0-9]{6}$")
    link: int = Field(ge=1, le=LONGEST_LINK)
    body: Word
    name: Line = Field(default="", max_length=400)
    time: AwareDatetime = Field(strict=False)


class AskedBlock(Noun):
    """Codes that begin with ``part``: from now on only the box ``box`` gives them out, also while its line is down."""

    part: str = Field(pattern=r"^isli:[0-9]{6}-[0-9]{1,63}$")
    body: Word
    box: Site
    time: AwareDatetime = Field(strict=False)


Asked = TypeVar("Asked", AskedService, AskedBlock)
_KINDS: dict[type[Noun], str] = {AskedService: SERVICE_KIND, AskedBlock: BLOCK_KIND}


def seal(asked: AskedService | AskedBlock, key: PrivateKey) -> bytes:
    """Return the envelope of what is asked."""
    payload = json.dumps(asked.model_dump(mode="json"), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return envelope.seal(payload.encode(), _KINDS[type(asked)], key)


def unseal(model: type[Asked], data: bytes, keys: Iterable[PublicKey]) -> Asked:
    """Return what is asked, once one of ``keys`` signed it.

    Raises:
        Corrupt: this is no such envelope.
        Refused: none of ``keys`` signed it (``not-signed``).
    """
    return _parse(model, envelope.open_sealed(data, _KINDS[model], keys)[0])


def claimed(model: type[Asked], data: bytes) -> Asked:
    """Return what is asked, whose signature is still to be checked.

    Raises:
        Corrupt: this is no such envelope.
    """
    return _parse(model, envelope.claimed(data, _KINDS[model]))


def _parse(model: type[Asked], payload: bytes) -> Asked:
    try:
        return model.model_validate_json(payload)
    except ValidationError as error:
        raise Corrupt(f"what is asked of the registry is wrong: {told(error)}") from error
