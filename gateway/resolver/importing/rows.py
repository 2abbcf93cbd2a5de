"""A row of a bulk file -> a record's dump, or every fault of it. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import ValidationError

from appliance.runtime.errors import Refused
from gateway.resolver.codes import WrongCode, parse
from gateway.resolver.records import LONGEST_RECORD, Record, faults
from gateway.resolver.vocabulary import kind_of

SEPARATOR = ";"  # between several values of one cell
PLAIN = ("code", "status", "superseded_by", "title", "reason", "ttl", "release", "entry", "url", "body")
RIGHTS = ("zones", "screens", "territories", "since", "until")
LINK, METADATA = "link.", "metadata."


class Row(NamedTuple):
    """A row of the file: the line on which it ends, and its cells, or its text where it is JSON."""

    line: int
    cells: Sequence[str] | bytes


class Fault(NamedTuple):
    """What is wrong with a row."""

    line: int
    code: str
    path: str
    reason: str
    message: str


@dataclass(frozen=True)
class Converted:
    """The dumps of good rows with their lines and codes, and the faults of the others."""

    dumps: list[bytes]
    lines: list[int]
    codes: list[str]
    faults: list[Fault]


def check_header(header: Sequence[str]) -> None:
    """Judge the names of columns.

    Raises:
        Refused: a name is unknown or there twice, or what every record needs is missing (``bad-header``), or a column is of no type of
            link (``unknown-link-type``).
    """
    for name in header:
        if name not in (*PLAIN, *RIGHTS) and not name.startswith((LINK, METADATA)):
            known = ", ".join([*PLAIN, *RIGHTS, f"{LINK}TYPE", f"{METADATA}NAME"])
            raise Refused("bad-header", f"'{name[:80]}' is no column of a bulk file: {known}", 400)
        if name.startswith(LINK):
            kind_of(name.removeprefix(LINK))
        if list(header).count(name) > 1:
            raise Refused("bad-header", f"the column '{name}' is there twice", 400)
    for name in ("code", "title"):
        if name not in header:
            raise Refused("bad-header", f"the column '{name}' is missing", 400)


def convert(header: Sequence[str], rows: Sequence[Row], body: str) -> Converted:
    """Return what ``rows`` say; a row that names no body is of ``body``. Without ``header`` each is a JSON object."""
    found = Converted([], [], [], [])
    for row in rows:
        whole: dict[str, Any] = {}
        try:
            whole = _named(header, row.cells) if header else _object(row.cells)
            told = _record(whole) if header else dict(whole)
            told.setdefault("body", body)
            told["code"] = _spelled(told.get("code"))
            record = Record.model_validate(told)
            dump = _bounded(record.dump())
        except WrongCell as error:
            code = str(whole.get("code", ""))[:256]
            found.faults.append(Fault(row.line, code, error.column, error.reason, str(error)))
        except WrongCode as error:
            found.faults.append(Fault(row.line, str(whole.get("code", ""))[:256], "code", error.reason, str(error)))
        except ValidationError as error:
            code = str(whole.get("code", ""))
            found.faults.extend(Fault(row.line, code, path, "bad-request", told) for path, told in faults(error))
        except Refused as error:
            found.faults.append(Fault(row.line, str(whole.get("code", ""))[:256], "", error.reason, str(error)))
        except (ValueError, RecursionError) as error:
            found.faults.append(Fault(row.line, "", "", "bad-request", f"this is no record: {error}"))
        else:
            found.dumps.append(dump)
            found.lines.append(row.line)
            found.codes.append(record.code)
    return found


def _bounded(dump: bytes) -> bytes:
    if len(dump) > LONGEST_RECORD:
        raise Refused("bad-request", f"a record has at most {LONGEST_RECORD} bytes")
    return dump


def _spelled(code: object) -> object:
    return parse(code).canonical if isinstance(code, str) else code


def _object(cells: Sequence[str] | bytes) -> dict[str, Any]:
    told = json.loads(cells) if isinstance(cells, bytes) else None
    if not isinstance(told, dict):
        raise ValueError("a line is a JSON object")  # noqa: TRY004 (a fault of the row)
    return told


class WrongCell(Refused):
    """What stands in ``column`` of a row is wrong."""

    def __init__(self, column: str, reason: str, sentence: str) -> None:
        super().__init__(reason, sentence, 400)
        self.column = column


def _named(header: Sequence[str], cells: Sequence[str] | bytes) -> dict[str, Any]:
    if isinstance(cells, bytes) or len(cells) != len(header):
        raise ValueError(f"it has {len(cells)} columns, the header {len(header)}")
    return {name: cell.strip() for name, cell in zip(header, cells, strict=True) if cell.strip()}


def _record(given: Mapping[str, str]) -> dict[str, Any]:
    whole: dict[str, Any] = {name: given[name] for name in PLAIN if name in given}
    release, entry, urls = (whole.pop(name, None) for name in ("release", "entry", "url"))
    locations: list[dict[str, str]] = [{"url": one} for one in _many(urls or "")]
    if release is not None or entry is not None:
        locations.insert(0, {"release": _code("release", release or ""), "entry": entry or ""})
    _put(whole, "locations", locations)
    if "ttl" in whole:
        whole["ttl"] = _number("ttl", whole["ttl"])
    if "superseded_by" in whole:
        whole["superseded_by"] = _code("superseded_by", whole["superseded_by"])
    _put(
        whole,
        "links",
        [
            {"type": kind_of(name.removeprefix(LINK)).name, "target": _code(name, one)}
            for name, cell in given.items()
            if name.startswith(LINK)
            for one in _many(cell)
        ],
    )
    named = {name.removeprefix(METADATA): cell for name, cell in given.items() if name.startswith(METADATA)}
    _put(whole, "metadata", named)
    _put(whole, "rights", {name: _RIGHT[name](given[name]) for name in RIGHTS if name in given})
    return whole


def _code(column: str, written: str) -> str:
    try:
        return parse(written).canonical
    except WrongCode as error:
        raise WrongCell(column, error.reason, f"'{written[:60]}': {error}") from error


def _number(column: str, written: str) -> int:
    if not (written.isascii() and written.isdigit() and len(written) <= 9):
        raise WrongCell(column, "bad-request", f"'{written[:60]}' is no number")
    return int(written)


def _many(cell: str) -> list[str]:
    return [one for part in cell.split(SEPARATOR) if (one := part.strip())]


def _put(whole: dict[str, Any], name: str, value: object) -> None:
    if value:
        whole[name] = value


_RIGHT: Mapping[str, Callable[[str], object]] = {
    "zones": _many,
    "screens": _many,
    "territories": _many,
    "since": str,
    "until": str,
}
