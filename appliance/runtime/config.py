"""YAML text -> checked value, with every fault at once and its place in the file.

``load`` (a file) and ``parse`` (a text) compose the YAML with ruamel.yaml, which keeps line and column and refuses duplicate keys,
and validate it with pydantic. A model that finds semantic faults raises ``Problems`` from a model validator, with paths; they
get line and column here. ``Section`` is the base of every model: frozen, and unknown keys are faults.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from appliance.runtime.errors import ConfigError, Fault

LONGEST_FILE = 1 << 20  # bytes; a site's policy is a few KiB, and YAML parsers are not built for more
DEEPEST = 32  # levels of nesting
Key = tuple[str | int, ...]


class Section(BaseModel):
    """Base of every configuration section."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, hide_input_in_errors=True)


Model = TypeVar("Model", bound=BaseModel)


class Problem(ValueError):
    """One semantic fault at ``path`` (keys and indexes) with the words to print; ``word`` is underlined if given."""

    def __init__(self, path: Key, message: str, hint: str = "") -> None:
        self.path, self.message, self.hint = path, message, hint
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
    try:
        with path.open("rb") as file:
            data = file.read(LONGEST_FILE + 1)
    except OSError as error:
        raise ConfigError([Fault(str(path), 1, 1, "", f"cannot be read: {error.strerror}")]) from error
    return parse(data, model, str(path))


def parse(data: bytes | str, model: type[Model], file: str = "<text>") -> Model:
    """Parse and validate ``data``, of which ``file`` is the name to print.

    Raises:
        ConfigError: holds all faults.
    """
    root, lines = compose(data, file)
    places = dict(_walk(root, ()))
    keys = dict(_walk_keys(root, ()))
    repeated = [
        _fault(file, lines, node, path, f"key '{node.value}' is written twice; the first would be lost")
        for path, node in _duplicates(root, ())
    ]
    try:
        value = model.model_validate(_plain(root))
    except MarkedYAMLError as error:  # a tag such as !!python/object
        raise ConfigError([*repeated, _marked(file, error, lines)]) from error
    except ValidationError as error:
        faults = [fault for details in error.errors() for fault in _faults(details, model, file, lines, places, keys)]
        raise ConfigError(sorted(repeated + faults, key=lambda f: (f.line, f.column))) from error
    if repeated:
        raise ConfigError(repeated)
    return value


def lines_of(data: bytes | str, file: str = "<text>") -> dict[Key, int]:
    """Return the line (from 1) at which each key path of a valid YAML text stands.

    Raises:
        ConfigError: the text is not YAML.
    """
    root, _ = compose(data, file)
    result = {key: node.start_mark.line + 1 for key, node in _walk(root, ())}
    result.update({key: node.start_mark.line + 1 for key, node in _walk_keys(root, ())})
    return result


