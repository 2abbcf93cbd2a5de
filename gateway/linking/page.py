"""The curators' page: values -> HTML, in Chinese and English; nothing is loaded from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from functools import partial
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined

from appliance.runtime.languages import Language
from gateway.linking import reasons
from gateway.linking.proposals import Why
from gateway.linking.words import word
from gateway.resolver.vocabulary import KINDS, kind_of

_SCRIPT = resources.files("gateway.linking").joinpath("templates/page.js").read_text().strip()
_STYLE = resources.files("gateway.linking").joinpath("templates/page.css").read_text().strip()


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


HEADERS = {
    "Cache-Control": "no-store",
    "Vary": "Accept-Language, Cookie",
    "Content-Security-Policy": (
        f"default-src 'none'; script-src {_source(_SCRIPT)}; style-src {_source(_STYLE)}; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}

_templates = Environment(
    loader=PackageLoader("gateway.linking"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(template: str, lang: Language, **values: object) -> str:
    """Return ``template`` filled with ``values``."""
    return _templates.get_template(template).render(
        lang=lang,
        w=partial(_word, lang),
        told=partial(_reasons, lang),
        type_of=lambda name: kind_of(name).word(lang),
        kinds=KINDS,
        kind_word=lambda kind: reasons.KINDS.get(kind, kind) if lang == "zh" else kind,
        style=_STYLE,
        script=_SCRIPT,
        **values,
    )


def _word(lang: Language, key: str, *blanks: object) -> str:
    return word(key, lang, *blanks)


def _reasons(lang: Language, why: tuple[Why, ...]) -> str:
    return reasons.told(why, lang)
