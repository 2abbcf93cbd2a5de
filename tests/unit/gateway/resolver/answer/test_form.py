"""Who asks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.resolver.answer.form import NAMED, Form, wanted

CHROMIUM = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "name", "form"),
    [
        ("*/*", None, "player"),
        ("", None, "player"),
        ("application/vnd.apple.mpegurl", None, "player"),
        ("application/json", None, "json"),
        ("application/linkset+json", None, "linkset"),
        ("application/ld+json, application/json;q=0.9", None, "ld"),
        ("application/json;q=0.5, */*", None, "player"),
        ("text/html;q=0.2, application/json;q=0.9", None, "json"),
        ("application/json; q=x", None, "player"),
        (CHROMIUM, None, "html"),
        (CHROMIUM, "json", "json"),
        ("application/json", "html", "html"),
        ("application/json", "player", "player"),
    ],
)
def test_who_asks(accept: str, name: str | None, form: Form) -> None:
    """``?format=`` decides, else the best of ``Accept``; what is neither a program nor a browser is a player."""
    assert wanted(accept, name) == form


@given(st.text(max_size=200))
def test_any_accept_header_is_somebody(accept: str) -> None:
    """Any Accept header is a player, a program or a browser."""
    assert wanted(accept, None) in NAMED.values()
