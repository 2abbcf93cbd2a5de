"""The document at /openapi.json."""

import json
import re
from typing import Any

from aiohttp import web

from gateway.resolver.codes import LONGEST
from gateway.resolver.serving.application import application
from gateway.resolver.serving.openapi import DOCUMENT
from gateway.resolver.vocabulary import KINDS


def test_every_route_is_in_the_document_and_nothing_else(monkeypatch: Any) -> None:
    """Who writes a player's program finds each address that the resolver answers."""
    app: web.Application = application(None)  # type: ignore[arg-type] (nobody asks it)
    served = {
        (route.method.lower(), re.sub(r":[^}]*\}", "}", route.resource.canonical if route.resource else ""))
        for route in app.router.routes()
        if route.method not in ("HEAD", "OPTIONS")
    }
    paths = json.loads(DOCUMENT)["paths"]
    assert served - {("get", "/openapi.json")} == {
        (method, path) for path, methods in paths.items() for method in methods
    }


def test_every_answer_is_described() -> None:
    """Each operation has a summary, and each of its answers says when it is given."""
    for methods in json.loads(DOCUMENT)["paths"].values():
        for operation in methods.values():
            assert operation["summary"]
            assert all(answer["description"] for answer in operation["responses"].values())


def test_a_walk_may_go_on_behind_any_link() -> None:
    """What says where to go on is the link's type and its source."""
    parameters = json.loads(DOCUMENT)["paths"]["/id/{code}/links"]["get"]["parameters"]
    (after,) = (one["schema"] for one in parameters if one["name"] == "after")
    assert after["maxLength"] >= max(map(len, KINDS)) + 1 + LONGEST
