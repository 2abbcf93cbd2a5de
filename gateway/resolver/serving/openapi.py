"""The OpenAPI document of a resolver, made of the limits and names that the code itself uses."""

from __future__ import annotations

import json
from typing import Any

from gateway.resolver.answer.as_batch import LARGEST, MOST
from gateway.resolver.answer.as_handle import MOST_ASKED
from gateway.resolver.answer.form import NAMED
from gateway.resolver.serving.batch import LINES
from gateway.resolver.serving.identifier import SCREENS
from gateway.resolver.serving.links import LONGEST_AFTER
from gateway.resolver.vocabulary import KINDS
from gateway.resolver.walk_formats import JSON_LD, LINKSET
from gateway.resolver.walks import BROADEST, DEEPEST

TEXT = {"type": "string"}
CODE = {
    "name": "code",
    "in": "path",
    "required": True,
    "description": "An identifier in any spelling; a slash in it is written %2F. Example: isli:999999-100000000000001-4",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200},
    "example": "isli:999999-100000000000001-4",
}


def _query(name: str, schema: dict[str, Any], told: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": told, "schema": schema}


def _object(required: tuple[str, ...], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": properties}


def _json(schema: dict[str, Any], told: str, *kinds: str, headers: tuple[str, ...] = ()) -> dict[str, Any]:
    content = {kind: {"schema": schema} for kind in ("application/json", *kinds)}
    return {"description": told, "content": content, "headers": {name: {"schema": TEXT} for name in headers}}


LINK = _object(("type", "target"), type=TEXT, target=TEXT)
FAILURE = _object(
    ("reason", "error"),
    reason=TEXT,
    error=TEXT,
    likely={"type": "array", "items": TEXT},
    schemes={"type": "array", "items": TEXT},
)
RECORD = _object(
    (
        "code",
        "scheme",
        "display",
        "status",
        "title",
        "body",
        "playable",
        "locations",
        "links",
        "metadata",
        "ttl",
        "table",
    ),
    code=TEXT,
    scheme=TEXT,
    display=TEXT,
    status={"enum": ["registered", "superseded"]},
    title=TEXT,
    body=TEXT,
    playable={"type": ["string", "null"]},
    locations={"type": "array", "items": {"type": "object"}},
    links={"type": "array", "items": LINK},
    metadata={"type": "object", "additionalProperties": TEXT},
    ttl={"type": "integer", "minimum": 1},
    uri=TEXT,
    record=TEXT,
    superseded_by=TEXT,
    rights={"type": "object"},
    table=_object(
        ("registry", "serial", "made", "stale"),
        registry=TEXT,
        serial={"type": "integer"},
        made=TEXT,
        stale={"type": "boolean"},
    ),
)
LINKED = _object(("linkset",), linkset={"type": "array", "items": {"type": "object"}})
GRAPH = _object(("start", "whole", "nodes", "edges"), start=TEXT, whole={"type": "boolean"})
HANDLE = _object(
    ("responseCode", "handle"),
    responseCode={"enum": [1, 2, 100, 102, 200, 400]},
    handle=TEXT,
    message=TEXT,
    values={
        "type": "array",
        "items": _object(("index", "type", "data", "ttl", "timestamp"), index={"type": "integer"}),
    },
)
PAGE = {"text/html": {"schema": TEXT}}
PLAIN = {"text/plain": {"schema": TEXT}}  # what is no HTTP request that can be read, such as a line beyond 8190 bytes


def _failures(*statuses: str, page: bool = True) -> dict[str, Any]:
    told = {
        "400": "The code or the question is wrong; 'likely' holds what may have been meant",
        "403": "The code may not be seen in this zone, and the policy says so",
        "404": "The code is not registered, or may not be seen in this zone",
        "410": "The code was withdrawn; the sentence says why",
        "502": "The record in the table is damaged",
        "503": "The box has no table yet, or is busy",
        "504": "The code is outside what this box holds, and the registry cannot be asked now",
    }
    found = {}
    for status in statuses:
        found[status] = _json(FAILURE, told[status])
        if page:
            found[status]["content"] |= PAGE
        if status == "400":
            found[status]["content"] |= PLAIN
    return found


def document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    caching = ("ETag", "Link", "Cache-Control", "Vary", "Headgate-Table")
    found = _json(RECORD, "What is known of the code", headers=caching)
    found["content"] |= {LINKSET: {"schema": LINKED}, JSON_LD: {"schema": {"type": "object"}}} | PAGE
    walked = _json(GRAPH, "What is reached", headers=("ETag", "Cache-Control"))
    walked["content"] |= {LINKSET: {"schema": LINKED}, JSON_LD: {"schema": {"type": "object"}}}
    identifier = {
        "operationId": "identifier",
        "summary": "Resolve a code: redirect for a player, JSON, linkset or JSON-LD for a program, a page for a person",
        "parameters": [
            CODE,
            _query("format", {"enum": list(NAMED)}, "Goes before the Accept header"),
            _query("screen", {"enum": list(SCREENS)}, "For which screen; without it, that of the zone"),
        ],
        "responses": {
            "200": found,
            "301": {"description": "Another code took its place (for a player)"},
            "302": {"description": "The nearest copy that this zone's screens play (for a player)"},
            "304": {"description": "The asker has it already"},
            **_failures("400", "403", "404", "410", "502", "503", "504"),
        },
    }
    links = {
        "operationId": "links",
        "summary": "Walk over the links of a code",
        "parameters": [
            CODE,
            _query(
                "direction",
                {"enum": ["forward", "backward", "both"]},
                "forward: what it links to; backward: what links to it",
            ),
            _query("type", {"type": "array", "items": {"enum": list(KINDS)}}, "Only these types of GB/T 38378"),
            _query(
                "after",
                {"type": "string", "maxLength": LONGEST_AFTER},
                "Page by page, with direction=backward: empty, then by Link: rel=next",
            ),
            _query("depth", {"type": "integer", "minimum": 1, "maximum": DEEPEST}, "Links from the start"),
            _query(
                "breadth", {"type": "integer", "minimum": 1, "maximum": BROADEST}, "Links of one code that are followed"
            ),
            _query("format", {"enum": list(NAMED)}, "Goes before the Accept header"),
        ],
        "responses": {
            "200": walked,
            "304": {"description": "The asker has it already"},
            **_failures("400", "403", "404", "410", "502", "503", "504", page=False),
        },
    }
    handle = {
        "operationId": "handle",
        "summary": "Resolve a Handle, or another code with its scheme as the prefix (isli/999999-100000000000001-4)",
        "parameters": [
            {
                "name": "prefix",
                "in": "path",
                "required": True,
                "schema": {"type": "string", "minLength": 1, "maxLength": 60},
            },
            {
                "name": "suffix",
                "in": "path",
                "required": True,
                "schema": {"type": "string", "minLength": 1, "maxLength": 200},
            },
            _query(
                "type",
                {"type": "array", "items": TEXT, "maxItems": MOST_ASKED // 2},
                "Values of this type; ends with a dot: and its subtypes",
            ),
            _query(
                "index",
                {
                    "type": "array",
                    "items": {"type": "integer", "minimum": 0, "maximum": 999999999},
                    "maxItems": MOST_ASKED // 2,
                },
                "Values at this index",
            ),
        ],
        "responses": {
            "200": _json(HANDLE, "1: values; 200: the handle has no such value"),
            "400": _json(HANDLE, "102: no handle"),
            "403": _json(HANDLE, "400: may not be seen in this zone"),
            "404": _json(HANDLE, "100: not registered"),
            "410": _json(HANDLE, "100: withdrawn; the message says why"),
            "500": _json(HANDLE, "2: no table, a damaged record, or nobody to ask"),
        },
    }
    batch = {
        "operationId": "batch",
        "summary": f"Resolve up to {MOST} codes; one JSON object a line, in their order",
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "oneOf": [
                            {"type": "array", "items": TEXT, "maxItems": MOST},
                            _object(("codes",), codes={"type": "array", "items": TEXT, "maxItems": MOST}),
                        ]
                    }
                },
                "text/plain": {"schema": {"type": "string", "maxLength": LARGEST // 4}},
            },
        },
        "responses": {
            "200": {"description": "The answers", "content": {LINES: {"schema": TEXT}}},
            "400": _json(FAILURE, "No batch"),
            "413": _json(FAILURE, f"More than {LARGEST} bytes"),
            "415": _json(FAILURE, "Neither JSON nor lines"),
            "503": _json(FAILURE, "Too many batches are under way"),
        },
    }
    health = {
        "operationId": "health",
        "summary": "Whether identifiers can be resolved here, and how old the table is",
        "responses": {
            "200": _json({"type": "object"}, "They can"),
            "503": _json({"type": "object"}, "There is no table yet"),
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Headgate resolver",
            "version": "1",
            "description": "Identifiers resolved at the box, in each zone. 标识解析：每个区域由本机的标识表直接应答。",
        },
        "paths": {
            "/": {"get": health},
            "/id/{code}": {"get": identifier},
            "/id/{code}/links": {"get": links},
            "/api/handles/{prefix}/{suffix}": {"get": handle},
            "/batch": {"post": batch},
        },
    }


DOCUMENT = json.dumps(document(), ensure_ascii=False, indent=1).encode()
