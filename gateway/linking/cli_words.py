"""What the commands of ``headgate link`` share: options, the book, and how links are shown."""

from __future__ import annotations

import getpass
import json
import os
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from appliance.runtime.errors import Refused
from appliance.runtime.places import STATE
from gateway.linking import reasons
from gateway.linking.book import Book, Kept
from gateway.resolver.vocabulary import kind_of


def who_am_i() -> str:
    """Return who gives the command."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


def language() -> str:
    """Return the language of the terminal."""
    return "zh" if os.environ.get("LC_ALL", os.environ.get("LANG", "")).startswith("zh") else "en"


BOOK = click.option(
    "--book",
    type=click.Path(path_type=Path, dir_okay=False),
    default=STATE / "linking" / "linking.db",
    show_default=True,
    help="The engine's book.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="For a program.")
LANG = click.option("--lang", type=click.Choice(["zh", "en"]), default=language, help="Of the reasons.")


class Opened:
    """The book, closed at the end of a block."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Book:
        self._book = Book(self._path)
        return self._book

    def __exit__(self, *_: object) -> None:
        self._book.close()


def there(book: Book, number: int) -> Kept:
    """Return the link with this number.

    Raises:
        Refused: there is none.
    """
    found = book.one(number)
    if found is None:
        raise Refused("unknown-link", f"there is no link {number}", 404)
    return found


def told_of(one: Kept, lang: str) -> dict[str, Any]:
    """Return a link as programs are told of it."""
    p = one.proposal
    return {
        "number": one.id, "source": p.source, "type": p.type, "target": p.target, "score": p.score, "basis": p.basis,
        "source_title": p.source_title, "target_title": p.target_title, "target_body": p.target_body,
        "why": reasons.told(p.why, lang), "state": one.state, "by": one.by, "at": one.at, "note": one.note,
    }  # fmt: skip


def print_links(found: list[Kept], lang: str) -> None:
    """Print links as a table."""
    table = Table("number", "score", "source", "type", "target", "why", box=None)
    for one in found:
        p = one.proposal
        target = " ".join(text for text in (p.target_title, p.target) if text)
        word = kind_of(p.type).word(lang)
        table.add_row(str(one.id), f"{p.score:.2f}", p.source_title, word, target, reasons.told(p.why, lang))
    console().print(table if found else "no links")


def progress_bar() -> Progress:
    """Return what shows progress, on the terminal alone."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True, highlight=False), transient=True)


def print_json(told: object) -> None:
    """Print for a program."""
    click.echo(json.dumps(told, ensure_ascii=False))


def console() -> Console:
    """Return where people are told."""
    return Console(highlight=False, markup=False, soft_wrap=True)
