"""What caches may do with an answer."""

import pytest

from gateway.resolver.answer.caching import FRESH, cache_control, etag, matches


@pytest.mark.parametrize(
    ("status", "ttl", "told"),
    [
        (302, 86400, f"public, max-age={FRESH}, stale-if-error=86400"),
        (200, 2, "public, max-age=2, stale-if-error=2"),
        (404, 0, f"public, max-age={FRESH}"),
        (410, 0, f"public, max-age={FRESH}"),
        (503, 0, "no-store"),
    ],
)
def test_an_answer_is_fresh_for_seconds(status: int, ttl: int, told: str) -> None:
    """A withdrawal reaches every screen within seconds, whatever is cached between; while nobody answers, the record's ttl holds."""
    assert cache_control(status, ttl) == told


def test_a_validator_changes_with_the_record_and_with_what_is_made_of_it() -> None:
    """The same record in the same form has the same tag; each other thing has another."""
    tags = [etag(b"a", "json"), etag(b"b", "json"), etag(b"a", "html"), etag(b"a", "json", 1)]
    assert tags[0] == etag(b"a", "json")
    assert len(set(tags)) == 4


@pytest.mark.parametrize(
    ("sent", "same"),
    [('W/"x"', True), ('"x"', True), ('"y", W/"x"', True), ("*", True), ('"y"', False), ("x", False), ("", False)],
)
def test_the_asker_may_have_it_already(sent: str, same: bool) -> None:
    """Tags are compared weakly, as RFC 9110 wants it for If-None-Match."""
    assert matches(sent, 'W/"x"') is same
