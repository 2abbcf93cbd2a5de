"""The pages about releases, bodies, orders and quarantine: JSON values as the API tells them -> HTML, in Chinese and English."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

from appliance.runtime.languages import Language
from monitoring import pages
from monitoring.words import word

PARTS: Mapping[str, tuple[str, str]] = {  # page -> its template, and the place in the navigation
    "releases": ("releases_list.html", "/releases"),
    "release": ("release_one.html", "/releases"),
    "body": ("body_one.html", "/releases"),
    "quarantine": ("quarantine_list.html", "/quarantine"),
    "orders": ("orders_list.html", "/orders"),
    "order": ("order_one.html", "/orders"),
}


def render(
    page: str, told: Mapping[str, Any], lang: Language, *, path: str, query: Mapping[str, str], live: bool = False
) -> str:
    """Return the ``page`` that shows ``told``, or only the part of it that changes (``live``); ``path`` and ``query`` are where it is."""
    part, place = PARTS[page]
    kept = {name: value for name, value in query.items() if name not in ("lang", "part") and value}
    names = {
        "release": told.get("title") or told.get("release"),
        "body": told.get("body"),
        "order": f"#{told.get('serial')}",
    }
    return pages.render(
        part if live else "content.html",
        lang,
        told=told,
        part=part,
        place=place,
        heading=names.get(page) or word(f"place_{page}", lang),
        api=f"/api{quote(path)}",
        link=partial(link, lang),
        here=lambda other: f"?{urlencode({**kept, 'lang': other})}",
    )


def link(lang: Language, path: str, **query: object) -> str:
    """Return the address of a page in the same language."""
    return f"{quote(path)}?{urlencode({name: value for name, value in {**query, 'lang': lang}.items() if value})}"
