"""What delivery has nginx say of each transfer, so that delivery can count it: text that nginx carries and does not read."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

LONGEST = 8192  # characters
LEAST = 4  # values: the first ones of ``Carried``
MOST_SPANS = 64  # stretches of content of one answer


class Carried(NamedTuple):
    """What a transfer carries: as ``metering.delivery.What`` has it, without what nginx says itself."""

    release: str  # code
    path: str
    body: str
    cache: str  # ``hit`` or ``miss``
    # Where in the answer's body content is, first byte and count; none: all of it.
    spans: tuple[tuple[int, int], ...] = ()
    # What nginx says beside the text:
    subject: str = ""  # pseudonym of a token's subject
    marks: str = ""  # of the permit (``permission.withdrawn.marks``)

    def content(self, sent: int) -> int:
        """Return how many bytes of content are in the first ``sent`` bytes of the answer's body."""
        if not self.spans:
            return sent
        return sum(max(0, min(count, sent - first)) for first, count in self.spans)


def told(carried: Carried) -> str:
    """Return the text, URL-safe, for nginx's header and log; subject and marks are not in it."""
    values = [*carried[:LEAST], *([carried.spans] if carried.spans else [])]
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@lru_cache(maxsize=16_384)
def read(text: str) -> Carried:
    """Return what ``told`` made the text of.

    Raises:
        ValueError: it made no such text.
    """
    if len(text) > LONGEST:
        raise ValueError("too long to be ours")
    values = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    if not isinstance(values, list) or not LEAST <= len(values) <= LEAST + 1:
        raise ValueError("none of ours")
    release, path, body, cache = values[:LEAST]
    spans = values[LEAST:]
    if not all(isinstance(one, str) for one in values[:LEAST]) or not all(map(_are_spans, spans)):
        raise ValueError("none of ours")
    return Carried(release, path, body, cache, tuple((first, count) for one in spans for first, count in one))


@lru_cache(maxsize=16_384)
def of(text: str, subject: str, marks: str) -> Carried:
    """Return what ``told`` made the text of, with what nginx says beside it.

    Raises:
        ValueError: it made no such text.
    """
    return read(text)._replace(subject=subject, marks=marks)


def _are_spans(spans: object) -> bool:
    return (
        isinstance(spans, Sequence)
        and len(spans) <= MOST_SPANS
        and all(isinstance(span, list) and [type(one) for one in span] == [int, int] for span in spans)
    )
