"""YAML text -> a tree of nodes that know where they stand, bounded in size, depth and number of values.

Two readers: libyaml, fast, which refuses some right texts (``[fd00::1]``), and ruamel.yaml's own, right and slow. Whatever the first
refuses goes to the second, which then never sees more than ``LONGEST_SLOW``: long literal texts (``x: |``) are put aside
before (``blocks.py``). Plain values follow the core schema of YAML 1.2; tags and aliases are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.cyaml import CParser  # type: ignore[attr-defined]
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from appliance.runtime import blocks
from appliance.runtime.errors import ConfigError, Fault

LONGEST_FILE = 1 << 20  # bytes, where a caller does not say otherwise
SHORTER = "take out what does not belong here; very many addresses are shorter as a text, an address a line"
LONGEST_SLOW = 128 << 10  # characters that ruamel.yaml's own reader gets: it takes up to 10 microseconds for one
DEEPEST = 32  # levels of nesting
MOST_VALUES = 100_000  # keys, values, lists and sections of one file
LONGEST_SHOWN = 200  # characters of a line that a fault shows
LONGEST_TOLD = 1000  # characters of its sentence
Key = tuple[str | int, ...]


@dataclass
class Source:
    """A text and the name of its file."""

    file: str
    text: str

    @cached_property
    def lines(self) -> list[str]:
        """The lines of the text."""
        return self.text.split("\n")

    def fault(self, line: int, column: int, message: str, path: str = "", width: int = 1, hint: str = "") -> Fault:
        """Return the fault at a place, both counted from 0, with its line."""
        shown = self.lines[line].rstrip("\r") if line < len(self.lines) else ""
        message = message if len(message) <= LONGEST_TOLD else message[:LONGEST_TOLD] + " ..."
        shown = "" if column >= LONGEST_SHOWN else shown[:LONGEST_SHOWN]
        return Fault(
            self.file, line + 1, column + 1, path, message, shown, max(1, min(width, len(shown) - column)), hint
        )


@dataclass(slots=True)
class Node:
    """Something that stands at a place; ``line`` and ``column`` from 0."""

    source: Source
    line: int
    column: int


@dataclass(slots=True)
class Scalar(Node):
    """One word or text; ``style`` is empty for a plain one, else its quote, ``|`` or ``>``."""

    text: str
    style: str


@dataclass(slots=True)
class Sequence(Node):
    """A list."""

    items: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class Mapping(Node):
    """A section; ``items`` holds key, value, key, value."""

    items: list[Node] = field(default_factory=list)

    @property
    def pairs(self) -> Iterator[tuple[Scalar, Node]]:
        """The keys with their values, repeated keys included."""
        return zip(self.items[::2], self.items[1::2], strict=True)  # type: ignore[arg-type]


def compose(data: bytes | str, file: str, longest: int = LONGEST_FILE) -> Node:
    """Return the tree of ``data``, of which ``file`` is the name to print.

    Raises:
        ConfigError: not UTF-8, not YAML, too long, too deep, too many values, aliased, tagged, or empty.
    """
    if len(data) > longest:
        raise ConfigError([Fault(file, 1, 1, "", f"longer than {longest} bytes", hint=SHORTER)])
    try:
        text = data.decode() if isinstance(data, bytes) else data
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1 if isinstance(data, bytes) else 1
        raise ConfigError([Fault(file, line, 1, "", "is not UTF-8 text")]) from error
    source = Source(file, text)
    try:
        return _build(source, _fast(text), lambda line: line, {})
    except (YAMLError, ValueError) as error:
        fast = error
    skeleton = blocks.put_aside(text)
    if len(skeleton.text) > LONGEST_SLOW:
        raise ConfigError([_fault_of(source, fast, lambda line: line)]) from fast
    try:
        slow = YAML(typ="safe", pure=True).parse(skeleton.text)
        return _build(source, slow, skeleton.line_of, dict(skeleton.aside))
    except (YAMLError, ValueError, RecursionError) as error:
        raise ConfigError([_fault_of(source, error, skeleton.line_of)]) from error


def plain(node: Node) -> Any:
    """Return the value of ``node`` as dicts, lists and scalars; of a repeated key the last value."""
    if isinstance(node, Mapping):
        return {key.text: plain(value) for key, value in node.pairs}
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return _value(node) if isinstance(node, Scalar) else None


def walk(node: Node, path: Key = (), key: Scalar | None = None) -> Iterator[tuple[Key, Scalar | None, Node]]:
    """Yield (path, the key that leads there, node) for ``node`` and all below it."""
    yield path, key, node
    if isinstance(node, Mapping):
        for inner, value in node.pairs:
            yield from walk(value, (*path, inner.text), inner)
    elif isinstance(node, Sequence):
        for index, item in enumerate(node.items):
            yield from walk(item, (*path, index))


def _fast(text: str) -> Iterator[Event]:
    parser = CParser(text)
    while parser.check_event():
        yield parser.get_event()


def _build(source: Source, events: Iterable[Event], line_of: Callable[[int], int], aside: dict[int, str]) -> Node:
    """Return the tree that ``events`` tell; ``aside`` holds texts by the line of their placeholder."""
    root: Node | None = None
    stack: list[Sequence | Mapping] = []
    count = 0
    for event in events:
        kind = type(event)
        if kind is SequenceEndEvent or kind is MappingEndEvent:
            stack.pop()
            continue
        if kind not in _VALUES:
            if kind is AliasEvent:
                told = "aliases (*name) are not allowed here: write the value out"
                raise _refusal(source, event, line_of, told)
            if kind is DocumentStartEvent and root is not None:
                raise _refusal(source, event, line_of, "a second document begins here; a file holds one")
            continue
        node = _node(source, event, line_of, aside)
        count += 1
        if count > MOST_VALUES:
            told = (
                f"holds more than {MOST_VALUES} values; write many addresses as one text ('name: |'), an address a line"
            )
            raise _refusal(source, event, line_of, told)
        if not stack:
            root = node
        else:
            parent = stack[-1]
            if isinstance(parent, Mapping) and not len(parent.items) % 2 and not isinstance(node, Scalar):
                raise _refusal(source, event, line_of, "a key is one word or text")
            parent.items.append(node)
        if not isinstance(node, Scalar):
            stack.append(node)  # type: ignore[arg-type]
            if len(stack) > DEEPEST:
                raise _refusal(source, event, line_of, f"nested deeper than {DEEPEST} levels")
    if aside:
        raise ValueError("a literal text stands where none can")
    if root is None:
        raise ConfigError([Fault(source.file, 1, 1, "", "is empty")])
    return root


def _node(source: Source, event: Any, line_of: Callable[[int], int], aside: dict[int, str]) -> Node:
    mark = event.start_mark
    line, column = line_of(mark.line), mark.column
    if isinstance(event, ScalarEvent):
        style = event.style or ""
        if not event.implicit[1 if style else 0]:
            raise _refusal(source, event, line_of, _TAGGED)
        text = event.value
        if line in aside and style == "|" and text == blocks.PLACEHOLDER:
            text = aside.pop(line)
        return Scalar(source, line, column, text, style)
    if not event.implicit:
        raise _refusal(source, event, line_of, _TAGGED)
    return (Sequence if isinstance(event, SequenceStartEvent) else Mapping)(source, line, column)


def _refusal(source: Source, event: Event, line_of: Callable[[int], int], message: str) -> ConfigError:
    mark = event.start_mark
    return ConfigError([source.fault(line_of(mark.line), mark.column, message)])


def _fault_of(source: Source, error: Exception, line_of: Callable[[int], int]) -> Fault:
    """Return what a reader's error means to the one who wrote the text."""
    mark = (error.problem_mark or error.context_mark) if isinstance(error, MarkedYAMLError) else None
    if mark is not None and isinstance(error, MarkedYAMLError):
        line = min(line_of(mark.line), len(source.lines) - 1)
        told = str(error.problem or error.context or "is not YAML")
        hint = "write it in quotes" if told == "found unexpected ':'" else ""
        return source.fault(line, mark.column, told, hint=hint)
    position = getattr(error, "position", None)
    if isinstance(position, int):
        line = source.text.count("\n", 0, position)
        told = str(getattr(error, "reason", error))
        return source.fault(line, position - source.text.rfind("\n", 0, position) - 1, f"is not YAML: {told}")
    return Fault(source.file, 1, 1, "", f"is not YAML: {(str(error) or 'cannot be read').splitlines()[0]}")


_VALUES = frozenset({ScalarEvent, SequenceStartEvent, MappingStartEvent})
_TAGGED = "tags (!name) are not allowed here: a value is what it looks like, or a text in quotes"
_NULL = re.compile(r"~|null|Null|NULL|")
_WORDS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]{1,40}|0o[0-7]{1,40}|0x[0-9a-fA-F]{1,40}")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]{1,40}|[0-9]{1,40}(\.[0-9]{0,40})?)([eE][-+]?[0-9]{1,4})?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)


def _value(node: Scalar) -> Any:
    """Return the value of a scalar by the core schema of YAML 1.2 (section 10.3.2)."""
    text = node.text
    if node.style:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _NULL.fullmatch(text):
        return None
    if _INTEGER.fullmatch(text):
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    return float(text.replace(".", "", 1) if text[-1:] in "fFnN" else text) if _FLOAT.fullmatch(text) else text
