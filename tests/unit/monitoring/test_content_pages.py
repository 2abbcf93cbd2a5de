"""The pages about releases, bodies, orders and quarantine."""

from __future__ import annotations

from html import escape
from typing import Any

import pytest

from monitoring import content_pages
from monitoring.words import WORDS

EVIL = "<script>alert(1)</script>"
STAMP = "2026-12-31T08:00:00Z"
RELEASE: dict[str, Any] = {
    "release": "999999-1",
    "title": "刘三姐",
    "body": "library",
    "labels": ["drama"],
    "zones": ["bigscreen"],
    "version": 2,
    "published": 3,
    "digest": "ab" * 32,
    "files": 2,
    "bytes": 2048,
    "time": "2026-11-28T08:00:00.000000Z",
    "state": "withdrawn",
    "reason": "",
    "order": 7,
    "refusals": [],
    "boxes": {"admitted": 4, "stored": 0, "part": 0, "refused": 0},
    "usage": {"requests": 3, "bytes": 4096},
}
ORDER: dict[str, Any] = {
    "serial": 7,
    "act": "withdraw",
    "what": {"body": "library"},
    "reason": EVIL,
    "by": "regulator",
    "time": "2026-11-28T08:00:00Z",
    "received": "2026-11-28T08:00:00Z",
    "until": None,
}
PROOF: dict[str, Any] = {
    "box": "edge",
    "seconds": 0.42,
    "verified": "yes",
    "objects": 214,
    "bytes": 2048,
    "stopped": 2,
    "kept": 1,
    "unconfirmed": ["delivery-bigscreen"],
}
COUNTS = {"all": 1, "published": 1, "admitted": 0, "stored": 0, "withdrawn": 1, "refused": 0}
PAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "releases": (
        "/releases",
        {
            "releases": [RELEASE | {"title": EVIL}],
            "counts": COUNTS,
            "page": 2,
            "pages": 3,
            "query": EVIL,
            "state": "withdrawn",
            "body": "library",
            "label": EVIL,
            "fleet": 5,
        },
    ),
    "release": (
        "/releases/999999-1",
        RELEASE
        | {
            "where": [
                {
                    "box": EVIL,
                    "state": "ordered",
                    "version": 1,
                    "time": "",
                    "reason": "not-signed",
                    "told": EVIL,
                    "held": {"objects": 3, "of": 7, "bytes": 4096, "of_bytes": 8192},
                    "requests": 0,
                    "bytes": 0,
                }
            ],
            "orders": [ORDER],
        },
    ),
    "body": (
        "/bodies/library",
        {
            "body": "library",
            "order": 7,
            "counts": COUNTS,
            "usage": {"requests": 3, "bytes": 4096},
            "boxes": [{"box": EVIL, "requests": 3, "bytes": 4096}],
            "releases": [RELEASE],
            "days": [{"day": "2026-11-29", "requests": 3, "bytes": 4096}],
            "screens": [{"screen": screen, "requests": 1, "bytes": 0} for screen in ("big", "small", "", EVIL)],
        },
    ),
    "quarantine": (
        "/quarantine",
        {
            "quarantined": [
                {
                    "number": 1,
                    "box": "edge",
                    "name": EVIL,
                    "time": "",
                    "release": "999999-1",
                    "path": EVIL,
                    "reason": "active-content",
                    "told": EVIL,
                }
            ],
            "next": 1,
        },
    ),
    "orders": ("/orders", {"orders": [ORDER | {"proved": 2, "slowest": 0.5}], "next": None, "boxes": 3}),
    "order": (
        "/orders/7",
        ORDER
        | {
            "proofs": [PROOF, PROOF | {"verified": "wrong"}],
            "missing": [{"box": "headend", "fault": "order-gap"}],
            "away": ["library-dc"],
        },
    ),
}
EXPECTED = {
    "releases": ["/releases?state=withdrawn", "999999-1", "#7", "page=3", "<i>/4/5</i>", "body=library", "label=drama"],
    "release": ["ab" * 32, "not-signed", "headgate release reinstate 999999-1", "#7"],
    "body": ["#7", "4.0 KiB", "/releases/999999-1"],
    "quarantine": ["active-content", "before=1"],
    "orders": ["#7", "0.50 s", "/bodies/library"],
    "order": ["0.42", "214", "delivery-bigscreen", "order-gap", "library-dc", "/api/orders/7/proofs/edge"],
}


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_shows_what_there_is(name: str, lang: Any) -> None:
    """What matters is on each page, in each language, and what boxes, bodies and visitors say is text."""
    path, told = PAGES[name]
    for live in (False, True):
        html = content_pages.render(name, told, lang, path=path, query={"q": EVIL, "part": "live"}, live=live)
        for word in EXPECTED[name]:
            assert word in html
        assert "<script>alert" not in html
        assert ("<html" in html) is not live
    for other in ("place_overview", "place_quarantine"):
        assert WORDS[other][0 if lang == "zh" else 1] in content_pages.render(name, told, lang, path=path, query={})


