"""A linkset (RFC 9264) of one code: where it is, what describes it, what it is linked to. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from gateway.resolver.answer.as_json import address, visible
from gateway.resolver.answer.outcome import Document
from gateway.resolver.codes import Code
from gateway.resolver.walk_formats import LINKSET, About
from gateway.resolver.walk_formats import as_linkset as links_of
from gateway.resolver.walks import Edge

GS1_DEFAULT = (
    "https://ref.gs1.org/voc/defaultLink"  # what a GS1 Digital Link resolver goes to when nothing else is asked
)


def as_linkset(code: Code, found: Document, hidden: Collection[str], about: About) -> dict[str, Any]:
    """Return the links of ``code``, those that every resource has and those of the vocabulary (relation types are URIs)."""
    known, here = found.known, address(code.canonical)
    edges = [Edge(code.canonical, link["type"], link["target"]) for link in visible(known.links, hidden)]
    context: dict[str, Any] = {"anchor": here}
    if items := [{"href": place.url, "title": known.title} for place in found.places if place.url]:
        context["item"] = items
        if code.scheme in ("gs1", "gtin"):
            context[GS1_DEFAULT] = items[:1]
    context["describedby"] = [
        {"href": f"{here}?format=json", "type": "application/json"},
        {"href": f"{here}?format=html", "type": "text/html"},
    ]
    context["linkset"] = [{"href": f"{here}?format=linkset", "type": LINKSET}]
    if uri := code.uri:
        context["cite-as"] = [{"href": uri}]
    if known.successor:
        context["successor-version"] = [{"href": address(known.successor)}]
    for one in links_of(edges, address, about)["linkset"]:
        context.update({relation: targets for relation, targets in one.items() if relation != "anchor"})
    return {"linkset": [context]}
