"""What the typed requests of the exchange's peers are made of."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from appliance.runtime.errors import Refused
from gateway.fetch import loops

Text = Annotated[str, StringConstraints(min_length=1, max_length=512)]
Via = Annotated[list[Annotated[str, StringConstraints(pattern=rf"^{loops.SITE}$")]], Field(max_length=loops.DEEPEST)]


class Ask(BaseModel):
    """A request."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


Asked = TypeVar("Asked", bound=Ask)


def parse(model: type[Asked], data: bytes) -> Asked:
    """Return the request in ``data``.

    Raises:
        Refused: it is none of this kind (``bad-request``).
    """
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part)[:40] for part in first["loc"])
        raise Refused("bad-request", f"{where}: {first['msg']}"[:300], 400) from error
