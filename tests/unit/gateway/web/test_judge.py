"""What crosses of a plain HTTP message, and which answers pass a lane that is not active."""

from __future__ import annotations

import pytest

from gateway.filters.admission.decide import Refuse
from gateway.isolation.content import WebOrigin
from gateway.isolation.policy import Lane
from gateway.web import fields, judge
from gateway.web.judge import Passing


def origin(**told: object) -> WebOrigin:
    """Return an origin of the policy."""
    return WebOrigin.model_validate({"hosts": ("a.test",), "address": "10.10.0.20", **told})


def passing(*, active: bool = False, largest: int = 100) -> Passing:
    """Return a request that passes."""
    lane = Lane.model_validate(
        {"from": "culture", "to": "bigscreen", "kind": "web", "largest": largest, "active": active}
    )
    return Passing("portal", origin(), lane)


@pytest.mark.parametrize(
    "name", [*sorted(fields.HOP | fields.OF_THE_WAY | fields.CREDENTIALS), "X-Forwarded-Host", "Headgate-Origin"]
)
def test_never_told(name: str) -> None:
    """Even where every field may cross, these do not."""
    assert fields.of_request(origin(fields=("*",)), [(name, "1")]) == [fields.VIA]


def test_named_by_connection() -> None:
    """What Connection names does not cross, in either direction, however it is written."""
    told = [("connection", "close, X-A"), ("Connection", "x-b"), ("x-a", "1"), ("X-B", "2"), ("X-C", "3")]

    assert fields.of_request(origin(fields=("*",)), told) == [("X-C", "3"), fields.VIA]
    assert fields.of_answer(origin(), told, sniffed=True) == [("X-C", "3")]


@pytest.mark.parametrize(
    "type_",
    [
        "text/html",
        "text/html; charset=utf-8",
        "TEXT/JavaScript",
        "image/svg+xml",
        "text/xml",
        "application/pdf",
        "text/css",
        "",
        "x",
    ],
)
def test_active_is_refused(type_: str) -> None:
    """What may run in a browser, or is of a type that nobody knows, passes an active lane alone."""
    headers = [("Content-Type", type_)] if type_ else []
    refusal = judge.answer(passing(), 200, headers, bodied=True)

    assert isinstance(refusal, Refuse)
    assert refusal.reason == "active-content"
    assert judge.answer(passing(active=True), 200, headers, bodied=True) is None
    assert judge.answer(passing(), 304, headers, bodied=False) is None


@pytest.mark.parametrize(
    "type_", ["application/json", "application/hal+json", "image/png", "text/plain;charset=utf-8", "Video/MP4"]
)
def test_passive_passes(type_: str) -> None:
    """What nothing runs passes; two types at once are none."""
    assert judge.answer(passing(), 200, [("content-type", type_)], bodied=True) is None
    assert (
        judge.answer(passing(), 200, [("content-type", type_), ("Content-Type", "text/html")], bodied=True) is not None
    )


def test_too_large() -> None:
    """An answer that says it is longer than lane or origin let pass is refused before its body."""
    headers = [("Content-Type", "image/png"), ("Content-Length", "101")]
    refusal = judge.answer(passing(), 200, headers, bodied=True)

    assert isinstance(refusal, Refuse)
    assert refusal.reason == "too-large"
    assert judge.answer(passing(largest=101), 200, headers, bodied=True) is None
