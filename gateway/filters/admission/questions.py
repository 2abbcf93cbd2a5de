"""What a question to the first filter is made of, and the answer that asks for metadata first."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from gateway.release.manifest import NEWEST
from gateway.release.trust.layout import Needed

Text = Annotated[str, StringConstraints(min_length=1, max_length=512)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, le=NEWEST)]


class Ask(BaseModel):
    """A question."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


def needed(file: Needed) -> dict[str, Any]:
    """Return the answer that a file of trust metadata is to be shown first."""
    return {"needed": {"file": file.file, "largest": file.largest}}
