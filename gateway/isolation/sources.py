"""A policy's source and the fragments that it includes -> one tree, and the one whole file that boxes get.

A file without ``include:`` is whole already, byte for byte.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance.runtime import config
from appliance.runtime.errors import ConfigError, Fault
from appliance.runtime.tree import Mapping, Node, Scalar, Sequence, compose, plain

LONGEST_POLICY = 32 << 20  # bytes; two million addresses
MOST_FILES = 64  # of one policy
NAMED = frozenset({"zones", "bodies", "groups", "origins", "services", "reach", "lanes"})  # merged name by name
LISTED = frozenset({"expect", "never"})  # one after the other


@dataclass(frozen=True)
class Whole:
    """A policy's whole text, and its tree, which knows the files as they were written."""

    data: bytes
    root: Node


def read(path: Path) -> Whole:
    """Read the source or whole file at ``path``.

    Raises:
        ConfigError: a file cannot be read or is not YAML, or two of them say the same thing.
    """
    data = config.read(path, LONGEST_POLICY)
    root = compose(data, str(path), LONGEST_POLICY)
    if not isinstance(root, Mapping) or not any(key.text == "include" for key, _ in root.pairs):
        return Whole(data, root)
    reading = _Reading()
    reading.add(root, path)
    if reading.faults:
        raise ConfigError(reading.faults)
    whole = written(reading.whole).encode()
    if len(whole) > LONGEST_POLICY:
        raise ConfigError([Fault(str(path), 1, 1, "", f"is longer than {LONGEST_POLICY} bytes with what it includes")])
    return Whole(whole, reading.whole)


class _Reading:
    """What was merged so far."""

    def __init__(self) -> None:
        self.whole = Mapping.__new__(Mapping)
        self.faults: list[Fault] = []
        self._files: list[Path] = []
        self._bytes = 0

    def add(self, root: Node, path: Path) -> None:
        """Merge the file at ``path``, whose tree is ``root``, and all that it includes."""
        if not self._files:
            self.whole = Mapping(root.source, root.line, root.column)
        self._files.append(path.resolve())
        if not isinstance(root, Mapping):
            self.faults.append(root.source.fault(root.line, root.column, "a fragment holds sections of a policy"))
            return
        included: list[Node] = []
        for key, value in root.pairs:
            if key.text == "include":
                included.append(value)
            else:
                self._section(key, value)
        for value in included:
            if not isinstance(value, Sequence) or not value.items:
                told = "must be a list of files, each beside or above this one: [../../shared/promises.yaml]"
                self.faults.append(value.source.fault(value.line, value.column, told, "include"))
                continue
            for index, item in enumerate(value.items):
                self._include(item, f"include[{index}]", path.parent)

    def _include(self, item: Node, where: str, folder: Path) -> None:
        def fault(told: str) -> None:
            self.faults.append(item.source.fault(item.line, item.column, told, where, _width(item)))

        if not isinstance(item, Scalar) or not item.text or "\0" in item.text:
            return fault("must be the name of a file")
        path = _short(folder / item.text)
        if path.resolve() in self._files:
            return fault(f"'{item.text}' is included already")
        if len(self._files) >= MOST_FILES:
            return fault(f"is one file too many: a policy has at most {MOST_FILES}")
        if not path.is_file():
            return fault(f"there is no file '{path}'")
        data = config.read(path, LONGEST_POLICY)
        self._bytes += len(data)
        if self._bytes > LONGEST_POLICY:
            return fault(f"is too much: a policy has at most {LONGEST_POLICY} bytes")
        return self.add(compose(data, str(path), LONGEST_POLICY), path)

    def _section(self, key: Scalar, value: Node) -> None:
        known = next(((k, v) for k, v in self.whole.pairs if k.text == key.text), None)
        if known is None:
            fresh = value
            if isinstance(value, Mapping | Sequence):  # a copy, for what other files have goes into it
                fresh = type(value)(value.source, value.line, value.column, list(value.items))
            self.whole.items += [key, fresh]
        elif isinstance(known[1], Mapping) and isinstance(value, Mapping) and key.text in NAMED:
            first = {k.text: k for k, _ in known[1].pairs}
            for name, _ in value.pairs:
                if name.text in first:
                    self._twice(name, first[name.text], f"{key.text}.{name.text}")
            known[1].items += value.items
        elif isinstance(known[1], Sequence) and isinstance(value, Sequence) and key.text in LISTED:
            known[1].items += value.items
        else:
            self._twice(key, known[0], key.text)

    def _twice(self, second: Scalar, first: Scalar, path: str) -> None:
        told = f"'{second.text}' is written already at {first.source.file}:{first.line + 1}:{first.column + 1}"
        mend = "take one of the two out, or give it another name" if "." in path else "it may stand in one file only"
        self.faults.append(second.source.fault(second.line, second.column, told, path, _width(second), mend))


def _short(path: Path) -> Path:
    """Return ``path`` without ``..`` where that is the same file, which it is not behind a link."""
    short = Path(os.path.normpath(path))
    return short if short.resolve() == path.resolve() else path


def _width(node: Node) -> int:
    return len(node.text) if isinstance(node, Scalar) else 1


def written(root: Node) -> str:
    """Return ``root`` as YAML: sections and their entries on lines of their own, what is in them in one line each."""
    return "\n".join(_lines(root, 0)) + "\n"


def _lines(node: Node, depth: int) -> Iterator[str]:
    indent = "  " * depth
    if not isinstance(node, Mapping):
        yield indent + _flow(node)
        return
    for key, value in node.pairs:
        head = f"{indent}{_flow(key)}:"
        if isinstance(value, Scalar) and _is_block(value):
            yield f"{head} |"
            yield from (f"{indent}  {line}" if line else "" for line in value.text[:-1].split("\n"))
        elif isinstance(value, Mapping) and value.items and (depth < 1 or _holds_block(value)):
            yield head
            yield from _lines(value, depth + 1)
        elif isinstance(value, Sequence) and value.items and depth < 1:
            yield head
            yield from (f"{indent}- {_flow(item)}" for item in value.items)
        else:
            yield f"{head} {_flow(value)}"


def _is_block(node: Scalar) -> bool:
    text = node.text
    return node.style == "|" and text[-1:] == "\n" and not text[-2:].isspace() and text[0] not in " \t\n\r"


def _holds_block(node: Mapping) -> bool:
    return any(
        (isinstance(value, Scalar) and _is_block(value)) or (isinstance(value, Mapping) and _holds_block(value))
        for _, value in node.pairs
    )


def _flow(node: Node) -> str:
    if isinstance(node, Mapping):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(value)}" for key, value in node.pairs) + "}"
    if isinstance(node, Sequence):
        return "[" + ", ".join(_flow(item) for item in node.items) + "]"
    return _scalar(node) if isinstance(node, Scalar) else ""


_BARE = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")


def _scalar(node: Scalar) -> str:
    if not isinstance(plain(node), str):
        return node.text or "null"
    if not node.style and _BARE.fullmatch(node.text):
        return node.text
    quoted = json.dumps(node.text, ensure_ascii=False)
    return "".join(sign if sign.isprintable() else f"\\U{ord(sign):08x}" for sign in quoted)