@pytest.mark.parametrize("name", ["releases", "quarantine", "orders"])
def test_an_empty_page_says_so(name: str) -> None:
    """Without anything to show a page says what would appear there."""
    empty: dict[str, Any] = {
        "releases": [],
        "counts": dict.fromkeys(COUNTS, 0),
        "page": 1,
        "pages": 0,
        "query": "",
        "state": "",
        "body": "",
        "label": "",
        "fleet": 0,
        "orders": [],
        "quarantined": [],
        "next": None,
        "boxes": 0,
    }
    html = content_pages.render(name, empty, "en", path=f"/{name}", query={})
    assert WORDS[f"no_{name}"][1] in html


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_a_release_that_some_boxes_have_and_some_refuse_shows_both(lang: Any) -> None:
    """The badge says where it is, and beside it stands who refuses it and why; a box that holds a part says how much."""
    told = RELEASE | {
        "state": "stored",
        "order": None,
        "refusals": [{"box": EVIL, "reason": "not-listed"}],
        "boxes": {"admitted": 4, "stored": 2, "part": 1, "refused": 3},
        "where": [dict(PAGES["release"][1]["where"][0]) | {"state": "part"}],
        "orders": [],
    }
    html = content_pages.render("release", told, lang, path="/releases/999999-1", query={})
    number = 0 if lang == "zh" else 1
    for word in (
        WORDS["state_stored"][number],
        WORDS["refused_by"][number],
        "not-listed",
        "+2",
        WORDS["state_part"][number],
    ):
        assert word in html
    assert f"3 {WORDS['objects_of'][number]} 7" in html
    assert "<script>alert" not in html


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize(
    "what",
    [
        {"token": f"portal:{EVIL}"},
        {"subject": f"portal:{EVIL}"},
        {"issuer": "portal"},
        {"signer": "ed25519:AAAA"},
        {"tag": EVIL},
        {"url": f"http://epg/{EVIL}"},
        {"prefix": "http://epg/"},
    ],
)
def test_an_order_about_something_else_than_releases_is_shown(what: Any, lang: Any) -> None:
    """A withdrawal of tokens says what was withdrawn, until when, and what was broken off; a purge what was forgotten."""
    ((kind, name),) = what.items()
    purge = kind in ("tag", "url", "prefix")
    given = ORDER | {"act": "purge" if purge else "withdraw", "what": what, "until": None if purge else STAMP}
    number = 0 if lang == "zh" else 1
    one = content_pages.render("order", PAGES["order"][1] | given, lang, path="/orders/7", query={})
    rows = [given | {"proved": 2, "slowest": 0.5}]
    listed = content_pages.render("orders", {"orders": rows, "next": None, "boxes": 3}, lang, path="/orders", query={})
    for html in (one, listed):
        assert WORDS["act_purge" if purge else "act_revoke"][number] in html
        assert f"{WORDS[f'kind_{kind}'][number]} <code>{escape(name)}</code>" in html
        assert "<script>alert" not in html
    assert ("2026-12-31" in one) is not purge
    assert (WORDS["objects_removed"][number] in one) is False
