"""YAML text -> checked value, with every fault at once and its place in the file.

``load`` (a file) and ``parse`` (a text) read the YAML into a tree that keeps line and column (``tree.py``), refuse repeated keys,
and validate it with pydantic. A model that finds semantic faults raises ``problems`` from a model validator, with paths; they
get line and column here. ``Section`` is the base of every model: frozen, and unknown keys are faults.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from appliance.runtime.errors import ConfigError, Fault
from appliance.runtime.tree import LONGEST_FILE, Key, Mapping, Node, Scalar, Sequence, compose, plain, walk

__all__ = [
    "LONGEST_FILE",
    "MOST_JUDGED",
    "Key",
    "Places",
    "Problem",
    "Section",
    "compose",
    "dotted",
    "load",
    "nearest",
    "parse",
    "problems",
    "read",
    "validate",
]

MOST_FAULTS = 200  # of one file that are told
MOST_JUDGED = 1000  # that are looked at, to tell the first ones in the order of the file


class Section(BaseModel):
    """Base of every configuration section."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _no_longer_than_allowed(cls, data: Any) -> Any:
        """Refuse lists and sections that are too long before each of their entries is looked at."""
        if isinstance(data, dict):
            long = [
                Problem((name,), f"holds {len(data[name])} entries, and {most} are the most")
                for name, most in _longest(cls)
                if isinstance(data.get(name), list | dict) and len(data[name]) > most
            ]
            if error := problems(long):
                raise error
        return data


@cache
def _longest(model: type[BaseModel]) -> tuple[tuple[str, int], ...]:
    """Return the fields of ``model`` that have a greatest length, by the names that they are written with."""
    return tuple(
        (info.alias or name, limit.max_length)
        for name, info in model.model_fields.items()
        for limit in info.metadata
        if hasattr(limit, "max_length")
    )


Model = TypeVar("Model", bound=BaseModel)


class Problem(ValueError):
    """One semantic fault at ``path`` (keys and indexes) with the words to print; ``row``: in this line, from 0, of the text there."""

    def __init__(self, path: Key, message: str, hint: str = "", row: int | None = None) -> None:
        self.path, self.message, self.hint, self.row = path, message, hint, row
        super().__init__(message)


def problems(found: Iterable[Problem]) -> PydanticCustomError | None:
    """Return the error that a model validator raises for ``found``, or None where nothing was found."""
    collected = list(found)
    if not collected:
        return None
    return PydanticCustomError("problems", "{count} faults", {"count": len(collected), "problems": collected})