def compose(data: bytes | str, file: str) -> tuple[Node, list[str]]:
    """Return the YAML node tree of ``data`` and its lines.

    Raises:
        ConfigError: not UTF-8, not YAML, too long, too deep, aliased, or empty.
    """
    if len(data) > LONGEST_FILE:
        raise ConfigError([Fault(file, 1, 1, "", f"longer than {LONGEST_FILE} bytes")])
    try:
        text = data.decode() if isinstance(data, bytes) else data
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1 if isinstance(data, bytes) else 1
        raise ConfigError([Fault(file, line, 1, "", "is not UTF-8 text")]) from error
    lines = text.splitlines()
    try:
        for depth, token in _depths(text):
            if depth > DEEPEST:
                raise ConfigError(
                    [Fault(file, token.line + 1, token.column + 1, "", f"nested deeper than {DEEPEST} levels")]
                )
        root = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        raise ConfigError([_marked(file, error, lines)]) from error
    except (YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(
            [Fault(file, 1, 1, "", f"is not YAML: {str(error).splitlines()[0] if str(error) else 'cannot be read'}")]
        ) from error
    if root is None:
        raise ConfigError([Fault(file, 1, 1, "", "is empty")])
    return root, lines


def _depths(text: str) -> Iterator[tuple[int, Any]]:
    depth = 0
    for event in YAML(typ="safe", pure=True).parse(text):
        name = type(event).__name__
        if name == "AliasEvent":
            raise MarkedYAMLError(
                problem="aliases (*name) are not allowed here: write the value out", problem_mark=event.start_mark
            )
        depth += name.endswith("StartEvent") - name.endswith("EndEvent")
        yield depth, event.start_mark


def _marked(file: str, error: MarkedYAMLError, lines: list[str]) -> Fault:
    mark = error.problem_mark or error.context_mark
    line = min(mark.line, max(0, len(lines) - 1)) if mark else 0
    return Fault(
        file,
        line + 1,
        (mark.column if mark else 0) + 1,
        "",
        str(error.problem or error.context or "is not YAML"),
        lines[line] if lines else "",
    )


def _plain(root: Node) -> Any:
    """Return the plain value of ``root`` by the YAML 1.2 core schema; duplicate keys were reported already."""
    yaml = YAML(typ="safe", pure=True)
    yaml.allow_duplicate_keys = True
    return yaml.constructor.construct_document(root)


def _walk(node: Node, path: Key) -> Iterator[tuple[Key, Node]]:
    yield path, node
    if isinstance(node, MappingNode):
        for key, value in node.value:
            yield from _walk(value, (*path, str(key.value)))
    elif isinstance(node, SequenceNode):
        for index, item in enumerate(node.value):
            yield from _walk(item, (*path, index))


def _walk_keys(node: Node, path: Key) -> Iterator[tuple[Key, Node]]:
    if isinstance(node, MappingNode):
        for key, value in node.value:
            yield (*path, str(key.value)), key
            yield from _walk_keys(value, (*path, str(key.value)))
    elif isinstance(node, SequenceNode):
        for index, item in enumerate(node.value):
            yield from _walk_keys(item, (*path, index))


def _duplicates(node: Node, path: Key) -> Iterator[tuple[Key, Node]]:
    if isinstance(node, MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if str(key.value) in seen:
                yield (*path, str(key.value)), key
            seen.add(str(key.value))
            yield from _duplicates(value, (*path, str(key.value)))
    elif isinstance(node, SequenceNode):
        for index, item in enumerate(node.value):
            yield from _duplicates(item, (*path, index))


def _faults(
    details: ErrorDetails,
    model: type[BaseModel],
    file: str,
    lines: list[str],
    places: Mapping[Key, Node],
    keys: Mapping[Key, Node],
) -> Iterator[Fault]:
    where = _known(tuple(details["loc"]), places)
    if details["type"] == "problems":
        for problem in details["ctx"]["problems"]:
            path = _known((*where, *problem.path), places)
            yield _fault(file, lines, places[path], path, problem.message, problem.hint)
    elif details["type"] == "extra_forbidden":
        word = str(details["loc"][-1])
        siblings = _fields_at(model, where[:-1])
        yield _fault(
            file,
            lines,
            keys.get(where, places[where]),
            where,
            f"unknown key '{word}'",
            nearest(word, siblings) or (f"known here: {', '.join(sorted(siblings))}" if siblings else ""),
        )
    elif details["type"] == "missing":
        yield _fault(file, lines, places[where], (*where, details["loc"][-1]), f"key '{details['loc'][-1]}' is missing")
    else:
        context = details.get("ctx") or {}
        error = context.get("error")
        message = str(error) if error is not None else details["msg"][:1].lower() + details["msg"][1:]
        hint = getattr(error, "hint", "")
        node = places[where]
        if not hint and details["type"] in ("literal_error", "enum") and isinstance(node, ScalarNode):
            hint = nearest(
                node.value, str(context.get("expected", "")).replace("'", "").replace(" or ", ", ").split(", ")
            )
        yield _fault(file, lines, node, where, message, hint)


def _known(path: tuple[Any, ...], places: Mapping[Key, Node]) -> Key:
    """Return the longest leading part of ``path`` that stands in the file (pydantic adds parts for unions and keys)."""
    result: Key = ()
    for part in path:
        longer = (*result, part if isinstance(part, int) else str(part))
        if longer in places:
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


def _fault(file: str, lines: list[str], node: Node, path: Key, message: str, hint: str = "") -> Fault:
    mark = node.start_mark
    source = lines[mark.line] if mark.line < len(lines) else ""
    width = len(str(node.value)) if isinstance(node, ScalarNode) else 1
    return Fault(
        file,
        mark.line + 1,
        mark.column + 1,
        dotted(path),
        message,
        source,
        max(1, min(width, len(source) - mark.column)),
        hint,
    )


def dotted(path: Key) -> str:
    """Return ``zones.guest.allow[2]`` for a key path."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else part)
    return text
