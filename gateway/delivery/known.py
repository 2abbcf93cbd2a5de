"""What an answer was given by that may be given again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from gateway.serving.exchange import Manifest


class What(NamedTuple):
    """The fields of ``Known``, for those that have more."""

    code: str
    path: str
    manifest: Manifest
    uri: str
    until: float


@dataclass(slots=True)
class Known:
    """An object that was served, and what decided it."""

    code: str
    path: str
    manifest: Manifest
    uri: str  # the path as the door judges it
    until: float  # seconds; then it is looked for in the store again
