"""The links that were accepted or registered, as JSON-LD (GB/T 38378 wants RDF), written piece by piece."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from gateway.linking.book import Kept
from gateway.linking.registering import by_source
from gateway.resolver.codes import parse
from gateway.resolver.vocabulary import KINDS
from gateway.resolver.walk_formats import CONTEXT


def address_of(code: str, base: str) -> str:
    """Return the URI of a code: the one that its scheme has in the open web, else the resolver's below ``base``."""
    known = parse(code)
    return known.uri or f"{base.rstrip('/')}/id/{known.quoted}"


def json_ld(links: Iterable[Kept], base: str) -> Iterator[str]:
    """Yield a JSON-LD 1.1 document in pieces: the vocabulary's terms, then a node a source."""

    def address(code: str) -> str:
        return address_of(code, base)

    context = {"@version": 1.1, "subPropertyOf": _SUB, **CONTEXT}
    yield f'{{"@context": {json.dumps(context, ensure_ascii=False)},\n "@graph": ['
    terms = (
        {"@id": kind.uri, "subPropertyOf": kind.also, "title": [_in(kind.zh, "zh"), _in(kind.en, "en")]}
        for kind in KINDS.values()
        if kind.also
    )
    for number, node in enumerate([*terms, *_nodes(links, address)]):
        yield (",\n  " if number else "\n  ") + json.dumps(node, ensure_ascii=False)
    yield "\n ]}\n"


def _nodes(links: Iterable[Kept], address: Callable[[str], str]) -> Iterator[dict[str, Any]]:
    for source in by_source(links):
        node: dict[str, Any] = {"@id": address(source.code), "code": source.code, "title": source.title}
        for one in source.links:
            node.setdefault(one.proposal.type, []).append(address(one.proposal.target))
        yield node


def _in(text: str, language: str) -> dict[str, str]:
    return {"@value": text, "@language": language}


_SUB = {"@id": "http://www.w3.org/2000/01/rdf-schema#subPropertyOf", "@type": "@id"}
