"""``headgate link list``, ``show``, ``accept``, ``reject``, ``reopen``: a curator at a terminal."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from appliance.runtime.errors import Refused
from gateway.linking import reasons
from gateway.linking.asking import LONGEST_NOTE
from gateway.linking.book import Kept
from gateway.linking.choosing import Choice
from gateway.linking.cli_words import (
    BOOK,
    JSON,
    LANG,
    Opened,
    console,
    print_json,
    print_links,
    there,
    told_of,
    who_am_i,
)
from gateway.linking.proposals import BASES, STATES, State
from gateway.resolver.vocabulary import kind_of

SHOWN = 20  # links of a preview


@click.group()
def commands() -> None:
    """Carry the commands; ``headgate link`` takes them over."""


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
    with Opened(book) as kept:
        found, count = kept.select(*choice.condition(), limit, skip), kept.count_of(*choice.condition())
        states = kept.states()
    if as_json:
        print_json({"links": [told_of(one, lang) for one in found], "count": count, "states": states})
        return
    print_links(found, lang)
    console().print(f"{len(found)} of {count}; " + ", ".join(f"{n} {name}" for name, n in states.items()))


@commands.command()
@click.argument("number", type=click.IntRange(1))
@BOOK
@JSON
@LANG
def show(number: int, book: Path, lang: str, *, as_json: bool) -> None:
    """Show link NUMBER with all that the catalogues say of both ends.

    Example: headgate link show 12
    """
    with Opened(book) as kept:
        one = there(kept, number)
        ends = {
            end: kept.entry(code) for end, code in (("source", one.proposal.source), ("target", one.proposal.target))
        }
    if as_json:
        about = {
            end: asdict(found[0]) | {"catalogue": found[1], "body": found[2]} for end, found in ends.items() if found
        }
        print_json({**told_of(one, lang), **{f"{end}_entry": told for end, told in about.items()}})
        return
    table = Table("", "source", "target", box=None)
    p = one.proposal
    table.add_row("code", p.source, p.target)
    table.add_row("title", p.source_title, p.target_title)
    for name in ("kind", "year", "names", "identifiers"):
        cells = [getattr(found[0], name) if found else "" for found in ends.values()]
        table.add_row(name, *(", ".join(cell) if isinstance(cell, tuple) else str(cell or "") for cell in cells))
    table.add_row("catalogue", *(" ".join(found[1:]) if found else "" for found in ends.values()))
    out = console()
    out.print(table)
    out.print(f"{kind_of(p.type).word(lang)} ({p.type}), {p.score:.2f}: {reasons.told(p.why, lang)}")
    decided = f" by {one.by} at {one.at}" if one.by else ""
    out.print(f"{one.state}{decided}" + (f": {one.note}" if one.note else ""))


def _preview(found: list[Kept], count: int, lang: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"would": count, "links": [told_of(one, lang) for one in found]})
        return
    print_links(found, lang)
    console().print(f"{count} links; --yes does it")


def _deciding(state: State, told: str) -> Any:
    """Return a command that gives links another state: those with NUMBERS, or all that filters choose (shown first)."""

    @click.argument("numbers", nargs=-1, type=click.IntRange(1))
    @_filters
    @click.option("--yes", is_flag=True, help="Do it; without this, filters only show what they choose.")
    @click.option("--by", "who", default=who_am_i, help="Who decides; by default who you are.")
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
        with Opened(book) as kept:
            if numbers:
                for number in numbers:
                    _may_decide(there(kept, number))
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
            print_json({"done": done, "state": state})
        else:
            console().print(f"{done} {told}")

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
