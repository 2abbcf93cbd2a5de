"""The controller's page: overview -> HTML, in Chinese and English."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from functools import partial
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined

from appliance.runtime.languages import Language
from monitoring.overview import Overview, total
from monitoring.words import word

_SCRIPT = resources.files("monitoring").joinpath("templates/live.js").read_text().strip()
_STYLE = resources.files("monitoring").joinpath("templates/page.css").read_text().strip()


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; script-src {_source(_SCRIPT)}; style-src {_source(_STYLE)}; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Cache-Control": "no-store",
    "Vary": "Accept-Language",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
}

_templates = Environment(
    loader=PackageLoader("monitoring"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


def page(seen: Overview, lang: Language) -> str:
    """Return the whole page."""
    return _render("page.html", seen, lang)


def live(seen: Overview, lang: Language) -> str:
    """Return the part that changes."""
    return _render("live.html", seen, lang)


def size(number: float) -> str:
    """Return a number of bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" or number >= 100 else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"


def ago(then: float, now: float, lang: Language) -> str:
    """Return how long ago ``then`` was (seconds since 1970)."""
    passed = max(0.0, now - then)
    if passed < 5:
        return word("now", lang)
    for limit, unit, key in (
        (90, 1, "seconds"),
        (5400, 60, "minutes"),
        (172_800, 3600, "hours"),
        (1e12, 86_400, "days"),
    ):
        if passed < limit:
            return f"{passed / unit:.0f}{' ' if lang == 'zh' else ''}{word(f'{key}_ago', lang)}"
    return ""


def lasting(seconds: float, lang: Language) -> str:
    """Return how long something lasts."""
    for limit, unit, key in (
        (90, 1, "seconds"),
        (7200, 60, "minutes"),
        (172_800, 3600, "hours"),
        (1e12, 86_400, "days"),
    ):
        if seconds < limit:
            return f"{seconds / unit:.0f}{' ' if lang == 'zh' else ''}{word(key, lang)}"
    return ""


def clock(then: float | str) -> str:
    """Return a time (seconds since 1970, or RFC 3339) as date and time of day, UTC."""
    if isinstance(then, str):
        return then[:19].replace("T", " ")
    try:
        return datetime.fromtimestamp(then, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return ""


def render(template: str, lang: Language, *, events: str = "/events", **values: object) -> str:
    """Return ``template`` with what every page has, and ``values``; ``events`` is the address that tells it of changes."""
    return _templates.get_template(template).render(
        lang=lang,
        w=lambda key, *blanks: word(key, lang, *blanks),
        clock=clock,
        size=size,
        style=_STYLE,
        script=_SCRIPT,
        events=events,
        **values,
    )


def _render(name: str, seen: Overview, lang: Language) -> str:
    views = seen.boxes
    return render(
        name,
        lang,
        seen=seen,
        place="/",
        here="?lang={}".format,
        ago=partial(ago, now=seen.now, lang=lang),
        lasting=partial(lasting, lang=lang),
        used=total(view.used for view in views),
        online=sum(view.box.online for view in views),
        equal=sum(view.standing.agreement == "equal" for view in views),
        differs=sum(view.standing.agreement == "differs" for view in views),
        stored=sum(sum(view.records.values()) for view in views),
        waiting=sum(view.box.number("spool/records") for view in views),
    )
