"""``headgate link``: the association engine on an institution's box, for its cataloguers and curators."""

from __future__ import annotations

import getpass
import json
import os
import time
from dataclasses import asdict
from datetime import UTC, datetime
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
from gateway.linking.choosing import Choice
from gateway.linking.cli_curators import curator
from gateway.linking.cli_out import export, register
from gateway.linking.judging import LEAST
from gateway.linking.proposals import BASES, STATES, State
from gateway.resolver.vocabulary import kind_of

SHOWN = 20  # links of a preview
LONGEST_NOTE = 400  # characters


def _who() -> str:
    return os.environ.get("SUDO_USER") or getpass.getuser()


def _language() -> str:
    return "zh" if os.environ.get("LC_ALL", os.environ.get("LANG", "")).startswith("zh") else "en"


@click.group(name="link")
def commands() -> None:
    """Propose, judge and register links between identifiers (关联): the association engine of an institution.

    Example: headgate link import catalogue.xml
    """


BOOK = click.option(
    "--book",
    type=click.Path(path_type=Path, dir_okay=False),
    default=STATE / "linking" / "linking.db",
    show_default=True,
    help="The engine's book.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="For a program.")
LANG = click.option("--lang", type=click.Choice(["zh", "en"]), default=_language, help="Of the reasons.")


@commands.command(name="import")
@click.argument("catalogue", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--as", "name", default="", help="The catalogue's name; by default the file's.")
@click.option("--format", "kind", type=click.Choice(["csv", "jsonl", "marcxml", "dc"]), default=None)
@click.option("--of", "body", default="", help="Another institution, whose catalogue it is: links may lead to it.")
@click.option("--faults", "most", default=20, show_default=True, type=click.IntRange(0, 100_000), help="Faults shown.")
@BOOK
@JSON
def import_(catalogue: Path, name: str, kind: str | None, body: str, most: int, book: Path, *, as_json: bool) -> None:
    """Import CATALOGUE: CSV, JSON Lines, MARCXML (MARC 21, CNMARC) or Dublin Core in XML; the same name again replaces it.

    Every fault is told by its row; what is broken off goes on where it was when the same file is imported again.

    Example: headgate link import books.csv
    """
    from gateway.linking import importing

    with _open(book) as kept, _progress() as progress:
        task = progress.add_task("importing", total=None)
        done = importing.run(
            kept,
            catalogue,
            name=name,
            kind=kind or "",
            body=body,
            progress=lambda read, whole: progress.update(task, completed=read, total=whole),
        )
        faults = kept.faults(done.name, most)
    if as_json:
        _json({**asdict(done), "faults": [asdict(fault) for fault in faults], "count": done.faults})
        return
    console = _console()
    console.print(
        f"{done.name}: {done.rows} rows of {done.format}, {done.entries} taken"
        + (f" ({done.again} rows were in already)" if done.again else "")
        + (f", {done.gone} that are not there any more removed" if done.gone else "")
        + (f", {done.left_out} left out" if done.left_out else "")
    )
    if done.without_code and not body:
        told = "have no code of their own (column 'code'): nothing can be registered from them"
        console.print(f"{done.without_code} {told}")
    for fault in faults:
        console.print(f"row {fault.row}: {fault.reason}: {fault.sentence}" + (" (left out)" if fault.whole else ""))
    if done.faults > len(faults):
        console.print(f"... and {done.faults - len(faults)} more faults: --faults N shows them")


@commands.command()
@click.option(
    "--least", default=LEAST, show_default=True, type=click.FloatRange(0, 1), help="Leave out what is less sure."
)
@BOOK
@JSON
def propose(least: float, book: Path, *, as_json: bool) -> None:
    """Propose links between all that was imported, by shared identifiers, by what catalogues state, and by names.

    What was decided before stays decided: nothing comes again after a rejection.

    Example: headgate link propose
    """
    from gateway.linking import proposing

    began, tally = time.monotonic(), proposing.Tally()
    with _open(book) as kept, _progress() as progress:
        task = progress.add_task("comparing", total=None)
        things = list(kept.things())
        found = proposing.propose(
            things, least=least, tally=tally, progress=lambda pairs: progress.update(task, description=f"{pairs} pairs")
        )
        told = kept.propose(found)
    seconds = time.monotonic() - began
    if as_json:
        _json(
            {
                **told,
                "entries": tally.things,
                "pairs": tally.pairs,
                "common": len(tally.common),
                "seconds": round(seconds, 2),
            }
        )
        return
    console = _console()
    console.print(
        f"{told['new']} new proposals, {told['known']} that were there, {told['decided']} decided before, {told['gone']} gone"
        f"  ({tally.things} entries, {tally.pairs} pairs, {seconds:.1f} s)"
    )
    for text, count in sorted(tally.common.items(), key=lambda item: -item[1])[:5]:
        console.print(f"'{text}' is shared by {count} entries, too many to tell anything")


def _filters(command: Any) -> Any:
    for option in (
        click.option("--type", "kind", default="", help="Only links of this type, such as same-as."),
        click.option("--basis", type=click.Choice(BASES), default=None, help="Only what was proposed on this ground."),
        click.option("--least", type=click.FloatRange(0, 1), default=None, help="Only what is at least so sure."),
        click.option("--most", type=click.FloatRange(0, 1), default=None, help="Only what is less sure than this."),
        click.option("--query", default="", help="Only links with this in a title or code."),
    ):
        command = option(command)
    return command


@commands.command(name="list")
@click.option("--state", type=click.Choice([*STATES, "all"]), default="proposed", show_default=True)
@_filters
@click.option("--limit", default=SHOWN, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--skip", default=0, type=click.IntRange(0))
@BOOK
@JSON
@LANG
def list_(
    state: str, kind: str, basis: str | None, least: float | None, most: float | None, query: str, limit: int, skip: int,
    book: Path, lang: str, *, as_json: bool,
) -> None:  # fmt: skip
    """List links, the surest first.

    Example: headgate link list --least 0.9
    """
    choice = Choice("" if state == "all" else state, kind, basis or "", least, most, query)
    with _open(book) as kept:
        found, count = kept.select(*choice.condition(), limit, skip), kept.count_of(*choice.condition())
        states = kept.states()
    if as_json:
        _json({"links": [_told(one, lang) for one in found], "count": count, "states": states})
        return
    _table(found, lang)
    _console().print(f"{len(found)} of {count}; " + ", ".join(f"{n} {name}" for name, n in states.items()))


@commands.command()
@click.argument("number", type=click.IntRange(1))
@BOOK
@JSON
@LANG
def show(number: int, book: Path, lang: str, *, as_json: bool) -> None:
    """Show link NUMBER with all that the catalogues say of both ends.

    Example: headgate link show 12
    """
    with _open(book) as kept:
        one = _one(kept, number)
        ends = {
            end: kept.entry(code) for end, code in (("source", one.proposal.source), ("target", one.proposal.target))
        }
    if as_json:
        about = {
            end: asdict(found[0]) | {"catalogue": found[1], "body": found[2]} for end, found in ends.items() if found
        }
        _json({**_told(one, lang), **{f"{end}_entry": told for end, told in about.items()}})
        return
    table = Table("", "source", "target", box=None)
    p = one.proposal
    table.add_row("code", p.source, p.target)
    table.add_row("title", p.source_title, p.target_title)
    for name in ("kind", "year", "names", "identifiers"):
        cells = [getattr(found[0], name) if found else "" for found in ends.values()]
        table.add_row(name, *(", ".join(cell) if isinstance(cell, tuple) else str(cell or "") for cell in cells))
    table.add_row("catalogue", *(" ".join(found[1:]) if found else "" for found in ends.values()))
    console = _console()
    console.print(table)
    console.print(f"{kind_of(p.type).word(lang)} ({p.type}), {p.score:.2f}: {reasons.told(p.why, lang)}")
    decided = f" by {one.by} at {one.at}" if one.by else ""
    console.print(f"{one.state}{decided}" + (f": {one.note}" if one.note else ""))


def _deciding(state: State, told: str) -> Any:
    """Return a command that gives links another state: those with NUMBERS, or all that filters choose (shown first)."""

    @click.argument("numbers", nargs=-1, type=click.IntRange(1))
    @_filters
    @click.option("--yes", is_flag=True, help="Do it; without this, filters only show what they choose.")
    @click.option("--by", "who", default=_who, help="Who decides; by default who you are.")
    @click.option("--note", default="", help="Why.")
    @BOOK
    @JSON
    @LANG
    def decide(
        numbers: tuple[int, ...], kind: str, basis: str | None, least: float | None, most: float | None, query: str, who: str,
        note: str, book: Path, lang: str, *, yes: bool, as_json: bool,
    ) -> None:  # fmt: skip
        narrowed = any((kind, basis, least is not None, most is not None, query))
        if bool(numbers) == narrowed:
            raise click.UsageError("give the numbers of links, or filters such as --least 0.95")
        if len(note) > LONGEST_NOTE or not note.isprintable():
            raise click.UsageError(f"a note is one line of at most {LONGEST_NOTE} characters")
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with _open(book) as kept:
            if numbers:
                for number in numbers:
                    _may_decide(_one(kept, number))
                done = sum(kept.decide(*Choice(number=n).condition(), state, who, now, note) for n in numbers)
            else:
                chosen = Choice(
                    "accepted" if state == "proposed" else "proposed", kind, basis or "", least, most, query
                )
                count = kept.count_of(*chosen.condition())
                if not yes:
                    _preview(kept.select(*chosen.condition(), SHOWN), count, lang, as_json=as_json)
                    return
                done = kept.decide(*chosen.condition(), state, who, now, note)
        if as_json:
            _json({"done": done, "state": state})
        else:
            _console().print(f"{done} {told}")

    return decide


def _may_decide(one: Kept) -> None:
    if one.state == "registered":
        raise Refused("registered", f"link {one.id} is registered: a new record of its source takes it back", 409)


for _name, _state, _help in (
    ("accept", "accepted", "Accept links, by NUMBERS or by filters; they are registered by 'headgate link register'."),
    ("reject", "rejected", "Reject links, by NUMBERS or by filters; they are never proposed again."),
    ("reopen", "proposed", "Take a decision back: NUMBERS, or accepted links by filters, are proposals again."),
):
    _decide = _deciding(_state, _state)  # type: ignore[arg-type]
    _decide.__doc__ = f"{_help}\n\nFilters only show what they choose, until --yes is given.\n\nExample: headgate link {_name} --least 0.95"
    commands.command(name=_name)(_decide)


@commands.command()
@click.argument("name")
@BOOK
def forget(name: str, book: Path) -> None:
    """Remove the catalogue NAME from the book; links that were decided stay.

    Example: headgate link forget books
    """
    with _open(book) as kept:
        if not kept.forget(name):
            raise Refused("unknown-catalogue", f"there is no catalogue '{name}'", 404)
    _console().print(f"{name} is removed; 'headgate link propose' makes the proposals anew")


commands.add_command(register)
commands.add_command(export)
commands.add_command(curator)


def _preview(found: list[Kept], count: int, lang: str, *, as_json: bool) -> None:
    if as_json:
        _json({"would": count, "links": [_told(one, lang) for one in found]})
        return
    _table(found, lang)
    _console().print(f"{count} links; --yes does it")


class _open:  # noqa: N801 (used like a function)
    """The book, closed at the end of a block."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Book:
        self._book = Book(self._path)
        return self._book

    def __exit__(self, *_: object) -> None:
        self._book.close()


def _one(book: Book, number: int) -> Kept:
    found = book.one(number)
    if found is None:
        raise Refused("unknown-link", f"there is no link {number}", 404)
    return found


def _told(one: Kept, lang: str) -> dict[str, Any]:
    p = one.proposal
    return {
        "number": one.id, "source": p.source, "type": p.type, "target": p.target, "score": p.score, "basis": p.basis,
        "source_title": p.source_title, "target_title": p.target_title, "target_body": p.target_body,
        "why": reasons.told(p.why, lang), "state": one.state, "by": one.by, "at": one.at, "note": one.note,
    }  # fmt: skip


def _table(found: list[Kept], lang: str) -> None:
    table = Table("number", "score", "source", "type", "target", "why", box=None)
    for one in found:
        p = one.proposal
        target = " ".join(text for text in (p.target_title, p.target) if text)
        word = kind_of(p.type).word(lang)
        table.add_row(str(one.id), f"{p.score:.2f}", p.source_title, word, target, reasons.told(p.why, lang))
    _console().print(table if found else "no links")


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True, highlight=False), transient=True)


def _json(told: object) -> None:
    click.echo(json.dumps(told, ensure_ascii=False))


def _console() -> Console:
    return Console(highlight=False, markup=False, soft_wrap=True)
