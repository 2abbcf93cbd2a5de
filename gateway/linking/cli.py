"""``headgate link``: the association engine on an institution's box, for its cataloguers and curators."""

from __future__ import annotations

import itertools
import time
from dataclasses import asdict
from pathlib import Path

import click

from appliance.runtime.errors import Refused
from appliance.runtime.places import STATE
from gateway.linking.cli_curating import commands as curating
from gateway.linking.cli_curators import curator
from gateway.linking.cli_out import export, register
from gateway.linking.cli_words import BOOK, JSON, Opened, console, print_json, progress_bar
from gateway.linking.judging import LEAST


@click.group(name="link")
def commands() -> None:
    """Propose, judge and register links between identifiers (关联): the association engine of an institution.

    Example: headgate link import catalogue.xml
    """


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

    with Opened(book) as kept, progress_bar() as bar:
        task = bar.add_task("importing", total=None)
        done = importing.run(
            kept,
            catalogue,
            name=name,
            kind=kind or "",
            body=body,
            progress=lambda read, whole: bar.update(task, completed=read, total=whole),
        )
        faults = kept.faults(done.name, most)
    if as_json:
        print_json({**asdict(done), "faults": [asdict(fault) for fault in faults], "count": done.faults})
        return
    out = console()
    out.print(
        f"{done.name}: {done.rows} rows of {done.format}, {done.entries} taken"
        + (f" ({done.again} rows were in already)" if done.again else "")
        + (f", {done.gone} that are not there any more removed" if done.gone else "")
        + (f", {done.left_out} left out" if done.left_out else "")
    )
    if done.without_code and not body:
        told = "have no code of their own (column 'code'): nothing can be registered from them"
        out.print(f"{done.without_code} {told}")
    for fault in faults:
        out.print(f"row {fault.row}: {fault.reason}: {fault.sentence}" + (" (left out)" if fault.whole else ""))
    if done.faults > len(faults):
        out.print(f"... and {done.faults - len(faults)} more faults: --faults N shows them")


@commands.command()
@click.option(
    "--least", default=LEAST, show_default=True, type=click.FloatRange(0, 1), help="Leave out what is less sure."
)
@click.option(
    "--table",
    type=click.Path(path_type=Path, file_okay=False),
    default=STATE / "identifiers",
    show_default=True,
    help="The box's table: what others registered is found there, where it is.",
)
@BOOK
@JSON
def propose(least: float, table: Path, book: Path, *, as_json: bool) -> None:
    """Propose links between all that was imported and to what others registered: by identifiers, statements and names.

    What was decided before stays decided: nothing comes again after a rejection.

    Example: headgate link propose
    """
    from gateway.linking import elsewhere, proposing
    from gateway.resolver.table import Table

    began, tally = time.monotonic(), proposing.Tally()
    with Opened(book) as kept, progress_bar() as bar:
        task = bar.add_task("comparing", total=None)
        things, known = list(kept.things()), Table.open(table)
        found = proposing.propose(
            things, least=least, tally=tally, progress=lambda pairs: bar.update(task, description=f"{pairs} pairs")
        )
        told = kept.propose(itertools.chain(found, elsewhere.propose(things, known, least=least)))
        info = known.info()
        known.close()
    seconds = time.monotonic() - began
    if as_json:
        said = {
            "entries": tally.things,
            "pairs": tally.pairs,
            "common": len(tally.common),
            "seconds": round(seconds, 2),
        }
        print_json({**told, **said, "elsewhere": info.count if info else 0})
        return
    out = console()
    out.print(
        f"{told['new']} new proposals, {told['known']} that were there, {told['decided']} decided before, {told['gone']} gone"
        f"  ({tally.things} entries, {tally.pairs} pairs, {seconds:.1f} s)"
    )
    if info is None:
        out.print(f"there is no table of identifiers in {table}: what others registered is not known here")
    for text, count in sorted(tally.common.items(), key=lambda item: -item[1])[:5]:
        out.print(f"'{text}' is shared by {count} entries, too many to tell anything")


@commands.command()
@click.argument("name")
@BOOK
def forget(name: str, book: Path) -> None:
    """Remove the catalogue NAME from the book; links that were decided stay.

    Example: headgate link forget books
    """
    with Opened(book) as kept:
        if not kept.forget(name):
            raise Refused("unknown-catalogue", f"there is no catalogue '{name}'", 404)
    console().print(f"{name} is removed; 'headgate link propose' makes the proposals anew")


for _command in curating.commands.values():
    commands.add_command(_command)
commands.add_command(register)
commands.add_command(export)
commands.add_command(curator)