def nearest(word: str, words: Iterable[str]) -> str:
    """Return ``did you mean 'x'?`` for the word of ``words`` nearest to ``word``, or an empty text."""
    close = difflib.get_close_matches(str(word), [str(w) for w in words], n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else ""


def load(path: Path, model: type[Model]) -> Model:
    """Read, parse and validate the file at ``path``.

    Raises:
        ConfigError: the file cannot be read, or is not what ``model`` asks for; holds all faults.
    """
    return parse(read(path), model, str(path))


def read(path: Path, longest: int = LONGEST_FILE) -> bytes:
    """Return what is in the file at ``path``, and one byte too many of a file that is too long.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(longest + 1)
    except OSError as error:
        raise ConfigError([Fault(str(path), 1, 1, "", f"cannot be read: {error.strerror}")]) from error


def parse(data: bytes | str, model: type[Model], file: str = "<text>") -> Model:
    """Parse and validate ``data``, of which ``file`` is the name to print.

    Raises:
        ConfigError: holds all faults.
    """
    return validate(compose(data, file), model)


def validate(root: Node, model: type[Model]) -> Model:
    """Return what the tree ``root`` says.

    Raises:
        ConfigError: it is not what ``model`` asks for; holds all faults.
    """
    repeated = [
        _fault(key, path, f"key '{key.text}' is written twice; the first would be lost")
        for path, key in _duplicates(root, ())
    ]
    try:
        value = model.model_validate(plain(root))
    except ValidationError as error:
        places = Places(root)
        found = error.errors(include_url=False)[:MOST_JUDGED]
        faults = [fault for details in found for fault in _faults(details, model, places)]
        raise ConfigError(_bounded(sorted(repeated + faults, key=lambda f: (f.file, f.line, f.column)))) from error
    if repeated:
        raise ConfigError(_bounded(repeated))
    return value


class Places:
    """Where each path of a tree stands: its node, and the key before it."""

    def __init__(self, root: Node) -> None:
        self.nodes: dict[Key, Node] = {}
        self.keys: dict[Key, Scalar] = {}
        for path, key, node in walk(root):
            self.nodes[path] = node
            if key is not None:
                self.keys[path] = key

    def of(self, path: Key) -> tuple[str, int]:
        """Return file and line (from 1) of ``path``, or of the nearest part around it; line 0 where nothing of it is known."""
        for length in range(len(path), 0, -1):
            node = self.keys.get(path[:length]) or self.nodes.get(path[:length])
            if node is not None:
                return node.source.file, node.line + 1
        return self.nodes[()].source.file, 0

    def fault(self, problem: Problem, below: Key = ()) -> Fault:
        """Return ``problem``, whose path begins ``below``, at its place or that of the nearest part around it."""
        path = _known((*below, *problem.path), self)
        node = self.nodes[path]
        named = node if isinstance(node, Scalar) else self.keys.get(path, node)  # a section is known by its name
        return _fault(named, path, problem.message, problem.hint, problem.row)


def _bounded(faults: list[Fault]) -> list[Fault]:
    if len(faults) <= MOST_FAULTS:
        return faults
    return [
        *faults[:MOST_FAULTS],
        replace(faults[MOST_FAULTS], path="", message="and more faults from here on", hint=""),
    ]


def _duplicates(node: Node, path: Key) -> Iterator[tuple[Key, Scalar]]:
    if isinstance(node, Mapping):
        seen: set[str] = set()
        for key, value in node.pairs:
            if key.text in seen:
                yield (*path, key.text), key
            seen.add(key.text)
            yield from _duplicates(value, (*path, key.text))
    elif isinstance(node, Sequence):
        for index, item in enumerate(node.items):
            if not isinstance(item, Scalar):
                yield from _duplicates(item, (*path, index))


def _faults(details: ErrorDetails, model: type[BaseModel], places: Places) -> Iterator[Fault]:
    where = _known(tuple(details["loc"]), places)
    node = places.nodes[where]
    if details["type"] == "problems":
        for problem in details["ctx"]["problems"]:
            yield places.fault(problem, where)
    elif details["type"] == "extra_forbidden":
        word = str(details["loc"][-1])
        siblings = _fields_at(model, where[:-1])
        known = f"known here: {', '.join(sorted(siblings))}" if siblings else ""
        yield _fault(places.keys.get(where, node), where, f"unknown key '{word}'", nearest(word, siblings) or known)
    elif details["type"] == "missing":
        yield _fault(node, (*where, details["loc"][-1]), f"key '{details['loc'][-1]}' is missing")
    else:
        context = details.get("ctx") or {}
        error = context.get("error")
        message = str(error) if error is not None else details["msg"][:1].lower() + details["msg"][1:]
        hint = getattr(error, "hint", "")
        if not hint and details["type"] in ("literal_error", "enum") and isinstance(node, Scalar):
            expected = str(context.get("expected", "")).replace("'", "").replace(" or ", ", ").split(", ")
            hint = nearest(node.text, expected)
        yield _fault(node, where, message, hint)


def _known(path: tuple[Any, ...], places: Places) -> Key:
    """Return the longest leading part of ``path`` that stands in the file (pydantic adds parts for unions and keys)."""
    result: Key = ()
    for part in path:
        longer = (*result, part if isinstance(part, int) else str(part))
        if longer in places.nodes:
            result = longer
    return result


def _fields_at(model: type[BaseModel], path: Key) -> list[str]:
    """Return the names allowed at ``path`` below ``model``, walking the types of its fields."""
    current: Any = model
    for part in path:
        current = _bare(current)
        if isinstance(current, type) and issubclass(current, BaseModel):
            names = {field.alias or name: field.annotation for name, field in current.model_fields.items()}
            current = names.get(str(part))
        else:  # a key of dict[str, X] or an index of tuple[X, ...]
            current = next((a for a in reversed(getattr(current, "__args__", ())) if a is not Ellipsis), None)
    current = _bare(current)
    if isinstance(current, type) and issubclass(current, BaseModel):
        return [field.alias or name for name, field in current.model_fields.items()]
    return []


def _bare(annotation: Any) -> Any:
    """Return X for ``X | None`` and ``Annotated[X, ...]``."""
    if hasattr(annotation, "__metadata__"):
        return _bare(annotation.__origin__)
    if isinstance(annotation, UnionType) or getattr(annotation, "__origin__", None) is Union:
        return next((_bare(a) for a in annotation.__args__ if a is not type(None)), None)
    return annotation


def _fault(node: Node, path: Key, message: str, hint: str = "", row: int | None = None) -> Fault:
    line, column = node.line, node.column
    width = len(node.text) if isinstance(node, Scalar) else 1
    if row is not None and isinstance(node, Scalar) and node.style == "|":  # its text begins on the next line
        line += 1 + row
        shown = node.source.lines[line]
        column, width = len(shown) - len(shown.lstrip()), len(shown.strip())
    return node.source.fault(line, column, message, dotted(path), width, hint)


def dotted(path: Key) -> str:
    """Return ``zones.guest.allow[2]`` for a key path."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else part)
    return text
