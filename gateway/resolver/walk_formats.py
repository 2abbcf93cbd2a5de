"""A walk's result as programs want it: nodes and edges, linkset (RFC 9264), JSON-LD (KLSV as GB/T 38378 wants RDF)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gateway.resolver.vocabulary import KINDS, URIS
from gateway.resolver.walks import Edge, Walk

LINKSET = "application/linkset+json"
JSON_LD = "application/ld+json"
Address = Callable[[str], str]  # canonical code -> its address or URI
About = Mapping[str, Mapping[str, Any]]  # canonical code -> what may be told of it: title, body, status

CONTEXT: dict[str, Any] = {
    "klsv": URIS,
    "title": "http://purl.org/dc/terms/title",
    "body": "http://purl.org/dc/terms/publisher",
    "code": "http://purl.org/dc/terms/identifier",
    **{name: {"@id": kind.uri, "@type": "@id"} for name, kind in KINDS.items()},
}


def as_graph(walk: Walk, about: About) -> dict[str, Any]:
    """Return nodes and edges; an edge that joins two bodies is told as ``across``."""

    def body(code: str) -> object:
        return about.get(code, {}).get("body")

    return {
        "start": walk.start,
        "whole": walk.whole,
        "nodes": [{**about.get(node.code, {}), "code": node.code, "depth": node.depth} for node in walk.nodes],
        "edges": [
            {
                "source": edge.source,
                "type": edge.type,
                "target": edge.target,
                "across": None not in (body(edge.source), body(edge.target)) and body(edge.source) != body(edge.target),
            }
            for edge in walk.edges
        ],
    }


def as_linkset(edges: Iterable[Edge], address: Address, about: About) -> dict[str, Any]:
    """Return the links as RFC 9264 has them: a context object a source, an extension relation type (a URI) a type of link."""
    contexts: dict[str, dict[str, Any]] = {}
    for edge in edges:
        context = contexts.setdefault(edge.source, {"anchor": address(edge.source)})
        target: dict[str, Any] = {"href": address(edge.target)}
        if title := about.get(edge.target, {}).get("title"):
            target["title"] = title
        context.setdefault(KINDS[edge.type].uri if edge.type in KINDS else URIS + edge.type, []).append(target)
    return {"linkset": list(contexts.values())}


def as_json_ld(edges: Iterable[Edge], codes: Iterable[str], address: Address, about: About) -> dict[str, Any]:
    """Return codes and their links as JSON-LD 1.1; the context is inside, so that nobody must fetch one."""
    nodes: dict[str, dict[str, Any]] = {}
    for code in codes:
        told = {key: about[code][key] for key in ("title", "body") if about.get(code, {}).get(key)}
        nodes[code] = {"@id": address(code), "code": code, **told}
    for edge in edges:
        node = nodes.setdefault(edge.source, {"@id": address(edge.source), "code": edge.source})
        node.setdefault(edge.type, []).append(address(edge.target))
    return {"@context": {"@version": 1.1, **CONTEXT}, "@graph": list(nodes.values())}
